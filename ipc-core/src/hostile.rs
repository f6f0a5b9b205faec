//! The rings over memory that answers differently at every load: what somebody can do to an end who writes to the segment
//! as he likes, and more.
//!
//! Each drive takes a *script* that says what is called, and what the memory answers ([`liar`]). Whatever that is,
//!
//! - no call panics, in builds that check their arithmetic and their own invariants too;
//! - every message that an end is said to own lies within the ring's memory, with all of the bytes that it is said to have.
//!   They are read, each word once, as receiving does, so that a tool that watches memory sees where;
//! - no call loads more words than its bound, which does not depend on what they hold.
//!
//! Property tests run the drives with random scripts. With `--cfg slipring_hostile` they are public, for the fuzzers in
//! `fuzz/`, which search for scripts that reach new code, under AddressSanitizer.

#![cfg_attr(not(slipring_hostile), allow(unreachable_pub, reason = "the fuzzers reach them"))]

use crate::atomics::AtomicU64;
use crate::atomics::liar::{self, breathe, choose};
use crate::ring::claims::{Company, Counter, Framing, Life, Records, Role};
use crate::ring::shared::{self, FrameConsumer, FrameProducer, FrameShape, Orphans};
use crate::ring::{
    Cells, End, Slots, Turn, VariableConsumer, VariableProducer, broadcast, broadcast_frames, calls, exclusive, frames,
    latest,
};
use crate::words;
use core::ptr::NonNull;

/// Cells of a ring, slots, or units. Not a power of two, and few, so that its end is never far.
const CELLS: usize = 5;

/// Words of a cell.
const STRIDE: usize = 8;

/// Lines of each role.
const LINES: usize = 4;

/// Words of a record.
const RECORD: usize = 4;

/// Words that a call may load. The longest walks look at each cell a few dozen times, in rounds that are bounded, and at the
/// records of every line for each dead one.
const LIMIT: usize = 400_000;

/// Calls of a drive.
const CALLS: usize = 100;

/// A ring that can be driven.
#[derive(Clone, Copy, Debug)]
pub struct Drive {
    /// What the ring is.
    pub name: &'static str,
    drive: fn(&Memory),
}

/// All rings.
pub const DRIVES: &[Drive] = &[
    Drive { name: "exclusive", drive: drive_exclusive },
    Drive { name: "frames", drive: drive_frames },
    Drive { name: "shared", drive: drive_shared },
    Drive { name: "shared-frames", drive: drive_shared_frames },
    Drive { name: "lossy", drive: drive_lossy },
    Drive { name: "lossless", drive: drive_lossless },
    Drive { name: "lossy-frames", drive: drive_lossy_frames },
    Drive { name: "lossless-frames", drive: drive_lossless_frames },
    Drive { name: "latest", drive: drive_latest },
    Drive { name: "calls", drive: drive_calls },
];

impl Drive {
    /// Plays a script.
    ///
    /// # Panics
    ///
    /// If the ring does what it must not.
    pub fn play(&self, script: &[u8]) {
        let memory = Memory::new();
        liar::deceived(script, LIMIT, || {
            memory.scribble();
            (self.drive)(&memory);
        });
    }
}

/// Memory of a ring.
struct Memory {
    cells: Vec<AtomicU64>,
    stamps: Vec<AtomicU64>,
    numbers: Vec<AtomicU64>,
    records: Vec<AtomicU64>,
    control: Vec<AtomicU64>,
}

impl Memory {
    fn new() -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Memory {
            cells: zeros(CELLS * STRIDE),
            stamps: zeros(CELLS),
            numbers: zeros(CELLS),
            records: zeros(2 * LINES * RECORD),
            control: zeros(8),
        }
    }

    /// Has some of the words hold something.
    fn scribble(&self) {
        for _ in 0..choose(24) {
            let words = match choose(4) {
                0 => &self.cells,
                1 => &self.stamps,
                2 => &self.records,
                _ => &self.control,
            };
            let value = (0..8).fold(0, |value: u64, _| value << 8 | choose(256) as u64);
            // Relaxed: there is one thread.
            words[choose(words.len())].store(value >> (8 * choose(8)), core::sync::atomic::Ordering::Relaxed);
        }
    }

    fn word(&self, at: usize) -> NonNull<AtomicU64> {
        NonNull::from(&self.control[at])
    }

    /// Cells with their stamps in their last words.
    fn cells(&self) -> Cells {
        // SAFETY: the vector has so many cells, and every drive keeps it for longer than the ends.
        unsafe { Cells::with_stamps_inside(NonNull::from(&self.cells[0]), STRIDE, CELLS) }
    }

    /// Cells with their stamps in a table.
    fn frames(&self) -> Cells {
        let (cells, stamps) = (NonNull::from(&self.cells[0]), NonNull::from(&self.stamps[0]));
        // SAFETY: as above.
        unsafe { Cells::with_stamps_apart(cells, STRIDE, stamps, CELLS) }
    }

    fn slots(&self) -> Slots {
        // SAFETY: as above.
        unsafe { Slots::new(NonNull::from(&self.cells[0]), STRIDE, CELLS) }
    }

    /// The role whose counter is at `control`, and whose records are those of `side`.
    fn role(&self, control: usize, side: usize) -> Role {
        // SAFETY: as above.
        let counter = unsafe { Counter::new(self.word(control), self.word(control + 1)) };
        // SAFETY: as above.
        let records = unsafe { Records::new(NonNull::from(&self.records[side * LINES * RECORD]), RECORD, LINES) };
        Role { counter, records }
    }

    fn shared(&self, cells: Cells, framing: Framing) -> shared::Parts {
        // SAFETY: as above.
        unsafe { shared::Parts::new(cells, self.role(0, 0), self.role(2, 1), self.word(4), framing) }
    }

    fn broadcast_frames(&self) -> broadcast_frames::Parts {
        let numbers = NonNull::from(&self.numbers[0]);
        // SAFETY: as above.
        unsafe { broadcast_frames::Parts::lossy(self.frames(), self.role(0, 0), self.word(2), numbers) }
    }

    /// Reads a message, all of which has to lie in the ring.
    fn read(&self, payload: NonNull<AtomicU64>, bytes: usize) {
        let (first, last) = (self.cells.as_ptr().addr(), self.cells.as_ptr_range().end.addr());
        let from = payload.addr().get();
        let end = from.checked_add(bytes.next_multiple_of(8)).expect("no message ends beyond the memory of a machine");
        assert!(first <= from && end <= last, "a message of {bytes} bytes lies beyond the ring");
        let mut copy = vec![0; bytes];
        // SAFETY: as many bytes lie in the vector of cells, as just checked, at a multiple of a word.
        unsafe { words::load(payload.as_ptr().cast(), copy.as_mut_ptr(), bytes) };
        look(&copy);
    }
}

/// The length of a message, by the script: mostly one that fits.
fn length() -> usize {
    choose([16, 64, 128, 256][choose(4)])
}

/// Has the compiler believe that something is made use of.
fn look<T>(seen: &T) {
    std::hint::black_box(seen);
}

/// Somebody's life, by the script.
fn life(_line: usize) -> Life {
    match choose(4) {
        0 => Life::Live,
        1 => Life::Absent,
        generation => Life::Dead { generation: generation as u32 },
    }
}

/// Whether somebody counts as a subscriber, by the script.
fn counted(_line: usize) -> Option<u32> {
    choose(4).checked_sub(1).map(|generation| generation as u32)
}

fn company() -> Company {
    if choose(2) == 0 { Company::Alone } else { Company::Others }
}

/// Whether it is the turn of this end, which is found out in one of two ways.
fn is_turn_of(end: &mut impl End) -> bool {
    (choose(2) == 0 || end.look() == Turn::Ours) && end.is_ready()
}

/// Both ends of a ring that is one of [`End`]s, where messages have `bytes` bytes.
fn alternate<P: End, C: End>(memory: &Memory, tx: &mut P, rx: &mut C, bytes: usize) {
    for _ in 0..CALLS {
        breathe();
        match choose(8) {
            0..3 => {
                if is_turn_of(tx) {
                    memory.read(tx.payload(), bytes);
                    if choose(4) == 0 { tx.abandon() } else { tx.pass() }
                }
            }
            3..6 => {
                if is_turn_of(rx) {
                    memory.read(rx.payload(), bytes);
                    if choose(4) == 0 { rx.abandon() } else { rx.pass() }
                }
            }
            6 => {
                let owned = rx.owned(CELLS);
                (0..owned).for_each(|ahead| memory.read(rx.payload_ahead(ahead), bytes));
                rx.pass_many(owned);
            }
            _ => {
                look(&(tx.len(), rx.len(), rx.is_drained(), tx.losses(), rx.returned()));
            }
        }
    }
    breathe();
    tx.detach();
    rx.detach();
}

fn drive_exclusive(memory: &Memory) {
    // SAFETY: the word lives as long as the slots.
    let parts = unsafe { exclusive::Parts::new(memory.slots(), memory.word(0)) };
    let (mut tx, mut rx) = (exclusive::Producer::attach(parts), exclusive::Consumer::attach(parts));
    alternate(memory, &mut tx, &mut rx, (STRIDE - 1) * 8);
}

/// Both ends of a ring whose messages vary in length.
fn alternate_frames<P: VariableProducer, C: VariableConsumer>(memory: &Memory, tx: &mut P, rx: &mut C) {
    for _ in 0..CALLS {
        breathe();
        match choose(4) {
            0 | 1 => {
                let bytes = length();
                if tx.ask_for(bytes).is_ok() && tx.look() == Turn::Ours && tx.is_ready() {
                    memory.read(tx.payload(), bytes);
                    tx.shorten(choose(bytes + 1));
                    if choose(4) == 0 { tx.abandon() } else { tx.pass() }
                }
            }
            2 => {
                if rx.look() == Turn::Ours && rx.is_ready() {
                    memory.read(rx.payload(), rx.bytes());
                    if choose(4) == 0 { rx.abandon() } else { rx.pass() }
                }
            }
            _ => {
                look(&(tx.len(), rx.len(), rx.is_drained(), tx.limit_bytes()));
            }
        }
    }
    breathe();
    tx.detach();
    rx.detach();
}

fn drive_frames(memory: &Memory) {
    let shape = frames::Shape::new(CELLS, STRIDE * 8, 8).expect("so many units are allowed");
    // SAFETY: the vector has the words of the shape, and lives as long as the ends, as the other word.
    let parts = unsafe { frames::Parts::new(NonNull::from(&memory.cells[0]), shape, memory.word(0)) };
    alternate_frames(memory, &mut frames::Producer::attach(parts), &mut frames::Consumer::attach(parts));
}

/// Repairs what somebody has left.
fn repair(parts: &shared::Parts) {
    let (line, orphans) = (choose(LINES), if choose(2) == 0 { Orphans::Drop } else { Orphans::Redeliver });
    breathe();
    look(&parts.repair_producer(line, life));
    breathe();
    look(&parts.repair_consumer(line, life, orphans));
}

fn drive_shared(memory: &Memory) {
    let parts = memory.shared(memory.cells(), Framing::PerCell);
    let mut tx = shared::Producer::attach(parts, 0, company());
    let mut rx = shared::Consumer::attach(parts, 1, company());
    for _ in 0..3 {
        repair(&parts);
        tx.settle(life);
        rx.settle(life);
        alternate(memory, &mut tx, &mut rx, (STRIDE - 1) * 8);
    }
}

fn drive_shared_frames(memory: &Memory) {
    let parts = memory.shared(memory.frames(), Framing::Whole);
    let shape = FrameShape::new(CELLS as u64, STRIDE * 8, 8);
    let mut tx = FrameProducer::new(shared::Producer::attach(parts, 0, company()), shape);
    let mut rx = FrameConsumer::new(shared::Consumer::attach(parts, 1, company()), shape);
    for _ in 0..3 {
        repair(&parts);
        tx.settle(life);
        rx.settle(life);
        alternate_frames(memory, &mut tx, &mut rx);
    }
}

/// A publisher's turn.
fn publish(memory: &Memory, publisher: &mut broadcast::Publisher) {
    publisher.settle(life);
    if publisher.claim(counted) == Turn::Ours {
        memory.read(publisher.payload().expect("a cell has been claimed"), (STRIDE - 1) * 8);
        if choose(4) == 0 { publisher.abandon() } else { publisher.pass() }
    }
}

fn drive_lossy(memory: &Memory) {
    // SAFETY: the word lives as long as the cells.
    let parts = unsafe { broadcast::Parts::lossy(memory.cells(), memory.role(0, 0), memory.word(2), 2) };
    let mut publisher = broadcast::Publisher::attach(parts, 0, company());
    let Ok(mut subscriber) = broadcast::lossy::Subscriber::attach(parts, choose(CELLS) as u64) else { return };
    for _ in 0..CALLS {
        breathe();
        match choose(4) {
            0 => publish(memory, &mut publisher),
            1 => subscriber.step_over_dead(life),
            2 => look(&(subscriber.number(), parts.number(), parts.repair(choose(LINES), life))),
            _ => {
                if let Some(payload) = subscriber.begin() {
                    memory.read(payload, (STRIDE - 1) * 8);
                    subscriber.complete();
                }
                if subscriber.look() == broadcast::Sight::Message {
                    memory.read(subscriber.payload(), (STRIDE - 1) * 8);
                    subscriber.accept();
                }
            }
        }
    }
    publisher.detach();
}

fn drive_lossless(memory: &Memory) {
    let subscribers = memory.role(4, 1).records;
    let parts = broadcast::Parts::lossless(memory.cells(), memory.role(0, 0), subscribers, 3);
    let mut publisher = broadcast::Publisher::attach(parts, 0, company());
    let subscriber = broadcast::lossless::Subscriber::attach(parts, 1, 1, choose(CELLS) as u64);
    let Some(Ok(mut subscriber)) = subscriber else { return };
    for _ in 0..CALLS {
        breathe();
        match choose(4) {
            0 => publish(memory, &mut publisher),
            1 => look(&(parts.slowest(counted), parts.evict(choose(LINES), choose(3) as u32))),
            2 => look(&(subscriber.number(), parts.losses(), parts.repair(choose(LINES), life))),
            _ => {
                if let Some(payload) = subscriber.begin() {
                    memory.read(payload, (STRIDE - 1) * 8);
                    subscriber.complete();
                }
                if subscriber.look() == broadcast::Sight::Message {
                    memory.read(subscriber.payload(), (STRIDE - 1) * 8);
                    if subscriber.accept() {
                        subscriber.pass();
                    }
                }
            }
        }
    }
    subscriber.detach();
    publisher.detach();
}

/// Both ends of a broadcast whose messages vary in length.
fn broadcast_frames(memory: &Memory, parts: broadcast_frames::Parts, subscriber: broadcast_frames::Subscriber) {
    let shape = FrameShape::new(CELLS as u64, STRIDE * 8, 8);
    let publisher = broadcast_frames::Publisher::attach(parts, 0, company());
    let mut publisher = broadcast_frames::FramePublisher::new(publisher, shape);
    let mut subscriber = broadcast_frames::FrameSubscriber::new(subscriber, shape);
    for _ in 0..CALLS {
        breathe();
        match choose(5) {
            0 | 1 => {
                publisher.settle(life);
                let bytes = length();
                if publisher.ask_for(bytes).is_ok() && publisher.claim(counted) == Turn::Ours {
                    memory.read(publisher.payload().expect("a frame has been claimed"), bytes);
                    if choose(4) == 0 { publisher.abandon() } else { publisher.pass() }
                }
            }
            2 => subscriber.step_over_dead(life),
            3 => {
                look(&(parts.slowest(counted), parts.repair(choose(LINES), life), subscriber.unread()));
                breathe();
                look(&(parts.messages_in_last(choose(CELLS) as u64), parts.losses()));
            }
            _ => match subscriber.look() {
                broadcast::Sight::Message => {
                    memory.read(subscriber.payload().expect("there is a message"), subscriber.bytes());
                    subscriber.accept();
                }
                broadcast::Sight::Broken(_) => subscriber.skip_damaged(),
                _ => {}
            },
        }
    }
    subscriber.detach();
    publisher.detach();
}

fn drive_lossy_frames(memory: &Memory) {
    let parts = memory.broadcast_frames();
    if let Ok(subscriber) = broadcast_frames::Subscriber::attach_lossy(parts, choose(CELLS) as u64) {
        broadcast_frames(memory, parts, subscriber);
    }
}

fn drive_lossless_frames(memory: &Memory) {
    let parts = memory.broadcast_frames().lossless(memory.role(4, 1).records, 3);
    let subscriber = broadcast_frames::Subscriber::attach_lossless(parts, 1, 1, choose(CELLS) as u64);
    if let Some(Ok(subscriber)) = subscriber {
        broadcast_frames(memory, parts, subscriber);
    }
}

fn drive_latest(memory: &Memory) {
    const SLOTS: usize = 4;
    // SAFETY: the vector has more slots than these, and every drive keeps it for longer than the ends.
    let slots = unsafe { Slots::new(NonNull::from(&memory.cells[0]), STRIDE, SLOTS) };
    // SAFETY: the word lives as long as the slots.
    let parts = unsafe { latest::Parts::new(slots, memory.word(0)) };
    let (mut writer, reader) = (latest::Writer::attach(parts), latest::Reader::attach(parts));
    for _ in 0..CALLS {
        breathe();
        if choose(2) == 0 {
            memory.read(writer.open(), (STRIDE - 1) * 8);
            writer.publish();
        } else {
            reader.read(|payload| memory.read(payload, (STRIDE - 1) * 8));
        }
        look(&(writer.version(), reader.version()));
    }
}

fn drive_calls(memory: &Memory) {
    let layout = calls::Layout {
        stride: STRIDE,
        request_length: Some(1),
        time: None,
        request: 2,
        reply_length: Some(3),
        reply: 4,
        stamp: 7,
    };
    // SAFETY: the vector has so many slots, and every drive keeps it for longer than the table.
    let calls = unsafe { calls::Calls::new(NonNull::from(&memory.cells[0]), CELLS, layout) };
    let (mut open, mut taken) = (Vec::new(), Vec::new());
    for _ in 0..CALLS {
        breathe();
        match choose(8) {
            0 | 1 => open.extend(calls.claim(choose(CELLS), choose(LINES) as u32).map(|call| (call, calls.post(call)))),
            2 => {
                let forged = ((choose(2 * CELLS) as u64) << choose(64)) | choose(256) as u64;
                let ticket = open.last().map_or(forged, |&(_, ticket)| if choose(2) == 0 { ticket } else { forged });
                taken.extend(calls.take(ticket, choose(LINES) as u32));
            }
            3 => {
                if let Some(taken) = taken.pop() {
                    memory.read(calls.request(taken.index()), 8);
                    calls.server_progress(taken);
                    memory.read(calls.reply(taken.index()), 8);
                    calls.answer(taken, calls::Progress::ANSWERED);
                }
            }
            4 => {
                if let Some((call, _)) = open.pop() {
                    calls.progress(call);
                    calls.holder(call);
                    memory.read(calls.reply(call.index()), 8);
                    calls.acknowledge(call);
                    if choose(2) == 0 {
                        look(&calls.cancel(call));
                    } else {
                        calls.free(call);
                    }
                }
            }
            5 => look(&open.last().map(|&(call, _)| calls.take_back(call))),
            6 => {
                let index = choose(CELLS);
                if let Some(observed) = calls.observe(index) {
                    calls.involves(observed, choose(LINES) as u32);
                    calls.resolve(index, observed, |_| choose(2) == 0, calls::End::Died);
                }
            }
            _ => {
                let (index, line) = (choose(CELLS), choose(LINES) as u32);
                look(&(calls.in_use(), calls.is_free(index), calls.is_clients(index, line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Cases of each ring. `SLIPRING_CASES` has more of them, for the long form.
    fn cases() -> u32 {
        std::env::var("SLIPRING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
    }

    #[test]
    fn rings_survive_whatever_the_memory_answers() {
        for drive in DRIVES {
            // A runner counts its cases over all that it runs.
            let config = ProptestConfig {
                max_shrink_iters: 100,
                failure_persistence: None,
                ..ProptestConfig::with_cases(cases())
            };
            let mut runner = proptest::test_runner::TestRunner::new(config);
            let scripts = prop::collection::vec(any::<u8>(), 0..1_000);
            let outcome = runner.run(&scripts, |script| {
                drive.play(&script);
                Ok(())
            });
            outcome.unwrap_or_else(|error| panic!("{}: {error}", drive.name));
        }
    }

    #[test]
    fn a_liar_that_is_found_out_fails_the_test() {
        let twice = |index: &AtomicU64, table: &[u8; 4]| {
            // Relaxed, twice: there is one thread. The second look is what must not be.
            let is_within = index.load(core::sync::atomic::Ordering::Relaxed) < 4;
            if is_within {
                table.get(index.load(core::sync::atomic::Ordering::Relaxed) as usize).copied()
            } else {
                Some(0)
            }
        };
        let is_caught = (0..=255).any(|seed: u8| {
            let index = AtomicU64::new(3);
            let script = [0, seed, seed.wrapping_mul(7)];
            liar::deceived(&script, LIMIT, || twice(&index, &[0; 4]).is_none())
        });
        assert!(is_caught, "a word that is checked and read again is another word");
        let endless = std::panic::catch_unwind(|| {
            let word = AtomicU64::new(0);
            // Relaxed: there is one thread.
            liar::deceived(&[], 1_000, || while word.load(core::sync::atomic::Ordering::Relaxed) != 0x1234_5678_9ABC {})
        });
        assert!(endless.is_err(), "and a loop that only the memory can end has no bound");
    }
}
