//! A publisher's end of the ring, which knows whom it has to wait for.

use crate::atomics::AtomicU64;
use crate::error::{OpenError, Role};
use crate::layout::{KIND_LOSSLESS_BROADCAST, Side};
use crate::liveness::{self, PROBE_INTERVAL};
use crate::queue::loan::Lender;
use crate::queue::port::{Port, Tended};
use crate::ring::broadcast as ring;
use crate::ring::{End, Repair, Turn, pauses_when_full};
use crate::segment::{Segment, Spec};
use crate::station::{self, Joined, Station};
use crate::waiting::Sleepers;
use core::ptr::NonNull;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

/// An end of the ring that publishes.
pub(super) struct Outlet {
    ring: ring::Publisher,
    parts: ring::Parts,
    segment: Arc<Segment>,
    /// The first line of the participant table that is a subscriber's.
    first: u32,
    /// How long to wait for a subscriber; `None` is for ever.
    evict_after: Option<Duration>,
    /// Since when subscribers have kept this publisher waiting, without passing the message that had this number then.
    held_up: Option<(Instant, u64)>,
    last_tended: Option<Instant>,
}

/// Takes a publisher's place.
pub(super) fn open(spec: &Spec) -> Result<Port<Outlet>, OpenError> {
    let joined = station::join(spec, Side::First, Role::Publisher, sweep)?;
    let attach = |joined: &Joined| {
        let segment = joined.segment().clone();
        let (parts, geometry) = (segment.broadcast_ring(), segment.geometry());
        let company = joined.enter(parts.counter());
        let limit = Duration::from_nanos(geometry.evict_after_ns);
        Outlet {
            ring: ring::Publisher::attach(parts, joined.line(), company),
            parts,
            first: geometry.first_role,
            evict_after: Some(limit).filter(|limit| !limit.is_zero()),
            held_up: None,
            last_tended: None,
            segment,
        }
    };
    Ok(Port::new(Station::unconcerned(spec, joined, Sleepers::Many, attach)))
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
    segment.broadcast_ring().repair(line as usize, life) == Repair::Resolved
}

/// Closes the holes that dead publishers have left.
pub(super) fn repair_all(segment: &Segment) {
    let parts = segment.broadcast_ring();
    for line in Side::First.lines_of(segment.geometry()) {
        if liveness::has_died(segment, line) {
            // What is pending, or broken, is met again by whoever waits for it.
            parts.repair(line as usize, |line| liveness::life(segment, line as u32));
        }
    }
}

impl Outlet {
    /// Whether the subscriber on line `line` of its side is waited for, and which of the line's owners it is. One that
    /// has died is until `tend` finds out, which asks the kernel.
    fn counted(segment: &Segment, first: u32, line: usize) -> Option<u32> {
        liveness::registered(segment, first + line as u32)
    }

    #[inline(always)]
    fn claim(&mut self) -> Turn {
        let Outlet { ring, segment, first, .. } = self;
        ring.claim(|line| Self::counted(segment, *first, line))
    }

    /// Evicts the slowest subscriber if it has held this publisher up for too long.
    fn evict(&mut self) {
        let Some(limit) = self.evict_after else { return };
        let slowest = self.parts.slowest(|line| Self::counted(&self.segment, self.first, line));
        // Anything less does not fill the ring: another publisher is in the way.
        let slowest = slowest.filter(|slowest| slowest.unread >= self.segment.geometry().slots);
        let (Some(slowest), Ok(number)) = (slowest, self.parts.number()) else {
            self.held_up = None;
            return;
        };
        match self.held_up {
            // Since then nobody has made room, or another publisher would have used it.
            Some((since, before)) if before == number => {
                if since.elapsed() >= limit && self.parts.evict(slowest.line, slowest.generation) {
                    self.held_up = None;
                }
            }
            _ => self.held_up = Some((Instant::now(), number)),
        }
    }
}

impl End for Outlet {
    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.claim() == Turn::Ours
    }

    #[inline(always)]
    fn look(&mut self) -> Turn {
        self.claim()
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        self.ring.payload().unwrap_or(NonNull::dangling())
    }

    #[inline(always)]
    fn pass(&mut self) {
        self.ring.pass();
    }

    fn stand_back(&self) -> u32 {
        pauses_when_full(self.segment.geometry().slots)
    }

    /// Messages that the slowest subscriber has not passed.
    fn len(&self) -> usize {
        let slowest = self.parts.slowest(|line| Self::counted(&self.segment, self.first, line));
        slowest.map_or(0, |slowest| slowest.unread as usize)
    }

    /// Without a history, nobody who comes later gets anything.
    fn is_drained(&self) -> bool {
        self.segment.geometry().history == 0 || self.parts.number() == Ok(0)
    }

    fn abandon(&mut self) {
        self.ring.abandon();
    }

    fn detach(&mut self) {
        self.ring.detach();
    }

    fn losses(&self) -> u64 {
        self.parts.losses()
    }
}

impl Tended for Outlet {
    fn tend(&mut self, segment: &Segment) {
        if self.last_tended.is_some_and(|last| last.elapsed() < PROBE_INTERVAL) {
            // Its locks have been looked at a moment ago, by a call that did not wait.
            return;
        }
        self.last_tended = Some(Instant::now());
        repair_all(segment);
        self.ring.settle(|line| liveness::life(segment, line as u32));
        if segment.geometry().kind == KIND_LOSSLESS_BROADCAST {
            for line in Side::Second.lines_of(segment.geometry()) {
                // Marks those who have died, so that they count no longer.
                liveness::life(segment, line);
            }
            self.evict();
        }
    }

    /// Subscribers wait for messages, and another publisher may wait for this one to be done with a cell.
    #[inline(always)]
    fn wake(station: &Station, _count: usize) {
        station.wake();
        station.wake_own_side();
    }
}

impl Lender for Port<Outlet> {
    fn payload(&self) -> *mut u8 {
        Port::payload(self)
    }

    fn shorten(&mut self, _bytes: usize) {}

    fn pass(&mut self) {
        Port::pass(self);
    }

    fn abandon(&mut self) {
        Port::abandon(self);
    }

    fn assert_not_forked(&self) {
        Port::assert_not_forked(self);
    }
}
