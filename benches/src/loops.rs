//! What is done with the ways of getting a message across: streams, round trips. Every message is verified.

use crate::harness::plan::Failure;
use crate::harness::sample::{Play, Report, histogram, now_ns};
use crate::ways::{Pair, Stream};

/// An end that sends messages of `N` words.
pub(crate) trait Tx<const N: usize> {
    /// Sends one message, and waits while there is no room.
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure>;
}

/// An end that receives messages of `N` words.
pub(crate) trait Rx<const N: usize> {
    /// Receives one message, and waits while there is none.
    fn recv(&mut self) -> Result<[u64; N], Failure>;
}

/// Calls a generic function for messages of `$bytes` bytes: `sized!(bytes, N => function::<N>(..))`.
macro_rules! sized {
    ($bytes:expr, $words:ident => $call:expr) => {
        sized!(@ $bytes, $words => $call, [8 48 64 256 1024 4096])
    };
    (@ $bytes:expr, $words:ident => $call:expr, [$($size:literal)*]) => {
        match $bytes {
            $($size => {
                const $words: usize = $size / 8;
                $call
            })*
            other => Err(format!("there are no messages of {other} bytes here; there are {:?}", [$($size),*]).into()),
        }
    };
}
pub(crate) use sized;

/// Bytes of messages that go by value. Larger ones have a work of their own.
pub(crate) const SIZES: [usize; 6] = [8, 48, 64, 256, 1024, 4096];

/// Message number `sequence`. One of a single word is the number alone.
#[inline(always)]
pub(crate) fn message<const N: usize>(sequence: u64) -> [u64; N] {
    let mut message = [sequence; N];
    if N > 1 {
        message[N - 1] = !sequence;
    }
    message
}

/// Whether `message` is number `sequence`.
#[inline(always)]
pub(crate) fn verify<const N: usize>(message: &[u64; N], sequence: u64) -> Result<(), Failure> {
    if message[0] == sequence && (N == 1 || message[N - 1] == !sequence) { Ok(()) } else { wrong(message, sequence) }
}

#[cold]
#[inline(never)]
fn wrong(message: &[u64], sequence: u64) -> Result<(), Failure> {
    Err(format!("message {sequence} arrived as {message:?}").into())
}

/// Messages before those that are timed: enough to have touched the whole of every ring but the largest.
pub(crate) fn warm_up(count: u64) -> u64 {
    count / 20
}

/// The sending half of a stream.
pub(crate) fn sending<const N: usize>(mut tx: impl Tx<N> + 'static) -> Play {
    let mut next = 0;
    Box::new(move |count| {
        let end = next + warm_up(count) + count;
        for sequence in next..end {
            tx.send(message(sequence))?;
        }
        next = end;
        Ok(Report::default())
    })
}

/// The receiving half of a stream, which holds the clock.
pub(crate) fn receiving<const N: usize>(mut rx: impl Rx<N> + 'static) -> Play {
    let mut next = 0;
    Box::new(move |count| {
        let start = next + warm_up(count);
        for sequence in next..start {
            verify(&rx.recv()?, sequence)?;
        }
        let from = now_ns();
        next = start + count;
        for sequence in start..next {
            verify(&rx.recv()?, sequence)?;
        }
        Ok(Report::since(from, count))
    })
}

/// A stream that is as fast as it can be.
#[derive(Clone, Copy)]
pub(crate) struct AtFullSpeed;

impl<const N: usize> Stream<N> for AtFullSpeed {
    fn receiving(self, rx: impl Rx<N> + 'static) -> Play {
        receiving(rx)
    }

    fn sending(self, tx: impl Tx<N> + 'static) -> Play {
        sending(tx)
    }
}

/// Round trips before those that are timed: enough for both to be awake and to have touched what they use.
pub(crate) const WARM_UP_TRIPS: u64 = 200;

/// Round trips after those that are timed together, each of which is timed by itself.
fn single_trips(count: u64) -> u64 {
    count / 4 + 1
}

/// Makes round trips, of which `trip` makes the one with this number, and holds the clock. The mean is that of trips that
/// nothing else disturbs; looking at the clock after each, which costs some 20 ns, comes later.
pub(crate) fn time_trips(count: u64, mut trip: impl FnMut(u64) -> Result<(), Failure>) -> Result<Report, Failure> {
    for sequence in 0..WARM_UP_TRIPS {
        trip(sequence)?;
    }
    let from = now_ns();
    for sequence in 0..count {
        trip(sequence)?;
    }
    let report = Report::since(from, count);
    let (mut latency, mut before) = (histogram(), now_ns());
    for sequence in 0..single_trips(count) {
        trip(sequence)?;
        let now = now_ns();
        latency.saturating_record(now - before);
        before = now;
    }
    Ok(Report { latency: Some(latency), ..report })
}

/// Takes part in the round trips that another process times: `answer` does so in the one with this number.
pub(crate) fn answer_trips(count: u64, mut answer: impl FnMut(u64) -> Result<(), Failure>) -> Result<Report, Failure> {
    for trips in [WARM_UP_TRIPS, count, single_trips(count)] {
        for sequence in 0..trips {
            answer(sequence)?;
        }
    }
    Ok(Report::default())
}

/// Round trips without a pause between them.
#[derive(Clone, Copy)]
pub(crate) struct RoundTrips;

impl<const N: usize> Pair<N> for RoundTrips {
    fn play(self, index: usize, tx: impl Tx<N> + 'static, rx: impl Rx<N> + 'static) -> Play {
        if index == 0 { asking(tx, rx) } else { echoing(tx, rx) }
    }
}

/// The asking half of a round trip, which holds the clock.
pub(crate) fn asking<const N: usize>(mut tx: impl Tx<N> + 'static, mut rx: impl Rx<N> + 'static) -> Play {
    Box::new(move |count| {
        time_trips(count, |sequence| {
            tx.send(message(sequence))?;
            verify(&rx.recv()?, sequence)
        })
    })
}

/// The answering half, which sends back what comes.
pub(crate) fn echoing<const N: usize>(mut tx: impl Tx<N> + 'static, mut rx: impl Rx<N> + 'static) -> Play {
    Box::new(move |count| {
        answer_trips(count, |_| {
            let message = rx.recv()?;
            tx.send(message)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    impl<const N: usize> Tx<N> for mpsc::Sender<[u64; N]> {
        fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
            Ok(mpsc::Sender::send(self, message)?)
        }
    }

    impl<const N: usize> Rx<N> for mpsc::Receiver<[u64; N]> {
        fn recv(&mut self) -> Result<[u64; N], Failure> {
            Ok(mpsc::Receiver::recv(self)?)
        }
    }

    #[test]
    fn a_message_that_is_not_the_next_one_is_noticed() {
        let (tx, rx) = mpsc::channel();
        let (mut send, mut receive) = (sending::<3>(tx.clone()), receiving(rx));
        for count in [100, 60] {
            send(count).expect("the receiver is there");
            assert_eq!(receive(count).map(|report| report.pieces).ok(), Some(count));
        }
        let expected = 100 + 5 + 60 + 3;
        for wrong in [message(expected + 1), [expected; 3], [0, expected, !expected]] {
            mpsc::Sender::send(&tx, wrong).expect("the receiver is there");
            assert!(receive(1).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_answer_belongs_to_its_question() {
        let ((ask, asked), (answer, answered)) = (mpsc::channel::<[u64; 2]>(), mpsc::channel());
        let echo = std::thread::spawn(move || echoing::<2>(answer, asked)(10).is_ok());
        assert_eq!(asking(ask, answered)(10).map(|report| report.pieces).ok(), Some(10));
        assert!(echo.join().expect("it does not panic"));
    }
}
