//! Watching the other side of a channel: one peer, or a crowd of them.

use super::roster::settled_roll;
use super::{CRASHES_MASK, Phase, State, fallen, mark_crashed, peer};
use crate::error::Peer;
use crate::layout::ParticipantSlot;
use crate::segment::Segment;
use core::ops::Range;
use std::sync::Arc;

/// How the other side of a channel is doing, and what of that has been reported already.
///
/// Where the other side is one participant, every death is reported, and then the wait is for a successor. Where it is
/// a crowd, those who live carry on, and a death is reported when nobody is left to wait for.
pub(crate) struct Watch {
    segment: Arc<Segment>,
    /// The other side's lines.
    lines: Range<u32>,
    /// What is known of each of them.
    known: Box<[Known]>,
    /// Whether anyone has been on the other side as far as this side is concerned.
    met: bool,
    /// The line whose death was seen last.
    fallen: usize,
    /// The segment's roll before the last look at all lines, if there was nothing to tell of.
    quiet_since: Option<u32>,
    /// Those who lived then, counted from the first line.
    living: Vec<usize>,
}

/// What a watch knows of one line.
#[derive(Clone, Copy)]
struct Known {
    /// What the line said last.
    state: State,
    /// Deaths that have been reported, or that are none of our business.
    reported: u32,
    /// Generation of whoever was last seen there.
    seen: u32,
}

/// What a [`Watch`] sees. Anything but `Present` is to be believed only if the ring is looked at again afterwards.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Alive, or not yet there: waiting makes sense.
    Present,
    /// Left of its own will.
    Closed,
    /// Died, and this has not been reported yet.
    Died(Peer),
}

impl Watch {
    /// Begins to watch `lines`. If whoever was there has left `unfinished` business (messages, for a receiver), a death
    /// that happened before is still to be reported; otherwise it concerns nobody any more.
    ///
    /// Who joins a crowd is told that the other side has closed also if that was before: the last messages of a work
    /// queue may have gone to others.
    pub(crate) fn new(segment: &Arc<Segment>, lines: Range<u32>, unfinished: impl FnOnce() -> bool) -> Self {
        let unknown = Known { state: State::from_word(0), reported: 0, seen: 0 };
        let known = vec![unknown; lines.len()].into();
        let mut watch = Watch {
            segment: segment.clone(),
            lines,
            known,
            met: false,
            fallen: 0,
            quiet_since: None,
            living: Vec::new(),
        };
        watch.look(true);
        // Asked only now: what a sender leaves before it is seen to have died is unfinished business.
        let unfinished = unfinished();
        let is_crowd = watch.is_crowd();
        watch.met = unfinished;
        for known in &mut watch.known {
            let state = known.state;
            watch.met |= state.phase == Phase::Live || is_crowd && state.phase != Phase::Vacant;
            known.seen = state.generation;
            known.reported = match state.phase {
                Phase::Crashed if unfinished => state.crashes.wrapping_sub(1) & CRASHES_MASK,
                _ => state.crashes,
            };
        }
        watch
    }

    /// The lines that are being watched.
    pub(crate) fn lines(&self) -> Range<u32> {
        self.lines.clone()
    }

    /// The one line that is being watched, if it is one.
    pub(crate) fn only_line(&self) -> Option<u32> {
        if self.lines.len() == 1 { Some(self.lines.start) } else { None }
    }

    /// Looks at the other side; at its locks only if `probes` says so, which takes a system call for each who lives.
    pub(crate) fn sight(&mut self, probes: bool) -> Sight {
        if !probes && self.is_quiet() {
            return Sight::Present;
        }
        let roll = settled_roll(&self.segment);
        let sight = self.sight_of_all(probes);
        self.living.clear();
        self.living.extend((0..self.known.len()).filter(|&at| self.known[at].state.phase == Phase::Live));
        self.quiet_since = roll.filter(|_| sight == Sight::Present);
        sight
    }

    /// Whether there is nothing to tell of since the last look at all lines: those who lived then still do, as far as they
    /// say, and nobody has joined, which is what all other changes begin with.
    #[inline]
    fn is_quiet(&self) -> bool {
        let is_as_before = |&at: &usize| State::load(self.slot(at)) == self.known[at].state;
        self.quiet_since.is_some()
            && self.quiet_since == settled_roll(&self.segment)
            && self.living.iter().all(is_as_before)
    }

    fn sight_of_all(&mut self, probes: bool) -> Sight {
        self.look(probes);
        let (mut is_anyone_here, mut has_anyone_closed, mut died) = (false, false, None);
        for (at, known) in self.known.iter_mut().enumerate() {
            let state = known.state;
            if state.generation != known.seen {
                known.seen = state.generation;
                self.met = true;
            }
            is_anyone_here |= state.phase == Phase::Live;
            has_anyone_closed |= state.phase == Phase::Closed;
            let unreported = state.crashes.wrapping_sub(known.reported) & CRASHES_MASK;
            if unreported != 0 && died.is_none() {
                died = Some((at, unreported == 1 && state.phase == Phase::Crashed));
            }
        }
        match died {
            Some((at, is_last)) if !(self.is_crowd() && is_anyone_here) => {
                self.fallen = at;
                let slot = self.slot(at);
                // The last death, and nobody has come since: the line still tells who it was.
                Sight::Died(if is_last { peer(slot) } else { fallen(slot) })
            }
            _ if has_anyone_closed && !is_anyone_here && self.met => Sight::Closed,
            _ => Sight::Present,
        }
    }

    /// Notes that the death which [`sight`](Watch::sight) saw has been reported.
    pub(crate) fn acknowledge_death(&mut self) {
        let known = &mut self.known[self.fallen];
        known.reported = known.reported.wrapping_add(1) & CRASHES_MASK;
    }

    fn is_crowd(&self) -> bool {
        self.lines.len() > 1
    }

    /// Loads the state of every line. If `probes`, looks at the locks too, and records the deaths.
    fn look(&mut self, probes: bool) {
        for at in 0..self.known.len() {
            let slot = self.slot(at);
            let mut state = State::load(slot);
            if probes && state.phase == Phase::Live && !self.segment.is_alive(self.line(at)) {
                state = mark_crashed(&self.segment, slot, state);
            }
            if state.phase == Phase::Live && state.crashed() == self.known[at].state {
                // Found dead before, by this process, which cannot note it for all.
                continue;
            }
            self.known[at].state = state;
        }
    }

    fn line(&self, at: usize) -> u32 {
        self.lines.start + at as u32
    }

    fn slot(&self, at: usize) -> &ParticipantSlot {
        self.segment.participant(self.line(at))
    }
}
