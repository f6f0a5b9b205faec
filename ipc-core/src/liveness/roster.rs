//! Watching participants for somebody else, who is told only that something about them has changed.
//!
//! A process may have a thousand channels with another one, and to look at a thousand locks takes a millisecond. So a
//! roster tells the two apart: whether the *lines* say something else than before, which costs no system call, and
//! whether a *lock* has gone, which somebody has to ask for. Which lines are of one process, of which one lock mostly
//! tells, is theirs to say ([`Process`]); who believes it, and how far, is `lookout/rounds.rs`.
//!
//! # What a look at the lines finds
//!
//! Lines in any phase but LIVE change by joining alone. So it is enough to look at the lines that were LIVE, and at the
//! segment's *roll*, which a joiner makes odd before it says LIVE and even again afterwards, each time a greater number,
//! under the lifecycle lock:
//!
//! - a look at all lines that began by loading an even number has seen everyone who said LIVE before that number was stored
//!   (Release, Acquire);
//! - who says LIVE later has made it odd before, and it is another number from then on. Should the joiner die in between,
//!   it stays odd until the next one joins, and all lines are looked at every time.
//!
//! Who joins by way of the file, with the segment mapped read-only, leaves the roll alone. Nobody waits for those.

use super::{Phase, State, mark_crashed};
use crate::layout::ParticipantSlot;
use crate::os;
use crate::os::fork::Local;
use crate::segment::Segment;
use core::num::NonZeroU64;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;

/// Says which process a participant belongs to, as it wrote itself into its line: its process id and a random number. It is
/// no evidence of anything. Two lines that name the same one are probably of one process, and die together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Process(NonZeroU64);

impl Process {
    fn of(slot: &ParticipantSlot) -> Option<Self> {
        // Relaxed, twice: written before the state that was acquired.
        let (pid, number) = (slot.pid.load(Ordering::Relaxed), slot.process.load(Ordering::Relaxed));
        if number == 0 { None } else { NonZeroU64::new(u64::from(pid) << 32 | u64::from(number)).map(Process) }
    }
}

/// The random number of this process, which a forked child does not share. 0 if the system has none.
pub(super) fn process_number() -> u32 {
    static NUMBER: Local<OnceLock<u32>> = Local::new();
    *NUMBER.get().get_or_init(|| {
        let mut bytes = [0; 16];
        let drawn = os::random(&mut bytes);
        let [a, b, c, d, ..] = bytes;
        drawn.map_or(0, |()| u32::from_ne_bytes([a, b, c, d]) | 1)
    })
}

/// What the segment's roll is while somebody joins: between the two stores of [`enrol`].
fn is_unsettled(roll: u32) -> bool {
    roll % 2 == 1
}

/// Says LIVE, by `say_live`, so that those who watch notice. The caller has the lifecycle lock.
pub(super) fn enrol(roll: &AtomicU32, say_live: impl FnOnce()) {
    // Relaxed: only those who have the lifecycle lock write it, and its holder before comes before by way of it.
    let before = roll.load(Ordering::Relaxed);
    // Relaxed: `say_live` ends with a Release store, before which this is seen.
    roll.store(before | 1, Ordering::Relaxed);
    say_live();
    // Release: publishes LIVE; pairs with the Acquire in `Roster::read`.
    roll.store((before | 1).wrapping_add(1), Ordering::Release);
}

/// What is known of the participants on some lines.
pub(crate) struct Roster {
    lines: Range<u32>,
    /// The roll, before the last look at all lines.
    roll: u32,
    /// Those who lived then, and are not participants of this process.
    living: Vec<Living>,
    /// Lines and states of those whom this process has found dead without being able to record it.
    mourned: Vec<(u32, u64)>,
    /// Differs from what it was after an earlier look if a line has changed in between.
    fingerprint: u64,
    /// Whether one of them has died and has no successor.
    has_fallen: bool,
}

/// A participant that lives, as far as is known.
#[derive(Clone, Copy)]
pub(crate) struct Living {
    pub(crate) line: u32,
    pub(crate) process: Option<Process>,
    state: u64,
}

impl Roster {
    /// Looks at `lines` for the first time.
    pub(crate) fn new(segment: &Segment, lines: Range<u32>) -> Self {
        let (living, mourned) = (Vec::new(), Vec::new());
        let mut roster = Roster { lines, roll: 0, living, mourned, fingerprint: 0, has_fallen: false };
        roster.read(segment);
        roster
    }

    /// Those who live in other processes, as far as is known.
    pub(crate) fn living(&self) -> &[Living] {
        &self.living
    }

    /// Whether one of them has died and has no successor.
    pub(crate) fn has_fallen(&self) -> bool {
        self.has_fallen
    }

    /// Looks at the lines. `true` if any of them has changed.
    pub(crate) fn update(&mut self, segment: &Segment) -> bool {
        if self.lines.is_empty() || self.is_current(segment) {
            return false;
        }
        let before = self.fingerprint;
        self.read(segment);
        self.fingerprint != before
    }

    /// Looks at the lock of each who lives and for whom `picks` asks, and records the deaths. `true` if there are any.
    pub(crate) fn probe(&mut self, segment: &Segment, picks: impl Fn(&Living) -> bool) -> bool {
        let dead: Vec<Living> =
            self.living.iter().filter(|living| picks(living) && !segment.is_alive(living.line)).copied().collect();
        if dead.is_empty() {
            return false;
        }
        for Living { line, state, .. } in dead {
            // Fails if it has closed, or been succeeded, since its state was loaded.
            mark_crashed(segment, segment.participant(line), State::from_word(state));
            if !segment.is_writable() {
                self.mourned.push((line, state));
            }
        }
        self.update(segment)
    }

    /// Whether all lines are as they were.
    fn is_current(&self, segment: &Segment) -> bool {
        // Relaxed: that it has changed is all there is to see; `read` loads it anew.
        let roll = segment.wait_line(0).roll.load(Ordering::Relaxed);
        let is_mourned = |living: &Living| self.mourned.contains(&(living.line, living.state));
        // Relaxed: as for the roll.
        let is_same = |living: &Living| segment.participant(living.line).state.load(Ordering::Relaxed) == living.state;
        !is_unsettled(roll) && roll == self.roll && self.living.iter().all(|one| is_same(one) && !is_mourned(one))
    }

    /// Looks at all lines.
    fn read(&mut self, segment: &Segment) {
        // Acquire: pairs with the Release in `enrol`.
        self.roll = segment.wait_line(0).roll.load(Ordering::Acquire);
        self.living.clear();
        (self.fingerprint, self.has_fallen) = (0, false);
        let mut mourned = Vec::new();
        for line in self.lines.clone() {
            let slot = segment.participant(line);
            let mut state = State::load(slot);
            if self.mourned.contains(&(line, state.word())) {
                mourned.push((line, state.word()));
                state = state.crashed();
            }
            match state.phase {
                Phase::Live if !segment.is_ours(line) => {
                    self.living.push(Living { line, process: Process::of(slot), state: state.word() });
                }
                Phase::Crashed => self.has_fallen = true,
                _ => {}
            }
            // Each step is a bijection of either operand, so that one state that differs always shows.
            self.fingerprint = (self.fingerprint ^ state.word()).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        }
        self.mourned = mourned;
    }
}
