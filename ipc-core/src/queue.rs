//! Queues: each message goes to exactly one receiver, in the order in which it was sent.
//!
//! A *shared* queue has any number of senders and receivers, up to 64 of each, over the ring of `ring/shared.rs`. An
//! *exclusive* one has one sender and one receiver, enforced, over that of `ring/exclusive.rs` or, if messages vary in
//! length, of `ring/frames.rs`; it is the fastest path. The way of a message from `send` to the store that publishes it:
//! [`Sender::send`] -> `Port::send` -> `End::is_ready` -> [`IpcMessage::place`] -> `Port::pass` -> `End::pass`.

mod chunk;
mod exclusive;
mod link;
pub(crate) mod loan;
pub(crate) mod port;
mod receiver;
pub(crate) mod sender;
mod shared;

pub use chunk::{LoanBatch, ReceivedBatch};
pub use loan::Loan;
pub use receiver::{Iter, Received, Receiver};
pub use sender::Sender;

use crate::error::{OpenError, Role};
#[cfg(doc)]
use crate::info::ChannelInfo;
use crate::layout::{FLAG_DROP_HELD, FLAG_TIMESTAMPS, KIND_EXCLUSIVE_QUEUE, KIND_SHARED_QUEUE};
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::segment::{self, Access, Lifetime, Pages, PrivateSegment, Segment, Spec};
use crate::station;
use core::marker::PhantomData;
use link::Link;
pub(crate) use link::{ReceiverLink, SenderLink};

/// Senders, and receivers, that a shared queue has places for.
const SHARED_PLACES: u32 = 64;

/// Describes a queue, and opens its ends.
///
/// What [`#[derive(IpcMessage)]`](crate::message::IpcMessage) declares with `#[ipc(queue = "...")]` is such a
/// description, which `T::channel()` returns. Whichever end is opened first creates the channel, and its options count;
/// the other end joins what it finds, and [`ChannelInfo`] tells where that differs from what was asked for.
///
/// A description is `Clone`, `Send` and `Sync`: any thread may open an end from it, also in a child that was forked,
/// whose inherited ends are dead ([`Sender`], "Threads and forks").
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
    access: Access,
    /// The segment, if it has no name.
    private: Option<PrivateSegment>,
    message: PhantomData<fn() -> T>,
}

impl<T: ?Sized> Clone for Queue<T> {
    fn clone(&self) -> Self {
        let (name, domain) = (self.name.clone(), self.domain.clone());
        let (access, private) = (self.access.clone(), self.private.clone());
        Queue { name, domain, access, private, message: PhantomData, ..*self }
    }
}

impl<T: IpcMessage + ?Sized> Queue<T> {
    /// A queue with this name: 1 to 128 ASCII letters, digits, `_`, `-` and `.`, not starting with a dot and without
    /// two dots in a row. The name is checked when an end is opened.
    pub fn new(name: impl Into<String>) -> Self {
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
            private: None,
            message: PhantomData,
        }
    }

    /// How many messages fit, from 1 to 2^31. By default as many as make a ring of 4 MiB, and at least 16: the size that
    /// carries the most messages a second. A smaller ring bounds how far the sender can run ahead.
    ///
    /// A slot takes the message and 8 bytes, and at least 64; the memory of all is reserved when the channel is created.
    ///
    /// **Of messages that vary in length** it is the size of the ring in bytes, rounded up; by default 4 MiB. A message
    /// takes 8 bytes more than it has (or as many as it is aligned to), in units of 64, and at most half of the ring.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = Some(messages);
        self
    }

    /// Makes the queue exclusive: one sender and one receiver, and the fastest path.
    pub fn spsc(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Whether a message that a receiver of a shared queue holds when it dies is delivered again, to another receiver:
    /// yes, unless this is called with `false`. It is then given up and counted by [`Receiver::lost`].
    ///
    /// Delivering again means that a message which kills its receivers kills one after the other;
    /// [`Received::redelivered`] tells how often it has. A receiver that was killed may have done some of what the
    /// message asks for; giving up means that it may not have.
    pub fn redeliver(mut self, redeliver: bool) -> Self {
        self.redeliver = redeliver;
        self
    }

    /// What becomes of the channel when the last participant leaves.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Whether to fault every page of the segment in while the channel is opened. By default that is done for segments of
    /// up to 64 MiB.
    ///
    /// What it costs: opening takes longer, by up to a millisecond for each MiB. What it saves: in the first lap through
    /// the ring, a page fault for every 4 KiB, which takes 1 to 8 us. The memory itself is reserved either way.
    ///
    /// Each process decides for itself; in one process, the first handle of a channel does for all of them.
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.pages.prefault = Some(prefault);
        self
    }

    /// Whether to have the segment in huge pages (2 MiB on most machines), for large rings and messages that are read in
    /// an order that the processor does not foresee. Where they cannot be had, the channel has ordinary pages, and
    /// [`ChannelInfo::huge_pages`] says why.
    ///
    /// What it costs: the kernel has to find contiguous memory and copies what is in the segment already, so that opening
    /// takes longer by 1 to 10 ms for each MiB, and on a machine whose memory is fragmented that may be in vain. A
    /// segment smaller than one huge page cannot have any, and the rest that does not fill one has ordinary pages.
    ///
    /// Each process decides for itself; in one process, the first handle of a channel does for all of them.
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.pages.huge = huge_pages;
        self
    }

    /// Whether to measure how long messages are on their way. Each gets the time beside it when it is sent; whoever
    /// receives it counts the difference to the present in a histogram in the segment, which tools read without taking
    /// part: see [`Observer::latency`](crate::inspect::Observer::latency). Like the capacity it is for the creator to say.
    ///
    /// A message has been received when it was copied out, or when [`recv_ref`](Receiver::recv_ref) has returned it (of
    /// several that are read in place, when they are released). It is counted when its slot is free again, once: not for each receiver that died with it, and also if it was skipped as
    /// invalid. A receiver that is killed between freeing the slot and counting leaves a message uncounted.
    ///
    /// What it costs: a reading of the clock, about 25 ns, on either side of every message, and two atomic additions on the
    /// receiver's, which get slower where many receive at once; 8 bytes more for a message (none for one that varies in
    /// length and is aligned to 16 bytes or more), and 37 KiB for the histogram. Without it there is a branch a message that
    /// always goes the same way, and no memory.
    ///
    /// The clock is `CLOCK_MONOTONIC`, which all processes of a machine share unless they are in different *time
    /// namespaces*. Differences below zero or above an hour are told apart, and are not in the histogram.
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Who may open the channel: the mode of its segment, of which only the bits for reading and writing count. By default it
    /// is 0o600, the user who creates it, and with a [`group`](Queue::group) 0o660. Like the capacity it is for the creator to
    /// say; but a program that is to take part in another user's channel has to say it, too, or it is refused.
    ///
    /// As soon as others than the owner may open a channel, its ends are [hardened](Queue::hardened). Whoever may write to it
    /// can still spoil it for all, and may even cut its file short, which ends every process that touches what is gone. So
    /// give it to those who are trusted that far, and use [private channels](crate::private) for others.
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

    /// Gives the channel to a group, by its name or number, whose members may read and write. Its creator has to be in it, or
    /// opening fails with [`OpenError::Group`]. Otherwise as for [`mode`](Queue::mode).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.access.group = Some(group.into());
        self
    }

    /// Whether to trust the others with one's own memory safety: a hardened end sends and receives by value only.
    ///
    /// By value, a message is copied out, each word once, and the copy is validated; that is sound whatever others write, and
    /// whenever. In place (`loan`, `recv_ref` and their kin), it rests on the others leaving the message alone. A hardened end
    /// refuses these verbs with an error, and maps the segment read-only where it does nothing but read.
    ///
    /// By default an end is hardened if the channel's creator asked for it, or if its [`mode`](Queue::mode) lets another user
    /// in. What this is called with decides for the ends that are opened with it, and for the creator also what the others'
    /// default is.
    pub fn hardened(mut self, hardened: bool) -> Self {
        self.access.hardened = Some(hardened);
        self
    }

    /// Separates this channel from those of the same name in other domains. By default the environment variable
    /// `SLIPRING_DOMAIN` says which, and without it the domain is `default`. 1 to 64 ASCII letters, digits, `_`, `-`.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opens the sending end. Nobody needs to receive yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if an exclusive queue has a sender that lives (a dead one is succeeded at once, where it
    /// stopped), [`OpenError::Mismatch`] if the channel carries another message, and the other [`OpenError`]s as they
    /// say.
    pub fn sender(&self) -> Result<Sender<T>, OpenError> {
        Ok(Sender::new(open_sender(&self.spec()?)?))
    }

    /// Opens the receiving end. Nobody needs to send yet.
    ///
    /// # Errors
    ///
    /// As for [`sender`](Queue::sender).
    pub fn receiver(&self) -> Result<Receiver<T>, OpenError> {
        Ok(Receiver::new(open_receiver(&self.spec()?)?))
    }

    /// Removes the channel, with the messages that are in it. `Ok(false)` if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives takes part in it.
    pub fn remove(&self) -> Result<bool, OpenError> {
        segment::remove(&self.segment_name()?, &self.access, |segment| self.check_unused(segment))
    }

    /// Whether this program could join the channel as far as its message is concerned, without joining it. A channel
    /// that does not exist would be made to fit.
    pub(crate) fn check_message(&self) -> Result<(), OpenError> {
        let spec = self.spec()?;
        if spec.private.is_some() {
            // That was checked when it was given.
            return Ok(());
        }
        segment::peek(&spec.name, &spec.access)?.map_or(Ok(()), |segment| segment.check_message(&spec))
    }

    /// Whether [`remove`](Queue::remove) would work, without removing anything.
    pub(crate) fn check_removable(&self) -> Result<(), OpenError> {
        segment::peek(&self.segment_name()?, &self.access)?.map_or(Ok(()), |segment| self.check_unused(&segment))
    }

    fn check_unused(&self, segment: &Segment) -> Result<(), OpenError> {
        station::check_unused(segment, [Role::Sender, Role::Receiver])
    }

    fn segment_name(&self) -> Result<SegmentName, OpenError> {
        SegmentName::new(self.domain.as_deref(), &self.name)
    }

    /// What to want of a segment without a name: that its ends are hardened, unless something else was said.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(crate) fn private_spec(&self) -> Result<Spec, OpenError> {
        let mut spec = self.spec()?;
        spec.access.hardened.get_or_insert(true);
        Ok(spec)
    }

    /// The same queue, in a segment without a name.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(crate) fn in_segment(mut self, segment: PrivateSegment) -> Self {
        self.access.hardened.get_or_insert(true);
        self.private = Some(segment);
        self
    }

    fn spec(&self) -> Result<Spec, OpenError> {
        let (kind, roles) =
            if self.exclusive { (KIND_EXCLUSIVE_QUEUE, [1, 1]) } else { (KIND_SHARED_QUEUE, [SHARED_PLACES; 2]) };
        let mut spec = Spec::new::<T>(self.segment_name()?, kind, roles)?;
        (spec.capacity, spec.lifetime, spec.pages) = (self.capacity, self.lifetime, self.pages);
        (spec.access, spec.private) = (self.access.clone(), self.private.clone());
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
