//! One of a contestant's processes: it waits for orders on standard input, does its part, and reports on standard output.

use crate::harness::plan::Failure;
use crate::harness::sample::{Report, now_ns, used_ns};
use crate::ways::memory::Shared;
use crate::works;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// Which process of which contestant this is, and what it needs to know.
#[derive(Clone, clap::Args)]
pub(crate) struct Seat {
    /// Name of the work.
    #[arg(long)]
    pub(crate) work: String,
    /// Which of its variants.
    #[arg(long)]
    pub(crate) variant: String,
    /// Name of the contestant.
    #[arg(long)]
    pub(crate) contestant: String,
    /// Which of the contestant's processes; the first one, 0, holds the clock.
    #[arg(long)]
    pub(crate) index: usize,
    /// Bytes of a message.
    #[arg(long)]
    pub(crate) size_bytes: usize,
    /// Messages that the channel holds.
    #[arg(long)]
    pub(crate) capacity: usize,
    /// Domain of the channels, or whatever else keeps this run apart from others.
    #[arg(long)]
    pub(crate) domain: String,
    /// Where this process may run.
    #[arg(long, value_delimiter = ',')]
    pub(crate) processors: Vec<usize>,
    /// The two processors of the run.
    #[arg(long, value_delimiter = ',')]
    pub(crate) pins: Vec<usize>,
    /// What the processes share from the start: the numbers of descriptors that this one has inherited.
    pub(crate) files: Vec<RawFd>,
}

impl Seat {
    /// A name for what belongs to this case and contestant, and is not the same for each `part`.
    pub(crate) fn channel(&self, part: &str) -> String {
        let variant: String =
            self.variant.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        format!("{}.{variant}.{}.{}.{}.{part}", self.work, self.size_bytes, self.capacity, self.contestant)
            .replace("..", ".")
    }

    /// Inherited descriptor number `index`, to keep.
    pub(crate) fn file(&self, index: usize) -> Result<OwnedFd, Failure> {
        let number = *self.files.get(index).ok_or("the contestant does not share so many files")?;
        // SAFETY: the harness has this process inherit the descriptor, and nobody closes it.
        let file = unsafe { BorrowedFd::borrow_raw(number) };
        Ok(file.try_clone_to_owned()?)
    }

    /// The memory that the contestant's processes share.
    pub(crate) fn memory(&self) -> Result<Shared, Failure> {
        Shared::map(&File::from(self.file(0)?))
    }

    /// That no process does this.
    pub(crate) fn unknown<T>(&self) -> Result<T, Failure> {
        Err(format!("{}: there is no contestant `{}`, or it has no process {}", self.work, self.contestant, self.index)
            .into())
    }
}

/// Runs until the harness closes standard input.
pub(crate) fn run(seat: &Seat) -> Result<(), Failure> {
    pin(&seat.processors)?;
    lift_limit_of_files()?;
    let work = works::find(&seat.work).ok_or("there is no such work")?;
    let mut play = (work.play)(seat)?;
    let (mut orders, mut reports) = (io::stdin().lock(), io::stdout().lock());
    let mut report = Report::default();
    loop {
        // The first one says that this process is ready.
        report.write_to(&mut reports)?;
        let mut count = [0; 8];
        if orders.read_exact(&mut count).is_err() {
            return Ok(());
        }
        let (from, used) = (now_ns(), used_ns());
        report = play(u64::from_ne_bytes(count))?;
        // What a process of another language does in the name of this one, it has reported itself.
        report.cpu_ns = report.cpu_ns.max(used_ns() - used);
        report.wall_ns = now_ns() - from;
    }
}

/// Lets this process have as many files open as it may: a thousand channels take a thousand.
fn lift_limit_of_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer leads to a `rlimit` of this call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Keeps this thread on these processors.
pub(crate) fn pin(processors: &[usize]) -> io::Result<()> {
    // SAFETY: `cpu_set_t` is a C struct of integers, for which zero is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &processor in processors {
        // SAFETY: the set is writable, and CPU_SET ignores numbers beyond it.
        unsafe { libc::CPU_SET(processor, &mut set) };
    }
    // SAFETY: the pointer and the length describe `set`.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
