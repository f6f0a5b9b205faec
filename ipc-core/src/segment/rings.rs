//! The rings of a segment, as borrowed parts.

use super::Segment;
use crate::layout::{LATEST_SLOTS, TakenLine, VersionLine};
use crate::ring::{Slots, exclusive, latest};
use core::ptr::NonNull;

const _: () = assert!(LATEST_SLOTS == latest::SLOTS as u64, "the geometry and the ring agree");

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

    /// The slots of a latest value, and its version. They are mapped for as long as the segment lives.
    pub(crate) fn latest_ring(&self) -> latest::Parts {
        let geometry = &self.geometry;
        let words = self.at(geometry.slots_offset).cast();
        // SAFETY: `Geometry::check` found `slots` slots of `slot_bytes` from `slots_offset` on to lie in the segment, all
        // of which is mapped, and both to be positive; the offset and the slot size are multiples of 8 bytes.
        let slots = unsafe { Slots::new(words, geometry.slot_bytes as usize / 8, geometry.slots as usize) };
        let line = self.ring_line(0).cast::<VersionLine>();
        // SAFETY: the ring's first line lies in the segment (`Geometry::check`), suitably aligned.
        let version = unsafe { NonNull::from(&line.as_ref().version) };
        // SAFETY: the word is mapped for as long as the segment lives, as the slots are.
        unsafe { latest::Parts::new(slots, version) }
    }
}
