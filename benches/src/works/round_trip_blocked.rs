//! A message there and back to a receiver that sleeps, and what it takes to wake it, beside a bare futex.

use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, histogram, now_ns};
use crate::loops::{Rx, SIZES, Tx, message, sized, verify};
use crate::peer::Seat;
use crate::ways::{self, Pair, mailbox};
use std::thread;
use std::time::Duration;

/// Round trips of which each begins with everybody asleep.
pub(crate) static WORK: Work = Work {
    name: "round-trip-blocked",
    about: "A message there and back, when everybody has fallen asleep before it.",
    cases: |plan| cases(plan, WORK.name),
    play,
};

/// From the call that sends to the message in the hands of a receiver that was asleep.
pub(crate) static WAKE: Work = Work {
    name: "wake",
    about: "From the call that sends to the message in the hands of a receiver that was asleep.",
    cases: |plan| cases(plan, WAKE.name),
    play,
};

fn cases(plan: &Plan, work: &'static str) -> Vec<Case> {
    let case = |size_bytes| Case {
        work,
        variant: String::new(),
        size_bytes,
        capacity: 1024,
        metric: Metric::Mean,
        filing: Filing::ByLine,
        contestants: [Contestant::new("slipring", 200)]
            .into_iter()
            .chain(["futex", "eventfd"].map(|name| Contestant::new(name, 200).files(mailbox::files(name, size_bytes))))
            .chain(ways::links_both(size_bytes, 200))
            .collect(),
    };
    plan.sizes_or(&[48], &SIZES[1..]).into_iter().map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    let wake = seat.work == WAKE.name;
    sized!(seat.size_bytes, N => if wake { ways::both::<N>(seat, Wakes) } else { ways::both::<N>(seat, Blocked) })
}

/// Long enough for any spinning to be over; this is a measurement, nothing depends on it.
const PAUSE: Duration = Duration::from_micros(300);

/// What is timed is the whole trip.
#[derive(Clone, Copy)]
struct Blocked;

impl<const N: usize> Pair<N> for Blocked {
    fn play(self, index: usize, mut tx: impl Tx<N> + 'static, mut rx: impl Rx<N> + 'static) -> Play {
        if index == 0 {
            return asking_a_sleeper(move |sequence| {
                let from = now_ns();
                tx.send(message(sequence))?;
                let answer = rx.recv()?;
                let spent = now_ns() - from;
                verify(&answer, sequence)?;
                Ok(spent)
            });
        }
        Box::new(move |count| {
            for _ in 0..count {
                let message = rx.recv()?;
                tx.send(message)?;
            }
            Ok(Report::default())
        })
    }
}

/// What is timed is the way there: the answer is the time at which the message had come. All processes have one clock.
#[derive(Clone, Copy)]
struct Wakes;

impl<const N: usize> Pair<N> for Wakes {
    fn play(self, index: usize, mut tx: impl Tx<N> + 'static, mut rx: impl Rx<N> + 'static) -> Play {
        if index == 0 {
            return asking_a_sleeper(move |sequence| {
                let from = now_ns();
                tx.send(message(sequence))?;
                let answer = rx.recv()?;
                verify(&answer, answer[0])?;
                let spent = answer[0].checked_sub(from).filter(|_| answer[0] <= now_ns());
                spent.ok_or_else(|| "the message came at another time than it was on its way".into())
            });
        }
        Box::new(move |count| {
            for sequence in 0..count {
                let received = rx.recv()?;
                let now = now_ns();
                verify(&received, sequence)?;
                tx.send(message(now))?;
            }
            Ok(Report::default())
        })
    }
}

/// Does something that takes as many nanoseconds as it returns, again and again, when the other process has fallen asleep.
fn asking_a_sleeper(mut ask: impl FnMut(u64) -> Result<u64, Failure> + 'static) -> Play {
    Box::new(move |count| {
        let (mut spent, mut latency) = (0, histogram());
        for sequence in 0..count {
            thread::sleep(PAUSE);
            let one = ask(sequence)?;
            latency.saturating_record(one);
            spent += one;
        }
        Ok(Report::timed(spent, latency))
    })
}
