//! Everything that may happen to a ring, one thing after the other, with deaths before every store, against a queue of
//! entries that says what each of them must come to.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

/// What the oracle knows of a stretch of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// Claimed, and neither filled nor given up. `true`: its producer is dead.
    Open {
        is_orphaned: bool,
    },
    Message(u64),
    Gap,
}

/// Cells and what is in them.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    at: Position,
    units: u16,
    entry: Entry,
}

/// One place of a role.
enum Seat<T> {
    Vacant,
    Live(T),
    Dead,
}

impl<T> Seat<T> {
    fn handle(&mut self) -> Option<&mut T> {
        match self {
            Seat::Live(handle) => Some(handle),
            _ => None,
        }
    }

    fn is_live(&self) -> bool {
        matches!(self, Seat::Live(_))
    }

    fn life(&self, generation: u32) -> Life {
        match self {
            Seat::Vacant => Life::Absent,
            Seat::Live(_) => Life::Live,
            Seat::Dead => Life::Dead { generation },
        }
    }
}

/// A ring, all who take part, and what the oracle says of it.
struct World<'a> {
    memory: &'a Memory,
    parts: Parts,
    orphans: Orphans,
    producers: [Seat<Producer>; LINES],
    consumers: [Seat<Consumer>; LINES],
    generations: [[u32; LINES]; 2],
    tail: Position,
    head: Position,
    /// From the head to the tail.
    queue: VecDeque<Stretch>,
    /// What each producer has claimed is in `queue`; what each consumer has is here.
    taken: [Vec<Stretch>; LINES],
    /// What dead consumers have.
    left: Vec<Stretch>,
    returned: Vec<Stretch>,
    /// Whether a message may have been returned without anybody having been told.
    is_untold: bool,
    losses: u64,
    next_value: u64,
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
struct Event {
    action: Action,
    line: usize,
    units: u16,
    /// Before which store whoever does it dies, if it gets that far.
    death: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Claim,
    Pass,
    Abandon,
    Take,
    Release,
    PutBack,
    KillProducer,
    KillConsumer,
    Join,
    Leave,
    Repair,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let action = prop_oneof![
        8 => Just(Action::Claim),
        8 => Just(Action::Pass),
        1 => Just(Action::Abandon),
        8 => Just(Action::Take),
        8 => Just(Action::Release),
        1 => Just(Action::PutBack),
        1 => Just(Action::KillProducer),
        1 => Just(Action::KillConsumer),
        6 => Just(Action::Join),
        1 => Just(Action::Leave),
        4 => Just(Action::Repair),
    ];
    let death = prop_oneof![3 => Just(None), 1 => (0..6u32).prop_map(Some)];
    let event = (action, 0..LINES, 1..5u16, death);
    let event = event.prop_map(|(action, line, units, death)| Event { action, line, units, death });
    prop::collection::vec(event, 0..300)
}

impl<'a> World<'a> {
    fn new(memory: &'a Memory, orphans: Orphans) -> Self {
        let parts = memory.parts();
        let start = parts.producers.counter.load(&parts.cells).expect("the memory is good");
        World {
            memory,
            parts,
            orphans,
            producers: [const { Seat::Vacant }; LINES],
            consumers: [const { Seat::Vacant }; LINES],
            generations: [[0; LINES]; 2],
            tail: start,
            head: start,
            queue: VecDeque::new(),
            taken: [const { Vec::new() }; LINES],
            left: Vec::new(),
            returned: Vec::new(),
            is_untold: false,
            losses: 0,
            next_value: 1,
        }
    }

    fn stamp(&self, at: Position) -> Stamp {
        Stamp::from_word(self.memory.stamps[self.parts.cells.index(at) as usize].load(Ordering::Relaxed))
    }

    /// Whether the message or gap at `at` has been freed.
    fn is_freed(&self, at: Position) -> bool {
        self.stamp(at) == Stamp::free(self.parts.cells.next_lap(at)) || self.stamp(at).lap != self.parts.cells.lap(at)
    }

    fn is_in_use(&self, at: Position) -> bool {
        let index = self.parts.cells.index(at);
        let stretches = self.queue.iter().chain(self.taken.iter().flatten()).chain(&self.left).chain(&self.returned);
        let mut ranges = stretches.map(|stretch| {
            let first = self.parts.cells.index(stretch.at);
            first..first + u64::from(stretch.units)
        });
        ranges.any(|range| range.contains(&index))
    }

    fn happen(&mut self, event: Event) {
        let Event { units, death, .. } = event;
        let fuel = death.unwrap_or(u32::MAX);
        // The first line from there on where it can happen, so that few events come to nothing.
        let mut lines = (event.line..event.line + LINES).map(|line| line % LINES);
        let Some(line) = lines.find(|&line| self.can_happen(event.action, line, units)) else { return };
        match event.action {
            Action::Claim => self.claim(line, units, fuel),
            Action::Pass => self.commit(line, fuel, |producer| pass(producer, units)),
            Action::Abandon => self.commit(line, fuel, Producer::abandon),
            Action::Take => self.take(line, units, fuel),
            Action::Release => self.give(line, fuel, |consumer| release(consumer, units)),
            Action::PutBack => self.give(line, fuel, Consumer::put_back),
            Action::KillProducer => self.bury_producer(line),
            Action::KillConsumer => self.bury_consumer(line),
            Action::Join if units % 2 == 0 => self.join_producer(line),
            Action::Join => self.join_consumer(line),
            Action::Leave => self.leave(line, units % 2 == 0),
            Action::Repair => self.repair(fuel),
        }
        let is_message = |stretch: &&Stretch| matches!(stretch.entry, Entry::Message(_));
        let messages = self.queue.iter().filter(is_message).count() + self.returned.len();
        assert!(self.parts.len() == messages || self.is_untold, "gaps and claims do not count");
    }

    fn can_happen(&self, action: Action, line: usize, units: u16) -> bool {
        let has_claimed = match &self.producers[line] {
            Seat::Live(producer) => Some(producer.units() != 0),
            _ => None,
        };
        let has_taken = match &self.consumers[line] {
            Seat::Live(consumer) => Some(consumer.units() != 0),
            _ => None,
        };
        match action {
            Action::Claim => has_claimed == Some(false),
            Action::Pass | Action::Abandon => has_claimed == Some(true),
            Action::Take => has_taken == Some(false),
            Action::Release | Action::PutBack => has_taken == Some(true),
            Action::KillProducer => has_claimed.is_some(),
            Action::KillConsumer => has_taken.is_some(),
            Action::Join if units % 2 == 0 => has_claimed.is_none(),
            Action::Join => has_taken.is_none(),
            Action::Leave | Action::Repair => true,
        }
    }

    fn is_batched(&self) -> bool {
        self.parts.framing == Framing::PerCell
    }

    fn claim(&mut self, line: usize, units: u16, fuel: u32) {
        let is_batched = self.is_batched();
        let units = units.min(self.parts.cells.capacity() as u16);
        let Some(producer) = self.producers[line].handle().filter(|producer| producer.units() == 0) else { return };
        let turn = die_after(fuel, || if is_batched { producer.claim_up_to(units) } else { producer.claim(units) });
        let (at, claimed) = (producer.at, producer.units());
        if is_batched {
            assert_eq!(claimed, self.claim_batch(units, turn.is_none()));
        } else {
            assert_eq!(turn.unwrap_or(Turn::Theirs), self.claim_one(units, turn.is_some().then_some(at)));
        }
        let real_tail = self.parts.producers.counter.load(&self.parts.cells).expect("it is good");
        assert_eq!(self.tail, real_tail);
        match turn {
            Some(turn) => assert_eq!(turn, if claimed == 0 { Turn::Theirs } else { Turn::Ours }),
            None => self.producers[line] = Seat::Dead,
        }
    }

    /// Takes note of a claim of up to `units` cells with a message each, as far as the tail really went. How many cells its
    /// producer has, if it lives.
    fn claim_batch(&mut self, units: u16, is_dead: bool) -> u16 {
        let cells = self.parts.cells;
        let real_tail = self.parts.producers.counter.load(&cells).expect("it is good");
        if is_dead && self.tail == real_tail {
            return 0;
        }
        let room = cells.room(self.tail).min(u64::from(units)) as u16;
        let free = (0..room).take_while(|&unit| !self.is_in_use(cells.after(self.tail, unit))).count() as u16;
        for _ in 0..free {
            self.queue.push_back(Stretch { at: self.tail, units: 1, entry: Entry::Open { is_orphaned: is_dead } });
            self.tail = cells.after(self.tail, 1);
        }
        self.losses += if is_dead { free.into() } else { 0 };
        if is_dead { 0 } else { free }
    }

    /// Takes note of a claim for one message of `units` cells, which is at `at` if its producer lives, as far as the tail
    /// really went. What the claim comes to.
    fn claim_one(&mut self, units: u16, at: Option<Position>) -> Turn {
        let cells = self.parts.cells;
        let real_tail = self.parts.producers.counter.load(&cells).expect("it is good");
        loop {
            let wanted = units.min(cells.room(self.tail).min(16) as u16);
            let is_full = (0..wanted).any(|unit| self.is_in_use(cells.after(self.tail, unit)));
            if is_full || at.is_none() && self.tail == real_tail {
                return Turn::Theirs;
            }
            let is_message = wanted == units;
            let is_gap = self.stamp(self.tail).state == State::Skip;
            let entry = if is_gap { Entry::Gap } else { Entry::Open { is_orphaned: at.is_none() } };
            self.queue.push_back(Stretch { at: self.tail, units: wanted, entry });
            assert!(is_message || is_gap || at.is_none(), "the end of the ring is stamped");
            assert!(!is_message || at.is_none_or(|at| at == self.tail), "the claim is the one that comes next");
            self.losses += u64::from(entry == Entry::Open { is_orphaned: true });
            self.tail = cells.after(self.tail, wanted);
            if is_message {
                return if at.is_some() { Turn::Ours } else { Turn::Theirs };
            }
        }
    }

    /// Where the stretch that begins at `at` is in the queue.
    fn claimed(&self, at: Position) -> usize {
        self.queue.iter().position(|stretch| stretch.at == at).expect("what is claimed is queued")
    }

    /// What a producer has claimed, as stretches in the queue.
    fn held_by(&self, producer: &Producer) -> std::ops::Range<usize> {
        let first = self.claimed(producer.at);
        first..first + if self.is_batched() { usize::from(producer.units()) } else { 1 }
    }

    fn commit(&mut self, line: usize, fuel: u32, act: impl FnOnce(&mut Producer)) {
        let Seat::Live(mut producer) = std::mem::replace(&mut self.producers[line], Seat::Dead) else { return };
        let held = self.held_by(&producer);
        let first_value = self.next_value;
        self.next_value += held.len() as u64;
        for (ahead, value) in (0..).zip(first_value..self.next_value) {
            fill(&producer, ahead, value);
        }
        let is_dead = die_after(fuel, || act(&mut producer)).is_none();
        let mut gap = None;
        for (index, value) in held.clone().zip(first_value..) {
            let stretch = self.queue[index];
            let stamp = self.stamp(stretch.at);
            self.queue[index].entry = match stamp.state {
                State::Full => Entry::Message(value),
                State::Skip => {
                    gap = Some(index);
                    Entry::Gap
                }
                _ => Entry::Open { is_orphaned: is_dead && gap.is_none() },
            };
            self.losses += u64::from(self.queue[index].entry == Entry::Open { is_orphaned: true });
        }
        if let Some(gap) = gap {
            self.widen(gap, held.end);
        }
        if !is_dead {
            self.producers[line] = Seat::Live(producer);
        }
    }

    /// Makes the stretches from number `first` to before number `end` one.
    fn widen(&mut self, first: usize, end: usize) {
        self.queue[first].units = self.queue.range(first..end).map(|stretch| stretch.units).sum();
        assert_eq!(self.queue[first].units, self.stamp(self.queue[first].at).units, "a gap is as it was claimed");
        self.queue.drain(first + 1..end);
    }

    fn bury_producer(&mut self, line: usize) {
        if let Seat::Live(producer) = std::mem::replace(&mut self.producers[line], Seat::Dead) {
            if producer.units() != 0 {
                for index in self.held_by(&producer) {
                    self.queue[index].entry = Entry::Open { is_orphaned: true };
                    self.losses += 1;
                }
            }
        }
    }

    fn take(&mut self, line: usize, most: u16, fuel: u32) {
        let most = if self.is_batched() { most } else { 1 };
        let Some(consumer) = self.consumers[line].handle().filter(|consumer| consumer.units() == 0) else { return };
        let turn = die_after(fuel, || if most > 1 { consumer.claim_up_to(most) } else { consumer.claim() });
        let cells = self.parts.cells;
        let mut got = Vec::new();
        if turn == Some(Turn::Ours) {
            got.extend((0..consumer.messages()).map(|ahead| (cells.after(consumer.at, ahead), read(consumer, ahead))));
        }
        let is_it = |stretch: &Stretch| got.first().is_some_and(|&(at, _)| at == stretch.at);
        if let Some(found) = self.returned.iter().position(is_it) {
            let stretch = self.returned.swap_remove(found);
            let is_first = self.returned.iter().all(|other| stretch.at.ahead(other.at) > 0);
            assert!(is_first || self.is_untold, "returned ones come in their order");
            assert!(got.len() == 1 && Entry::Message(got[0].1) == stretch.entry);
            self.taken[line].push(stretch);
            return;
        }
        assert!(turn.is_none() || self.returned.is_empty() || self.is_untold, "returned ones come first");
        let real_head = self.parts.consumers.counter.load(&cells).expect("it is good");
        let mut taken = Vec::new();
        while turn.is_some() || self.head != real_head {
            let Some(&stretch) = self.queue.front() else { break };
            let is_message = matches!(stretch.entry, Entry::Message(_));
            // A batch ends before a gap, and at the end of the ring.
            let ends_batch = !is_message || cells.index(stretch.at) == 0;
            if matches!(stretch.entry, Entry::Open { .. }) || !taken.is_empty() && ends_batch {
                break;
            }
            self.queue.pop_front();
            self.head = cells.after(self.head, stretch.units);
            if is_message {
                taken.push(stretch);
            } else if !self.is_freed(stretch.at) {
                assert_eq!(turn, None, "a gap is freed at once");
                self.left.push(stretch);
            }
            if taken.len() == usize::from(most) {
                break;
            }
        }
        assert_eq!(self.head, real_head);
        self.taken[line] = taken;
        match turn {
            Some(turn) => {
                assert_eq!(turn, if self.taken[line].is_empty() { Turn::Theirs } else { Turn::Ours });
                let entries = got.iter().map(|&(at, value)| (at, Entry::Message(value)));
                assert!(entries.eq(self.taken[line].iter().map(|stretch| (stretch.at, stretch.entry))));
            }
            None => {
                let (held, returned) =
                    self.returned.iter().partition(|stretch| self.stamp(stretch.at).state == State::Held);
                self.returned = returned;
                self.leave_behind(held);
                self.bury_consumer(line);
            }
        }
    }

    fn give(&mut self, line: usize, fuel: u32, act: impl FnOnce(&mut Consumer)) {
        let Some(consumer) = self.consumers[line].handle().filter(|consumer| consumer.units() != 0) else { return };
        let is_dead = die_after(fuel, || act(consumer)).is_none();
        let kept = consumer.messages();
        let mut rest = Vec::new();
        for stretch in std::mem::take(&mut self.taken[line]) {
            if self.is_freed(stretch.at) {
                // Freed, also if the death came later.
            } else if self.stamp(stretch.at).state == State::Returned {
                self.returned.push(stretch);
                self.is_untold |= is_dead;
            } else {
                rest.push(stretch);
            }
        }
        if is_dead {
            self.leave_behind(rest);
            self.consumers[line] = Seat::Dead;
        } else {
            assert_eq!(rest.len(), usize::from(kept));
            self.taken[line] = rest;
        }
    }

    fn bury_consumer(&mut self, line: usize) {
        if self.consumers[line].is_live() {
            let taken = std::mem::take(&mut self.taken[line]);
            self.leave_behind(taken);
            self.consumers[line] = Seat::Dead;
        }
    }

    fn leave_behind(&mut self, stretches: Vec<Stretch>) {
        for stretch in stretches {
            let is_message = matches!(stretch.entry, Entry::Message(_));
            self.losses += u64::from(is_message && self.orphans == Orphans::Drop);
            self.left.push(stretch);
        }
    }

    fn join_producer(&mut self, line: usize) {
        if self.producers[line].is_live() {
            return;
        }
        assert_eq!(self.repair_producer(line), Repair::Resolved);
        self.look_after_repair();
        let is_alone = !self.producers.iter().any(Seat::is_live);
        let attach = |company| Producer::attach(self.parts, line, company);
        let mut producer = if is_alone { attach(Company::Alone) } else { joined(self.parts.producers.counter, attach) };
        assert!(producer.settle(|line| self.producers[line].life(self.generations[0][line])));
        self.producers[line] = Seat::Live(producer);
        self.generations[0][line] += 1;
    }

    fn join_consumer(&mut self, line: usize) {
        if self.consumers[line].is_live() {
            return;
        }
        assert_eq!(self.repair_consumer(line), Repair::Resolved);
        self.look_after_repair();
        let is_alone = !self.consumers.iter().any(Seat::is_live);
        let attach = |company| Consumer::attach(self.parts, line, company);
        let mut consumer = if is_alone { attach(Company::Alone) } else { joined(self.parts.consumers.counter, attach) };
        assert!(consumer.settle(|line| self.consumers[line].life(self.generations[1][line])));
        self.consumers[line] = Seat::Live(consumer);
        self.generations[1][line] += 1;
    }

    fn leave(&mut self, line: usize, is_producer: bool) {
        if is_producer {
            if let Seat::Live(mut producer) = std::mem::replace(&mut self.producers[line], Seat::Vacant) {
                let held = (producer.units() != 0).then(|| self.held_by(&producer));
                producer.detach();
                if let Some(held) = held {
                    self.queue[held.start].entry = Entry::Gap;
                    self.widen(held.start, held.end);
                }
            } else {
                self.producers[line] = Seat::Dead;
            }
        } else if let Seat::Live(mut consumer) = std::mem::replace(&mut self.consumers[line], Seat::Vacant) {
            consumer.detach();
            self.returned.append(&mut self.taken[line]);
        } else {
            self.consumers[line] = Seat::Dead;
        }
    }

    fn repair_producer(&self, line: usize) -> Repair {
        self.parts.repair_producer(line, |line| self.producers[line].life(self.generations[0][line]))
    }

    fn repair_consumer(&self, line: usize) -> Repair {
        let life = |line: usize| self.consumers[line].life(self.generations[1][line]);
        self.parts.repair_consumer(line, life, self.orphans)
    }

    fn repair(&mut self, fuel: u32) {
        let outcome = die_after(fuel, || {
            for line in 0..LINES {
                let expected = if self.producers[line].is_live() { Repair::Pending } else { Repair::Resolved };
                assert_eq!(self.repair_producer(line), expected);
                let expected = if self.consumers[line].is_live() { Repair::Pending } else { Repair::Resolved };
                assert_eq!(self.repair_consumer(line), expected);
            }
        });
        self.look_after_repair();
        if outcome.is_none() {
            self.is_untold = true;
        } else {
            self.is_untold = false;
            let is_orphaned = |stretch: &Stretch| stretch.entry == Entry::Open { is_orphaned: true };
            assert!(self.left.is_empty() && !self.queue.iter().any(is_orphaned), "everything is repaired");
            assert_eq!(self.parts.losses(), self.losses);
        }
    }

    /// Takes note of how far repairs have come.
    fn look_after_repair(&mut self) {
        let mut index = 0;
        while index < self.queue.len() {
            let is_orphaned = |stretch: &&Stretch| stretch.entry == Entry::Open { is_orphaned: true };
            let stamp = self.stamp(self.queue[index].at);
            if is_orphaned(&&self.queue[index]) && stamp.state == State::Skip {
                let cells = if self.is_batched() { usize::from(stamp.units) } else { 1 };
                let end = index + self.queue.range(index..).take(cells).take_while(is_orphaned).count();
                self.queue[index].entry = Entry::Gap;
                self.widen(index, end);
            }
            index += 1;
        }
        for stretch in std::mem::take(&mut self.left) {
            if self.is_freed(stretch.at) {
                continue;
            }
            let is_returned = self.stamp(stretch.at).state == State::Returned;
            if is_returned { self.returned.push(stretch) } else { self.left.push(stretch) }
        }
    }

    /// Repairs all, and empties the ring by a consumer that comes when everybody else has gone.
    fn finish(&mut self) {
        for line in 0..LINES {
            self.bury_producer(line);
            self.bury_consumer(line);
        }
        self.repair(u32::MAX);
        self.join_consumer(0);
        while !(self.queue.is_empty() && self.returned.is_empty()) {
            self.take(0, 3, u32::MAX);
            self.give(0, u32::MAX, |consumer| release(consumer, 3));
        }
        assert!(self.parts.is_drained() && self.parts.len() == 0);
        assert_eq!(self.parts.losses(), self.losses);
    }
}

/// Publishes what `producer` has claimed, or the first of several messages, or half of them.
fn pass(producer: &mut Producer, choice: u16) {
    match (producer.parts.framing, choice) {
        (Framing::Whole, _) => producer.pass(),
        (_, 1) => producer.pass_one(),
        (_, 2) => producer.pass_many(producer.units().div_ceil(2)),
        _ => producer.pass_many(producer.units()),
    }
}

/// Frees what `consumer` has, or the first of several messages, or half of them.
fn release(consumer: &mut Consumer, choice: u16) {
    match (consumer.parts.framing, choice) {
        (Framing::Whole, _) | (_, 1) => consumer.pass(),
        (_, 2) => consumer.pass_many(consumer.messages().div_ceil(2)),
        _ => consumer.pass_many(consumer.messages()),
    }
}

/// Positions at which 32 bits of it, 33 bits of the lap, and the position itself are about to wrap.
const STARTS: [u64; 6] = [0, 3, (1 << 32) - 3, (1 << 33) - 2, (1 << 36) - 5, (1 << 62) - 16];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_is_lost_or_doubled_whoever_dies(
        capacity in 1usize..8,
        start in prop::sample::select(&STARTS[..]),
        framing in prop_oneof![Just(Framing::Whole), Just(Framing::PerCell)],
        orphans in prop_oneof![Just(Orphans::Redeliver), Just(Orphans::Drop)],
        events in events(),
    ) {
        let memory = Memory::with_framing(capacity, start, framing);
        let mut world = World::new(&memory, orphans);
        events.into_iter().for_each(|event| world.happen(event));
        world.finish();
    }
}
