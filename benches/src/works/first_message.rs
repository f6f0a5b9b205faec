//! Two processes open an end each at the same moment, neither of which has been there before, and one sends: the time until
//! the other one has the message.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, histogram, now_ns};
use crate::loops::{Rx, SIZES, Tx, message, sized, verify};
use crate::peer::Seat;
use crate::ways::memory::{LINE, Shared};
use crate::ways::queue;
use std::hint::spin_loop;
use std::sync::atomic::Ordering;

/// From nothing to the first message.
pub(crate) static WORK: Work = Work {
    name: "first-message",
    about: "Two processes open an end each at the same moment; until the first message is in the hands of the receiver.",
    cases,
    play,
};

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |size_bytes| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity: 1024,
        metric: Metric::Mean,
        filing: Filing::As("any"),
        contestants: vec![
            Contestant::new("slipring", 100).files(Files::Memory(4096)),
            #[cfg(feature = "peers")]
            Contestant::new("iceoryx2", 10).files(Files::Memory(4096)),
        ],
    };
    plan.sizes_or(&[64], &SIZES).into_iter().map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let memory = seat.memory()?;
    let queue = queue::exclusive::<N>(seat, "first");
    Ok(match (seat.contestant.as_str(), seat.index) {
        ("slipring", 0) => receiving(memory, move || Ok(queue.receiver()?)),
        ("slipring", 1) => sending(memory, move || Ok(queue.sender()?)),
        #[cfg(feature = "peers")]
        ("iceoryx2", 0) => {
            let seat = seat.clone();
            receiving(memory, move || crate::ways::iceoryx::IceoryxRx::<N>::open(&seat, "first"))
        }
        #[cfg(feature = "peers")]
        ("iceoryx2", 1) => {
            let seat = seat.clone();
            sending(memory, move || crate::ways::iceoryx::IceoryxTx::<N>::open(&seat, "first")?.met(1))
        }
        _ => return seat.unknown(),
    })
}

/// Words that count how often both were told to begin, how often the receiver had the message, and how often the sender has
/// left again, each in a line of its own.
const GO: usize = 0;
const ARRIVED: usize = LINE;
const LEFT: usize = 2 * LINE;

/// The receiver, which holds the clock.
fn receiving<const N: usize, R: Rx<N>>(memory: Shared, open: impl Fn() -> Result<R, Failure> + 'static) -> Play {
    let mut turn = 0;
    Box::new(move |count| {
        let (mut spent, mut latency) = (0, histogram());
        for _ in 0..count {
            turn += 1;
            // Release: pairs with the Acquire in `wait_for`, by which the sender begins.
            memory.word(GO).store(turn, Ordering::Release);
            let from = now_ns();
            let mut rx = open()?;
            let received = rx.recv()?;
            let one = now_ns() - from;
            verify(&received, turn)?;
            // Release: pairs with the Acquire in `wait_for`. A sender that leaves before takes its messages with it.
            memory.word(ARRIVED).store(turn, Ordering::Release);
            latency.saturating_record(one);
            spent += one;
            drop(rx);
            wait_for(&memory, LEFT, turn);
        }
        Ok(Report::timed(spent, latency))
    })
}

/// The sender.
fn sending<const N: usize, T: Tx<N>>(memory: Shared, open: impl Fn() -> Result<T, Failure> + 'static) -> Play {
    let mut turn = 0;
    Box::new(move |count| {
        for _ in 0..count {
            turn += 1;
            wait_for(&memory, GO, turn);
            let mut tx = open()?;
            tx.send(message(turn))?;
            wait_for(&memory, ARRIVED, turn);
            drop(tx);
            // Release: pairs with the Acquire in `wait_for`: the channel is gone, or the receiver is the last one.
            memory.word(LEFT).store(turn, Ordering::Release);
        }
        Ok(Report::default())
    })
}

fn wait_for(memory: &Shared, word: usize, turn: u64) {
    // Acquire: pairs with the Release of whoever counts.
    while memory.word(word).load(Ordering::Acquire) < turn {
        spin_loop();
    }
}
