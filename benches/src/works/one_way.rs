//! A stream of messages, sent and received one by one, beside a ring written by hand.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::Play;
use crate::loops::{receiving, sending, sized};
use crate::peer::Seat;
use crate::ways::pipe::{PipeRx, PipeTx};
use crate::ways::{queue, ring};

/// Streams.
pub(crate) static WORK: Work = Work { name: "one-way", cases, play };

/// Messages that the channels hold: with the first the ring of most sizes stays in a core's own cache.
pub(super) const CAPACITIES: [usize; 2] = [1024, 65_536];

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |(capacity, size_bytes)| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity,
        metric: Metric::Rate,
        filing: Filing::ByLine,
        contestants: vec![
            Contestant::new("slipring", messages(size_bytes)),
            Contestant::new("limit", messages(size_bytes)).files(Files::Memory(ring_bytes(size_bytes, capacity))),
            Contestant::new("pipe", 20_000).files(Files::Pipes(1)),
            #[cfg(feature = "peers")]
            Contestant::new("rtrb-threads", messages(size_bytes)).seats([crate::harness::plan::Processor::Either]),
        ],
    };
    let sizes = plan.sizes_or(&[48, 64]);
    CAPACITIES.into_iter().flat_map(|capacity| sizes.iter().map(move |&size| (capacity, size))).map(case).collect()
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
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    Ok(match (seat.contestant.as_str(), seat.index) {
        ("slipring", 0) => receiving(queue::exclusive::<N>(seat, "stream").receiver()?),
        ("slipring", 1) => sending(queue::exclusive::<N>(seat, "stream").sender()?),
        ("limit", 0) => receiving(ring::Consumer::<N>::new(seat.memory()?, seat.capacity, 0)),
        ("limit", 1) => sending(ring::Producer::<N>::new(seat.memory()?, seat.capacity, 0)),
        ("pipe", 0) => receiving::<N>(PipeRx(seat.pipe_out(0)?)),
        ("pipe", 1) => sending::<N>(PipeTx(seat.pipe_in(0)?)),
        #[cfg(feature = "peers")]
        ("rtrb-threads", 0) => {
            let (tx, rx) = rtrb::RingBuffer::<[u64; N]>::new(seat.capacity);
            crate::ways::threads::play(vec![
                (vec![seat.pins[0]], Box::new(move || receiving(rx))),
                (vec![seat.pins[1]], Box::new(move || sending(tx))),
            ])
        }
        _ => return seat.unknown(),
    })
}
