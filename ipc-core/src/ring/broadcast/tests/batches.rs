//! Batches against the oracle, with deaths at every store of a publisher and of who repairs.

use super::*;
use crate::atomics::rival::beside;

/// Stores a message to each cell that is claimed.
fn fill_many(publisher: &Publisher, first: u64) {
    for ahead in 0..publisher.claimed() {
        let payload = publisher.payload_ahead(ahead).expect("so many cells have been claimed");
        let value = first + ahead as u64;
        // Relaxed: the stamps publish the payloads, with the Releases in `Publisher::pass_many`.
        (0..STRIDE - 1).for_each(|at| word(payload, at).store(mixed(value, at), Ordering::Relaxed));
    }
}

impl Reader {
    fn sees_ahead(&self, ahead: usize) -> bool {
        match self {
            Reader::Lossy(end) => end.sees_ahead(ahead),
            Reader::Lossless(end) => end.sees_ahead(ahead),
        }
    }

    fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        match self {
            Reader::Lossy(end) => end.payload_ahead(ahead),
            Reader::Lossless(end) => end.payload_ahead(ahead),
        }
    }

    fn is_intact(&mut self, ahead: usize) -> bool {
        match self {
            Reader::Lossy(end) => end.is_intact(ahead),
            Reader::Lossless(end) => end.accept(),
        }
    }

    fn pass_many(&mut self, count: usize) {
        match self {
            Reader::Lossy(end) => end.pass_many(count),
            Reader::Lossless(end) => end.pass_many(count),
        }
    }
}

impl World<'_> {
    /// How many cells the next claim of up to `max` has to get.
    fn reach(&self, max: usize) -> usize {
        let (next, cells) = (self.log.len(), self.capacity);
        let is_lossless = self.memory.history.is_some();
        let number = self.parts.number().unwrap();
        let kept = usize::try_from(self.memory.history.unwrap_or(0).min(number)).unwrap();
        let is_mine = |ahead: &usize| {
            let is_done = next + ahead < cells || self.log[next + ahead - cells] != Entry::Claimed;
            let is_held = |seat: &Seat| !seat.is_evicted && next + ahead - seat.next >= cells;
            let is_wanted = self.seats.iter().flatten().any(is_held) || kept + ahead >= cells;
            is_done && !(is_lossless && is_wanted)
        };
        let most = max.max(1).min(cells - next % cells);
        let most = if is_lossless { most } else { most.min(usize::from(self.memory.margin)) };
        (1..most).find(|ahead| !is_mine(ahead)).unwrap_or(most)
    }

    fn claim_many(&mut self, who: usize, max: usize) {
        let counted = self.counted();
        if self.claimed[who].is_some() {
            // It was forgotten, and what is too much of it is given up.
            let (first, before) = (self.claimed[who].unwrap(), self.publishers[who].claimed());
            assert_eq!(self.publishers[who].claim_many(max, counted), Turn::Ours);
            let kept = self.publishers[who].claimed();
            assert_eq!(kept, before.min(max.max(1)));
            self.log[first + kept..first + before].fill(Entry::Abandoned);
            return;
        }
        let (is_free, reach, first) = (self.is_free(), self.reach(max), self.log.len());
        let expected = if is_free { Turn::Ours } else { Turn::Theirs };
        assert_eq!(self.publishers[who].claim_many(max, counted), expected);
        assert_eq!(self.publishers[who].claimed(), if is_free { reach } else { 0 });
        if is_free {
            self.claimed[who] = Some(first);
            self.log.extend([Entry::Claimed].repeat(reach));
            self.open_many(first);
        }
    }

    /// Whoever has claimed the numbers from `first` on is about to store them.
    fn open_many(&mut self, first: usize) {
        if self.log.len() > self.horizon {
            self.open(first.max(self.horizon));
            let end_of_lap = (first / self.capacity + 1) * self.capacity;
            self.horizon = (first + usize::from(self.memory.margin)).min(end_of_lap);
        }
    }

    fn pass_many(&mut self, who: usize, count: usize) {
        if let Some(first) = self.claimed[who].take() {
            let (publisher, count) = (&mut self.publishers[who], count.max(1));
            let claimed = publisher.claimed();
            fill_many(publisher, first as u64);
            publisher.pass_many(count);
            let of = |ahead| if ahead < count { Entry::Message } else { Entry::Abandoned };
            (0..claimed).for_each(|ahead| self.log[first + ahead] = of(ahead));
        }
    }

    fn abandon_many(&mut self, who: usize) {
        if let Some(first) = self.claimed[who].take() {
            let claimed = self.publishers[who].claimed();
            self.publishers[who].abandon();
            self.log[first..first + claimed].fill(Entry::Abandoned);
        }
    }

    /// As `kill`, of somebody who publishes the first `count` of a batch.
    fn kill_many(&mut self, who: usize, (max, count): (usize, usize), stores: u32, repairs: u32) {
        self.abandon_many(who);
        let (counted, first, count) = (self.counted(), self.log.len(), count.max(1));
        let (before, number) = (self.memory.horizon(), self.parts.number());
        let expected = self.is_free().then(|| self.reach(max));
        let publisher = &mut self.publishers[who];
        let finished = die_after(stores, || {
            let turn = publisher.claim_many(max, counted);
            if turn == Turn::Ours {
                fill_many(publisher, first as u64);
                publisher.pass_many(count);
            }
            turn
        });
        let claimed = if self.parts.number() == number { 0 } else { expected.expect("there was room") };
        if let Some(turn) = finished {
            assert_eq!(turn == Turn::Ours, expected.is_some());
        }
        if claimed != 0 {
            let of = |ahead| if ahead < count { Entry::Message } else { Entry::Abandoned };
            let fate = |ahead| if finished.is_some() { of(ahead) } else { Entry::Lost };
            self.log.extend((0..claimed).map(fate));
            if self.memory.horizon() != before {
                self.open_many(first);
            }
        }
        let generation = self.generations[who];
        let publishers = self.publishers.len();
        let life = |line| match line {
            _ if line == who => Life::Dead { generation },
            _ if line < publishers => Life::Live,
            _ => Life::Absent,
        };
        let losses = self.parts.losses();
        die_after(repairs, || self.parts.repair(who, life));
        assert_eq!(self.parts.repair(who, life), Repair::Resolved);
        let lost = if finished.is_none() { claimed as u64 } else { 0 };
        assert_eq!(self.parts.losses(), losses + lost);
        self.generations[who] += 1;
        let company = if publishers == 1 { Company::Alone } else { Company::Others };
        self.publishers[who] = Publisher::attach(self.parts, who, company);
    }

    /// Receives up to `max` messages together, and passes the first `kept` of them.
    fn receive_many(&mut self, index: usize, max: usize, kept: usize) {
        let Some(mut seat) = self.seats[index].take() else { return };
        let (expected, next) = self.foresee(&seat);
        assert_eq!(seat.reader.look(), expected);
        seat.next = next;
        seat.is_overtaken = false;
        seat.is_in_sight &= !matches!(expected, Sight::Missed(_));
        let max = max.min(self.capacity);
        let mut received = 0;
        while expected == Sight::Message && received < max {
            let number = next + received;
            let is_there = self.log.get(number) == Some(&Entry::Message) && !self.is_gone(number);
            assert_eq!(seat.reader.sees_ahead(received), is_there, "{number}");
            if !is_there {
                break;
            }
            let words = read(seat.reader.payload_ahead(received));
            let is_overtaken = self.memory.history.is_none() && self.is_out_of_sight(number);
            assert_eq!(seat.reader.is_intact(received), !is_overtaken && !seat.is_evicted);
            if is_overtaken || seat.is_evicted {
                seat.is_overtaken = is_overtaken && received == 0;
                seat.is_in_sight &= !seat.is_overtaken;
                break;
            }
            assert_eq!(words, words_of(number as u64));
            received += 1;
        }
        let kept = kept.min(received);
        if kept != 0 {
            seat.reader.pass_many(kept);
            seat.next += kept;
        }
        self.seats[index] = Some(seat);
    }
}

#[derive(Clone, Copy, Debug)]
enum Batch {
    Claim(usize, usize),
    Pass(usize, usize),
    Abandon(usize),
    Kill(usize, (usize, usize), u32, u32),
    Receive(usize, usize, usize),
    Join(usize, u64),
    Leave(usize),
    Evict(usize),
}

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let kill = (0..3usize, (0..6usize, 0..6usize), 0..40u32, 0..10u32);
    let step = prop_oneof![
        6 => (0..3usize, 0..7usize).prop_map(|(who, max)| Batch::Claim(who, max)),
        6 => (0..3usize, 0..7usize).prop_map(|(who, count)| Batch::Pass(who, count)),
        1 => (0..3usize).prop_map(Batch::Abandon),
        3 => kill.prop_map(|(who, batch, stores, repairs)| Batch::Kill(who, batch, stores, repairs)),
        12 => (0..3usize, 0..20usize, 0..20usize).prop_map(|(seat, max, kept)| Batch::Receive(seat, max, kept)),
        2 => (0..3usize, 0..9u64).prop_map(|(seat, history)| Batch::Join(seat, history)),
        1 => (0..3usize).prop_map(Batch::Leave),
        1 => (0..3usize).prop_map(Batch::Evict),
    ];
    prop::collection::vec(step, 0..200)
}

fn run_batches(memory: &Memory, publishers: usize, steps: Vec<Batch>) {
    let mut world = World::new(memory, publishers);
    for step in steps {
        match step {
            Batch::Claim(who, max) => world.claim_many(who % publishers, max),
            Batch::Pass(who, count) => world.pass_many(who % publishers, count),
            Batch::Abandon(who) => world.abandon_many(who % publishers),
            Batch::Kill(who, batch, stores, repairs) => world.kill_many(who % publishers, batch, stores, repairs),
            Batch::Receive(seat, max, kept) => world.receive_many(seat, max, kept),
            Batch::Join(seat, history) => world.join(seat, history),
            Batch::Leave(seat) => world.seats[seat] = None,
            Batch::Evict(seat) => world.evict(seat),
        }
        world.slowest();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lossy_subscribers_get_every_message_of_a_batch_or_its_number(
        cells in 1u64..17, wide in 0u64..4, publishers in 1usize..4, which in 0usize..5, steps in batches()
    ) {
        let margin = (1 + wide % cells.div_ceil(4)) as u16;
        let memory = Memory { margin, ..Memory::new(cells, None, lap(which, cells)) };
        run_batches(&memory, publishers, steps);
    }

    #[test]
    fn lossless_subscribers_get_every_message_of_a_batch(
        capacity in 1u64..9, history in 0u64..4, publishers in 1usize..4, which in 0usize..5, steps in batches()
    ) {
        let cells = capacity + history;
        run_batches(&Memory::new(cells, Some(history), lap(which, cells)), publishers, steps);
    }
}

/// A publisher on line 0 that dies before store number `stores` of a batch of three, of which it publishes `count`. Returns
/// whether it had claimed, and whether it had published.
fn die_in_a_batch(parts: Parts, company: Company, count: usize, stores: u32) -> (bool, bool) {
    let before = parts.number();
    let mut publisher = Publisher::attach(parts, 0, company);
    let published = die_after(stores, || {
        assert_eq!(publisher.claim_many(3, |_| Some(1)), Turn::Ours);
        assert_eq!(publisher.claimed(), 3);
        fill_many(&publisher, 0);
        publisher.pass_many(count);
    });
    (parts.number() != before, published.is_some())
}

/// The one on line 0 is dead.
fn one_is_dead(line: usize) -> Life {
    if line == 0 { Life::Dead { generation: 1 } } else { Life::Absent }
}

#[test]
fn of_a_dead_publishers_batch_all_or_nothing_is_delivered() {
    for (margin, history, count) in [(3, None, 3), (3, None, 1), (3, Some(0), 3), (3, Some(0), 2)] {
        for company in [Company::Alone, Company::Others] {
            let mut fates = [0; 3];
            for (stores, repairs) in (0..30).flat_map(|stores| (0..9).map(move |repairs| (stores, repairs))) {
                let memory = Memory { margin, ..Memory::new(9, history, 2) };
                let parts = memory.parts();
                let mut reader = match history {
                    None => Reader::Lossy(lossy::Subscriber::attach(parts, 0).unwrap()),
                    Some(_) => Reader::Lossless(lossless::Subscriber::attach(parts, 4, 1, 0).unwrap().unwrap()),
                };
                let (is_claimed, is_published) = die_in_a_batch(parts, company, count, stores);
                fates[usize::from(is_claimed) + usize::from(is_published)] += 1;
                assert_eq!(reader.look(), if is_published { Sight::Message } else { Sight::Nothing });
                die_after(repairs, || parts.repair(0, one_is_dead));
                assert_eq!(parts.repair(0, one_is_dead), Repair::Resolved);
                let lost = if is_claimed && !is_published { 3 } else { 0 };
                assert_eq!(parts.losses(), lost);
                match (is_claimed, is_published) {
                    (_, true) => {
                        assert_eq!(reader.look(), Sight::Message);
                        assert!((0..4).map(|ahead| reader.sees_ahead(ahead)).eq((0..4).map(|ahead| ahead < count)));
                        (0..count).for_each(|ahead| {
                            assert_eq!(read(reader.payload_ahead(ahead)), words_of(ahead as u64));
                        });
                        reader.pass_many(count);
                    }
                    (true, false) => assert_eq!(reader.look(), Sight::Missed(3)),
                    (false, false) => {}
                }
                assert_eq!(reader.look(), Sight::Nothing);
                // Those who come after find the whole ring in order, for more than a lap.
                parts.counter().announce();
                let mut publisher = Publisher::attach(parts, 1, Company::Others);
                assert!(publisher.settle(one_is_dead));
                for number in 0..20 {
                    assert_eq!(publisher.claim(|line| (line == 4).then_some(1)), Turn::Ours);
                    fill(&publisher, number);
                    publisher.pass();
                    assert_eq!(reader.look(), Sight::Message);
                    assert_eq!(read(reader.payload()), words_of(number));
                    assert!(reader.accept());
                }
            }
            assert!(fates.iter().all(|&deaths| deaths > 0), "{fates:?}");
        }
    }
}

#[test]
fn a_batch_that_is_stepped_over_is_reported_wherever_one_begins_in_it() {
    for history in 0..=3 {
        let memory = Memory { margin: 3, ..Memory::new(12, None, 0) };
        let parts = memory.parts();
        let mut early = lossy::Subscriber::attach(parts, 0).unwrap();
        // It has claimed three cells, and dies with the first of the payload words.
        let mut dead = Publisher::attach(parts, 0, Company::Others);
        assert_eq!(dead.claim_many(3, |_| None), Turn::Ours);
        let mut late = lossy::Subscriber::attach(parts, history).unwrap();
        let mut publisher = Publisher::attach(parts, 1, Company::Others);
        assert_eq!(publisher.claim(|_| None), Turn::Ours);
        publisher.pass();
        for (subscriber, missed) in [(&mut early, 3), (&mut late, history)] {
            assert_eq!(subscriber.look(), if missed == 0 { Sight::Message } else { Sight::Nothing });
            subscriber.step_over_dead(|line| if line == 1 { Life::Live } else { Life::Dead { generation: 1 } });
            if missed != 0 {
                assert_eq!(subscriber.look(), Sight::Missed(missed));
            }
            assert_eq!((subscriber.look(), subscriber.number()), (Sight::Message, 3));
        }
    }
}

#[test]
fn of_those_who_died_over_a_position_the_one_with_the_batch_is_found() {
    // Two die over the first cell: one has noted that it wants two, and lost; the other has claimed three.
    let memory = Memory { margin: 3, ..Memory::new(12, None, 0) };
    let parts = memory.parts();
    let [_loser, mut winner] = [0, 1].map(|line| Publisher::attach(parts, line, Company::Others));
    assert_eq!(winner.claim_many(3, |_| None), Turn::Ours);
    // Relaxed: one thread. This is what it had stored before its swap.
    parts.publishers.records.units(0).store(2, Ordering::Relaxed);
    parts.publishers.records.claim(0).store(1, Ordering::Relaxed);
    let life = |line| if line < 2 { Life::Dead { generation: 1 } } else { Life::Absent };
    for line in [0, 1] {
        assert_eq!(parts.repair(line, life), Repair::Resolved);
    }
    assert_eq!(parts.losses(), 3);
    let mut subscriber = lossy::Subscriber::attach(parts, 3).unwrap();
    assert_eq!((subscriber.look(), subscriber.number()), (Sight::Missed(3), 3));
}

#[test]
fn a_batch_is_stepped_over_as_a_whole_while_a_dead_repairer_has_withdrawn_a_part_of_it() {
    for (repairs, wanted) in (0..6).flat_map(|repairs| [1, 2].map(|wanted| (repairs, wanted))) {
        let memory = Memory { margin: 3, ..Memory::new(12, None, 0) };
        let parts = memory.parts();
        let mut subscriber = lossy::Subscriber::attach(parts, 0).unwrap();
        let [mut loser, mut owner, mut publisher] =
            [0, 1, 2].map(|line| Publisher::attach(parts, line, Company::Others));
        // Two die before they could note who has won: one that wanted less, and the owner of three cells.
        assert_eq!(die_after(2, || loser.claim_many(wanted, |_| None)), None);
        assert_eq!(die_after(3, || owner.claim_many(3, |_| None)), None);
        assert_eq!(publisher.claim(|_| None), Turn::Ours);
        publisher.pass();
        let life = |line| match line {
            0 | 1 => Life::Dead { generation: 1 },
            2 => Life::Live,
            _ => Life::Absent,
        };
        // And who repairs: LOST, two cells that are withdrawn, the count, and SKIP.
        die_after(repairs, || parts.repair(1, life));
        let mut missed = 0;
        while missed < 3 {
            match subscriber.look() {
                Sight::Missed(more) => missed += more,
                sight => {
                    assert_eq!(sight, Sight::Nothing);
                    let number = subscriber.number();
                    subscriber.step_over_dead(life);
                    assert_ne!(subscriber.number(), number, "{repairs} stores of a repair, {wanted} wanted");
                }
            }
        }
        assert_eq!((missed, subscriber.look(), subscriber.number()), (3, Sight::Message, 3));
    }
}

#[test]
fn a_batch_is_claimed_beside_a_publisher_that_is_quicker() {
    /// Cells that are wanted.
    const WANTED: usize = 100;
    // The other one publishes whenever this one has looked at so many words: the second time so often that there is hardly
    // time to claim one cell.
    for (history, every, least) in [(None, 9, WANTED), (Some(0), 9, WANTED), (None, 5, 1), (Some(0), 5, 1)] {
        let memory = Memory { margin: WANTED as u16, ..Memory::new(2048, history, 1) };
        let parts = memory.parts();
        let [mut publisher, mut quicker] = [0, 1].map(|line| {
            parts.counter().announce();
            Publisher::attach(parts, line, Company::Others)
        });
        assert!([&mut publisher, &mut quicker].into_iter().all(|end| end.settle(|_| Life::Absent)));
        let publish = move || {
            assert_eq!(quicker.claim(|_| None), Turn::Ours);
            fill(&quicker, 0);
            quicker.pass();
        };
        let turn = beside(every, publish, || publisher.claim_many(WANTED, |_| None));
        assert_eq!(turn, Turn::Ours, "there is room");
        assert!((least..=WANTED).contains(&publisher.claimed()), "{}", publisher.claimed());
        assert_ne!(parts.number().unwrap() as usize, 2048 + publisher.claimed(), "the other one was quicker");
    }
}
