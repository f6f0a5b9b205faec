//! Large messages by `loan` and `recv_ref`: what it costs that they are large, untouched and touched in full.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{WARM_UP_TRIPS, warm_up};
use crate::peer::Seat;
use crate::ways::{queue, ring};
use slipring::{Receiver, Sender};

/// Of a message only the first and the last word are written and read. Beside it is a message of 64 bytes.
pub(crate) static UNTOUCHED: Work = Work { name: "large-untouched", cases: untouched, play };

/// A message is copied in from elsewhere, and every word of it is read. Beside it is a ring written by hand.
pub(crate) static TOUCHED: Work = Work { name: "large-touched", cases: touched, play };

/// There and back.
const TRIP: &str = "round-trip";
/// One after the other.
const STREAM: &str = "one-way";

/// Bytes of messages that a channel holds: rings of some MiB carry most.
const RING_BYTES: usize = 4 << 20;

/// Large messages, as far as the sizes of the other works are not asked for.
const SIZES: [usize; 2] = [64 << 10, 1 << 20];

/// The contestant that sends 64 bytes, whatever the size of the case.
const SMALL: &str = "slipring-64-bytes";

fn case(work: &'static str, variant: &str, size_bytes: usize, contestants: Vec<Contestant>) -> Case {
    let metric = if variant == TRIP { Metric::Mean } else { Metric::Bandwidth };
    let capacity = (RING_BYTES / size_bytes).next_power_of_two();
    Case { work, variant: variant.to_string(), size_bytes, capacity, metric, filing: Filing::ByLine, contestants }
}

fn untouched(plan: &Plan) -> Vec<Case> {
    let contestants = |size_bytes| {
        vec![
            Contestant::new("slipring", 20_000),
            Contestant::new(SMALL, 20_000),
            Contestant::new("limit", 20_000).files(limit_files(size_bytes, 2)),
        ]
    };
    plan.sizes_or(&SIZES).into_iter().map(|size| case(UNTOUCHED.name, TRIP, size, contestants(size))).collect()
}

fn touched(plan: &Plan) -> Vec<Case> {
    let one = |(size_bytes, variant): (usize, &str)| {
        let (rings, bytes) = if variant == TRIP { (2, 64 << 20) } else { (1, 256 << 20) };
        let count = (bytes / size_bytes as u64).clamp(20, 20_000);
        let ours = Contestant::new("slipring", count);
        let theirs = Contestant::new("limit", count).files(limit_files(size_bytes, rings));
        case(TOUCHED.name, variant, size_bytes, vec![ours, theirs])
    };
    plan.sizes_or(&SIZES).into_iter().flat_map(|size| [(size, STREAM), (size, TRIP)]).map(one).collect()
}

/// Memory for rings written by hand: their slots, and some for their indices.
fn limit_files(size_bytes: usize, rings: usize) -> Files {
    Files::Memory(rings * (RING_BYTES.max(size_bytes) + (4 << 10)))
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    match seat.size_bytes {
        _ if seat.contestant == SMALL => play_sized::<8>(seat),
        0x1_0000 => play_sized::<0x2000>(seat),
        0x10_0000 => play_sized::<0x2_0000>(seat),
        other => Err(format!("there are no large messages of {other} bytes; there are {SIZES:?}").into()),
    }
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let touch = Touch::new::<N>(seat.work == TOUCHED.name);
    if seat.contestant == "limit" {
        let producer = |ring| Ok::<_, Failure>(ring::Producer::<N>::new(seat.memory()?, seat.capacity, ring));
        let consumer = |ring| Ok::<_, Failure>(ring::Consumer::<N>::new(seat.memory()?, seat.capacity, ring));
        return Ok(match (seat.variant.as_str(), seat.index) {
            (STREAM, 0) => receiving(consumer(0)?, touch),
            (STREAM, 1) => sending(producer(0)?, touch),
            (TRIP, 0) => asking(producer(0)?, consumer(1)?, touch),
            (TRIP, 1) => answering(producer(1)?, consumer(0)?, touch),
            _ => return seat.unknown(),
        });
    }
    let (there, back) = (queue::exclusive::<N>(seat, "there"), queue::exclusive::<N>(seat, "back"));
    Ok(match (seat.variant.as_str(), seat.index) {
        (STREAM, 0) => receiving(there.receiver()?, touch),
        (STREAM, 1) => sending(there.sender()?, touch),
        (TRIP, 0) => asking(there.sender()?, back.receiver()?, touch),
        (TRIP, 1) => answering(back.sender()?, there.receiver()?, touch),
        _ => return seat.unknown(),
    })
}

/// What is done with a message in place.
struct Touch {
    /// What is copied in, if messages are touched in full.
    source: Option<Box<[u64]>>,
    /// The sum of all words of every message, then.
    sum: u64,
}

impl Touch {
    fn new<const N: usize>(in_full: bool) -> Self {
        // An odd factor, so that no two words are equal.
        let word = |at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let source = in_full.then(|| (0..N).map(word).collect::<Box<[u64]>>());
        // The first word and the last, whatever the number, make !0 together.
        let sum = (1..N - 1).map(word).fold(u64::MAX, u64::wrapping_add);
        Touch { source, sum }
    }

    /// Whether this is message number `sequence`.
    #[inline(always)]
    fn check(&self, message: &[u64], sequence: u64) -> Result<(), Failure> {
        let ends = matches!(message, [first, .., last] if *first == sequence && *last == !sequence);
        let sum = || message.iter().fold(0u64, |sum, word| sum.wrapping_add(*word));
        if ends && (self.source.is_none() || sum() == self.sum) {
            return Ok(());
        }
        Err(format!("message {sequence} is damaged: it begins with {:?}", message.first()).into())
    }
}

/// Writes the number of a message at both of its ends.
#[inline(always)]
fn number(message: &mut [u64], sequence: u64) {
    if let [first, .., last] = message {
        (*first, *last) = (sequence, !sequence);
    }
}

/// An end that sends in place.
trait PlaceTx {
    /// Sends message number `sequence`, with all of `source` copied in, if there is one, but for the ends.
    fn send_from(&mut self, source: Option<&[u64]>, sequence: u64) -> Result<(), Failure>;
}

/// An end that receives in place.
trait PlaceRx {
    /// Receives one message, and shows it to `read`.
    fn recv_with(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure>;
}

impl<const N: usize> PlaceTx for Sender<[u64; N]> {
    #[inline(always)]
    fn send_from(&mut self, source: Option<&[u64]>, sequence: u64) -> Result<(), Failure> {
        let mut loan = self.loan()?;
        if let Some(source) = source {
            loan.copy_from(source.try_into()?)?;
        }
        number(&mut loan[..], sequence);
        loan.send();
        Ok(())
    }
}

impl<const N: usize> PlaceRx for Receiver<[u64; N]> {
    #[inline(always)]
    fn recv_with(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure> {
        let message = self.recv_ref()?.ok_or("the other end has closed the channel")?;
        read(&message[..])
    }
}

impl<const N: usize> PlaceTx for ring::Producer<N> {
    #[inline(always)]
    fn send_from(&mut self, source: Option<&[u64]>, sequence: u64) -> Result<(), Failure> {
        // SAFETY: `slot` leads to `N` initialised words, this side's own until `publish` below.
        let slot = unsafe { std::slice::from_raw_parts_mut(self.slot(), N) };
        if let Some(source) = source {
            slot.copy_from_slice(source);
        }
        number(slot, sequence);
        self.pass();
        self.publish();
        Ok(())
    }
}

impl<const N: usize> PlaceRx for ring::Consumer<N> {
    #[inline(always)]
    fn recv_with(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure> {
        // SAFETY: `slot` leads to `N` initialised words, this side's own until `release` below.
        let slot = unsafe { std::slice::from_raw_parts(self.slot(), N) };
        read(slot)?;
        self.pass();
        self.release();
        Ok(())
    }
}

fn sending(mut tx: impl PlaceTx + 'static, touch: Touch) -> Play {
    let mut next = 0;
    Box::new(move |count| {
        for _ in 0..warm_up(count) + count {
            tx.send_from(touch.source.as_deref(), next)?;
            next += 1;
        }
        Ok(Report::default())
    })
}

fn receiving(mut rx: impl PlaceRx + 'static, touch: Touch) -> Play {
    let mut next = 0;
    Box::new(move |count| {
        let mut receive = |count| {
            for _ in 0..count {
                rx.recv_with(|message| touch.check(message, next))?;
                next += 1;
            }
            Ok::<(), Failure>(())
        };
        receive(warm_up(count))?;
        let from = now_ns();
        receive(count)?;
        Ok(Report::since(from, count))
    })
}

fn asking(mut tx: impl PlaceTx + 'static, mut rx: impl PlaceRx + 'static, touch: Touch) -> Play {
    let mut trips = move |count| {
        for sequence in 0..count {
            tx.send_from(touch.source.as_deref(), sequence)?;
            rx.recv_with(|message| touch.check(message, !sequence))?;
        }
        Ok::<(), Failure>(())
    };
    Box::new(move |count| {
        trips(WARM_UP_TRIPS)?;
        let from = now_ns();
        trips(count)?;
        Ok(Report::since(from, count))
    })
}

/// Answers every message by one with the complement of its number.
fn answering(mut tx: impl PlaceTx + 'static, mut rx: impl PlaceRx + 'static, touch: Touch) -> Play {
    Box::new(move |count| {
        for trips in [WARM_UP_TRIPS, count] {
            for sequence in 0..trips {
                rx.recv_with(|message| touch.check(message, sequence))?;
                tx.send_from(touch.source.as_deref(), !sequence)?;
            }
        }
        Ok(Report::default())
    })
}
