//! The rings of a segment, as borrowed parts.

use super::Segment;
use crate::layout::TakenLine;
use crate::ring::{Slots, exclusive};
use core::ptr::NonNull;

impl Segment {
    /// The exclusive ring. It is mapped for as long as the segment lives.
    pub(crate) fn exclusive_ring(&self) -> exclusive::Parts {
        let geometry = &self.geometry;
        let words = self.at(geometry.slots_offset).cast();
        // SAFETY: `Geometry::check` found `capacity` slots of `slot_bytes` from `slots_offset` on to lie in the segment,
        // all of which is mapped, and both to be positive; the offset and the slot size are multiples of 8 bytes.
        let slots = unsafe { Slots::new(words, geometry.slot_bytes as usize / 8, geometry.capacity as usize) };
        let line = self.ring_line(0).cast::<TakenLine>();
        // SAFETY: the ring's first line lies in the segment (`Geometry::check`), suitably aligned.
        let taken = unsafe { NonNull::from(&line.as_ref().taken) };
        // SAFETY: the word is mapped for as long as the segment lives, as the slots are.
        unsafe { exclusive::Parts::new(slots, taken) }
    }
}
