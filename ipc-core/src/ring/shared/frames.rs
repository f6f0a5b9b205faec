//! The ends of a shared ring whose messages vary in length.
//!
//! A message is a frame of one or more cells, which the stamps say; the number of its bytes is its first word, and the
//! payload follows, aligned:
//!
//! ```text
//! 0        8 or the alignment
//! | bytes  | payload ...                         | (to the end of the last cell)
//! ```
//!
//! A frame takes at most half of the cells. Where one does not fit before the end of the ring, the gap that is left there
//! is smaller than the frame, so an empty ring has room for both.

use super::super::end::{End, VariableConsumer, VariableProducer};
use super::*;

/// How a frame is laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameShape {
    /// Where the payload begins: at a multiple of its alignment.
    header_bytes: usize,
    /// Bytes of a cell's payload.
    unit_bytes: usize,
    /// Cells that a frame takes at most.
    max_units: u16,
}

impl FrameShape {
    /// The shape of frames in `units` cells of `unit_bytes` each, whose payloads are aligned to `align`; both sizes are
    /// multiples of a word.
    pub(crate) fn new(units: u64, unit_bytes: usize, align: usize) -> Self {
        let max_units = u16::try_from((units / 2).max(1)).unwrap_or(u16::MAX);
        FrameShape { header_bytes: align.max(size_of::<u64>()), unit_bytes, max_units }
    }

    /// Cells of a frame with so many bytes of payload. `None` if there is none that is so large.
    pub(in crate::ring) fn units_of(self, payload_bytes: usize) -> Option<u16> {
        let units = payload_bytes.checked_add(self.header_bytes)?.div_ceil(self.unit_bytes);
        u16::try_from(units).ok().filter(|&units| units <= self.max_units)
    }

    /// Bytes of payload that fit into so many cells.
    pub(in crate::ring) fn room_in(self, units: u16) -> usize {
        (usize::from(units) * self.unit_bytes).saturating_sub(self.header_bytes)
    }

    /// The longest payload, in bytes.
    pub(in crate::ring) fn limit_bytes(self) -> usize {
        self.room_in(self.max_units)
    }

    /// Where the payload of the frame at `first` begins.
    pub(in crate::ring) fn payload(self, first: NonNull<AtomicU64>) -> NonNull<AtomicU64> {
        // SAFETY: every frame has at least one cell, and a cell is not smaller than the header.
        unsafe { first.byte_add(self.header_bytes) }
    }
}

/// The word with the number of bytes, at the start of a frame that is this end's own.
pub(in crate::ring) fn length(first: &NonNull<AtomicU64>) -> &AtomicU64 {
    // SAFETY: a cell that has been claimed, which stays mapped for as long as the ring's parts are used.
    unsafe { first.as_ref() }
}

/// One of those who fill frames.
pub(crate) struct FrameProducer {
    producer: Producer,
    shape: FrameShape,
    /// Bytes of the payload that was asked for.
    bytes: usize,
    /// Cells that it needs.
    units: u16,
}

impl FrameProducer {
    /// A producer that fills frames of this shape.
    pub(crate) fn new(producer: Producer, shape: FrameShape) -> Self {
        FrameProducer { producer, shape, bytes: 0, units: 1 }
    }

    /// See [`Producer::settle`].
    pub(crate) fn settle(&mut self, life: impl Fn(usize) -> Life) -> bool {
        self.producer.settle(life)
    }
}

impl End for FrameProducer {
    const IS_SHARED: bool = true;

    fn is_ready(&mut self) -> bool {
        self.look() == Turn::Ours
    }

    fn look(&mut self) -> Turn {
        if self.producer.units() != 0 { Turn::Ours } else { self.producer.claim(self.units) }
    }

    fn may_claim(&self) -> bool {
        self.producer.may_claim()
    }

    fn payload(&self) -> NonNull<AtomicU64> {
        self.shape.payload(self.producer.payload())
    }

    fn pass(&mut self) {
        // Relaxed: published by the stamp.
        length(&self.producer.payload()).store(self.bytes as u64, Ordering::Relaxed);
        self.producer.pass();
    }

    fn len(&self) -> usize {
        self.producer.parts.len()
    }

    fn is_drained(&self) -> bool {
        self.producer.parts.is_drained()
    }

    fn abandon(&mut self) {
        self.producer.abandon();
    }

    fn detach(&mut self) {
        self.producer.detach();
    }

    fn losses(&self) -> u64 {
        self.producer.parts.losses()
    }
}

impl VariableProducer for FrameProducer {
    fn ask_for(&mut self, payload_bytes: usize) -> Result<bool, usize> {
        let Some(units) = self.shape.units_of(payload_bytes) else { return Err(self.limit_bytes()) };
        let is_too_short = (1..units).contains(&self.producer.units());
        if is_too_short {
            self.producer.abandon();
        }
        (self.bytes, self.units) = (payload_bytes, units);
        Ok(is_too_short)
    }

    fn forget(&mut self) {
        self.producer.units = 0;
    }

    fn shorten(&mut self, payload_bytes: usize) {
        self.bytes = self.bytes.min(payload_bytes);
    }

    fn limit_bytes(&self) -> usize {
        self.shape.limit_bytes()
    }
}

/// One of those who empty frames.
pub(crate) struct FrameConsumer {
    consumer: Consumer,
    shape: FrameShape,
    /// Bytes of the payload of the message that is this consumer's own.
    bytes: usize,
    /// A frame that was skipped by a look that could not tell.
    untold: Option<Evidence>,
}

impl FrameConsumer {
    /// A consumer that empties frames of this shape.
    pub(crate) fn new(consumer: Consumer, shape: FrameShape) -> Self {
        FrameConsumer { consumer, shape, bytes: 0, untold: None }
    }

    /// See [`Consumer::settle`].
    pub(crate) fn settle(&mut self, life: impl Fn(usize) -> Life) -> bool {
        self.consumer.settle(life)
    }
}

impl End for FrameConsumer {
    const IS_SHARED: bool = true;

    fn is_ready(&mut self) -> bool {
        let turn = self.look();
        if let Turn::Broken(evidence) = turn {
            self.untold = Some(evidence);
        }
        turn == Turn::Ours
    }

    fn look(&mut self) -> Turn {
        if let Some(evidence) = self.untold.take() {
            return Turn::Broken(evidence);
        }
        if self.consumer.units() != 0 {
            return Turn::Ours;
        }
        let turn = self.consumer.claim();
        if turn != Turn::Ours {
            return turn;
        }
        // Relaxed: the claim has acquired the stamp that published it.
        let found = length(&self.consumer.payload()).load(Ordering::Relaxed);
        let room = self.shape.room_in(self.consumer.units());
        match usize::try_from(found).ok().filter(|&bytes| bytes <= room) {
            Some(bytes) => {
                self.bytes = bytes;
                Turn::Ours
            }
            None => {
                let slot = self.consumer.parts.cells.index(self.consumer.at) as usize;
                // The frame is skipped, so that the ring goes on behind it.
                self.consumer.pass();
                self.consumer.has_made_room = true;
                Turn::Broken(Evidence { slot, found, expected: room as u64 })
            }
        }
    }

    fn may_claim(&self) -> bool {
        self.consumer.may_claim()
    }

    fn payload(&self) -> NonNull<AtomicU64> {
        self.shape.payload(self.consumer.payload())
    }

    fn pass(&mut self) {
        self.consumer.pass();
    }

    fn len(&self) -> usize {
        self.consumer.parts.len()
    }

    fn is_drained(&self) -> bool {
        self.consumer.parts.is_drained()
    }

    fn abandon(&mut self) {
        self.consumer.put_back();
    }

    fn detach(&mut self) {
        self.consumer.detach();
    }

    fn losses(&self) -> u64 {
        self.consumer.parts.losses()
    }

    fn take_room_made(&mut self) -> bool {
        self.consumer.take_room_made()
    }

    fn returned(&self) -> u16 {
        self.consumer.returned()
    }
}

impl VariableConsumer for FrameConsumer {
    fn bytes(&self) -> usize {
        self.bytes
    }
}
