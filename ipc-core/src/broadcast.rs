//! Broadcasts: every subscriber gets every message, and all subscribers get them in the same order.
//!
//! Up to 64 publishers and 128 subscribers share one ring: `ring/broadcast.rs`, or `ring/broadcast_frames.rs` if
//! messages vary in length.
//!
//! - In a *lossless* broadcast, a publisher waits for the slowest live subscriber (back-pressure).
//! - In a *lossy* broadcast, a publisher never waits. A subscriber that was overtaken gets the exact number of messages
//!   that it missed.
//!
//! # How the code is laid out
//!
//! | type | what it is |
//! |---|---|
//! | [`Broadcast`] | the builder: name and options |
//! | [`Publisher`], [`Subscriber`] | the public handles |
//! | `Outlet`, `Feed` | a publisher's and a subscriber's end, whichever ring the channel has |

mod buffer;
mod feed;
mod outlet;
mod parts;
mod published;
mod publisher;
mod subscriber;

pub use published::{Published, PublishedBatch};
pub use publisher::Publisher;
pub use subscriber::{Iter, Subscriber};

pub(crate) use feed::{Feed, Hindrance, open as open_subscriber};
pub(crate) use outlet::{Outlet, open as open_publisher};
pub(crate) use parts::evict_subscriber;
pub(crate) use subscriber::recv_end;

use crate::error::{OpenError, Role};
use crate::layout::{FLAG_TIMESTAMPS, KIND_LOSSLESS_BROADCAST, KIND_LOSSY_BROADCAST};
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::segment::{self, Access, Lifetime, Pages, Spec};
use crate::station;
use core::marker::PhantomData;
use core::time::Duration;

/// The most publishers that a broadcast can have at a time.
const PUBLISHERS: u32 = 64;

/// The most subscribers that a broadcast can have at a time.
const SUBSCRIBERS: u32 = 128;

/// A builder for the ends of a broadcast.
///
/// `#[ipc(broadcast = "...")]` on a [derived message](crate::message::IpcMessage) declares one, which `T::channel()`
/// returns. The first end to be opened creates the channel with this builder's options. Every later end joins the
/// channel as it is.
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
    pub(crate) access: Access,
    message: PhantomData<fn() -> T>,
}

impl<T: ?Sized> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        let (name, domain, access) = (self.name.clone(), self.domain.clone(), self.access.clone());
        Broadcast { name, domain, access, message: PhantomData, ..*self }
    }
}

impl<T: ?Sized> Broadcast<T> {
    /// A broadcast with this name and the default options: lossless, without history, without eviction.
    ///
    /// The rules for the name are those of [`Queue::new`](crate::Queue::new).
    pub fn new(name: impl Into<String>) -> Self
    where
        T: IpcMessage,
    {
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

    /// Sets how many messages a publisher can be ahead of a subscriber that has just joined, from 1 on.
    ///
    /// Capacity and [history](Broadcast::history) together are at most 2^29. The default fills a ring of 4 MiB, with at
    /// least 16 messages.
    ///
    /// **If messages vary in length**, this is the size of the ring in bytes, rounded up; the default is 4 MiB. A
    /// message takes its own length plus 8 bytes (or plus its alignment, if that is larger), rounded up to units of 64
    /// bytes. The longest message takes half of the ring.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = Some(messages);
        self
    }

    /// Makes publishers wait for the slowest live subscriber. This is the default.
    pub fn lossless(mut self) -> Self {
        self.lossy = false;
        self
    }

    /// Makes publishers never wait. The cost of publishing does not depend on the number of subscribers.
    ///
    /// A subscriber that was overtaken gets [`Lagged`](crate::BroadcastRecvError::Lagged) with the number of messages
    /// that it missed. It continues three quarters of the ring behind the newest message, or, if messages vary in
    /// length, with the oldest message that is left.
    pub fn lossy(mut self) -> Self {
        self.lossy = true;
        self
    }

    /// Sets how many earlier messages a new subscriber gets first, or all if there were fewer. The default is 0.
    ///
    /// The ring has room for them in addition to the capacity.
    ///
    /// **If messages vary in length**, the history is also limited to the last [capacity](Broadcast::capacity) bytes
    /// that were published, headers and rounding included. With a history the ring is twice as large.
    ///
    /// If the last publisher leaves such a channel after the last subscriber, the channel stays, since it holds
    /// messages for a later subscriber (see [`Lifetime::Drained`]).
    pub fn history(mut self, messages: usize) -> Self {
        self.history = messages;
        self
    }

    /// Sets how long a subscriber of a lossless broadcast may block a publisher without taking a message. It is then
    /// evicted.
    ///
    /// Publishers continue without an evicted subscriber, and it gets [`Evicted`](crate::BroadcastRecvError::Evicted).
    /// By default, publishers wait for a subscriber as long as it lives.
    ///
    /// Publishers check about every 50 ms, so an eviction may come up to 100 ms late. A subscriber that is stopped, or
    /// held in a debugger, is evicted like any other.
    pub fn evict_after(mut self, limit: Duration) -> Self {
        self.evict_after = Some(limit);
        self
    }

    /// Sets what happens to the channel when its last participant leaves.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets whether to measure the latency of messages, from publishing to each subscriber's `recv`. The default is
    /// `false`.
    ///
    /// See [`Queue::timestamps`](crate::Queue::timestamps) for the cost.
    ///
    /// Subscribers of a lossless channel share one histogram in the segment, which
    /// [`Observer::latency`](crate::inspect::Observer::latency) reads from outside. Subscribers of a lossy channel
    /// never write to the segment, so each has its own: [`Subscriber::latency`].
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Sets whether opening the channel faults in all of its pages: see [`Queue::prefault`](crate::Queue::prefault).
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.pages.prefault = Some(prefault);
        self
    }

    /// Sets whether to ask for huge pages: see [`Queue::huge_pages`](crate::Queue::huge_pages).
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.pages.huge = huge_pages;
        self
    }

    /// Sets who may open the channel: see [`Queue::mode`](crate::Queue::mode).
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// Gives a group access to the channel: see [`Queue::group`](crate::Queue::group).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.access.group = Some(group.into());
        self
    }

    /// Sets whether ends exchange messages by value only: see [`Queue::hardened`](crate::Queue::hardened).
    pub fn hardened(mut self, hardened: bool) -> Self {
        self.access.hardened = Some(hardened);
        self
    }

    /// Sets another name, and keeps the options: see [`Queue::name`](crate::Queue::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the domain: see [`Queue::domain`](crate::Queue::domain).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opens a publishing end. It does not need a subscriber to exist yet.
    ///
    /// # Errors
    ///
    /// - [`OpenError::TableFull`] if there are 64 live publishers.
    /// - [`OpenError::Kind`] if the existing channel is lossless and this builder is lossy, or the other way round.
    /// - [`OpenError::Mismatch`] if the channel carries another message type.
    /// - Any other [`OpenError`], as documented there.
    pub fn publisher(&self) -> Result<Publisher<T>, OpenError>
    where
        T: IpcMessage,
    {
        Ok(Publisher::new(open_publisher(&self.spec()?)?))
    }

    /// Opens a subscribing end. It does not need a publisher to exist yet.
    ///
    /// It gets the [history](Broadcast::history), if there is one, and then everything that is published from now on.
    ///
    /// # Errors
    ///
    /// [`OpenError::TableFull`] if there are 128 live subscribers; otherwise as for
    /// [`publisher`](Broadcast::publisher).
    pub fn subscriber(&self) -> Result<Subscriber<T>, OpenError>
    where
        T: IpcMessage,
    {
        Ok(Subscriber::new(open_subscriber(&self.spec()?)?))
    }

    /// Removes the channel and all messages in it. Returns `Ok(false)` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if the channel has a live participant.
    pub fn remove(&self) -> Result<bool, OpenError> {
        let roles = [Role::Publisher, Role::Subscriber];
        segment::remove(&self.segment_name()?, &self.access, |segment| station::check_unused(segment, roles))
    }

    fn segment_name(&self) -> Result<SegmentName, OpenError> {
        SegmentName::new(self.domain.as_deref(), &self.name)
    }

    /// Whether publishers wait for nobody.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(crate) fn is_lossy(&self) -> bool {
        self.lossy
    }

    pub(crate) fn spec(&self) -> Result<Spec, OpenError>
    where
        T: IpcMessage,
    {
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
