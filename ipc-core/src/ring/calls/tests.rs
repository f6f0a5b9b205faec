//! The table of calls against a naive oracle, with deaths after every step, slow repairers, and wild words.

use super::encoding::LINE_BITS;
use super::*;
use crate::ring::payload;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;

const LAYOUT: Layout =
    Layout { stride: 6, request_length: None, time: None, request: 2, reply_length: None, reply: 4, stamp: 5 };

/// Lines of clients; those of servers follow.
const CLIENTS: u32 = 3;
const LINES: u32 = 5;

/// A table on the heap whose slots have all been used, and answered, `serial` times.
struct Memory {
    words: Vec<AtomicU64>,
}

impl Memory {
    fn new(slots: usize, serial: u64) -> Self {
        let word = |at: usize| match at % LAYOUT.stride {
            0 => Control::free(serial).word(),
            5 => Progress::ANSWERED.stamp(serial),
            _ => 0,
        };
        Memory { words: (0..slots * LAYOUT.stride).map(|at| AtomicU64::new(word(at))).collect() }
    }

    fn calls(&self) -> Calls {
        // SAFETY: the vector has whole slots, and every test keeps it for longer than what looks at it.
        unsafe { Calls::new(NonNull::from(&self.words[0]), self.words.len() / LAYOUT.stride, LAYOUT) }
    }
}

/// The one word of payload at `place`.
fn word<'a>(place: NonNull<AtomicU64>) -> &'a AtomicU64 {
    // SAFETY: the place is a word of a memory that outlives the test's use of it.
    unsafe { place.as_ref() }
}

/// What the oracle knows of a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Free,
    /// Being written, or ready to be taken.
    Waiting(Call),
    /// Taken back by its client.
    Back(Call),
    /// Taken, how far the answer has come, and the reply that can be read.
    Taken(Taken, Progress, u64),
}

/// What a live client or server is about to do next.
#[derive(Clone, Copy, Debug)]
enum Work {
    Filling(Call),
    /// Posted, and the ticket not yet in the queue.
    Posted(Call, u64),
    Waiting(Call),
    /// Taken back, with the request that it was made with.
    Back(Call, u64),
    Serving(Taken),
}

struct World {
    calls: Calls,
    slots: Vec<Slot>,
    queue: VecDeque<u64>,
    /// Per line, what its owner is at; `None` if it is dead.
    owners: Vec<Option<Vec<Work>>>,
    /// What slow repairers have seen of a slot, and who was gone a moment later.
    stale: Vec<(usize, Observed, Vec<bool>)>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The client on a line claims a free slot.
    Claim(u32),
    /// The owner of a line goes on with one of the things that it is at.
    Advance(u32, usize),
    /// The client on a line gives up one of its calls.
    Cancel(u32, usize),
    /// The client on a line takes one of its calls back, to read the request.
    TakeBack(u32, usize),
    /// The server on a line takes the next ticket.
    Take(u32),
    /// A server that is given a ticket a second time.
    Repeat,
    /// The server on a line sends a reply of several.
    Reply(u32, usize),
    /// The server on a line ends a call without another reply.
    Finish(u32, usize, End),
    Die(u32),
    /// A successor takes over a line.
    Succeed(u32),
    /// Somebody looks at a slot and at who is gone, to resolve it later.
    Observe(usize),
    /// The slowest repairer goes on.
    Resolve,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0..CLIENTS;
    let server = CLIENTS..LINES;
    let end = prop_oneof![Just(End::Finished), Just(End::Dropped)];
    let step = prop_oneof![
        4 => client.clone().prop_map(Step::Claim),
        16 => (0..LINES, 0..4usize).prop_map(|(line, at)| Step::Advance(line, at)),
        2 => (client.clone(), 0..4usize).prop_map(|(line, at)| Step::Cancel(line, at)),
        2 => (client, 0..4usize).prop_map(|(line, at)| Step::TakeBack(line, at)),
        6 => server.clone().prop_map(Step::Take),
        1 => Just(Step::Repeat),
        3 => (server.clone(), 0..4usize).prop_map(|(line, at)| Step::Reply(line, at)),
        2 => (server, 0..4usize, end).prop_map(|(line, at, end)| Step::Finish(line, at, end)),
        2 => (0..LINES).prop_map(Step::Die),
        2 => (0..LINES).prop_map(Step::Succeed),
        3 => (0..4usize).prop_map(Step::Observe),
        2 => Just(Step::Resolve),
    ];
    prop::collection::vec(step, 0..300)
}

/// The reply to a request.
fn answer(request: u64) -> u64 {
    request.wrapping_mul(3) + 1
}

impl World {
    fn new(calls: Calls) -> Self {
        let owners = (0..LINES).map(|_| Some(Vec::new())).collect();
        World { calls, slots: vec![Slot::Free; calls.slots()], queue: VecDeque::new(), owners, stale: vec![], next: 1 }
    }

    fn gone(&self) -> Vec<bool> {
        self.owners.iter().map(Option::is_none).collect()
    }

    /// Takes one of the things that the owner of a line is at out of its hands.
    fn work(&mut self, line: u32, at: usize) -> Option<Work> {
        let work = self.owners[line as usize].as_mut()?;
        if work.is_empty() { None } else { Some(work.remove(at % work.len())) }
    }

    fn give(&mut self, line: u32, work: Work) {
        self.owners[line as usize].as_mut().expect("it lives").push(work);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Claim(line) => self.claim(line),
            Step::Advance(line, at) => {
                if let Some(work) = self.work(line, at) {
                    self.advance(line, work);
                }
            }
            Step::Cancel(line, at) => match self.work(line, at) {
                Some(Work::Waiting(call)) => self.cancel(call),
                Some(work) => self.give(line, work),
                None => {}
            },
            Step::TakeBack(line, at) => match self.work(line, at) {
                Some(Work::Waiting(call)) => self.take_back(line, call),
                Some(work) => self.give(line, work),
                None => {}
            },
            Step::Take(line) if self.owners[line as usize].is_some() => {
                if let Some(ticket) = self.queue.pop_front() {
                    self.take(line, ticket);
                }
            }
            Step::Repeat => {
                if let Some(&ticket) = self.queue.front() {
                    self.queue.push_back(ticket);
                }
            }
            Step::Reply(line, at) => self.serve(line, at, |taken, reply| {
                reply.then_some(Progress { has_reply: true, ..Progress::NONE }).ok_or(taken)
            }),
            Step::Finish(line, at, end) => self.serve(line, at, |_, _| Ok(Progress { end, ..Progress::NONE })),
            Step::Die(line) => self.owners[line as usize] = None,
            Step::Succeed(line) if self.owners[line as usize].is_none() => {
                (0..self.slots.len()).for_each(|index| {
                    if let Some(observed) = self.calls.observe(index).filter(|&it| self.calls.involves(it, line)) {
                        let gone = self.gone();
                        self.resolve(index, observed, &gone);
                    }
                });
                self.owners[line as usize] = Some(Vec::new());
            }
            Step::Observe(index) => {
                let index = index % self.slots.len();
                if let Some(observed) = self.calls.observe(index) {
                    let gone = self.gone();
                    self.stale.push((index, observed, gone));
                }
            }
            Step::Resolve if !self.stale.is_empty() => {
                let (index, observed, gone) = self.stale.remove(0);
                self.resolve(index, observed, &gone);
            }
            Step::Take(_) | Step::Succeed(_) | Step::Resolve => {}
        }
    }

    fn claim(&mut self, line: u32) {
        if self.owners[line as usize].is_none() {
            return;
        }
        let claimed = (0..self.slots.len()).find_map(|index| self.calls.claim(index, line));
        assert_eq!(claimed.map(Call::index), self.slots.iter().position(|slot| *slot == Slot::Free));
        if let Some(call) = claimed {
            self.slots[call.index()] = Slot::Waiting(call);
            self.give(line, Work::Filling(call));
        }
    }

    fn advance(&mut self, line: u32, work: Work) {
        match work {
            Work::Filling(call) => {
                // Relaxed, here and in the other payloads of this test: one thread plays all parts.
                word(self.calls.request(call.index())).store(self.next, Ordering::Relaxed);
                self.next += 1;
                let ticket = self.calls.post(call);
                self.give(line, Work::Posted(call, ticket));
            }
            Work::Posted(call, ticket) => {
                self.queue.push_back(ticket);
                self.give(line, Work::Waiting(call));
            }
            Work::Waiting(call) => self.collect(line, call),
            Work::Back(call, request) => {
                // Relaxed: one thread.
                assert_eq!(word(self.calls.request(call.index())).load(Ordering::Relaxed), request);
                self.calls.free(call);
                self.slots[call.index()] = Slot::Free;
            }
            Work::Serving(_) => {
                self.give(line, work);
                let last = self.owners[line as usize].as_ref().map_or(0, Vec::len) - 1;
                self.serve(line, last, |_, is_place_free| {
                    Ok(if is_place_free {
                        Progress::ANSWERED
                    } else {
                        Progress { end: End::Finished, ..Progress::NONE }
                    })
                });
            }
        }
    }

    /// A client reads what there is to read.
    fn collect(&mut self, line: u32, call: Call) {
        match self.slots[call.index()] {
            Slot::Waiting(_) => {
                assert_eq!(self.calls.progress(call), Progress::NONE);
                assert_eq!(self.calls.holder(call), Holder::Nobody);
                self.give(line, Work::Waiting(call));
            }
            Slot::Taken(taken, progress, reply) => {
                assert_eq!(self.calls.progress(call), progress);
                assert_eq!(self.calls.holder(call), Holder::Server(taken.server.into()));
                if progress.has_reply {
                    // Relaxed: one thread.
                    assert_eq!(word(self.calls.reply(call.index())).load(Ordering::Relaxed), reply);
                }
                if progress.end != End::Open {
                    self.calls.free(call);
                    self.slots[call.index()] = Slot::Free;
                    return;
                }
                if progress.has_reply {
                    assert_eq!(self.calls.acknowledge(call), Progress::NONE);
                    self.slots[call.index()] = Slot::Taken(taken, Progress::NONE, 0);
                }
                self.give(line, Work::Waiting(call));
            }
            Slot::Back(_) | Slot::Free => panic!("the slot of a call that goes on was freed"),
        }
    }

    fn take_back(&mut self, line: u32, call: Call) {
        let is_waiting = self.slots[call.index()] == Slot::Waiting(call);
        assert_eq!(self.calls.take_back(call), is_waiting);
        if is_waiting {
            self.slots[call.index()] = Slot::Back(call);
            // Relaxed: one thread.
            let request = word(self.calls.request(call.index())).load(Ordering::Relaxed);
            self.give(line, Work::Back(call, request));
        } else {
            self.give(line, Work::Waiting(call));
        }
    }

    fn cancel(&mut self, call: Call) {
        let expected = match self.slots[call.index()] {
            Slot::Waiting(_) => Cancelled::Withdrawn,
            Slot::Taken(_, Progress { end: End::Open, .. }, _) => Cancelled::Abandoned,
            Slot::Taken(_, progress, _) => Cancelled::TooLate(progress),
            Slot::Back(_) | Slot::Free => panic!("the slot of a call that goes on was freed"),
        };
        assert_eq!(self.calls.cancel(call), expected);
        self.slots[call.index()] = match (expected, self.slots[call.index()]) {
            (Cancelled::Abandoned, Slot::Taken(taken, ..)) => {
                Slot::Taken(taken, Progress { end: End::Abandoned, ..Progress::NONE }, 0)
            }
            (Cancelled::TooLate(_), _) => {
                self.calls.free(call);
                Slot::Free
            }
            _ => Slot::Free,
        };
    }

    fn take(&mut self, line: u32, ticket: u64) {
        let taken = self.calls.take(ticket, line);
        let call = Call::from_ticket(ticket);
        let is_waiting = self.slots[call.index()] == Slot::Waiting(call);
        assert_eq!(taken.map(|taken| taken.call), is_waiting.then_some(call));
        if let Some(taken) = taken {
            self.slots[call.index()] = Slot::Taken(taken, Progress::NONE, 0);
            self.give(line, Work::Serving(taken));
        }
    }

    /// The server on `line` does what `wanted` says, given whether there is a place for a reply.
    fn serve(&mut self, line: u32, at: usize, wanted: impl Fn(Taken, bool) -> Result<Progress, Taken>) {
        let taken = match self.work(line, at) {
            Some(Work::Serving(taken)) => taken,
            Some(work) => return self.give(line, work),
            None => return,
        };
        let Slot::Taken(owner, before, unread) = self.slots[taken.index()] else { panic!("a server was robbed") };
        assert_eq!((owner, self.calls.server_progress(taken)), (taken, before));
        let is_place_free = before == Progress::NONE;
        let wanted = match wanted(taken, is_place_free) {
            Ok(wanted) => wanted,
            Err(taken) => return self.give(line, Work::Serving(taken)),
        };
        // Relaxed, here and below: one thread.
        let reply = answer(word(self.calls.request(taken.index())).load(Ordering::Relaxed));
        if wanted.has_reply {
            word(self.calls.reply(taken.index())).store(reply, Ordering::Relaxed);
        }
        let is_heard = self.calls.answer(taken, wanted);
        assert_eq!(is_heard, before.end != End::Abandoned);
        if !is_heard {
            self.slots[taken.index()] = Slot::Free;
            return;
        }
        let after = Progress { has_reply: before.has_reply || wanted.has_reply, ..wanted };
        self.slots[taken.index()] = Slot::Taken(taken, after, if wanted.has_reply { reply } else { unread });
        if after.end == End::Open {
            self.give(line, Work::Serving(taken));
        }
    }

    /// The table of the module's documentation, once more.
    fn resolve(&mut self, index: usize, observed: Observed, gone: &[bool]) {
        let is_gone = |line: u32| gone[line as usize];
        let before = self.calls.control(index).load(Ordering::Relaxed);
        self.calls.resolve(index, observed, is_gone, End::Died);
        let Some(control) = Control::from_word(observed.0) else { panic!("it was no word of the table") };
        let (client, server) = (is_gone(control.client.into()), is_gone(control.server.into()));
        self.slots[index] = match self.slots[index] {
            // Seen before it was taken back or after.
            Slot::Waiting(call) | Slot::Back(call)
                if control == Control::from_word(before).unwrap() && call.serial == control.serial && client =>
            {
                Slot::Free
            }
            Slot::Taken(taken, progress, reply) if control == taken.control() => match progress.end {
                End::Open if client && server => Slot::Free,
                End::Open if client => Slot::Taken(taken, Progress { end: End::Abandoned, ..Progress::NONE }, 0),
                End::Open if server => Slot::Taken(taken, Progress { end: End::Died, ..progress }, reply),
                End::Abandoned if server => Slot::Free,
                End::Finished | End::Dropped | End::Died if client => Slot::Free,
                _ => self.slots[index],
            },
            slot => slot,
        };
    }

    /// What every live participant sees is what the oracle says.
    fn check(&self) {
        let in_use = self.slots.iter().filter(|slot| **slot != Slot::Free).count();
        assert_eq!(self.calls.in_use(), in_use);
        for work in self.owners.iter().flatten().flatten() {
            match *work {
                Work::Filling(call) | Work::Posted(call, _) | Work::Waiting(call) => match self.slots[call.index()] {
                    Slot::Waiting(waiting) => assert_eq!(waiting, call),
                    Slot::Taken(taken, progress, _) => {
                        assert_eq!((taken.call, self.calls.progress(call)), (call, progress));
                    }
                    Slot::Back(_) | Slot::Free => panic!("a client was robbed"),
                },
                Work::Back(call, _) => assert_eq!(self.slots[call.index()], Slot::Back(call)),
                Work::Serving(taken) => {
                    assert!(matches!(self.slots[taken.index()], Slot::Taken(owner, ..) if owner == taken));
                }
            }
        }
    }
}

/// Serials at which half of the number, and the number itself, are about to wrap.
const SERIALS: [u64; 5] = [0, 1, (1 << 32) - 2, SERIAL_MASK - 3, SERIAL_MASK];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn behaves_like_the_oracle(slots in 1usize..4, serial in prop::sample::select(&SERIALS[..]), steps in steps()) {
        let memory = Memory::new(slots, serial);
        let mut world = World::new(memory.calls());
        for step in steps {
            world.step(step);
            world.check();
        }
        // When everybody has died and has been succeeded, nothing is left.
        (0..LINES).for_each(|line| world.step(Step::Die(line)));
        (0..LINES).for_each(|line| world.step(Step::Succeed(line)));
        prop_assert_eq!(world.calls.in_use(), 0);
    }

    #[test]
    fn any_words_can_be_met(words in prop::collection::vec(wild(), 6), ticket in wild(), line in 0..MAX_LINES) {
        let memory = Memory { words: words.into_iter().map(AtomicU64::new).collect() };
        let calls = memory.calls();
        let taken = Taken { call: Call { index: 0, ..Call::from_ticket(ticket) }, server: line as u16 };
        if let Some(observed) = calls.observe(0) {
            calls.resolve(0, observed, |line| line % 2 == 0, End::Died);
        }
        calls.server_progress(taken);
        calls.answer(taken, Progress::ANSWERED);
        calls.take(ticket, line);
        calls.holder(taken.call);
        calls.progress(taken.call);
        calls.acknowledge(taken.call);
        calls.take_back(taken.call);
        calls.cancel(taken.call);
        calls.claim(0, line);
        prop_assert!(calls.in_use() <= 1);
    }
}

/// A word that may be anything, and often is one that the table could hold.
fn wild() -> impl Strategy<Value = u64> {
    let ends = prop::sample::select(&[End::Open, End::Finished, End::Dropped, End::Died, End::Abandoned][..]);
    let stamp =
        (ends, any::<bool>(), 0..4u64).prop_map(|(end, has_reply, serial)| Progress { has_reply, end }.stamp(serial));
    let phases = prop::sample::select(&[Phase::Free, Phase::Filling, Phase::Ready, Phase::Taken, Phase::Withdrawn][..]);
    let control = (phases, 0..4u16, 0..4u16, 0..4u64)
        .prop_map(|(phase, client, server, serial)| Control { phase, client, server, serial }.word());
    prop_oneof![any::<u64>(), stamp, control, 0..4u64, (0..4u64).prop_map(|serial| serial << LINE_BITS)]
}

#[test]
fn words_survive_being_taken_apart() {
    let control = Control { phase: Phase::Taken, client: 4095, server: 1, serial: SERIAL_MASK };
    assert_eq!(Control::from_word(control.word()), Some(control));
    assert_eq!(Control::from_word(7), None);
    let call = Call { index: MAX_CALLS as u32 - 1, client: 4094, serial: SERIAL_MASK - 1 };
    assert_eq!(Call::from_ticket(call.ticket()), call);
    assert_eq!(Control::free(0).word(), 0, "zeroed memory is a table of free slots");
}

#[test]
fn a_slow_repairer_does_not_rob_a_later_call() {
    let memory = Memory::new(1, 0);
    let calls = memory.calls();
    let call = calls.claim(0, 0).expect("it is free");
    calls.take(calls.post(call), 3).expect("it is ready");
    let observed = calls.observe(0).expect("it is somebody's");
    let everyone = |_| true;
    assert_eq!(calls.resolve(0, observed, everyone, End::Died), Resolved::Freed);
    let later = calls.claim(0, 1).expect("it is free again");
    let taken = calls.take(calls.post(later), 4).expect("it is ready");
    assert!(calls.answer(taken, Progress::ANSWERED));
    assert_eq!(calls.resolve(0, observed, everyone, End::Died), Resolved::Changed);
    assert_eq!(calls.resolve(0, observed, |line| line == 0, End::Died), Resolved::Changed);
    assert_eq!(calls.progress(later), Progress::ANSWERED);
}

#[test]
fn a_reply_that_has_not_been_read_is_not_replaced() {
    let memory = Memory::new(1, 0);
    let calls = memory.calls();
    let call = calls.claim(0, 0).expect("it is free");
    let taken = calls.take(calls.post(call), 3).expect("it is ready");
    let one_of_several = Progress { has_reply: true, ..Progress::NONE };
    assert!(calls.answer(taken, one_of_several));
    for another in [one_of_several, Progress::ANSWERED] {
        assert!(!calls.answer(taken, another));
        assert_eq!(calls.progress(call), one_of_several);
    }
    assert_eq!(calls.acknowledge(call), Progress::NONE);
    assert!(calls.answer(taken, Progress::ANSWERED));
    assert_eq!(calls.progress(call), Progress::ANSWERED);
}

#[test]
fn threads_get_the_replies_to_their_requests() {
    const CALLS: u64 = 20_000;
    let memory = Memory::new(3, SERIAL_MASK - 1000);
    let calls = memory.calls();
    // A mailbox stands in for the queue.
    let mailbox = AtomicU64::new(u64::MAX);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let mailbox = &mailbox;
            scope.spawn(move || {
                for number in 0..CALLS {
                    let call = loop {
                        match (0..calls.slots()).find_map(|index| calls.claim(index, client)) {
                            Some(call) => break call,
                            None => thread::yield_now(),
                        }
                    };
                    let request = number * u64::from(CLIENTS) + u64::from(client);
                    payload::store(word(calls.request(call.index())), request);
                    let ticket = calls.post(call);
                    // AcqRel: the ticket's content is all that counts; a queue's commit is a Release too.
                    while mailbox.compare_exchange(u64::MAX, ticket, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                        thread::yield_now();
                    }
                    while calls.progress(call) == Progress::NONE {
                        thread::yield_now();
                    }
                    assert_eq!(calls.progress(call), Progress::ANSWERED);
                    assert_eq!(payload::load(word(calls.reply(call.index()))), answer(request));
                    calls.free(call);
                }
            });
        }
        let (mut served, mailbox) = (0, &mailbox);
        while served < CALLS * u64::from(CLIENTS) {
            // AcqRel: as above.
            match mailbox.swap(u64::MAX, Ordering::AcqRel) {
                u64::MAX => thread::yield_now(),
                ticket => {
                    let taken = calls.take(ticket, CLIENTS).expect("nobody withdraws");
                    let request = payload::load(word(calls.request(taken.index())));
                    payload::store(word(calls.reply(taken.index())), answer(request));
                    assert!(calls.answer(taken, Progress::ANSWERED));
                    served += 1;
                }
            }
        }
    });
    assert_eq!(calls.in_use(), 0);
}
