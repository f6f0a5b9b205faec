//! The broadcast ring against a naive oracle, with deaths at every store.

use super::*;
use crate::atomics::mortal::die_after;
use proptest::prelude::*;

mod batches;
mod damage;
mod threads;
mod waking;

/// Words of a cell: some of payload and the stamp.
const STRIDE: usize = 4;

/// Lines of the table: publishers have the first ones, lossless subscribers the last ones.
const LINES: usize = 6;
const FIRST_SUBSCRIBER: usize = 3;
const RECORD_WORDS: usize = 3;

/// A ring on the heap, all of whose cells have been used in all laps before `lap`.
struct Memory {
    words: Vec<AtomicU64>,
    records: Vec<AtomicU64>,
    counter: [AtomicU64; 2],
    horizon: AtomicU64,
    margin: u16,
    /// `None` in a lossy ring.
    history: Option<u64>,
}

impl Memory {
    fn new(cells: u64, history: Option<u64>, lap: u64) -> Self {
        let done = if lap == 0 { 0 } else { full((lap - 1) & ((1 << 33) - 1)) };
        let is_stamp = |at| at % STRIDE == STRIDE - 1;
        Memory {
            words: (0..cells as usize * STRIDE).map(|at| AtomicU64::new(if is_stamp(at) { done } else { 0 })).collect(),
            records: (0..LINES * RECORD_WORDS).map(|_| AtomicU64::new(0)).collect(),
            counter: [AtomicU64::new(lap * cells.next_power_of_two()), AtomicU64::new(0)],
            horizon: AtomicU64::new(lap * cells.next_power_of_two()),
            margin: 1,
            history,
        }
    }

    fn parts(&self) -> Parts {
        // SAFETY: the vector has whole cells, and the tests keep it for longer than its ends, as the other words.
        let cells =
            unsafe { Cells::with_stamps_inside(NonNull::from(&self.words[0]), STRIDE, self.words.len() / STRIDE) };
        // SAFETY: as above.
        let records = unsafe { Records::new(NonNull::from(&self.records[0]), RECORD_WORDS, LINES) };
        let [position, solo] = &self.counter;
        // SAFETY: as above.
        let counter = unsafe { Counter::new(NonNull::from(position), NonNull::from(solo)) };
        let role = Role { counter, records };
        match self.history {
            // SAFETY: as above.
            None => unsafe { Parts::lossy(cells, role, NonNull::from(&self.horizon), self.margin) },
            Some(history) => Parts::lossless(cells, role, records, history),
        }
    }

    fn horizon(&self) -> u64 {
        // Relaxed: asked where nobody else is at work.
        self.horizon.load(Ordering::Relaxed)
    }
}

/// Payload word `word` of a cell.
fn word<'a>(payload: NonNull<AtomicU64>, word: usize) -> &'a AtomicU64 {
    assert!(word < STRIDE - 1);
    // SAFETY: every cell has `STRIDE - 1` payload words.
    let word = unsafe { payload.add(word) };
    // SAFETY: as above; the memory outlives the ends, and what is made of them.
    unsafe { word.as_ref() }
}

/// What word `at` of a message is.
fn mixed(value: u64, at: usize) -> u64 {
    if at == 0 { value } else { value.wrapping_add(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) }
}

fn fill(publisher: &Publisher, value: u64) {
    let payload = publisher.payload().expect("a cell has been claimed");
    // Relaxed: the stamp publishes the payload, with the Release in `Publisher::pass`.
    (0..STRIDE - 1).for_each(|at| word(payload, at).store(mixed(value, at), Ordering::Relaxed));
}

fn read(payload: NonNull<AtomicU64>) -> [u64; STRIDE - 1] {
    // Relaxed: the stamp has been acquired, and `accept` tells whether the words belong together.
    core::array::from_fn(|at| word(payload, at).load(Ordering::Relaxed))
}

fn words_of(value: u64) -> [u64; STRIDE - 1] {
    core::array::from_fn(|at| mixed(value, at))
}

/// What has become of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Claimed,
    Message,
    Abandoned,
    Lost,
}

/// Either kind of subscriber.
enum Reader {
    Lossy(lossy::Subscriber),
    Lossless(lossless::Subscriber),
}

impl Reader {
    fn look(&mut self) -> Sight {
        match self {
            Reader::Lossy(end) => end.look(),
            Reader::Lossless(end) => end.look(),
        }
    }

    fn payload(&self) -> NonNull<AtomicU64> {
        match self {
            Reader::Lossy(end) => end.payload(),
            Reader::Lossless(end) => end.payload(),
        }
    }

    fn begin(&self) -> Option<NonNull<AtomicU64>> {
        match self {
            Reader::Lossy(end) => end.begin(),
            Reader::Lossless(end) => end.begin(),
        }
    }

    fn complete(&mut self) -> bool {
        match self {
            Reader::Lossy(end) => end.complete(),
            Reader::Lossless(end) => end.complete(),
        }
    }

    fn is_claimed(&self) -> bool {
        match self {
            Reader::Lossy(end) => end.is_claimed(),
            Reader::Lossless(end) => end.is_claimed(),
        }
    }

    fn accept(&mut self) -> bool {
        match self {
            Reader::Lossy(end) => end.accept(),
            Reader::Lossless(end) => {
                let is_intact = end.accept();
                if is_intact {
                    end.pass();
                }
                is_intact
            }
        }
    }
}

struct Seat {
    reader: Reader,
    /// Where it is in the log.
    next: usize,
    is_evicted: bool,
    /// Whether its last copy was worth nothing.
    is_overtaken: bool,
    /// Whether it has got a message, and missed nothing since.
    is_in_sight: bool,
}

/// A ring with everybody who uses it, and what they should find.
struct World<'a> {
    memory: &'a Memory,
    parts: Parts,
    capacity: usize,
    publishers: Vec<Publisher>,
    /// What each publisher has claimed, in the log.
    claimed: Vec<Option<usize>>,
    generations: [u32; LINES],
    seats: Vec<Option<Seat>>,
    log: Vec<Entry>,
    /// Numbers before it may be stored.
    horizon: usize,
}

impl<'a> World<'a> {
    fn new(memory: &'a Memory, publishers: usize) -> Self {
        let parts = memory.parts();
        let company = if publishers == 1 { Company::Alone } else { Company::Others };
        World {
            memory,
            parts,
            capacity: memory.words.len() / STRIDE,
            publishers: (0..publishers).map(|line| Publisher::attach(parts, line, company)).collect(),
            claimed: vec![None; publishers],
            generations: [1; LINES],
            seats: (FIRST_SUBSCRIBER..LINES).map(|_| None).collect(),
            log: Vec::new(),
            horizon: 0,
        }
    }

    fn counted(&self) -> impl Fn(usize) -> Option<u32> + use<> {
        let owners: Vec<_> = (0..LINES)
            .map(|line| {
                let seat = line.checked_sub(FIRST_SUBSCRIBER).and_then(|seat| self.seats[seat].as_ref());
                seat.map(|_| self.generations[line])
            })
            .collect();
        move |line| owners[line]
    }

    /// Whether the next claim has to succeed.
    fn is_free(&self) -> bool {
        let next = self.log.len();
        let is_done = next < self.capacity || self.log[next - self.capacity] != Entry::Claimed;
        let is_held = |seat: &Seat| !seat.is_evicted && next - seat.next >= self.capacity;
        is_done && (self.memory.history.is_none() || !self.seats.iter().flatten().any(is_held))
    }

    fn claim(&mut self, who: usize) {
        if self.claimed[who].is_some() {
            return;
        }
        let expected = if self.is_free() { Turn::Ours } else { Turn::Theirs };
        let counted = self.counted();
        assert_eq!(self.publishers[who].claim(counted), expected);
        if expected == Turn::Ours {
            self.claimed[who] = Some(self.log.len());
            self.log.push(Entry::Claimed);
            self.open(self.log.len() - 1);
        }
    }

    /// Whoever has claimed a number is about to store it.
    fn open(&mut self, number: usize) {
        if number >= self.horizon {
            let end_of_lap = (number / self.capacity + 1) * self.capacity;
            self.horizon = (number + usize::from(self.memory.margin)).min(end_of_lap);
        }
    }

    /// Whether the cell of a number may be stored to for a later one.
    fn is_out_of_sight(&self, number: usize) -> bool {
        self.horizon > number + self.capacity
    }

    /// Whether the cell of a number has been dealt with for a later one.
    fn is_gone(&self, number: usize) -> bool {
        self.log.get(number + self.capacity).is_some_and(|entry| *entry != Entry::Claimed)
    }

    fn pass(&mut self, who: usize) {
        if let Some(number) = self.claimed[who].take() {
            fill(&self.publishers[who], number as u64);
            self.publishers[who].pass();
            self.log[number] = Entry::Message;
        }
    }

    fn abandon(&mut self, who: usize) {
        if let Some(number) = self.claimed[who].take() {
            self.publishers[who].abandon();
            self.log[number] = Entry::Abandoned;
        }
    }

    /// Dies before store number `stores` of publishing a message, is repaired by someone who dies before store number
    /// `repairs`, then by someone else, and gets a successor.
    fn kill(&mut self, who: usize, stores: u32, repairs: u32) {
        self.abandon(who);
        let (counted, number) = (self.counted(), self.log.len());
        let (before, claimed) = (self.memory.horizon(), self.parts.number());
        let expected = self.is_free();
        let publisher = &mut self.publishers[who];
        let finished = die_after(stores, || {
            let turn = publisher.claim(counted);
            if turn == Turn::Ours {
                fill(publisher, number as u64);
                publisher.pass();
            }
            turn
        });
        let has_claimed = self.parts.number() != claimed;
        if let Some(turn) = finished {
            assert_eq!(turn == Turn::Ours, expected);
        }
        if has_claimed {
            self.log.push(if finished.is_some() { Entry::Message } else { Entry::Claimed });
            if self.memory.horizon() != before {
                self.open(number);
            }
            self.look_at_all();
        }
        let generation = self.generations[who];
        let publishers = self.publishers.len();
        let life = |line| match line {
            _ if line == who => Life::Dead { generation },
            _ if line < publishers => Life::Live,
            _ => Life::Absent,
        };
        let losses = self.parts.publishers.records.losses();
        die_after(repairs, || self.parts.repair(who, life));
        assert_eq!(self.parts.repair(who, life), Repair::Resolved);
        let is_lost = has_claimed && finished.is_none();
        assert_eq!(self.parts.publishers.records.losses(), losses + u64::from(is_lost));
        if is_lost {
            self.log[number] = Entry::Lost;
        }
        self.generations[who] += 1;
        let company = if publishers == 1 { Company::Alone } else { Company::Others };
        self.publishers[who] = Publisher::attach(self.parts, who, company);
    }

    fn join(&mut self, seat: usize, history: u64) {
        let line = FIRST_SUBSCRIBER + seat;
        let available = self.parts.number().unwrap().min(self.log.len() as u64);
        let most = self.memory.history.unwrap_or(self.capacity as u64);
        let history = history.min(available);
        self.generations[line] += 1;
        let reader = match self.memory.history {
            None => Reader::Lossy(lossy::Subscriber::attach(self.parts, history).unwrap()),
            Some(_) => Reader::Lossless(
                lossless::Subscriber::attach(self.parts, line, self.generations[line], history).unwrap().unwrap(),
            ),
        };
        let next = self.log.len() - history.min(most) as usize;
        self.seats[seat] = Some(Seat { reader, next, is_evicted: false, is_overtaken: false, is_in_sight: false });
    }

    /// What a subscriber has to find, with where it is then.
    fn foresee(&self, seat: &Seat) -> (Sight, usize) {
        let (mut next, mut missed) = (seat.next, 0);
        let capacity = self.capacity;
        loop {
            if self.is_gone(next) || seat.is_overtaken {
                match missed {
                    0 if seat.is_evicted => return (Sight::Evicted, next),
                    _ if seat.is_evicted => return (Sight::Missed(missed as u64), next),
                    _ => {}
                }
                let keep = (capacity - capacity.div_ceil(4)).max(1);
                let number = self.parts.number().unwrap();
                let target = self.log.len() - keep.min(usize::try_from(number).unwrap_or(usize::MAX));
                return (Sight::Missed((missed + target - next) as u64), target);
            }
            match self.log.get(next) {
                Some(Entry::Abandoned) => next += 1,
                Some(Entry::Lost) => (next, missed) = (next + 1, missed + 1),
                _ if missed != 0 => return (Sight::Missed(missed as u64), next),
                Some(Entry::Message) => return (Sight::Message, next),
                Some(Entry::Claimed) | None => return (Sight::Nothing, next),
            }
        }
    }

    /// Takes what comes next if nothing is to be said before, and while the message is being copied, a publisher publishes so
    /// many more.
    fn receive_plainly(&mut self, index: usize, meanwhile: usize) {
        let Some(seat) = self.seats[index].take() else { return };
        let next = seat.next;
        let is_plain = self.foresee(&seat) == (Sight::Message, next);
        let begun = seat.reader.begin();
        assert!(begun.is_some() || !is_plain);
        let words = begun.map(read);
        self.seats[index] = Some(seat);
        for _ in 0..meanwhile {
            self.claim(0);
            self.pass(0);
        }
        let is_lossless = self.memory.history.is_some();
        let is_there = is_lossless || !self.is_out_of_sight(next);
        let Some(seat) = &mut self.seats[index] else { unreachable!() };
        let Some(words) = words else { return };
        let is_whole = is_plain && is_there && !seat.is_evicted;
        let is_taken = seat.reader.complete();
        assert_eq!(is_taken, is_whole && (is_lossless || seat.is_in_sight));
        if is_taken {
            assert_eq!(words, words_of(next as u64));
            seat.next += 1;
        }
        // A look comes before anything else is said of it.
        seat.is_overtaken |= seat.is_in_sight && !is_there;
        seat.is_in_sight &= is_there;
    }

    /// Looks, and while the message is being copied, a publisher publishes so many more.
    fn receive(&mut self, index: usize, meanwhile: usize) {
        let Some(mut seat) = self.seats[index].take() else { return };
        let (expected, next) = self.foresee(&seat);
        assert_eq!(seat.reader.look(), expected);
        seat.next = next;
        seat.is_overtaken = false;
        seat.is_in_sight &= !matches!(expected, Sight::Missed(_));
        assert_eq!(seat.reader.is_claimed(), next < self.log.len());
        if expected == Sight::Message {
            let words = read(seat.reader.payload());
            self.seats[index] = Some(seat);
            for _ in 0..meanwhile {
                self.claim(0);
                self.pass(0);
            }
            let is_there = self.memory.history.is_some() || !self.is_out_of_sight(next);
            let Some(seat) = &mut self.seats[index] else { unreachable!() };
            let is_whole = is_there && !seat.is_evicted;
            assert_eq!(seat.reader.accept(), is_whole);
            if is_whole {
                assert_eq!(words, words_of(next as u64));
                seat.next += 1;
            }
            seat.is_overtaken = !is_there;
            seat.is_in_sight = is_there;
        } else {
            self.seats[index] = Some(seat);
        }
    }

    fn look_at_all(&mut self) {
        (0..self.seats.len()).for_each(|seat| self.receive(seat, 0));
    }

    fn evict(&mut self, index: usize) {
        let line = FIRST_SUBSCRIBER + index;
        if let Some(seat) = &mut self.seats[index] {
            // Somebody who comes too late, and takes the line for its last owner's.
            self.parts.evict(line, self.generations[line] - 1);
            seat.is_evicted = self.parts.evict(line, self.generations[line]);
            assert_eq!(seat.is_evicted, self.memory.history.is_some());
        }
    }

    fn slowest(&self) {
        let unread = |seat: &Seat| (self.log.len() - seat.next) as u64;
        let counted = self.seats.iter().flatten().filter(|seat| !seat.is_evicted);
        let expected = if self.memory.history.is_some() { counted.map(unread).max() } else { None };
        assert_eq!(self.parts.slowest(self.counted()).map(|slowest| slowest.unread), expected);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Claim(usize),
    Pass(usize),
    Abandon(usize),
    Kill(usize, u32, u32),
    Receive(usize, usize),
    ReceivePlainly(usize, usize),
    Join(usize, u64),
    Leave(usize),
    Evict(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3usize).prop_map(Step::Claim),
        6 => (0..3usize).prop_map(Step::Pass),
        1 => (0..3usize).prop_map(Step::Abandon),
        2 => (0..3usize, 0..11u32, 0..4u32).prop_map(|(who, stores, repairs)| Step::Kill(who, stores, repairs)),
        6 => (0..3usize, 0..4usize).prop_map(|(seat, meanwhile)| Step::Receive(seat, meanwhile)),
        6 => (0..3usize, 0..4usize).prop_map(|(seat, meanwhile)| Step::ReceivePlainly(seat, meanwhile)),
        2 => (0..3usize, 0..9u64).prop_map(|(seat, history)| Step::Join(seat, history)),
        1 => (0..3usize).prop_map(Step::Leave),
        1 => (0..3usize).prop_map(Step::Evict),
    ];
    prop::collection::vec(step, 0..200)
}

fn run(memory: &Memory, publishers: usize, steps: Vec<Step>) {
    let mut world = World::new(memory, publishers);
    for step in steps {
        match step {
            Step::Claim(who) => world.claim(who % publishers),
            Step::Pass(who) => world.pass(who % publishers),
            Step::Abandon(who) => world.abandon(who % publishers),
            Step::Kill(who, stores, repairs) => world.kill(who % publishers, stores, repairs),
            Step::Receive(seat, meanwhile) => world.receive(seat, meanwhile),
            Step::ReceivePlainly(seat, meanwhile) => world.receive_plainly(seat, meanwhile),
            Step::Join(seat, history) => world.join(seat, history),
            // Without a word, as the dead do; what it leaves in its record does not count.
            Step::Leave(seat) => world.seats[seat] = None,
            Step::Evict(seat) => world.evict(seat),
        }
        world.slowest();
    }
    let World { mut publishers, parts, .. } = world;
    publishers.iter_mut().for_each(Publisher::detach);
    // Relaxed: one thread.
    let claims = (0..FIRST_SUBSCRIBER).map(|line| parts.publishers.records.claim(line).load(Ordering::Relaxed));
    assert_eq!(claims.sum::<u64>(), 0);
}

/// The laps, for a ring of so many cells, after which half of a position, and all of it, are about to wrap.
fn lap(which: usize, cells: u64) -> u64 {
    let one_lap = cells.next_power_of_two();
    [0, 1, 2, (1 << 32) / one_lap - 1, (1 << 62) / one_lap - 1][which]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lossy_subscribers_get_every_message_or_its_number(
        cells in 1u64..17, wide in 0u64..4, publishers in 1usize..4, which in 0usize..5, steps in steps()
    ) {
        let margin = (1 + wide % cells.div_ceil(4)) as u16;
        let memory = Memory { margin, ..Memory::new(cells, None, lap(which, cells)) };
        run(&memory, publishers, steps);
    }

    #[test]
    fn lossless_subscribers_get_every_message(
        capacity in 1u64..6, history in 0u64..4, publishers in 1usize..4, which in 0usize..5, steps in steps()
    ) {
        let cells = capacity + history;
        run(&Memory::new(cells, Some(history), lap(which, cells)), publishers, steps);
    }
}

#[test]
fn zeroed_memory_is_an_empty_ring() {
    for history in [None, Some(0), Some(2)] {
        let memory = Memory::new(3, history, 0);
        let mut world = World::new(&memory, 1);
        assert_eq!((world.parts.number(), world.parts.slowest(world.counted())), (Ok(0), None));
        world.join(0, 9);
        world.look_at_all();
        world.claim(0);
        world.look_at_all();
        world.pass(0);
        world.look_at_all();
        assert_eq!(world.seats[0].as_ref().map(|seat| seat.next), Some(1));
    }
}

#[test]
fn a_message_that_is_overwritten_while_it_is_copied_is_not_accepted() {
    let memory = Memory::new(4, None, 3);
    let mut publisher = Publisher::attach(memory.parts(), 0, Company::Alone);
    let mut subscriber = lossy::Subscriber::attach(memory.parts(), 4).unwrap();
    assert_eq!((subscriber.look(), subscriber.number()), (Sight::Message, 8));
    assert_eq!(publisher.claim(|_| None), Turn::Ours);
    assert!(!subscriber.accept(), "its cell is being written to");
    assert_eq!((subscriber.look(), subscriber.number()), (Sight::Missed(2), 10), "three quarters are left");
    publisher.pass();
    let mut received = 0;
    while subscriber.look() == Sight::Message {
        received += u64::from(subscriber.accept());
    }
    assert_eq!((received, subscriber.number(), subscriber.is_claimed()), (3, 13, false));
}

#[test]
fn one_that_is_alone_waits_for_the_hole_of_one_that_was_there_before() {
    let memory = Memory::new(3, None, 0);
    let parts = memory.parts();
    let claim = |publisher: &mut Publisher| publisher.claim(|_| None);
    // It dies with the first cell, and nobody repairs it yet.
    assert_eq!(claim(&mut Publisher::attach(parts, 0, Company::Alone)), Turn::Ours);
    let mut publisher = Publisher::attach(parts, 1, Company::Alone);
    for _ in 0..2 {
        assert_eq!(claim(&mut publisher), Turn::Ours);
        publisher.pass();
    }
    assert_eq!(claim(&mut publisher), Turn::Theirs);
    let life = |line| if line == 0 { Life::Dead { generation: 1 } } else { Life::Live };
    assert_eq!(parts.repair(0, life), Repair::Resolved);
    // From here on it comes to what it has left itself.
    for _ in 0..9 {
        assert_eq!(claim(&mut publisher), Turn::Ours);
        publisher.pass();
    }
    assert_eq!(parts.number(), Ok(12));
}

#[test]
fn a_hole_that_is_stepped_over_is_reported() {
    let memory = Memory::new(4, None, 0);
    let parts = memory.parts();
    let mut subscriber = lossy::Subscriber::attach(parts, 0).unwrap();
    let publish = |publisher: &mut Publisher| {
        assert_eq!(publisher.claim(|_| None), Turn::Ours);
        publisher.pass();
    };
    let mut publisher = Publisher::attach(parts, 1, Company::Others);
    publish(&mut publisher);
    assert!(subscriber.look() == Sight::Message && subscriber.accept());
    // It dies with the second cell, and nobody repairs it.
    assert_eq!(Publisher::attach(parts, 0, Company::Others).claim(|_| None), Turn::Ours);
    publish(&mut publisher);
    assert_eq!(subscriber.look(), Sight::Nothing);
    subscriber.step_over_dead(|line| if line == 0 { Life::Dead { generation: 1 } } else { Life::Live });
    assert!(subscriber.begin().is_some() && !subscriber.complete(), "it is to be told first");
    assert_eq!(subscriber.look(), Sight::Missed(1));
    assert_eq!((subscriber.look(), subscriber.number()), (Sight::Message, 2));
}
