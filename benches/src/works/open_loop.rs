//! Messages that are due at a fixed rate, whether or not the one before has arrived: how long after it was due each is in
//! the receiver's hands.
//!
//! The sender does not wait for anything but the time. If it is late, because the channel was full or it had no processor,
//! the messages behind are late too, and the time from when they were due counts for all of them: nothing that a stall
//! delays is left out ("coordinated omission").

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, histogram, now_ns};
use crate::loops::{Rx, SIZES, Tx, message, sized, verify};
use crate::peer::Seat;
use crate::ways::{self, Stream};
use std::hint::spin_loop;

/// Latency at a fixed rate.
pub(crate) static WORK: Work = Work {
    name: "open-loop",
    about: "Messages that are due at a fixed rate, and how long after it was due each is in the receiver's hands. A sender that is late is late for all messages behind, and that counts: nothing that a stall delays is left out.",
    cases,
    play,
};

/// Messages a second, as a variant has it.
const RATES: [(&str, u64); 3] = [("10k/s", 10_000), ("100k/s", 100_000), ("1M/s", 1_000_000)];

/// Messages that a channel holds.
const CAPACITY: usize = 1024;

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |size_bytes, (name, rate): (&str, u64)| {
        // A fifth of a second, for everybody.
        let count = rate / 5;
        let limit = Files::Memory(super::one_way::ring_bytes(size_bytes, CAPACITY));
        let links = ways::links_stream(size_bytes, count);
        let peers = ways::peers(size_bytes, CAPACITY, false);
        Case {
            work: WORK.name,
            variant: name.to_string(),
            size_bytes,
            capacity: CAPACITY,
            metric: Metric::Mean,
            filing: Filing::ByLine,
            contestants: [Contestant::new("slipring", count), Contestant::new("limit", count).files(limit)]
                .into_iter()
                .chain(links.filter(|link| ["pipe", "unix-stream"].contains(&link.name)))
                .chain(peers.into_iter().filter(|peer| ["iceoryx2", "shmem-ipc"].contains(&peer.name)))
                .map(|contestant| Contestant { count, ..contestant })
                .collect(),
        }
    };
    let sizes = plan.sizes_or(&[64, 1024], &SIZES);
    sizes.into_iter().flat_map(|size| RATES.map(|rate| case(size, rate))).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    let rate = RATES.iter().find(|(name, _)| *name == seat.variant).ok_or("there is no such rate")?.1;
    let due = OnTime { interval_ns: 1_000_000_000 / rate };
    sized!(seat.size_bytes, N => ways::stream::<N>(seat, due))
}

/// A message every so many nanoseconds.
#[derive(Clone, Copy)]
struct OnTime {
    interval_ns: u64,
}

/// How long after its order a sender begins.
const LEAD_NS: u64 = 1_000_000;

impl<const N: usize> Stream<N> for OnTime {
    fn sending(self, mut tx: impl Tx<N> + 'static) -> Play {
        Box::new(move |count| {
            // The first message tells when the others are due.
            let start = now_ns() + LEAD_NS;
            tx.send(message(start))?;
            for sequence in 0..count {
                let due = start + sequence * self.interval_ns;
                while now_ns() < due {
                    spin_loop();
                }
                tx.send(message(sequence))?;
            }
            Ok(Report::default())
        })
    }

    fn receiving(self, mut rx: impl Rx<N> + 'static) -> Play {
        Box::new(move |count| {
            let first = rx.recv()?;
            let start = first[0];
            verify(&first, start)?;
            let (mut spent, mut latency) = (0, histogram());
            for sequence in 0..count {
                let received = rx.recv()?;
                let late = now_ns().saturating_sub(start + sequence * self.interval_ns);
                verify(&received, sequence)?;
                latency.saturating_record(late);
                spent += late;
            }
            Ok(Report::timed(spent, latency))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn what_a_stall_delays_counts_from_when_it_was_due() {
        let interval_ns = 1_000_000;
        let (tx, rx) = mpsc::channel();
        // All come at once, 100 intervals after the first one was due.
        let start = now_ns() - 100 * interval_ns;
        for number in [start].into_iter().chain(0..100) {
            tx.send(message::<2>(number)).expect("the receiver is there");
        }
        let report = Stream::<2>::receiving(OnTime { interval_ns }, rx)(100).expect("every message is there");
        let latency = report.latency.expect("each is timed");
        assert_eq!(latency.len(), 100);
        assert!(latency.max() >= 99 * interval_ns && latency.value_at_quantile(0.5) >= 40 * interval_ns);
    }
}
