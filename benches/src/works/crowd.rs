//! Streams with several senders, of which each sends a share, or several receivers, which take what they can get. There
//! are fewer processors than processes.
//!
//! Peers that are libraries for threads work between those of one process only.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Link, Metric, Plan, Processor, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{Rx, SIZES, Tx, message, sized, verify};
use crate::peer::Seat;
use crate::ways::{link, queue};

/// Several senders, which share a processor, and one receiver.
pub(crate) static FAN_IN: Work =
    Work { name: "fan-in", about: "Several senders, which share a processor, and one receiver.", cases: fan_in, play };

/// One sender and several receivers, which share a processor; each message goes to one of them.
pub(crate) static WORK_QUEUE: Work = Work {
    name: "work-queue",
    about: "One sender, and several receivers that share a processor; each message goes to one of them.",
    cases: work_queue,
    play,
};

/// Messages that a channel holds.
const CAPACITY: usize = 1024;

/// How many there are at each end.
#[derive(Clone, Copy)]
pub(super) struct Crowd {
    pub(super) senders: usize,
    pub(super) receivers: usize,
}

impl Crowd {
    /// As it is written in a variant: `4x1`.
    fn name(self) -> String {
        format!("{}x{}", self.senders, self.receivers)
    }

    /// What a variant says.
    pub(super) fn named(variant: &str) -> Result<Crowd, Failure> {
        let (senders, receivers) = variant.split_once('x').ok_or("a variant has the form 4x1")?;
        Ok(Crowd { senders: senders.parse()?, receivers: receivers.parse()? })
    }

    /// Receivers come first: the first process is one of them.
    fn seats(self) -> Vec<Processor> {
        let receivers = std::iter::repeat_n(Processor::First, self.receivers);
        receivers.chain(std::iter::repeat_n(Processor::Second, self.senders)).collect()
    }

    /// By how many messages a sender says that it has sent its share.
    fn goodbyes(self) -> usize {
        (self.receivers / self.senders).max(1)
    }

    /// After how many of them a receiver has done its own.
    fn farewells(self) -> usize {
        (self.senders / self.receivers).max(1)
    }
}

fn fan_in(plan: &Plan) -> Vec<Case> {
    cases(plan, FAN_IN.name, [1, 2, 4, 8].map(|senders| Crowd { senders, receivers: 1 }))
}

fn work_queue(plan: &Plan) -> Vec<Case> {
    cases(plan, WORK_QUEUE.name, [1, 2, 4, 8].map(|receivers| Crowd { senders: 1, receivers }))
}

fn cases(plan: &Plan, work: &'static str, crowds: [Crowd; 4]) -> Vec<Case> {
    let case = |size_bytes, crowd: Crowd| {
        let links = [(Link::Pipe, "pipe"), (Link::UnixSeqpacket, "unix-seqpacket"), (Link::PosixMq, "posix-mq")];
        let links = links.map(|(link, name)| Contestant::new(name, 16_000).files(Files::Links(link, 1)));
        let mut contestants = vec![Contestant::new("slipring", 400_000)];
        contestants.extend(links);
        #[cfg(feature = "peers")]
        if crowd.receivers == 1 {
            contestants.push(Contestant::new("iceoryx2", 40_000));
        }
        let mut contestants: Vec<_> =
            contestants.into_iter().map(|contestant| contestant.seats(crowd.seats())).collect();
        contestants.extend(libraries(200_000));
        Case {
            work,
            variant: crowd.name(),
            size_bytes,
            capacity: CAPACITY,
            metric: Metric::Rate,
            filing: Filing::ByLine,
            contestants,
        }
    };
    let sizes = plan.sizes_or(&[64], &SIZES);
    sizes.into_iter().flat_map(|size| crowds.map(|crowd| case(size, crowd))).collect()
}

/// Libraries for threads, of which as many run as there would be processes, on the same processors.
pub(super) fn libraries(count: u64) -> Vec<Contestant> {
    if cfg!(feature = "peers") {
        ["crossbeam-threads", "kanal-threads"]
            .map(|name| Contestant::new(name, count).seats([Processor::Either]))
            .into()
    } else {
        Vec::new()
    }
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    let crowd = Crowd::named(&seat.variant)?;
    sized!(seat.size_bytes, N => play_sized::<N>(seat, crowd))
}

/// What the process at this seat does in a crowd.
pub(super) fn play_sized<const N: usize>(seat: &Seat, crowd: Crowd) -> Result<Play, Failure> {
    let receives = seat.index < crowd.receivers;
    let sender = seat.index.saturating_sub(crowd.receivers);
    Ok(match seat.contestant.as_str() {
        "slipring" if receives => taking(queue::shared::<N>(seat, "stream").receiver()?, crowd),
        "slipring" => sending(queue::shared::<N>(seat, "stream").sender()?, sender, crowd),
        #[cfg(feature = "peers")]
        "iceoryx2" if receives => {
            let rx = crate::ways::iceoryx::IceoryxRx::<N>::open(seat, "stream")?;
            taking(rx.met_by(crowd.senders)?, crowd)
        }
        #[cfg(feature = "peers")]
        "iceoryx2" => sending(crate::ways::iceoryx::IceoryxTx::<N>::open(seat, "stream")?.met(1)?, sender, crowd),
        #[cfg(feature = "peers")]
        "crossbeam-threads" => threads::<N, _, _>(seat, crowd, crossbeam_channel::bounded(seat.capacity)),
        #[cfg(feature = "peers")]
        "kanal-threads" => threads::<N, _, _>(seat, crowd, kanal::bounded(seat.capacity)),
        _ if receives => taking::<N>(link::rx(seat)?, crowd),
        _ => sending::<N>(link::tx(seat)?, sender, crowd),
    })
}

#[cfg(feature = "peers")]
fn threads<const N: usize, T, R>(seat: &Seat, crowd: Crowd, (tx, rx): (T, R)) -> Play
where
    T: Tx<N> + Clone + Send + 'static,
    R: Rx<N> + Clone + Send + 'static,
{
    use crate::ways::threads::{Maker, play};
    let free = seat.work != FAN_IN.name && seat.work != WORK_QUEUE.name;
    let own = |pin: usize| if free { seat.pins.clone() } else { vec![seat.pins[pin]] };
    let mut threads: Vec<(Vec<usize>, Maker)> = Vec::new();
    for _ in 0..crowd.receivers {
        let rx = rx.clone();
        threads.push((own(0), Box::new(move || taking(rx, crowd))));
    }
    for sender in 0..crowd.senders {
        let tx = tx.clone();
        threads.push((own(1), Box::new(move || sending(tx, sender, crowd))));
    }
    play(threads)
}

/// The message by which a sender says that it has sent its share. There are as many as receivers need to hear, and nothing
/// is behind the last one.
const DONE: u64 = u64::MAX;

/// A sender. Its numbers are those that leave its own when divided by the number of senders.
fn sending<const N: usize>(mut tx: impl Tx<N> + 'static, sender: usize, crowd: Crowd) -> Play {
    let mut next = sender as u64;
    Box::new(move |count| {
        let senders = crowd.senders as u64;
        let share = count / senders + u64::from((sender as u64) < count % senders);
        let mut balance = 0u64;
        for _ in 0..share {
            tx.send(message(next))?;
            balance = balance.wrapping_sub(next);
            next += senders;
        }
        for _ in 0..crowd.goodbyes() {
            tx.send(message(DONE))?;
        }
        Ok(Report { balance, ..Report::default() })
    })
}

/// A receiver. What it gets of one sender has to ascend; that nothing is missing and nothing came twice is seen from the
/// sums of all.
fn taking<const N: usize>(mut rx: impl Rx<N> + 'static, crowd: Crowd) -> Play {
    let mut expected: Vec<u64> = (0..crowd.senders as u64).collect();
    Box::new(move |_| {
        let (mut report, mut farewells) = (Report::default(), 0);
        loop {
            let message = rx.recv()?;
            if report.from_ns == u64::MAX {
                report.from_ns = now_ns();
            }
            let sequence = message[0];
            verify(&message, sequence)?;
            if sequence == DONE {
                farewells += 1;
                if farewells < crowd.farewells() {
                    continue;
                }
                report.to_ns = now_ns();
                return Ok(report);
            }
            let at_least = &mut expected[sequence as usize % crowd.senders];
            if sequence < *at_least {
                return Err(format!("message {sequence} came when {at_least} was next").into());
            }
            *at_least = sequence + crowd.senders as u64;
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
        let crowd = Crowd { senders: 2, receivers: 2 };
        let (tx, rx) = mpsc::channel::<[u64; 2]>();
        let sent = sending(tx.clone(), 0, crowd)(8).and_then(|even| Ok(even.and(sending(tx.clone(), 1, crowd)(8)?)));
        let sent = sent.expect("the receiver is there");
        let messages: Vec<_> = rx.try_iter().collect();
        let take = |messages: &[[u64; 2]]| {
            let (tx, rx) = mpsc::channel();
            messages.iter().for_each(|&message| tx.send(message).expect("the receiver is there"));
            taking(rx, crowd)(8)
        };
        let (even, odd) = messages.split_at(5);
        let (even, odd) = (take(even).expect("in order"), take(odd).expect("in order"));
        assert!(sent.clone().and(even.clone()).and(odd).ns_per_piece(8).is_ok());
        assert!(sent.and(even.clone()).and(even).ns_per_piece(8).is_err(), "one is missing and the other doubled");
        assert!(take(&[message(4), message(2), message(DONE)]).is_err(), "that is not in order");
    }

    #[test]
    fn every_receiver_hears_that_it_is_done() {
        for (senders, receivers) in [(1, 1), (8, 1), (1, 8), (2, 2)] {
            let crowd = Crowd { senders, receivers };
            assert_eq!(crowd.goodbyes() * senders, crowd.farewells() * receivers, "{}", crowd.name());
        }
    }
}
