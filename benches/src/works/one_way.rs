//! A stream of messages, sent and received one by one, beside a ring written by hand.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::Play;
use crate::loops::{AtFullSpeed, SIZES, sized};
use crate::peer::Seat;
use crate::ways::{self, ring};

/// Streams.
pub(crate) static WORK: Work = Work {
    name: "one-way",
    about: "A stream of messages, sent and received one by one. The limit is a ring written by hand.",
    cases,
    play,
};

/// Messages that the channels hold: with the first the ring of most sizes stays in a core's own cache.
pub(super) const CAPACITIES: [usize; 2] = [1024, 65_536];

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |(capacity, size_bytes)| {
        let mut contestants = vec![
            Contestant::new("slipring", messages(size_bytes)),
            Contestant::new("limit", messages(size_bytes)).files(Files::Memory(ring_bytes(size_bytes, capacity))),
        ];
        // What the system holds of messages on their way is its own affair.
        if capacity == CAPACITIES[0] {
            contestants.extend(ways::links_stream(size_bytes, 20_000));
        }
        contestants.extend(ways::peers(size_bytes, capacity, false));
        Case {
            work: WORK.name,
            variant: String::new(),
            size_bytes,
            capacity,
            metric: Metric::Rate,
            filing: Filing::ByLine,
            contestants,
        }
    };
    let sizes = plan.sizes_or(&SIZES, &SIZES);
    // The large channel of large messages would take hundreds of MiB.
    let fits = |&(capacity, size_bytes): &(usize, usize)| capacity * size_bytes <= 64 << 20;
    let pairs = CAPACITIES.into_iter().flat_map(|capacity| sizes.iter().map(move |&size| (capacity, size)));
    pairs.filter(fits).map(case).collect()
}

/// Messages in a sample.
pub(super) fn messages(size_bytes: usize) -> u64 {
    (128_000_000 / size_bytes as u64).clamp(100_000, 2_000_000)
}

/// Bytes that the hand-written ring takes, and some to spare.
pub(super) fn ring_bytes(size_bytes: usize, capacity: usize) -> usize {
    ring::bytes::<1>(capacity * size_bytes.div_ceil(8), 1)
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    ways::in_python(seat).unwrap_or_else(|| sized!(seat.size_bytes, N => ways::stream::<N>(seat, AtFullSpeed)))
}
