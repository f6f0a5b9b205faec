//! The records of a role: who claims what.

use super::Kind;
use crate::atomics::AtomicU64;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// The records of all lines of a role.
#[derive(Clone, Copy)]
pub(crate) struct Records {
    first: NonNull<AtomicU64>,
    /// Words from one record to the next.
    stride_words: usize,
    pub(super) lines: usize,
}

// SAFETY: every access through `Records` is an atomic one.
unsafe impl Send for Records {}
// SAFETY: as for `Send`.
unsafe impl Sync for Records {}

/// Words of a record.
pub(super) const RECORD_WORDS: usize = 3;

impl Records {
    /// The records of `lines` participants, `stride_words` words from one to the next; zero as long as a line has
    /// never been used.
    ///
    /// # Safety
    ///
    /// `first` leads to the first record; all of them are atomic words that stay mapped for as long as the value and its
    /// copies are used. There are 1 to 4096 of them, at least 3 words apart.
    pub(crate) unsafe fn new(first: NonNull<AtomicU64>, stride_words: usize, lines: usize) -> Self {
        debug_assert!(stride_words >= RECORD_WORDS && (1..=crate::ring::cells::MAX_LINES).contains(&lines));
        Records { first, stride_words, lines }
    }

    /// Number of lines.
    pub(crate) fn lines(&self) -> usize {
        self.lines
    }

    /// Messages that were lost with those who died, of all lines together.
    pub(crate) fn losses(&self) -> u64 {
        // Relaxed: a figure, on which nothing depends.
        (0..self.lines).map(|line| self.lost(line).load(Ordering::Relaxed) >> 32).sum()
    }

    /// The record of line `line`, which is below the number of lines, as is every other one here.
    pub(super) fn record(&self, line: usize) -> Record {
        Record { claim: NonNull::from(self.claim(line)), units: NonNull::from(self.units(line)) }
    }

    /// The claim of line `line`.
    #[inline(always)]
    pub(crate) fn claim(&self, line: usize) -> &AtomicU64 {
        self.word(line, 0)
    }

    /// The units of line `line`.
    #[inline(always)]
    pub(crate) fn units(&self, line: usize) -> &AtomicU64 {
        self.word(line, 1)
    }

    /// The losses of line `line`, and whose they were.
    pub(crate) fn lost(&self, line: usize) -> &AtomicU64 {
        self.word(line, 2)
    }

    #[inline(always)]
    fn word(&self, line: usize, word: usize) -> &AtomicU64 {
        debug_assert!(line < self.lines && word < RECORD_WORDS);
        // SAFETY: the constructor's caller vouched for the records of so many lines.
        let at = unsafe { self.first.add(line * self.stride_words + word) };
        // SAFETY: as above; the words are atomics that outlive `self`.
        unsafe { at.as_ref() }
    }

    /// The positions that the records name now, as words.
    pub(in crate::ring) fn positions(&self) -> impl Iterator<Item = u64> {
        (0..self.lines).filter_map(|line| Some(self.load_claim(line)?.0))
    }

    /// Position and kind of the claim in a record, as they are now.
    pub(super) fn load_claim(&self, line: usize) -> Option<(u64, Kind)> {
        // Acquire: whoever sees that a claim has gone sees that it has been dealt with (C2), and whoever sees WON sees
        // the counter moved; pairs with the Release stores of `Claimant`.
        parse(self.claim(line).load(Ordering::Acquire))
    }
}

/// The words of a record that its owner writes when it claims.
#[derive(Clone, Copy)]
pub(super) struct Record {
    claim: NonNull<AtomicU64>,
    units: NonNull<AtomicU64>,
}

// SAFETY: both pointers lead to atomics, which any thread may use.
unsafe impl Send for Record {}
// SAFETY: as for `Send`.
unsafe impl Sync for Record {}

impl Record {
    #[inline(always)]
    pub(super) fn claim(&self) -> &AtomicU64 {
        // SAFETY: the word is one of the `Records` that this comes from, which stay mapped for as long as a `Claimant`.
        unsafe { self.claim.as_ref() }
    }

    #[inline(always)]
    pub(super) fn units(&self) -> &AtomicU64 {
        // SAFETY: as in `claim`.
        unsafe { self.units.as_ref() }
    }
}

/// Takes the word of a claim apart.
pub(super) fn parse(word: u64) -> Option<(u64, Kind)> {
    let kind = match word & 3 {
        0 => return None,
        1 => Kind::Trying,
        2 => Kind::Won,
        _ => Kind::Solo,
    };
    Some((word >> 2, kind))
}
