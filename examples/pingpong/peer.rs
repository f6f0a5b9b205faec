//! The other process of a pair: it waits for orders on standard input and does its half of the work.

use super::links::{CachedIndexRing, End, Futex, Line, Link, Pipe, Shared, Slipring};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;

/// What to be the peer of.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The contestant.
    pub(crate) contestant: String,
    /// The work.
    pub(crate) work: String,
    /// Words of a message.
    pub(crate) words: usize,
    /// Capacity of the rings in messages.
    pub(crate) capacity: usize,
    /// Name of the channels.
    pub(crate) name: String,
    /// Processor to run on.
    pub(crate) processor: usize,
    /// Memory to share, as the path of the parent's descriptor.
    pub(crate) shared: PathBuf,
}

/// The orders: how many messages to send or to echo. Zero is the end.
fn orders() -> Result<impl Iterator<Item = u64>, Box<dyn Error>> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    Ok(std::iter::from_fn(move || {
        let mut count = [0; 8];
        input.read_exact(&mut count).ok()?;
        Some(u64::from_ne_bytes(count)).filter(|&count| count != 0)
    }))
}

/// Runs until the parent closes standard input.
pub(crate) fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    pin(args.processor)?;
    let shared = || -> Result<Shared, Box<dyn Error>> {
        Shared::map(&OpenOptions::new().read(true).write(true).open(&args.shared)?)
    };
    match (args.contestant.as_str(), args.words) {
        ("line", _) => {
            let line = Line(shared()?);
            orders()?.for_each(|count| line.pong(count));
        }
        ("futex", _) => {
            let mut futex = Futex::new(shared()?, End::Child);
            let mut turn = 0;
            orders()?.for_each(|count| {
                for _ in 0..count {
                    turn += 1;
                    futex.recv(turn);
                    futex.send();
                }
            });
        }
        (_, 6) => serve::<6>(args, shared)?,
        (_, 8) => serve::<8>(args, shared)?,
        (_, words) => return Err(format!("no contestant has messages of {words} words").into()),
    }
    Ok(())
}

fn serve<const N: usize>(
    args: &Args,
    shared: impl Fn() -> Result<Shared, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let stdio = || -> io::Result<Pipe> {
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Pipe::new(input, File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    };
    match args.contestant.as_str() {
        "slipring" => work::<N>(&args.work, &mut Slipring::open(&args.name, args.capacity, End::Child)?),
        "ring" => work::<N>(&args.work, &mut CachedIndexRing::new(shared()?, args.capacity, End::Child)),
        "pipe" => work::<N>(&args.work, &mut stdio()?),
        other => Err(format!("there is no contestant {other}").into()),
    }
}

fn work<const N: usize>(work: &str, link: &mut impl Link<N>) -> Result<(), Box<dyn Error>> {
    for count in orders()? {
        if work == "one-way" {
            (0..count).for_each(|sequence| link.send(message(sequence)));
        } else {
            for _ in 0..count {
                let Some(message) = link.recv() else { return Ok(()) };
                link.send(message);
            }
        }
    }
    Ok(())
}

/// Message number `sequence`.
#[inline(always)]
pub(crate) fn message<const N: usize>(sequence: u64) -> [u64; N] {
    let mut message = [sequence; N];
    message[N - 1] = !sequence;
    message
}

/// Panics unless `message` is number `sequence`.
#[inline(always)]
pub(crate) fn verify<const N: usize>(message: Option<[u64; N]>, sequence: u64) {
    let message = message.expect("the peer lives");
    assert!(message[0] == sequence && message[N - 1] == !sequence, "message {sequence} arrived as {message:?}");
}

/// Keeps this process on one processor.
pub(crate) fn pin(processor: usize) -> io::Result<()> {
    // SAFETY: `cpu_set_t` is a C struct of integers, for which zero is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is writable, and CPU_SET ignores numbers beyond it.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the pointer and the length describe `set`.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
