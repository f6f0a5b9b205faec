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
//! under the lifecycle lock, and of which it tells those who sleep, by waking them in between:
//!
//! - a look at all lines that began by loading an even number has seen everyone who said LIVE before that number was stored
//!   (Release, Acquire);
//! - who says LIVE later has made it odd before, and it is another number from then on. Should the joiner die in between,
//!   it stays odd until the next one joins, and all lines are looked at every time.
//!
//! Who joins by way of the file, with the segment mapped read-only, leaves the roll alone. Nobody waits for those.

use super::{Phase, State, mark_crashed};
use crate::crash;
use crate::layout::ParticipantSlot;
use crate::os;
use crate::os::fork::Local;
use crate::segment::Segment;
use crate::waiting;
use core::num::NonZeroU64;
use core::ops::Range;
use core::sync::atomic::Ordering;
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

/// The segment's roll, which differs from what it was if somebody has joined since; `None` while somebody joins.
pub(super) fn settled_roll(segment: &Segment) -> Option<u32> {
    // Acquire: pairs with the Release in `enrol`, so that whoever sees the roll sees the lines of those whom it counts.
    let roll = segment.wait_line(0).roll.load(Ordering::Acquire);
    Some(roll).filter(|&roll| !is_unsettled(roll))
}

/// Says LIVE, by `say_live`, so that those who watch notice. The caller has the lifecycle lock.
pub(super) fn enrol<R>(segment: &Segment, say_live: impl FnOnce() -> R) -> R {
    let words = [0, 1].map(|line| &segment.wait_line(line).word);
    waiting::register(words);
    let roll = &segment.wait_line(0).roll;
    // Relaxed: only those who have the lifecycle lock write it, and its holder before comes before by way of it.
    let before = roll.load(Ordering::Relaxed);
    crash::point();
    // Release: `say_live` ends with a Release store, before which this is seen; pairs with the Acquire in `Roster::read`.
    roll.store(before | 1, Ordering::Release);
    words.into_iter().for_each(waiting::wake);
    let said = say_live();
    crash::point();
    // Release: publishes LIVE; pairs with the Acquire in `Roster::read`.
    roll.store((before | 1).wrapping_add(1), Ordering::Release);
    said
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

/// What came of a look at locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probed {
    /// Those who were asked for live.
    Alive,
    /// There is nobody of whom it was asked.
    Nobody,
    /// Somebody has died.
    Dead,
}

/// A participant that lives, as far as is known.
#[derive(Clone, Copy)]
pub(crate) struct Living {
    pub(crate) line: u32,
    pub(crate) process: Option<Process>,
    state: u64,
    /// Whether somebody has been told of it.
    is_told: bool,
}

impl Roster {
    /// Looks at `lines` for the first time.
    pub(crate) fn new(segment: &Segment, lines: Range<u32>) -> Self {
        let (living, mourned) = (Vec::new(), Vec::new());
        let mut roster = Roster { lines, roll: 0, living, mourned, fingerprint: 0, has_fallen: false };
        roster.read(segment);
        roster
    }

    /// Tells `see` of those who live in other processes, as far as is known: of all, or only of those of whom it has not
    /// been told.
    pub(crate) fn tell(&mut self, all: bool, mut see: impl FnMut(&Living)) {
        for living in &mut self.living {
            if all || !living.is_told {
                living.is_told = true;
                see(living);
            }
        }
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

    /// Whether there may be somebody of whom nobody has been told: who has joined since all lines were looked at last, or is
    /// about to, or was found then.
    pub(crate) fn has_untold(&self, segment: &Segment) -> bool {
        self.is_outdated(segment) || self.living.iter().any(|living| !living.is_told)
    }

    /// Whether somebody has joined since all lines were looked at last, or is about to.
    fn is_outdated(&self, segment: &Segment) -> bool {
        if self.lines.is_empty() {
            return false;
        }
        // Relaxed: that it has changed is all there is to see; `read` loads it anew.
        let roll = segment.wait_line(0).roll.load(Ordering::Relaxed);
        roll != self.roll || is_unsettled(roll)
    }

    /// Looks at the lock of each who lives, as far as is known, and for whom `picks` asks. Records the deaths.
    pub(crate) fn probe(&mut self, segment: &Segment, picks: impl Fn(&Living) -> bool) -> Probed {
        let picked: Vec<Living> = self.living.iter().filter(|living| picks(living)).copied().collect();
        let mut probed = if picked.is_empty() { Probed::Nobody } else { Probed::Alive };
        for Living { line, state, .. } in picked {
            if segment.is_alive(line) {
                continue;
            }
            probed = Probed::Dead;
            // Fails if it has closed, or been succeeded, since its state was loaded.
            mark_crashed(segment, segment.participant(line), State::from_word(state));
            if !segment.is_writable() {
                self.mourned.push((line, state));
            }
        }
        if probed == Probed::Dead {
            self.update(segment);
        }
        probed
    }

    /// Whether all lines are as they were.
    fn is_current(&self, segment: &Segment) -> bool {
        let is_mourned = |living: &Living| self.mourned.contains(&(living.line, living.state));
        // Relaxed: as in `is_outdated`.
        let is_same = |living: &Living| segment.participant(living.line).state.load(Ordering::Relaxed) == living.state;
        !self.is_outdated(segment) && self.living.iter().all(|one| is_same(one) && !is_mourned(one))
    }

    /// Looks at all lines.
    fn read(&mut self, segment: &Segment) {
        // Acquire: pairs with the Release in `enrol`.
        self.roll = segment.wait_line(0).roll.load(Ordering::Acquire);
        let known = core::mem::take(&mut self.living);
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
                    let (process, state) = (Process::of(slot), state.word());
                    let is_told = known.iter().any(|one| one.is_told && (one.line, one.state) == (line, state));
                    self.living.push(Living { line, process, state, is_told });
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
