//! The rings of a segment, as borrowed parts.

use super::Segment;
use crate::atomics::AtomicU64;
use crate::histogram::Histogram;
use crate::layout::{
    self, CALL_CELL_BYTES, CallHead, FLAG_VARIABLE, KIND_LOSSLESS_BROADCAST, LATEST_SLOTS, LINE_BYTES,
    RECORD_OFFSET_BYTES, RECORD_STRIDE_WORDS, Side, TakenLine, VersionLine, WORD_BYTES,
};
use crate::ring::calls::{self, Calls};
use crate::ring::claims::{Counter, Framing, Records, Role};
use crate::ring::{Cells, Slots, broadcast, broadcast_frames, exclusive, frames, latest, shared};
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
        // SAFETY: the word is mapped for as long as the segment lives, as the slots are.
        unsafe { exclusive::Parts::new(slots, self.taken()) }
    }

    /// The exclusive ring of messages that vary in length. It is mapped for as long as the segment lives.
    pub(crate) fn frame_ring(&self) -> frames::Parts {
        let geometry = &self.geometry;
        let (units, unit_bytes) = (geometry.slots as usize, geometry.slot_bytes as usize);
        let align = layout::frame_align(geometry.flags, geometry.message_align as usize);
        let Some(shape) = frames::Shape::new(units, unit_bytes, align) else {
            unreachable!("`Geometry::check` found a number of units that a ring can have")
        };
        let words = self.at(geometry.slots_offset).cast();
        // SAFETY: `Geometry::check` found `slots` units of `slot_bytes` from `slots_offset` on to lie in the segment, all of
        // which is mapped, at a multiple of a page; the word of `taken` is mapped for as long.
        unsafe { frames::Parts::new(words, shape, self.taken()) }
    }

    /// The word with the consumer's place of an exclusive ring.
    fn taken(&self) -> NonNull<AtomicU64> {
        let line = self.ring_line(0).cast::<TakenLine>();
        // SAFETY: the ring's first line lies in the segment (`Geometry::check`), suitably aligned.
        unsafe { NonNull::from(&line.as_ref().taken) }
    }

    /// The shared ring. It is mapped for as long as the segment lives.
    pub(crate) fn shared_ring(&self) -> shared::Parts {
        let returns = self.ring_word(1, 2);
        let framing = if self.geometry.flags & FLAG_VARIABLE == 0 { Framing::PerCell } else { Framing::Whole };
        // SAFETY: the word is mapped for as long as the segment lives.
        unsafe {
            shared::Parts::new(self.cells(), self.role(Side::First, 0), self.role(Side::Second, 1), returns, framing)
        }
    }

    /// How the frames of a ring that several share are laid out.
    pub(crate) fn frame_shape(&self) -> shared::FrameShape {
        let geometry = &self.geometry;
        let align = layout::frame_align(geometry.flags, geometry.message_align as usize);
        // A message takes at most half of the capacity: what a broadcast keeps besides is not for it.
        shared::FrameShape::new(geometry.capacity, geometry.slot_bytes as usize, align)
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

    /// The histogram of latencies, if the channel has timestamps.
    pub(crate) fn histogram(&self) -> Option<&Histogram> {
        self.histogram_at(0)
    }

    /// The histogram of a service's round trips, if it has timestamps.
    pub(crate) fn round_trips(&self) -> Option<&Histogram> {
        self.histogram_at(1)
    }

    fn histogram_at(&self, index: usize) -> Option<&Histogram> {
        let offset = self.geometry.histogram_offsets().nth(index)?;
        // SAFETY: `Geometry::check` found the histogram to lie in the segment, all of which is mapped, at a multiple of its
        // alignment. It consists of atomics.
        Some(unsafe { self.at(offset).cast().as_ref() })
    }

    /// The ring of a broadcast. It is mapped for as long as the segment lives.
    pub(crate) fn broadcast_ring(&self) -> broadcast::Parts {
        let publishers = self.role(Side::First, 0);
        if self.geometry.kind == KIND_LOSSLESS_BROADCAST {
            let subscribers = self.records(Side::Second);
            return broadcast::Parts::lossless(self.cells(), publishers, subscribers, self.geometry.history);
        }
        let margin = self.geometry.margin_slots() as u16;
        // SAFETY: the word is mapped for as long as the segment lives.
        unsafe { broadcast::Parts::lossy(self.cells(), publishers, self.ring_word(1, 0), margin) }
    }

    /// Messages that were lost with a broadcast's publishers that died.
    pub(crate) fn publishers_losses(&self) -> u64 {
        self.records(Side::First).losses()
    }

    /// The ring of a broadcast whose messages vary in length. It is mapped for as long as the segment lives. `None` if they
    /// do not.
    pub(crate) fn broadcast_frames(&self) -> Option<broadcast_frames::Parts> {
        let geometry = &self.geometry;
        if !geometry.is_variable() || geometry.stamps_offset == 0 {
            return None;
        }
        let (cells, publishers, oldest) = (self.cells(), self.role(Side::First, 0), self.ring_word(1, 0));
        let numbers = self.at(geometry.stamps_offset + geometry.slots * WORD_BYTES as u64).cast();
        // SAFETY: the word of `oldest` lies in one of the ring's lines. `Geometry::check` found two tables before the units of a
        // broadcast, each with a word for every unit, of which the numbers are the second. All is mapped for as long as the
        // segment lives.
        let parts = unsafe { broadcast_frames::Parts::lossy(cells, publishers, oldest, numbers) };
        Some(match geometry.kind {
            KIND_LOSSLESS_BROADCAST => parts.lossless(self.records(Side::Second), geometry.history_slots()),
            _ => parts,
        })
    }

    /// The slots, or the units and the table of their stamps, of a ring that several share.
    fn cells(&self) -> Cells {
        let geometry = &self.geometry;
        let (words, slots) = (self.at(geometry.slots_offset).cast(), geometry.slots as usize);
        let slot_words = geometry.slot_bytes as usize / WORD_BYTES;
        if geometry.stamps_offset == 0 {
            // SAFETY: `Geometry::check` found so many slots of so many bytes to lie in the segment, all of which is
            // mapped, both to be positive, and the number to be within bounds.
            return unsafe { Cells::with_stamps_inside(words, slot_words, slots) };
        }
        let stamps = self.at(geometry.stamps_offset).cast();
        // SAFETY: as above, and the table before the units has a word for each of them.
        unsafe { Cells::with_stamps_apart(words, slot_words, stamps, slots) }
    }

    /// The counter and the records of those on `side`, whose counter is in the ring's line `line`.
    fn role(&self, side: Side, line: u64) -> Role {
        // SAFETY: both words are mapped for as long as the segment lives.
        let counter = unsafe { Counter::new(self.ring_word(line, 0), self.ring_word(line, 1)) };
        Role { counter, records: self.records(side) }
    }

    /// The records of those on `side`.
    pub(super) fn records(&self, side: Side) -> Records {
        let lines = side.lines_of(&self.geometry);
        let first = self.geometry.participants_offset + u64::from(lines.start) * LINE_BYTES as u64;
        let record = self.at(first + RECORD_OFFSET_BYTES).cast();
        // SAFETY: the records are parts of the lines of the participant table, which lies in the segment
        // (`Geometry::check`) and stays mapped; a kind whose rings have records has lines for both sides.
        unsafe { Records::new(record, RECORD_STRIDE_WORDS, lines.len()) }
    }

    /// Word `word` of the ring's control line `line`.
    pub(super) fn ring_word(&self, line: u64, word: usize) -> NonNull<AtomicU64> {
        assert!(word < LINE_BYTES / WORD_BYTES, "a line has no word {word}");
        // SAFETY: the line lies in the segment, and the word in the line.
        unsafe { self.ring_line(line).cast::<AtomicU64>().add(word) }
    }

    /// The calls of a service. They are mapped for as long as the segment lives. `None` if this is no service.
    pub(crate) fn calls(&self) -> Option<Calls> {
        let geometry = &self.geometry;
        let layout = geometry.call_layout().filter(|layout| layout.slot_bytes as u64 == geometry.slot_bytes)?;
        let word = |bytes: usize| bytes / WORD_BYTES;
        let words = calls::Layout {
            stride: word(layout.slot_bytes),
            request_length: layout.request_length.map(word),
            time: layout.time.map(word),
            request: word(layout.request),
            reply_length: layout.reply_length.map(word),
            reply: word(layout.reply),
            stamp: word(layout.stamp),
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
        let returns = self.ring_word(1, 2);
        // SAFETY: the word is mapped for as long as the segment lives, as the cells are.
        unsafe {
            shared::Parts::new(cells, self.role(Side::First, 0), self.role(Side::Second, 1), returns, Framing::PerCell)
        }
    }
}
