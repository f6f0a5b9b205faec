//! The table of calls under loom, with deaths after every step. The payloads are cells beside the table, so that loom
//! notices every access to one that is not ordered after the last access of somebody else.

use super::*;
use crate::atomics::explore::explore;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const LAYOUT: Layout =
    Layout { stride: 2, request_length: None, time: None, request: 0, reply_length: None, reply: 0, stamp: 1 };

/// Lines.
const CLIENT: u32 = 0;
const SERVER: u32 = 1;
const OTHERS: u32 = 2;

/// Most switches away from a thread that could have gone on, which bounds the models with three threads.
const PREEMPTIONS: usize = 3;

/// A table of one slot, a mailbox in place of the queue, and one word that says who has died.
struct Memory {
    words: Vec<AtomicU64>,
    request: UnsafeCell<u64>,
    reply: UnsafeCell<u64>,
    mailbox: AtomicU64,
    dead: AtomicU64,
}

// SAFETY: loom checks the accesses to the cells; finding one that is not exclusive is what the models are for.
unsafe impl Sync for Memory {}
// SAFETY: as for `Sync`.
unsafe impl Send for Memory {}

/// How many more steps somebody does before it dies.
struct Steps(usize);

impl Steps {
    const FOREVER: usize = usize::MAX;

    /// `None` when it is time to die.
    fn next(&mut self) -> Option<()> {
        self.0 = self.0.checked_sub(1)?;
        Some(())
    }
}

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Memory {
            words: (0..LAYOUT.stride).map(|_| AtomicU64::new(0)).collect(),
            request: UnsafeCell::new(0),
            reply: UnsafeCell::new(0),
            mailbox: AtomicU64::new(u64::MAX),
            dead: AtomicU64::new(0),
        })
    }

    fn calls(&self) -> Calls {
        // SAFETY: there is one whole slot, and every thread of the models keeps the memory alive.
        unsafe { Calls::new(NonNull::from(&self.words[0]), 1, LAYOUT) }
    }

    /// Claims the slot, writes a request, and announces it.
    fn submit(&self, line: u32, request: u64, steps: &mut Steps) -> Option<Call> {
        let calls = self.calls();
        steps.next()?;
        let call = loop {
            match calls.claim(0, line) {
                Some(call) => break call,
                None => thread::yield_now(),
            }
        };
        steps.next()?;
        // SAFETY: loom checks that nobody else has access.
        self.request.with_mut(|cell| unsafe { *cell = request });
        steps.next()?;
        let ticket = calls.post(call);
        steps.next()?;
        // Release: as a queue's commit; pairs with the Acquire in `take`.
        self.mailbox.store(ticket, Ordering::Release);
        Some(call)
    }

    fn read_reply(&self) -> u64 {
        // SAFETY: loom checks that nobody else writes.
        self.reply.with(|cell| unsafe { *cell })
    }

    fn write_reply(&self, reply: u64) {
        // SAFETY: loom checks that nobody else has access.
        self.reply.with_mut(|cell| unsafe { *cell = reply });
    }

    fn read_request(&self) -> u64 {
        // SAFETY: loom checks that nobody else writes.
        self.request.with(|cell| unsafe { *cell })
    }

    /// Waits for an ordinary answer, and frees the slot. `None` if the call ends in another way, or this client dies.
    fn collect(&self, call: Call, steps: &mut Steps) -> Option<u64> {
        let calls = self.calls();
        while calls.progress(call) == Progress::NONE {
            steps.next()?;
            thread::yield_now();
        }
        if calls.progress(call) != Progress::ANSWERED {
            return None;
        }
        steps.next()?;
        let reply = self.read_reply();
        steps.next()?;
        calls.free(call);
        Some(reply)
    }

    /// Takes whatever the mailbox announces.
    fn take(&self, server: u32) -> Option<Taken> {
        // Acquire: pairs with the Release in `submit`.
        self.calls().take(self.mailbox.load(Ordering::Acquire), server)
    }

    /// Takes the next call. `None` if nothing is left to be served.
    fn accept(&self, server: u32, mut is_over: impl FnMut() -> bool) -> Option<Taken> {
        loop {
            if let Some(taken) = self.take(server) {
                return Some(taken);
            }
            if is_over() {
                return None;
            }
            thread::yield_now();
        }
    }

    /// Answers a call with ten times its request, which is returned. `None` if it dies on the way.
    fn serve(&self, taken: Taken, steps: &mut Steps) -> Option<u64> {
        steps.next()?;
        let request = self.read_request();
        steps.next()?;
        self.write_reply(request * 10);
        steps.next()?;
        self.calls().answer(taken, Progress::ANSWERED);
        Some(request)
    }

    /// Says that the owner of a line has died: the kernel drops its lock after its last instruction.
    fn die(&self, line: u32) {
        // Release: pairs with the Acquire in `is_gone`.
        self.dead.fetch_or(1 << line, Ordering::Release);
    }

    fn is_gone(&self, line: u32) -> bool {
        // Acquire: whoever finds out about a death is after everything that the dead one did.
        self.dead.load(Ordering::Acquire) >> line & 1 == 1
    }

    /// What a successor does before it takes over `line`, whose owner is dead.
    fn sweep(&self, line: u32) {
        let calls = self.calls();
        while let Some(observed) = calls.observe(0).filter(|&observed| calls.involves(observed, line)) {
            if calls.resolve(0, observed, |line| self.is_gone(line), End::Died) != Resolved::Changed {
                break;
            }
            thread::yield_now();
        }
    }
}

#[test]
fn loom_replies_arrive_whole_one_call_after_the_other() {
    explore("two calls", Some(PREEMPTIONS), || {
        let memory = Memory::new();
        let shared = memory.clone();
        let server = thread::spawn(move || {
            for _ in 0..2 {
                let taken = shared.accept(SERVER, || false).unwrap();
                shared.serve(taken, &mut Steps(Steps::FOREVER));
            }
        });
        for request in 1..=2 {
            let forever = &mut Steps(Steps::FOREVER);
            let call = memory.submit(CLIENT, request, forever).unwrap();
            assert_eq!(memory.collect(call, forever), Some(request * 10));
        }
        server.join().unwrap();
    });
}

#[test]
fn loom_of_two_servers_with_one_ticket_one_serves() {
    explore("one ticket, two servers", Some(PREEMPTIONS), || {
        let memory = Memory::new();
        let servers = [SERVER, OTHERS].map(|line| {
            let shared = memory.clone();
            thread::spawn(move || {
                let taken = shared.take(line);
                taken.map(|taken| shared.serve(taken, &mut Steps(Steps::FOREVER))).is_some()
            })
        });
        let forever = &mut Steps(Steps::FOREVER);
        let call = memory.submit(CLIENT, 1, forever).unwrap();
        let served = servers.map(|server| server.join().unwrap());
        let taken = memory.take(SERVER);
        assert_eq!(served.into_iter().filter(|&served| served).count() + usize::from(taken.is_some()), 1);
        if let Some(taken) = taken {
            memory.serve(taken, forever);
        }
        assert_eq!(memory.collect(call, forever), Some(10));
    });
}

#[test]
fn loom_a_call_is_withdrawn_abandoned_or_answered() {
    explore("cancelled", Some(PREEMPTIONS), || {
        let memory = Memory::new();
        let shared = memory.clone();
        let server = thread::spawn(move || {
            let forever = &mut Steps(Steps::FOREVER);
            while let Some(taken) = shared.accept(SERVER, || false) {
                if shared.serve(taken, forever) == Some(2) {
                    break;
                }
            }
        });
        let (calls, forever) = (memory.calls(), &mut Steps(Steps::FOREVER));
        let call = memory.submit(CLIENT, 1, forever).unwrap();
        if let Cancelled::TooLate(progress) = calls.cancel(call) {
            assert_eq!((progress, memory.read_reply()), (Progress::ANSWERED, 10));
            calls.free(call);
        }
        // Whoever frees the slot, the next call finds it in order, and gets its own reply.
        let call = memory.submit(OTHERS, 2, forever).unwrap();
        assert_eq!(memory.collect(call, forever), Some(20));
        server.join().unwrap();
    });
}

#[test]
fn loom_a_request_is_read_back_or_answered() {
    // The client may die when it has taken the call back, when it has read the request, or not at all.
    for steps in [0, 1, Steps::FOREVER] {
        explore(&format!("taken back, dead after {} steps", steps.min(9)), Some(PREEMPTIONS), move || {
            let memory = Memory::new();
            let shared = memory.clone();
            let server = thread::spawn(move || {
                let forever = &mut Steps(Steps::FOREVER);
                while let Some(taken) = shared.accept(SERVER, || false) {
                    if shared.serve(taken, forever) == Some(2) {
                        break;
                    }
                }
            });
            let (calls, forever) = (memory.calls(), &mut Steps(Steps::FOREVER));
            let call = memory.submit(CLIENT, 1, forever).unwrap();
            if calls.take_back(call) {
                let read_back = |steps: &mut Steps| {
                    steps.next()?;
                    assert_eq!(memory.read_request(), 1);
                    steps.next()?;
                    calls.free(call);
                    Some(())
                };
                if read_back(&mut Steps(steps)).is_none() {
                    memory.die(CLIENT);
                    memory.sweep(CLIENT);
                }
            } else {
                assert_eq!(memory.collect(call, forever), Some(10));
            }
            let call = memory.submit(OTHERS, 2, forever).unwrap();
            assert_eq!(memory.collect(call, forever), Some(20));
            server.join().unwrap();
        });
    }
}

#[test]
fn loom_one_client_after_the_other_has_the_slot() {
    for withdraws in [false, true] {
        explore(&format!("two clients, the first withdraws: {withdraws}"), Some(PREEMPTIONS), move || {
            let memory = Memory::new();
            let shared = memory.clone();
            let first = thread::spawn(move || {
                let forever = &mut Steps(Steps::FOREVER);
                let call = shared.submit(CLIENT, 1, forever).unwrap();
                if withdraws {
                    assert!(shared.calls().withdraw(call));
                    return;
                }
                // It serves itself, so that only the two clients are left to be ordered.
                let taken = shared.take(SERVER).unwrap();
                shared.serve(taken, forever);
                assert_eq!(shared.collect(call, forever), Some(10));
            });
            if let Some(call) = memory.calls().claim(0, OTHERS) {
                // Whoever has the slot may write all of it.
                memory.write_reply(0);
                memory.request.with_mut(|cell| {
                    // SAFETY: loom checks that nobody else has access.
                    unsafe { *cell = 2 }
                });
                memory.calls().free(call);
            }
            first.join().unwrap();
        });
    }
}

#[test]
fn loom_a_client_that_dies_costs_nobody_anything() {
    for steps in 0..7 {
        explore(&format!("client dead after {steps} steps"), Some(PREEMPTIONS), move || {
            let memory = Memory::new();
            let shared = memory.clone();
            let client = thread::spawn(move || {
                let steps = &mut Steps(steps);
                if let Some(call) = shared.submit(CLIENT, 1, steps) {
                    shared.collect(call, steps);
                }
                shared.die(CLIENT);
                // A successor comes. The slot, if it is not free, comes back as soon as the server is done with it.
                shared.sweep(CLIENT);
                shared.submit(OTHERS, 2, &mut Steps(3));
                shared.write_reply(0);
            });
            while let Some(taken) = memory.accept(SERVER, || memory.is_gone(CLIENT)) {
                memory.serve(taken, &mut Steps(Steps::FOREVER));
            }
            client.join().unwrap();
        });
    }
}

#[test]
fn loom_the_calls_of_a_server_that_dies_end_once() {
    for steps in 0..4 {
        explore(&format!("server dead after {steps} steps"), Some(PREEMPTIONS), move || {
            let memory = Memory::new();
            let shared = memory.clone();
            let server = thread::spawn(move || {
                if let Some(taken) = shared.take(SERVER) {
                    shared.serve(taken, &mut Steps(steps));
                }
                shared.die(SERVER);
                // A successor comes.
                shared.sweep(SERVER);
            });
            let (calls, forever) = (memory.calls(), &mut Steps(Steps::FOREVER));
            let call = memory.submit(CLIENT, 1, forever).unwrap();
            let progress = loop {
                // Asked before the last look at the call, as a client does.
                let is_gone = memory.is_gone(SERVER);
                if let Some(observed) = calls.observe(0).filter(|_| is_gone) {
                    calls.resolve(0, observed, |line| memory.is_gone(line), End::Died);
                }
                match calls.progress(call) {
                    Progress::NONE if is_gone && calls.holder(call) == Holder::Nobody => {
                        assert!(calls.withdraw(call), "nobody else is there to take it");
                        break Progress::NONE;
                    }
                    Progress::NONE => thread::yield_now(),
                    progress => break progress,
                }
            };
            match progress {
                Progress::NONE => {}
                Progress::ANSWERED => assert_eq!(memory.read_reply(), 10),
                _ => assert_eq!(progress, Progress { end: End::Died, ..Progress::NONE }),
            }
            if progress != Progress::NONE {
                calls.free(call);
            }
            memory.submit(OTHERS, 2, &mut Steps(3));
            memory.write_reply(0);
            server.join().unwrap();
        });
    }
}

#[test]
fn loom_both_may_die_and_two_clean_up() {
    for (client_steps, server_steps) in [(4, 0), (4, 1), (4, 2), (5, 2), (4, 3), (6, 3)] {
        let name = format!("client dead after {client_steps} steps, server after {server_steps}");
        explore(&name, Some(2), move || {
            let memory = Memory::new();
            let shared = memory.clone();
            let client = thread::spawn(move || {
                let steps = &mut Steps(client_steps);
                if let Some(call) = shared.submit(CLIENT, 1, steps) {
                    shared.collect(call, steps);
                }
                shared.die(CLIENT);
            });
            let shared = memory.clone();
            let server = thread::spawn(move || {
                if let Some(taken) = shared.take(SERVER) {
                    shared.serve(taken, &mut Steps(server_steps));
                }
                shared.die(SERVER);
                while !shared.is_gone(CLIENT) {
                    thread::yield_now();
                }
                // A successor of the client.
                shared.sweep(CLIENT);
            });
            while !memory.is_gone(SERVER) {
                thread::yield_now();
            }
            memory.sweep(SERVER);
            client.join().unwrap();
            server.join().unwrap();
            memory.sweep(SERVER);
            assert_eq!(memory.calls().in_use(), 0);
        });
    }
}

#[test]
fn loom_replies_stream_one_at_a_time() {
    explore("stream", Some(PREEMPTIONS), || {
        let memory = Memory::new();
        let shared = memory.clone();
        let server = thread::spawn(move || {
            let calls = shared.calls();
            let taken = shared.accept(SERVER, || false).unwrap();
            for reply in 1..=2 {
                while calls.server_progress(taken) != Progress::NONE {
                    thread::yield_now();
                }
                shared.write_reply(reply);
                assert!(calls.answer(taken, Progress { has_reply: true, ..Progress::NONE }));
            }
            assert!(calls.answer(taken, Progress { end: End::Finished, ..Progress::NONE }));
        });
        let (calls, forever) = (memory.calls(), &mut Steps(Steps::FOREVER));
        let call = memory.submit(CLIENT, 1, forever).unwrap();
        let mut replies = 0;
        loop {
            let mut progress = calls.progress(call);
            if progress.has_reply {
                replies += 1;
                assert_eq!(memory.read_reply(), replies);
                if progress.end == End::Open {
                    // What was read may have become the last one meanwhile.
                    progress = calls.acknowledge(call);
                }
            }
            match progress.end {
                End::Open => thread::yield_now(),
                end => break assert_eq!(end, End::Finished),
            }
        }
        assert_eq!(replies, 2);
        calls.free(call);
        memory.submit(OTHERS, 2, &mut Steps(3));
        memory.write_reply(0);
        server.join().unwrap();
    });
}

#[test]
fn loom_a_stream_can_be_abandoned() {
    explore("stream abandoned", Some(PREEMPTIONS), || {
        let memory = Memory::new();
        let shared = memory.clone();
        let server = thread::spawn(move || {
            let calls = shared.calls();
            let Some(taken) = shared.accept(SERVER, || shared.is_gone(CLIENT)) else { return };
            shared.write_reply(1);
            if !calls.answer(taken, Progress { has_reply: true, ..Progress::NONE }) {
                // The request is the server's until it says so.
                assert_eq!(shared.read_request(), 1);
                return calls.free_abandoned(taken);
            }
            loop {
                match calls.server_progress(taken) {
                    Progress { end: End::Abandoned, .. } => break calls.free_abandoned(taken),
                    progress if progress == Progress::NONE => {
                        shared.write_reply(2);
                        calls.answer(taken, Progress::ANSWERED);
                        break;
                    }
                    _ => thread::yield_now(),
                }
            }
        });
        let (calls, forever) = (memory.calls(), &mut Steps(Steps::FOREVER));
        let call = memory.submit(CLIENT, 1, forever).unwrap();
        if calls.progress(call).has_reply {
            assert_eq!(memory.read_reply(), 1);
            calls.acknowledge(call);
        }
        if let Cancelled::TooLate(_) = calls.cancel(call) {
            calls.free(call);
        }
        memory.die(CLIENT);
        memory.submit(OTHERS, 2, &mut Steps(3));
        memory.write_reply(0);
        server.join().unwrap();
    });
}
