//! A message there and back between two processes that can only run on one processor.

use super::round_trip::{pipes, slipring};
use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::Play;
use crate::loops::{Rx, Tx, asking, echoing, sized};
use crate::peer::Seat;

/// Round trips on one processor.
pub(crate) static WORK: Work = Work { name: "one-core", cases, play };

fn cases(plan: &Plan) -> Vec<Case> {
    let seats = [Processor::First, Processor::First];
    let case = |size_bytes| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity: 1024,
        metric: Metric::Mean,
        filing: Filing::As("one-core"),
        contestants: vec![
            Contestant::new("slipring", 2_000).seats(seats),
            Contestant::new("pipe", 2_000).seats(seats).files(Files::Pipes(2)),
        ],
    };
    plan.sizes_or(&[48]).into_iter().map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    match seat.contestant.as_str() {
        "slipring" => {
            let (tx, rx) = slipring::<N>(seat)?;
            Ok(half(seat, tx, rx))
        }
        "pipe" => {
            let (tx, rx) = pipes(seat)?;
            Ok(half::<N>(seat, tx, rx))
        }
        _ => seat.unknown(),
    }
}

fn half<const N: usize>(seat: &Seat, tx: impl Tx<N> + 'static, rx: impl Rx<N> + 'static) -> Play {
    if seat.index == 0 { asking(tx, rx) } else { echoing(tx, rx) }
}
