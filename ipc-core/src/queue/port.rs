//! One end of a queue: an end of its ring, and the station that waits and wakes for it.
//!
//! [`Sender`](super::Sender) and [`Receiver`](super::Receiver) give it its verbs.

use crate::error::Corrupt;
use crate::info::ChannelInfo;
use crate::ring::{End, Evidence, Turn};
use crate::station::{Blocked, Patience, Station};

/// One end.
pub(crate) struct Port<E: End> {
    end: E,
    station: Station,
}

impl<E: End> Port<E> {
    /// An end of a ring, and its station.
    pub(crate) fn new((station, end): (Station, E)) -> Self {
        Port { end, station }
    }

    /// What there is to know about the channel.
    pub(crate) fn info(&self) -> &ChannelInfo {
        self.station.info()
    }

    /// Number of messages in the ring, as far as can be seen at this moment.
    pub(crate) fn len(&self) -> usize {
        if self.is_forked() {
            return 0;
        }
        self.station.segment().exclusive_ring().len()
    }

    /// Whether the slot at this end's place is its own. Never in a child that was forked since the channel was opened;
    /// [`wait`](Port::wait) says so.
    #[inline(always)]
    pub(crate) fn is_ready(&mut self) -> bool {
        !self.station.is_forked() && self.end.is_ready()
    }

    /// Whether this process was forked from the one that opened the channel.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.station.is_forked()
    }

    /// For guards over values that not all bits are: in a forked child their slot is blank.
    ///
    /// # Panics
    ///
    /// In a child that was forked since the channel was opened.
    #[inline(always)]
    pub(crate) fn assert_not_forked(&self) {
        assert!(!self.is_forked(), "this guard was taken before a fork, and its message is not in the child");
    }

    /// The payload of the slot at this end's place, to be touched only when [`is_ready`](Port::is_ready).
    #[inline(always)]
    pub(crate) fn payload<T>(&self) -> *mut T {
        self.end.payload().as_ptr().cast()
    }

    /// Passes the slot to the other side, steps on, and wakes the other side if it sleeps.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.end.pass();
        self.flush();
    }

    /// Passes the slot without looking whether the other side sleeps. [`flush`](Port::flush) has to follow.
    #[inline(always)]
    pub(crate) fn pass_quietly(&mut self) {
        self.end.pass();
    }

    /// Wakes the other side if it sleeps.
    #[inline(always)]
    pub(crate) fn flush(&self) {
        self.station.wake();
    }

    /// Waits until the slot at this end's place is its own.
    #[cold]
    #[inline(never)]
    pub(crate) fn wait(&mut self, patience: Patience) -> Result<(), Blocked> {
        if self.is_forked() {
            return Err(Blocked::Forked);
        }
        // Whoever is about to wait must not leave the other side waiting for it.
        self.flush();
        let Port { end, station } = self;
        station.wait(patience, || turn(end), |_| {})
    }
}

impl<E: End> Drop for Port<E> {
    fn drop(&mut self) {
        self.station.close();
        let ring = self.station.segment().exclusive_ring();
        self.station.leave(|| ring.len() == 0);
    }
}

/// Whether it is this end's turn; an error if the stamp is none that the ring can have.
fn turn(end: &mut impl End) -> Result<bool, Corrupt> {
    match end.look() {
        Turn::Ours => Ok(true),
        Turn::Theirs => Ok(false),
        Turn::Broken(Evidence { slot, found, expected }) => Err(Corrupt::Stamp { slot, found, expected }),
    }
}
