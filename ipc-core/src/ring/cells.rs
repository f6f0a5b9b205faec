//! The cells of a ring that several participants share: what a position is, and what a stamp says.
//!
//! # Positions
//!
//! A *position* counts cells from the ring's beginning, with room for a power of two of them in a lap, so that a ring
//! of any capacity needs no division:
//!
//! ```text
//! position:  | lap ... | index, as many bits as the largest index needs |       below 2^62
//! ```
//!
//! The position after the last cell of a lap is the first of the next lap; the numbers between are nobody's. A message
//! takes one or more cells (*units*) in a row, and never crosses the end of the ring. Positions are compared by their
//! difference modulo 2^62, and at a thousand million messages a second they would take a century to get there.
//!
//! # Stamps
//!
//! ```text
//! stamp:     | lap, 33 bits | units, 16 bits | owner, 12 bits | state, 3 bits |  0 = free for the first lap
//! ```
//!
//! Every cell has one. The stamp of a message's first unit says what the message's state is; its other units keep the
//! stamp that they had when they were free until they are freed for the next lap. In one lap a stamp goes through
//!
//! ```text
//! FREE --> FULL --> (ORPHANED) --> RETURNED --> HELD --> FREE of the next lap
//!   |        |                         ^----------'         ^
//!   |        '---> DROPPED ---------------------------------|
//!   '--> LOST ---> SKIP ------------------------------------'
//! ```
//!
//! and never back: the owner of a returned message counts how often it has been returned. So a word that somebody has
//! seen does not come again, and a compare-and-swap from it succeeds only if nothing has happened to the cell since. (A
//! stamp has 33 bits of the lap. Somebody would have to be stopped between its look and its swap for a multiple of
//! 2^33 laps, to the lap.)

use super::lines;
use crate::atomics::AtomicU64;
use crate::words;
use core::ptr::NonNull;

/// Bits of a position.
const POSITION_BITS: u32 = 62;

/// Bits of the lap in a stamp.
const LAP_BITS: u32 = 33;

/// Bits of the owner in a stamp.
const OWNER_BITS: u32 = 12;

/// Bits of the state in a stamp.
const STATE_BITS: u32 = 3;

/// Bits of the number of units in a stamp.
const UNITS_BITS: u32 = 16;

/// The largest capacity: laps and positions then come round together.
const MAX_CAPACITY: u64 = 1 << (POSITION_BITS - LAP_BITS);

/// The largest number of participants that a stamp can tell apart.
pub(crate) const MAX_LINES: usize = 1 << OWNER_BITS;

/// What a cell's stamp says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// For the producer of this lap.
    Free = 0,
    /// A message, to be delivered.
    Full = 1,
    /// No message: to be jumped over, `units` cells.
    Skip = 2,
    /// A message whose receiver died; to be delivered again. `owner` is how often it has been returned.
    Returned = 3,
    /// A returned message, taken again.
    Held = 4,
    /// The first of `units` messages of a receiver that died, all of which are about to be `Returned`.
    Orphaned = 5,
    /// A hole that a dead producer left; its loss is to be counted on line `owner` before it becomes `Skip`.
    Lost = 6,
    /// A dead receiver's message, given up; its loss is to be counted on line `owner` before it becomes `Free`.
    Dropped = 7,
}

/// A stamp, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) state: State,
    /// Below 2^12; what it means depends on the state.
    pub(crate) owner: u16,
    /// Cells that the message takes; 0 in a free cell.
    pub(crate) units: u16,
    /// The lap, modulo 2^33.
    pub(crate) lap: u64,
}

impl Stamp {
    /// The stamp of a cell that waits for its producer in this lap.
    #[inline(always)]
    pub(crate) fn free(lap: u64) -> Self {
        Stamp { state: State::Free, owner: 0, units: 0, lap }
    }

    /// The stamp of a message, or of a gap, of so many units.
    #[inline(always)]
    pub(crate) fn new(state: State, lap: u64, units: u16) -> Self {
        Stamp { state, owner: 0, units, lap }
    }

    /// Takes a word apart. Every word is some stamp.
    #[inline(always)]
    pub(crate) fn from_word(word: u64) -> Self {
        let state = match word & ((1 << STATE_BITS) - 1) {
            0 => State::Free,
            1 => State::Full,
            2 => State::Skip,
            3 => State::Returned,
            4 => State::Held,
            5 => State::Orphaned,
            6 => State::Lost,
            _ => State::Dropped,
        };
        Stamp {
            state,
            owner: (word >> STATE_BITS) as u16 & ((1 << OWNER_BITS) - 1),
            units: (word >> (STATE_BITS + OWNER_BITS)) as u16,
            lap: word >> (STATE_BITS + OWNER_BITS + UNITS_BITS),
        }
    }

    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        let owner = u64::from(self.owner) & ((1 << OWNER_BITS) - 1);
        let lap = self.lap << (STATE_BITS + OWNER_BITS + UNITS_BITS);
        lap | u64::from(self.units) << (STATE_BITS + OWNER_BITS) | owner << STATE_BITS | self.state as u64
    }

    /// Whether the stamp is of the lap before `lap`.
    pub(crate) fn is_of_lap_before(self, lap: u64) -> bool {
        self.lap == (lap.wrapping_sub(1)) & LAP_MASK
    }
}

const LAP_MASK: u64 = (1 << LAP_BITS) - 1;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;

/// A position that has a cell. Made by a [`Cells`], and to be used with no other one; the first one, which is the
/// default, has a cell in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position(u64);

impl Position {
    /// The position as a counter has it.
    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// How far `other` is ahead of `self`; negative if it is behind.
    pub(crate) fn ahead(self, other: Position) -> i64 {
        const SPARE: u32 = u64::BITS - POSITION_BITS;
        (other.0.wrapping_sub(self.0) << SPARE) as i64 >> SPARE
    }
}

/// A borrowed array of equal cells in shared memory.
///
/// ```text
/// fixed-size messages:       | payload ... | stamp | payload ... | stamp | ...
/// variable-length messages:  | payload ... | payload ... | ...      and apart from it     | stamp | stamp | ...
/// ```
///
/// The geometry is private: nothing that another process writes can change where a cell is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Cells {
    payloads: NonNull<AtomicU64>,
    /// Words from one payload to the next.
    payload_words: usize,
    stamps: NonNull<AtomicU64>,
    /// Words from one stamp to the next.
    stamp_words: usize,
    capacity: u64,
    /// Bits of a position that are the index.
    index_bits: u32,
    /// A one for each of these bits.
    index_mask: u64,
    /// Whether consumers take the lines of a payload that they have read.
    are_lines_taken: bool,
}

// SAFETY: every access through `Cells` is an atomic one, or goes through a payload pointer whose use is the
// responsibility of the ring that hands it out.
unsafe impl Send for Cells {}
// SAFETY: as for `Send`.
unsafe impl Sync for Cells {}

impl Cells {
    /// Cells of `stride_words` words each, of which the last one is the stamp.
    ///
    /// # Safety
    ///
    /// `words` leads to `capacity * stride_words` atomic words, which stay mapped for as long as the value and its
    /// copies are used. Both numbers are at least 1, and the capacity is at most 2^29.
    pub(crate) unsafe fn with_stamps_inside(words: NonNull<AtomicU64>, stride_words: usize, capacity: usize) -> Self {
        debug_assert!(stride_words >= 1);
        // SAFETY: the caller vouches for a first cell of so many words.
        let stamps = unsafe { words.add(stride_words - 1) };
        let are_lines_taken = lines::are_worth_it(stride_words);
        Cells { are_lines_taken, ..Cells::new(words, stride_words, stamps, stride_words, capacity) }
    }

    /// Cells of `payload_words` words each, without gaps between them, whose stamps are in a table of their own.
    ///
    /// # Safety
    ///
    /// `payloads` leads to `capacity * payload_words` atomic words and `stamps` to `capacity`, all of which stay mapped
    /// for as long as the value and its copies are used. Both numbers are at least 1, and the capacity is at most 2^29.
    pub(crate) unsafe fn with_stamps_apart(
        payloads: NonNull<AtomicU64>,
        payload_words: usize,
        stamps: NonNull<AtomicU64>,
        capacity: usize,
    ) -> Self {
        Cells::new(payloads, payload_words, stamps, 1, capacity)
    }

    fn new(
        payloads: NonNull<AtomicU64>,
        payload_words: usize,
        stamps: NonNull<AtomicU64>,
        stamp_words: usize,
        capacity: usize,
    ) -> Self {
        let capacity = capacity as u64;
        debug_assert!((1..=MAX_CAPACITY).contains(&capacity));
        let index_bits = capacity.next_power_of_two().trailing_zeros();
        let index_mask = (1 << index_bits) - 1;
        Cells { payloads, payload_words, stamps, stamp_words, capacity, index_bits, index_mask, are_lines_taken: false }
    }

    /// Number of cells.
    #[inline(always)]
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Number of words of all payloads, and of the stamps inside.
    pub(crate) fn words(&self) -> usize {
        self.capacity as usize * self.payload_words
    }

    /// Words from one payload to the next.
    pub(crate) fn stride_words(&self) -> usize {
        self.payload_words
    }

    /// How far apart a cell's positions in two laps that follow each other are.
    #[inline(always)]
    pub(crate) fn one_lap(&self) -> u64 {
        self.index_mask + 1
    }

    /// The position that a shared word holds, if there is such a one.
    #[inline(always)]
    pub(crate) fn position(&self, word: u64) -> Option<Position> {
        let is_position = word <= POSITION_MASK && word & self.index_mask < self.capacity;
        is_position.then_some(Position(word))
    }

    /// Which cell it is, from 0.
    #[inline(always)]
    pub(crate) fn index(&self, at: Position) -> u64 {
        at.0 & self.index_mask
    }

    /// The lap, modulo 2^33: as a stamp has it.
    #[inline(always)]
    pub(crate) fn lap(&self, at: Position) -> u64 {
        (at.0 >> self.index_bits) & LAP_MASK
    }

    /// The lap after that of `at`, modulo 2^33.
    #[inline(always)]
    pub(crate) fn next_lap(&self, at: Position) -> u64 {
        ((at.0 >> self.index_bits) + 1) & LAP_MASK
    }

    /// Cells from `at` to the end of the ring, itself included.
    #[inline(always)]
    pub(crate) fn room(&self, at: Position) -> u64 {
        self.capacity - self.index(at)
    }

    /// The position after a message of `units` cells at `at`. There is a cell at it whatever `units` is.
    #[inline(always)]
    pub(crate) fn after(&self, at: Position, units: u16) -> Position {
        if u64::from(units) < self.room(at) {
            Position(at.0 + u64::from(units))
        } else {
            Position(((at.0 | self.index_mask) + 1) & POSITION_MASK)
        }
    }

    /// The position `count` cells after `at`, at most a lap.
    #[inline(always)]
    pub(crate) fn forward(&self, at: Position, count: u64) -> Position {
        let room = self.room(at);
        if count < room {
            Position(at.0 + count)
        } else {
            let next_lap = (at.0 | self.index_mask) + 1;
            Position(next_lap.wrapping_add(count - room) & POSITION_MASK)
        }
    }

    /// The position of cell `index` in the latest lap that has the number `lap` in a stamp and does not lie after that
    /// of `now`. `None` if that is not the lap of `now` or the one before, or if there is no such cell.
    pub(crate) fn recent(&self, index: u64, lap: u64, now: Position) -> Option<Position> {
        let laps_ago = self.lap(now).wrapping_sub(lap) & LAP_MASK;
        let lap = (now.0 >> self.index_bits).wrapping_sub(laps_ago);
        if laps_ago > 1 { None } else { self.position((lap << self.index_bits | index) & POSITION_MASK) }
    }

    /// Number of cells from `from` forward to `to`.
    pub(crate) fn cells_between(&self, from: Position, to: Position) -> u64 {
        let laps =
            (to.0 >> self.index_bits).wrapping_sub(from.0 >> self.index_bits) & (POSITION_MASK >> self.index_bits);
        (laps * self.capacity).wrapping_add(self.index(to)).wrapping_sub(self.index(from))
    }

    /// The stamp of a cell.
    #[inline(always)]
    pub(crate) fn stamp(&self, at: Position) -> &AtomicU64 {
        debug_assert!(self.index(at) < self.capacity);
        // SAFETY: a position's index is below the capacity, and the constructor's caller vouched for so many stamps.
        let stamp = unsafe { self.stamps.add(self.index(at) as usize * self.stamp_words) };
        // SAFETY: the constructor's caller vouched for the words being atomics that outlive `self`.
        unsafe { stamp.as_ref() }
    }

    /// Asks for the lines that the cell `ahead` cells after `at` begins and ends with, to be written soon. Who claims the last
    /// cells of the ring asks for what lies behind it, in vain: to go on at the beginning would cost every claim more.
    #[inline(always)]
    pub(crate) fn prefetch_to_write(&self, at: Position, ahead: u16) {
        let index = self.index(at) as usize + usize::from(ahead);
        words::prefetch_to_write(self.payloads.as_ptr().wrapping_add(index * self.payload_words).cast());
        words::prefetch_to_write(self.stamps.as_ptr().wrapping_add(index * self.stamp_words).cast());
    }

    /// As [`prefetch_to_write`](Cells::prefetch_to_write), to be read.
    #[inline(always)]
    pub(crate) fn prefetch_to_read(&self, at: Position, ahead: u16) {
        let index = self.index(at) as usize + usize::from(ahead);
        words::prefetch_to_read(self.payloads.as_ptr().wrapping_add(index * self.payload_words).cast());
        words::prefetch_to_read(self.stamps.as_ptr().wrapping_add(index * self.stamp_words).cast());
    }

    /// Takes the cache lines for this processor that a payload with its stamp inside covers before the one with the stamp, which is
    /// about to be stored to anyway: see [`lines`]. The cell is this processor's.
    #[inline(always)]
    pub(crate) fn take_lines(&self, at: Position) {
        let from = self.index(at) as usize * self.payload_words;
        let stamp = from + self.payload_words - 1;
        if self.are_lines_taken {
            // SAFETY: so many words lie before the cell's last one, which there is.
            unsafe { lines::take(self.payloads, from, stamp) };
        }
    }

    /// The first word of a cell, where the payload begins.
    #[inline(always)]
    pub(crate) fn payload(&self, at: Position) -> NonNull<AtomicU64> {
        debug_assert!(self.index(at) < self.capacity);
        // SAFETY: a position's index is below the capacity, and the constructor's caller vouched for so many payloads.
        unsafe { self.payloads.add(self.index(at) as usize * self.payload_words) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn cells(words: &[AtomicU64]) -> Cells {
        // SAFETY: the words are there, one to a cell, and outlive the value in each test.
        unsafe { Cells::with_stamps_inside(NonNull::from(&words[0]), 1, words.len()) }
    }

    #[test]
    fn stamps_survive_their_word() {
        for word in [0, u64::MAX, 0x1234_5678_9abc_def0, 1 << 31, (1 << 31) - 1] {
            assert_eq!(Stamp::from_word(word).word(), word);
        }
        assert_eq!(Stamp::from_word(0), Stamp::free(0));
        assert!(Stamp::free(LAP_MASK).is_of_lap_before(0));
    }

    #[test]
    fn positions_visit_every_cell_of_every_lap_also_through_the_wrap() {
        for capacity in 1..10 {
            let words: Vec<_> = (0..capacity).map(|_| AtomicU64::new(0)).collect();
            let cells = cells(&words);
            let last_lap = (POSITION_MASK >> cells.index_bits) << cells.index_bits;
            for first in [0, (1 << 32) - cells.one_lap(), last_lap] {
                let mut at = cells.position(first).expect("it is the beginning of a lap");
                for step in 0..3 * capacity as u64 {
                    assert_eq!(cells.index(at), step % capacity as u64);
                    let laps = step / capacity as u64;
                    assert_eq!(cells.lap(at), ((first >> cells.index_bits) + laps) & LAP_MASK);
                    let next = cells.after(at, 1);
                    assert!(at.ahead(next) >= 1 && next.ahead(at) <= -1);
                    assert_eq!(cells.cells_between(at, next), 1);
                    assert_eq!(cells.recent(cells.index(at), cells.lap(at), next), Some(at));
                    let mut ahead = at;
                    for count in 0..=capacity as u64 {
                        assert_eq!(cells.forward(at, count), ahead);
                        ahead = cells.after(ahead, 1);
                    }
                    at = next;
                }
            }
        }
    }

    #[test]
    fn words_that_are_no_position_are_refused() {
        let words: Vec<_> = (0..5).map(|_| AtomicU64::new(0)).collect();
        let cells = cells(&words);
        assert!(cells.position(4).is_some());
        for word in [5, 7, 8 + 5, 1 << 62, u64::MAX] {
            assert_eq!(cells.position(word), None, "{word}");
        }
    }
}
