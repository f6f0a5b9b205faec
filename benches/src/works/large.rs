//! Large messages: what it costs that they are large, untouched and touched in full. Where a way can lend its memory
//! (`loan` and `recv_ref`), messages are made and read in place.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{answer_trips, time_trips, warm_up};
use crate::peer::Seat;
use crate::ways::{self, link, queue, ring};
use slipring::{Receiver, Sender};

/// Of a message only the first and the last word are written and read. Beside it is a message of 64 bytes.
pub(crate) static UNTOUCHED: Work = Work {
    name: "large-untouched",
    about: "A large message there and back of which only the first and the last word are touched.",
    cases: untouched,
    play,
};

/// A message is copied in from elsewhere, and every word of it is read. Beside it is a ring written by hand.
pub(crate) static TOUCHED: Work = Work {
    name: "large-touched",
    about: "Large messages that are copied in from elsewhere and read in full. The limit is a ring written by hand, which copies and reads as much.",
    cases: touched,
    play,
};

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
    let capacity = capacity(size_bytes);
    Case { work, variant: variant.to_string(), size_bytes, capacity, metric, filing: Filing::ByLine, contestants }
}

fn untouched(plan: &Plan) -> Vec<Case> {
    let contestants = |size_bytes| {
        let limit = Contestant::new("limit", 20_000).files(limit_files(size_bytes, 2));
        let mut all = vec![Contestant::new("slipring", 20_000), Contestant::new(SMALL, 20_000), limit];
        all.extend(peers(size_bytes, TRIP, 10_000).into_iter().filter(|peer| peer.name != "ipc-channel"));
        all
    };
    plan.sizes_or(&SIZES, &SIZES).into_iter().map(|size| case(UNTOUCHED.name, TRIP, size, contestants(size))).collect()
}

fn touched(plan: &Plan) -> Vec<Case> {
    let one = |(size_bytes, variant): (usize, &str)| {
        let (rings, bytes) = if variant == TRIP { (2, 64 << 20) } else { (1, 256 << 20) };
        let count = (bytes / size_bytes as u64).clamp(20, 20_000);
        let slow = (count / 8).max(10);
        let mut all = vec![
            Contestant::new("slipring", count),
            Contestant::new("limit", count).files(limit_files(size_bytes, rings)),
        ];
        if variant == TRIP {
            all.extend(ways::links_both(size_bytes, slow));
        } else {
            all.extend(ways::links_stream(size_bytes, slow));
        }
        all.extend(peers(size_bytes, variant, slow));
        case(TOUCHED.name, variant, size_bytes, all)
    };
    let sizes = plan.sizes_or(&SIZES, &SIZES);
    sizes.into_iter().flat_map(|size| [(size, STREAM), (size, TRIP)]).map(one).collect()
}

/// Other libraries that have large messages.
fn peers(size_bytes: usize, variant: &str, count: u64) -> Vec<Contestant> {
    let peers = ways::peers(size_bytes, capacity(size_bytes), variant == TRIP);
    let able = ["iceoryx2", "shmem-ipc", "ipc-channel"];
    peers.into_iter().filter(|peer| able.contains(&peer.name)).map(|peer| Contestant { count, ..peer }).collect()
}

/// Messages that a channel holds.
fn capacity(size_bytes: usize) -> usize {
    (RING_BYTES / size_bytes).next_power_of_two()
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
    match (seat.variant.as_str(), seat.index) {
        (TRIP, _) => trip::<N>(seat, touch),
        (STREAM, 0) => receiver::<N>(seat, touch),
        (STREAM, 1) => sender::<N>(seat, touch),
        _ => seat.unknown(),
    }
}

fn trip<const N: usize>(seat: &Seat, touch: Touch) -> Result<Play, Failure> {
    let (there, back) = if seat.index == 0 { (0, 1) } else { (1, 0) };
    Ok(match seat.contestant.as_str() {
        "slipring" | SMALL => {
            let (tx, rx) = queue::both::<N>(seat)?;
            half(seat, tx, rx, touch)
        }
        "limit" => {
            let tx = ring::Producer::<N>::new(seat.memory()?, seat.capacity, there);
            half(seat, tx, ring::Consumer::<N>::new(seat.memory()?, seat.capacity, back), touch)
        }
        #[cfg(feature = "peers")]
        "iceoryx2" => {
            let (tx, rx) = ways::iceoryx::both::<N>(seat)?;
            half(seat, tx, rx, touch)
        }
        #[cfg(feature = "peers")]
        "shmem-ipc" => {
            let (tx, rx) = ways::shmem::both::<N>(seat)?;
            half(seat, Whole::<_, N>(tx), Whole::<_, N>(rx), touch)
        }
        #[cfg(feature = "peers")]
        "ipc-channel" => {
            let (tx, rx) = ways::ipc_channel::both(seat)?;
            half(seat, Whole::<_, N>(tx), Whole::<_, N>(rx), touch)
        }
        _ => {
            let (tx, rx) = link::both(seat)?;
            half(seat, Whole::<_, N>(tx), Whole::<_, N>(rx), touch)
        }
    })
}

fn half(seat: &Seat, tx: impl PlaceTx + 'static, rx: impl PlaceRx + 'static, touch: Touch) -> Play {
    if seat.index == 0 { asking(tx, rx, touch) } else { answering(tx, rx, touch) }
}

fn receiver<const N: usize>(seat: &Seat, touch: Touch) -> Result<Play, Failure> {
    Ok(match seat.contestant.as_str() {
        "slipring" => receiving(queue::exclusive::<N>(seat, "stream").receiver()?, touch),
        "limit" => receiving(ring::Consumer::<N>::new(seat.memory()?, seat.capacity, 0), touch),
        #[cfg(feature = "peers")]
        "iceoryx2" => receiving(ways::iceoryx::IceoryxRx::<N>::open(seat, "stream")?.met()?, touch),
        #[cfg(feature = "peers")]
        "shmem-ipc" => receiving(Whole::<_, N>(ways::shmem::rx::<N>(seat, 0)?), touch),
        #[cfg(feature = "peers")]
        "ipc-channel" => receiving(Whole::<_, N>(ways::ipc_channel::both(seat)?.1), touch),
        _ => receiving(Whole::<_, N>(link::rx(seat)?), touch),
    })
}

fn sender<const N: usize>(seat: &Seat, touch: Touch) -> Result<Play, Failure> {
    Ok(match seat.contestant.as_str() {
        "slipring" => sending(queue::exclusive::<N>(seat, "stream").sender()?, touch),
        "limit" => sending(ring::Producer::<N>::new(seat.memory()?, seat.capacity, 0), touch),
        #[cfg(feature = "peers")]
        "iceoryx2" => sending(ways::iceoryx::IceoryxTx::<N>::open(seat, "stream")?.met(1)?, touch),
        #[cfg(feature = "peers")]
        "shmem-ipc" => sending(Whole::<_, N>(ways::shmem::tx::<N>(seat, 0)?), touch),
        #[cfg(feature = "peers")]
        "ipc-channel" => sending(Whole::<_, N>(ways::ipc_channel::both(seat)?.0), touch),
        _ => sending(Whole::<_, N>(link::tx(seat)?), touch),
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
    /// Sends one message, which `write` makes.
    fn send_with(&mut self, write: impl FnOnce(&mut [u64])) -> Result<(), Failure>;

    /// Sends message number `sequence`, with all of `source` copied in, if there is one, but for the ends.
    #[inline(always)]
    fn send_from(&mut self, source: Option<&[u64]>, sequence: u64) -> Result<(), Failure> {
        self.send_with(|message| {
            if let Some(source) = source {
                message.copy_from_slice(source);
            }
            number(message, sequence);
        })
    }
}

/// An end that receives in place.
trait PlaceRx {
    /// Receives one message, and shows it to `read`.
    fn recv_with(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure>;
}

impl<const N: usize> PlaceTx for Sender<[u64; N]> {
    #[inline(always)]
    fn send_with(&mut self, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
        let mut loan = self.loan()?;
        write(&mut loan[..]);
        loan.send();
        Ok(())
    }

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
    fn send_with(&mut self, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
        // SAFETY: `slot` leads to `N` initialised words, this side's own until `publish` below.
        let slot = unsafe { std::slice::from_raw_parts_mut(self.slot(), N) };
        write(slot);
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

/// An end that does not know the length of its messages by itself.
struct Whole<T, const N: usize>(T);

impl<const N: usize> PlaceTx for Whole<link::LinkTx, N> {
    fn send_with(&mut self, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
        self.0.send_with(N, write)
    }
}

impl<const N: usize> PlaceRx for Whole<link::LinkRx, N> {
    fn recv_with(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure> {
        read(self.0.recv(N)?)
    }
}

#[cfg(feature = "peers")]
mod peers {
    use super::{Failure, PlaceRx, PlaceTx, Whole};
    use crate::ways::iceoryx::{IceoryxRx, IceoryxTx};
    use crate::ways::ipc_channel::{BytesRx, BytesTx};
    use crate::ways::shmem::{ShmemRx, ShmemTx};

    impl<const N: usize> PlaceTx for IceoryxTx<N> {
        fn send_with(&mut self, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
            self.send_in_place(write)
        }
    }

    impl<const N: usize> PlaceRx for IceoryxRx<N> {
        fn recv_with(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure> {
            self.recv_in_place(read)
        }
    }

    impl<const N: usize> PlaceTx for Whole<ShmemTx, N> {
        fn send_with(&mut self, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
            self.0.send_with::<N>(|slots| {
                // SAFETY: there are `N` words, which started as zeros, and are this side's own until the closure returns.
                write(unsafe { std::slice::from_raw_parts_mut(slots, N) });
            })
        }
    }

    impl<const N: usize> PlaceRx for Whole<ShmemRx, N> {
        fn recv_with(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure> {
            self.0.recv_with::<N, _>(|slots| {
                // SAFETY: there are `N` words, filled, and this side's own until the closure returns.
                read(unsafe { std::slice::from_raw_parts(slots, N) })
            })?
        }
    }

    impl<const N: usize> PlaceTx for Whole<BytesTx, N> {
        fn send_with(&mut self, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
            self.0.send_with(N, write)
        }
    }

    impl<const N: usize> PlaceRx for Whole<BytesRx, N> {
        fn recv_with(&mut self, read: impl FnOnce(&[u64]) -> Result<(), Failure>) -> Result<(), Failure> {
            read(self.0.recv()?)
        }
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
    Box::new(move |count| {
        time_trips(count, |sequence| {
            tx.send_from(touch.source.as_deref(), sequence)?;
            rx.recv_with(|message| touch.check(message, !sequence))
        })
    })
}

/// Answers every message by one with the complement of its number.
fn answering(mut tx: impl PlaceTx + 'static, mut rx: impl PlaceRx + 'static, touch: Touch) -> Play {
    Box::new(move |count| {
        answer_trips(count, |sequence| {
            rx.recv_with(|message| touch.check(message, sequence))?;
            tx.send_from(touch.source.as_deref(), !sequence)
        })
    })
}
