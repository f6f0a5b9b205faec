//! The ring of frames: one producer, one consumer, messages of any length.
//!
//! ```text
//! unit:    | 0             | 1             | 2             | 3             | 4             | 5             |
//!          | frame of 2 units: header, payload, rest       | frame of 1    | clear, free   | ...
//! header:  | lap (32 bits) | payload bytes + 1, or all ones for padding (32 bits) |     one word; clear is 0
//! taken:   | lap (32 bits) | unit (32 bits) |     place of the consumer, written by it, in a line of its own
//! ```
//!
//! The memory is an array of *units* of 64 bytes, or 128 where the messages' alignment asks for it. A *frame* is as many
//! consecutive units as a header and its payload take. The header is the frame's first word, and takes as many bytes as
//! keep the payload aligned; so a payload of up to 56 bytes travels with it in one cache line. A frame that would cross
//! the end of the memory begins at unit 0 instead, and a *padding* header stands where it would have begun.
//!
//! A *place* is a unit and the number of its lap. The consumer waits at its place until the header there is not clear
//! any more; the producer works at its own place, which is where the last frame ends. Zeroed memory is an empty ring.
//!
//! # Invariants
//!
//! F1. *The header at the producer's place is clear.* Only then do the bytes of earlier laps, which may look like
//!     anything, never pass for a header: wherever the consumer looks, it is at a frame, or at the producer's place.
//! F2. *The producer stores only to units that are not between `taken` and its own place; the consumer reads only those
//!     that are, and the header at the producer's place.* The published header (Release, Acquire) gives units to the
//!     consumer, `taken` (Release, Acquire) gives them back.
//! F3. *At least one unit is free*, so that the place after a new frame is in free memory, and a full ring and an empty
//!     one differ.
//! F4. *A message is committed by one store, and taken by one store*, that of `taken`.
//!
//! Let the ring have `c` units, and let the next frame take `k` of them behind `p` units of padding (usually 0). The
//! producer waits until at least `p + k + 1` units are free. Then it stores, in this order: the payload; *clear* to the
//! header of the place after the frame; the frame's header at unit 0, if there is padding; and last the header at its own
//! place, which is that of the padding if there is some, and else the frame's. Only this last store, with Release,
//! changes what the consumer can see, and it moves the producer's place to the place after the frame.
//!
//! - F2 and F3: what is stored lies in the `p + k + 1` free units from the producer's place on.
//! - F1: no store but the last goes to the header at the producer's place. The payload lies behind a header, which is
//!   that one or, with padding, unit 0's; the place after the frame, and unit 0 if there is padding, are among the units
//!   after the producer's place, since `p + k + 1` free units do not reach round to it again. The last store moves the
//!   producer's place to the one whose header has just been cleared. Zeroed memory has its place at unit 0.
//! - F4: whoever dies before the last store has changed nothing but free memory, which has no meaning. Whoever dies after it
//!   has sent the message. Padding is never seen without the frame behind it.
//!
//! # The longest message
//!
//! A frame takes at most `c / 2` units, rounded down. So *an empty ring has room for every message, wherever its place
//! is*: if there is padding, then `p < k`, because the frame did not fit, and `p + k + 1 <= 2 * k <= c`; and if there is
//! none, then `k + 1 <= c`, since `c >= 2`.
//!
//! # Taking over a place
//!
//! A consumer finds its predecessor's place in `taken`. A producer walks from there along the frames to the first clear
//! header, which by F1 is the place. The other side may be at work meanwhile: a consumer stores to `taken` alone, and
//! the frames from an older place on stay as they are until there is a producer. Nothing needs repair.
//!
//! Every header and place that is read is checked before it addresses anything: it has to belong to the lap, and the
//! frame has to end within the memory. The laps are compared for equality, modulo 2^32, so the ring goes on through
//! their wrap.

use super::{End, Evidence, Turn, VariableConsumer, VariableProducer};
use crate::atomics::AtomicU64;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// What the header says at the producer's place.
const CLEAR: u64 = 0;

/// The lower half of a header behind which nothing comes until the end of the memory.
const PADDING: u32 = u32::MAX;

/// The longest payload that a header can count: its number plus 1 is neither 0 nor [`PADDING`].
const MAX_PAYLOAD_BYTES: usize = u32::MAX as usize - 2;

/// The most units that a place can count.
pub(crate) const MAX_UNITS: usize = 1 << 31;

/// The sizes of a ring's parts, which follow from the messages' alignment and the ring's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Units in the ring, from 2 to [`MAX_UNITS`].
    units: u32,
    /// Words in a unit.
    unit_words: usize,
    /// Words from the start of a frame to its payload.
    header_words: usize,
}

impl Shape {
    /// A ring of `units` units of `unit_bytes` bytes, for payloads that are aligned to `align` bytes, a power of two that
    /// divides `unit_bytes`. `None` if there are too few or too many units.
    pub(crate) fn new(units: usize, unit_bytes: usize, align: usize) -> Option<Self> {
        debug_assert!(align.is_power_of_two() && unit_bytes % align.max(WORD_BYTES) == 0);
        let units = (2..=MAX_UNITS).contains(&units).then_some(units as u32)?;
        Some(Shape { units, unit_words: unit_bytes / WORD_BYTES, header_words: (align / WORD_BYTES).max(1) })
    }

    /// The longest payload, in bytes. An empty ring has room for it.
    pub(crate) fn limit_bytes(self) -> usize {
        // More than the address space has is more than a ring can be made of, and the limit all the same.
        let words = (self.units as usize / 2).saturating_mul(self.unit_words);
        // An alignment of 64 or 128 in a ring of two units leaves no byte for a payload, and the header fits all the same.
        words.saturating_sub(self.header_words).saturating_mul(WORD_BYTES).min(MAX_PAYLOAD_BYTES)
    }

    /// Units that a frame takes, of a payload that is within the limit.
    fn units_of(self, payload_bytes: usize) -> u32 {
        let words = self.header_words + payload_bytes.div_ceil(WORD_BYTES);
        words.div_ceil(self.unit_words) as u32
    }

    /// The place so many units after another one, which is at most the end of the memory.
    fn after(self, place: Place, units: u32) -> Place {
        let unit = place.unit + units;
        debug_assert!(unit <= self.units);
        if unit == self.units { place.next_lap() } else { Place { unit, ..place } }
    }

    /// Units from one place forward to another one; `None` if it is not within a lap.
    fn distance(self, from: Place, to: Place) -> Option<u32> {
        match to.lap.wrapping_sub(from.lap) {
            0 => to.unit.checked_sub(from.unit),
            1 if to.unit <= from.unit => Some(self.units - from.unit + to.unit),
            _ => None,
        }
    }
}

const WORD_BYTES: usize = 8;

/// Where an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Rounds through the memory, modulo 2^32.
    lap: u32,
    /// Below the number of units.
    unit: u32,
}

impl Place {
    fn from_word(word: u64) -> Self {
        Place { lap: (word >> 32) as u32, unit: word as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.lap) << 32 | u64::from(self.unit)
    }

    /// The beginning of the next lap.
    fn next_lap(self) -> Self {
        Place { lap: self.lap.wrapping_add(1), unit: 0 }
    }

    /// The header with this lower half, here.
    fn header(self, low: u32) -> u64 {
        u64::from(self.lap) << 32 | u64::from(low)
    }
}

/// A frame that has been published.
#[derive(Clone, Copy)]
struct Frame {
    /// Its first unit.
    unit: u32,
    /// Of the payload.
    bytes: u32,
    /// The place after it.
    next: Place,
}

/// The shared parts of a ring.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    /// The first word of unit 0.
    first: NonNull<AtomicU64>,
    shape: Shape,
    /// The consumer's place. It stays mapped for as long as the units do.
    taken: NonNull<AtomicU64>,
}

// SAFETY: the pointers lead to atomics, which any thread may use. Payloads are handed out as pointers, whose use is the
// responsibility of whoever has been given the frame.
unsafe impl Send for Parts {}
// SAFETY: as for `Send`.
unsafe impl Sync for Parts {}

impl Parts {
    /// A ring in these words.
    ///
    /// # Safety
    ///
    /// `first` leads to as many atomic words as `shape` has, and `taken` to one; they stay mapped for as long as the value
    /// and its copies are used.
    pub(crate) unsafe fn new(first: NonNull<AtomicU64>, shape: Shape, taken: NonNull<AtomicU64>) -> Self {
        Parts { first, shape, taken }
    }

    /// Number of messages in the ring: exact while both ends stand still, an estimate otherwise. It walks along them.
    ///
    /// A damaged ring counts as full of the smallest messages, so that nobody takes it for drained and removes it.
    pub(crate) fn len(self) -> usize {
        // Frames that the walk has not come to may be taken, and overwritten, meanwhile. That is no damage; the consumer
        // has moved on, and so the next walk is another one. It need not be repeated for ever to be an estimate.
        for _ in 0..4 {
            let before = self.taken().load(Ordering::Relaxed); // Relaxed: it is compared, and nothing else.
            if let Ok((_, messages)) = self.walk() {
                return messages;
            }
            // Relaxed: as above.
            if self.taken().load(Ordering::Relaxed) == before {
                break;
            }
        }
        self.shape.units as usize
    }

    /// Walks along the frames from `taken` on, to the producer's place. Returns it, and the number of frames.
    fn walk(&self) -> Result<(Place, usize), Evidence> {
        let mut place = self.load_taken()?;
        let (mut messages, mut used) = (0, 0);
        while let Some(frame) = self.frame(place)? {
            // A frame ends at most a lap after it begins, so this finds the distance. It is never 0, which bounds the loop.
            used += self.shape.distance(place, frame.next).unwrap_or(self.shape.units);
            if used >= self.shape.units {
                return Err(evidence(frame.next, frame.next.word(), place.word()));
            }
            place = frame.next;
            messages += 1;
        }
        Ok((place, messages))
    }

    /// The frame at `place`, or behind the padding there. `None` if the header is clear.
    #[inline(always)]
    fn frame(&self, place: Place) -> Result<Option<Frame>, Evidence> {
        // Acquire: pairs with the Release in `Producer::commit`, so that the payload, and the clear header after it, are
        // there.
        let header = self.header(place.unit).load(Ordering::Acquire);
        if header == CLEAR {
            Ok(None)
        } else if header == place.header(PADDING) {
            let place = place.next_lap();
            // Relaxed: it was stored before the header of the padding, which has just been acquired.
            self.checked(place, self.header(0).load(Ordering::Relaxed)).map(Some)
        } else {
            self.checked(place, header).map(Some)
        }
    }

    /// The frame that `header`, read at `place`, describes, if there can be such a frame.
    #[inline(always)]
    fn checked(&self, place: Place, header: u64) -> Result<Frame, Evidence> {
        let Place { lap, unit: low } = Place::from_word(header);
        // Neither 0 nor `PADDING` passes for a length, since the limit is below what they would count.
        let bytes = low.wrapping_sub(1);
        if lap == place.lap && bytes as usize <= self.shape.limit_bytes() {
            let units = self.shape.units_of(bytes as usize);
            if units <= self.shape.units - place.unit {
                return Ok(Frame { unit: place.unit, bytes, next: self.shape.after(place, units) });
            }
        }
        Err(evidence(place, header, place.header(0)))
    }

    /// The consumer's place, as far as it has come.
    #[inline]
    fn load_taken(&self) -> Result<Place, Evidence> {
        // Acquire: pairs with the Release in `Consumer::pass`, so that the units before it have been read (F2).
        let word = self.taken().load(Ordering::Acquire);
        let place = Place::from_word(word);
        if place.unit < self.shape.units { Ok(place) } else { Err(evidence(place, word, 0)) }
    }

    #[inline(always)]
    fn taken(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.taken.as_ref() }
    }

    /// The header of `unit`, which is one of the ring's.
    #[inline(always)]
    fn header(&self, unit: u32) -> &AtomicU64 {
        let word = self.word(unit, 0);
        // SAFETY: the constructor's caller vouched for the words being atomics that outlive `self`.
        unsafe { word.as_ref() }
    }

    /// Where the payload of a frame begins that begins at `unit`, which is one of the ring's.
    #[inline(always)]
    fn payload(&self, unit: u32) -> NonNull<AtomicU64> {
        self.word(unit, self.shape.header_words)
    }

    #[inline(always)]
    fn word(&self, unit: u32, word: usize) -> NonNull<AtomicU64> {
        debug_assert!(unit < self.shape.units && word <= self.shape.unit_words);
        // SAFETY: `unit` is one of the ring's, whose words the constructor's caller vouched for, and `word` is at most the
        // first one after it.
        unsafe { self.first.add(unit as usize * self.shape.unit_words + word) }
    }
}

/// What is wrong at a place.
#[cold]
fn evidence(place: Place, found: u64, expected: u64) -> Evidence {
    Evidence { slot: place.unit as usize, found, expected }
}

/// The end that fills frames.
///
/// [`ask_for`](VariableProducer::ask_for) says how long the next message is, which is what "ready" refers to.
pub(crate) struct Producer {
    parts: Parts,
    /// Where the next frame begins, or its padding.
    place: Place,
    /// Free units from here on, as far as they are known.
    room: u32,
    /// The frame to fill next.
    claim: Option<Claim>,
    /// Why there is no place.
    damage: Option<Evidence>,
}

/// A frame that is being filled, at the producer's place.
#[derive(Clone, Copy)]
struct Claim {
    /// Units before the frame, up to the end of the memory.
    padding: u32,
    /// Units of the frame.
    units: u32,
    /// Bytes of its payload.
    bytes: u32,
}

impl Producer {
    /// Takes over the place that the producer before, if there was one, left. The caller is the only one.
    pub(crate) fn attach(parts: Parts) -> Self {
        let (place, damage) = match parts.walk() {
            Ok((place, _)) => (place, None),
            Err(evidence) => (Place { lap: 0, unit: 0 }, Some(evidence)),
        };
        Producer { parts, place, room: 0, claim: None, damage }
    }

    /// Where the claimed frame begins.
    #[inline(always)]
    fn start(&self) -> Place {
        match self.claim {
            Some(Claim { padding: 1.., .. }) => self.place.next_lap(),
            _ => self.place,
        }
    }

    /// Clears the header of the place after the claimed frame, so that whatever lies there is not taken for one (F1).
    #[inline(always)]
    fn clear_next(&self, claim: Claim) -> Place {
        let next = self.parts.shape.after(self.start(), claim.units);
        // Relaxed: the Release in `commit` orders it before what makes the consumer look there.
        self.parts.header(next.unit).store(CLEAR, Ordering::Relaxed);
        next
    }

    /// Stores the header of a frame behind padding, which nobody looks at yet.
    #[inline(always)]
    fn prepare(&self, claim: Claim) {
        if claim.padding != 0 {
            let start = self.start();
            // Relaxed: the Release in `commit` orders it before the padding that leads here.
            self.parts.header(start.unit).store(start.header(claim.bytes + 1), Ordering::Relaxed);
        }
    }

    /// Stores the header at this end's place, which publishes the frame (F4).
    #[inline(always)]
    fn commit(&self, claim: Claim) {
        let low = if claim.padding == 0 { claim.bytes + 1 } else { PADDING };
        // Release: publishes the payload, and what `clear_next` and `prepare` have stored; pairs with the Acquire in
        // `Parts::frame`.
        self.parts.header(self.place.unit).store(self.place.header(low), Ordering::Release);
    }
}

impl End for Producer {
    /// Whether there is known to be room for the frame that was asked for.
    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        // One unit more than is used, for the header that comes after (F3).
        self.claim.is_some_and(|claim| claim.padding + claim.units < self.room)
    }

    fn look(&mut self) -> Turn {
        if let Some(damage) = self.damage {
            return Turn::Broken(damage);
        }
        let taken = match self.parts.load_taken() {
            Ok(taken) => taken,
            Err(evidence) => return Turn::Broken(evidence),
        };
        // The place after all frames is never that of the first one again, a lap later (F3).
        match self.parts.shape.distance(taken, self.place).filter(|&used| used < self.parts.shape.units) {
            None => Turn::Broken(evidence(self.place, taken.word(), self.place.word())),
            Some(used) => {
                self.room = self.parts.shape.units - used;
                if self.is_ready() { Turn::Ours } else { Turn::Theirs }
            }
        }
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        self.parts.payload(self.start().unit)
    }

    #[inline(always)]
    fn pass(&mut self) {
        debug_assert!(self.is_ready());
        if let Some(claim) = self.claim {
            let next = self.clear_next(claim);
            self.prepare(claim);
            self.commit(claim);
            self.place = next;
            self.room -= claim.padding + claim.units;
            self.claim = None;
        }
    }

    fn len(&self) -> usize {
        self.parts.len()
    }

    fn abandon(&mut self) {
        self.claim = None;
    }
}

impl VariableProducer for Producer {
    #[inline]
    fn ask_for(&mut self, payload_bytes: usize) -> Result<bool, usize> {
        let shape = self.parts.shape;
        if payload_bytes > shape.limit_bytes() {
            return Err(shape.limit_bytes());
        }
        let (units, left) = (shape.units_of(payload_bytes), shape.units - self.place.unit);
        let padding = if units <= left { 0 } else { left };
        self.claim = Some(Claim { padding, units, bytes: payload_bytes as u32 });
        // Nobody else has a place here, so there is none to give back.
        Ok(false)
    }

    /// Nor is there one to forget: nobody takes it while this end is there.
    fn forget(&mut self) {}

    fn shorten(&mut self, payload_bytes: usize) {
        if let Some(claim) = &mut self.claim {
            claim.bytes = claim.bytes.min(payload_bytes.min(MAX_PAYLOAD_BYTES) as u32);
            claim.units = self.parts.shape.units_of(claim.bytes as usize);
        }
    }

    fn limit_bytes(&self) -> usize {
        self.parts.shape.limit_bytes()
    }
}

/// The end that empties frames.
pub(crate) struct Consumer {
    parts: Parts,
    /// The place, as `taken` has it.
    place: Place,
    /// The frame there, once it has been seen.
    frame: Option<Frame>,
    /// Why there is no place.
    damage: Option<Evidence>,
}

impl Consumer {
    /// Takes over the place that the consumer before, if there was one, left. The caller is the only one.
    pub(crate) fn attach(parts: Parts) -> Self {
        let (place, damage) = match parts.load_taken() {
            Ok(place) => (place, None),
            Err(evidence) => (Place { lap: 0, unit: 0 }, Some(evidence)),
        };
        Consumer { parts, place, frame: None, damage }
    }
}

impl VariableConsumer for Consumer {
    #[inline(always)]
    fn bytes(&self) -> usize {
        self.frame.map_or(0, |frame| frame.bytes as usize)
    }
}

impl End for Consumer {
    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.frame.is_some() || self.look() == Turn::Ours
    }

    #[inline]
    fn look(&mut self) -> Turn {
        if let Some(damage) = self.damage {
            return Turn::Broken(damage);
        }
        match self.parts.frame(self.place) {
            Ok(frame) => {
                self.frame = frame;
                if frame.is_some() { Turn::Ours } else { Turn::Theirs }
            }
            Err(evidence) => Turn::Broken(evidence),
        }
    }

    #[inline(always)]
    fn payload(&self) -> NonNull<AtomicU64> {
        self.parts.payload(self.frame.map_or(self.place.unit, |frame| frame.unit))
    }

    #[inline(always)]
    fn pass(&mut self) {
        debug_assert!(self.frame.is_some());
        if let Some(frame) = self.frame.take() {
            self.place = frame.next;
            // Release: the payload has been read; pairs with the Acquire in `Parts::load_taken`.
            self.parts.taken().store(self.place.word(), Ordering::Release);
        }
    }

    fn len(&self) -> usize {
        self.parts.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
