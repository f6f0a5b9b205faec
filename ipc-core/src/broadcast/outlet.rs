//! An *outlet* is a publisher's end of either broadcast ring, without the message type. A lossless one also knows the
//! subscribers that it has to wait for.

use super::parts::{Parts, repair_all, sweep};
use crate::atomics::AtomicU64;
use crate::error::{OpenError, Role};
use crate::layout::{KIND_LOSSLESS_BROADCAST, Side};
use crate::liveness;
use crate::queue::loan::Lender;
use crate::queue::port::{Port, Tended};
use crate::ring::broadcast::{Publisher, Slowest};
use crate::ring::broadcast_frames::{self, FramePublisher};
use crate::ring::{Begun, End, Turn, VariableProducer, pauses_when_full};
use crate::segment::{Segment, Spec};
use crate::station::{self, Joined, Station};
use crate::waiting::Sleepers;
use core::ptr::NonNull;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

/// An end of the ring that publishes, of either ring.
enum Ring {
    Slots(Publisher),
    Frames(FramePublisher),
}

/// Calls a function that both rings' publishers have.
macro_rules! of_ring {
    ($ring:expr, $publisher:ident => $call:expr) => {
        match $ring {
            Ring::Slots($publisher) => $call,
            Ring::Frames($publisher) => $call,
        }
    };
}

/// An end of the ring that publishes.
pub(crate) struct Outlet {
    ring: Ring,
    parts: Parts,
    /// How many slots a look takes at most, where messages have one length.
    wanted: usize,
    segment: Arc<Segment>,
    /// The first line of the participant table that is a subscriber's.
    first: u32,
    /// How long to wait for a subscriber; `None` is for ever.
    evict_after: Option<Duration>,
    /// Since when a subscriber has kept this publisher waiting, and how it and the ring's tail stood then.
    held_up: Option<(Instant, Slowest, u64)>,
}

/// Takes a publisher's place.
pub(crate) fn open(spec: &Spec) -> Result<Port<Outlet>, OpenError> {
    let joined = station::join(spec, Side::First, Role::Publisher, sweep)?;
    let attach = |joined: &Joined| {
        let segment = joined.segment().clone();
        let (parts, geometry) = (Parts::of(&segment), segment.geometry());
        let (line, company) = (joined.line(), joined.enter(parts.counter()));
        let limit = Duration::from_nanos(geometry.evict_after_ns);
        Outlet {
            ring: match parts {
                Parts::Slots(parts) => Ring::Slots(Publisher::attach(parts, line, company)),
                Parts::Frames(parts) => {
                    let publisher = broadcast_frames::Publisher::attach(parts, line, company);
                    Ring::Frames(FramePublisher::new(publisher, segment.frame_shape()))
                }
            },
            parts,
            wanted: 1,
            first: geometry.first_role,
            evict_after: Some(limit).filter(|limit| !limit.is_zero()),
            held_up: None,
            segment,
        }
    };
    Ok(Port::new(Station::unconcerned(spec, joined, Sleepers::Many, attach)))
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
        of_ring!(ring, publisher => publisher.claim(|line| Self::counted(segment, *first, line)))
    }

    /// As [`claim`](Outlet::claim), for as many slots as are wanted.
    fn claim_many(&mut self) -> Turn {
        let Outlet { ring: Ring::Slots(publisher), segment, first, wanted, .. } = self else { return self.claim() };
        publisher.claim_many(*wanted, |line| Self::counted(segment, *first, line))
    }

    fn slowest(&self) -> Option<Slowest> {
        self.parts.slowest(|line| Self::counted(&self.segment, self.first, line))
    }

    /// Evicts the slowest subscriber if it has held this publisher up for too long.
    fn evict(&mut self) {
        let Some(limit) = self.evict_after else { return };
        let slowest = self.slowest().filter(|slowest| match &self.ring {
            // Anything less does not fill the ring: another publisher is in the way.
            Ring::Slots(_) => slowest.unread >= self.segment.geometry().slots,
            Ring::Frames(publisher) => publisher.is_held_up_by(slowest),
        });
        let (Some(slowest), Some(tail)) = (slowest, self.parts.tail()) else {
            self.held_up = None;
            return;
        };
        match self.held_up {
            // Since then it has passed nothing, and nobody else was in the way, or another publisher would have gone
            // on.
            Some((since, before, at)) if (before, at) == (slowest, tail) => {
                if since.elapsed() >= limit && self.parts.evict(&slowest) {
                    self.held_up = None;
                }
            }
            _ => self.held_up = Some((Instant::now(), slowest, tail)),
        }
    }
}

impl End for Outlet {
    // Not inlined, so that what is left of a call that does not need it keeps a message in registers.
    #[inline(never)]
    fn is_ready(&mut self) -> bool {
        self.claim() == Turn::Ours
    }

    #[inline(always)]
    fn is_alone(&self) -> bool {
        matches!(&self.ring, Ring::Slots(publisher) if publisher.next_alone().is_some())
    }

    #[inline(always)]
    fn begin(&mut self) -> Option<Begun> {
        match &mut self.ring {
            Ring::Slots(publisher) => publisher.begin(),
            Ring::Frames(_) => None,
        }
    }

    #[inline(always)]
    fn complete(&mut self, begun: Begun) {
        if let Ring::Slots(publisher) = &mut self.ring {
            publisher.complete(begun);
        }
    }

    fn relinquish(&mut self, begun: Begun) {
        if let Ring::Slots(publisher) = &mut self.ring {
            publisher.relinquish(begun);
        }
    }

    #[inline(always)]
    fn look(&mut self) -> Turn {
        if self.wanted == 1 { self.claim() } else { self.claim_many() }
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        of_ring!(&self.ring, publisher => publisher.payload()).unwrap_or(NonNull::dangling())
    }

    // Not inlined, as above.
    #[inline(never)]
    fn pass(&mut self) {
        of_ring!(&mut self.ring, publisher => publisher.pass());
    }

    fn ask_for_slots(&mut self, count: usize) {
        self.wanted = count;
    }

    fn owned(&mut self, max: usize) -> usize {
        match &self.ring {
            Ring::Slots(publisher) => publisher.claimed().min(max),
            Ring::Frames(_) => usize::from(self.is_ready()).min(max),
        }
    }

    fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        match &self.ring {
            Ring::Slots(publisher) => publisher.payload_ahead(ahead).unwrap_or(NonNull::dangling()),
            Ring::Frames(_) => self.payload(),
        }
    }

    fn pass_many(&mut self, count: usize) {
        match &mut self.ring {
            Ring::Slots(publisher) => publisher.pass_many(count),
            Ring::Frames(publisher) => publisher.pass(),
        }
    }

    fn may_claim(&self) -> bool {
        of_ring!(&self.ring, publisher => publisher.may_claim())
    }

    fn stand_back(&self) -> u32 {
        match &self.ring {
            Ring::Slots(_) => pauses_when_full(self.segment.geometry().slots),
            // There is no telling how soon enough is free for a message of any length.
            Ring::Frames(_) => 0,
        }
    }

    /// Messages that the slowest subscriber has not passed.
    fn len(&self) -> usize {
        self.slowest().map_or(0, |slowest| self.parts.unread(&slowest) as usize)
    }

    /// Without a history, nobody who comes later gets anything.
    fn is_drained(&self) -> bool {
        self.segment.geometry().history == 0 || self.parts.tail() == Some(0)
    }

    fn abandon(&mut self) {
        of_ring!(&mut self.ring, publisher => publisher.abandon());
    }

    fn detach(&mut self) {
        of_ring!(&mut self.ring, publisher => publisher.detach());
    }

    fn losses(&self) -> u64 {
        self.parts.losses()
    }
}

/// The slots of messages of one length are as long as they are, whatever is asked for.
impl VariableProducer for Outlet {
    fn ask_for(&mut self, payload_bytes: usize) -> Result<bool, usize> {
        match &mut self.ring {
            Ring::Slots(_) => Ok(false),
            Ring::Frames(publisher) => publisher.ask_for(payload_bytes),
        }
    }

    fn forget(&mut self) {
        if let Ring::Frames(publisher) = &mut self.ring {
            publisher.forget();
        }
    }

    fn shorten(&mut self, payload_bytes: usize) {
        if let Ring::Frames(publisher) = &mut self.ring {
            publisher.shorten(payload_bytes);
        }
    }

    fn limit_bytes(&self) -> usize {
        match &self.ring {
            Ring::Slots(_) => self.segment.geometry().message_bytes as usize,
            Ring::Frames(publisher) => publisher.limit_bytes(),
        }
    }
}

impl Tended for Outlet {
    const CLAIMS_AMONG_OTHERS: bool = true;

    fn tend(&mut self, segment: &Segment) -> bool {
        repair_all(segment);
        let may_claim =
            of_ring!(&mut self.ring, publisher => publisher.settle(|line| liveness::life(segment, line as u32)));
        if segment.geometry().kind == KIND_LOSSLESS_BROADCAST {
            for line in Side::Second.lines_of(segment.geometry()) {
                // Marks those who have died, so that they count no longer.
                liveness::life(segment, line);
            }
            self.evict();
        }
        may_claim
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

    fn owned(&mut self, max: usize) -> usize {
        Port::owned(self, max)
    }

    fn payload_ahead(&self, ahead: usize) -> *mut u8 {
        Port::payload_ahead(self, ahead)
    }

    fn shorten(&mut self, bytes: usize) {
        Port::shorten(self, bytes);
    }

    fn pass(&mut self) {
        Port::pass(self);
    }

    fn pass_many(&mut self, count: usize) {
        Port::pass_many(self, count);
    }

    fn abandon(&mut self) {
        Port::abandon(self);
    }

    fn is_forked(&self) -> bool {
        Port::is_forked(self)
    }

    fn assert_not_forked(&self) {
        Port::assert_not_forked(self);
    }
}
