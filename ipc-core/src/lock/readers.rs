//! Readers beside a [gate](super::gate): any number of them while nobody changes the value, counted where each of them is.
//!
//! ```text
//! record:   | units    generation << 32 | reads under way
//! ```
//!
//! Each participant counts its own reads, in a line of its own, so readers do not take a line from each other, and those of a
//! participant that dies go with it. Whoever wants to change the value enters the gate, which keeps further readers out, and
//! then waits until the counts of all who live are 0.
//!
//! # The proof
//!
//! ```text
//! reader                              writer
//! A1  units += 1                      B1  enters the gate
//! A2  (full fence)                    B2  (full fence)
//! A3  nobody inside the gate?         B3  units == 0, of all lines in use?
//!     otherwise units -= 1, later
//! ```
//!
//! One of the two fences comes first. If it is the reader's, B3 sees what A1 did, and the writer waits. If it is the
//! writer's, A3 sees the gate taken, and the reader does not read. The line counts as used since before the participant's
//! first A1, so B3 looks at it in the first case. A reader ends by Release, and B3 is an Acquire: what it read was read before.
//! The writer leaves the gate by Release, and A3 is an Acquire: the reader sees what it wrote.

use super::gate::Gate;
use super::lines::Lines;
use super::owner::Owner;
use crate::atomics::fence;
use core::sync::atomic::Ordering;

const READS_BITS: u32 = 32;
const ONE_LESS: u64 = u64::MAX;

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Readers {
    gate: Gate,
    lines: Lines,
}

impl Readers {
    /// Those beside `gate`, who are on these lines.
    pub(crate) fn new(gate: Gate, lines: Lines) -> Self {
        Readers { gate, lines }
    }

    /// Begins to count for the participant on `line`, its owner number `generation`. What its last owner, who is gone, was
    /// reading is forgotten.
    pub(crate) fn attach(&self, line: usize, generation: u32) {
        // Release: a writer that sees it does not wait for the dead; whose reads came before their death.
        self.lines.units(line).store(u64::from(generation) << READS_BITS, Ordering::Release);
    }

    /// Begins to read, if nobody is inside the gate. `Some` with whether the value may be half changed.
    pub(crate) fn try_read(&self, line: usize) -> Option<bool> {
        self.count_read(line);
        let seen = self.gate.look();
        if seen.owner().is_none() {
            return Some(seen.is_marked());
        }
        self.end_read(line);
        None
    }

    /// Counts a read (A1) of one who is inside the gate, and so may read when it has left it, whatever comes.
    pub(crate) fn count_read(&self, line: usize) {
        // Relaxed: the fence orders it.
        self.lines.units(line).fetch_add(1, Ordering::Relaxed);
        // SeqCst: A2, against B2.
        fence(Ordering::SeqCst);
    }

    /// Ends to read. Whoever waits for the readers is to be woken.
    #[inline(always)]
    pub(crate) fn end_read(&self, line: usize) {
        // Release: what was read was read before; pairs with the Acquire in `first_reading`.
        self.lines.units(line).fetch_add(ONE_LESS, Ordering::Release);
    }

    /// Keeps the order of the proof (B2), after entering the gate and before the first [`first_reading`](Self::first_reading).
    pub(crate) fn shut_out(&self) {
        // SeqCst: B2, against A2.
        fence(Ordering::SeqCst);
    }

    /// The first line, from `from` on, on which somebody reads who is not gone. `None`: nobody does, and nobody will as long as
    /// the caller is inside the gate.
    pub(crate) fn first_reading(&self, from: usize, is_gone: impl Fn(Owner) -> bool) -> Option<usize> {
        (from..self.lines.in_use()).find(|&line| {
            // Acquire: B3; pairs with the Release in `end_read`.
            let units = self.lines.units(line).load(Ordering::Acquire);
            units as u32 != 0 && !is_gone(Owner::new(line as u32, (units >> READS_BITS) as u32))
        })
    }

    /// Forgets the reads of the participant on `line`, which leaves.
    pub(crate) fn detach(&self, line: usize) {
        let units = self.lines.units(line);
        // Relaxed: nobody else changes it.
        let generation = units.load(Ordering::Relaxed) >> READS_BITS;
        // Release: as in `end_read`.
        units.store(generation << READS_BITS, Ordering::Release);
    }
}
