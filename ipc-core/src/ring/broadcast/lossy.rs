//! A subscriber that publishers do not wait for. It stores nothing to shared memory, which may be read-only for it.
//!
//! One that has been overtaken goes on a quarter of the ring after the oldest message (B3 tells it where that is), so
//! that it is not overtaken again at once, and reports the numbers between its place and there as missed.

use super::*;

/// An end that reads.
pub(crate) struct Subscriber {
    parts: Parts,
    /// The position to read next.
    next: Position,
    /// Numbers before it that have no message, which have not been reported.
    missed: u64,
    /// Whether the last message that was looked at was not accepted.
    is_overtaken: bool,
    /// Where the horizon was when a message was accepted, unless anything was missed since. While it stays there, so does whatever
    /// comes after that message.
    in_sight: Option<Position>,
}

impl Subscriber {
    /// Begins with the last `history` messages, or as many of them as there are.
    pub(crate) fn attach(parts: Parts, history: u64) -> Result<Self, Evidence> {
        let tail = parts.publishers.counter.load(&parts.cells)?;
        Ok(Subscriber { parts, next: parts.before(tail, history), missed: 0, is_overtaken: false, in_sight: None })
    }

    /// What comes next.
    #[inline(always)]
    pub(crate) fn look(&mut self) -> Sight {
        if self.sees_next() { Sight::Message } else { self.look_closer() }
    }

    /// Whether a message comes next, and nothing has been missed before it.
    #[inline(always)]
    pub(crate) fn sees_next(&self) -> bool {
        self.missed == 0 && !self.is_overtaken && self.parts.has_message(self.next)
    }

    /// Number of the message that comes next.
    pub(crate) fn number(&self) -> u64 {
        self.parts.number_of(self.next)
    }

    /// Whether a publisher has claimed what comes next. If it is not to be seen for long, its publisher may be dead.
    pub(crate) fn is_claimed(&self) -> bool {
        self.parts.publishers.counter.load(&self.parts.cells).is_ok_and(|tail| self.next.ahead(tail) > 0)
    }

    /// Steps over the place, and over the rest of a batch, and counts it as missed, if the publisher that has claimed it is
    /// dead: for those who cannot [repair](Parts::repair) what it has left.
    pub(crate) fn step_over_dead(&mut self, life: impl Fn(usize) -> Life) {
        if let Some(cells) = self.is_claimed().then(|| self.parts.left_by_dead(self.next, life)).flatten() {
            self.missed = self.missed.saturating_add(u64::from(cells));
            self.in_sight = None;
            self.next = self.parts.cells.after(self.next, cells);
        }
    }

    /// The payload of the message that comes next, if there is one: to be read at once, with relaxed loads, and then
    /// [completed](Self::complete). `None` says nothing.
    #[inline(always)]
    pub(crate) fn begin(&self) -> Option<NonNull<AtomicU64>> {
        self.parts.has_message(self.next).then(|| self.payload())
    }

    /// As [`accept`](Self::accept), after [`begin`](Self::begin). `false` also if there is something to say before the message.
    #[inline(always)]
    pub(crate) fn complete(&mut self) -> bool {
        // Acquire (S3): as in `accept`.
        fence(Ordering::Acquire);
        // S4: the message comes after one that was in sight of the same horizon.
        if self.in_sight.is_none() || self.in_sight.map(Position::word) != self.parts.horizon_word() {
            return self.complete_at_length();
        }
        self.next = self.parts.cells.after(self.next, 1);
        true
    }

    #[cold]
    #[inline(never)]
    fn complete_at_length(&mut self) -> bool {
        self.in_sight.is_some() && self.accept()
    }

    /// The payload of the message that comes next: to be read with relaxed loads, after [`Sight::Message`].
    #[inline(always)]
    pub(crate) fn payload(&self) -> NonNull<AtomicU64> {
        self.parts.cells.payload(self.next)
    }

    /// Whether there is a message `ahead` cells after this subscriber's place, less than the capacity.
    #[inline(always)]
    pub(crate) fn sees_ahead(&self, ahead: usize) -> bool {
        self.parts.has_message_ahead(self.next, ahead)
    }

    /// The [payload](Self::payload) `ahead` cells on, where there is a message.
    #[inline(always)]
    pub(crate) fn payload_ahead(&self, ahead: usize) -> NonNull<AtomicU64> {
        self.parts.payload_ahead(self.next, ahead)
    }

    /// Whether everything that has been read from the payload `ahead` cells on belongs to the message there, as
    /// [`accept`](Self::accept) finds it out of the next one. This subscriber stays where it is.
    #[inline(always)]
    pub(crate) fn is_intact(&mut self, ahead: usize) -> bool {
        let at = self.parts.cells.forward(self.next, ahead as u64);
        // Acquire (S3): as in `accept`.
        fence(Ordering::Acquire);
        // S4.
        let is_intact = self.horizon_of(at).is_some();
        if ahead == 0 && !is_intact {
            (self.is_overtaken, self.in_sight) = (true, None);
        }
        is_intact
    }

    /// Steps over so many messages, all of which have been copied.
    pub(crate) fn pass_many(&mut self, count: usize) {
        self.next = self.parts.cells.forward(self.next, count as u64);
    }

    /// Steps on if everything that has been read from the payload belongs to the message. If it does not, the copy is
    /// worth nothing, and the next look says how many messages were missed.
    #[inline(always)]
    pub(crate) fn accept(&mut self) -> bool {
        // Acquire (S3): if a word that was read is of a later lap, the horizon is seen beyond it (B2); pairs with the fence
        // in `Publisher::open`.
        fence(Ordering::Acquire);
        // S4.
        self.in_sight = self.horizon_of(self.next);
        self.is_overtaken = self.in_sight.is_none();
        if !self.is_overtaken {
            self.next = self.parts.cells.after(self.next, 1);
        }
        !self.is_overtaken
    }

    /// Where the horizon is, if the cell at `at` is not stored to for a later lap yet.
    #[inline(always)]
    fn horizon_of(&self, at: Position) -> Option<Position> {
        let cells = &self.parts.cells;
        // A word that is no position is damage, as `catch_up` finds out.
        let horizon = cells.position(self.parts.horizon_word()?)?;
        (at.ahead(horizon) <= cells.one_lap() as i64).then_some(horizon)
    }

    #[cold]
    fn look_closer(&mut self) -> Sight {
        if self.is_overtaken {
            return self.catch_up(self.parts.see(self.next).1);
        }
        for _ in 0..self.parts.cells.capacity() {
            let (seen, found) = self.parts.see(self.next);
            match seen {
                Seen::Gap { is_lost } => {
                    self.missed = self.missed.saturating_add(u64::from(is_lost));
                    self.in_sight = self.in_sight.filter(|_| !is_lost);
                    self.next = self.parts.cells.after(self.next, 1);
                }
                Seen::Gone => return self.catch_up(found),
                Seen::Impossible => return Sight::Broken(self.parts.evidence(self.next, found)),
                _ if self.missed != 0 => return self.report(),
                Seen::Message => return Sight::Message,
                Seen::Coming => return Sight::Nothing,
            }
        }
        if self.missed != 0 { self.report() } else { Sight::Nothing }
    }

    /// Jumps to where the messages are surely still there. `found` is the stamp that is there now.
    fn catch_up(&mut self, found: u64) -> Sight {
        let Parts { cells, publishers, .. } = self.parts;
        let tail = match publishers.counter.load(&cells) {
            Ok(tail) => tail,
            Err(evidence) => return Sight::Broken(evidence),
        };
        let margin = match &self.parts.guard {
            Guard::Lossy(horizon) if self.is_overtaken => u64::from(horizon.margin),
            _ => 0,
        };
        let is_behind = self.next.ahead(tail) > 0 && cells.cells_between(self.next, tail) > cells.capacity() - margin;
        if !is_behind {
            // B3: no publisher has made what this one has seen.
            return Sight::Broken(self.parts.evidence(self.next, found));
        }
        self.is_overtaken = false;
        // At most as far behind the counter as messages can be without being out of sight.
        let target = self.parts.before(tail, (cells.capacity() - cells.capacity().div_ceil(4)).max(1));
        self.missed = self.missed.saturating_add(cells.cells_between(self.next, target));
        self.next = target;
        self.report()
    }

    fn report(&mut self) -> Sight {
        self.in_sight = None;
        Sight::Missed(core::mem::take(&mut self.missed))
    }
}
