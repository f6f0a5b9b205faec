//! The broadcast ring: several publishers in one total order, and every subscriber gets every message.
//!
//! A message takes one cell. Publishers claim positions as [`claims`](super::claims) has it, and the cell's stamp says
//! what has become of it. In lap *l* the stamp goes through
//!
//! ```text
//! FULL or SKIP of lap l - 1 (0 before lap 0)  -->  FULL l      the publisher has stored its message
//!                                          |---->  SKIP l      it has given it up (units 0)
//!                                          '---->  LOST l  -->  SKIP l     it died (units 1 or more), see `repair`
//! ```
//!
//! A message's *number* is its position, counted in cells: `lap * capacity + index`. So how many messages lie between
//! two positions is known without having seen them. A number that was given up or lost has no message; a subscriber
//! that comes to it reports a lost one and jumps over one that was given up. (One that has been overtaken cannot tell, and
//! counts every number that it has not seen.)
//!
//! A publisher may claim several cells at once, for a message each: a *batch*, see [`batch`].
//!
//! There are two kinds of subscribers, and a ring has one of them.
//!
//! - *Lossy* ([`lossy`]): they store nothing to shared memory, and publishers do not know of them. One that has been
//!   overtaken finds out from the stamps, exactly how many it missed as well.
//! - *Lossless* ([`lossless`]): each has a *cursor*, the position that it reads next, in its record. Publishers do not
//!   claim a cell that a cursor has not passed.
//!
//! # Storing and copying
//!
//! While a message is stored, its cell still has the stamp of the one before. That nobody takes a mixture of the two for
//! either of them is, in a lossless ring, the affair of the gate. In a lossy one, publishers have a *horizon* in common, a
//! position that only rises: they store only to cells of positions before it. Whoever is about to come to it moves it,
//! by several cells (its *margin*) at once. So subscribers, who look at it after every copy, mostly find its line in their
//! cache. A mark in the cell itself would go back and forth between the publisher and a subscriber that waits for
//! the cell: twice as many transfers a message, and out of order where a cell has two lines.
//!
//! ```text
//! publisher, at position p of lap l             subscriber, at position p of lap l
//! P1  stamp(p) is FULL or SKIP of l - 1         S1  stamp(p) = FULL l?   (Acquire)
//! P2  claim p                                   S2  copy                 (relaxed words)
//! P3  horizon > p, or move it   (lossy)         S3  fence                (Acquire)
//! P4  fence                  (Release)          S4  horizon at most a lap after p?   (Acquire; lossy)
//! P5  payload                (relaxed words)         not evicted?        (Relaxed; lossless)
//! P6  stamp(p) := FULL l     (Release)
//! ```
//!
//! B1. *One publisher at a time stores to a cell.* Position p is claimed once (C1 of `claims`), and whoever claims it has
//!     found the cell done with for lap l - 1 (P1). Nobody but the claimant of p changes that, so it still holds at P5.
//!     P1 is an Acquire, so all stores of lap l - 1 come before those of lap l. A publisher that has been alone for a whole lap
//!     claimed the cell itself in lap l - 1, and is done with one claim before it makes the next. In a lossy ring it leaves
//!     P1 out, so that it never loads from the lines of its subscribers. (In a lossless one that made it twice as fast for one
//!     subscriber, and up to 1.6 times slower for several that share a processor.)
//! B2. *What a lossy subscriber accepts is the message at p, whole.* S1 reads what P6 stored, so the payload words that S2
//!     reads are those of lap l or later ones. If one is of a later lap l', then its publisher has seen, or made, the horizon
//!     beyond p of l' (P3), before its fence P4 and so before that word, which comes before S3. So S4 finds the horizon there
//!     or still further on, which is more than a lap after p of l. (A horizon that is where it was when an earlier message was
//!     accepted, is not.)
//! B3. *A stamp of a later lap proves that the counter has gone beyond the cell in that lap, and a horizon that it has come
//!     within the margin.* P3 and P6 are Releases and come after P2, and so are the stores of repairers; S1 and S4 are Acquires.
//!     So what an overtaken subscriber loads from the counter is not old, and a damaged ring is told from a busy one.
//! B4. *A cell's stamp is at most two laps behind its subscriber.* A publisher may be stopped between P2 and P6, in lap
//!     l - 1, whose P1 found lap l - 2; the others go on as far as that cell's next lap, l, whose P1 fails. All that
//!     happens before the counter reaches p.
//!
//! A lossy subscriber may lose sight of a message that is as many cells behind the counter as the ring has without the margin.
//!
//! # The gate of a lossless ring
//!
//! The ring has as many cells as its capacity and its history together. A publisher keeps a *floor*, and claims p only
//! if p is less than a lap after it. When there is no room left, it *scans*: it loads the counter T, then the cursors of
//! the subscribers that count. The floor is the smallest of the cursors and T - history.
//!
//! B5. *No publisher claims the cell of a position that a subscriber who counts has not passed.* For one that was found by
//!     the scan: its cursor only rises. For one that joins later: its first cursor is not below the floor of any
//!     publisher, however old.
//!
//! ```text
//! publisher                                     newcomer
//! G1  T := counter                              J1  cursor := counter - history, preliminary
//! G2  fence     (SeqCst)                        J2  fence     (SeqCst)
//! G3  load the cursors                          J3  T' := counter
//! G4  floor := min(cursors, T - history)        J4  cursor := T' - what it wants of the history
//! ```
//!
//! If J2 comes before G2 in the order of the fences, G3 finds the newcomer with J1 or J4, and J1 is not above J4.
//! (J1 may be old, and more than a lap behind. Then the floor is, too, and nothing is claimed before J4.)
//! Otherwise J3 loads T or a later one, and J4 is at least T - history, which is at least the floor. Either way J4
//! is at most a lap behind every position claimed so far, so its history has not been overwritten.
//! B6. *An evicted subscriber accepts nothing that was overwritten.* The eviction is noted (Release) before the scan that
//!     does not count it (Acquire), which comes before the claim and P4. If S2 reads a word of P5, then S4 comes after
//!     S3, and finds the note.
//!
//! A subscriber that died does not count either. That it counts must be seen by whoever sees its cursor, so a line is
//! alive before J1.

use super::cells::{Cells, Position, Stamp, State};
use super::claims::{Claimant, Company, Counter, Framing, Life, Records, Repair, Role};
use super::end::{Begun, Evidence, Turn};
use super::lines;
use crate::atomics::{AtomicU64, fence};
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

mod batch;
mod guard;
pub(crate) mod lossless;
pub(crate) mod lossy;

pub(super) use guard::Gate;
use guard::{Guard, Horizon};

/// Rounds in which others were faster before a publisher lets its caller wait.
pub(super) const MAX_ROUNDS: usize = 64;

/// How many cells ahead a publisher asks for lines to store to. With 8, lossy ones gain a tenth, and lossless ones lose a quarter.
const AHEAD: u16 = 4;

/// The shared parts of a broadcast.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    cells: Cells,
    publishers: Role,
    /// What keeps subscribers from messages that are being overwritten.
    guard: Guard,
}

/// What a subscriber finds at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// A message, to be copied and then accepted.
    Message,
    /// Nothing yet.
    Nothing,
    /// So many messages, right before the next one, will never come. They are reported once.
    Missed(u64),
    /// A publisher has given up waiting for this subscriber.
    Evicted,
    /// The shared words are none that the algorithm can have left there.
    Broken(Evidence),
}

/// A lossless subscriber that keeps publishers waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slowest {
    pub(crate) line: usize,
    pub(crate) generation: u32,
    /// Cells that it has not passed: messages, if each takes one.
    pub(crate) unread: u64,
}

/// What a stamp says to someone who waits for a message of some lap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Message,
    /// No message: `is_lost` if there should have been one.
    Gap {
        is_lost: bool,
    },
    /// Not published yet.
    Coming,
    /// Claimed again for a later lap.
    Gone,
    Impossible,
}

impl Parts {
    /// A broadcast whose publishers never wait for subscribers. The cells are as many as the capacity, the history and the
    /// margin, which is at least one and at most a quarter of them, rounded up.
    ///
    /// # Safety
    ///
    /// `horizon` leads to an atomic word that stays mapped for as long as the value and its copies are used.
    pub(crate) unsafe fn lossy(cells: Cells, publishers: Role, horizon: NonNull<AtomicU64>, margin: u16) -> Self {
        debug_assert!((1..=cells.capacity().div_ceil(4)).contains(&u64::from(margin)));
        Parts { cells, publishers, guard: Guard::Lossy(Horizon { word: horizon, margin }) }
    }

    /// A broadcast whose publishers wait for the slowest of `subscribers`, and keep the last `history` messages for
    /// newcomers. The cells are as many as the capacity and the history together. Publishers and subscribers may have
    /// their records in one table, on different lines.
    pub(crate) fn lossless(cells: Cells, publishers: Role, subscribers: Records, history: u64) -> Self {
        debug_assert!(history < cells.capacity());
        let history = history.min(cells.capacity() - 1);
        Parts { cells, publishers, guard: Guard::Lossless(Gate::new(subscribers, history)) }
    }

    /// The publishers' counter.
    pub(crate) fn counter(&self) -> &Counter {
        &self.publishers.counter
    }

    /// Messages that were lost with publishers that died.
    pub(crate) fn losses(&self) -> u64 {
        self.publishers.records.losses()
    }

    /// Number of the message that is claimed next.
    pub(crate) fn number(&self) -> Result<u64, Evidence> {
        Ok(self.number_of(self.publishers.counter.load(&self.cells)?))
    }

    /// Closes the hole that the dead publisher on `line` may have left, so that subscribers jump over it and report it
    /// as lost. `life` tells of publishers only: a line of any other kind is [`Life::Absent`].
    pub(crate) fn repair(&self, line: usize, life: impl Fn(usize) -> Life) -> Repair {
        self.publishers.repair_producer(&self.cells, line, Framing::Together, life, is_done_before)
    }

    /// The subscriber that has passed the least, of those for which `counted` returns the generation of their line's owner.
    pub(crate) fn slowest(&self, counted: impl Fn(usize) -> Option<u32>) -> Option<Slowest> {
        self.gate()?.slowest(&self.cells, &self.publishers.counter, counted)
    }

    /// Notes that publishers no longer wait for the subscriber that owned `line` as the owner number `generation`. False
    /// if the line has another owner by now who was evicted as well.
    pub(crate) fn evict(&self, line: usize, generation: u32) -> bool {
        self.gate().is_some_and(|gate| gate.evict(line, generation))
    }

    #[inline(always)]
    fn gate(&self) -> Option<Gate> {
        match self.guard {
            Guard::Lossless(gate) => Some(gate),
            Guard::Lossy(_) => None,
        }
    }

    /// What a lossy ring says of its horizon.
    #[inline(always)]
    fn horizon_word(&self) -> Option<u64> {
        match &self.guard {
            Guard::Lossy(horizon) => Some(horizon.load()),
            Guard::Lossless(_) => None,
        }
    }

    fn number_of(&self, at: Position) -> u64 {
        cells_before(&self.cells, at)
    }

    fn before(&self, at: Position, cells: u64) -> Position {
        before(&self.cells, at, cells)
    }

    /// What the stamp at `at` says, and its word.
    #[inline(always)]
    fn see(&self, at: Position) -> (Seen, u64) {
        // Acquire (S1): the payload is there, or the counter is seen to be beyond (B3); pairs with the Release stores of
        // `Publisher`, and those of whoever repairs.
        let found = self.cells.stamp(at).load(Ordering::Acquire);
        let lap = self.cells.lap(at);
        if found == full(lap) { (Seen::Message, found) } else { (classify(found, lap), found) }
    }

    /// Whether there is a message at `at`.
    #[inline(always)]
    fn has_message(&self, at: Position) -> bool {
        // Acquire (S1): as in `see`.
        self.cells.stamp(at).load(Ordering::Acquire) == full(self.cells.lap(at))
    }

    /// What is wrong with the stamp at `at`.
    #[cold]
    fn evidence(&self, at: Position, found: u64) -> Evidence {
        Evidence { slot: self.cells.index(at) as usize, found, expected: full(self.cells.lap(at)) }
    }
}

/// Cells from the first position to `at`.
pub(super) fn cells_before(cells: &Cells, at: Position) -> u64 {
    (at.word() / cells.one_lap()).wrapping_mul(cells.capacity()).wrapping_add(cells.index(at))
}

/// The position `count` cells before `at`, at most a lap, or the first of all.
pub(super) fn before(cells: &Cells, at: Position, count: u64) -> Position {
    let count = count.min(cells.capacity()).min(cells_before(cells, at));
    let gap = if cells.index(at) >= count { 0 } else { cells.one_lap() - cells.capacity() };
    // A position has 62 bits.
    let word = at.word().wrapping_sub(count + gap) << 2 >> 2;
    cells.position(word).unwrap_or(at)
}

/// The stamp of a message.
#[inline(always)]
fn full(lap: u64) -> u64 {
    Stamp::new(State::Full, lap, 1).word()
}

/// Whether the cell is done with for the lap before `lap`, and has not been touched since.
#[inline(always)]
fn is_done_before(stamp: Stamp, lap: u64) -> bool {
    match stamp.state {
        State::Full | State::Skip => stamp.is_of_lap_before(lap),
        State::Free => stamp.lap == 0 && lap == 0,
        _ => false,
    }
}

fn classify(found: u64, lap: u64) -> Seen {
    let stamp = Stamp::from_word(found);
    let is_free = found == 0;
    if !is_free && !matches!(stamp.state, State::Full | State::Skip | State::Lost) {
        return Seen::Impossible;
    }
    // A lap has 33 bits in a stamp.
    let laps_ahead = (stamp.lap.wrapping_sub(lap) << 31) as i64 >> 31;
    match (laps_ahead, stamp.state) {
        // B4.
        (-2..=-1, _) | (0, State::Free | State::Lost) => Seen::Coming,
        (0, State::Skip) => Seen::Gap { is_lost: stamp.units != 0 },
        (1.., _) if !is_free => Seen::Gone,
        _ => Seen::Impossible,
    }
}

/// An end that publishes.
pub(crate) struct Publisher {
    parts: Parts,
    claimant: Claimant,
    /// The position that was claimed last.
    at: Option<Position>,
    /// Cells after it that were claimed with it.
    rest: u16,
    /// Positions less than a lap after it may be claimed; of a lossless ring.
    floor: Option<Position>,
    /// Cells of positions before it may be stored to; of a lossy ring.
    horizon: Option<Position>,
    /// Cells of positions before it may be taken by [`begin`](Self::begin), by a publisher that is alone.
    plain_until: Position,
    /// Whether the lines of cells further on are asked for.
    asks_ahead: bool,
}

impl Publisher {
    /// Joins on `line`, with the conditions of [`Claimant::attach`].
    pub(crate) fn attach(parts: Parts, line: usize, company: Company) -> Self {
        let claimant = Claimant::attach(parts.publishers, &parts.cells, line, company);
        let asks_ahead = lines::are_asked_for_ahead(parts.cells.words(), parts.cells.stride_words());
        let plain_until = Position::default();
        Publisher { parts, claimant, at: None, rest: 0, floor: None, horizon: None, plain_until, asks_ahead }
    }

    /// Claims the next cell, which is this publisher's own until [`pass`](Self::pass) or [`abandon`](Self::abandon).
    ///
    /// [`Turn::Theirs`] if a lossless ring is full, or if a publisher is still at work in the cell one lap behind. It
    /// may be dead, and then needs [repair](Parts::repair). `counted` returns the generation of the owner of a line
    /// that is alive, and a subscriber; it is not called in a lossy ring.
    #[inline(always)]
    pub(crate) fn claim(&mut self, counted: impl Fn(usize) -> Option<u32>) -> Turn {
        if self.at.is_some() {
            // There are more if a batch was forgotten.
            self.shrink(1);
            return Turn::Ours;
        }
        let turn = self.reserve(counted, |_, _| 1);
        match turn {
            Turn::Ours => self.open(0),
            _ => self.claimant.give_up(),
        }
        turn
    }

    /// Where [`begin`](Self::begin) would take a cell, if this publisher is alone.
    #[inline(always)]
    pub(crate) fn next_alone(&self) -> Option<Position> {
        self.claimant.next_alone().filter(|at| self.at.is_none() && at.ahead(self.plain_until) > 0)
    }

    /// Claims the next cell, if this publisher is alone and knows that it can be had. The message is to be stored at once, and
    /// then [published](Self::complete). `None` says nothing.
    #[inline(always)]
    pub(crate) fn begin(&mut self) -> Option<Begun> {
        let at = self.next_alone()?;
        let is_done = matches!(self.parts.guard, Guard::Lossy(_)) || self.is_done(at);
        let cells = self.parts.cells;
        let next = if is_done { self.claimant.claim_plainly(&cells, at)? } else { return None };
        self.ask_ahead(at);
        // Release (P4): as in `open`.
        fence(Ordering::Release);
        Some(Begun { payload: cells.payload(at), at, next })
    }

    /// Publishes the message that was stored after [`begin`](Self::begin).
    #[inline(always)]
    pub(crate) fn complete(&mut self, begun: Begun) {
        let cells = self.parts.cells;
        self.claimant.step_alone(begun.next);
        // Release (P6): as in `finish`.
        cells.stamp(begun.at).store(full(cells.lap(begun.at)), Ordering::Release);
    }

    /// Gives up the cell that was claimed by [`begin`](Self::begin).
    pub(crate) fn relinquish(&mut self, begun: Begun) {
        self.claimant.step_alone(begun.next);
        self.at = Some(begun.at);
        self.abandon();
    }

    /// The payload of the claimed cell.
    #[inline(always)]
    pub(crate) fn payload(&self) -> Option<NonNull<AtomicU64>> {
        self.at.map(|at| self.parts.cells.payload(at))
    }

    /// Publishes the message in the claimed cell.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.finish(State::Full, 1);
    }

    /// Gives the claimed cells up. Their numbers have no message.
    pub(crate) fn abandon(&mut self) {
        self.shrink(1);
        self.finish(State::Skip, 0);
    }

    /// Leaves. What is claimed is given up.
    pub(crate) fn detach(&mut self) {
        self.abandon();
        self.claimant.detach();
    }

    /// Lets a publisher that has joined others claim, when the one that was alone has died; see [`Claimant::settle`].
    pub(crate) fn settle(&mut self, life: impl Fn(usize) -> Life) -> bool {
        self.claimant.settle(life)
    }

    /// See [`Claimant::may_claim`].
    pub(crate) fn may_claim(&self) -> bool {
        self.claimant.may_claim()
    }

    /// P1 and P2. `reach` says how many cells to claim from a position on that may be claimed.
    #[inline(always)]
    fn reserve(
        &mut self,
        counted: impl Fn(usize) -> Option<u32>,
        mut reach: impl FnMut(&mut Self, Position) -> u16,
    ) -> Turn {
        if !self.claimant.is_settled() {
            return Turn::Theirs;
        }
        let cells = self.parts.cells;
        for _ in 0..MAX_ROUNDS {
            let at = match self.claimant.position(&cells) {
                Ok(at) => at,
                Err(evidence) => return Turn::Broken(evidence),
            };
            let is_free = match self.parts.guard {
                Guard::Lossless(gate) => (self.has_room(at) || self.scan(&gate, at, &counted)) && self.is_done(at),
                Guard::Lossy(_) => self.claimant.has_come_round(&cells, at) || self.is_done(at),
            };
            if !is_free {
                match self.obstacle(at) {
                    Some(turn) => return turn,
                    None => continue,
                }
            }
            let units = reach(self, at);
            if self.claimant.claim(at, cells.after(at, units), units) {
                self.at = Some(at);
                self.plain_until = at;
                return Turn::Ours;
            }
        }
        Turn::Theirs
    }

    /// P1: whether the cell is done with for the lap before.
    #[inline(always)]
    fn is_done(&self, at: Position) -> bool {
        let cells = &self.parts.cells;
        // Acquire: the publisher of the lap before has stored its last; pairs with the Release in `finish`.
        let found = cells.stamp(at).load(Ordering::Acquire);
        is_done_before(Stamp::from_word(found), cells.lap(at))
    }

    /// Why `at` cannot be claimed. `None` if somebody else has claimed it.
    #[cold]
    fn obstacle(&mut self, at: Position) -> Option<Turn> {
        // The stamp first: if the counter is at `at` afterwards, nobody had claimed the cell when the stamp was seen, which
        // then is of a lap before. The other way round, somebody may claim and publish between the two looks.
        let (seen, found) = self.parts.see(at);
        if self.claimant.has_moved(at) {
            return None;
        }
        let is_coming = seen == Seen::Coming;
        Some(if is_coming { Turn::Theirs } else { Turn::Broken(self.parts.evidence(at, found)) })
    }

    /// Asks for the lines of a cell further on than `at`: see [`lines`].
    #[inline(always)]
    fn ask_ahead(&self, at: Position) {
        if self.asks_ahead {
            self.parts.cells.prefetch_to_write(at, AHEAD);
        }
    }

    /// P3 and P4, for the cell that is claimed and `rest` more.
    #[inline(always)]
    fn open(&mut self, rest: u16) {
        let Some(at) = self.at else { return };
        self.ask_ahead(at);
        if let Guard::Lossy(horizon) = self.parts.guard {
            let last = self.parts.cells.after(at, rest);
            if self.horizon.is_none_or(|known| last.ahead(known) <= 0) {
                self.horizon = Some(horizon.raise(&self.parts.cells, at, last));
            }
        }
        // Release (P4): whoever reads a payload word that is stored from here on sees the horizon (B2) and the notes of
        // the evicted (B6); pairs with the fences of the two `accept`s.
        fence(Ordering::Release);
    }

    /// P6.
    #[inline(always)]
    fn finish(&mut self, state: State, units: u16) {
        debug_assert!(self.rest == 0);
        let Some(at) = self.at.take() else { return };
        let stamp = Stamp::new(state, self.parts.cells.lap(at), units).word();
        // Release (P6): publishes the payload; pairs with the Acquire in `Parts::see` and in `reserve`.
        self.parts.cells.stamp(at).store(stamp, Ordering::Release);
        self.plain_until = self.plain_until(at);
    }

    /// How far [`begin`](Self::begin) may go after `at`: as far as is known of the gate or of the horizon, and in a lossy ring
    /// only once this publisher has been alone for a lap (B1).
    fn plain_until(&self, at: Position) -> Position {
        let cells = &self.parts.cells;
        let until = match self.parts.guard {
            Guard::Lossless(_) => self.floor.map(|floor| cells.forward(floor, cells.capacity())),
            Guard::Lossy(_) => self.horizon.filter(|_| self.claimant.has_come_round(cells, at)),
        };
        until.unwrap_or(at)
    }

    /// Whether `at` may be claimed, as far as is known.
    #[inline(always)]
    fn has_room(&self, at: Position) -> bool {
        self.floor.is_some_and(|floor| floor.ahead(at) < self.parts.cells.one_lap() as i64)
    }

    /// Looks how far the subscribers are, and whether there is room now.
    #[cold]
    fn scan(&mut self, gate: &Gate, at: Position, counted: impl Fn(usize) -> Option<u32>) -> bool {
        self.floor = gate.floor(&self.parts.cells, &self.parts.publishers.counter, counted).ok();
        self.has_room(at)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
