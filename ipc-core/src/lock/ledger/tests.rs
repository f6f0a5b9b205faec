//! The ledger against a plain count, with deaths before every store, of repairers too, and successors.

use super::*;
use crate::atomics::mortal::die_after;
use crate::lock::model::Memory;
use proptest::prelude::*;

const LINES: usize = 3;
const PERMITS: u32 = 5;

fn ledger(memory: &Memory) -> Ledger {
    // SAFETY: the words live as long as the memory, which the test keeps.
    unsafe { Ledger::new(memory.word(0), memory.lines()) }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Whoever is on the line takes so many, and dies before this store, or does not.
    Take { line: usize, permits: u32, dies: u32 },
    /// Gives so many back.
    GiveBack { line: usize, permits: u32, dies: u32 },
    /// The one on the line dies.
    Die { line: usize },
    /// Somebody looks for the dead, and dies itself.
    Repair { dies: u32 },
    /// Somebody takes the line of one who is dead.
    Succeed { line: usize },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (line, permits) = (0..LINES, 1..4_u32);
    let dies = prop_oneof![2 => Just(u32::MAX), 1 => 0..5_u32];
    let event = prop_oneof![
        4 => (line.clone(), permits.clone(), dies.clone()).prop_map(|(line, permits, dies)| Event::Take { line, permits, dies }),
        4 => (line.clone(), permits, dies.clone()).prop_map(|(line, permits, dies)| Event::GiveBack { line, permits, dies }),
        1 => line.clone().prop_map(|line| Event::Die { line }),
        2 => dies.prop_map(|dies| Event::Repair { dies }),
        3 => line.prop_map(|line| Event::Succeed { line }),
    ];
    proptest::collection::vec(event, 0..120)
}

/// What has to be so after every event: as much is free and held as there is; the living hold what they know of.
fn check(memory: &Memory, held: &[Option<u32>; LINES]) {
    let there: Vec<_> = (0..LINES).map(|line| ledger(memory).held(line)).collect();
    assert_eq!(ledger(memory).free() + there.iter().sum::<u32>(), PERMITS, "{there:?}");
    for (known, there) in held.iter().zip(&there) {
        assert!(known.is_none_or(|known| known == *there), "{held:?} are known of, and there are {there:?}");
    }
}

/// `held` has what each line's owner knows that it holds, and `None` if it is dead.
fn play(memory: &Memory, held: &mut [Option<u32>; LINES], event: Event) {
    match event {
        Event::Take { line, permits, dies } => {
            let Some(known) = held[line] else { return };
            let take = |free: u32, held: u32| free.checked_sub(permits).map(|free| (free, held + permits)).ok_or(());
            held[line] = match die_after(dies, || ledger(memory).change(line, take)) {
                Some(Change::Made) => Some(known + permits),
                Some(_) => Some(known),
                None => None,
            };
        }
        Event::GiveBack { line, permits, dies } => {
            let Some(known) = held[line].filter(|&known| known >= permits) else { return };
            let give = |free: u32, held: u32| Ok::<_, ()>((free + permits, held - permits));
            let made = die_after(dies, || ledger(memory).change(line, give));
            held[line] = made.map(|_| known - permits);
        }
        Event::Die { line } => held[line] = None,
        Event::Repair { dies } => {
            let dead = *held;
            die_after(dies, || {
                for line in (0..LINES).filter(|&line| dead[line].is_none()) {
                    ledger(memory).give_back(line, || true);
                }
            });
        }
        Event::Succeed { line } if held[line].is_none() => {
            ledger(memory).give_back(line, || true);
            // Relaxed: there is one thread.
            memory.lines().claim(line).store(0, Ordering::Relaxed);
            held[line] = Some(0);
        }
        Event::Succeed { .. } => {}
    }
    check(memory, held);
}

proptest! {
    #[test]
    fn no_permit_is_lost_or_doubled(events in events()) {
        let (memory, mut held) = (Memory::new(LINES), [Some(0); LINES]);
        ledger(&memory).init(PERMITS);
        events.into_iter().for_each(|event| play(&memory, &mut held, event));
        for line in 0..LINES {
            ledger(&memory).give_back(line, || true);
        }
        prop_assert_eq!(ledger(&memory).free(), PERMITS);
    }

    #[test]
    fn any_words_are_survived(words in proptest::array::uniform4(any::<u64>())) {
        let memory = Memory::new(LINES);
        // SAFETY: as in `ledger`.
        let word = unsafe { memory.word(0).as_ref() };
        // Relaxed: there is one thread.
        word.store(words[0], Ordering::Relaxed);
        memory.lines().claim(0).store(words[1], Ordering::Relaxed);
        memory.lines().units(0).store(words[2], Ordering::Relaxed);
        memory.lines().claim(1).store(words[3], Ordering::Relaxed);
        let take = |free: u32, held: u32| Ok::<_, ()>((free.saturating_sub(1), (held + 1).min(MAX_PERMITS)));
        let _ = ledger(&memory).change(0, take);
        ledger(&memory).give_back(1, || true);
        prop_assert!(ledger(&memory).free() <= MAX_PERMITS);
    }
}

#[test]
fn numbers_come_round() {
    let (memory, last) = (Memory::new(1), NUMBER_MASK - 1);
    ledger(&memory).init(2);
    // Relaxed: there is one thread.
    memory.lines().units(0).store(last, Ordering::Relaxed);
    for turn in 0..4 {
        let made = ledger(&memory).change(0, |free, held| Ok::<_, ()>((free - 1, held + 1)));
        assert_eq!((made, ledger(&memory).held(0)), (Change::Made, 1), "turn {turn}");
        assert_eq!(ledger(&memory).give_back(0, || true), 1);
    }
    assert_eq!(ledger(&memory).free(), 2);
}
