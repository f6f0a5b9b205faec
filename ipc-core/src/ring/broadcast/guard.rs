//! What keeps subscribers from messages that are being overwritten: the horizon of a lossy ring (P3, S4, B2, B3), and the gate
//! of a lossless one (G1 to G4, B5, B6).

use super::*;

/// What a ring has beside its cells and its publishers.
#[derive(Clone, Copy)]
pub(super) enum Guard {
    /// Publishers wait for subscribers.
    Lossless(Gate),
    /// Subscribers find out what is gone.
    Lossy(Horizon),
}

/// What a lossy broadcast has besides.
#[derive(Clone, Copy)]
pub(super) struct Horizon {
    /// Publishers store only to cells of positions before it.
    pub(super) word: NonNull<AtomicU64>,
    /// Cells that it is moved by.
    pub(super) margin: u16,
}

// SAFETY: the pointer leads to an atomic word, which any thread may use.
unsafe impl Send for Horizon {}
// SAFETY: as for `Send`.
unsafe impl Sync for Horizon {}

/// What a lossless broadcast has besides.
#[derive(Clone, Copy)]
pub(in crate::ring) struct Gate {
    /// A subscriber's claim holds `cursor << 2 | 1`, or 0 if it has none; the lower half of its losses is the generation of
    /// the last owner that was evicted.
    pub(in crate::ring) subscribers: Records,
    /// Cells that are kept for newcomers.
    pub(in crate::ring) history: u64,
}

impl Horizon {
    /// What says where it is.
    #[inline(always)]
    pub(super) fn load(&self) -> u64 {
        // Acquire (S4): the counter is seen to be there, but for the margin (B3); pairs with the Release in `raise`.
        self.word().load(Ordering::Acquire)
    }

    /// P3: where it is, beyond `last`. The caller has claimed the cells from `at` to that one, which are not more than the margin.
    #[cold]
    pub(super) fn raise(&self, cells: &Cells, at: Position, last: Position) -> Position {
        let target = cells.after(at, self.margin);
        // Relaxed: the fence P4 comes after it (B2), and the swap below passes on what others have released (B3).
        let mut found = self.word().load(Ordering::Relaxed);
        // Each failure is another publisher's move, and no other claim before `at` allows for a second one by the same.
        for _ in 0..MAX_ROUNDS {
            if let Some(horizon) = cells.position(found).filter(|&horizon| last.ahead(horizon) > 0) {
                return horizon;
            }
            // Release: shows the counter to whoever sees it (B3); pairs with the Acquire in `load`. Relaxed on failure: as
            // above.
            match self.word().compare_exchange(found, target.word(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return target,
                Err(now) => found = now,
            }
        }
        // Somebody stores to it who is no publisher of this ring.
        target
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU64 {
        // SAFETY: the caller of `Parts::lossy` vouched for the word.
        unsafe { self.word.as_ref() }
    }
}

impl Gate {
    pub(in crate::ring) fn new(subscribers: Records, history: u64) -> Self {
        Gate { subscribers, history }
    }

    /// G1 to G4: the position before which nobody who counts, or who is yet to join, needs a cell.
    #[cold]
    pub(in crate::ring) fn floor(
        &self,
        cells: &Cells,
        counter: &Counter,
        counted: impl Fn(usize) -> Option<u32>,
    ) -> Result<Position, Evidence> {
        let tail = counter.load(cells)?;
        // SeqCst (G2): with the fence of a subscriber that joins, either this scan finds the newcomer's cursor, or the
        // newcomer finds this counter (B5).
        fence(Ordering::SeqCst);
        let mut floor = before(cells, tail, self.history);
        for line in 0..self.subscribers.lines() {
            let cursor = counted(line).and_then(|owner| self.cursor(cells, line, owner));
            // A cursor more than a lap behind is a newcomer's that has been slow to join: nothing is claimed until it has.
            if let Some(cursor) = cursor.filter(|cursor| cursor.ahead(floor) > 0) {
                floor = cursor;
            }
        }
        Ok(floor)
    }

    pub(in crate::ring) fn slowest(
        &self,
        cells: &Cells,
        counter: &Counter,
        counted: impl Fn(usize) -> Option<u32>,
    ) -> Option<Slowest> {
        let tail = counter.load(cells).ok()?;
        let of_line = |line| {
            let generation = counted(line)?;
            let cursor = self.cursor(cells, line, generation)?;
            let unread = if cursor.ahead(tail) > 0 { cells.cells_between(cursor, tail) } else { 0 };
            Some(Slowest { line, generation, unread })
        };
        (0..self.subscribers.lines()).filter_map(of_line).max_by_key(|subscriber| subscriber.unread)
    }

    pub(in crate::ring) fn evict(&self, line: usize, generation: u32) -> bool {
        if line >= self.subscribers.lines() {
            return false;
        }
        let word = self.subscribers.lost(line);
        // Acquire: as for the swap below.
        let mut found = word.load(Ordering::Acquire);
        for _ in 0..MAX_ROUNDS {
            if (found as u32).wrapping_sub(generation) as i32 >= 0 {
                break;
            }
            let noted = found >> 32 << 32 | u64::from(generation);
            // AcqRel: Release comes before the scan of whoever sees the note (B6), and pairs with the Acquire in
            // `cursor`; Acquire passes on an earlier note. Acquire on failure: as above.
            match word.compare_exchange(found, noted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => found = now,
            }
        }
        found as u32 == generation
    }

    /// The cursor of the subscriber on `line`, unless it has none or is evicted. A word that is no cursor holds nobody
    /// up; its subscriber finds out when it is overtaken.
    pub(super) fn cursor(&self, cells: &Cells, line: usize, generation: u32) -> Option<Position> {
        // Acquire: what is claimed on the strength of the note comes after it (B6); pairs with the Release in `evict`.
        let evicted = self.subscribers.lost(line).load(Ordering::Acquire) as u32;
        // Acquire: the cells before the cursor have been read; pairs with the Release in `lossless`.
        let word = self.subscribers.claim(line).load(Ordering::Acquire);
        if evicted == generation || word & 3 != 1 { None } else { cells.position(word >> 2) }
    }
}
