//! One end of a queue, whichever ring the queue has.

use super::port::{Port, Tended};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::ring::{exclusive, shared};
use crate::station::{Blocked, Patience};

/// An end of a queue. The verbs of single messages tell the rings apart once and then stay with one of them; everything
/// else does it here.
pub(super) enum Link<X: Tended, S: Tended> {
    /// The only one on its side.
    Exclusive(Port<X>),
    /// One of several.
    Shared(Port<S>),
}

/// The end of a sender.
pub(super) type SenderLink = Link<exclusive::Producer, shared::Producer>;

/// The end of a receiver.
pub(super) type ReceiverLink = Link<exclusive::Consumer, shared::Consumer>;

impl<X: Tended, S: Tended> Link<X, S> {
    /// What there is to know about the channel.
    pub(super) fn info(&self) -> &ChannelInfo {
        match self {
            Link::Exclusive(port) => port.info(),
            Link::Shared(port) => port.info(),
        }
    }

    /// Number of messages in the ring, as far as can be seen at this moment.
    pub(super) fn len(&self) -> usize {
        match self {
            Link::Exclusive(port) => port.end().len(),
            Link::Shared(port) => port.end().len(),
        }
    }

    /// Messages that were lost with those who died.
    pub(super) fn losses(&self) -> u64 {
        match self {
            Link::Exclusive(port) => port.end().losses(),
            Link::Shared(port) => port.end().losses(),
        }
    }

    /// How often the message in the slot that this end owns has been delivered before.
    pub(super) fn returned(&self) -> u16 {
        match self {
            Link::Exclusive(port) => port.end().returned(),
            Link::Shared(port) => port.end().returned(),
        }
    }

    /// Makes the slot at this end's place its own. Without one, `patience` is asked how long to wait.
    pub(super) fn take_turn(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Blocked> {
        match self {
            Link::Exclusive(port) => port.take_turn(patience),
            Link::Shared(port) => port.take_turn(patience),
        }
    }

    /// The payload of the slot that this end owns.
    pub(super) fn payload<T>(&self) -> *mut T {
        match self {
            Link::Exclusive(port) => port.payload(),
            Link::Shared(port) => port.payload(),
        }
    }

    /// Passes the slot to the other side.
    pub(super) fn pass(&mut self) {
        match self {
            Link::Exclusive(port) => port.pass(),
            Link::Shared(port) => port.pass(),
        }
    }

    /// Gives the slot back as it is.
    pub(super) fn abandon(&mut self) {
        match self {
            Link::Exclusive(port) => port.abandon(),
            Link::Shared(port) => port.abandon(),
        }
    }
}

impl<X: Tended, S: Tended> Sealed for Link<X, S> {
    fn interest(&self) -> Interest {
        match self {
            Link::Exclusive(port) => port.interest(),
            Link::Shared(port) => port.interest(),
        }
    }

    fn look(&mut self) -> bool {
        match self {
            Link::Exclusive(port) => port.look(),
            Link::Shared(port) => port.look(),
        }
    }

    fn probe(&mut self) -> bool {
        match self {
            Link::Exclusive(port) => port.probe(),
            Link::Shared(port) => port.probe(),
        }
    }
}
