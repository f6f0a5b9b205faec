//! What the ends of all rings have in common.

use super::cells::Position;
use crate::atomics::AtomicU64;
use core::ptr::NonNull;

/// What an end finds at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The slot is this end's own until it calls [`End::pass`].
    Ours,
    /// The other end has not come round yet: the ring is full (for a producer) or empty (for a consumer).
    Theirs,
    /// The shared words are none that the algorithm can have left there.
    Broken(Evidence),
}

/// What is wrong with a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The slot at which it was noticed.
    pub(crate) slot: usize,
    /// What was found there.
    pub(crate) found: u64,
    /// What would have been right.
    pub(crate) expected: u64,
}

/// A slot of an end that is alone in its role, which was [begun](End::begin).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// What to fill, or to empty.
    pub(crate) payload: NonNull<AtomicU64>,
    /// Where the slot is.
    pub(super) at: Position,
    /// Where the next one is.
    pub(super) next: Position,
}

/// What both ends of a ring can do.
pub(crate) trait End: Sized {
    /// Whether others may be on the same side of the ring.
    const IS_SHARED: bool = false;

    /// Whether the slot at this end's place is its own, as far as that can be told at once.
    fn is_ready(&mut self) -> bool;

    /// Whose turn it is at this end's place, after a look at what the other end has done.
    fn look(&mut self) -> Turn;

    /// The payload at this end's place. To be touched only when it is this end's own.
    fn payload(&self) -> NonNull<AtomicU64>;

    /// Gives the slot to the other end and steps on: this is what publishes a message, and what frees a slot.
    fn pass(&mut self);

    /// Whether [`begin`](End::begin) is worth a try.
    #[inline(always)]
    fn is_alone(&self) -> bool {
        false
    }

    /// The next slot, for one message that is copied at once and then [completed](End::complete), where that takes less than to
    /// own the slot. `None` says nothing about whose turn it is.
    #[inline(always)]
    fn begin(&mut self) -> Option<Begun> {
        None
    }

    /// Gives the slot to the other end, whose message was copied after [`begin`](End::begin).
    #[inline(always)]
    fn complete(&mut self, _begun: Begun) {}

    /// Gives the slot up, whose message was not copied after [`begin`](End::begin).
    fn relinquish(&mut self, _begun: Begun) {}

    /// Asks for so many slots at once, where an end takes them from others of its side. The next looks take as many of them as
    /// can be had.
    fn ask_for_slots(&mut self, _count: usize) {}

    /// How many slots from this end's place on are its own, of `max`. A ring where an end owns one slot at a time says 1
    /// at most.
    fn owned(&mut self, max: usize) -> usize {
        usize::from(self.is_ready()).min(max)
    }

    /// The payload `ahead` slots on from this end's place, of those that are its own.
    fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        debug_assert!(ahead == 0);
        self.payload()
    }

    /// As [`pass`](End::pass), for the next `count` slots, all of which are this end's own.
    fn pass_many(&mut self, count: usize) {
        (0..count).for_each(|_| self.pass());
    }

    /// Whether what this end finds is to be believed. One that has joined others of its side may have to wait for what one of
    /// them has begun, and until then finds nothing that is its own, whatever there is.
    fn may_claim(&self) -> bool {
        true
    }

    /// Passes one slot after the other, each as soon as `fill` has stored a message there, until there are no more that are
    /// known to be this end's own, or `fill` says that it has not. What has been passed stays so if `fill` panics.
    #[inline(always)]
    fn pass_each(&mut self, mut fill: impl FnMut(NonNull<AtomicU64>) -> bool) {
        while self.is_ready() && fill(self.payload()) {
            self.pass();
        }
    }

    /// How many `pause`s to make before looking again, when it is not this end's turn.
    fn stand_back(&self) -> u32 {
        0
    }

    /// Messages in the ring: exact while all ends stand still, an estimate (at most the capacity) otherwise.
    fn len(&self) -> usize;

    /// Whether no message is left, be it in the ring or in somebody's hands.
    fn is_drained(&self) -> bool {
        self.len() == 0
    }

    /// Gives the slot back without having filled or emptied it, where that takes something to be done.
    #[inline(always)]
    fn abandon(&mut self) {}

    /// Gives back what is left of the slots that a look has taken together, for a batch that needs no more of them.
    /// Whether there was anything.
    fn give_rest_back(&mut self) -> bool {
        false
    }

    /// Leaves the ring, where that takes something to be done.
    fn detach(&mut self) {}

    /// Messages that were lost with those who died, since the ring was made.
    fn losses(&self) -> u64 {
        0
    }

    /// Whether looks have made room for the other side, by stepping over what was given up there, since this was asked last.
    /// They wake nobody: that is for whoever has looked.
    fn take_room_made(&mut self) -> bool {
        false
    }

    /// How often the message that this end owns has been delivered before, to others who died with it.
    fn returned(&self) -> u16 {
        0
    }
}

/// How many `pause`s a producer makes before it looks again at a ring of so many slots that it has found full.
///
/// Every look takes the line that says what is free from the consumer who is about to write it, and finds one more slot,
/// so that both sides wait for that line once a message. One that stands back for a microsecond or two finds a run of
/// free slots: 64 bytes through 65,536 slots got five times as fast by it. A consumer takes at least as long as so many
/// pauses for a quarter of the slots, so it does not run dry meanwhile, however small the ring is.
pub(crate) fn pauses_when_full(slots: u64) -> u32 {
    (slots / 32).min(64) as u32
}

/// An end that fills frames for messages that vary in length. Its slot is a frame of the length that was asked for.
pub(crate) trait VariableProducer: End {
    /// Asks for a frame with so many bytes of payload, in place of the one asked for before. A frame that is this end's own
    /// already is kept if it is large enough, and otherwise given back: `Ok(true)`, and the other side is to be told. The
    /// error is the most that there can be.
    fn ask_for(&mut self, payload_bytes: usize) -> Result<bool, usize>;

    /// Forgets the frame that was this end's own, if there was one: those who hold this end for dead may have given it to
    /// somebody else. Stores nothing.
    fn forget(&mut self);

    /// Makes the frame that was asked for shorter, to so many bytes of payload. It stays where it is.
    fn shorten(&mut self, payload_bytes: usize);

    /// The longest payload, in bytes. An empty ring has room for a frame that holds it, wherever its ends are.
    fn limit_bytes(&self) -> usize;
}

/// An end that empties frames.
pub(crate) trait VariableConsumer: End {
    /// Bytes of the payload at this end's place, when it is this end's own.
    fn bytes(&self) -> usize;
}
