//! Who has what one has at a time: a thread of a participant, in one word.
//!
//! ```text
//!  bits  0       MARKED      who had it before died, or panicked, and may have left the value half changed
//!        1       GRANTED     the one named has been handed it, and has not taken it yet
//!        2       CHANGING    the one named may be changing the value
//!        3 - 15  line + 1    0: nobody has it
//!       16 - 37  generation  of the line's owner, modulo 2^22
//!       38 - 63  token       of the thread, modulo 2^26; 0 if GRANTED
//! ```
//!
//! A line's generation tells a participant from those that had the line before it, so that a word that names somebody dead
//! never comes to name somebody who lives. The token tells the threads of a process apart, so that one that locks twice is
//! told so.

/// See the module.
pub(super) const MARKED: u64 = 1;
/// See the module.
pub(super) const GRANTED: u64 = 1 << 1;
/// See the module.
pub(super) const CHANGING: u64 = 1 << 2;

const LINE_SHIFT: u32 = 3;
const LINE_MASK: u64 = (1 << 13) - 1;
const GENERATION_SHIFT: u32 = 16;
const GENERATION_MASK: u32 = (1 << 22) - 1;
const TOKEN_SHIFT: u32 = 38;

/// Largest token of a thread.
const TOKEN_MASK: u32 = (1 << 26) - 1;

const _: () =
    assert!(crate::ring::cells::MAX_LINES < LINE_MASK as usize, "every line's number has a place in the word");

/// A thread of a participant, or the participant as such, whose token is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    /// The participant on `line` that is the line's owner number `generation`.
    pub(crate) fn new(line: u32, generation: u32) -> Self {
        let line = (u64::from(line) + 1) << LINE_SHIFT;
        Owner(line | u64::from(generation & GENERATION_MASK) << GENERATION_SHIFT)
    }

    /// A thread of this participant's process.
    #[inline(always)]
    pub(crate) fn thread(self, token: u32) -> Self {
        Owner(self.0 | u64::from(token & TOKEN_MASK) << TOKEN_SHIFT)
    }

    /// The participant as such.
    pub(crate) fn participant(self) -> Self {
        Owner(self.0 & ((1 << TOKEN_SHIFT) - 1))
    }

    /// The participant's line, which may be any number if the word came from shared memory.
    pub(crate) fn line(self) -> usize {
        (self.0 >> LINE_SHIFT & LINE_MASK) as usize - 1
    }

    /// The thread's token.
    pub(crate) fn token(self) -> u32 {
        (self.0 >> TOKEN_SHIFT) as u32
    }

    /// Whether it is the line's owner number `generation`.
    pub(crate) fn is_of(self, generation: u32) -> bool {
        (self.0 >> GENERATION_SHIFT) as u32 & GENERATION_MASK == generation & GENERATION_MASK
    }

    /// The word without the bits that say what the owner does.
    #[inline(always)]
    pub(super) fn word(self) -> u64 {
        self.0
    }
}

/// What the word said when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(pub(super) u64);

impl Seen {
    /// Who has it, or has been handed it.
    pub(crate) fn owner(self) -> Option<Owner> {
        let owner = self.0 & !(MARKED | GRANTED | CHANGING);
        (self.0 >> LINE_SHIFT & LINE_MASK != 0).then_some(Owner(owner))
    }

    /// Whether the one before may have left the value half changed.
    pub(crate) fn is_marked(self) -> bool {
        self.0 & MARKED != 0
    }

    /// Whether the one named has been handed it and has not taken it yet.
    pub(crate) fn is_granted(self) -> bool {
        self.0 & GRANTED != 0
    }

    /// Whether the one named may be changing the value.
    pub(super) fn is_changing(self) -> bool {
        self.0 & CHANGING != 0
    }
}

/// The owner that a request in a line's record names, if it is one of that line.
pub(super) fn requested(word: u64, line: usize) -> Option<Owner> {
    let owner = Seen(word).owner()?;
    (owner.line() == line && owner.word() == word).then(|| owner.participant())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_tells_who_it_names() {
        for (line, generation, token) in [(0, 0, 0), (0, 1, 1), (4095, GENERATION_MASK, TOKEN_MASK), (17, 99, 5)] {
            let owner = Owner::new(line, generation).thread(token);
            let seen = Seen(owner.word() | MARKED | CHANGING);
            assert_eq!(seen.owner(), Some(owner));
            assert_eq!((owner.line(), owner.token()), (line as usize, token));
            assert!(owner.is_of(generation) && owner.is_of(generation.wrapping_add(1 << 22)));
            assert!(!owner.is_of(generation.wrapping_add(1)));
            assert_eq!(owner.participant(), Owner::new(line, generation));
            assert!(seen.is_marked() && seen.is_changing() && !seen.is_granted());
        }
        assert_eq!(Seen(MARKED).owner(), None);
    }

    #[test]
    fn a_request_counts_only_in_its_own_line() {
        let owner = Owner::new(3, 9);
        assert_eq!(requested(owner.word(), 3), Some(owner));
        assert_eq!(requested(owner.word(), 4), None);
        assert_eq!(requested(owner.word() | GRANTED, 3), None);
        assert_eq!(requested(0, 3), None);
    }
}
