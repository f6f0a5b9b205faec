//! Words for the tests of this layer: a table of participants who can die, in memory of the test's own.

use super::Lines;
#[cfg(loom)]
use super::Owner;
use crate::atomics::AtomicU64;
use crate::ring::claims::Records;
use core::ptr::NonNull;
#[cfg(loom)]
use core::sync::atomic::Ordering;
#[cfg(loom)]
use loom::sync::atomic::AtomicU64 as Word;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU64 as Word;

/// Words of a record.
const RECORD_WORDS: usize = 3;

/// The words of one lock, and who has died.
pub(super) struct Memory {
    records: Vec<AtomicU64>,
    control: Vec<AtomicU64>,
    #[cfg_attr(not(loom), allow(dead_code, reason = "only loom's models have deaths that others find out"))]
    dead: Vec<Word>,
}

impl Memory {
    /// So many lines, all of them in use.
    pub(super) fn new(lines: usize) -> Self {
        let words = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        let dead = (0..lines).map(|_| Word::new(0)).collect();
        let memory = Memory { records: words(lines * RECORD_WORDS), control: words(3), dead };
        (0..lines).for_each(|line| memory.lines().use_line(line));
        memory
    }

    /// One of two words of control data.
    pub(super) fn word(&self, word: usize) -> NonNull<AtomicU64> {
        NonNull::from(&self.control[word])
    }

    /// The lines.
    pub(super) fn lines(&self) -> Lines {
        let lines = self.records.len() / RECORD_WORDS;
        // SAFETY: there are so many records, and every test keeps them.
        let records = unsafe { Records::new(NonNull::from(&self.records[0]), RECORD_WORDS, lines) };
        // SAFETY: as above.
        unsafe { Lines::new(records, self.word(2)) }
    }

    /// A thread of the first owner of a line.
    #[cfg(loom)]
    pub(super) fn owner(&self, line: usize) -> Owner {
        Owner::new(line as u32, 1).thread(1)
    }

    /// What happens when a process ends by death, which the others can find out.
    #[cfg(loom)]
    pub(super) fn bury(&self, line: usize) {
        // Release: everything the dead one did comes before; pairs with the Acquire in `is_dead`. The kernel sees to this.
        self.dead[line].store(1, Ordering::Release);
    }

    /// What happens when somebody takes the line.
    #[cfg(loom)]
    pub(super) fn raise(&self, line: usize) {
        // Release: what it found there was dealt with before; pairs with the Acquire in `is_dead`.
        self.dead[line].store(0, Ordering::Release);
    }

    /// Whether the one on `line` is dead.
    #[cfg(loom)]
    pub(super) fn is_dead(&self, line: usize) -> bool {
        // Acquire: as above.
        self.dead[line].load(Ordering::Acquire) != 0
    }
}
