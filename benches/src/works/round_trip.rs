//! A message there and back, both sides spinning, beside one bare cache line.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::Play;
use crate::loops::{Rx, Tx, asking, echoing, sized};
use crate::peer::Seat;
use crate::ways::pipe::{PipeRx, PipeTx};
use crate::ways::queue;
use slipring::{Receiver, Sender};

/// Round trips.
pub(crate) static WORK: Work = Work { name: "round-trip", cases, play };

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |size_bytes| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity: 1024,
        metric: Metric::Mean,
        filing: Filing::AgainstLine,
        contestants: vec![
            Contestant::new("slipring", 50_000),
            Contestant::new("pipe", 1_000).files(Files::Pipes(2)),
            #[cfg(feature = "peers")]
            Contestant::new("rtrb-threads", 20_000).seats([crate::harness::plan::Processor::Either]),
        ],
    };
    plan.sizes_or(&[48, 64]).into_iter().map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    match (seat.contestant.as_str(), seat.index) {
        ("slipring", _) => {
            let (tx, rx) = slipring::<N>(seat)?;
            Ok(half(seat, tx, rx))
        }
        ("pipe", _) => {
            let (tx, rx) = pipes(seat)?;
            Ok(half::<N>(seat, tx, rx))
        }
        #[cfg(feature = "peers")]
        ("rtrb-threads", 0) => Ok(rtrb::<N>(seat)),
        _ => seat.unknown(),
    }
}

/// What the process at this seat does: the first one asks, the other one answers.
fn half<const N: usize>(seat: &Seat, tx: impl Tx<N> + 'static, rx: impl Rx<N> + 'static) -> Play {
    if seat.index == 0 { asking(tx, rx) } else { echoing(tx, rx) }
}

/// A queue to send to, and one to receive from.
type Ends<const N: usize> = (Sender<[u64; N]>, Receiver<[u64; N]>);

/// This seat's ends of two exclusive queues.
pub(super) fn slipring<const N: usize>(seat: &Seat) -> Result<Ends<N>, Failure> {
    let (there, back) = (queue::exclusive(seat, "there"), queue::exclusive(seat, "back"));
    Ok(if seat.index == 0 { (there.sender()?, back.receiver()?) } else { (back.sender()?, there.receiver()?) })
}

/// This seat's ends of two pipes.
pub(super) fn pipes(seat: &Seat) -> Result<(PipeTx, PipeRx), Failure> {
    let (there, back) = if seat.index == 0 { (0, 1) } else { (1, 0) };
    Ok((PipeTx(seat.pipe_in(there)?), PipeRx(seat.pipe_out(back)?)))
}

#[cfg(feature = "peers")]
fn rtrb<const N: usize>(seat: &Seat) -> Play {
    let (there, asked) = rtrb::RingBuffer::<[u64; N]>::new(seat.capacity);
    let (back, answered) = rtrb::RingBuffer::<[u64; N]>::new(seat.capacity);
    crate::ways::threads::play(vec![
        (vec![seat.pins[0]], Box::new(move || asking(there, answered))),
        (vec![seat.pins[1]], Box::new(move || echoing(back, asked))),
    ])
}
