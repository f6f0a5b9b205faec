//! Eviction: somebody who lives is sent away.
//!
//! The kernel's lock says that it lives, and nobody can take that lock from it. Nor can anybody stop it from storing to the
//! segment, if it means to. What can be had is that its own library refuses it, and that the others stop waiting for it.
//!
//! # How far that may go
//!
//! A claim is the right to store to a place, or to refer to it, at any later moment. Were it given to somebody else while its
//! owner lives, the place would have two owners, and references into the segment would not be what they promise. So it
//! depends on what the owner and the channel rely on:
//!
//! E1. *Whoever is evicted is told.* EVICTED is set in its state, which stays LIVE. Nobody but the owner acts on that: its
//!     library refuses the next call, and when the handle is dropped, it leaves as ever, having given back what it had. Until
//!     then its claims are its own. That is all that happens where participants trust each other.
//! E2. *Whoever is by value, in a channel that trusts nobody, is also struck*: LIVE becomes CRASHED in the same swap, so that the
//!     others do as if it had died. What it claimed is resolved from its record and the stamps, its calls end, nobody waits
//!     for it. A process that is in the middle of a call may finish it: that is a store of somebody who is not trusted, of
//!     which there may be any at any time, and everybody exchanges messages by value, each word read once and then checked. It
//!     may cost or alter a message, or be told as damage; it breaks nobody's memory. Somebody who may refer to the segment, or
//!     relies on others not to (BY_VALUE is not set), is never struck.
//! E3. *Its line stays its own.* Whoever joins takes the line's lock, and whoever removes the channel looks at locks; both find
//!     it held, whatever the state says. So a place that was struck is free when the evicted has left or died, and not before. Who
//!     takes it takes EVICTED off first, and resolves what was left there as a line that is found alive.
//! E4. *Nobody else is hit.* The swap is of the exact word, of which the generation is a part, and happens under the lifecycle
//!     lock, so that nobody joins meanwhile. A successor has another generation, and a channel of the same name another
//!     instance.
//! E5. *Whoever was struck leaves as one that died.* It touches nothing in the ring, and does not say CLOSED. The swap of
//!     closing fails, so that no death is taken back that has been counted (P2).
//!
//! A subscriber of a lossless broadcast is waited for by its cursor. Where it relies on being waited for, as it does who refers
//! to messages in place, it is told and no more; elsewhere publishers are told as well, by the note that evicts slow ones.

use super::{LOOKS, Phase, State};
use crate::crash;
use crate::segment::{Lifecycle, Segment};
use crate::waiting;
use core::sync::atomic::Ordering;

/// What has come of an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Eviction {
    /// The participant is no longer there: it has left or died, or somebody else has its place by now.
    Gone,
    /// It is refused by its own library from now on, with an error that says `Evicted`. What it had claimed is its own until
    /// then, and the others wait for it as before.
    Told,
    /// It is refused as well, and the others do as if it had died.
    Struck,
}

/// Evicts the owner of line `index` whose generation is this. It is struck if `may_strike` and E2 allow it.
pub(crate) fn evict(
    segment: &Segment,
    _lifecycle: &Lifecycle,
    index: u32,
    generation: u32,
    may_strike: bool,
) -> Eviction {
    let slot = segment.participant(index);
    let mut state = State::load(slot);
    for _ in 0..LOOKS {
        if state.generation != generation || !segment.is_alive(index) {
            return Eviction::Gone;
        }
        let is_struck = state.is_evicted && state.phase == Phase::Crashed;
        if is_struck || state.phase != Phase::Live {
            return if is_struck { Eviction::Struck } else { Eviction::Gone };
        }
        let strikes = may_strike && state.is_by_value;
        let evicted = State { is_evicted: true, ..if strikes { state.crashed() } else { state } };
        crash::point();
        // AcqRel: Release lets whoever finds the mark see what its finder did before, such as the note to publishers; pairs
        // with the Acquire in `State::load`. Acquire on both outcomes: as in `mark_crashed`.
        match slot.state.compare_exchange(state.word(), evicted.word(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                [0, 1].into_iter().for_each(|line| waiting::wake(&segment.wait_line(line).word));
                return if strikes { Eviction::Struck } else { Eviction::Told };
            }
            // Its owner closes, or somebody writes what no participant writes.
            Err(found) => state = State::from_word(found),
        }
    }
    // No participant changes its state so often, so whoever it was has not stayed what it was.
    Eviction::Gone
}
