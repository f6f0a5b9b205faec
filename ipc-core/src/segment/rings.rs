//! The rings of a segment, as borrowed parts.

use super::Segment;
use crate::atomics::AtomicU64;
use crate::layout::TakenLine;
use crate::ring::{Slots, exclusive, frames};
use core::ptr::NonNull;

impl Segment {
    /// The exclusive ring. It is mapped for as long as the segment lives.
    pub(crate) fn exclusive_ring(&self) -> exclusive::Parts {
        let geometry = &self.geometry;
        let words = self.at(geometry.slots_offset).cast();
        // SAFETY: `Geometry::check` found `capacity` slots of `slot_bytes` from `slots_offset` on to lie in the segment,
        // all of which is mapped, and both to be positive; the offset and the slot size are multiples of 8 bytes.
        let slots = unsafe { Slots::new(words, geometry.slot_bytes as usize / 8, geometry.capacity as usize) };
        // SAFETY: the word is mapped for as long as the segment lives, as the slots are.
        unsafe { exclusive::Parts::new(slots, self.taken()) }
    }

    /// The exclusive ring of messages that vary in length. It is mapped for as long as the segment lives. `None` if the
    /// segment is none of these.
    pub(crate) fn frame_ring(&self) -> Option<frames::Parts> {
        let geometry = &self.geometry;
        let (units, unit_bytes) = (geometry.slots as usize, geometry.slot_bytes as usize);
        let shape = frames::Shape::new(units, unit_bytes, geometry.message_align as usize);
        let shape = shape.filter(|_| geometry.is_variable())?;
        let words = self.at(geometry.slots_offset).cast();
        // SAFETY: `Geometry::check` found `slots` units of `slot_bytes` from `slots_offset` on to lie in the segment, all of
        // which is mapped, at a multiple of a page; the word of `taken` is mapped for as long.
        Some(unsafe { frames::Parts::new(words, shape, self.taken()) })
    }

    /// The word with the consumer's place of an exclusive ring.
    fn taken(&self) -> NonNull<AtomicU64> {
        let line = self.ring_line(0).cast::<TakenLine>();
        // SAFETY: the ring's first line lies in the segment (`Geometry::check`), suitably aligned.
        unsafe { NonNull::from(&line.as_ref().taken) }
    }
}
