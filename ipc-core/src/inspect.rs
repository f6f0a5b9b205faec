//! Looking at channels from outside: which there are, who takes part, what is in them, and how long messages take.
//!
//! An [`Observer`] takes no part in its channel. It maps the segment read-only, holds no lock and no line of the participant
//! table, keeps nobody waiting, and does not keep the segment from being removed. So it can be opened and asked at any
//! time, while everything runs. What it says was true at some moment while it was being found out.
//!
//! ```
//! use ipc_core::inspect::{Observer, State};
//! use ipc_core::{Queue, Role};
//!
//! # let domain = format!("doc-{}", std::process::id());
//! // One program sends, and another one receives ...
//! let queue = Queue::<u64>::new("jobs").domain(&domain).timestamps(true);
//! let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
//! for number in 0..3 {
//!     tx.send(number)?;
//! }
//! rx.recv()?;
//!
//! // ... and a third one looks at it.
//! let jobs = Observer::open_in(&domain, "jobs")?;
//! assert_eq!(jobs.len(), Some(2));
//! let participants = jobs.participants();
//! assert_eq!(participants.len(), 2);
//! assert_eq!((participants[0].role, participants[0].state), (Role::Sender, State::Live));
//! let latency = jobs.latency().expect("it has timestamps");
//! assert_eq!(latency.count(), 1);
//! println!("half of the messages took at most {} ns", latency.value_at_quantile(0.5));
//! # while tx.len() > 0 { rx.recv()?; }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::histogram::{Iter, Latency};

use crate::dynamic::Kind;
use crate::error::{OpenError, Role};
use crate::info::ChannelInfo;
use crate::liveness::{self, Standing};
use crate::name::SegmentName;
use crate::os;
use crate::segment::{self, Segment};
use core::fmt;
use std::fs;
use std::path::PathBuf;

/// A channel that is being looked at.
///
/// An observer is `Send` and `Sync`. In a child that was forked since it was opened it sees nothing: an empty channel without
/// participants. The child may open another one.
pub struct Observer {
    /// Mapped read-only: nothing must be called on it that writes.
    segment: Segment,
    kind: Kind,
    info: ChannelInfo,
}

/// Somebody who takes part in a channel, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Its line in the channel's table of participants.
    pub line: u32,
    /// What it does there.
    pub role: Role,
    /// Its process id, as it sees itself.
    pub pid: u32,
    /// The file name of its executable.
    pub program: String,
    /// How it is doing.
    pub state: State,
}

/// How a participant is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It lives: its process has the lock that says so, however long it has been silent or stopped.
    Live,
    /// It has left, and nobody has taken its line since.
    Closed,
    /// It died without leaving, and nobody has taken its line since.
    Dead,
}

/// A segment that [`list`] has found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Listed {
    /// The domain that the channel lives in.
    pub domain: String,
    /// The channel's name.
    pub name: String,
    /// The segment's file.
    pub path: PathBuf,
}

/// The segments of this machine, in all domains and of all users, in the order of their names. Whether they can be opened
/// has not been tried: [`Observer::open_in`] does that.
///
/// # Errors
///
/// [`OpenError::Os`] if the directory of segments cannot be read.
pub fn list() -> Result<Vec<Listed>, OpenError> {
    let directory = os::segment_directory();
    let os_error = |source| OpenError::Os { action: "list the segments in", path: directory.into(), source };
    let mut listed = Vec::new();
    for entry in fs::read_dir(directory).map_err(os_error)? {
        let path = entry.map_err(os_error)?.path();
        if let Some(name) = SegmentName::from_path(&path) {
            listed.push(Listed { domain: name.domain().into(), name: name.channel().into(), path });
        }
    }
    listed.sort();
    Ok(listed)
}

impl Observer {
    /// Looks at the channel of this name in the domain that the environment says, as
    /// [`Queue::domain`](crate::Queue::domain) does.
    ///
    /// # Errors
    ///
    /// [`OpenError::NoChannel`] if there is none, and the other [`OpenError`]s as they say.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        Self::find(&SegmentName::new(None, name)?)
    }

    /// Looks at the channel of this name in `domain`.
    ///
    /// # Errors
    ///
    /// As for [`open`](Observer::open).
    pub fn open_in(domain: &str, name: &str) -> Result<Self, OpenError> {
        Self::find(&SegmentName::new(Some(domain), name)?)
    }

    fn find(name: &SegmentName) -> Result<Self, OpenError> {
        let no_channel = || OpenError::NoChannel { channel: name.channel().into(), domain: name.domain().into() };
        let segment = segment::observe(name)?.ok_or_else(no_channel)?;
        let kind = segment.geometry().kind;
        let Some(kind) = Kind::of(kind) else {
            let reason = format!("it is a channel of a kind that this version does not know ({kind})");
            return Err(OpenError::NotASegment { path: segment.path().into(), reason });
        };
        let info = ChannelInfo::of_segment(&segment);
        Ok(Observer { segment, kind, info })
    }

    /// What the channel does with its messages.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What does not change about the channel.
    pub fn info(&self) -> &ChannelInfo {
        &self.info
    }

    /// Whether the channel's name still leads to the segment that is being looked at. If not, the channel was removed, and
    /// another one may have come in its place, for another observer.
    pub fn is_current(&self) -> bool {
        self.segment.is_linked().unwrap_or(false)
    }

    /// Those who take part, and those who did and whose line nobody has taken since, in the order of their lines.
    pub fn participants(&self) -> Vec<Participant> {
        let geometry = self.segment.geometry();
        let roles = roles(self.kind);
        let participant = |line| {
            let (standing, peer) = liveness::standing(&self.segment, line);
            let state = match standing {
                Standing::Vacant => return None,
                Standing::Live => State::Live,
                Standing::Closed => State::Closed,
                Standing::Dead => State::Dead,
            };
            let role = roles[usize::from(line >= geometry.first_role)];
            Some(Participant { line, role, pid: peer.pid, program: peer.program.to_string(), state })
        };
        (0..geometry.participants).filter_map(participant).collect()
    }

    /// Messages that wait in a queue; `None` for channels of other kinds.
    ///
    /// This takes a few looks at the ring, or one at each message if they vary in length or the queue is a shared one. A shared
    /// queue in which a message has been returned by a receiver, or left by one that died, is looked at slot by slot.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> Option<usize> {
        let segment = &self.segment;
        match (self.kind, segment.geometry().is_variable()) {
            (Kind::ExclusiveQueue, false) => Some(segment.exclusive_ring().len()),
            (Kind::ExclusiveQueue, true) => Some(segment.frame_ring().len()),
            (Kind::SharedQueue, _) => Some(segment.shared_ring().len()),
            _ => None,
        }
    }

    /// Messages of a queue or a broadcast that were lost with those who died: see [`Sender::lost`](crate::Sender::lost) and
    /// [`Publisher::lost`](crate::Publisher::lost). What the dead have left counts when somebody who takes part has met it.
    pub fn lost(&self) -> u64 {
        match self.kind {
            Kind::SharedQueue => self.segment.shared_ring().losses(),
            Kind::LosslessBroadcast | Kind::LossyBroadcast => self.segment.publishers_losses(),
            _ => 0,
        }
    }

    /// How many messages have been received since the channel was created, if it has timestamps; those whose latency is
    /// [out of range](Latency::out_of_range) are not counted. A broadcast's message is received by each subscriber. Cheaper than [`latency`](Observer::latency), for rates.
    pub fn received(&self) -> Option<u64> {
        Some(self.segment.histogram()?.total())
    }

    /// How long messages have taken since the channel was created. `None` if it has no
    /// [timestamps](crate::Queue::timestamps), if it is a lossy broadcast, whose subscribers count
    /// [for themselves](crate::Subscriber::latency), or if the histogram is of a form that this version does not know.
    pub fn latency(&self) -> Option<Latency> {
        Some(Latency::new(self.segment.histogram()?.read()?))
    }

    /// How long calls of a service have taken, from being made to the (first) reply, as their clients saw it; what
    /// [`latency`](Observer::latency) tells of a service is how long they took to be accepted. `None` for channels of other
    /// kinds, and otherwise as there.
    pub fn round_trips(&self) -> Option<Latency> {
        Some(Latency::new(self.segment.round_trips()?.read()?))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("channel", &self.info.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What those on the two sides of a channel do.
fn roles(kind: Kind) -> [Role; 2] {
    match kind {
        Kind::ExclusiveQueue | Kind::SharedQueue => [Role::Sender, Role::Receiver],
        Kind::LosslessBroadcast | Kind::LossyBroadcast => [Role::Publisher, Role::Subscriber],
        Kind::Latest => [Role::Writer, Role::Reader],
        Kind::Service => [Role::Client, Role::Server],
        _ => [Role::User; 2],
    }
}
