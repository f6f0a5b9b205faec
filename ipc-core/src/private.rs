//! Private channels: for parties that do not trust each other.
//!
//! Everybody who may open a named channel can write to it, cut its file short, or be faster in making one of that name. A
//! *private* channel is memory without a name. Its creator hands it to one process at a time, over a Unix socket, and
//! nobody else comes by it. It is sealed: no process can change its size, so none can be ended by a page that is gone. Its
//! ends are [hardened](crate::Queue::hardened) unless somebody says otherwise: they send and receive by value, so that whatever the
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
//! # For nothing but reading
//!
//! Who reads a latest value, or subscribes to a lossy broadcast, has nothing to write, and can be handed the channel so that
//! it cannot: with `send_read_only_over`. Its descriptor is open for reading, so the kernel refuses it a mapping that can be
//! written, now or later. It takes no place, nobody knows of it, and nobody can wake it: it looks at the channel every 50 ms
//! while it waits. (One that looks by itself, as with [`Reader::read`](crate::Reader::read), is as fast as any.)
//!
//! ```
//! use ipc_core::Latest;
//! use std::os::unix::net::UnixStream;
//!
//! let (here, there) = UnixStream::pair()?;
//! let level = Latest::<f64>::new("level").private()?;
//! level.send_read_only_over(&here)?;
//! let mut writer = level.writer()?;
//!
//! let level = Latest::<f64>::new("level").receive_from(&there)?;
//! let mut reader = level.reader()?;
//! writer.write(0.5)?;
//! assert_eq!(reader.read()?, Some(0.5));
//! assert!(level.writer().is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the other side can do all the same
//!
//! It can write anything at any time, so that messages are lost or wrong and every call says [`Corrupt`](crate::Corrupt); take
//! every place; keep the lock that joining and leaving take, which are then given up after five seconds. Who was handed the
//! channel for nothing but reading can only keep locks: so nobody joins, and who lives is still told from who died. It can
//! open the memory for writing if it is of the *same user*, and the system lets it (`/proc/self/fd`): what belongs to a user
//! is no border to that user's processes, which can do more than that by other means. `docs/trust.md` has the whole list.

mod kinds;

use crate::error::OpenError;
use crate::segment::{Access, PrivateSegment, Spec};
use std::os::unix::net::UnixStream;

/// A channel without a name. Made by the `private` of a channel's description ([`Queue::private`](crate::Queue::private) and
/// its kin), or given by another process, to `receive_from`.
///
/// Dropping it leaves the ends that were opened as they are.
#[derive(Debug)]
pub struct Private<C> {
    channel: C,
    segments: Vec<PrivateSegment>,
}

/// A description of a channel that is one segment.
trait Description: Clone {
    /// What to want of the segment.
    fn wish(&self) -> Result<Spec, OpenError>;

    /// Who may take part, as the description has it.
    fn access(&mut self) -> &mut Access;

    /// The same, with ends that are hardened unless something else was said.
    fn hardened_wish(&self) -> Result<Spec, OpenError> {
        let mut spec = self.wish()?;
        spec.access.hardened.get_or_insert(true);
        Ok(spec)
    }

    /// Has the ends be of a segment without a name.
    fn lead_to(&mut self, segment: &PrivateSegment) {
        let access = self.access();
        access.hardened.get_or_insert(true);
        access.private = Some(segment.clone());
    }

    /// A new channel without a name.
    fn make(&self) -> Result<Private<Self>, OpenError> {
        Ok(self.in_private(PrivateSegment::create(&self.hardened_wish()?)?))
    }

    /// The channel that another process sends.
    fn take(&self, socket: &UnixStream) -> Result<Private<Self>, OpenError> {
        let [segment] = PrivateSegment::receive_from(socket, &[self.hardened_wish()?])?;
        Ok(self.in_private(segment))
    }

    fn in_private(&self, segment: PrivateSegment) -> Private<Self> {
        let mut channel = self.clone();
        channel.lead_to(&segment);
        Private { channel, segments: vec![segment] }
    }
}

impl<C> Private<C> {
    /// The segment, or the two of a pipe.
    pub(crate) fn segments(&self) -> &[PrivateSegment] {
        &self.segments
    }

    /// Hands the channel to the process at the other end of a socket, which takes it by `receive_from`. As often as there
    /// are processes to have it. Who was handed it for nothing but reading hands it on like that.
    ///
    /// One byte goes over the socket, with the descriptors.
    ///
    /// # Errors
    ///
    /// [`OpenError::Os`] if the socket does not take it, or if the memory cannot be opened for another process by way of
    /// `/proc/self/fd`. Only the channel's creator can hand it on, or another process of the same user.
    pub fn send_over(&self, socket: &UnixStream) -> Result<(), OpenError> {
        PrivateSegment::send_over(&self.segments, true, socket)
    }
}
