//! Private channels: for parties that do not trust each other.
//!
//! Everybody who may open a named channel can write to it, cut its file short, or be faster in making one of that name. A
//! *private* channel is memory without a name. Its creator hands it to one process at a time, over a Unix socket, and
//! nobody else comes by it. It is sealed: no process can change its size, so none can be ended by a page that is gone. Its
//! ends are [hardened](Queue::hardened) unless somebody says otherwise: they send and receive by value, so that whatever the
//! other side writes, they get a message that is valid, or an error.
//!
//! ```
//! use ipc_core::{Pipe, Queue};
//! use std::os::unix::net::UnixStream;
//!
//! // The socket is how the two know each other; its other end is in another process.
//! let (here, there) = UnixStream::pair()?;
//! let orders = Queue::<u64>::new("orders").capacity(64).private()?;
//! orders.send_over(&here)?;
//! let mut tx = orders.sender()?;
//!
//! let orders = Queue::<u64>::new("orders").receive_from(&there)?;
//! let mut rx = orders.receiver()?;
//! tx.send(7)?;
//! assert_eq!(rx.recv()?, Some(7));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything else is as with channels that have a name: who dies is noticed by the lock on the file that the kernel drops,
//! and a place is taken over from the dead. (Each process is given an open file description of its own for that.) The memory
//! goes with the last process that has it.
//!
//! What the other side can do all the same: write anything at any time, so that messages are lost or wrong and every call
//! says [`Corrupt`](crate::Corrupt); take every place; keep the lock that joining and leaving take, which are then given up
//! after five seconds. And a process of the *same user* can do more than that by other means.

use crate::error::OpenError;
use crate::message::IpcMessage;
use crate::pipe::{Pipe, PipeEnd};
use crate::queue::{Queue, Receiver, Sender};
use crate::segment::PrivateSegment;
use std::os::unix::net::UnixStream;

/// A channel without a name. Made by [`Queue::private`] and [`Pipe::private`], or given by another process, to
/// [`Queue::receive_from`] and [`Pipe::receive_from`].
///
/// Dropping it leaves the ends that were opened as they are.
#[derive(Debug)]
pub struct Private<C> {
    channel: C,
    segments: Vec<PrivateSegment>,
}

impl<C> Private<C> {
    /// Hands the channel to the process at the other end of a socket, which takes it by `receive_from`. As often as there
    /// are processes to have it.
    ///
    /// One byte goes over the socket, with the descriptors.
    ///
    /// # Errors
    ///
    /// [`OpenError::Os`] if the socket does not take it, or if the memory cannot be opened for another process by way of
    /// `/proc/self/fd`. Only the channel's creator can hand it on, or another process of the same user.
    pub fn send_over(&self, socket: &UnixStream) -> Result<(), OpenError> {
        PrivateSegment::send_over(&self.segments, socket)
    }
}

impl<T: IpcMessage + ?Sized> Queue<T> {
    /// Makes a queue without a name, of this description. See [`private`](crate::private).
    ///
    /// The name is still used, to tell channels apart that go over one socket.
    ///
    /// # Errors
    ///
    /// As for [`sender`](Queue::sender).
    pub fn private(&self) -> Result<Private<Self>, OpenError> {
        let segment = PrivateSegment::create(&self.private_spec()?)?;
        Ok(self.in_private(segment))
    }

    /// Takes a queue over that another process [sends](Private::send_over). It waits as long as the socket is set to.
    ///
    /// # Errors
    ///
    /// [`OpenError::Os`] if the socket brings something else, [`OpenError::NotASegment`] if what it brings is not sealed, not a
    /// segment, or of another name, [`OpenError::Mismatch`] if it carries another message.
    pub fn receive_from(&self, socket: &UnixStream) -> Result<Private<Self>, OpenError> {
        let [segment] = PrivateSegment::receive_from(socket, &[self.private_spec()?])?;
        Ok(self.in_private(segment))
    }

    fn in_private(&self, segment: PrivateSegment) -> Private<Self> {
        let segments = vec![segment.clone()];
        Private { channel: self.clone().in_segment(segment), segments }
    }
}

impl<T: IpcMessage + ?Sized> Private<Queue<T>> {
    /// Opens the sending end.
    ///
    /// # Errors
    ///
    /// As for [`Queue::sender`].
    pub fn sender(&self) -> Result<Sender<T>, OpenError> {
        self.channel.sender()
    }

    /// Opens the receiving end.
    ///
    /// # Errors
    ///
    /// As for [`Queue::receiver`].
    pub fn receiver(&self) -> Result<Receiver<T>, OpenError> {
        self.channel.receiver()
    }
}

impl<A: IpcMessage + ?Sized, B: IpcMessage + ?Sized> Pipe<A, B> {
    /// Makes a pipe without a name, of this description. See [`private`](crate::private).
    ///
    /// # Errors
    ///
    /// As for [`left`](Pipe::left).
    pub fn private(&self) -> Result<Private<Self>, OpenError> {
        let (to_right, to_left) = self.queues();
        let segments =
            [PrivateSegment::create(&to_right.private_spec()?)?, PrivateSegment::create(&to_left.private_spec()?)?];
        Ok(self.in_private(segments))
    }

    /// Takes a pipe over that another process [sends](Private::send_over). It waits as long as the socket is set to.
    ///
    /// # Errors
    ///
    /// As for [`Queue::receive_from`].
    pub fn receive_from(&self, socket: &UnixStream) -> Result<Private<Self>, OpenError> {
        let (to_right, to_left) = self.queues();
        let specs = [to_right.private_spec()?, to_left.private_spec()?];
        Ok(self.in_private(PrivateSegment::receive_from(socket, &specs)?))
    }

    fn in_private(&self, segments: [PrivateSegment; 2]) -> Private<Self> {
        let [right, left] = segments.clone();
        Private { channel: self.clone().in_segments(right, left), segments: segments.into() }
    }
}

impl<A: IpcMessage + ?Sized, B: IpcMessage + ?Sized> Private<Pipe<A, B>> {
    /// Takes the left end.
    ///
    /// # Errors
    ///
    /// As for [`Pipe::left`].
    pub fn left(&self) -> Result<PipeEnd<A, B>, OpenError> {
        self.channel.left()
    }

    /// Takes the right end.
    ///
    /// # Errors
    ///
    /// As for [`Pipe::right`].
    pub fn right(&self) -> Result<PipeEnd<B, A>, OpenError> {
        self.channel.right()
    }
}
