//! A message there and back between two processes that can only run on one processor.

use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::Play;
use crate::loops::{RoundTrips, SIZES, sized};
use crate::peer::Seat;
use crate::ways;

/// Round trips on one processor.
pub(crate) static WORK: Work = Work {
    name: "one-core",
    about: "A message there and back between two processes that have one processor to share.",
    cases,
    play,
};

fn cases(plan: &Plan) -> Vec<Case> {
    let seats = [Processor::First, Processor::First];
    let case = |size_bytes| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity: 1024,
        metric: Metric::Mean,
        filing: Filing::As("one-core"),
        contestants: [Contestant::new("slipring", 2_000)]
            .into_iter()
            .chain(ways::links_both(size_bytes, 2_000))
            .map(|contestant| contestant.seats(seats))
            .collect(),
    };
    plan.sizes_or(&[48], &SIZES).into_iter().map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => ways::both::<N>(seat, RoundTrips))
}
