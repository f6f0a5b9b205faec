//! Queues: each message goes to exactly one receiver, in the order in which it was sent.
//!
//! This version has the *exclusive* queue: one sender and one receiver, enforced, over the ring of
//! `ring/exclusive.rs`. The way of a message from `send` to the store that publishes it:
//! [`Sender::send`] -> `Port::is_ready` -> [`IpcMessage::place`] -> `Port::pass` -> `End::pass`.

mod link;
mod port;
mod receiver;
mod sender;

pub use receiver::{Iter, Received, Receiver};
pub use sender::{Loan, Sender};

use crate::error::{OpenError, Role};
#[cfg(doc)]
use crate::info::ChannelInfo;
use crate::layout::{KIND_EXCLUSIVE_QUEUE, LINE_BYTES};
use crate::liveness;
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::ring::exclusive::{Consumer, Producer};
use crate::ring::{End, Turn};
use crate::segment::{self, Lifetime, Spec};
use crate::station::{self, Side, Station};
use crate::waiting::Sleepers;
use core::marker::PhantomData;
use link::Link;
use port::Port;

/// Describes a queue, and opens its ends.
///
/// What [`#[derive(IpcMessage)]`](crate::message::IpcMessage) declares with `#[ipc(queue = "...")]` is such a
/// description, which `T::channel()` returns. Whichever end is opened first creates the channel, and its options count;
/// the other end joins what it finds, and [`ChannelInfo`] tells where that differs from what was asked for.
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
pub struct Queue<T> {
    name: String,
    domain: Option<String>,
    capacity: Option<usize>,
    lifetime: Lifetime,
    exclusive: bool,
    message: PhantomData<fn() -> T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue { name: self.name.clone(), domain: self.domain.clone(), message: PhantomData, ..*self }
    }
}

impl<T: IpcMessage> Queue<T> {
    /// A queue with this name: 1 to 128 ASCII letters, digits, `_`, `-` and `.`, not starting with a dot and without
    /// two dots in a row. The name is checked when an end is opened.
    pub fn new(name: impl Into<String>) -> Self {
        Queue {
            name: name.into(),
            domain: None,
            capacity: None,
            lifetime: Lifetime::default(),
            exclusive: false,
            message: PhantomData,
        }
    }

    /// How many messages fit, from 1 to 2^31. By default as many as make a ring of 4 MiB, and at least 16: the size that
    /// carries the most messages a second. A smaller ring bounds how far the sender can run ahead.
    ///
    /// A slot takes the message and 8 bytes, and at least 64; the memory of all is reserved when the channel is created.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = Some(messages);
        self
    }

    /// Makes the queue exclusive: one sender and one receiver, and the fastest path.
    pub fn spsc(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// What becomes of the channel when the last participant leaves.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
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
        let spec = self.spec()?;
        let joined = station::join(&spec, Side::First, Role::Sender, |_, _| true)?;
        let attach = |joined: &station::Joined| Producer::attach(joined.segment().exclusive_ring());
        Ok(Sender::new(Link::Exclusive(Port::new(Station::new(&spec, joined, Sleepers::One, attach, |_| false)))))
    }

    /// Opens the receiving end. Nobody needs to send yet.
    ///
    /// # Errors
    ///
    /// As for [`sender`](Queue::sender).
    pub fn receiver(&self) -> Result<Receiver<T>, OpenError> {
        let spec = self.spec()?;
        let joined = station::join(&spec, Side::Second, Role::Receiver, |_, _| true)?;
        let attach = |joined: &station::Joined| Consumer::attach(joined.segment().exclusive_ring());
        let is_unfinished = |end: &mut Consumer| end.look() == Turn::Ours;
        Ok(Receiver::new(Link::Exclusive(Port::new(Station::new(&spec, joined, Sleepers::One, attach, is_unfinished)))))
    }

    /// Removes the channel, with the messages that are in it. `Ok(false)` if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives takes part in it.
    pub fn remove(&self) -> Result<bool, OpenError> {
        let name = SegmentName::new(self.domain.as_deref(), &self.name)?;
        segment::remove(&name, |segment| match liveness::first_living(segment) {
            None => Ok(()),
            Some((index, peer)) => {
                let is_first = index < segment.geometry().first_role;
                let role = if is_first { Role::Sender } else { Role::Receiver };
                Err(OpenError::InUse { channel: self.name.clone(), role, peer })
            }
        })
    }

    fn spec(&self) -> Result<Spec, OpenError> {
        let refuse = |rule| Err(OpenError::Message { message: T::NAME, rule });
        if !self.exclusive {
            return Err(OpenError::Unsupported(
                "shared queues are not in this version: add .spsc(), or `spsc` in #[ipc(...)]",
            ));
        }
        if size_of::<T>() == 0 {
            return refuse("it has no bytes; give it a field, of type u8 if nothing else comes to mind");
        }
        if align_of::<T>() > LINE_BYTES {
            return refuse("it is aligned to more than 128 bytes; lower its `align`");
        }
        Ok(Spec {
            name: SegmentName::new(self.domain.as_deref(), &self.name)?,
            kind: KIND_EXCLUSIVE_QUEUE,
            message: T::NAME,
            message_bytes: size_of::<T>(),
            message_align: align_of::<T>(),
            schema: T::SCHEMA,
            fingerprint: T::FINGERPRINT,
            reply: None,
            capacity: self.capacity,
            roles: [1, 1],
            lifetime: self.lifetime,
            history: 0,
            evict_after: None,
            flags: 0,
        })
    }
}
