//! One end of a queue, whichever ring the queue has.

use super::port::Port;
use crate::info::ChannelInfo;
use crate::ring::{End, exclusive};
use crate::station::{Blocked, Patience};

/// An end of a queue. The verbs of single messages tell the rings apart once and then stay with one of them; everything
/// else does it here.
pub(super) enum Link<X: End> {
    /// The only one on its side.
    Exclusive(Port<X>),
}

/// The end of a sender.
pub(super) type SenderLink = Link<exclusive::Producer>;

/// The end of a receiver.
pub(super) type ReceiverLink = Link<exclusive::Consumer>;

impl<X: End> Link<X> {
    /// What there is to know about the channel.
    pub(super) fn info(&self) -> &ChannelInfo {
        match self {
            Link::Exclusive(port) => port.info(),
        }
    }

    /// Number of messages in the ring, as far as can be seen at this moment.
    pub(super) fn len(&self) -> usize {
        match self {
            Link::Exclusive(port) => port.len(),
        }
    }

    /// Makes the slot at this end's place its own. Without one, `patience` is asked how long to wait.
    pub(super) fn take_turn(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Blocked> {
        match self {
            Link::Exclusive(port) => port.take_turn(patience),
        }
    }

    /// The payload of the slot that this end owns.
    pub(super) fn payload<T>(&self) -> *mut T {
        match self {
            Link::Exclusive(port) => port.payload(),
        }
    }

    /// Passes the slot to the other side.
    pub(super) fn pass(&mut self) {
        match self {
            Link::Exclusive(port) => port.pass(),
        }
    }

    /// Gives the slot back as it is.
    pub(super) fn abandon(&mut self) {
        match self {
            Link::Exclusive(port) => port.abandon(),
        }
    }
}
