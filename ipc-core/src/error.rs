//! Errors: one small enum for each operation.
//!
//! An error that refuses a value gives it back. Each message says what is wrong and what to do about it.
//!
//! An [`OpenError`] names the channel. The errors of an end's methods do not, since a name would make the result of every
//! method larger, and results come with every message: the end says it, by its `info().name`.

mod broadcast;
mod convert;
mod latest;
mod mismatch;
mod queue;
mod service;
mod sync;

pub use broadcast::{BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError};
pub use latest::{ReadError, WaitNewerError, WriteError};
pub use mismatch::Mismatch;
pub use queue::{
    LoanError, LoanTimeoutError, RecvError, RecvTimeoutError, SendBatchError, SendError, SendTimeoutError, TooLarge,
    TryLoanError, TryRecvError, TrySendError,
};
pub use service::{AcceptError, CallError, ReplyError};
pub use sync::{
    AddError, BarrierError, BarrierTimeoutError, Forked, LockError, LockTimeoutError, OnceError, PermitError,
    PermitTimeoutError, SharedError, Spoilt, TryLockError, TryPermitError,
};

use crate::message::Invalid;
use core::fmt;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A process that takes part in a channel, as it described itself. It is for people to read; no decision depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process id in its own PID namespace.
    pub pid: u32,
    /// The file name of its executable.
    pub program: Box<str>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} \"{}\"", self.pid, self.program)
    }
}

/// The role of a participant in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends messages.
    Sender,
    /// Receives messages.
    Receiver,
    /// Sends messages to all subscribers of a broadcast.
    Publisher,
    /// Receives all messages of a broadcast.
    Subscriber,
    /// Sets a latest value.
    Writer,
    /// Reads a latest value.
    Reader,
    /// Calls a service.
    Client,
    /// Answers a service's calls.
    Server,
    /// Has one end of a pipe.
    Left,
    /// Has the other end of a pipe.
    Right,
    /// Uses something of [`sync`](crate::sync): a lock, a semaphore, a shared value.
    User,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Sender => "sender",
            Role::Receiver => "receiver",
            Role::Publisher => "publisher",
            Role::Subscriber => "subscriber",
            Role::Writer => "writer",
            Role::Reader => "reader",
            Role::Client => "client",
            Role::Server => "server",
            Role::Left => "left end",
            Role::Right => "right end",
            Role::User => "user",
        })
    }
}

/// Why a channel could not be created or joined.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The channel's or the domain's name cannot be part of a file name.
    #[error("the {what} {} cannot be used: {rule}", shortened(.name))]
    Name {
        /// "channel name", "domain", or where else the name comes from.
        what: &'static str,
        /// The name as it was given.
        name: String,
        /// What it breaks, and what is allowed.
        rule: &'static str,
    },
    /// The capacity is zero, or so large that the segment's size makes no sense.
    #[error("a capacity of {capacity}{of} is not possible: {rule}", of = of_messages(*.message_bytes))]
    Capacity {
        /// The capacity as it was given: messages, or bytes where they vary in length.
        capacity: usize,
        /// Bytes of one message, or 0 if it is not messages that are counted.
        message_bytes: usize,
        /// What it breaks.
        rule: &'static str,
    },
    /// A barrier cannot have this many parties, or a semaphore this many permits.
    #[error("{count} {unit} are not possible: {rule}")]
    Count {
        /// The number as it was given.
        count: u32,
        /// "parties" or "permits".
        unit: &'static str,
        /// What it breaks.
        rule: &'static str,
    },
    /// The barrier was created for another number of parties, or the bounded semaphore for another number of permits.
    #[error(
        "\"{name}\" was created for another number of {unit} ({found}, by {creator}) than this program opens it for ({expected}): use the same number on both sides, or another name"
    )]
    OtherCount {
        /// The name of the barrier or semaphore.
        name: String,
        /// "parties" or "permits".
        unit: &'static str,
        /// The number that it was created with.
        found: u32,
        /// The number that this program expects.
        expected: u32,
        /// Who created it.
        creator: Peer,
    },
    /// The message cannot travel on this kind of channel.
    #[error("`{message}` cannot be sent: {rule}")]
    Message {
        /// The message's name.
        message: &'static str,
        /// What it breaks, and what to do.
        rule: &'static str,
    },
    /// This version does not support this combination of options.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The role is exclusive, and a live participant has it.
    #[error("channel \"{channel}\" has a {role} already: {peer}; it has room for one")]
    InUse {
        /// The channel's name.
        channel: String,
        /// The role that was asked for.
        role: Role,
        /// Who has it.
        peer: Peer,
    },
    /// The channel has its maximum of live participants in this role.
    #[error("channel \"{channel}\" has {places} {role}s, which is all that it has places for: end one of them")]
    TableFull {
        /// The channel's name.
        channel: String,
        /// The role that was asked for.
        role: Role,
        /// The maximum.
        places: u32,
    },
    /// There is no channel of this name, and this call does not create one.
    #[error(
        "there is no channel \"{channel}\" in the domain \"{domain}\": start the program that creates it, or set SLIPRING_DOMAIN"
    )]
    NoChannel {
        /// The channel's name.
        channel: String,
        /// Where it was looked for.
        domain: String,
    },
    /// The channel exists, but is of another kind.
    #[error(
        "channel \"{channel}\" is {found} (created by {creator}), and this program opens it as {expected}: use another name, or the same declaration on both sides"
    )]
    Kind {
        /// The channel's name.
        channel: String,
        /// What it is.
        found: &'static str,
        /// The kind that this program expects.
        expected: &'static str,
        /// Who created it.
        creator: Peer,
    },
    /// The channel exists, but carries another message type.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
    /// The file under the segment's name is not a segment, or is damaged.
    #[error("{} is not a usable segment: {reason}; remove it if nobody uses it", path.display())]
    NotASegment {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The segment was made by a version of slipring with another format.
    #[error("{} has segment format {found}, and this program speaks format {expected}: {advice}", path.display())]
    FormatVersion {
        /// The file.
        path: PathBuf,
        /// Format of the segment.
        found: u32,
        /// Format of this program.
        expected: u32,
        /// Which of the two to rebuild.
        advice: &'static str,
    },
    /// The segment was made on a machine of the other byte order.
    #[error("{} was written in the other byte order: a segment cannot be moved between such machines; remove it", path.display())]
    ByteOrder {
        /// The file.
        path: PathBuf,
    },
    /// The segment was made by a program with another backend, whose locks this one does not see.
    #[error(
        "{} was made with {found} (by {creator}), and this program has {expected}: build both with or without the feature `portable`",
        path.display()
    )]
    Backend {
        /// The file.
        path: PathBuf,
        /// What made it.
        found: &'static str,
        /// What this program has.
        expected: &'static str,
        /// Who created it.
        creator: Peer,
    },
    /// The process, or the system, has no file descriptor left.
    #[error(
        "no descriptor is left for {}, of {limit} that this process may have: each open channel takes one; close what is not used, or raise the limit (ulimit -n, LimitNOFILE=, fs.file-max)",
        path.display()
    )]
    Descriptors {
        /// The file that was to be opened, or the directory in which one was to be created.
        path: PathBuf,
        /// Descriptors that the process may have (its soft limit).
        limit: u64,
    },
    /// There is not enough shared memory.
    #[error(
        "{} has no room for a segment of {bytes} bytes: lower the capacity, remove segments that nobody uses, or enlarge it (mount -o remount,size=...)",
        path.display()
    )]
    NoSpace {
        /// The directory of the segments.
        path: PathBuf,
        /// Bytes that were asked for.
        bytes: u64,
    },
    /// The segment is larger than this process's file size limit.
    #[error(
        "a segment of {bytes} bytes is larger than the {limit} bytes that a file of this process may have (RLIMIT_FSIZE, ulimit -f): raise the limit, or lower the capacity"
    )]
    FileSize {
        /// Bytes that were asked for.
        bytes: u64,
        /// Bytes that a file may have (the soft limit).
        limit: u64,
    },
    /// The segment belongs to another user.
    #[error("no permission for {}, which belongs to user {owner}: run as that user, have both programs give it a `mode` or a `group`, or choose another SLIPRING_DOMAIN", path.display())]
    Permission {
        /// The file.
        path: PathBuf,
        /// Numeric user id of its owner, as far as it can be seen.
        owner: u32,
    },
    /// A segment cannot have the mode that was asked for.
    #[error("a segment cannot have the mode {mode:#o}: {rule}")]
    Mode {
        /// The mode as it was given.
        mode: u32,
        /// What it breaks, and what to do.
        rule: &'static str,
    },
    /// The segment cannot belong to the group that was asked for.
    #[error("a segment cannot be given to the group \"{group}\": {rule}")]
    Group {
        /// The group as it was given.
        group: String,
        /// Why not.
        rule: &'static str,
    },
    /// Another process has held the channel's lifecycle lock for seconds. It may have been stopped while joining or
    /// leaving.
    #[error("{} has been locked for {seconds} s by a process that is joining or leaving it: is one stopped, or under a debugger?", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// How long this call has waited.
        seconds: u64,
    },
    /// A system call failed for another reason.
    #[error("cannot {action} {}: {source}", path.display())]
    Os {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A name in quotes, and no more of a long one than its beginning.
fn shortened(name: &str) -> String {
    const SHOWN: usize = 64;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}... ({} bytes)", &name[..end], name.len()),
        None => format!("{name:?}"),
    }
}

/// What a capacity is counted in, if it is messages.
fn of_messages(message_bytes: usize) -> String {
    if message_bytes == 0 { String::new() } else { format!(" messages of {message_bytes} bytes") }
}

/// Shared memory holds something that no correct program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Corrupt {
    /// A message is not a valid value of its type. It has been skipped; the next call goes on after it.
    #[error("a message is invalid and was skipped: {0}")]
    Message(#[from] Invalid),
    /// A slot's stamp, or a position in the ring, is impossible. The channel is unusable.
    #[error("the ring is damaged at slot {slot}: {found} where {expected} belongs; remove the channel and start over")]
    Stamp {
        /// The slot at which it was noticed.
        slot: usize,
        /// The stamp or the place that was found.
        found: u64,
        /// What would have been right.
        expected: u64,
    },
    /// Shared words changed between every two reads, over and over, which no correct program causes.
    #[error(
        "the channel changes under every look at it: somebody writes to it who should not; remove it and start over"
    )]
    Unsettled,
}

/// Prints the variant and what is known besides the message, which need not be printable.
macro_rules! debug_as_display {
    ($($error:ident),*) => {$(
        impl<T> fmt::Debug for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($error), "({})"), self)
            }
        }
    )*};
}

debug_as_display!(SendError, TrySendError, SendTimeoutError, SendBatchError, WriteError);
