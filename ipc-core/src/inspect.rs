//! Inspecting channels from outside: which channels exist, their participants, their contents, and their latencies.
//!
//! An [`Observer`] is not a participant. It maps the segment read-only, holds no lock and no line of the participant
//! table, blocks nobody, and does not keep the segment from being removed. So it can be used at any time on a running
//! system. Every result is a snapshot.
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

mod eviction;

pub use crate::histogram::{Iter, Latency};
pub use eviction::Eviction;

use crate::dynamic::Kind;
use crate::error::{OpenError, Role};
use crate::info::ChannelInfo;
use crate::liveness::{self, Standing};
use crate::name::SegmentName;
use crate::os;
use crate::segment::{self, Segment};
use core::fmt;
use eviction::Identity;
use std::fs;
use std::path::PathBuf;

/// A read-only view of a channel.
///
/// An observer is `Send` and `Sync`. In a forked child it shows an empty channel without participants. The child may
/// open another one.
pub struct Observer {
    /// Mapped read-only: nothing must be called on it that writes.
    segment: Segment,
    kind: Kind,
    info: ChannelInfo,
}

/// A present or past participant of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Participant {
    /// Its line in the participant table.
    pub line: u32,
    /// Its role.
    pub role: Role,
    /// Its process id, as it sees itself.
    pub pid: u32,
    /// The file name of its executable.
    pub program: String,
    /// Whether it lives.
    pub state: State,
    /// Which one it is, for [`evict`](Observer::evict).
    identity: Identity,
}

/// Whether a participant lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It lives: its process holds its lock. It may be idle or stopped.
    Live,
    /// It lives, and was [sent away](Observer::evict).
    Evicted,
    /// It has closed, and its line has not been reused.
    Closed,
    /// It died without closing, and its line has not been reused.
    Dead,
}

/// A segment, as found by [`list`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Listed {
    /// The channel's domain.
    pub domain: String,
    /// The channel's name.
    pub name: String,
    /// The segment's file.
    pub path: PathBuf,
}

/// Lists the segments of this machine, of all domains and users, sorted by name. It does not try to open them;
/// [`Observer::open_in`] does.
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
    /// Opens a view of the channel with this name, in the default domain (see [`Queue::domain`](crate::Queue::domain)).
    ///
    /// # Errors
    ///
    /// [`OpenError::NoChannel`] if it does not exist, or any other [`OpenError`], as documented there.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        Self::find(&SegmentName::new(None, name)?)
    }

    /// Opens a view of the channel with this name in `domain`.
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

    /// The kind of channel.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The channel's options, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        &self.info
    }

    /// Whether the channel's name still leads to this segment. If not, the channel was removed, and there may be a new
    /// one of the same name, which takes a new observer.
    pub fn is_current(&self) -> bool {
        self.segment.is_linked().unwrap_or(false)
    }

    /// The participants, in the order of their lines, with past ones whose lines have not been reused.
    pub fn participants(&self) -> Vec<Participant> {
        participants_of(&self.segment, self.kind)
    }

    /// The number of messages in a queue; `None` for channels of other kinds.
    ///
    /// Cost: a few loads for an exclusive queue; one for each message if messages vary in length or the queue is
    /// shared; one for each slot if a message of a shared queue was returned by a receiver, or left by one that died.
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

    /// The number of messages of a queue or a broadcast that were lost to crashes: see
    /// [`Sender::lost`](crate::Sender::lost) and [`Publisher::lost`](crate::Publisher::lost). A loss counts once a
    /// participant has found it.
    pub fn lost(&self) -> u64 {
        match self.kind {
            Kind::SharedQueue => self.segment.shared_ring().losses(),
            Kind::LosslessBroadcast | Kind::LossyBroadcast => self.segment.publishers_losses(),
            _ => 0,
        }
    }

    /// The number of messages received since the channel was created, if it has timestamps. Each subscriber of a
    /// broadcast counts. Messages whose latency is [out of range](Latency::out_of_range) do not. Use it for rates: it
    /// is cheaper than [`latency`](Observer::latency).
    pub fn received(&self) -> Option<u64> {
        Some(self.segment.histogram()?.total())
    }

    /// The latencies of messages since the channel was created.
    ///
    /// `None` if the channel has no [timestamps](crate::Queue::timestamps); if it is a lossy broadcast, whose
    /// subscribers each [have their own](crate::Subscriber::latency); or if this version does not know the histogram's
    /// format.
    pub fn latency(&self) -> Option<Latency> {
        Some(Latency::new(self.segment.histogram()?.read()?))
    }

    /// The durations of a service's calls, from the call to the first reply, as clients measured them. `None` for
    /// channels of other kinds, and for the reasons given at [`latency`](Observer::latency), which for a service is the
    /// time until a server accepted.
    pub fn round_trips(&self) -> Option<Latency> {
        Some(Latency::new(self.segment.round_trips()?.read()?))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("channel", &self.info.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Those who have a line in a segment, in the order of their lines.
fn participants_of(segment: &Segment, kind: Kind) -> Vec<Participant> {
    let geometry = segment.geometry();
    let roles = roles(kind);
    let participant = |line| {
        let (standing, peer, generation) = liveness::standing(segment, line);
        let state = match standing {
            Standing::Vacant => return None,
            Standing::Live => State::Live,
            Standing::Evicted => State::Evicted,
            Standing::Closed => State::Closed,
            Standing::Dead => State::Dead,
        };
        let role = roles[usize::from(line >= geometry.first_role)];
        let identity = Identity { instance: geometry.instance, generation };
        Some(Participant { line, role, pid: peer.pid, program: peer.program.to_string(), state, identity })
    };
    (0..geometry.participants).filter_map(participant).collect()
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
