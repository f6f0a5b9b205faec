//! The limit of round trips: one word in one cache line, written by both in turns. It is measured around every sample,
//! and tells where the processors are.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::peer::Seat;
use std::sync::atomic::Ordering;

/// Done by the harness itself.
pub(crate) static WORK: Work = Work { name: "line", about: "One cache line.", cases: |_| vec![case()], play };

/// The only case.
pub(crate) fn case() -> Case {
    Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes: 8,
        capacity: 1,
        metric: Metric::Mean,
        filing: Filing::As("any"),
        contestants: vec![Contestant::new("limit", 20_000).files(Files::Memory(4096))],
    }
}

/// Trips in which both get going.
const WARM_UP_TRIPS: u64 = 100;

fn play(seat: &Seat) -> Result<Play, Failure> {
    let memory = seat.memory()?;
    let mut turn = 0;
    if seat.index > 0 {
        return Ok(Box::new(move |count| {
            let word = memory.word(0);
            for _ in 0..WARM_UP_TRIPS + count {
                // Acquire and Release, here and below: what a message would need. Each pairs with the other side's.
                while word.load(Ordering::Acquire) != turn + 1 {}
                turn += 2;
                word.store(turn, Ordering::Release);
            }
            Ok(Report::default())
        }));
    }
    Ok(Box::new(move |count| {
        let word = memory.word(0);
        let mut ping = |count| {
            for _ in 0..count {
                word.store(turn + 1, Ordering::Release);
                turn += 2;
                while word.load(Ordering::Acquire) != turn {}
            }
        };
        ping(WARM_UP_TRIPS);
        let from = now_ns();
        ping(count);
        Ok(Report::since(from, count))
    }))
}
