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
    taken: [Option<Stretch>; LINES],
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
            taken: [None; LINES],
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
            Action::Pass => self.commit(line, fuel, Producer::pass, Entry::Message),
            Action::Abandon => self.commit(line, fuel, Producer::abandon, |_| Entry::Gap),
            Action::Take => self.take(line, fuel),
            Action::Release => self.give(line, fuel, Consumer::pass),
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

    fn claim(&mut self, line: usize, units: u16, fuel: u32) {
        let units = units.min(self.parts.cells.capacity() as u16);
        let Some(producer) = self.producers[line].handle().filter(|producer| producer.units() == 0) else { return };
        let turn = die_after(fuel, || producer.claim(units));
        let at = producer.at;
        let cells = self.parts.cells;
        let real_tail = self.parts.producers.counter.load(&cells).expect("it is good");
        // What a claim comes to if it is not cut short, as far as the tail really went.
        let mut expected = Turn::Theirs;
        loop {
            let wanted = units.min(cells.room(self.tail).min(16) as u16);
            let is_full = (0..wanted).any(|unit| self.is_in_use(cells.after(self.tail, unit)));
            if is_full || turn.is_none() && self.tail == real_tail {
                break;
            }
            let is_message = wanted == units;
            let is_gap = self.stamp(self.tail).state == State::Skip;
            let entry = if is_gap { Entry::Gap } else { Entry::Open { is_orphaned: turn.is_none() } };
            self.queue.push_back(Stretch { at: self.tail, units: wanted, entry });
            if is_message {
                expected = Turn::Ours;
                assert!(turn.is_none() || at == self.tail, "the claim is the one that comes next");
            } else {
                assert!(is_gap || turn.is_none(), "the end of the ring is stamped");
            }
            self.losses += u64::from(entry == Entry::Open { is_orphaned: true });
            self.tail = cells.after(self.tail, wanted);
            if is_message {
                break;
            }
        }
        assert_eq!(self.tail, real_tail);
        match turn {
            Some(turn) => assert_eq!(turn, expected),
            None => self.producers[line] = Seat::Dead,
        }
    }

    /// The stretch that begins at `at`.
    fn claimed(&mut self, at: Position) -> &mut Stretch {
        self.queue.iter_mut().find(|stretch| stretch.at == at).expect("what is claimed is queued")
    }

    fn commit(&mut self, line: usize, fuel: u32, act: fn(&mut Producer), entry: fn(u64) -> Entry) {
        let Some(producer) = self.producers[line].handle().filter(|producer| producer.units() != 0) else { return };
        let (at, value) = (producer.at, self.next_value);
        self.next_value += 1;
        fill(producer, value);
        if die_after(fuel, || act(producer)).is_none() {
            return self.bury_producer(line);
        }
        self.claimed(at).entry = entry(value);
    }

    fn bury_producer(&mut self, line: usize) {
        if let Some(producer) = self.producers[line].handle() {
            if producer.units() != 0 {
                let at = producer.at;
                // A commit is one store, so a death in it comes before.
                self.claimed(at).entry = Entry::Open { is_orphaned: true };
                self.losses += 1;
            }
            self.producers[line] = Seat::Dead;
        }
    }

    fn take(&mut self, line: usize, fuel: u32) {
        let Some(consumer) = self.consumers[line].handle().filter(|consumer| consumer.units() == 0) else { return };
        let turn = die_after(fuel, || consumer.claim());
        let got = (turn == Some(Turn::Ours)).then(|| (consumer.at, read(consumer)));
        let cells = self.parts.cells;
        if let Some(found) = self.returned.iter().position(|stretch| got.is_some_and(|(at, _)| at == stretch.at)) {
            let stretch = self.returned.swap_remove(found);
            let is_first = self.returned.iter().all(|other| stretch.at.ahead(other.at) > 0);
            assert!(is_first || self.is_untold, "returned ones come in their order");
            assert_eq!(got.map(|(_, value)| Entry::Message(value)), Some(stretch.entry));
            self.taken[line] = Some(stretch);
            return;
        }
        assert!(turn.is_none() || self.returned.is_empty() || self.is_untold, "returned ones come first");
        let real_head = self.parts.consumers.counter.load(&cells).expect("it is good");
        let mut expected = Turn::Theirs;
        while turn.is_some() || self.head != real_head {
            let Some(&stretch) = self.queue.front() else { break };
            if matches!(stretch.entry, Entry::Open { .. }) {
                break;
            }
            self.queue.pop_front();
            self.head = cells.after(self.head, stretch.units);
            if let Entry::Message(value) = stretch.entry {
                expected = Turn::Ours;
                if turn.is_some() {
                    assert_eq!(got, Some((stretch.at, value)));
                }
                self.taken[line] = Some(stretch);
                break;
            }
            if !self.is_freed(stretch.at) {
                assert_eq!(turn, None, "a gap is freed at once");
                self.left.push(stretch);
            }
        }
        assert_eq!(self.head, real_head);
        match turn {
            Some(turn) => assert_eq!(turn, expected),
            None => {
                let (held, returned) = self.returned.drain(..).partition(|stretch| {
                    Stamp::from_word(self.memory.stamps[cells.index(stretch.at) as usize].load(Ordering::Relaxed)).state
                        == State::Held
                });
                self.returned = returned;
                self.leave_behind(held);
                self.bury_consumer(line);
            }
        }
    }

    fn give(&mut self, line: usize, fuel: u32, act: fn(&mut Consumer)) {
        let Some(consumer) = self.consumers[line].handle().filter(|consumer| consumer.units() != 0) else { return };
        let done = die_after(fuel, || act(consumer));
        let stretch = self.taken[line].take().expect("it has something");
        if self.is_freed(stretch.at) {
            // Freed, also if the death came later.
        } else if self.stamp(stretch.at).state == State::Returned {
            self.returned.push(stretch);
            self.is_untold |= done.is_none();
        } else {
            assert_eq!(done, None);
            self.leave_behind(vec![stretch]);
        }
        if done.is_none() {
            self.consumers[line] = Seat::Dead;
        }
    }

    fn bury_consumer(&mut self, line: usize) {
        if self.consumers[line].is_live() {
            let taken = self.taken[line].take();
            self.leave_behind(taken.into_iter().collect());
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
                let at = (producer.units() != 0).then_some(producer.at);
                producer.detach();
                if let Some(at) = at {
                    self.claimed(at).entry = Entry::Gap;
                }
            } else {
                self.producers[line] = Seat::Dead;
            }
        } else if let Seat::Live(mut consumer) = std::mem::replace(&mut self.consumers[line], Seat::Vacant) {
            consumer.detach();
            self.returned.extend(self.taken[line].take());
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
        for index in 0..self.queue.len() {
            let stretch = self.queue[index];
            let stamp = self.stamp(stretch.at);
            if stretch.entry == (Entry::Open { is_orphaned: true }) && stamp.state == State::Skip {
                assert_eq!(stamp.units, stretch.units, "a hole is closed as it was made");
                self.queue[index].entry = Entry::Gap;
            }
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
            self.take(0, u32::MAX);
            self.give(0, u32::MAX, Consumer::pass);
        }
        assert!(self.parts.is_drained() && self.parts.len() == 0);
        assert_eq!(self.parts.losses(), self.losses);
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
        is_variable in any::<bool>(),
        orphans in prop_oneof![Just(Orphans::Redeliver), Just(Orphans::Drop)],
        events in events(),
    ) {
        let memory = Memory::new(capacity, start);
        let mut world = World::new(&memory, orphans);
        for event in events {
            let units = if is_variable { event.units } else { 1 };
            world.happen(Event { units, ..event });
        }
        world.finish();
    }
}
