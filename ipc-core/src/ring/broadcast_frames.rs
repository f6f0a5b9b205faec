//! The broadcast ring of messages of different lengths: every subscriber gets every message.
//!
//! It does what [`broadcast`](super::broadcast) does, with messages that take one or more cells in a row, a *frame*. What
//! is different follows from one thing: a frame is overwritten by frames that begin elsewhere, so its own stamp does not
//! tell that it is. Instead the ring says which frames are still there:
//!
//! ```text
//! tail:      where the next frame is claimed           the counter of the publishers
//! oldest:    where the oldest frame begins that is still there
//! numbers:   a word for each cell: the number of the message that begins there, once `oldest` has come to it
//! stamps:    a word for each cell. FULL or SKIP of a lap, with the number of cells, only where a frame begins
//! ```
//!
//! A publisher that needs room moves `oldest` past the frames in its way, one after another, before it claims their cells.
//! Messages are numbered in the order of their positions. Nobody can tell a message's number from its position, so whoever
//! moves `oldest` past a frame counts it; that is where an overtaken subscriber learns how many it missed. Padding before the
//! end of the ring, and a message that was given up, are SKIP with owner 1 and have no number. A hole that a dead publisher
//! left is SKIP with owner 0, has a number, and is reported as lost.
//!
//! # Invariants
//!
//! O1. *`oldest` only rises, from the beginning of a frame to the beginning of the next, and only past frames that have been
//!     dealt with.* It is moved by one compare-and-swap. The frame's length is in its stamp, which is read (Acquire)
//!     while it has the lap of that position; nobody stores to it until `oldest` has passed.
//! O2. *A cell is claimed for the next lap only when `oldest` has passed its frame.* So the publisher of lap l - 1 has
//!     stored its last to it before (O1, and Release to Acquire by way of `oldest`), and no two are in one cell.
//! O3. *A frame that was at or beyond `oldest` after it was copied is whole.* If a word that was copied is of a later lap,
//!     its publisher has seen `oldest` beyond the frame (O2), then come to its fence (Release), then stored the word. The
//!     reader's fence (Acquire) comes after its copy, so its look at `oldest` finds it beyond.
//! O4. *`numbers` at the cell of `oldest` is the number of the message there, if `oldest` is still there after it was read.*
//!     Whoever moves `oldest` from o to o' has stored the number of o' before (Release). It comes from the number of o,
//!     and from the frame at o, by O1 and this invariant the same for all who try. Those who are late store it too; they
//!     do so by taking the maximum, and all numbers that come later to that cell are at least as large. A number that is
//!     too large for o is stored, and read, only by those who have seen `oldest` beyond o, which the fences pass on.
//! O5. *No frame is overwritten that a subscriber who counts has not passed.* `oldest` does not pass the floor, which is
//!     that of B5 in `broadcast`. A newcomer's first cursor is at or after its bound (J4), at the beginning of a frame: one that
//!     has been published, which a stamp of its lap tells, or the tail. So, as in `broadcast`, a newcomer does not wait for
//!     what was claimed before it came and not published yet.
//!
//! A message takes at most half of the cells that are not kept for newcomers, so that neither the padding before it nor the
//! frame that the floor lies in is in its way.

use super::broadcast::{Gate, MAX_ROUNDS, Sight, Slowest, before};
use super::cells::{Cells, Position, Stamp, State};
use super::claims::{Claimant, Company, Counter, Framing, Life, Records, Repair, Role};
use super::exclusive::{Evidence, Turn};
use crate::atomics::{AtomicU64, fence};
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

mod ends;
mod subscriber;

pub(crate) use ends::{FramePublisher, FrameSubscriber};
pub(crate) use subscriber::Subscriber;

/// The owner in the stamp of a frame that has no number.
const NO_NUMBER: u16 = 1;

/// The part of the ring that is freed at once, so that `oldest` moves in larger steps and its line is not fetched for each
/// message.
const PART: u64 = 8;

/// The shared parts of a broadcast of frames.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    cells: Cells,
    publishers: Role,
    oldest: NonNull<AtomicU64>,
    numbers: NonNull<AtomicU64>,
    gate: Option<Gate>,
}

// SAFETY: both pointers lead to atomics, which any thread may use.
unsafe impl Send for Parts {}
// SAFETY: as for `Send`.
unsafe impl Sync for Parts {}

/// A frame that has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    is_message: bool,
    has_number: bool,
    units: u16,
}

/// What a stamp says to someone who waits for a frame.
enum Seen {
    Frame(Frame),
    /// Claimed, or not even that.
    Coming,
    /// Overwritten by a frame of a later lap.
    Gone,
    Impossible,
}

impl Parts {
    /// A broadcast whose publishers never wait for subscribers.
    ///
    /// # Safety
    ///
    /// `oldest` leads to an atomic word, and `numbers` to one for each cell. They stay mapped for as long as the value and
    /// its copies are used.
    pub(crate) unsafe fn lossy(
        cells: Cells,
        publishers: Role,
        oldest: NonNull<AtomicU64>,
        numbers: NonNull<AtomicU64>,
    ) -> Self {
        Parts { cells, publishers, oldest, numbers, gate: None }
    }

    /// The same broadcast, whose publishers wait for the slowest of `subscribers`, and keep what is in the last `history`
    /// cells for newcomers. The ring should be larger by so many cells.
    pub(crate) fn lossless(self, subscribers: Records, history: u64) -> Self {
        let history = history.min(self.cells.capacity().saturating_sub(2));
        Parts { gate: Some(Gate::new(subscribers, history)), ..self }
    }

    /// The publishers' counter.
    pub(crate) fn counter(&self) -> &Counter {
        &self.publishers.counter
    }

    /// Messages that were lost with publishers that died.
    pub(crate) fn losses(&self) -> u64 {
        self.publishers.records.losses()
    }

    /// The position that is claimed next.
    pub(crate) fn tail(&self) -> Result<Position, Evidence> {
        self.publishers.counter.load(&self.cells)
    }

    /// Messages in the last so many cells, as far as can be seen at this moment.
    pub(crate) fn messages_in_last(&self, cells: u64) -> u64 {
        let tail = self.tail().map(|tail| (before(&self.cells, tail, cells), tail));
        tail.map_or(0, |(from, tail)| subscriber::search(self, from, tail, u64::MAX).1)
    }

    /// The longest message, in cells: half of those that are not kept for newcomers.
    pub(crate) fn most_units(&self) -> u16 {
        let kept = self.gate.map_or(0, |gate| gate.history);
        // The stamp of a frame has 16 bits for it.
        u16::try_from(((self.cells.capacity() - kept) / 2).max(1)).unwrap_or(u16::MAX)
    }

    /// Closes the hole that the dead publisher on `line` may have left, so that subscribers jump over it and report it
    /// as lost. `life` tells of publishers only: a line of any other kind is [`Life::Absent`].
    pub(crate) fn repair(&self, line: usize, life: impl Fn(usize) -> Life) -> Repair {
        let is_open = |stamp: Stamp, lap| stamp.word() == 0 && lap == 0 || laps_ahead(stamp, lap) < 0;
        self.publishers.repair_producer(&self.cells, line, Framing::Whole, life, is_open)
    }

    /// The subscriber that has passed the least, of those for which `counted` returns the generation of their line's owner.
    pub(crate) fn slowest(&self, counted: impl Fn(usize) -> Option<u32>) -> Option<Slowest> {
        self.gate.as_ref()?.slowest(&self.cells, &self.publishers.counter, counted)
    }

    /// As [`broadcast::Parts::evict`](super::broadcast::Parts::evict).
    pub(crate) fn evict(&self, line: usize, generation: u32) -> bool {
        self.gate.is_some_and(|gate| gate.evict(line, generation))
    }

    #[inline(always)]
    fn oldest(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.oldest.as_ref() }
    }

    /// The number of the message at `at`; see O4.
    fn number(&self, at: Position) -> &AtomicU64 {
        // SAFETY: a position's index is below the capacity, and the constructor's caller vouched for so many words.
        let number = unsafe { self.numbers.add(self.cells.index(at) as usize) };
        // SAFETY: as above.
        unsafe { number.as_ref() }
    }

    fn load_oldest(&self) -> Result<Position, Evidence> {
        // Acquire: the frames before it have been dealt with (O2), and its number is there (O4); pairs with the Release in
        // `Publisher::free_one`.
        let found = self.oldest().load(Ordering::Acquire);
        self.cells.position(found).ok_or(Evidence { slot: 0, found, expected: 0 })
    }

    /// Whether `at` has not been passed by `oldest` after everything that was read so far.
    #[inline(always)]
    fn is_there(&self, at: Position) -> bool {
        // Acquire: whoever stored what was read had seen `oldest` (O3, O4); pairs with the fence in `Publisher::claim`, and
        // the Release in `Publisher::free_one`.
        fence(Ordering::Acquire);
        // Relaxed: the fence orders it.
        let oldest = self.cells.position(self.oldest().load(Ordering::Relaxed));
        oldest.is_some_and(|oldest| at.ahead(oldest) <= 0)
    }

    /// The oldest frame that is there, and its number. `None` if it was always gone before that could be read.
    fn first(&self) -> Result<Option<(Position, u64)>, Evidence> {
        for _ in 0..MAX_ROUNDS {
            let at = self.load_oldest()?;
            // Relaxed: `is_there` has the fence (O4).
            let number = self.number(at).load(Ordering::Relaxed);
            if self.is_there(at) {
                return Ok(Some((at, number)));
            }
        }
        Ok(None)
    }

    /// What the stamp at `at` says, and its word.
    #[inline(always)]
    fn see(&self, at: Position) -> (Seen, u64) {
        // Acquire: the payload is there, or `oldest` is seen to be beyond; pairs with the Release in `Publisher::finish`, and
        // that of whoever repairs.
        let found = self.cells.stamp(at).load(Ordering::Acquire);
        let stamp = Stamp::from_word(found);
        let seen = match laps_ahead(stamp, self.cells.lap(at)) {
            ..0 => Seen::Coming,
            1.. => Seen::Gone,
            0 => {
                let fits = (1..=self.cells.room(at)).contains(&u64::from(stamp.units));
                let frame = |is_message, has_number| Seen::Frame(Frame { is_message, has_number, units: stamp.units });
                match stamp.state {
                    State::Full if fits => frame(true, true),
                    State::Skip if fits => frame(false, stamp.owner != NO_NUMBER),
                    State::Lost => Seen::Coming,
                    State::Free if found == 0 => Seen::Coming,
                    _ => Seen::Impossible,
                }
            }
        };
        (seen, found)
    }

    #[cold]
    fn evidence(&self, at: Position, found: u64) -> Evidence {
        let expected = Stamp::new(State::Full, self.cells.lap(at), 1).word();
        Evidence { slot: self.cells.index(at) as usize, found, expected }
    }
}

/// How many laps the stamp is ahead of `lap`. A lap has 33 bits in a stamp.
fn laps_ahead(stamp: Stamp, lap: u64) -> i64 {
    (stamp.lap.wrapping_sub(lap) << 31) as i64 >> 31
}

/// An end that publishes.
pub(crate) struct Publisher {
    parts: Parts,
    claimant: Claimant,
    /// The frame that was claimed last.
    claimed: Option<(Position, u16)>,
    /// `oldest`, as far as it was seen to have come.
    oldest: Option<Position>,
    /// Where `oldest` may go at most, in a lossless ring.
    floor: Option<Position>,
}

impl Publisher {
    /// Joins on `line`, with the conditions of [`Claimant::attach`].
    pub(crate) fn attach(parts: Parts, line: usize, company: Company) -> Self {
        let claimant = Claimant::attach(parts.publishers, &parts.cells, line, company);
        Publisher { parts, claimant, claimed: None, oldest: None, floor: None }
    }

    /// Claims a frame of `units` cells, at least 1 and at most [`Parts::most_units`], which is this publisher's own until
    /// [`pass`](Self::pass) or [`abandon`](Self::abandon).
    ///
    /// [`Turn::Theirs`] if a lossless ring is full, if a publisher is still at work in a frame that is in the way, or if the
    /// message is too long. A publisher in the way may be dead, and then needs [repair](Parts::repair). `counted` is as in
    /// [`broadcast`](super::broadcast::Publisher::claim).
    pub(crate) fn claim(&mut self, units: u16, counted: impl Fn(usize) -> Option<u32>) -> Turn {
        if self.claimed.is_some() {
            return Turn::Ours;
        }
        let turn = self.reserve(units, counted);
        match turn {
            // Release: whoever reads a payload word that is stored from here on sees `oldest` beyond what was there (O3), and
            // the notes of the evicted; pairs with the fences in `Parts::is_there` and `Subscriber::accept`.
            Turn::Ours => fence(Ordering::Release),
            _ => self.claimant.give_up(),
        }
        turn
    }

    /// The payload of the claimed frame: its cells are one piece.
    pub(crate) fn payload(&self) -> Option<NonNull<AtomicU64>> {
        self.claimed.map(|(at, _)| self.parts.cells.payload(at))
    }

    /// Cells of the claimed frame; 0 if there is none.
    pub(crate) fn units(&self) -> u16 {
        self.claimed.map_or(0, |(_, units)| units)
    }

    /// Forgets the claimed frame, which those who hold this publisher for dead deal with.
    pub(crate) fn forget(&mut self) {
        self.claimed = None;
    }

    /// Publishes the message in the claimed frame.
    pub(crate) fn pass(&mut self) {
        self.finish(State::Full, 0);
    }

    /// Gives the claimed frame up.
    pub(crate) fn abandon(&mut self) {
        self.finish(State::Skip, NO_NUMBER);
    }

    /// Leaves. What is claimed is given up.
    pub(crate) fn detach(&mut self) {
        self.abandon();
        self.claimant.detach();
    }

    /// Whether it is `slowest` that keeps a frame of `units` cells from being claimed: without it there would be room.
    pub(crate) fn is_held_up_by(&self, slowest: &Slowest, units: u16) -> bool {
        let cells = &self.parts.cells;
        let Ok(at) = self.claimant.position(cells) else { return false };
        // Where the frame does not fit before the end, the padding up to there comes first.
        slowest.unread + cells.room(at).min(u64::from(units)) > cells.capacity()
    }

    /// Lets a publisher that has joined others claim, when the one that was alone has died; see [`Claimant::settle`].
    pub(crate) fn settle(&mut self, life: impl Fn(usize) -> Life) -> bool {
        self.claimant.settle(life)
    }

    /// See [`Claimant::may_claim`].
    pub(crate) fn may_claim(&self) -> bool {
        self.claimant.may_claim()
    }

    fn reserve(&mut self, units: u16, counted: impl Fn(usize) -> Option<u32>) -> Turn {
        if !self.claimant.is_settled() || !(1..=self.parts.most_units()).contains(&units) {
            return Turn::Theirs;
        }
        let cells = self.parts.cells;
        for _ in 0..MAX_ROUNDS {
            let at = match self.claimant.position(&cells) {
                Ok(at) => at,
                Err(evidence) => return Turn::Broken(evidence),
            };
            let is_padding = cells.room(at) < u64::from(units);
            let units = if is_padding { cells.room(at) as u16 } else { units };
            match self.make_room(at, units, &counted) {
                Ok(true) => {}
                _ if self.claimant.has_moved(at) => continue,
                Ok(false) => return Turn::Theirs,
                Err(evidence) => return Turn::Broken(evidence),
            }
            if !self.claimant.claim(at, cells.after(at, units), units) {
                continue;
            }
            self.claimed = Some((at, units));
            if !is_padding {
                return Turn::Ours;
            }
            self.abandon();
        }
        Turn::Theirs
    }

    fn finish(&mut self, state: State, owner: u16) {
        let Some((at, units)) = self.claimed.take() else { return };
        let stamp = Stamp { owner, ..Stamp::new(state, self.parts.cells.lap(at), units) };
        // Release: publishes the payload; pairs with the Acquire in `Parts::see`.
        self.parts.cells.stamp(at).store(stamp.word(), Ordering::Release);
    }

    /// Whether there are `units` free cells from `at` on, after `oldest` has been moved as far as it may.
    fn make_room(
        &mut self,
        at: Position,
        units: u16,
        counted: impl Fn(usize) -> Option<u32>,
    ) -> Result<bool, Evidence> {
        let capacity = self.parts.cells.capacity();
        let has_free = |oldest, wanted: u64| {
            let used = self.parts.cells.cells_between(oldest, at);
            capacity.checked_sub(used).is_some_and(|free| free >= wanted)
        };
        let needed = u64::from(units);
        if self.oldest.is_some_and(|oldest| has_free(oldest, needed)) {
            return Ok(true);
        }
        let mut oldest = self.parts.load_oldest()?;
        let wanted = needed.max(capacity / PART);
        let mut has_scanned = false;
        for _ in 0..capacity {
            if has_free(oldest, wanted) {
                break;
            }
            let Some(next) = self.frame_after(oldest, at)? else { break };
            if let Some(gate) = &self.parts.gate {
                let may_go = |floor: Position| next.ahead(floor) >= 0;
                if !self.floor.is_some_and(may_go) {
                    if has_scanned || has_free(oldest, needed) {
                        break;
                    }
                    self.floor = Some(gate.floor(&self.parts.cells, &self.parts.publishers.counter, &counted)?);
                    has_scanned = true;
                    if !self.floor.is_some_and(may_go) {
                        break;
                    }
                }
            }
            oldest = self.free_one(oldest, next)?;
        }
        self.oldest = Some(oldest);
        Ok(has_free(oldest, needed))
    }

    /// The position after the frame at `oldest`, if that has been dealt with.
    fn frame_after(&self, oldest: Position, at: Position) -> Result<Option<Position>, Evidence> {
        if oldest.ahead(at) <= 0 {
            return Ok(None);
        }
        match self.parts.see(oldest) {
            (Seen::Frame(frame), _) => Ok(Some(self.parts.cells.after(oldest, frame.units))),
            (Seen::Impossible, found) => Err(self.parts.evidence(oldest, found)),
            // Gone: somebody else has freed it, and more. The next look at `oldest` tells.
            (Seen::Coming | Seen::Gone, _) => Ok(None),
        }
    }

    /// Moves `oldest` on, from one frame to the next, unless somebody else has. Returns where it is.
    fn free_one(&self, oldest: Position, next: Position) -> Result<Position, Evidence> {
        let parts = &self.parts;
        let has_number = matches!(parts.see(oldest).0, Seen::Frame(Frame { has_number: true, .. }));
        // Relaxed: `is_there` has the fence (O4).
        let number = parts.number(oldest).load(Ordering::Relaxed);
        if parts.is_there(oldest) {
            let following = number.wrapping_add(u64::from(has_number));
            // Release: whoever reads a number that is too large sees how far `oldest` has come (O4); pairs with the fence in
            // `Parts::is_there`.
            parts.number(next).fetch_max(following, Ordering::Release);
            // AcqRel: Release passes on that the frame has been dealt with (O2), with the number of the next (O4) and the
            // notes of the evicted; Acquire takes them over from whoever moved it before. Relaxed: loaded again below.
            let swap = parts.oldest().compare_exchange(oldest.word(), next.word(), Ordering::AcqRel, Ordering::Relaxed);
            if swap.is_ok() {
                return Ok(next);
            }
        }
        parts.load_oldest()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
