//! What a subscriber knows of its place in the ring: its end, and what it has to say before it goes on.

use super::super::PUBLISHERS;
use super::super::parts::{Parts, repair_all};
use crate::atomics::AtomicU64;
use crate::liveness;
use crate::ring::Evidence;
use crate::ring::broadcast::{Sight, lossless, lossy};
use crate::ring::broadcast_frames::{FrameSubscriber, Subscriber};
use crate::segment::Segment;
use crate::station::Joined;
use crate::waiting;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

/// How often a wait may end with something that is gone when it is looked at again, and a copy turn out not to be the
/// message, before that is damage. Others can do it once or twice in a row, if they are very fast.
pub(super) const MOST_LOOKS: u32 = 1_000;

/// An end of the ring that reads. (With a byte of its own to tell them apart, which takes a comparison for each message.)
#[repr(u8)]
pub(super) enum End {
    Lossless(lossless::Subscriber),
    Lossy(lossy::Subscriber),
    /// Of either kind, where messages vary in length.
    Frames(FrameSubscriber),
}

impl End {
    /// Whether publishers wait for this end.
    #[inline(always)]
    pub(super) fn is_lossless(&self) -> bool {
        match self {
            End::Lossless(_) => true,
            End::Lossy(_) => false,
            End::Frames(end) => end.is_waited_for(),
        }
    }
}

/// What a subscriber knows of its place in the ring.
pub(super) struct Intake {
    pub(super) end: End,
    /// Messages that were missed and have yet to be reported.
    pub(super) missed: u64,
    pub(super) is_evicted: bool,
    /// Copies in a row that were not accepted.
    pub(super) refused: u32,
}

impl Intake {
    pub(super) fn attach(joined: &Joined) -> Result<Self, Evidence> {
        let (segment, line, generation) = (joined.segment(), joined.line(), joined.generation());
        let history = segment.geometry().history;
        let end = match Parts::of(segment) {
            Parts::Slots(parts) => match lossless::Subscriber::attach(parts, line, generation, history) {
                Some(end) => End::Lossless(end?),
                None => End::Lossy(lossy::Subscriber::attach(parts, history)?),
            },
            Parts::Frames(parts) => {
                let lossless = Subscriber::attach_lossless(parts, line, generation, history);
                let end = lossless.unwrap_or_else(|| Subscriber::attach_lossy(parts, history))?;
                End::Frames(FrameSubscriber::new(end, segment.frame_shape()))
            }
        };
        Ok(Intake { end, missed: 0, is_evicted: false, refused: 0 })
    }

    /// Whether a message comes next, and nothing is to be said before.
    #[inline(always)]
    pub(super) fn has_message(&mut self) -> bool {
        let is_plain = match &self.end {
            End::Lossless(end) => !self.is_evicted && end.sees_next(),
            End::Lossy(end) => self.missed == 0 && end.sees_next(),
            End::Frames(_) => false,
        };
        is_plain || self.has_message_after_all()
    }

    /// The same, where there may be something else than a message.
    #[inline(never)]
    pub(super) fn has_message_after_all(&mut self) -> bool {
        !self.is_cut_off() && self.sight() == Sight::Message
    }

    /// What comes next; what was missed until it is taken.
    #[inline(always)]
    pub(super) fn sight(&mut self) -> Sight {
        let sight = self.look();
        if sight == Sight::Message || sight == Sight::Nothing { sight } else { self.sight_of(sight) }
    }

    /// As [`sight`](Self::sight), and wakes the publishers that sleep on `theirs` if this subscriber has stepped over messages
    /// that were given up.
    pub(super) fn sight_awake(&mut self, theirs: &AtomicU32) -> Sight {
        let sight = self.sight();
        let has_made_room = match &mut self.end {
            End::Lossless(end) => end.take_room_made(),
            End::Frames(end) => end.take_room_made(),
            End::Lossy(_) => false,
        };
        if has_made_room {
            waiting::wake(theirs);
        }
        sight
    }

    #[inline(always)]
    pub(super) fn look(&mut self) -> Sight {
        match &mut self.end {
            End::Lossless(end) => end.look(),
            End::Lossy(end) if self.missed == 0 => end.look(),
            End::Frames(end) if self.missed == 0 => end.look(),
            End::Lossy(_) | End::Frames(_) => Sight::Missed(self.missed),
        }
    }

    #[cold]
    pub(super) fn sight_of(&mut self, mut sight: Sight) -> Sight {
        // A hole of a publisher that died is nothing that a lossless subscriber has missed. The next look is beyond it,
        // and is taken at once: whoever waits would sleep for another slice, in which nobody wakes it. Each publisher
        // leaves one.
        for _ in 0..PUBLISHERS {
            if !matches!(sight, Sight::Missed(_)) || !self.end.is_lossless() {
                break;
            }
            sight = self.look();
        }
        match sight {
            Sight::Missed(_) if self.end.is_lossless() => Sight::Nothing,
            Sight::Missed(missed) => {
                self.missed = missed;
                sight
            }
            _ => sight,
        }
    }

    /// The payload of the message that comes next.
    #[inline(always)]
    pub(super) fn payload(&self) -> Option<NonNull<AtomicU64>> {
        match &self.end {
            End::Lossless(end) => Some(end.payload()),
            End::Lossy(end) => Some(end.payload()),
            End::Frames(end) => end.payload(),
        }
    }

    /// Bytes of the message that comes next, if messages vary in length.
    pub(super) fn bytes(&self) -> Option<usize> {
        match &self.end {
            End::Lossless(_) | End::Lossy(_) => None,
            End::Frames(end) => Some(end.bytes()),
        }
    }

    /// Whether copy after copy turned out not to be the message, without any having been missed in between.
    pub(super) fn is_foiled(&self) -> bool {
        self.refused >= MOST_LOOKS
    }

    /// Whether there is something to say before the ring is looked at.
    #[inline(always)]
    pub(super) fn is_cut_off(&self) -> bool {
        self.is_evicted || self.is_foiled()
    }

    /// Steps on, if the copy that was made of the payload is the message.
    #[inline(always)]
    pub(super) fn accept(&mut self) -> bool {
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
            End::Frames(end) => {
                let is_accepted = end.accept();
                self.refused = if is_accepted { 0 } else { self.refused + 1 };
                self.is_evicted |= !is_accepted && end.is_waited_for();
                is_accepted
            }
        }
    }

    /// Whether there is a message `ahead` slots on. There is one to be taken.
    #[inline(always)]
    pub(super) fn sees_ahead(&self, ahead: usize) -> bool {
        match &self.end {
            End::Lossless(end) => end.sees_ahead(ahead),
            End::Lossy(end) => end.sees_ahead(ahead),
            End::Frames(_) => false,
        }
    }

    /// The payload `ahead` slots on, where there is a message.
    #[inline(always)]
    pub(super) fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        match &self.end {
            End::Lossless(end) => end.payload_ahead(ahead),
            End::Lossy(end) => end.payload_ahead(ahead),
            End::Frames(end) => end.payload().unwrap_or(NonNull::dangling()),
        }
    }

    /// Whether the copy that was made of the payload `ahead` slots on is the message.
    #[inline(always)]
    pub(super) fn is_intact(&mut self, ahead: usize) -> bool {
        match &mut self.end {
            End::Lossless(end) => {
                let is_intact = end.accept();
                self.is_evicted |= !is_intact;
                is_intact
            }
            End::Lossy(end) => end.is_intact(ahead),
            End::Frames(_) => false,
        }
    }

    /// Steps over so many messages, which have been seen.
    pub(super) fn pass_many(&mut self, count: usize) {
        match &mut self.end {
            End::Lossless(end) => end.pass_many(count),
            End::Lossy(end) => end.pass_many(count),
            End::Frames(_) => {}
        }
    }

    /// Closes the hole at which this subscriber waits, if a publisher died there; steps over it if the segment is
    /// read-only.
    pub(super) fn tend(&mut self, segment: &Segment) -> bool {
        let is_claimed = match &self.end {
            End::Lossless(end) => end.is_claimed(),
            End::Lossy(end) => end.is_claimed(),
            End::Frames(end) => end.is_claimed(),
        };
        if !is_claimed {
            return true;
        }
        let life = |line| liveness::life(segment, line as u32);
        match &mut self.end {
            _ if segment.is_writable() => repair_all(segment),
            End::Lossy(end) => end.step_over_dead(life),
            End::Frames(end) => end.step_over_dead(life),
            // Whoever has a cursor can write.
            End::Lossless(_) => {}
        }
        true
    }
}
