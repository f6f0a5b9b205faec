//! What a channel takes of shared memory, by kind, and what each of its ends takes of the memory of its process.

use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Processor, Work};
use crate::harness::sample::{Play, Report};
use crate::loops::{SIZES, sized};
use crate::peer::Seat;
use crate::ways::queue;
use slipring::{Broadcast, Latest, Lifetime, Service};
use std::any::Any;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Memory.
pub(crate) static WORK: Work = Work {
    name: "memory",
    about: "What a channel of 1,024 messages takes of shared memory with both ends open, by kind, and what an end takes of the memory of its process.",
    cases,
    play,
};

/// Kinds of channels, with both ends open.
const KINDS: [&str; 5] = ["exclusive queue", "shared queue", "broadcast", "latest", "service"];

/// What an end takes beside the segment.
const PRIVATE: &str = "private, an end";

/// Channels whose ends are opened to see what one takes.
const CHANNELS: u64 = 64;

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |(size_bytes, variant): (usize, &str)| Case {
        work: WORK.name,
        variant: variant.to_string(),
        size_bytes,
        capacity: 1024,
        metric: Metric::Bytes,
        filing: Filing::As("any"),
        contestants: vec![Contestant::new("slipring", 1).seats([Processor::First])],
    };
    let variants = |size| KINDS.into_iter().chain([PRIVATE]).map(move |variant| (size, variant));
    plan.sizes_or(&[64], &SIZES).into_iter().flat_map(variants).map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    if seat.variant == PRIVATE {
        let seat = seat.clone();
        return Ok(Box::new(move |count| Ok(Report::spent(private::<N>(&seat)? * count, count))));
    }
    let (path, ends) = open::<N>(seat)?;
    Ok(Box::new(move |count| {
        let _open = &ends;
        // In units of 512 bytes, whatever the blocks of the file system are.
        Ok(Report::spent(fs::metadata(&path)?.blocks() * 512 * count, count))
    }))
}

/// A channel of the kind with both ends open, and where its segment is.
fn open<const N: usize>(seat: &Seat) -> Result<(PathBuf, Box<dyn Any>), Failure> {
    let (name, domain, capacity) = (seat.channel("memory"), &seat.domain, seat.capacity);
    Ok(match seat.variant.as_str() {
        "exclusive queue" => {
            let queue = queue::exclusive::<N>(seat, "memory");
            let (tx, rx) = (queue.sender()?, queue.receiver()?);
            (rx.info().path.clone(), Box::new((tx, rx)))
        }
        "shared queue" => {
            let queue = queue::shared::<N>(seat, "memory");
            let (tx, rx) = (queue.sender()?, queue.receiver()?);
            (rx.info().path.clone(), Box::new((tx, rx)))
        }
        "broadcast" => {
            let broadcast = Broadcast::<[u64; N]>::new(name).domain(domain).capacity(capacity);
            let broadcast = broadcast.lifetime(Lifetime::Attached).lossless();
            let (tx, rx) = (broadcast.publisher()?, broadcast.subscriber()?);
            (rx.info().path.clone(), Box::new((tx, rx)))
        }
        "latest" => {
            let latest = Latest::<[u64; N]>::new(name).domain(domain).lifetime(Lifetime::Attached);
            let (tx, rx) = (latest.writer()?, latest.reader()?);
            (rx.info().path.clone(), Box::new((tx, rx)))
        }
        "service" => {
            let service = Service::<[u64; N], [u64; N]>::new(name).domain(domain).capacity(capacity);
            let service = service.lifetime(Lifetime::Attached);
            let (server, client) = (service.server()?, service.client()?);
            (client.info().path.clone(), Box::new((server, client)))
        }
        _ => return seat.unknown(),
    })
}

/// Bytes of private memory that an end takes: what the process grows by when it opens many.
fn private<const N: usize>(seat: &Seat) -> Result<u64, Failure> {
    let before = anonymous_bytes()?;
    let mut ends = Vec::new();
    for channel in 0..CHANNELS {
        let queue = queue::exclusive::<N>(seat, &format!("memory-{channel}"));
        ends.push((queue.sender()?, queue.receiver()?));
    }
    let grown = anonymous_bytes()?.saturating_sub(before);
    Ok(grown / (2 * CHANNELS))
}

/// Private memory that this process has in use.
fn anonymous_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("there is no RssAnon")?;
    Ok(kib.parse::<u64>()? * 1024)
}
