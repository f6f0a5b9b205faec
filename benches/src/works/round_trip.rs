//! A message there and back, both sides spinning, beside one bare cache line.

use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Work};
use crate::harness::sample::Play;
use crate::loops::{RoundTrips, SIZES, sized};
use crate::peer::Seat;
use crate::ways;

/// Round trips.
pub(crate) static WORK: Work = Work {
    name: "round-trip",
    about: "A message there and back between two processes that both poll. The limit is one bare cache line, there and back.",
    cases,
    play,
};

/// Messages that a channel holds.
const CAPACITY: usize = 1024;

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |size_bytes| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity: CAPACITY,
        metric: Metric::Mean,
        filing: Filing::AgainstLine,
        contestants: [Contestant::new("slipring", 50_000)]
            .into_iter()
            .chain(ways::links_both(size_bytes, 1_000))
            .chain(ways::peers(size_bytes, CAPACITY, true))
            .collect(),
    };
    plan.sizes_or(&SIZES, &SIZES).into_iter().map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    ways::in_python(seat).unwrap_or_else(|| sized!(seat.size_bytes, N => ways::both::<N>(seat, RoundTrips)))
}
