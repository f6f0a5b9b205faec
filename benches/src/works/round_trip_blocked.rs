//! A message there and back to a receiver that sleeps, beside two bare futexes.

use super::round_trip::{pipes, slipring};
use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{Rx, Tx, echoing_exactly, message, sized, verify};
use crate::peer::Seat;
use crate::ways::futex::{self, FutexRx, FutexTx};
use std::thread;
use std::time::Duration;

/// Round trips of which each begins with everybody asleep.
pub(crate) static WORK: Work = Work { name: "round-trip-blocked", cases, play };

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |size_bytes| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity: 1024,
        metric: Metric::Mean,
        filing: Filing::ByLine,
        contestants: vec![
            Contestant::new("slipring", 200),
            Contestant::new("futex", 200).files(Files::Memory(futex::bytes::<512>())),
            Contestant::new("pipe", 200).files(Files::Pipes(2)),
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
        "futex" => {
            let (there, back) = if seat.index == 0 { (0, 1) } else { (1, 0) };
            Ok(half::<N>(seat, FutexTx::new(seat.memory()?, there), FutexRx::new(seat.memory()?, back)))
        }
        "pipe" => {
            let (tx, rx) = pipes(seat)?;
            Ok(half::<N>(seat, tx, rx))
        }
        _ => seat.unknown(),
    }
}

fn half<const N: usize>(seat: &Seat, tx: impl Tx<N> + 'static, rx: impl Rx<N> + 'static) -> Play {
    if seat.index == 0 { asking_a_sleeper(tx, rx) } else { echoing_exactly(tx, rx) }
}

/// Long enough for any spinning to be over; this is a measurement, nothing depends on it.
const PAUSE: Duration = Duration::from_micros(300);

fn asking_a_sleeper<const N: usize>(mut tx: impl Tx<N> + 'static, mut rx: impl Rx<N> + 'static) -> Play {
    Box::new(move |count| {
        let mut spent = 0;
        for sequence in 0..count {
            thread::sleep(PAUSE);
            let from = now_ns();
            tx.send(message(sequence))?;
            let answer = rx.recv()?;
            spent += now_ns() - from;
            verify(&answer, sequence)?;
        }
        Ok(Report::spent(spent, count))
    })
}
