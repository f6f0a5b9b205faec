//! The rings of a segment, as borrowed parts.

use super::Segment;
use crate::layout::{
    CALL_CELL_BYTES, CallHead, LINE_BYTES, RECORD_OFFSET_BYTES, RECORD_STRIDE_WORDS, TakenLine, WORD_BYTES,
};
use crate::ring::calls::{self, Calls};
use crate::ring::cells::Cells;
use crate::ring::claims::{self, Counter, Records};
use crate::ring::{Slots, exclusive, shared};
use core::ops::Range;
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

    /// The calls of a service. They are mapped for as long as the segment lives. `None` if this is no service.
    pub(crate) fn calls(&self) -> Option<Calls> {
        let geometry = &self.geometry;
        let layout = geometry.call_layout().filter(|layout| layout.slot_bytes as u64 == geometry.slot_bytes)?;
        let words = calls::Layout {
            stride: layout.slot_bytes / WORD_BYTES,
            request: layout.request / WORD_BYTES,
            reply: layout.reply / WORD_BYTES,
            stamp: layout.stamp / WORD_BYTES,
        };
        let first = self.at(geometry.slots_offset).cast();
        // SAFETY: `Geometry::check` found `capacity` slots of this layout from `slots_offset` on to lie in the segment, at
        // least one and at most as many as a ticket can tell apart.
        Some(unsafe { Calls::new(first, geometry.capacity as usize, words) })
    }

    /// The first words of the slot of call `index`.
    pub(crate) fn call_head(&self, index: usize) -> &CallHead {
        assert!((index as u64) < self.geometry.slots, "call {index} is beyond the table");
        let head = self.at(self.geometry.slots_offset + index as u64 * self.geometry.slot_bytes);
        // SAFETY: the slot lies in the segment, at a multiple of its alignment, and begins with three atomics.
        unsafe { head.cast().as_ref() }
    }

    /// The queue of a service's calls: a ring of their tickets. It is mapped for as long as the segment lives.
    pub(crate) fn call_queue(&self) -> shared::Parts {
        let geometry = &self.geometry;
        let words = self.at(geometry.stamps_offset).cast();
        let (stride, cells) = (CALL_CELL_BYTES as usize / WORD_BYTES, geometry.call_cells() as usize);
        // SAFETY: `Geometry::check` found so many cells from `stamps_offset` on to lie in the segment.
        let cells = unsafe { Cells::with_stamps_inside(words, stride, cells) };
        let (tail, head) = (self.ring_line(0).cast(), self.ring_line(1).cast());
        let producers = self.claims_role(tail, 0..geometry.first_role);
        let consumers = self.claims_role(head, geometry.first_role..geometry.participants);
        // SAFETY: a line has room for three words.
        let returns = unsafe { head.add(2) };
        // SAFETY: the word is mapped for as long as the segment lives, as the cells are.
        unsafe { shared::Parts::new(cells, producers, consumers, returns) }
    }

    /// The counter that begins at `line`, and the records of the participants on `lines`, of whom there is at least one.
    fn claims_role(&self, line: NonNull<crate::atomics::AtomicU64>, lines: Range<u32>) -> claims::Role {
        // SAFETY: a line has room for two words.
        let solo = unsafe { line.add(1) };
        // SAFETY: both words lie in a line of the ring, which is mapped for as long as the segment lives.
        let counter = unsafe { Counter::new(line, solo) };
        let first = u64::from(lines.start) * LINE_BYTES as u64 + RECORD_OFFSET_BYTES;
        let first = self.at(self.geometry.participants_offset + first).cast();
        // SAFETY: the table of participants lies in the segment, with a record of three words in each of its lines.
        let records = unsafe { Records::new(first, RECORD_STRIDE_WORDS, lines.len()) };
        claims::Role { counter, records }
    }
}
