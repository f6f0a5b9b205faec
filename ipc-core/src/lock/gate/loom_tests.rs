//! The gate under loom, with deaths before every store, and readers beside it. Nobody waits in the models: the threads try, and
//! give up.

use super::*;
use crate::atomics::explore::explore;
use crate::atomics::mortal::die_after;
use crate::lock::Readers;
use crate::lock::model::Memory;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// Interruptions in an execution where a thread could have gone on.
const PREEMPTIONS: usize = 3;

/// A value behind a gate: loom notices every access that is not ordered after the last one by somebody else.
struct Guarded {
    memory: Memory,
    value: UnsafeCell<[u64; 2]>,
}

// SAFETY: loom checks the accesses to the cell; finding one that is not exclusive is what the models are for.
unsafe impl Sync for Guarded {}
// SAFETY: as for `Sync`.
unsafe impl Send for Guarded {}

impl Guarded {
    fn new(lines: usize) -> Arc<Self> {
        Arc::new(Guarded { memory: Memory::new(lines), value: UnsafeCell::new([0; 2]) })
    }

    fn gate(&self) -> Gate {
        // SAFETY: the words live as long as the memory, which every thread keeps.
        unsafe { Gate::new(self.memory.word(0), self.memory.word(1), self.memory.lines()) }
    }

    fn readers(&self) -> Readers {
        Readers::new(self.gate(), self.memory.lines())
    }

    /// Tries to enter, also in the place of the dead. Whether the value may be half changed.
    fn enter(&self, line: usize, purpose: Purpose) -> Option<bool> {
        let me = self.memory.owner(line);
        match self.gate().try_enter(me, purpose) {
            Entry::Inside { is_marked } => Some(is_marked),
            Entry::Taken(seen) => {
                let is_gone = seen.owner().is_some_and(|owner| self.memory.is_dead(owner.line()));
                if is_gone { self.gate().take_over(seen, me, purpose) } else { None }
            }
        }
    }

    /// Counts up both halves, between which it may die, after finding them equal unless it was told of a death.
    fn change(&self, line: usize, is_marked: bool) {
        self.value.with_mut(|value| {
            // SAFETY: loom checks that nobody else has access.
            let value = unsafe { &mut *value };
            assert!(is_marked || value[0] == value[1], "half a change was not told of: {value:?}");
            value[0] += 1;
            // A store, before which there is a death.
            self.memory.lines().units(line).store(1, Ordering::Relaxed);
            value[1] = value[0];
        });
    }

    fn change_once(&self, line: usize) -> bool {
        let Some(is_marked) = self.enter(line, Purpose::Change) else { return false };
        self.change(line, is_marked);
        self.gate().leave(self.memory.owner(line), false);
        true
    }
}

#[test]
fn loom_one_at_a_time() {
    explore("gate, three threads", Some(PREEMPTIONS), || {
        let guarded = Guarded::new(3);
        let others: Vec<_> = (1..3)
            .map(|line| {
                let guarded = guarded.clone();
                thread::spawn(move || u64::from(guarded.change_once(line)))
            })
            .collect();
        let changes = u64::from(guarded.change_once(0));
        let changes: u64 = changes + others.into_iter().map(|other| other.join().unwrap()).sum::<u64>();
        assert_eq!(guarded.enter(0, Purpose::Change), Some(false));
        // SAFETY: loom checks that nobody else writes.
        guarded.value.with(|value| assert_eq!(unsafe { *value }, [changes; 2]));
    });
}

#[test]
fn loom_a_death_inside_is_told_to_one_of_two_who_come() {
    for stores in 0..4 {
        explore(&format!("gate, a death before store {stores}, two who come"), Some(PREEMPTIONS), move || {
            let guarded = Guarded::new(3);
            let victim = guarded.clone();
            let victim = thread::spawn(move || {
                die_after(stores, || victim.change_once(0));
                victim.memory.bury(0);
            });
            let other = guarded.clone();
            let other = thread::spawn(move || other.change_once(1));
            guarded.change_once(2);
            victim.join().unwrap();
            other.join().unwrap();
            assert!(guarded.enter(2, Purpose::Change).is_some(), "the dead keep nobody out");
        });
    }
}

#[test]
fn loom_of_those_who_take_the_place_of_the_dead_and_a_sweeper_one_wins() {
    explore("gate, two who take over and a sweeper", Some(PREEMPTIONS), || {
        let guarded = Guarded::new(4);
        die_after(2, || guarded.change_once(0));
        guarded.memory.bury(0);
        let repairers: Vec<_> = (1..3)
            .map(|line| {
                let guarded = guarded.clone();
                thread::spawn(move || {
                    let Some(is_marked) = guarded.enter(line, Purpose::Change) else { return 0 };
                    guarded.change(line, is_marked);
                    // As one who has not put it right.
                    guarded.gate().leave(guarded.memory.owner(line), is_marked);
                    assert!(is_marked);
                    1
                })
            })
            .collect();
        guarded.gate().free_of(0, |_| true);
        let entered: u64 = repairers.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!(guarded.enter(3, Purpose::Change), Some(true), "after {entered} it is still marked");
    });
}

#[test]
fn loom_who_asks_is_handed_the_gate_or_finds_it_free() {
    for stores in [0, 1, 2, 3, u32::MAX] {
        explore(
            &format!("gate, handing on, the one who asks dies before store {stores}"),
            Some(PREEMPTIONS),
            move || {
                let guarded = Guarded::new(3);
                assert_eq!(guarded.enter(0, Purpose::Change), Some(false));
                let asks = guarded.clone();
                let asks = thread::spawn(move || {
                    let me = asks.memory.owner(1);
                    let entered = die_after(stores, || {
                        asks.gate().ask(me);
                        if let Entry::Inside { is_marked } = asks.gate().try_enter(me, Purpose::Change) {
                            asks.change(1, is_marked);
                            asks.gate().leave(me, false);
                            return true;
                        }
                        // It has lost its patience; if it was too late for that, it is inside, and passes on.
                        if !asks.gate().take_back(me) {
                            if let Entry::Inside { is_marked } = asks.gate().try_enter(me, Purpose::Change) {
                                asks.gate().leave(me, is_marked);
                            }
                        }
                        false
                    });
                    if entered.is_none() {
                        asks.memory.bury(1);
                    }
                });
                guarded.change(0, false);
                guarded.gate().leave(guarded.memory.owner(0), false);
                guarded.change_once(2);
                asks.join().unwrap();
                let seen = guarded.gate().look();
                // Whoever has been handed it and does not come does not keep it.
                let left =
                    seen.is_granted().then(|| guarded.gate().take_over(seen, guarded.memory.owner(2), Purpose::Change));
                assert!(left.flatten().is_some() || guarded.enter(2, Purpose::Change).is_some());
            },
        );
    }
}

#[test]
fn loom_a_request_that_is_made_before_the_holder_looks_is_answered() {
    explore("gate, a request and two who leave", Some(PREEMPTIONS), || {
        let guarded = Guarded::new(3);
        assert_eq!(guarded.enter(0, Purpose::Change), Some(false));
        let asks = guarded.clone();
        let asks = thread::spawn(move || asks.gate().ask(asks.memory.owner(1)));
        // A holder whose look may miss it, and one whose look finds nobody.
        guarded.gate().leave(guarded.memory.owner(0), false);
        if guarded.enter(2, Purpose::Change).is_some() {
            guarded.gate().leave(guarded.memory.owner(2), false);
        }
        asks.join().unwrap();
        if guarded.enter(0, Purpose::Change).is_some() {
            guarded.gate().leave(guarded.memory.owner(0), false);
            let seen = guarded.gate().look();
            assert!(seen.is_granted() && seen.owner() == Some(guarded.memory.owner(1).participant()), "{seen:?}");
        }
    });
}

#[test]
fn loom_readers_and_a_writer() {
    for deaths in [false, true] {
        explore(&format!("readers, two of them beside a writer, one dies: {deaths}"), Some(PREEMPTIONS), move || {
            let guarded = Guarded::new(3);
            (0..3).for_each(|line| guarded.readers().attach(line, 1));
            let readers: Vec<_> = (1..3)
                .map(|line| {
                    let guarded = guarded.clone();
                    thread::spawn(move || {
                        let readers = guarded.readers();
                        if let Some(is_marked) = readers.try_read(line) {
                            // SAFETY: loom checks that nobody else writes.
                            guarded.value.with(|value| unsafe { assert!((*value)[0] == (*value)[1] && !is_marked) });
                            if deaths && line == 1 {
                                guarded.memory.bury(line);
                            } else {
                                readers.end_read(line);
                            }
                        }
                    })
                })
                .collect();
            if guarded.enter(0, Purpose::Pass).is_some() {
                guarded.readers().shut_out();
                let is_gone = |owner: Owner| guarded.memory.is_dead(owner.line());
                if guarded.readers().first_reading(0, is_gone).is_none() {
                    guarded.gate().begin_change(guarded.memory.owner(0), false);
                    guarded.value.with_mut(|value| {
                        // SAFETY: loom checks that nobody else has access.
                        let value = unsafe { &mut *value };
                        value[0] += 1;
                        value[1] += 1;
                    });
                }
                guarded.gate().leave(guarded.memory.owner(0), false);
            }
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        });
    }
}
