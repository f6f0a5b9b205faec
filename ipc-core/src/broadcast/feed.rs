//! A subscriber's end of the ring, and the station that waits for it.

use super::outlet::{repair_all, sweep};
use crate::atomics::AtomicU64;
use crate::error::{Corrupt, OpenError, Role};
use crate::info::ChannelInfo;
use crate::interest::Interest;
use crate::layout::{KIND_LOSSLESS_BROADCAST, Side};
use crate::liveness::{self, PROBE_INTERVAL};
use crate::ring::Evidence;
use crate::ring::broadcast::{Sight, lossless, lossy};
use crate::segment::{Segment, Spec};
use crate::station::{self, Blocked, Joined, Patience, Station};
use crate::waiting::Sleepers;
use core::ptr::NonNull;
use std::time::Instant;

/// Why no message comes.
pub(super) enum Hindrance {
    /// There is none, for one of the reasons that all channels have.
    Blocked(Blocked),
    /// So many were missed before the one that comes next.
    Lagged(u64),
    /// Publishers go on without this subscriber.
    Evicted,
}

impl From<Blocked> for Hindrance {
    fn from(blocked: Blocked) -> Self {
        Hindrance::Blocked(blocked)
    }
}

/// An end of the ring that reads, of either kind.
enum End {
    Lossless(lossless::Subscriber),
    Lossy(lossy::Subscriber),
}

/// What a subscriber knows of its place in the ring.
struct Intake {
    end: End,
    /// Messages that were missed and have yet to be reported.
    missed: u64,
    is_evicted: bool,
    last_tended: Option<Instant>,
}

/// One subscriber's end, and its station.
pub(super) struct Feed {
    intake: Intake,
    station: Station,
    /// Whether a message stays where it is for as long as this subscriber has not passed it.
    stays: bool,
}

/// Takes a subscriber's place.
pub(super) fn open(spec: &Spec) -> Result<Feed, OpenError> {
    let joined = station::join(spec, Side::Second, Role::Subscriber, sweep)?;
    let attach = |joined: &Joined| Intake::attach(joined);
    let (station, intake) = Station::new(spec, joined, Sleepers::Many, attach, |intake| {
        // A publisher whose messages are still there concerns whoever reads them.
        intake.as_mut().is_ok_and(|intake| intake.sight() != Sight::Nothing)
    });
    let geometry = station.segment().geometry();
    let stays = geometry.kind == KIND_LOSSLESS_BROADCAST && geometry.evict_after_ns == 0;
    match intake {
        Ok(intake) => Ok(Feed { intake, station, stays }),
        Err(Evidence { found, .. }) => {
            let path = station.segment().path().into();
            let mut station = station;
            station.close();
            station.leave(|| false);
            Err(OpenError::NotASegment { path, reason: format!("its ring is damaged: {found} is no position") })
        }
    }
}

impl Intake {
    fn attach(joined: &Joined) -> Result<Self, Evidence> {
        let (parts, history) = (joined.segment().broadcast_ring(), joined.segment().geometry().history);
        let lossless = lossless::Subscriber::attach(parts, joined.line(), joined.generation(), history);
        let end = match lossless {
            Some(end) => End::Lossless(end?),
            None => End::Lossy(lossy::Subscriber::attach(parts, history)?),
        };
        Ok(Intake { end, missed: 0, is_evicted: false, last_tended: None })
    }

    /// What comes next; what was missed until it is taken.
    #[inline(always)]
    fn sight(&mut self) -> Sight {
        let sight = match &mut self.end {
            End::Lossless(end) => end.look(),
            End::Lossy(end) if self.missed == 0 => end.look(),
            End::Lossy(_) => Sight::Missed(self.missed),
        };
        if sight == Sight::Message || sight == Sight::Nothing { sight } else { self.sight_of(sight) }
    }

    #[cold]
    fn sight_of(&mut self, sight: Sight) -> Sight {
        match (sight, &mut self.end) {
            // A hole of a publisher that died is nothing that this subscriber has missed. The next look is beyond it.
            (Sight::Missed(_), End::Lossless(_)) => Sight::Nothing,
            (Sight::Missed(missed), End::Lossy(_)) => {
                self.missed = missed;
                sight
            }
            _ => sight,
        }
    }

    /// The payload of the message that comes next.
    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        match &self.end {
            End::Lossless(end) => end.payload(),
            End::Lossy(end) => end.payload(),
        }
    }

    /// Steps on, if the copy that was made of the payload is the message.
    #[inline(always)]
    fn accept(&mut self) -> bool {
        match &mut self.end {
            End::Lossless(end) => {
                let is_accepted = end.accept();
                if is_accepted {
                    end.pass();
                } else {
                    self.is_evicted = true;
                }
                is_accepted
            }
            End::Lossy(end) => end.accept(),
        }
    }

    /// Closes the hole at which this subscriber waits, if a publisher died there; steps over it if the segment is read-only.
    fn tend(&mut self, segment: &Segment) {
        let is_claimed = match &self.end {
            End::Lossless(end) => end.is_claimed(),
            End::Lossy(end) => end.is_claimed(),
        };
        if !is_claimed || self.last_tended.is_some_and(|last| last.elapsed() < PROBE_INTERVAL) {
            return;
        }
        self.last_tended = Some(Instant::now());
        match &mut self.end {
            End::Lossy(end) if !segment.is_writable() => {
                end.step_over_dead(|line| liveness::life(segment, line as u32));
            }
            _ => repair_all(segment),
        }
    }
}

impl Feed {
    /// What there is to know about the channel.
    pub(super) fn info(&self) -> &ChannelInfo {
        self.station.info()
    }

    /// See [`stays`](Feed::stays).
    pub(super) fn stays(&self) -> bool {
        self.stays
    }

    /// Whether this process was forked from the one that opened the channel.
    pub(super) fn is_forked(&self) -> bool {
        self.station.is_forked()
    }

    /// Messages that were lost with publishers that died.
    pub(super) fn losses(&self) -> u64 {
        self.station.segment().broadcast_ring().losses()
    }

    /// Messages that have been published and that this subscriber has neither got nor been told to have missed.
    pub(super) fn unread(&self) -> u64 {
        let next = match &self.intake.end {
            End::Lossless(end) => end.number(),
            End::Lossy(end) => end.number().wrapping_sub(self.intake.missed),
        };
        self.station.segment().broadcast_ring().number().map_or(0, |newest| newest.saturating_sub(next))
    }

    /// Whether there is a message to be taken at once.
    #[inline(always)]
    pub(super) fn is_ready(&mut self) -> bool {
        !self.station.is_forked() && !self.intake.is_evicted && self.intake.sight() == Sight::Message
    }

    /// Waits until there is a message to be taken. Without one, `patience` is asked how long.
    #[inline(always)]
    pub(super) fn take_turn(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Hindrance> {
        if self.is_ready() { Ok(()) } else { self.wait(patience()) }
    }

    /// The payload of the message that can be taken.
    #[inline(always)]
    pub(super) fn payload(&self) -> *mut u8 {
        self.intake.payload().as_ptr().cast()
    }

    /// Steps on, if the copy that was made of the payload is the message. If it is not, the next look says why.
    #[inline(always)]
    pub(super) fn accept(&mut self) -> bool {
        self.intake.accept()
    }

    /// Wakes publishers that wait for room.
    #[inline(always)]
    pub(super) fn wake(&self) {
        if let End::Lossless(_) = self.intake.end {
            self.station.wake();
        }
    }

    /// What this end sleeps on.
    pub(super) fn interest(&self) -> Interest {
        self.station.interest()
    }

    /// Whether there is anything to return, as far as the ring says.
    pub(super) fn look(&mut self) -> bool {
        is_due(&mut self.intake)
    }

    /// Whether there is anything to return.
    pub(super) fn probe(&mut self) -> bool {
        let Feed { intake, station, .. } = self;
        station.probe(intake, |intake| Ok(is_due(intake)), Intake::tend)
    }

    #[cold]
    #[inline(never)]
    fn wait(&mut self, patience: Patience) -> Result<(), Hindrance> {
        let Feed { intake, station, .. } = self;
        if station.is_forked() {
            return Err(Blocked::Forked.into());
        }
        loop {
            if intake.is_evicted {
                return Err(Hindrance::Evicted);
            }
            match intake.sight() {
                Sight::Message => return Ok(()),
                Sight::Missed(missed) => {
                    intake.missed = 0;
                    return Err(Hindrance::Lagged(missed));
                }
                Sight::Evicted => intake.is_evicted = true,
                Sight::Broken(Evidence { slot, found, expected }) => {
                    return Err(Blocked::Corrupt(Corrupt::Stamp { slot, found, expected }).into());
                }
                Sight::Nothing => {
                    let look = |intake: &mut Intake| Ok(intake.sight() != Sight::Nothing);
                    station.wait(patience, intake, look, Intake::tend)?;
                }
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let Feed { intake, station, .. } = self;
        let has_history = station.segment().geometry().history != 0;
        let is_drained = !has_history || intake.sight() == Sight::Nothing;
        if let End::Lossless(end) = &intake.end {
            end.detach();
        }
        station.close();
        station.leave(|| is_drained);
    }
}

/// Whether a subscriber has something to say: a message, or why there is none.
fn is_due(intake: &mut Intake) -> bool {
    intake.is_evicted || intake.sight() != Sight::Nothing
}
