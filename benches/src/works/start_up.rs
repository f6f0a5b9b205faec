//! What it takes to begin: to create a channel, and to join one. Beside it is memory of about the same size that
//! has no content, and with which one can do nothing yet.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{SIZES, sized};
use crate::peer::Seat;
use crate::ways::memory::{Shared, anonymous};
use crate::ways::queue;
use slipring::Sender;
use std::fs;

/// Opening the first end of a channel, which nobody else has open.
pub(crate) static CREATE: Work = Work {
    name: "create",
    about: "Opening the first end of a channel. The limit is memory of the same size, mapped.",
    cases: |plan| cases(plan, CREATE.name),
    play,
};

/// Opening the other end, while the first one is there.
pub(crate) static ATTACH: Work = Work {
    name: "attach",
    about: "Opening the other end of a channel that exists.",
    cases: |plan| cases(plan, ATTACH.name),
    play,
};

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
        let alone = [Processor::First];
        let (count, seats) = if work == ATTACH.name { (500, &pair[..]) } else { (200, &alone[..]) };
        Case {
            work,
            variant: variant.to_string(),
            size_bytes,
            capacity: CAPACITY,
            metric: Metric::Mean,
            filing: Filing::As("any"),
            contestants: vec![
                Contestant::new("slipring", count).seats(seats),
                Contestant::new("limit", count).seats(alone).files(memory),
            ],
        }
    };
    let variants = |size| [EXCLUSIVE, SHARED].map(|variant| (size, variant));
    plan.sizes_or(&[64], &SIZES).into_iter().flat_map(variants).map(case).collect()
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
        ("attach", "slipring", 1) => holding(queue.sender()?),
        ("create", "limit", 0) => {
            let bytes = seat.memory()?.words() * 8;
            opening(move || Shared::map(&anonymous(bytes)?))
        }
        ("attach", "limit", 0) => {
            let file = format!("/proc/self/fd/{}", seat.files.first().ok_or("the contestant has no memory to share")?);
            opening(move || Shared::map(&fs::OpenOptions::new().read(true).write(true).open(&file)?))
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
