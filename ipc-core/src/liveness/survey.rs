//! Watching participants for somebody else, who is told only that something about them has changed.

use super::{Phase, State, mark_crashed};
use crate::segment::Segment;
use core::ops::Range;

/// How the participants on some lines are doing, all in all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Differs from that of an earlier survey if one participant has joined, closed or died since.
    fingerprint: u64,
    /// Whether one of them died and has no successor.
    pub(crate) has_fallen: bool,
}

/// Looks at the states of `lines`, and at their locks, and records the deaths.
pub(crate) fn survey(segment: &Segment, lines: Range<u32>) -> Survey {
    let mut survey = Survey { fingerprint: 0, has_fallen: false };
    for line in lines {
        let slot = segment.participant(line);
        let mut state = State::load(slot);
        if state.phase == Phase::Live && !segment.is_alive(line) {
            state = mark_crashed(segment, slot, state);
        }
        survey.has_fallen |= state.phase == Phase::Crashed;
        // Each step is a bijection of either operand, so that one state that differs always shows.
        survey.fingerprint = (survey.fingerprint ^ state.word()).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
    survey
}
