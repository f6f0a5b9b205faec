//! The shared parts of a broadcast, whichever ring it has.

use crate::layout::Side;
use crate::liveness;
use crate::ring::broadcast::{self, Slowest};
use crate::ring::claims::Counter;
use crate::ring::{Life, Repair, broadcast_frames};
use crate::segment::Segment;

/// The parts of the ring of slots, or of that of frames.
#[derive(Clone, Copy)]
pub(super) enum Parts {
    /// For messages of one length.
    Slots(broadcast::Parts),
    /// For messages that vary in length.
    Frames(broadcast_frames::Parts),
}

/// Calls a function that the parts of both rings have.
macro_rules! of_ring {
    ($parts:expr, $ring:ident => $call:expr) => {
        match $parts {
            Parts::Slots($ring) => $call,
            Parts::Frames($ring) => $call,
        }
    };
}

impl Parts {
    /// The parts of the ring in a segment, which is that of a broadcast.
    pub(super) fn of(segment: &Segment) -> Self {
        segment.broadcast_frames().map_or_else(|| Parts::Slots(segment.broadcast_ring()), Parts::Frames)
    }

    /// The publishers' counter.
    pub(super) fn counter(&self) -> &Counter {
        of_ring!(self, ring => ring.counter())
    }

    /// A number that grows with every claim of a publisher, and is 0 before the first. `None` if the ring is damaged.
    pub(super) fn tail(&self) -> Option<u64> {
        match self {
            Parts::Slots(ring) => ring.number().ok(),
            Parts::Frames(ring) => ring.tail().ok().map(|tail| tail.word()),
        }
    }

    /// Messages that were lost with publishers that died.
    pub(super) fn losses(&self) -> u64 {
        of_ring!(self, ring => ring.losses())
    }

    /// The subscriber that has passed the least, of those for which `counted` returns the generation of their line's owner.
    pub(super) fn slowest(&self, counted: impl Fn(usize) -> Option<u32>) -> Option<Slowest> {
        of_ring!(self, ring => ring.slowest(counted))
    }

    /// Messages that the slowest subscriber has not passed.
    pub(super) fn unread(&self, slowest: &Slowest) -> u64 {
        match self {
            Parts::Slots(_) => slowest.unread,
            Parts::Frames(ring) => ring.messages_in_last(slowest.unread),
        }
    }

    /// Notes that publishers no longer wait for a subscriber; see [`broadcast::Parts::evict`].
    pub(super) fn evict(&self, subscriber: &Slowest) -> bool {
        of_ring!(self, ring => ring.evict(subscriber.line, subscriber.generation))
    }

    /// Closes the hole that the dead publisher on `line` may have left. `life` tells of publishers only.
    fn repair(&self, line: u32, life: impl Fn(usize) -> Life) -> Repair {
        of_ring!(self, ring => ring.repair(line as usize, life))
    }
}

/// Has publishers no longer wait for the subscriber that owned `line` of the participant table as the owner number
/// `generation`. `false` if it is known to have been succeeded.
pub(crate) fn evict_subscriber(segment: &Segment, line: u32, generation: u32) -> bool {
    let line = line.saturating_sub(segment.geometry().first_role);
    of_ring!(Parts::of(segment), ring => ring.evict(line as usize, generation))
}

/// Resolves what the dead owner of a line has left, for whoever holds the line's lock and is about to take it over.
pub(super) fn sweep(segment: &Segment, line: u32) -> bool {
    if line >= segment.geometry().first_role {
        // What a dead subscriber leaves is a cursor, which counts no longer.
        return true;
    }
    let life = |other: usize| match other as u32 {
        other if other == line => liveness::afterlife(segment, line),
        other => liveness::life(segment, other),
    };
    Parts::of(segment).repair(line, life) == Repair::Resolved
}

/// Closes the holes that dead publishers have left.
pub(super) fn repair_all(segment: &Segment) {
    let parts = Parts::of(segment);
    for line in Side::First.lines_of(segment.geometry()) {
        if liveness::has_died(segment, line) {
            // What is pending, or broken, is met again by whoever waits for it.
            parts.repair(line, |line| liveness::life(segment, line as u32));
        }
    }
}
