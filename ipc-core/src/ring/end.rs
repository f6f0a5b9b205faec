//! What the ends of all rings have in common.

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

    /// Messages in the ring: exact while all ends stand still, an estimate (at most the capacity) otherwise.
    fn len(&self) -> usize;

    /// Gives the slot back without having filled or emptied it, where that takes something to be done.
    #[inline(always)]
    fn abandon(&mut self) {}
}
