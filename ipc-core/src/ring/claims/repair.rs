//! Finding out what the dead had claimed, and closing the holes that dead producers left.
//!
//! Repair is for whoever meets a dead participant, under no lock. It stores to stamps and losses only, by
//! compare-and-swap from the exact word observed, and never to a record, so repairers may die between any two steps and
//! several may be at work at once.
//!
//! # Who owns position p
//!
//! Let the counter be beyond p (seen with Acquire), and p not dealt with. By C2 the record of the one who claimed it
//! names p. Others may name it too: those who lost the swap, or have yet to lose it, until they try elsewhere or give
//! up. So, with the records looked at *after* the counter,
//!
//! - a live one that says WON is the owner: the dead are not, and nothing is to be done;
//! - a live one that says TRYING or SOLO may be the owner, and is never robbed: to be tried again later. (If a dead one says
//!   WON, that one has moved the counter, and the others, who may be stopped for long, are about to find that they have not.)
//! - otherwise the owner is dead, or has dealt with p between the looks, in which case the swap of the stamp fails,
//!   since the stamp was stored before the record (C2).
//!
//! Here p is the position where a claim begins; the cells after it are those of whoever owns p.
//!
//! Of a message that was returned and taken again by its stamp ([`Claimant::attempt`]), that is all there is to ask, and
//! `holder` asks no more. Which of several dead ones has it does not matter, as it is one message, whose stamp tells its
//! cells. One that died with it earlier says WON still.
//!
//! If p was claimed by the counter, `owner` also tells how many cells go with it. A dead one that says WON is the owner. If
//! all say TRYING, which of them won cannot be told, and matters only if they wanted different numbers of cells. Then the
//! owner's number is *the smallest k among theirs for which the counter has been at the position after k cells from p*:
//!
//! - It has been there for the owner's k. For a smaller one that position is inside the owner's claim, which the counter
//!   has jumped over. So the smallest is the owner's.
//! - That the counter has been at q is seen from: it is there now; a record names q (C3); q has been dealt with in its
//!   lap. Once it has been there, one of the three holds for ever, and in this order: whoever claimed q named q from
//!   before the counter left it, until q was dealt with (C2). So looking in this order misses nothing. Inside a claim
//!   whose owner has not said WON no cell has been dealt with: the owner does so after that, and repairers after they have
//!   changed the first stamp, from when on the swap of whoever looks here fails.
//!
//! p can be undealt with only while the counter is at most one lap beyond it, since its cell is claimed again only
//! afterwards. The window keeps a record of long ago from being compared with a stamp whose lap has come round. Of a batch
//! it is that of the last cell: when that has been claimed again, so have the others, which come before it.
//!
//! # What is left of a batch
//!
//! Only who said WON can have dealt with a part of its claim ([`Framing::PerCell`]). What is left is in one piece, which
//! ends where the claim does or before a cell that has been dealt with. So whoever repairs looks for the first such cell in all
//! of the claim, and then for the end. The cells of a gap keep the stamps that they had when they were free, and are
//! stepped over by the units of its first one.
//!
//! All of a piece hangs on its first stamp. Nobody comes past it: not the counter of the other side, which stops there, nor
//! another repairer, whose swap of it fails. So the length that was found is that of the piece if the swap succeeds.
//!
//! # Counting a loss exactly once
//!
//! The hole is closed in three steps: its stamp becomes LOST, naming a dead claimant's line; the loss is counted on
//! that line, marked with its owner's generation; the stamp becomes SKIP. If each cell of the hole is a message of its own,
//! all of them are counted in the one step. (Of a batch that is there as a whole or not at all, [`Framing::Together`], the
//! stamps of the others become SKIP before that of the first.)
//!
//! - The first step is one swap, so one line is named, once a hole.
//! - A dead owner of a line has one claim, and that one hole at most, so it is named at most once. Whoever counts looks
//!   first whether the mark is of this generation or a later one already, and swaps the number and the mark together.
//! - The line is not taken over before the stamp has left LOST, so its record is still there for whoever goes on. Who
//!   takes it over is found alive before it repairs the line. If the repairer that named it had found it dead, then it had
//!   done so before, and had seen the counter beyond p still earlier. So the line's own repair sees it there too, and ends
//!   only when the hole is closed, or a live owner is known, in which case there is no such repairer.
//! - So no later generation's mark comes before this one is counted, and a repairer that comes late finds the mark of
//!   this generation or a later one.

use super::super::cells::{Cells, Position, Stamp, State};
use super::*;

/// Rounds in which the words changed under a repairer before it leaves them to the others.
const MAX_ROUNDS: usize = 8;

/// A dead participant's claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ring) struct Corpse {
    pub(in crate::ring) line: usize,
    pub(in crate::ring) generation: u32,
    pub(in crate::ring) kind: Kind,
    /// The position, as the record has it.
    pub(in crate::ring) at: u64,
    pub(in crate::ring) units: u16,
}

impl Corpse {
    /// How many cells from its position on are to be looked at for what it has left.
    pub(in crate::ring) fn reach(&self, cells: &Cells, first: Position, framing: Framing) -> u16 {
        let is_batch = self.kind == Kind::Won && framing == Framing::PerCell;
        // Less room than units, which are 16 bits.
        if is_batch { u64::from(self.units).clamp(1, cells.room(first)) as u16 } else { 1 }
    }

    /// Whether it claims the cell at `at`, or tries to.
    fn names(&self, at: Position) -> bool {
        let units = if self.kind == Kind::Won { self.units.max(1) } else { 1 };
        at.word().wrapping_sub(self.at) < u64::from(units)
    }
}

/// Whose a position is, of which it is known that somebody has claimed it and not dealt with it.
pub(in crate::ring) enum Owner {
    /// A live participant's, and no dead one's.
    Living,
    /// Perhaps that of a live participant.
    Unclear,
    /// A dead one's. If it cannot be told which dead one's, this is one of them; as `Records::owner` has it, one with the
    /// right number of cells.
    Dead(Corpse),
    /// None of those who are dead and claim it can be the owner.
    Nobody,
}

/// Who claims a position, or tries to.
struct Claimants {
    /// What a live one says of it; WON, if one does.
    living: Option<Kind>,
    /// A dead one; one that says WON, if one does.
    dead: Option<Corpse>,
    /// If none of the dead says WON, whether their units differ.
    differ: bool,
}

/// What a line says, and who says so.
pub(in crate::ring) enum Line {
    Absent,
    Live(Option<(u64, Kind)>),
    /// Dead, and it had claimed nothing.
    Clear,
    Dead(Corpse),
}

impl Records {
    /// Looks at a line's claim, and whether its owner lives.
    pub(in crate::ring) fn examine(&self, line: usize, life: &impl Fn(usize) -> Life) -> Line {
        let before = life(line);
        let Life::Dead { generation } = before else {
            return if before == Life::Live { Line::Live(self.load_claim(line)) } else { Line::Absent };
        };
        let claim = self.load_claim(line);
        // Relaxed: its owner is dead, and everything it did happened before that was found out.
        let units = self.units(line).load(Ordering::Relaxed) as u16;
        if life(line) != before {
            // Taken over meanwhile, and what was read is perhaps the successor's.
            return Line::Live(claim);
        }
        claim.map_or(Line::Clear, |(at, kind)| Line::Dead(Corpse { line, generation, kind, at, units }))
    }

    /// Whose `at` is, where a message was returned and taken again. If it is a dead one's, it may be any of the dead who claim
    /// it.
    pub(in crate::ring) fn holder(&self, at: Position, life: &impl Fn(usize) -> Life) -> Owner {
        let claimants = self.claimants(at, life);
        match (claimants.living, claimants.dead) {
            (Some(Kind::Won), _) => Owner::Living,
            (Some(_), _) => Owner::Unclear,
            (None, Some(corpse)) => Owner::Dead(corpse),
            (None, None) => Owner::Nobody,
        }
    }

    /// Whose `at` is, which was claimed by the counter. The caller has seen that beyond it.
    fn owner(
        &self,
        counter: &Counter,
        cells: &Cells,
        at: Position,
        life: &impl Fn(usize) -> Life,
        is_dealt_with: IsDealtWith,
    ) -> Owner {
        let claimants = self.claimants(at, life);
        match (claimants.dead, claimants.living) {
            // Nobody else has moved the counter from there, whatever they are about to find out.
            (Some(corpse), _) if corpse.kind == Kind::Won => Owner::Dead(corpse),
            (_, Some(Kind::Won)) => Owner::Living,
            (_, Some(_)) => Owner::Unclear,
            (Some(_), None) if claimants.differ => {
                let has_been_at = |at| self.has_been_at(counter, cells, at, is_dealt_with);
                self.smallest(cells, at, life, has_been_at)
            }
            (Some(corpse), None) => Owner::Dead(corpse),
            (None, None) => Owner::Nobody,
        }
    }

    /// Who claims `at`, or tries to.
    fn claimants(&self, at: Position, life: &impl Fn(usize) -> Life) -> Claimants {
        let mut found = Claimants { living: None, dead: None, differ: false };
        for line in 0..self.lines {
            // Most records name something else, and asking for a life may cost a system call.
            if self.load_claim(line).is_none_or(|(claimed, _)| claimed != at.word()) {
                continue;
            }
            match self.examine(line, life) {
                Line::Live(Some((claimed, kind))) if claimed == at.word() && found.living != Some(Kind::Won) => {
                    found.living = Some(kind);
                }
                Line::Dead(corpse) if corpse.at == at.word() => match found.dead {
                    // An owner that is known as such beats the candidates.
                    Some(known) if known.kind == Kind::Won => {}
                    Some(other) if corpse.kind != Kind::Won => found.differ |= other.units != corpse.units,
                    _ => found.dead = Some(corpse),
                },
                _ => {}
            }
        }
        found
    }

    /// Of the dead who claim `at`, one with the smallest number of units that can be the owner's.
    fn smallest(
        &self,
        cells: &Cells,
        at: Position,
        life: &impl Fn(usize) -> Life,
        has_been_at: impl Fn(Position) -> bool,
    ) -> Owner {
        let mut smallest: Option<Corpse> = None;
        for line in 0..self.lines {
            if self.load_claim(line).is_none_or(|(claimed, _)| claimed != at.word()) {
                continue;
            }
            match self.examine(line, life) {
                Line::Dead(corpse) if corpse.at == at.word() => {
                    let is_smaller = smallest.is_none_or(|known| corpse.units < known.units);
                    let fits = (1..=cells.room(at)).contains(&u64::from(corpse.units));
                    if is_smaller && fits && has_been_at(cells.after(at, corpse.units)) {
                        smallest = Some(corpse);
                    }
                }
                // Somebody who has yet to lose. The next look is clearer.
                Line::Live(Some((claimed, _))) if claimed == at.word() => return Owner::Unclear,
                _ => {}
            }
        }
        smallest.map_or(Owner::Nobody, Owner::Dead)
    }

    /// Whether the counter has been at `at`, which lies less than a lap beyond a claim that has not been dealt with.
    fn has_been_at(&self, counter: &Counter, cells: &Cells, at: Position, is_dealt_with: IsDealtWith) -> bool {
        // Acquire: as in `Counter::load`.
        if counter.position().load(Ordering::Acquire) == at.word() {
            return true;
        }
        let is_named = |line| self.load_claim(line).is_some_and(|(claimed, _)| claimed == at.word());
        if (0..self.lines).any(is_named) {
            return true;
        }
        // Acquire: pairs with the Release of whoever dealt with it; who may only read a broadcast relies on finding LOST after it.
        let stamp = Stamp::from_word(cells.stamp(at).load(Ordering::Acquire));
        stamp.lap == cells.lap(at) && is_dealt_with(stamp.state) || stamp.lap == cells.next_lap(at)
    }

    /// Goes on with a loss that has been named and not finished, which `finish` does for the generation that it is told.
    pub(in crate::ring) fn with_named(
        &self,
        named: Stamp,
        at: Position,
        life: &impl Fn(usize) -> Life,
        finish: impl FnOnce(u32),
    ) -> Repair {
        let line = usize::from(named.owner);
        if line >= self.lines {
            let expected = Stamp { owner: 0, ..named }.word();
            return Repair::Broken(Evidence { slot: 0, found: named.word(), expected });
        }
        match self.examine(line, life) {
            Line::Dead(corpse) if corpse.names(at) => finish(corpse.generation),
            // Somebody is about to take the line over, and finishes it first.
            Line::Live(_) => return Repair::Pending,
            _ => {}
        }
        Repair::Resolved
    }

    /// Counts so many messages as lost by the owner of `line` that had this generation, unless they have been counted.
    pub(in crate::ring) fn count_losses(&self, line: usize, generation: u32, messages: u32) {
        for _ in 0..MAX_ROUNDS {
            // Acquire: as for the swap's Release.
            let lost = self.lost(line).load(Ordering::Acquire);
            if (lost as u32).wrapping_sub(generation) as i32 >= 0 {
                return;
            }
            let counted = ((lost >> 32).wrapping_add(u64::from(messages)) << 32) | u64::from(generation);
            // AcqRel: the mark and the number change together, and what they depend on is in this word alone; the
            // ordering keeps the count ahead of the stamp that the counter stores next, for those who see that stamp.
            let swap = self.lost(line).compare_exchange(lost, counted, Ordering::AcqRel, Ordering::Relaxed);
            if swap.is_ok() {
                return;
            }
        }
    }
}

/// Whether a stamp's state, in the lap that a counter is in, says that whoever claimed the cell has dealt with it.
pub(in crate::ring) type IsDealtWith = fn(State) -> bool;

impl Framing {
    /// How many messages so many cells hold.
    pub(in crate::ring) fn messages_in(self, units: u16) -> u32 {
        if self == Framing::Whole { 1 } else { units.into() }
    }
}

impl Role {
    /// Whose `at` is, of those who have claimed it by the counter, which the caller has seen beyond it.
    pub(in crate::ring) fn owner(
        &self,
        cells: &Cells,
        at: Position,
        life: &impl Fn(usize) -> Life,
        is_dealt_with: IsDealtWith,
    ) -> Owner {
        self.records.owner(&self.counter, cells, at, life, is_dealt_with)
    }

    /// Whether `at` lies before the counter, and so little that its cell has not been claimed again.
    pub(in crate::ring) fn is_claimed(&self, cells: &Cells, at: Position) -> Result<bool, Evidence> {
        let beyond = at.ahead(self.counter.load(cells)?);
        Ok(0 < beyond && beyond <= cells.one_lap() as i64)
    }

    /// How many cells a dead one has claimed from `at` on, which the caller has seen the counter beyond. `None` if it is not a
    /// dead one's. It means nothing if the position turns out to have been dealt with.
    pub(in crate::ring) fn left_by_dead(
        &self,
        cells: &Cells,
        at: Position,
        life: impl Fn(usize) -> Life,
    ) -> Option<u16> {
        match self.owner(cells, at, &life, is_filled) {
            Owner::Dead(corpse) => Some(corpse.units).filter(|&units| (1..=cells.room(at)).contains(&u64::from(units))),
            _ => None,
        }
    }

    /// Closes the hole that the dead producer on `line` may have left, and counts what would have been in it as lost.
    ///
    /// `is_open` says of the stamp of a cell, and a lap, whether the cell has not been dealt with in that lap. A live
    /// producer's claim is left alone.
    pub(in crate::ring) fn repair_producer(
        &self,
        cells: &Cells,
        line: usize,
        framing: Framing,
        life: impl Fn(usize) -> Life,
        is_open: impl Fn(Stamp, u64) -> bool,
    ) -> Repair {
        let close = |at, lost: Stamp, generation| {
            // A wild stamp does not lead out of the ring.
            let units = u64::from(lost.units).min(cells.room(at)) as u16;
            if framing == Framing::Together {
                (1..units).for_each(|ahead| withdraw(cells, cells.after(at, ahead), &is_open));
            }
            self.close(cells, at, lost, generation, framing.messages_in(units));
        };
        let corpse = match self.records.examine(line, &life) {
            Line::Absent | Line::Clear => return Repair::Resolved,
            Line::Live(_) => return Repair::Pending,
            Line::Dead(corpse) => corpse,
        };
        let Some(first) = cells.position(corpse.at) else { return Repair::Resolved };
        let reach = corpse.reach(cells, first, framing);
        for _ in 0..MAX_ROUNDS {
            // Once the last cell has been claimed again, all have.
            match self.is_claimed(cells, cells.after(first, reach - 1)) {
                Ok(true) => {}
                // It did not win, or it did so long ago.
                Ok(false) => return Repair::Resolved,
                Err(evidence) => return Repair::Broken(evidence),
            }
            let Some((at, found)) = first_hole(cells, first, reach, &is_open) else { return Repair::Resolved };
            let stamp = Stamp::from_word(found);
            if stamp.lap == cells.lap(at) && stamp.state == State::Lost {
                return self.records.with_named(stamp, at, &life, |generation| close(at, stamp, generation));
            }
            let owner = match self.owner(cells, first, &life, is_filled) {
                Owner::Living => return Repair::Resolved,
                Owner::Unclear => return Repair::Pending,
                Owner::Dead(owner) if (1..=cells.room(first)).contains(&u64::from(owner.units)) => owner,
                Owner::Dead(_) | Owner::Nobody => {
                    // Acquire: as above. Either its owner has just dealt with it, or the words are wild.
                    if cells.stamp(at).load(Ordering::Acquire) != found {
                        continue;
                    }
                    let expected = Stamp::new(State::Full, cells.lap(at), 1).word();
                    return Repair::Broken(Evidence { slot: cells.index(at) as usize, found, expected });
                }
            };
            let units = match framing {
                Framing::Whole | Framing::Together => owner.units,
                Framing::PerCell => {
                    let rest = owner.units.saturating_sub((at.word() - first.word()) as u16).max(1);
                    (1..rest)
                        .find(|&unit| !is_open(stamp_at(cells, cells.after(at, unit)), cells.lap(at)))
                        .unwrap_or(rest)
                }
            };
            let lost = Stamp { owner: owner.line as u16, ..Stamp::new(State::Lost, cells.lap(at), units) };
            // AcqRel: Release for whoever goes on from here, Acquire as for the load. It names one line, for good.
            let swap = cells.stamp(at).compare_exchange(found, lost.word(), Ordering::AcqRel, Ordering::Relaxed);
            if swap.is_ok() {
                close(at, lost, owner.generation);
                return Repair::Resolved;
            }
        }
        Repair::Pending
    }

    /// Counts the loss that `lost` names, and lets the consumers jump over it.
    fn close(&self, cells: &Cells, at: Position, lost: Stamp, generation: u32, messages: u32) {
        self.records.count_losses(usize::from(lost.owner), generation, messages);
        let skip = Stamp::new(State::Skip, lost.lap, lost.units);
        // Release: publishes the count, and what was withdrawn. If it fails, another repairer has done it.
        let _ = cells.stamp(at).compare_exchange(lost.word(), skip.word(), Ordering::Release, Ordering::Relaxed);
    }
}

/// Sees to it that the cell at `at` counts as lost in its lap, whatever the dead owner of the claim around it has stored there.
/// The claim's first stamp has been found LOST, and nobody but repairers stores to this one before that has changed.
fn withdraw(cells: &Cells, at: Position, is_open: impl Fn(Stamp, u64) -> bool) {
    let lap = cells.lap(at);
    // Acquire: pairs with the Release of the dead, so that its message is there for whoever has found it already.
    let found = cells.stamp(at).load(Ordering::Acquire);
    let stamp = Stamp::from_word(found);
    let is_done = stamp.lap == lap && matches!(stamp.state, State::Full | State::Skip);
    if is_done || is_open(stamp, lap) {
        let skip = Stamp::new(State::Skip, lap, 1);
        // Release: as for the stamp of the first. If it fails, another repairer has done it.
        let _ = cells.stamp(at).compare_exchange(found, skip.word(), Ordering::Release, Ordering::Relaxed);
    }
}

/// Whether a producer has dealt with the cell.
fn is_filled(state: State) -> bool {
    state != State::Free
}

/// The stamp of a cell.
fn stamp_at(cells: &Cells, at: Position) -> Stamp {
    // Acquire: pairs with the Release of whoever dealt with it, and of another repairer's swap.
    Stamp::from_word(cells.stamp(at).load(Ordering::Acquire))
}

/// The first of `reach` cells from `first` on that has not been filled or whose loss is being counted, and its stamp.
fn first_hole(
    cells: &Cells,
    first: Position,
    reach: u16,
    is_open: &impl Fn(Stamp, u64) -> bool,
) -> Option<(Position, u64)> {
    let mut unit = 0;
    while unit < reach {
        let at = cells.after(first, unit);
        let (stamp, lap) = (stamp_at(cells, at), cells.lap(at));
        let is_of_lap = stamp.lap == lap;
        if is_of_lap && stamp.state == State::Lost || is_open(stamp, lap) {
            return Some((at, stamp.word()));
        }
        // The cells of a gap keep the stamps that they had when they were free.
        unit = unit.saturating_add(if is_of_lap && stamp.state == State::Skip { stamp.units.max(1) } else { 1 });
    }
    None
}
