//! What is to be measured: works, their cases, and who takes part.

use super::sample::Play;
use crate::peer::Seat;
use std::error::Error;
use std::fmt::Write;

/// Why a measurement could not be taken.
pub(crate) type Failure = Box<dyn Error>;

/// What the user asked for.
pub(crate) struct Plan {
    /// Samples of a tenth of the length.
    pub(crate) quick: bool,
    /// Rounds per case.
    pub(crate) rounds: usize,
    /// The two processors.
    pub(crate) pins: [usize; 2],
    /// Only these works; all if there are none.
    pub(crate) only: Vec<String>,
    /// Only these contestants; all if there are none.
    pub(crate) contestants: Vec<String>,
    /// Only variants whose names contain one of these; all if there are none.
    pub(crate) variants: Vec<String>,
    /// Sizes of messages in bytes; those of the work if there are none.
    pub(crate) sizes: Vec<usize>,
}

impl Plan {
    /// Whether the work is to be done.
    pub(crate) fn wants(&self, work: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == work)
    }

    /// Whether the variant of a work is to be measured.
    pub(crate) fn wants_variant(&self, variant: &str) -> bool {
        self.variants.is_empty() || self.variants.iter().any(|part| variant.contains(part.as_str()))
    }

    /// The sizes of messages to measure in a work that has these by itself, and that can have any of `possible`.
    pub(crate) fn sizes_or(&self, own: &[usize], possible: &[usize]) -> Vec<usize> {
        let wanted = if self.sizes.is_empty() { own } else { &self.sizes };
        wanted.iter().copied().filter(|size| possible.contains(size)).collect()
    }

    /// How many pieces of work make a sample for which a contestant asks for so many.
    pub(crate) fn count(&self, count: u64) -> u64 {
        if self.quick { (count / 10).max(1) } else { count }
    }
}

/// Something that can be done in several ways. Each work is one file in `works/`.
pub(crate) struct Work {
    /// As on the command line and in the output.
    pub(crate) name: &'static str,
    /// What it is about, for the report.
    pub(crate) about: &'static str,
    /// What is measured.
    pub(crate) cases: fn(&Plan) -> Vec<Case>,
    /// Makes what a process does at each order. It runs in that process.
    pub(crate) play: fn(&Seat) -> Result<Play, Failure>,
}

/// What the contestants are compared in.
pub(crate) struct Case {
    /// Name of the work.
    pub(crate) work: &'static str,
    /// What distinguishes it from others of the same work and size, such as `2x2`; empty if there are none.
    pub(crate) variant: String,
    /// Bytes of a message.
    pub(crate) size_bytes: usize,
    /// Messages that the channel holds.
    pub(crate) capacity: usize,
    /// What the figures say.
    pub(crate) metric: Metric,
    /// How samples are filed.
    pub(crate) filing: Filing,
    /// Who takes part. In every round each takes a sample.
    pub(crate) contestants: Vec<Contestant>,
}

impl Case {
    /// What it is, for people.
    pub(crate) fn title(&self) -> String {
        let mut title = format!("{} {}", self.work, self.variant).trim_end().to_string();
        // Writing to a string does not fail.
        let _ = write!(title, ", {} B, capacity {}", self.size_bytes, self.capacity);
        title
    }

    /// The case with these contestants only, or with all if there are none; `None` if nobody is left.
    pub(crate) fn only(mut self, names: &[String]) -> Option<Case> {
        self.contestants.retain(|contestant| names.is_empty() || names.iter().any(|name| name == contestant.name));
        (!self.contestants.is_empty()).then_some(self)
    }
}

/// What the figures of a case say. All are made of nanoseconds per piece of work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Nanoseconds.
    Mean,
    /// Messages per second.
    Rate,
    /// Bytes of messages per second.
    Bandwidth,
    /// Percent of a processor: the pieces are nanoseconds themselves.
    Percent,
    /// Bytes of memory: these are counted as if they were nanoseconds.
    Bytes,
}

/// How the samples of a case are filed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filing {
    /// By where the processors were around it, as the line tells.
    ByLine,
    /// The same, and the line itself is the limit that the contestants are compared with.
    AgainstLine,
    /// Where the processors are does not matter, and this is what is said instead.
    As(&'static str),
}

/// One way of getting a work done, and the processes that it takes.
pub(crate) struct Contestant {
    /// As in the output; `slipring`, or `limit` for what bounds the work.
    pub(crate) name: &'static str,
    /// Pieces of work, such as messages, in a sample: some ten milliseconds' worth.
    pub(crate) count: u64,
    /// Where its processes run.
    pub(crate) seats: Vec<Processor>,
    /// What they share from the start.
    pub(crate) files: Files,
}

impl Contestant {
    /// A pair of processes, on a processor each, that share nothing from the start.
    pub(crate) fn new(name: &'static str, count: u64) -> Self {
        Contestant { name, count, seats: vec![Processor::First, Processor::Second], files: Files::None }
    }

    /// With processes on these processors.
    pub(crate) fn seats(self, seats: impl Into<Vec<Processor>>) -> Self {
        Contestant { seats: seats.into(), ..self }
    }

    /// With files that all of its processes have open.
    pub(crate) fn files(self, files: Files) -> Self {
        Contestant { files, ..self }
    }
}

/// Where a process may run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processor {
    /// On the first of the two.
    First,
    /// On the second.
    Second,
    /// On both.
    Either,
}

/// What the processes of a contestant share from the start, as descriptors that they inherit.
#[derive(Clone, Copy)]
pub(crate) enum Files {
    /// Nothing: they meet by name.
    None,
    /// Memory of so many bytes, all zero.
    Memory(usize),
    /// Such memory, and so many eventfds behind it.
    MemoryAndEvents(usize, usize),
    /// So many links, two descriptors each.
    Links(Link, usize),
}

/// A way of the system's for getting bytes from one process to another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// A pipe as it comes: the reading end and the writing end.
    Pipe,
    /// A pipe that was enlarged to a MiB.
    PipeEnlarged,
    /// A pair of Unix sockets for streams of bytes.
    UnixStream,
    /// A pair of Unix sockets for messages that keep their ends.
    UnixSeqpacket,
    /// A TCP connection over the loopback interface, without delays.
    Tcp,
    /// A POSIX message queue for messages of at most 8 KiB: one descriptor to read from, one to write to.
    PosixMq,
}

impl Link {
    /// All, with the names that they have as contestants.
    pub(crate) const ALL: [(Link, &'static str); 6] = [
        (Link::Pipe, "pipe"),
        (Link::PipeEnlarged, "pipe-enlarged"),
        (Link::UnixStream, "unix-stream"),
        (Link::UnixSeqpacket, "unix-seqpacket"),
        (Link::Tcp, "tcp"),
        (Link::PosixMq, "posix-mq"),
    ];

    /// The one that a contestant of this name uses.
    pub(crate) fn named(name: &str) -> Option<Link> {
        Link::ALL.iter().find(|(_, own)| *own == name).map(|(link, _)| *link)
    }

    /// Whether each of its descriptors can be read from and written to.
    pub(crate) fn is_duplex(self) -> bool {
        matches!(self, Link::UnixStream | Link::UnixSeqpacket | Link::Tcp)
    }

    /// The longest message, in bytes, if there is a limit.
    pub(crate) fn longest(self) -> Option<usize> {
        match self {
            Link::PosixMq => Some(8 << 10),
            // What its buffer holds by default, less what the system needs for itself.
            Link::UnixSeqpacket => Some(96 << 10),
            _ => None,
        }
    }
}
