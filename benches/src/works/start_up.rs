//! What it takes to begin: to create a channel, to join one, and its memory. Beside it is memory of about the same size that
//! has no content, and with which one can do nothing yet.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::sized;
use crate::peer::Seat;
use crate::ways::memory::{Shared, anonymous};
use crate::ways::queue;
use slipring::{OpenError, Queue, Receiver, Sender};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Opening the first end of a channel, which nobody else has open.
pub(crate) static CREATE: Work = Work { name: "create", cases: |plan| cases(plan, CREATE.name), play };

/// Opening the other end, while the first one is there.
pub(crate) static ATTACH: Work = Work { name: "attach", cases: |plan| cases(plan, ATTACH.name), play };

/// What a channel with both ends takes of shared memory.
pub(crate) static MEMORY: Work = Work { name: "memory", cases: |plan| cases(plan, MEMORY.name), play };

/// A queue with one sender and one receiver.
const EXCLUSIVE: &str = "exclusive queue";
/// A queue for any number of them.
const SHARED: &str = "shared queue";

/// Messages that the channel holds.
const CAPACITY: usize = 1024;

fn cases(plan: &Plan, work: &'static str) -> Vec<Case> {
    let case = |(size_bytes, variant): (usize, &str)| {
        let memory = Files::Memory(CAPACITY * (size_bytes + 8) + (16 << 10));
        let pair = [Processor::First, Processor::Second];
        let (metric, ours, theirs) = match work {
            "memory" => (Metric::Bytes, Contestant::new("slipring", 1), None),
            "attach" => (Metric::Mean, Contestant::new("slipring", 500).seats(pair), Some(500)),
            _ => (Metric::Mean, Contestant::new("slipring", 200).seats([Processor::First]), Some(200)),
        };
        let theirs = theirs.map(|count| Contestant::new("limit", count).seats([Processor::First]).files(memory));
        Case {
            work,
            variant: variant.to_string(),
            size_bytes,
            capacity: CAPACITY,
            metric,
            filing: Filing::As("any"),
            contestants: [ours].into_iter().chain(theirs).collect(),
        }
    };
    let variants = |size| [EXCLUSIVE, SHARED].map(|variant| (size, variant));
    plan.sizes_or(&[64]).into_iter().flat_map(variants).map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let queue = match seat.variant.as_str() {
        EXCLUSIVE => queue::exclusive::<N>(seat, "start"),
        _ => queue::shared::<N>(seat, "start"),
    };
    Ok(match (seat.work.as_str(), seat.contestant.as_str(), seat.index) {
        ("create", "slipring", 0) => opening(move || queue.sender()),
        ("attach", "slipring", 0) => opening(move || queue.receiver()),
        ("attach" | "memory", "slipring", 1) => holding(queue.sender()?),
        ("memory", "slipring", 0) => weighing(queue)?,
        ("create", "limit", 0) => {
            let bytes = seat.memory()?.words() * 8;
            opening(move || Shared::map(&anonymous(bytes)?))
        }
        ("attach", "limit", 0) => {
            let path = seat.files.first().ok_or("the contestant has no memory to share")?.clone();
            opening(move || Shared::map(&fs::OpenOptions::new().read(true).write(true).open(&path)?))
        }
        _ => return seat.unknown(),
    })
}

/// Opens something and closes it again; the time that the opening takes.
fn opening<T, E: Into<Failure>>(mut open: impl FnMut() -> Result<T, E> + 'static) -> Play {
    Box::new(move |count| {
        let mut spent = 0;
        for _ in 0..count {
            let from = now_ns();
            let opened = open().map_err(Into::into)?;
            spent += now_ns() - from;
            drop(opened);
        }
        Ok(Report::spent(spent, count))
    })
}

/// Has an end open, and does nothing with it.
fn holding<const N: usize>(sender: Sender<[u64; N]>) -> Play {
    Box::new(move |_| {
        let _ = sender.capacity();
        Ok(Report::default())
    })
}

/// Tells what the segment takes of shared memory, as the file system counts it.
fn weighing<const N: usize>(queue: Queue<[u64; N]>) -> Result<Play, OpenError> {
    let receiver: Receiver<[u64; N]> = queue.receiver()?;
    Ok(Box::new(move |count| {
        // In units of 512 bytes, whatever the blocks of the file system are.
        let bytes = fs::metadata(&receiver.info().path)?.blocks() * 512;
        Ok(Report::spent(bytes * count, count))
    }))
}
