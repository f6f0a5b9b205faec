//! The ring of frames against a naive oracle, and between threads.

use super::super::claims::Counter;
use super::*;
use crate::atomics::mortal::die_after;
use crate::ring::shared::FrameShape;
use proptest::prelude::*;
use std::thread;

mod step_over;

/// Lines of the table: publishers have the first ones, lossless subscribers the last ones.
const LINES: usize = 6;
const FIRST_SUBSCRIBER: usize = 3;
const RECORD_WORDS: usize = 3;

/// An empty ring on the heap, with one word to a cell.
struct Memory {
    payloads: Vec<AtomicU64>,
    stamps: Vec<AtomicU64>,
    numbers: Vec<AtomicU64>,
    records: Vec<AtomicU64>,
    words: [AtomicU64; 3],
    /// `None` in a lossy ring.
    history: Option<u64>,
}

impl Memory {
    fn new(cells: usize, history: Option<u64>, lap: u64) -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        let one_lap = cells.next_power_of_two() as u64;
        let (at, oldest) = (lap * one_lap, lap.saturating_sub(1) * one_lap);
        let words = [AtomicU64::new(at), AtomicU64::new(0), AtomicU64::new(oldest)];
        // Every cell was padding in the lap before.
        let padding = Stamp { owner: NO_NUMBER, ..Stamp::new(State::Skip, lap.wrapping_sub(1) & ((1 << 33) - 1), 1) };
        let done = if lap == 0 { 0 } else { padding.word() };
        let stamps = (0..cells).map(|_| AtomicU64::new(done)).collect();
        Memory {
            payloads: zeros(cells),
            stamps,
            numbers: zeros(cells),
            records: zeros(LINES * RECORD_WORDS),
            words,
            history,
        }
    }

    fn parts(&self) -> Parts {
        let [tail, solo, oldest] = self.words.each_ref().map(NonNull::from);
        let (payloads, stamps) = (NonNull::from(&self.payloads[0]), NonNull::from(&self.stamps[0]));
        // SAFETY: the vectors have a word to a cell, and the tests keep them for longer than the ends, as the other words.
        let cells = unsafe { Cells::with_stamps_apart(payloads, 1, stamps, self.stamps.len()) };
        // SAFETY: as above.
        let records = unsafe { Records::new(NonNull::from(&self.records[0]), RECORD_WORDS, LINES) };
        // SAFETY: as above.
        let counter = unsafe { Counter::new(tail, solo) };
        let role = Role { counter, records };
        // SAFETY: as above.
        let parts = unsafe { Parts::lossy(cells, role, oldest, NonNull::from(&self.numbers[0])) };
        self.history.map_or(parts, |history| parts.lossless(records, history))
    }
}

/// Word `word` of a payload of `units` cells.
fn word<'a>(payload: NonNull<AtomicU64>, units: u16, word: u16) -> &'a AtomicU64 {
    assert!(word < units);
    // SAFETY: every cell has a word.
    let word = unsafe { payload.add(usize::from(word)) };
    // SAFETY: as above; the memory outlives the ends, and what is made of them.
    unsafe { word.as_ref() }
}

fn mixed(value: u64, at: u16) -> u64 {
    if at == 0 { value } else { value.wrapping_add(u64::from(at)).wrapping_mul(0x9E37_79B9_7F4A_7C15) }
}

fn fill(publisher: &Publisher, units: u16, value: u64) {
    let payload = publisher.payload().expect("a frame has been claimed");
    // Relaxed: the stamp publishes the payload, with the Release in `Publisher::pass`.
    (0..units).for_each(|at| word(payload, units, at).store(mixed(value, at), Ordering::Relaxed));
}

fn read(subscriber: &Subscriber) -> Vec<u64> {
    let (payload, units) = subscriber.payload().expect("there is a message");
    // Relaxed: the stamp has been acquired, and `accept` tells whether the words belong together.
    (0..units).map(|at| word(payload, units, at).load(Ordering::Relaxed)).collect()
}

fn words_of(value: u64, units: usize) -> Vec<u64> {
    (0..units as u16).map(|at| mixed(value, at)).collect()
}

/// What has become of a claim, in the order of the claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Claimed,
    Message(u64),
    Abandoned,
    Lost,
}

struct Seat {
    end: Subscriber,
    /// Where it is in the log, once it has found out by a first message.
    next: Option<usize>,
    is_evicted: bool,
}

/// A ring with everybody who uses it, and what has been claimed. Where padding lies is the ring's own affair.
struct World {
    parts: Parts,
    is_lossless: bool,
    publishers: Vec<Publisher>,
    claimed: Vec<Option<(usize, u16)>>,
    generations: [u32; LINES],
    seats: Vec<Option<Seat>>,
    log: Vec<Entry>,
    sent: u64,
}

impl World {
    fn new(memory: &Memory, publishers: usize) -> Self {
        let parts = memory.parts();
        World {
            parts,
            is_lossless: memory.history.is_some(),
            publishers: (0..publishers).map(|line| Publisher::attach(parts, line, Company::Others)).collect(),
            claimed: vec![None; publishers],
            generations: [1; LINES],
            seats: (FIRST_SUBSCRIBER..LINES).map(|_| None).collect(),
            log: Vec::new(),
            sent: 0,
        }
    }

    fn counted(&self) -> impl Fn(usize) -> Option<u32> + use<> {
        let owner = |line: usize| {
            let seat = line.checked_sub(FIRST_SUBSCRIBER).and_then(|seat| self.seats[seat].as_ref());
            seat.map(|_| self.generations[line])
        };
        let owners: Vec<_> = (0..LINES).map(owner).collect();
        move |line| owners[line]
    }

    fn claim(&mut self, who: usize, units: u16) {
        let units = units.min(self.parts.most_units());
        let is_idle = self.claimed.iter().all(Option::is_none);
        let is_unread = self.seats.iter().flatten().any(|seat| !seat.is_evicted);
        let counted = self.counted();
        if self.claimed[who].is_some() {
            return;
        }
        match self.publishers[who].claim(units, counted) {
            Turn::Ours => {
                self.claimed[who] = Some((self.log.len(), units));
                self.log.push(Entry::Claimed);
            }
            Turn::Theirs => assert!(!is_idle || self.is_lossless && is_unread, "nobody is in the way"),
            Turn::Broken(evidence) => panic!("{evidence:?}"),
        }
    }

    fn pass(&mut self, who: usize) {
        if let Some((at, units)) = self.claimed[who].take() {
            fill(&self.publishers[who], units, self.sent);
            self.publishers[who].pass();
            self.log[at] = Entry::Message(self.sent);
            self.sent += 1;
        }
    }

    fn abandon(&mut self, who: usize) {
        if let Some((at, _)) = self.claimed[who].take() {
            self.publishers[who].abandon();
            self.log[at] = Entry::Abandoned;
        }
    }

    fn kill(&mut self, who: usize, units: u16, stores: u32, repairs: u32) {
        self.abandon(who);
        let (counted, units, sent) = (self.counted(), units.min(self.parts.most_units()), self.sent);
        let losses = self.parts.publishers.records.losses();
        let publisher = &mut self.publishers[who];
        let finished = die_after(stores, || {
            let turn = publisher.claim(units, counted);
            if turn == Turn::Ours {
                fill(publisher, units, sent);
                publisher.pass();
            }
            turn
        });
        if finished == Some(Turn::Ours) {
            self.log.push(Entry::Message(sent));
            self.sent += 1;
        }
        let (generation, publishers) = (self.generations[who], self.publishers.len());
        let life = |line| match line {
            _ if line == who => Life::Dead { generation },
            _ if line < publishers => Life::Live,
            _ => Life::Absent,
        };
        die_after(repairs, || self.parts.repair(who, life));
        assert_eq!(self.parts.repair(who, life), Repair::Resolved);
        let lost = self.parts.publishers.records.losses() - losses;
        assert!(lost == 0 || lost == 1 && finished.is_none());
        (0..lost).for_each(|_| self.log.push(Entry::Lost));
        self.generations[who] += 1;
        self.publishers[who] = Publisher::attach(self.parts, who, Company::Others);
    }

    fn join(&mut self, seat: usize, history: u64) {
        let line = FIRST_SUBSCRIBER + seat;
        self.generations[line] += 1;
        let end = if self.is_lossless {
            Subscriber::attach_lossless(self.parts, line, self.generations[line], history).unwrap()
        } else {
            Subscriber::attach_lossy(self.parts, history)
        };
        // Without history, and with nobody at work, it begins at the end.
        let is_at_end = history == 0 && self.claimed.iter().all(Option::is_none);
        let next = is_at_end.then_some(self.log.len());
        self.seats[seat] = Some(Seat { end: end.unwrap(), next, is_evicted: false });
    }

    /// The entry that has a number and is number `count` (from 0) of those from `from` on, and where it is.
    fn numbered(&self, from: usize, count: u64) -> usize {
        let has_number = |at: &usize| matches!(self.log[*at], Entry::Message(_) | Entry::Lost);
        (from..self.log.len()).filter(has_number).nth(count as usize).unwrap_or(self.log.len())
    }

    /// Looks, and while the message is being copied, a publisher publishes so many more.
    fn receive(&mut self, index: usize, meanwhile: u16) {
        let Some(mut seat) = self.seats[index].take() else { return };
        match seat.end.look() {
            Sight::Message => {
                let words = read(&seat.end);
                (0..meanwhile).for_each(|units| {
                    self.claim(0, units + 1);
                    self.pass(0);
                });
                if seat.end.accept() {
                    assert!(!seat.is_evicted);
                    assert_eq!(words, words_of(words[0], words.len()), "torn message");
                    let found = self.log.iter().position(|&entry| entry == Entry::Message(words[0]));
                    let found = found.expect("it was sent");
                    assert_eq!(found, seat.next.map_or(found, |next| self.numbered(next, 0)), "doubled or left out");
                    seat.end.pass();
                    seat.next = Some(found + 1);
                } else {
                    assert!(seat.is_evicted || !self.is_lossless);
                }
            }
            Sight::Missed(missed) => {
                assert!(missed > 0);
                if let Some(next) = seat.next {
                    let passed = self.numbered(next, missed - 1);
                    let lost = self.log[next..=passed].iter().filter(|&&entry| entry == Entry::Lost).count();
                    assert!(!self.is_lossless || lost as u64 == missed);
                    seat.next = Some(passed + 1);
                }
            }
            Sight::Nothing => {
                if let Some(next) = seat.next.filter(|_| self.claimed.iter().all(Option::is_none)) {
                    assert_eq!(self.numbered(next, 0), self.log.len(), "a message that is not to be seen");
                }
            }
            Sight::Evicted => assert!(seat.is_evicted),
            Sight::Broken(evidence) => panic!("{evidence:?}"),
        }
        self.seats[index] = Some(seat);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Claim(usize, u16),
    Pass(usize),
    Abandon(usize),
    Kill(usize, u16, u32, u32),
    Receive(usize, u16),
    Join(usize, u64),
    Leave(usize),
    Evict(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3usize, 1..5u16).prop_map(|(who, units)| Step::Claim(who, units)),
        6 => (0..3usize).prop_map(Step::Pass),
        1 => (0..3usize).prop_map(Step::Abandon),
        2 => (0..3usize, 1..5u16, 0..14u32, 0..4u32).prop_map(|(a, b, c, d)| Step::Kill(a, b, c, d)),
        12 => (0..3usize, 0..4u16).prop_map(|(seat, meanwhile)| Step::Receive(seat, meanwhile)),
        2 => (0..3usize, 0..9u64).prop_map(|(seat, history)| Step::Join(seat, history)),
        1 => (0..3usize).prop_map(Step::Leave),
        1 => (0..3usize).prop_map(Step::Evict),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn subscribers_get_every_frame_or_its_number(
        cells in 2usize..20, publishers in 1usize..4, history in prop::option::of(0u64..6), which in 0usize..4, steps in steps()
    ) {
        let one_lap = cells.next_power_of_two() as u64;
        let lap = [0, 1, (1 << 32) / one_lap - 1, (1 << 62) / one_lap - 1][which];
        let memory = Memory::new(cells, history, lap);
        let mut world = World::new(&memory, publishers);
        for step in steps {
            match step {
                Step::Claim(who, units) => world.claim(who % publishers, units),
                Step::Pass(who) => world.pass(who % publishers),
                Step::Abandon(who) => world.abandon(who % publishers),
                Step::Kill(who, units, stores, repairs) => world.kill(who % publishers, units, stores, repairs),
                Step::Receive(seat, meanwhile) => {
                    world.receive(seat, if world.is_lossless { 0 } else { meanwhile });
                }
                Step::Join(seat, history) => world.join(seat, history),
                Step::Leave(seat) => world.seats[seat] = None,
                Step::Evict(seat) => {
                    let line = FIRST_SUBSCRIBER + seat;
                    if let Some(taken) = &mut world.seats[seat] {
                        taken.is_evicted = world.parts.evict(line, world.generations[line]);
                    }
                }
            }
        }
    }
}

const MESSAGES: u64 = 20_000;

#[test]
fn subscribers_on_other_threads_get_whole_frames_in_order() {
    for history in [None, Some(0), Some(4)] {
        let memory = Memory::new(23, history, 0);
        let parts = memory.parts();
        thread::scope(|scope| {
            let subscribers: Vec<_> = (0..2)
                .map(|seat| match history {
                    None => Subscriber::attach_lossy(parts, 0).unwrap(),
                    Some(_) => Subscriber::attach_lossless(parts, FIRST_SUBSCRIBER + seat, 1, 0).unwrap().unwrap(),
                })
                .collect();
            for who in 0..2 {
                scope.spawn(move || {
                    let mut publisher = Publisher::attach(parts, who, Company::Others);
                    for count in 0..MESSAGES {
                        let units = (count % 5 + 1) as u16;
                        loop {
                            match publisher.claim(units, |line| (line >= FIRST_SUBSCRIBER).then_some(1)) {
                                Turn::Ours => break,
                                Turn::Theirs => thread::yield_now(),
                                Turn::Broken(evidence) => panic!("{evidence:?}"),
                            }
                        }
                        fill(&publisher, units, (who as u64) << 40 | count);
                        publisher.pass();
                    }
                });
            }
            for mut subscriber in subscribers {
                scope.spawn(move || {
                    let (mut received, mut missed, mut next) = (0, 0, [0; 2]);
                    while received + missed < 2 * MESSAGES {
                        match subscriber.look() {
                            Sight::Message => {
                                let words = read(&subscriber);
                                if !subscriber.accept() {
                                    continue;
                                }
                                subscriber.pass();
                                received += 1;
                                let (who, count) = ((words[0] >> 40) as usize, words[0] & ((1 << 40) - 1));
                                assert_eq!(words, words_of(words[0], (count % 5 + 1) as usize), "torn message");
                                assert!(count >= next[who]);
                                next[who] = count + 1;
                            }
                            Sight::Missed(more) if history.is_none() => missed += more,
                            Sight::Nothing => thread::yield_now(),
                            sight => panic!("{sight:?}"),
                        }
                        assert_eq!(subscriber.number(), received + missed);
                    }
                    subscriber.detach();
                });
            }
        });
    }
}

#[test]
fn a_frame_that_is_overwritten_while_it_is_copied_is_not_accepted() {
    let memory = Memory::new(8, None, 0);
    let parts = memory.parts();
    let mut subscriber = Subscriber::attach_lossy(parts, 0).unwrap();
    let mut publisher = Publisher::attach(parts, 0, Company::Alone);
    let mut publish = |units| {
        assert_eq!(publisher.claim(units, |_| None), Turn::Ours);
        fill(&publisher, units, 7);
        publisher.pass();
    };
    (0..4).for_each(|_| publish(2));
    assert_eq!((subscriber.look(), subscriber.number()), (Sight::Message, 0));
    publish(3);
    assert!(!subscriber.accept());
    assert_eq!((subscriber.look(), subscriber.number()), (Sight::Missed(2), 2), "the frames of four cells are gone");
    for number in 2..5 {
        assert_eq!((subscriber.look(), subscriber.number()), (Sight::Message, number));
        assert!(subscriber.accept());
        subscriber.pass();
    }
    assert_eq!((subscriber.look(), subscriber.is_claimed()), (Sight::Nothing, false));
}

#[test]
fn a_length_that_is_none_or_passes_the_end_is_damage() {
    let memory = Memory::new(4, None, 0);
    let mut subscriber = Subscriber::attach_lossy(memory.parts(), 0).unwrap();
    let stamp = |state, units| Stamp::new(state, 0, units).word();
    for state in [State::Full, State::Skip] {
        for units in [0, 5, u16::MAX] {
            // Relaxed: one thread.
            memory.stamps[0].store(stamp(state, units), Ordering::Relaxed);
            let broken = Evidence { slot: 0, found: stamp(state, units), expected: stamp(State::Full, 1) };
            assert_eq!(subscriber.look(), Sight::Broken(broken));
        }
    }
}

#[test]
fn a_message_is_at_most_half_of_what_newcomers_leave() {
    for (cells, history, most) in [(1, None, 1), (8, None, 4), (9, Some(0), 4), (9, Some(4), 2), (9, Some(100), 1)] {
        let memory = Memory::new(cells, history, 0);
        assert_eq!(memory.parts().most_units(), most);
        let mut publisher = Publisher::attach(memory.parts(), 0, Company::Alone);
        assert_eq!(publisher.claim(most + 1, |_| None), Turn::Theirs);
        assert_eq!(publisher.claim(0, |_| None), Turn::Theirs);
        for _ in 0..50 {
            assert_eq!(publisher.claim(most, |_| None), Turn::Ours, "the longest always finds room");
            publisher.pass();
        }
    }
}

/// Words that may mean something, and words that do not.
fn wild() -> impl Strategy<Value = u64> {
    let stamp = (0..8u64, 0..2u64, 0..4u64, 0..4u64)
        .prop_map(|(state, owner, units, lap)| lap << 31 | units << 15 | owner << 3 | state);
    prop_oneof![stamp, 0..20u64, any::<u64>(), Just(u64::MAX), (0..20u64).prop_map(|at| at << 2 | 1)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words_can_be_worked_with(
        cells in 1usize..8,
        history in prop::option::of(0u64..4),
        words in prop::collection::vec(wild(), 24 + LINES * RECORD_WORDS),
        steps in prop::collection::vec((0..8usize, wild()), 0..60)
    ) {
        let memory = Memory::new(cells, history, 0);
        let parts = memory.parts();
        let frames = |end| FrameSubscriber::new(end, FrameShape::new(cells as u64, 8, 8));
        let ends = || {
            let lossless = Subscriber::attach_lossless(parts, FIRST_SUBSCRIBER, 2, 1).and_then(Result::ok);
            (Subscriber::attach_lossy(parts, 1).ok().map(frames), lossless.map(frames))
        };
        let receive = |end: &mut Option<FrameSubscriber>| {
            if let Some(end) = end {
                let is_message = end.look() == Sight::Message;
                // No longer than the ring, whatever the stamp and the number of bytes say.
                assert!(!is_message || end.bytes() <= 8 * cells - 8);
                end.skip_damaged();
                end.accept();
            }
        };
        let scramble = |from: usize, words: &[u64]| {
            let apart = memory.numbers.iter().chain(&memory.payloads).chain(&memory.records).chain(&memory.words);
            let shared = memory.stamps.iter().chain(apart);
            // Relaxed: one thread.
            shared.skip(from).zip(words).for_each(|(word, &wild)| word.store(wild, Ordering::Relaxed));
        };
        let mut publisher = Publisher::attach(parts, 0, Company::Others);
        let mut subscribers = ends();
        scramble(0, &words);
        for (step, word) in steps {
            let life = |line| if line == 1 { Life::Dead { generation: 3 } } else { Life::Absent };
            match step {
                0 => drop(publisher.claim((word % 9) as u16, |line| Some(line as u32))),
                1 => publisher.pass(),
                2 => subscribers = ends(),
                3 => receive(&mut subscribers.0),
                4 => receive(&mut subscribers.1),
                5 => drop(parts.repair(1, life)),
                6 => drop(parts.slowest(|line| Some(line as u32))),
                _ => scramble((word % 45) as usize, &[word]),
            }
        }
    }
}

#[test]
fn a_jump_over_frames_without_a_number_does_not_end_the_look() {
    let memory = Memory::new(2, None, 1);
    let mut world = World::new(&memory, 1);
    // It begins at the padding of the lap before, which has no number either.
    world.join(0, 0);
    // The padding is freed, and the one who did it dies.
    world.kill(0, 1, 4, 0);
    assert_eq!(world.log, [Entry::Lost]);
    assert_eq!(world.seats[0].as_mut().map(|seat| seat.end.look()), Some(Sight::Missed(1)));
}
