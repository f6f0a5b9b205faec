//! Who takes part in a channel, who has left, and who has died.
//!
//! A participant is a line of the segment's table plus the write lock on *its* byte of the segment file, held through
//! an open file description. The kernel gives the lock back when the process dies, however it dies, and a process that
//! is merely stopped keeps it. The lock is the truth about life; the line says what the lock cannot:
//!
//! ```text
//! state = generation << 32 | EVICTED << 31 | BY_VALUE << 30 | crashes << 2 | phase
//!
//!             join                       leave
//!   VACANT ---------> LIVE (g+1, c) -------------> CLOSED (g, c) ---.
//!                      ^   |                                        | join: LIVE (g+1, c)
//!                      |   | found dead (by anyone)                 |
//!                      |   '-----------> CRASHED (g, c+1) ----------|
//!                      '--------------------------------------------'
//!   LIVE --- join by a successor who took the dead one's lock ---> LIVE (g+1, c+1)
//! ```
//!
//! # Invariants
//!
//! P1. Only the holder of the lock stores to the line, except that anyone may move LIVE (g, c) to CRASHED (g, c+1), by a
//!     compare-and-swap of the exact word and after having found the lock free. Or, under the lifecycle lock, set EVICTED, and
//!     perhaps move it to CRASHED at the same time: `liveness/eviction.rs` has who may be sent away, and how far.
//! P2. Every death of a participant that had not closed raises `crashes` by exactly one. The word changes in one step,
//!     so whoever dies on the way has changed nothing; of two finders, or a finder and a successor, one swap wins; and
//!     the generation, which every join raises, keeps a late finder from striking down the successor.
//! P3. CLOSED is stored after the last message was published, and seen before the ring is looked at for the last time:
//!     whoever sees CLOSED sees every message. The same holds for a death, since the kernel gives the lock back after
//!     the last instruction of the dead.
//! P4. Time is never evidence: who holds the lock is alive, however long it has been silent. Nor is what a line says of its
//!     process: those who watch many lines look at the lock of one line of a process and guess from it whose locks to look at
//!     next, never who has died.

use crate::crash;
use crate::error::{OpenError, Peer};
use crate::layout::{PROGRAM_BYTES, ParticipantSlot, padded, unpadded};
use crate::os;
use crate::ring::Life;
use crate::segment::{self, Lifecycle, Lifetime, Segment};
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use core::time::Duration;
use std::sync::Arc;

mod eviction;
mod roster;
mod watch;

pub use eviction::Eviction;
pub(crate) use eviction::evict;
pub(crate) use roster::{Living, Probed, Process, Roster};
pub(crate) use watch::{Sight, Watch};

/// How often a silent peer's lock is looked at. With sleeps of the same length, a death is noticed within twice this.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_millis(45);

/// How far a participant has come, from the low bits of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Vacant = 0,
    Live = 1,
    Closed = 2,
    Crashed = 3,
}

/// The state word of a participant's line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// How many have joined on this line. It may wrap.
    generation: u32,
    /// Whether it was sent away.
    is_evicted: bool,
    /// Whether it neither refers to places in the segment nor relies on others not to.
    is_by_value: bool,
    /// How many of them died without closing, modulo 2^28.
    crashes: u32,
    phase: Phase,
}

const CRASHES_MASK: u32 = (1 << 28) - 1;
const EVICTED: u64 = 1 << 31;
const BY_VALUE: u64 = 1 << 30;

impl State {
    fn from_word(word: u64) -> Self {
        let phase = match word & 3 {
            0 => Phase::Vacant,
            1 => Phase::Live,
            2 => Phase::Closed,
            _ => Phase::Crashed,
        };
        State {
            generation: (word >> 32) as u32,
            is_evicted: word & EVICTED != 0,
            is_by_value: word & BY_VALUE != 0,
            crashes: (word as u32) >> 2 & CRASHES_MASK,
            phase,
        }
    }

    fn word(self) -> u64 {
        let marks = if self.is_evicted { EVICTED } else { 0 } | if self.is_by_value { BY_VALUE } else { 0 };
        u64::from(self.generation) << 32 | marks | u64::from(self.crashes & CRASHES_MASK) << 2 | self.phase as u64
    }

    fn load(slot: &ParticipantSlot) -> Self {
        // Acquire: pairs with the Release stores of `join` and `close`, so that whoever sees LIVE can read who it is,
        // and whoever sees CLOSED sees every message that was published before (P3).
        State::from_word(slot.state.load(Ordering::Acquire))
    }

    /// What the state becomes when its live owner is found dead. That it was sent away is over with its life.
    fn crashed(self) -> Self {
        let crashes = self.crashes.wrapping_add(1) & CRASHES_MASK;
        State { crashes, phase: Phase::Crashed, is_evicted: false, ..self }
    }
}

/// This process's place in a segment's participant table.
///
/// A process that has the segment mapped read-only writes its line through the segment's file, in an order in which
/// nobody who looks at the line half-way is misled (see [`occupy_by_file`]). One that cannot write to the file either
/// looks on: it has no place, and nobody knows of it.
pub(crate) struct Participant {
    segment: Arc<Segment>,
    /// The state of its line, in the mapping that `segment` keeps.
    state: NonNull<AtomicU64>,
    /// What the upper bits of that are if this participant was sent away. Nothing that they can be, without a place.
    evicted: u64,
    /// Without a place, a line of the side that it is on all the same.
    index: u32,
    has_place: bool,
}

/// What came of asking for a place.
pub(crate) enum Claim {
    /// The place, and who died on it since the last clean leave.
    Joined(Participant, Option<Peer>),
    /// Everyone in the range lives; the first of them.
    Occupied(Peer),
    /// Somebody in the range has closed and is about to give the place back.
    Leaving(Peer),
}

// SAFETY: the word is an atomic in a mapping that `segment` keeps alive and that any thread may use; everything else in here is
// `Send` by itself.
unsafe impl Send for Participant {}
// SAFETY: as for `Send`; nothing is done through a shared reference but atomic accesses and system calls.
unsafe impl Sync for Participant {}

impl Participant {
    /// Joins on the first line of `range` whose owner is gone. `sweep` resolves what a dead owner of a line has left
    /// undone in the ring; a line where it cannot yet (`false`) is passed over. `is_by_value` says whether the newcomer will
    /// do without references into the segment.
    pub(crate) fn join(
        segment: &Arc<Segment>,
        lifecycle: &Lifecycle,
        range: Range<u32>,
        is_by_value: bool,
        sweep: impl Fn(u32) -> bool,
    ) -> Result<Claim, OpenError> {
        let (first, mut lines) = (range.start, range.clone());
        for index in range {
            if lifecycle.try_hold(index)? {
                if segment.is_writable() {
                    outlive(segment.participant(index));
                }
                if !sweep(index) {
                    lifecycle.let_go(index);
                    continue;
                }
                let mut participant = Participant { has_place: true, ..Participant::without_place(segment, index) };
                let predecessor = if segment.is_writable() {
                    roster::enrol(segment, || occupy(segment.participant(index), is_by_value))
                } else {
                    occupy_by_file(segment, index, is_by_value)?
                };
                participant.evicted =
                    State { is_evicted: true, ..State::load(segment.participant(index)) }.word() >> EVICTED.ilog2();
                participant.publish_processor();
                return Ok(Claim::Joined(participant, predecessor));
            }
        }
        let is_leaving = |index| State::load(segment.participant(index)).phase == Phase::Closed;
        match lines.find(|&index| is_leaving(index)) {
            Some(index) => Ok(Claim::Leaving(peer(segment.participant(index)))),
            None => Ok(Claim::Occupied(peer(segment.participant(first)))),
        }
    }

    /// Looks on, on the side that has the line `index`.
    pub(crate) fn without_place(segment: &Arc<Segment>, index: u32) -> Self {
        let state = NonNull::from(&segment.participant(index).state);
        Participant { segment: segment.clone(), state, evicted: u64::MAX, index, has_place: false }
    }

    /// The line in the participant table.
    pub(crate) fn line(&self) -> u32 {
        self.index
    }

    /// The segment that the place is in.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Looks up which processors this thread may run on, and tells the others.
    pub(crate) fn publish_processor(&self) {
        if !self.segment.is_writable() {
            return;
        }
        let processor = os::only_processor().map_or(0, |processor| processor + 1);
        let published = &self.segment.participant(self.index).processor;
        crash::point();
        // Relaxed: advice on when to spin, of which nothing else depends.
        if published.load(Ordering::Relaxed) != processor {
            published.store(processor, Ordering::Relaxed);
        }
    }

    /// Whether this participant and the one on line `other` can only take turns on one processor, as far as they said.
    pub(crate) fn shares_processor(&self, other: u32) -> bool {
        // Relaxed, twice: as in `publish_processor`.
        let mine = self.segment.participant(self.index).processor.load(Ordering::Relaxed);
        mine != 0 && mine == self.segment.participant(other).processor.load(Ordering::Relaxed)
    }

    /// Says that this participant leaves of its own will and has published everything. Peers have yet to be woken.
    pub(crate) fn close(&self) {
        if !self.has_place {
            return;
        }
        let slot = self.segment.participant(self.index);
        let closed = |state| State { phase: Phase::Closed, is_evicted: false, ..state };
        let mut before = State::load(slot);
        if before.phase != Phase::Live {
            return;
        }
        if !self.segment.is_writable() {
            let low = closed(before).word() as u8;
            // One byte, which the kernel stores in one piece. Should it be refused, this looks like a death.
            let _ = self.segment.write_at(slot.state.as_ptr().cast::<u8>(), LOW_BYTE, &[low]);
            return;
        }
        crash::point();
        // Release: publishes all that was sent before; pairs with the Acquire in `State::load`. Relaxed on failure: an
        // eviction came in between, and either struck (E5) or left it LIVE, which is seen anew.
        while let Err(found) =
            slot.state.compare_exchange(before.word(), closed(before).word(), Ordering::Release, Ordering::Relaxed)
        {
            before = State::from_word(found);
            if before.phase != Phase::Live {
                return;
            }
        }
    }

    /// Whether this participant was sent away.
    #[inline(always)]
    pub(crate) fn is_evicted(&self) -> bool {
        // SAFETY: the word is mapped for as long as `self.segment` is there.
        let state = unsafe { self.state.as_ref() };
        // Relaxed: the mark is all there is to see; whoever set it takes nothing away that this participant relies on (E1, E2).
        state.load(Ordering::Relaxed) >> EVICTED.ilog2() == self.evicted
    }

    /// Whether the others do as if it had died.
    pub(crate) fn is_struck(&self) -> bool {
        self.is_evicted() && State::load(self.segment.participant(self.index)).phase == Phase::Crashed
    }

    /// Gives the place back, and removes the segment if this was the last one and its lifetime says so.
    /// Afterwards the place is somebody else's, and only to be dropped.
    pub(crate) fn leave(&mut self, is_drained: impl FnOnce() -> bool) {
        if !self.has_place {
            return;
        }
        let Ok(mut lifecycle) = segment::lock_to_leave(&self.segment) else {
            // Somebody has been stopped while joining or leaving. The segment stays for the next one to come.
            return self.segment.let_go(self.index);
        };
        lifecycle.let_go(self.index);
        if lifecycle.is_anybody_there() {
            return;
        }
        let done = match self.segment.geometry().lifetime() {
            Lifetime::Drained => is_drained(),
            Lifetime::Attached => true,
            Lifetime::Persistent => false,
        };
        if done {
            // A name that cannot be removed stays for the next one to come, as after a crash.
            let _ = lifecycle.unlink();
        }
    }
}

/// How the owner of line `index` is doing. The kernel is asked whenever the line says that there is, or was, one.
///
/// A line that somebody is about to take over counts as that one's already, from when its lock is held: what its last
/// owner left is the newcomer's to resolve, before it says LIVE.
pub(crate) fn life(segment: &Segment, index: u32) -> Life {
    let slot = segment.participant(index);
    let state = State::load(slot);
    match state.phase {
        Phase::Vacant | Phase::Closed => Life::Absent,
        // Who was struck has the lock for as long as it likes. A successor takes the mark off.
        Phase::Crashed if state.is_evicted && segment.trusts_nobody() => Life::Dead { generation: state.generation },
        Phase::Live | Phase::Crashed if segment.is_alive(index) => Life::Live,
        Phase::Crashed => Life::Dead { generation: state.generation },
        Phase::Live => match mark_crashed(segment, slot, state) {
            State { phase: Phase::Crashed, generation, .. } => Life::Dead { generation },
            // It closed, or a successor came, in this moment.
            _ => Life::Live,
        },
    }
}

/// How the owner of a line is doing, as far as somebody can tell who only looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody has been there.
    Vacant,
    /// It lives.
    Live,
    /// It lives, and was sent away.
    Evicted,
    /// It has left.
    Closed,
    /// It died without leaving.
    Dead,
}

/// How often to look at a line again that changes while one looks.
const LOOKS: usize = 8;

/// How the owner of line `index` is doing, who it is, and which of the line's owners, found out without writing anything.
pub(crate) fn standing(segment: &Segment, index: u32) -> (Standing, Peer, u32) {
    let slot = segment.participant(index);
    for _ in 0..LOOKS {
        let state = State::load(slot);
        let who = peer(slot);
        let standing = match state.phase {
            Phase::Vacant => Standing::Vacant,
            Phase::Closed => Standing::Closed,
            Phase::Live | Phase::Crashed if state.is_evicted && segment.is_alive(index) => Standing::Evicted,
            Phase::Crashed => Standing::Dead,
            Phase::Live if segment.is_alive(index) => Standing::Live,
            Phase::Live => Standing::Dead,
        };
        // Otherwise its owner may have closed before it let the lock go, or somebody else may have come.
        if State::load(slot) == state {
            return (standing, who, state.generation);
        }
    }
    // So busy a place is not one of the dead.
    (Standing::Live, peer(slot), State::load(slot).generation)
}

/// Which of the owners of line `index` it has, if it says that it has one. That one may have died since: the kernel is
/// not asked.
pub(crate) fn registered(segment: &Segment, index: u32) -> Option<u32> {
    let state = State::load(segment.participant(index));
    (state.phase == Phase::Live).then_some(state.generation)
}

/// Whether the owner of line `index` does without references into the segment, as far as it has said.
pub(crate) fn is_by_value(segment: &Segment, index: u32) -> bool {
    State::load(segment.participant(index)).is_by_value
}

/// Who died last on line `index`, as far as it is known.
pub(crate) fn last_dead(segment: &Segment, index: u32) -> Peer {
    let slot = segment.participant(index);
    match State::load(slot).phase {
        Phase::Crashed => peer(slot),
        _ => fallen(slot),
    }
}

/// A look at all participants of one side.
pub(crate) struct Census {
    /// How many of them live.
    pub(crate) living: usize,
    /// How many died on these lines, since the segment was made.
    pub(crate) deaths: u64,
    /// A line whose last owner died.
    pub(crate) fallen: Option<u32>,
}

/// Looks at the participants on `lines`, and asks the kernel for each of them that is said to live.
pub(crate) fn census(segment: &Segment, lines: Range<u32>) -> Census {
    let mut census = Census { living: 0, deaths: 0, fallen: None };
    for index in lines {
        match life(segment, index) {
            Life::Live => census.living += 1,
            Life::Dead { .. } => census.fallen = Some(index),
            Life::Absent => {}
        }
        census.deaths += u64::from(State::load(segment.participant(index)).crashes);
    }
    census
}

/// The first participant on one of `lines` that lives, if any does.
pub(crate) fn first_living(segment: &Segment, mut lines: Range<u32>) -> Option<(u32, Peer)> {
    let index = lines.find(|&index| segment.is_alive(index))?;
    Some((index, peer(segment.participant(index))))
}

/// Lets the line of one that was struck, and has gone, count as one of any other that died. The caller holds its lock, so that
/// the line is found alive from here on: before what its last owner left there is resolved, as those rely on who repair rings.
/// (Lines of the side that may be mapped read-only are never struck.)
fn outlive(slot: &ParticipantSlot) {
    let state = State::load(slot);
    if state.is_evicted && state.phase == Phase::Crashed {
        crash::point();
        // Release: as in `occupy`; pairs with the Acquire in `State::load`. Nobody else changes the line of a dead one.
        slot.state.store(State { is_evicted: false, ..state }.word(), Ordering::Release);
        // SeqCst: a repairer that has found the mark after this had looked at the ring before, and the caller looks later.
        fence(Ordering::SeqCst);
    }
}

/// Makes the line ours, and says who died on it. The caller holds its lock.
fn occupy(slot: &ParticipantSlot, is_by_value: bool) -> Option<Peer> {
    let before = State::load(slot);
    let died = matches!(before.phase, Phase::Live | Phase::Crashed);
    let predecessor = died.then(|| peer(slot));
    if died {
        crash::point();
        // Relaxed, here and below: published by the Release store at the end.
        slot.fallen_pid.store(slot.pid.load(Ordering::Relaxed), Ordering::Relaxed);
        for (fallen, program) in slot.fallen_program.iter().zip(&slot.program) {
            // Relaxed: as above.
            fallen.store(program.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
    let crashes = if before.phase == Phase::Live { before.crashed().crashes } else { before.crashes };
    let generation = before.generation.wrapping_add(1);
    let state = State { generation, is_evicted: false, is_by_value, crashes, phase: Phase::Live };
    crash::point();
    // Relaxed: published by the Release store below.
    slot.pid.store(std::process::id(), Ordering::Relaxed);
    // Relaxed: as above.
    slot.process.store(roster::process_number(), Ordering::Relaxed);
    let name = padded::<PROGRAM_BYTES>(segment::program_name());
    for (word, bytes) in slot.program.iter().zip(name.chunks_exact(8)) {
        // Relaxed: as above. The bytes keep their order in memory on either byte order.
        word.store(u64::from_ne_bytes(bytes.try_into().unwrap_or_default()), Ordering::Relaxed);
    }
    // Relaxed: as above. What the dead one had claimed has been resolved.
    slot.claim.store(0, Ordering::Relaxed);
    crash::point();
    // Release: whoever sees LIVE with this generation can read who it is; pairs with the Acquire in `State::load`. A
    // finder's swap may come between our load and this store; it would have counted the same death, and is overwritten
    // with the same count.
    slot.state.store(state.word(), Ordering::Release);
    predecessor
}

/// As [`occupy`], through the segment's file.
///
/// A store of several bytes by that way may be seen in parts. What the line says of a person may be torn anyway; of the
/// state the generation is written first, and by itself, then the crashes and the phase. In between the line says, as
/// before, that its owner has closed or died, or that there was none; or, if it said LIVE, it does so rightly from when the
/// lock was taken, and the generation is that of no subscriber whom anybody waits for.
fn occupy_by_file(segment: &Segment, index: u32, is_by_value: bool) -> Result<Option<Peer>, OpenError> {
    let slot = segment.participant(index);
    let line = slot.copy();
    let predecessor = occupy(&line, is_by_value);
    // Relaxed, here and below: a private copy.
    line.processor.store(0, Ordering::Relaxed);
    let (state, bytes) = (line.state.load(Ordering::Relaxed).to_ne_bytes(), line.as_bytes());
    let (generation, rest) = if cfg!(target_endian = "little") { (4..8, 0..4) } else { (0..4, 4..8) };
    let at = (&raw const *slot).cast::<u8>();
    segment
        .write_at(at, WHO.start, &bytes[WHO])
        .and_then(|()| segment.write_at(at, generation.start, &state[generation]))
        .and_then(|()| segment.write_at(at, rest.start, &state[rest]))
        .map_err(|source| segment.os_error("write the participant's line of", source))?;
    Ok(predecessor)
}

/// Bytes of a participant's line that say who the owner is, and who was before.
const WHO: Range<usize> = 8..104;

/// Which byte of a state has its phase.
const LOW_BYTE: usize = if cfg!(target_endian = "little") { 0 } else { 7 };

/// Whether the last owner of line `index` died, as [`life`] finds it.
pub(crate) fn has_died(segment: &Segment, index: u32) -> bool {
    matches!(life(segment, index), Life::Dead { .. })
}

/// What is to be thought of the last owner of line `index`, by whoever holds the line's lock and so knows that it is gone.
pub(crate) fn afterlife(segment: &Segment, index: u32) -> Life {
    let state = State::load(segment.participant(index));
    match state.phase {
        Phase::Vacant | Phase::Closed => Life::Absent,
        Phase::Live | Phase::Crashed => Life::Dead { generation: state.generation },
    }
}

/// Records that the owner of a line, whose lock was found free after `state` was loaded, is dead. Returns what the line
/// says then. Who cannot write knows it for itself.
fn mark_crashed(segment: &Segment, slot: &ParticipantSlot, state: State) -> State {
    if segment.is_writable() { strike(slot, state) } else { state.crashed() }
}

/// As [`mark_crashed`], by one who can write.
fn strike(slot: &ParticipantSlot, state: State) -> State {
    let crashed = state.crashed();
    crash::point();
    // AcqRel: Release pairs with the Acquire of `State::load`, so that whoever sees CRASHED is no worse off than the
    // finder; Acquire on both outcomes pairs with a successor's Release. It may fail, to a successor or to another
    // finder (P2), and then the word says what has become of it.
    let swapped = slot.state.compare_exchange(state.word(), crashed.word(), Ordering::AcqRel, Ordering::Acquire);
    swapped.map_or_else(State::from_word, |_| crashed)
}

/// Who the line says its owner is.
fn peer(slot: &ParticipantSlot) -> Peer {
    identity(&slot.pid, &slot.program)
}

/// Who the line says died last before the present owner came.
fn fallen(slot: &ParticipantSlot) -> Peer {
    identity(&slot.fallen_pid, &slot.fallen_program)
}

fn identity(pid: &AtomicU32, program: &[AtomicU64]) -> Peer {
    let mut name = [0; PROGRAM_BYTES];
    for (word, bytes) in program.iter().zip(name.chunks_exact_mut(8)) {
        // Relaxed: for people; a name torn by a successor's joining does no harm.
        bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    // Relaxed: as above.
    Peer { pid: pid.load(Ordering::Relaxed), program: unpadded(&name).into() }
}

#[cfg(all(test, not(loom)))]
mod tests;
