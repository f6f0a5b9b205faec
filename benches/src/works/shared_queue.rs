//! The shared queue: what it costs to allow for many, with one at each end and with two.
//!
//! The references work between the threads of one process only.

use super::crowd::{self, Crowd};
use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::Play;
use crate::loops::{AtFullSpeed, RoundTrips, SIZES, asking, echoing, receiving, sending, sized};
use crate::peer::Seat;
use crate::ways::{self, queue};

/// Shared queues.
pub(crate) static WORK: Work = Work {
    name: "shared-queue",
    about: "The queue for any number of senders and receivers. 2x2 are four processes, or threads, free to run on both processors.",
    cases,
    play,
};

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
            contestants: [slipring].into_iter().chain(crowd::libraries(count / 2)).collect(),
        }
    };
    let variants = |size| [PAIR, TRIP, CROWD].map(|variant| (size, variant));
    plan.sizes_or(&[64], &SIZES).into_iter().flat_map(variants).map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let (there, back) = (|| queue::shared::<N>(seat, "stream"), || queue::shared::<N>(seat, "back"));
    Ok(match (seat.contestant.as_str(), seat.variant.as_str(), seat.index) {
        (_, CROWD, _) => crowd::play_sized::<N>(seat, Crowd::named(CROWD)?)?,
        ("slipring", PAIR, 0) => receiving(there().receiver()?),
        ("slipring", PAIR, 1) => sending(there().sender()?),
        ("slipring", TRIP, 0) => asking(there().sender()?, back().receiver()?),
        ("slipring", TRIP, 1) => echoing(back().sender()?, there().receiver()?),
        (_, PAIR, _) => ways::stream::<N>(seat, AtFullSpeed)?,
        (_, TRIP, _) => ways::both::<N>(seat, RoundTrips)?,
        _ => return seat.unknown(),
    })
}
