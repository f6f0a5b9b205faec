//! Queues: each message goes to exactly one receiver, in the order in which it was sent.
//!
//! A *shared* queue (MPMC) has up to 64 senders and 64 receivers. Its ring is `ring/shared.rs`, or
//! `ring/shared/frames.rs` if messages vary in length. An *exclusive* queue (SPSC) has one sender and one receiver, and
//! is the fastest path. Its ring is `ring/exclusive.rs`, or `ring/frames.rs` if messages vary in length.
//!
//! # How the code is laid out
//!
//! | type | what it is |
//! |---|---|
//! | [`Queue`] | the builder: name and options |
//! | [`Sender`], [`Receiver`] | the public handles |
//! | `Link` | an enum over the four rings, one `Port` in each variant |
//! | `Port` | one end of a ring, together with the code that waits, wakes and measures |
//! | `End` | the trait that every ring's producer and consumer implement: is the next slot mine, where is it, pass it on |
//!
//! A message takes this path from `send` to the store that publishes it:
//! [`Sender::send`] -> `Port::send` -> `End::is_ready` -> [`IpcMessage::place`] -> `Port::pass` -> `End::pass`.

mod chunk;
mod exclusive;
mod link;
pub(crate) mod loan;
pub(crate) mod port;
mod received;
mod receiver;
pub(crate) mod sender;
mod shared;

pub use chunk::{LoanBatch, Messages, ReceivedBatch};
pub use loan::Loan;
pub use received::{IntoIter, Iter, Received};
pub use receiver::Receiver;
pub use sender::Sender;

use crate::error::{OpenError, Role};
#[cfg(doc)]
use crate::info::ChannelInfo;
use crate::layout::{FLAG_DROP_HELD, FLAG_TIMESTAMPS, KIND_EXCLUSIVE_QUEUE, KIND_SHARED_QUEUE};
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::segment::{self, Access, Lifetime, Pages, Segment, Spec};
use crate::station;
use core::marker::PhantomData;
use link::Link;
pub(crate) use link::{ReceiverLink, SenderLink};

/// The most senders, and the most receivers, that a shared queue can have at a time.
const SHARED_PLACES: u32 = 64;

/// A builder for the two ends of a queue.
///
/// `#[ipc(queue = "...")]` on a [derived message](crate::message::IpcMessage) declares one, which `T::channel()`
/// returns.
///
/// The first end to be opened creates the channel with this builder's options. Every later end joins the channel as it
/// is; [`ChannelInfo`] reports its actual options.
///
/// The builder is `Clone`, `Send` and `Sync`. Any thread may open ends from it. So may a forked child, in which the
/// inherited ends no longer work (see [`Sender`], "Threads and forks").
///
/// ```
/// use ipc_core::Queue;
/// # let domain = format!("doc-{}", std::process::id());
/// let queue = Queue::<u64>::new("numbers").capacity(64).spsc();
/// # let queue = queue.domain(&domain);
/// let mut rx = queue.receiver()?;
/// let mut tx = queue.sender()?;
/// tx.send(42)?;
/// assert_eq!(rx.recv()?, Some(42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Queue<T: ?Sized> {
    name: String,
    domain: Option<String>,
    capacity: Option<usize>,
    lifetime: Lifetime,
    exclusive: bool,
    redeliver: bool,
    timestamps: bool,
    pages: Pages,
    pub(crate) access: Access,
    message: PhantomData<fn() -> T>,
}

impl<T: ?Sized> Clone for Queue<T> {
    fn clone(&self) -> Self {
        let (name, domain, access) = (self.name.clone(), self.domain.clone(), self.access.clone());
        Queue { name, domain, access, message: PhantomData, ..*self }
    }
}

impl<T: ?Sized> Queue<T> {
    /// A shared queue with this name and the default options.
    ///
    /// A name has 1 to 128 ASCII letters, digits, `_`, `-` and `.`. It must not start with a dot or contain two dots in
    /// a row. It is checked when an end is opened.
    pub fn new(name: impl Into<String>) -> Self
    where
        T: IpcMessage,
    {
        Queue {
            name: name.into(),
            domain: None,
            capacity: None,
            lifetime: Lifetime::default(),
            exclusive: false,
            redeliver: true,
            timestamps: false,
            pages: Pages::default(),
            access: Access::default(),
            message: PhantomData,
        }
    }

    /// Sets how many messages the queue holds, from 1 to 2^31.
    ///
    /// The default fills a ring of 4 MiB, with at least 16 messages: that size has the highest throughput. A smaller
    /// ring limits how far the sender can run ahead of the receiver.
    ///
    /// A slot takes 8 bytes more than the message, and at least 64. All of the memory is reserved when the channel is
    /// created.
    ///
    /// **If messages vary in length**, this is the size of the ring in bytes, rounded up; the default is 4 MiB. A
    /// message takes its own length plus 8 bytes (or plus its alignment, if that is larger), rounded up to units of 64
    /// bytes. The longest message takes half of the ring.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = Some(messages);
        self
    }

    /// Makes the queue exclusive: one sender, one receiver, and the fastest path. A second sender or receiver gets
    /// [`OpenError::InUse`].
    pub fn spsc(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Sets whether a shared queue redelivers a message whose receiver died while holding it. The default is `true`.
    ///
    /// With `true`, another receiver gets the message (at-least-once delivery). The dead receiver may have done part of
    /// the work already. A message that crashes its receivers crashes one after the other; [`Received::redelivered`]
    /// says how many times it has been delivered before.
    ///
    /// With `false`, the message is dropped (at-most-once delivery), and [`Receiver::lost`] counts it.
    pub fn redeliver(mut self, redeliver: bool) -> Self {
        self.redeliver = redeliver;
        self
    }

    /// Sets what happens to the channel when its last participant leaves.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets whether opening the channel faults in all of its pages. The default is `true` for segments of up to 64 MiB.
    ///
    /// Cost: opening takes up to 1 ms longer for each MiB. Benefit: the first lap through the ring has no page faults,
    /// which cost 1 to 8 us for each 4 KiB. The memory is reserved either way.
    ///
    /// The setting holds for this process. If a process opens a channel several times, the first handle decides.
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.pages.prefault = Some(prefault);
        self
    }

    /// Sets whether to ask for huge pages (2 MiB on most machines). The default is `false`.
    ///
    /// Huge pages help large rings, and messages that are read in an order that the processor cannot predict. If the
    /// kernel has none, the channel uses ordinary pages, and [`ChannelInfo::huge_pages`] says why. A segment smaller
    /// than one huge page has none; neither has the remainder that does not fill one.
    ///
    /// Cost: the kernel has to find contiguous memory and copy the segment's contents into it. Opening takes 1 to 10 ms
    /// longer for each MiB. On a machine with fragmented memory this may be in vain.
    ///
    /// The setting holds for this process. If a process opens a channel several times, the first handle decides.
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.pages.huge = huge_pages;
        self
    }

    /// Sets whether to measure the latency of messages, from `send` to `recv`. The default is `false`; the creator
    /// decides.
    ///
    /// The sender writes the time beside each message. The receiver records the difference in a histogram in the
    /// segment, which [`Observer::latency`](crate::inspect::Observer::latency) reads from outside.
    ///
    /// A message counts as received when it has been copied out, or when [`recv_ref`](Receiver::recv_ref) returns it
    /// (or, of a batch that is read in place, when the batch is released). It is recorded once, when its slot is freed:
    /// also if it was invalid and skipped, and once only if it was redelivered. A receiver that is killed between
    /// freeing a slot and recording leaves that message out.
    ///
    /// Cost: one clock reading (about 25 ns) at each end of every message, and two atomic additions at the receiver,
    /// which contend if there are several receivers. Memory: 8 bytes a message (none if messages vary in length and are
    /// aligned to 16 bytes or more), and 37 KiB for the histogram. Without timestamps, the cost is one well-predicted
    /// branch a message.
    ///
    /// The clock is `CLOCK_MONOTONIC`. All processes of a machine share it, except across *time namespaces*.
    /// Differences below zero or above an hour are counted separately and are not in the histogram.
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Sets the file mode of the segment, and so who may open the channel. Only the read and write bits count.
    ///
    /// The default is 0o600 (the creating user), or 0o660 with a [`group`](Queue::group). The creator decides. A
    /// program that joins another user's channel must ask for the mode as well; otherwise opening fails.
    ///
    /// If anyone but the owner may open a channel, its ends are [hardened](Queue::hardened). A user with write access
    /// can still damage the channel for everybody, or truncate its file, which kills every process that touches the
    /// missing part. Grant access only to users who are trusted that far; use [private channels](crate::private) for
    /// others.
    ///
    /// ```
    /// # // The portable backend has no modes.
    /// # if cfg!(any(not(target_os = "linux"), feature = "portable")) {
    /// #     return Ok(());
    /// # }
    /// # let domain = format!("doc-{}", std::process::id());
    /// let orders = ipc_core::Queue::<u64>::new("orders").mode(0o660);
    /// # let orders = orders.domain(&domain);
    /// let tx = orders.sender()?;
    /// assert!(tx.info().hardened);
    /// assert_eq!(tx.info().mode, 0o660);
    /// # Ok::<(), ipc_core::OpenError>(())
    /// ```
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// Gives the members of a group, by its name or number, read and write access. The creator must be a member, or
    /// opening fails with [`OpenError::Group`]. See also [`mode`](Queue::mode).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.access.group = Some(group.into());
        self
    }

    /// Sets whether ends are hardened: a hardened end sends and receives by value only.
    ///
    /// By value, a message is copied out, each word once, and the copy is validated. That is sound whatever other
    /// processes write, at any time. In place (`loan`, `recv_ref` and their variants), soundness depends on the peers
    /// leaving the message alone. A hardened end returns an error from those methods. It maps the segment read-only if
    /// its role only reads.
    ///
    /// By default, an end is hardened if the channel's creator asked for it, or if the [`mode`](Queue::mode) admits
    /// another user. This setting overrides the default for ends opened from this builder. If one of them creates the
    /// channel, the setting also becomes the default of all other ends.
    pub fn hardened(mut self, hardened: bool) -> Self {
        self.access.hardened = Some(hardened);
        self
    }

    /// Sets another name, by the rules of [`new`](Queue::new), and keeps the options: one declaration can serve several
    /// channels.
    ///
    /// ```
    /// # let domain = format!("doc-{}", std::process::id());
    /// let desk_a = ipc_core::Queue::<u64>::new("desk.a").capacity(64);
    /// # let desk_a = desk_a.domain(&domain);
    /// let desk_b = desk_a.clone().name("desk.b");
    /// let (tx, _other) = (desk_b.sender()?, desk_a.sender()?);
    /// assert_eq!((&*tx.info().name, tx.info().capacity), ("desk.b", 64));
    /// # Ok::<(), ipc_core::OpenError>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the domain: channels of the same name in different domains are different channels.
    ///
    /// A domain has 1 to 64 ASCII letters, digits, `_` and `-`. The default is the value of the environment variable
    /// `SLIPRING_DOMAIN`, or `default` if that is not set.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opens a sending end. It does not need a receiver to exist yet.
    ///
    /// In an exclusive queue, the new sender takes over from one that died, at the slot where that one stopped.
    ///
    /// # Errors
    ///
    /// - [`OpenError::InUse`] if an exclusive queue has a live sender.
    /// - [`OpenError::TableFull`] if a shared queue has 64 live senders.
    /// - [`OpenError::Mismatch`] if the channel carries another message type.
    /// - Any other [`OpenError`], as documented there.
    pub fn sender(&self) -> Result<Sender<T>, OpenError>
    where
        T: IpcMessage,
    {
        Ok(Sender::new(open_sender(&self.spec()?)?))
    }

    /// Opens a receiving end. It does not need a sender to exist yet.
    ///
    /// # Errors
    ///
    /// As for [`sender`](Queue::sender), with receivers in the place of senders.
    pub fn receiver(&self) -> Result<Receiver<T>, OpenError>
    where
        T: IpcMessage,
    {
        Ok(Receiver::new(open_receiver(&self.spec()?)?))
    }

    /// Removes the channel and all messages in it. Returns `Ok(false)` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if the channel has a live participant.
    pub fn remove(&self) -> Result<bool, OpenError> {
        segment::remove(&self.segment_name()?, &self.access, |segment| self.check_unused(segment))
    }

    /// Checks that this program's message type matches the channel's, without joining it. A channel that does not exist
    /// matches.
    pub(crate) fn check_message(&self) -> Result<(), OpenError>
    where
        T: IpcMessage,
    {
        let spec = self.spec()?;
        if spec.access.private.is_some() {
            // That was checked when it was given.
            return Ok(());
        }
        segment::peek(&spec.name, &spec.access)?.map_or(Ok(()), |segment| segment.check_message(&spec))
    }

    /// Checks that [`remove`](Queue::remove) would succeed, without removing anything.
    pub(crate) fn check_removable(&self) -> Result<(), OpenError> {
        segment::peek(&self.segment_name()?, &self.access)?.map_or(Ok(()), |segment| self.check_unused(&segment))
    }

    fn check_unused(&self, segment: &Segment) -> Result<(), OpenError> {
        station::check_unused(segment, [Role::Sender, Role::Receiver])
    }

    fn segment_name(&self) -> Result<SegmentName, OpenError> {
        SegmentName::new(self.domain.as_deref(), &self.name)
    }

    pub(crate) fn spec(&self) -> Result<Spec, OpenError>
    where
        T: IpcMessage,
    {
        let (kind, roles) =
            if self.exclusive { (KIND_EXCLUSIVE_QUEUE, [1, 1]) } else { (KIND_SHARED_QUEUE, [SHARED_PLACES; 2]) };
        let mut spec = Spec::new::<T>(self.segment_name()?, kind, roles)?;
        (spec.capacity, spec.lifetime, spec.pages) = (self.capacity, self.lifetime, self.pages);
        spec.access = self.access.clone();
        spec.flags |= if self.redeliver { 0 } else { FLAG_DROP_HELD };
        spec.flags |= if self.timestamps { FLAG_TIMESTAMPS } else { 0 };
        Ok(spec)
    }
}

/// Takes a sender's place in the queue that `spec` describes.
pub(crate) fn open_sender(spec: &Spec) -> Result<SenderLink, OpenError> {
    Ok(match (spec.kind, spec.is_variable()) {
        (KIND_EXCLUSIVE_QUEUE, false) => Link::Exclusive(exclusive::sender(spec)?),
        (KIND_EXCLUSIVE_QUEUE, true) => Link::Frames(exclusive::frame_sender(spec)?),
        (_, false) => Link::Shared(shared::sender(spec)?),
        (_, true) => Link::SharedFrames(shared::frame_sender(spec)?),
    })
}

/// Takes a receiver's place in the queue that `spec` describes.
pub(crate) fn open_receiver(spec: &Spec) -> Result<ReceiverLink, OpenError> {
    Ok(match (spec.kind, spec.is_variable()) {
        (KIND_EXCLUSIVE_QUEUE, false) => Link::Exclusive(exclusive::receiver(spec)?),
        (KIND_EXCLUSIVE_QUEUE, true) => Link::Frames(exclusive::frame_receiver(spec)?),
        (_, false) => Link::Shared(shared::receiver(spec)?),
        (_, true) => Link::SharedFrames(shared::frame_receiver(spec)?),
    })
}
