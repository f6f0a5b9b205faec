//! Ways of getting a message from one process to another, and who has which.

#[cfg(feature = "peers")]
mod hand_made;
#[cfg(feature = "peers")]
pub(crate) mod iceoryx;
#[cfg(feature = "peers")]
pub(crate) mod ipc_channel;
pub(crate) mod link;
pub(crate) mod mailbox;
pub(crate) mod memory;
#[cfg(feature = "python")]
pub(crate) mod python;
pub(crate) mod queue;
pub(crate) mod ring;
#[cfg(feature = "peers")]
pub(crate) mod shmem;
#[cfg(feature = "peers")]
pub(crate) mod threads;

use crate::harness::plan::{Contestant, Failure, Files, Link, Processor};
use crate::harness::sample::Play;
use crate::loops::{Rx, Tx};
use crate::peer::Seat;

/// What two processes do, each of which has an end to send and one to receive. The first process is the one that asks.
pub(crate) trait Pair<const N: usize>: Copy + Send + 'static {
    /// What the process with these ends does.
    fn play(self, index: usize, tx: impl Tx<N> + 'static, rx: impl Rx<N> + 'static) -> Play;
}

/// What two processes do, of which one sends to the other. The first process is the one that receives.
pub(crate) trait Stream<const N: usize>: Copy + Send + 'static {
    /// What the process that receives does.
    fn receiving(self, rx: impl Rx<N> + 'static) -> Play;
    /// What the process that sends does.
    fn sending(self, tx: impl Tx<N> + 'static) -> Play;
}

/// The system's own ways for messages of this size there and back.
pub(crate) fn links_both(size_bytes: usize, count: u64) -> impl Iterator<Item = Contestant> {
    links(size_bytes)
        .map(move |(link, name)| Contestant::new(name, count).files(Files::Links(link, link::both_ways(link))))
}

/// The system's own ways for streams of messages of this size.
pub(crate) fn links_stream(size_bytes: usize, count: u64) -> impl Iterator<Item = Contestant> {
    links(size_bytes).map(move |(link, name)| Contestant::new(name, count).files(Files::Links(link, 1)))
}

fn links(size_bytes: usize) -> impl Iterator<Item = (Link, &'static str)> {
    Link::ALL.into_iter().filter(move |(link, _)| link.longest().is_none_or(|longest| size_bytes <= longest))
}

/// Other libraries that are there, between processes and between threads, each with what it can do in some ten milliseconds.
/// Whether messages go there and back makes a difference to what they need.
pub(crate) fn peers(size_bytes: usize, capacity: usize, both: bool) -> Vec<Contestant> {
    let either = [Processor::Either];
    let (often, rarely, python) = if both { (20_000, 500, 300) } else { (400_000, 10_000, 3_000) };
    #[cfg(feature = "peers")]
    let libraries = vec![
        Contestant::new("iceoryx2", often / 4),
        Contestant::new("shmem-ipc", often).files(Files::Memory(shmem::bytes(size_bytes, capacity))),
        Contestant::new("ipc-channel", rarely).files(Files::Memory(4096)),
        Contestant::new("hand-made", rarely),
        Contestant::new("rtrb-threads", often).seats(either),
        Contestant::new("crossbeam-threads", often).seats(either),
        Contestant::new("kanal-threads", often).seats(either),
    ];
    #[cfg(not(feature = "peers"))]
    let libraries = {
        let _ = (size_bytes, capacity, often, rarely);
        Vec::new()
    };
    #[cfg(feature = "python")]
    let scripts = if python::is_there() { python::NAMES } else { [].as_slice() };
    #[cfg(not(feature = "python"))]
    let scripts: &[&'static str] = &[];
    let scripts = scripts.iter().map(|&name| Contestant::new(name, python).seats(either));
    libraries.into_iter().chain(scripts).collect()
}

/// What the process at this seat does, of two that send messages there and back.
pub(crate) fn both<const N: usize>(seat: &Seat, pair: impl Pair<N>) -> Result<Play, Failure> {
    match seat.contestant.as_str() {
        "slipring" => {
            let (tx, rx) = queue::both::<N>(seat)?;
            Ok(pair.play(seat.index, tx, rx))
        }
        "futex" | "eventfd" => {
            let (tx, rx) = mailbox::both::<N>(seat)?;
            Ok(pair.play(seat.index, tx, rx))
        }
        name if Link::named(name).is_some() => {
            let (tx, rx) = link::both(seat)?;
            Ok(pair.play(seat.index, tx, rx))
        }
        #[cfg(feature = "peers")]
        "iceoryx2" => {
            let (tx, rx) = iceoryx::both::<N>(seat)?;
            Ok(pair.play(seat.index, tx, rx))
        }
        #[cfg(feature = "peers")]
        "shmem-ipc" => {
            let (tx, rx) = shmem::both::<N>(seat)?;
            Ok(pair.play(seat.index, tx, rx))
        }
        #[cfg(feature = "peers")]
        "ipc-channel" => {
            let (tx, rx) = ipc_channel::both(seat)?;
            Ok(pair.play(seat.index, tx, rx))
        }
        #[cfg(feature = "peers")]
        "hand-made" => {
            let (tx, rx) = hand_made::both::<N>(seat)?;
            Ok(pair.play(seat.index, tx, rx))
        }
        #[cfg(feature = "peers")]
        "rtrb-threads" => Ok(threads::both(seat, pair, || rtrb::RingBuffer::<[u64; N]>::new(seat.capacity))),
        #[cfg(feature = "peers")]
        "crossbeam-threads" => Ok(threads::both(seat, pair, || crossbeam_channel::bounded::<[u64; N]>(seat.capacity))),
        #[cfg(feature = "peers")]
        "kanal-threads" => Ok(threads::both(seat, pair, || kanal::bounded::<[u64; N]>(seat.capacity))),
        _ => seat.unknown(),
    }
}

/// What the process at this seat does, of two of which one sends to the other.
pub(crate) fn stream<const N: usize>(seat: &Seat, stream: impl Stream<N>) -> Result<Play, Failure> {
    let receives = seat.index == 0;
    match seat.contestant.as_str() {
        "slipring" if receives => Ok(stream.receiving(queue::exclusive::<N>(seat, "stream").receiver()?)),
        "slipring" => Ok(stream.sending(queue::exclusive::<N>(seat, "stream").sender()?)),
        "limit" if receives => Ok(stream.receiving(ring::Consumer::<N>::new(seat.memory()?, seat.capacity, 0))),
        "limit" => Ok(stream.sending(ring::Producer::<N>::new(seat.memory()?, seat.capacity, 0))),
        name if Link::named(name).is_some() => {
            Ok(if receives { stream.receiving(link::rx(seat)?) } else { stream.sending(link::tx(seat)?) })
        }
        #[cfg(feature = "peers")]
        "iceoryx2" if receives => Ok(stream.receiving(iceoryx::IceoryxRx::<N>::open(seat, "stream")?.met()?)),
        #[cfg(feature = "peers")]
        "iceoryx2" => Ok(stream.sending(iceoryx::IceoryxTx::<N>::open(seat, "stream")?.met(1)?)),
        #[cfg(feature = "peers")]
        "shmem-ipc" if receives => Ok(stream.receiving(shmem::rx::<N>(seat, 0)?)),
        #[cfg(feature = "peers")]
        "shmem-ipc" => Ok(stream.sending(shmem::tx::<N>(seat, 0)?)),
        #[cfg(feature = "peers")]
        "ipc-channel" => {
            let (tx, rx) = ipc_channel::both(seat)?;
            Ok(if receives { stream.receiving(rx) } else { stream.sending(tx) })
        }
        #[cfg(feature = "peers")]
        "hand-made" => {
            let end = hand_made::End::<N>::open(seat, "stream", receives)?;
            Ok(if receives { stream.receiving(end) } else { stream.sending(end) })
        }
        #[cfg(feature = "peers")]
        "rtrb-threads" => Ok(threads::stream(seat, stream, rtrb::RingBuffer::<[u64; N]>::new(seat.capacity))),
        #[cfg(feature = "peers")]
        "crossbeam-threads" => Ok(threads::stream(seat, stream, crossbeam_channel::bounded::<[u64; N]>(seat.capacity))),
        #[cfg(feature = "peers")]
        "kanal-threads" => Ok(threads::stream(seat, stream, kanal::bounded::<[u64; N]>(seat.capacity))),
        _ => seat.unknown(),
    }
}

/// What a contestant that is written in Python does, if this is one.
pub(crate) fn in_python(seat: &Seat) -> Option<Result<Play, Failure>> {
    #[cfg(feature = "python")]
    if python::NAMES.contains(&seat.contestant.as_str()) {
        return Some(python::play(seat));
    }
    let _ = seat;
    None
}
