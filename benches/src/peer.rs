//! One of a contestant's processes: it waits for orders on standard input, does its part, and reports on standard output.

use crate::harness::plan::Failure;
use crate::harness::sample::Report;
use crate::ways::memory::Shared;
use crate::works;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// Which process of which contestant this is, and what it needs to know.
#[derive(clap::Args)]
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
    /// What the processes share from the start, as paths of the harness's descriptors.
    pub(crate) files: Vec<PathBuf>,
}

impl Seat {
    /// A name for what belongs to this case and contestant, and is not the same for each `part`.
    pub(crate) fn channel(&self, part: &str) -> String {
        let variant = self.variant.replace(' ', "-");
        format!("{}.{variant}.{}.{}.{}.{part}", self.work, self.size_bytes, self.capacity, self.contestant)
            .replace("..", ".")
    }

    /// The memory that the contestant's processes share.
    pub(crate) fn memory(&self) -> Result<Shared, Failure> {
        let path = self.files.first().ok_or("the contestant has no memory to share")?;
        Shared::map(&OpenOptions::new().read(true).write(true).open(path)?)
    }

    /// The reading end of pipe number `index`.
    pub(crate) fn pipe_out(&self, index: usize) -> Result<File, Failure> {
        Ok(File::open(self.files.get(2 * index).ok_or("the contestant has no such pipe")?)?)
    }

    /// The writing end of pipe number `index`.
    pub(crate) fn pipe_in(&self, index: usize) -> Result<File, Failure> {
        let path = self.files.get(2 * index + 1).ok_or("the contestant has no such pipe")?;
        Ok(OpenOptions::new().write(true).open(path)?)
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
    let work = works::find(&seat.work).ok_or("there is no such work")?;
    let mut play = (work.play)(seat)?;
    let (mut orders, mut reports) = (io::stdin().lock(), io::stdout().lock());
    let mut report = Report::default();
    loop {
        // The first one says that this process is ready.
        reports.write_all(report.to_bytes().as_flattened())?;
        reports.flush()?;
        let mut count = [0; 8];
        if orders.read_exact(&mut count).is_err() {
            return Ok(());
        }
        report = play(u64::from_ne_bytes(count))?;
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
