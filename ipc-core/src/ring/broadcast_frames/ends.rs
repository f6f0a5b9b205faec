//! The ends of the ring of frames, which know how many bytes a message has.
//!
//! A frame begins with the number of its message's bytes, and the payload follows, aligned, as in the frames of a shared ring.
//! The number is one of the words that a subscriber copies: where publishers do not wait for it, what it has read there
//! counts only when the copy has been accepted. Until then it is used all the same, since it is never believed to be more than
//! the frame's cells hold, which the stamp tells.

use super::*;
use crate::ring::shared::{FrameShape, length};

/// An end that publishes frames of the length that was asked for.
pub(crate) struct FramePublisher {
    publisher: Publisher,
    shape: FrameShape,
    /// Bytes of the payload that was asked for.
    bytes: usize,
    /// Cells that it needs.
    units: u16,
}

impl FramePublisher {
    /// A publisher that fills frames of this shape.
    pub(crate) fn new(publisher: Publisher, shape: FrameShape) -> Self {
        FramePublisher { publisher, shape, bytes: 0, units: 1 }
    }

    /// As [`Publisher::claim`], for the frame that was asked for.
    #[inline(never)]
    pub(crate) fn claim(&mut self, counted: impl Fn(usize) -> Option<u32>) -> Turn {
        self.publisher.claim(self.units, counted)
    }

    /// See [`VariableProducer::ask_for`](crate::ring::VariableProducer::ask_for).
    pub(crate) fn ask_for(&mut self, payload_bytes: usize) -> Result<bool, usize> {
        let Some(units) = self.shape.units_of(payload_bytes) else { return Err(self.limit_bytes()) };
        let is_too_short = (1..units).contains(&self.publisher.units());
        if is_too_short {
            self.publisher.abandon();
        }
        (self.bytes, self.units) = (payload_bytes, units);
        Ok(is_too_short)
    }

    /// See [`VariableProducer::forget`](crate::ring::VariableProducer::forget).
    pub(crate) fn forget(&mut self) {
        self.publisher.forget();
    }

    /// See [`VariableProducer::shorten`](crate::ring::VariableProducer::shorten).
    pub(crate) fn shorten(&mut self, payload_bytes: usize) {
        self.bytes = self.bytes.min(payload_bytes);
    }

    /// See [`VariableProducer::limit_bytes`](crate::ring::VariableProducer::limit_bytes).
    pub(crate) fn limit_bytes(&self) -> usize {
        self.shape.limit_bytes()
    }

    /// Where the payload of the claimed frame begins.
    pub(crate) fn payload(&self) -> Option<NonNull<AtomicU64>> {
        self.publisher.payload().map(|first| self.shape.payload(first))
    }

    /// Publishes the message in the claimed frame.
    #[inline(never)]
    pub(crate) fn pass(&mut self) {
        if let Some(first) = self.publisher.payload() {
            // Relaxed: published by the stamp.
            length(&first).store(self.bytes as u64, Ordering::Relaxed);
            self.publisher.pass();
        }
    }

    /// See [`Publisher::abandon`].
    pub(crate) fn abandon(&mut self) {
        self.publisher.abandon();
    }

    /// See [`Publisher::detach`].
    pub(crate) fn detach(&mut self) {
        self.publisher.detach();
    }

    /// See [`Publisher::settle`].
    pub(crate) fn settle(&mut self, life: impl Fn(usize) -> Life) -> bool {
        self.publisher.settle(life)
    }

    /// See [`Publisher::may_claim`].
    pub(crate) fn may_claim(&self) -> bool {
        self.publisher.may_claim()
    }

    /// As [`Publisher::is_held_up_by`], for the frame that was asked for.
    pub(crate) fn is_held_up_by(&self, slowest: &Slowest) -> bool {
        self.publisher.is_held_up_by(slowest, self.units)
    }
}

/// An end that reads frames.
pub(crate) struct FrameSubscriber {
    subscriber: Subscriber,
    shape: FrameShape,
    /// Bytes of the payload of the message that comes next.
    bytes: usize,
    /// Whether that was found to be more than its frame has.
    is_damaged: bool,
}

impl FrameSubscriber {
    /// A subscriber that reads frames of this shape.
    pub(crate) fn new(subscriber: Subscriber, shape: FrameShape) -> Self {
        FrameSubscriber { subscriber, shape, bytes: 0, is_damaged: false }
    }

    /// See [`Subscriber::look`].
    #[inline(never)]
    pub(crate) fn look(&mut self) -> Sight {
        self.is_damaged = false;
        for _ in 0..MAX_ROUNDS {
            let sight = self.subscriber.look();
            let (Sight::Message, Some((first, units))) = (sight, self.subscriber.payload()) else { return sight };
            // Relaxed: the stamp has acquired it, or it is of a later frame, which `accept` finds out.
            let found = length(&first).load(Ordering::Relaxed);
            let room = self.shape.room_in(units);
            if let Some(bytes) = usize::try_from(found).ok().filter(|&bytes| bytes <= room) {
                self.bytes = bytes;
                return Sight::Message;
            }
            if self.subscriber.accept() {
                self.is_damaged = true;
                return Sight::Broken(Evidence { slot: self.subscriber.index(), found, expected: room as u64 });
            }
            // The next look goes on from where the frames are still there.
        }
        Sight::Nothing
    }

    /// Steps over a frame that says it has more bytes than there are. To be called when that has been reported. A ring that is
    /// damaged otherwise stays as it is.
    pub(crate) fn skip_damaged(&mut self) {
        if core::mem::take(&mut self.is_damaged) {
            self.subscriber.pass();
        }
    }

    /// Bytes of the payload of the message that comes next, after [`Sight::Message`].
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the payload of the message that comes next begins. As for [`Subscriber::payload`]; there are as many bytes as
    /// [`bytes`](Self::bytes) says.
    pub(crate) fn payload(&self) -> Option<NonNull<AtomicU64>> {
        self.subscriber.payload().map(|(first, _)| self.shape.payload(first))
    }

    /// Steps on, if everything that has been read from the frame belongs to the message. If it does not, the copy is worth
    /// nothing, and the next look says why.
    #[inline(never)]
    pub(crate) fn accept(&mut self) -> bool {
        let is_accepted = self.subscriber.accept();
        if is_accepted {
            self.subscriber.pass();
        }
        is_accepted
    }

    /// See [`End::take_room_made`](crate::ring::End::take_room_made).
    pub(crate) fn take_room_made(&mut self) -> bool {
        self.subscriber.take_room_made()
    }

    /// See [`Subscriber::is_claimed`].
    pub(crate) fn is_claimed(&self) -> bool {
        self.subscriber.is_claimed()
    }

    /// See [`Subscriber::is_waited_for`].
    pub(crate) fn is_waited_for(&self) -> bool {
        self.subscriber.is_waited_for()
    }

    /// See [`Subscriber::unread`].
    pub(crate) fn unread(&self) -> u64 {
        self.subscriber.unread()
    }

    /// See [`Subscriber::step_over_dead`].
    pub(crate) fn step_over_dead(&mut self, life: impl Fn(usize) -> Life) {
        self.subscriber.step_over_dead(life);
    }

    /// See [`Subscriber::detach`].
    pub(crate) fn detach(&mut self) {
        self.subscriber.detach();
    }
}
