//! The shared queue: what it costs to allow for many, with one at each end and with two.
//!
//! The references work between the threads of one process only.

use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{Rx, Tx, asking, echoing, message, receiving, sending, sized, verify};
use crate::peer::Seat;
use crate::ways::queue;

/// Shared queues.
pub(crate) static WORK: Work = Work { name: "shared-queue", cases, play };

/// A stream, one sender and one receiver.
const PAIR: &str = "1x1";
/// There and back, over two queues.
const TRIP: &str = "round-trip";
/// A stream of which two senders send a half each, and two receivers take what they can get. More than two processors
/// would be needed to run them all at once.
const CROWD: &str = "2x2";

/// The first two receive, and the other two send.
const CROWD_SEATS: [Processor; 4] = [Processor::Either; 4];

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |(size_bytes, variant): (usize, &str)| {
        let (metric, filing, count) = match variant {
            TRIP => (Metric::Mean, Filing::AgainstLine, 30_000),
            _ => (Metric::Rate, Filing::ByLine, 600_000),
        };
        let slipring = Contestant::new("slipring", count);
        let slipring = if variant == CROWD { slipring.seats(CROWD_SEATS) } else { slipring };
        Case {
            work: WORK.name,
            variant: variant.to_string(),
            size_bytes,
            capacity: 1024,
            metric,
            filing,
            contestants: vec![
                slipring,
                #[cfg(feature = "peers")]
                Contestant::new("crossbeam-threads", count / 2).seats([Processor::Either]),
                #[cfg(feature = "peers")]
                Contestant::new("kanal-threads", count / 2).seats([Processor::Either]),
            ],
        }
    };
    let variants = |size| [PAIR, TRIP, CROWD].map(|variant| (size, variant));
    plan.sizes_or(&[64]).into_iter().flat_map(variants).map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    match seat.contestant.as_str() {
        "slipring" => slipring::<N>(seat),
        #[cfg(feature = "peers")]
        "crossbeam-threads" => threads::<N, _, _>(seat, || crossbeam_channel::bounded(seat.capacity)),
        #[cfg(feature = "peers")]
        "kanal-threads" => threads::<N, _, _>(seat, || kanal::bounded(seat.capacity)),
        _ => seat.unknown(),
    }
}

fn slipring<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let queue = queue::shared::<N>(seat, "stream");
    let back = queue::shared::<N>(seat, "back");
    Ok(match (seat.variant.as_str(), seat.index) {
        (PAIR, 0) => receiving(queue.receiver()?),
        (PAIR, 1) => sending(queue.sender()?),
        (TRIP, 0) => asking(queue.sender()?, back.receiver()?),
        (TRIP, 1) => echoing(back.sender()?, queue.receiver()?),
        (CROWD, 0 | 1) => taking_a_share(queue.receiver()?),
        (CROWD, 2 | 3) => sending_a_half(queue.sender()?, seat.index as u64 - 2),
        _ => return seat.unknown(),
    })
}

#[cfg(feature = "peers")]
fn threads<const N: usize, T, R>(seat: &Seat, channel: impl Fn() -> (T, R)) -> Result<Play, Failure>
where
    T: Tx<N> + Clone + Send + 'static,
    R: Rx<N> + Clone + Send + 'static,
{
    use crate::ways::threads::{Maker, play};
    let ((tx, rx), (back, answered)) = (channel(), channel());
    let [first, second] = [vec![seat.pins[0]], vec![seat.pins[1]]];
    Ok(match seat.variant.as_str() {
        PAIR => play(vec![(first, Box::new(|| receiving(rx))), (second, Box::new(|| sending(tx)))]),
        TRIP => play(vec![(first, Box::new(|| asking(tx, answered))), (second, Box::new(|| echoing(back, rx)))]),
        CROWD => {
            let (other_rx, other_tx) = (rx.clone(), tx.clone());
            let makers: [Maker; 4] = [
                Box::new(|| taking_a_share(rx)),
                Box::new(|| taking_a_share(other_rx)),
                Box::new(|| sending_a_half(tx, 0)),
                Box::new(|| sending_a_half(other_tx, 1)),
            ];
            play(makers.into_iter().map(|maker| (seat.pins.clone(), maker)).collect())
        }
        _ => return seat.unknown(),
    })
}

/// The message by which a sender says that it has sent its half. Whoever receives one has done its share; there are as many
/// receivers as senders, and nothing is behind the last one.
const DONE: u64 = u64::MAX;

/// A sender of the crowd. Its numbers are even or odd, as the sender is 0 or 1.
fn sending_a_half<const N: usize>(mut tx: impl Tx<N> + 'static, sender: u64) -> Play {
    let mut next = sender;
    Box::new(move |count| {
        let mut balance = 0u64;
        for _ in 0..count / 2 {
            tx.send(message(next))?;
            balance = balance.wrapping_sub(next);
            next += 2;
        }
        tx.send(message(DONE))?;
        Ok(Report { balance, ..Report::default() })
    })
}

/// A receiver of the crowd. What it gets of one sender has to ascend; that nothing is missing and nothing came twice is seen
/// from the sums of all four.
fn taking_a_share<const N: usize>(mut rx: impl Rx<N> + 'static) -> Play {
    let mut expected = [0, 1];
    Box::new(move |_| {
        let mut report = Report::default();
        loop {
            let message = rx.recv()?;
            if report.pieces == 0 {
                report.from_ns = now_ns();
            }
            let sequence = message[0];
            verify(&message, sequence)?;
            if sequence == DONE {
                report.to_ns = now_ns();
                return Ok(report);
            }
            let at_least = &mut expected[sequence as usize % 2];
            if sequence < *at_least {
                return Err(format!("message {sequence} came after {}", *at_least - 2).into());
            }
            *at_least = sequence + 2;
            report.pieces += 1;
            report.balance = report.balance.wrapping_add(sequence);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_crowd_that_loses_or_doubles_a_message_has_no_figure() {
        let (tx, rx) = mpsc::channel::<[u64; 2]>();
        let sent = sending_a_half(tx.clone(), 0)(8).and_then(|even| Ok(even.and(sending_a_half(tx.clone(), 1)(8)?)));
        let sent = sent.expect("the receiver is there");
        let messages: Vec<_> = rx.try_iter().collect();
        let take = |messages: &[[u64; 2]]| {
            messages.iter().for_each(|&message| tx.send(message).expect("the receiver is there"));
            let (tx, rx) = mpsc::channel();
            messages.iter().for_each(|&message| tx.send(message).expect("the receiver is there"));
            taking_a_share(rx)(8)
        };
        let (even, odd) = messages.split_at(5);
        let (even, odd) = (take(even).expect("in order"), take(odd).expect("in order"));
        assert!(sent.and(even).and(odd).ns_per_piece(8).is_ok());
        assert!(sent.and(even).and(even).ns_per_piece(8).is_err(), "one half is missing and the other one doubled");
        assert!(take(&[message(4), message(2), message(DONE)]).is_err(), "that is not in order");
    }
}
