//! Broadcasts: every subscriber gets every message, in one order for all of them.
//!
//! Any number of publishers, up to 64, and of subscribers, up to 128, share the ring of `ring/broadcast.rs` or, if messages
//! vary in length, of `ring/broadcast_frames.rs`. A broadcast is *lossless*: a publisher waits for the slowest subscriber that lives; or *lossy*: a publisher waits for nobody, and
//! a subscriber that has been overtaken is told exactly how many messages it has missed.

mod buffer;
mod feed;
mod outlet;
mod parts;
mod published;
mod publisher;
mod subscriber;

pub use published::Published;
pub use publisher::Publisher;
pub use subscriber::{Iter, Subscriber};

pub(crate) use feed::{Feed, Hindrance, open as open_subscriber};
pub(crate) use outlet::{Outlet, open as open_publisher};
pub(crate) use subscriber::recv_end;

use crate::error::{OpenError, Role};
use crate::layout::{FLAG_TIMESTAMPS, KIND_LOSSLESS_BROADCAST, KIND_LOSSY_BROADCAST};
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::segment::{self, Access, Lifetime, Pages, Spec};
use crate::station;
use core::marker::PhantomData;
use core::time::Duration;

/// Publishers that a broadcast has places for.
const PUBLISHERS: u32 = 64;

/// Subscribers that a broadcast has places for.
const SUBSCRIBERS: u32 = 128;

/// Describes a broadcast, and opens its ends.
///
/// What [`#[derive(IpcMessage)]`](crate::message::IpcMessage) declares with `#[ipc(broadcast = "...")]` is such a
/// description, which `T::channel()` returns. Whichever end is opened first creates the channel, and its options count;
/// all others join what they find.
///
/// ```
/// use ipc_core::Broadcast;
/// # let domain = format!("doc-{}", std::process::id());
/// let ticks = Broadcast::<u64>::new("ticks").capacity(64);
/// # let ticks = ticks.domain(&domain);
/// let (mut first, mut second) = (ticks.subscriber()?, ticks.subscriber()?);
/// let mut publisher = ticks.publisher()?;
/// publisher.send(42)?;
/// assert_eq!(first.recv()?, Some(42));
/// assert_eq!(second.recv()?, Some(42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Messages may vary in length, lossless or lossy:
///
/// ```
/// use ipc_core::Broadcast;
/// # let domain = format!("doc-{}", std::process::id());
/// let headlines = Broadcast::<str>::new("headlines").lossy().history(10);
/// # let headlines = headlines.domain(&domain);
/// let mut publisher = headlines.publisher()?;
/// publisher.send_copy("what was said before")?;
/// let mut late = headlines.subscriber()?;
/// publisher.send_copy("and now")?;
/// assert_eq!(*late.recv_ref()?.unwrap(), *"what was said before");
/// assert_eq!(*late.recv_boxed()?.unwrap(), *"and now");
/// # drop(publisher);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Broadcast<T: ?Sized> {
    name: String,
    domain: Option<String>,
    capacity: Option<usize>,
    lossy: bool,
    history: usize,
    evict_after: Option<Duration>,
    lifetime: Lifetime,
    timestamps: bool,
    pages: Pages,
    access: Access,
    message: PhantomData<fn() -> T>,
}

impl<T: ?Sized> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        let (name, domain, access) = (self.name.clone(), self.domain.clone(), self.access.clone());
        Broadcast { name, domain, access, message: PhantomData, ..*self }
    }
}

impl<T: IpcMessage + ?Sized> Broadcast<T> {
    /// A broadcast with this name, for which the rules are those of [`Queue::new`](crate::Queue::new). It is lossless,
    /// keeps no history and evicts nobody unless something else is asked for.
    pub fn new(name: impl Into<String>) -> Self {
        Broadcast {
            name: name.into(),
            domain: None,
            capacity: None,
            lossy: false,
            history: 0,
            evict_after: None,
            lifetime: Lifetime::default(),
            timestamps: false,
            pages: Pages::default(),
            access: Access::default(),
            message: PhantomData,
        }
    }

    /// How many messages a publisher can be ahead of a subscriber that has just joined, from 1 on; together with the
    /// [history](Broadcast::history), 2^29 at most. By default as many as make a ring of 4 MiB, and at least 16.
    ///
    /// **Of messages that vary in length** it is the size of the ring in bytes, rounded up; by default 4 MiB. A message
    /// takes 8 bytes more than it has (or as many as it is aligned to), in units of 64, and at most half of this.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = Some(messages);
        self
    }

    /// Publishers wait for the slowest subscriber that lives. This is so unless [`lossy`](Broadcast::lossy) is called.
    pub fn lossless(mut self) -> Self {
        self.lossy = false;
        self
    }

    /// Publishers wait for nobody, and what they pay for a message does not depend on the number of subscribers. A
    /// subscriber that has been overtaken gets [`Lagged`](crate::BroadcastRecvError::Lagged) and goes on with a newer
    /// message, three quarters of the ring behind the newest; where messages vary in length, with the oldest that is left.
    pub fn lossy(mut self) -> Self {
        self.lossy = true;
        self
    }

    /// A subscriber that comes late first gets the last so many messages, or as many as there were. There is room for
    /// them besides the capacity.
    ///
    /// **Of messages that vary in length** it gets the last so many, as far as they lie in the last [capacity](Broadcast::capacity)
    /// of what was published, 8 bytes for each and the rounding to units included. There is room for that besides: with a
    /// history the ring is twice as large.
    ///
    /// A channel with a history that its last publisher leaves after its last subscriber holds messages for a later one,
    /// and stays (see [`Lifetime::Drained`]).
    pub fn history(mut self, messages: usize) -> Self {
        self.history = messages;
        self
    }

    /// How long the slowest subscriber of a lossless broadcast may keep a publisher waiting without passing a message,
    /// before publishers go on without it. It then gets [`Evicted`](crate::BroadcastRecvError::Evicted). By default it is
    /// waited for as long as it lives.
    ///
    /// Looked at about every 50 ms, so an eviction may come 100 ms later. A subscriber that is stopped, or in a debugger,
    /// is evicted as any other.
    pub fn evict_after(mut self, limit: Duration) -> Self {
        self.evict_after = Some(limit);
        self
    }

    /// What becomes of the channel when the last participant leaves.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Whether to measure how long messages are on their way, from being published to being received by each subscriber: as
    /// [`Queue::timestamps`](crate::Queue::timestamps), which says what it costs.
    ///
    /// Subscribers of a lossless channel count in the segment, all in one histogram, which tools read without taking part
    /// ([`Observer::latency`](crate::inspect::Observer::latency)). Those of a lossy one store nothing to the segment, and so
    /// each counts for itself; [`Subscriber::latency`] tells.
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Whether to fault every page of the segment in at once: as [`Queue::prefault`](crate::Queue::prefault).
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.pages.prefault = Some(prefault);
        self
    }

    /// Whether to have the segment in huge pages: as [`Queue::huge_pages`](crate::Queue::huge_pages).
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.pages.huge = huge_pages;
        self
    }

    /// Who may open the channel: as [`Queue::mode`](crate::Queue::mode).
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// Gives the channel to a group: as [`Queue::group`](crate::Queue::group).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.access.group = Some(group.into());
        self
    }

    /// Whether ends exchange messages by value only: as [`Queue::hardened`](crate::Queue::hardened).
    pub fn hardened(mut self, hardened: bool) -> Self {
        self.access.hardened = Some(hardened);
        self
    }

    /// Separates this channel from those of the same name in other domains: as [`Queue::domain`](crate::Queue::domain).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opens a publishing end. Nobody needs to subscribe yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::TableFull`] if 64 publishers live, [`OpenError::Kind`] if the channel is lossy here and lossless
    /// there, [`OpenError::Mismatch`] if it carries another message, and the other [`OpenError`]s as they say.
    pub fn publisher(&self) -> Result<Publisher<T>, OpenError> {
        Ok(Publisher::new(open_publisher(&self.spec()?)?))
    }

    /// Opens a subscribing end, which gets what is published from now on, and before that the history. Nobody needs to
    /// publish yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::TableFull`] if 128 subscribers live; otherwise as for [`publisher`](Broadcast::publisher).
    pub fn subscriber(&self) -> Result<Subscriber<T>, OpenError> {
        Ok(Subscriber::new(open_subscriber(&self.spec()?)?))
    }

    /// Removes the channel, with the messages that are in it. `Ok(false)` if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives takes part in it.
    pub fn remove(&self) -> Result<bool, OpenError> {
        let roles = [Role::Publisher, Role::Subscriber];
        segment::remove(&self.segment_name()?, &self.access, |segment| station::check_unused(segment, roles))
    }

    fn segment_name(&self) -> Result<SegmentName, OpenError> {
        SegmentName::new(self.domain.as_deref(), &self.name)
    }

    fn spec(&self) -> Result<Spec, OpenError> {
        if self.lossy && self.evict_after.is_some() {
            return Err(OpenError::Unsupported("a lossy broadcast waits for nobody, so it evicts nobody"));
        }
        let kind = if self.lossy { KIND_LOSSY_BROADCAST } else { KIND_LOSSLESS_BROADCAST };
        let spec = Spec::new::<T>(self.segment_name()?, kind, [PUBLISHERS, SUBSCRIBERS])?;
        let Broadcast { capacity, lifetime, history, evict_after, pages, .. } = *self;
        let flags = spec.flags | if self.timestamps { FLAG_TIMESTAMPS } else { 0 };
        let access = self.access.clone();
        Ok(Spec { capacity, lifetime, history, evict_after, flags, pages, access, ..spec })
    }
}
