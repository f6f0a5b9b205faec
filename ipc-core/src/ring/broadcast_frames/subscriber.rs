//! Reading frames, with or without publishers that wait for it.

use super::*;

/// An end that reads. A lossy one stores nothing to shared memory, which may be read-only for it.
pub(crate) struct Subscriber {
    parts: Parts,
    /// The frame to read next.
    next: Position,
    /// The number of the message there, or of the first one after it; a lossless subscriber counts from where it joined.
    number: u64,
    /// What was found there.
    frame: Option<Frame>,
    /// Numbers before it that have no message, which have not been reported.
    missed: u64,
    /// Whether the frame was overwritten while it was being copied.
    is_overtaken: bool,
    /// Set if publishers wait for this one.
    seat: Option<Seat>,
    /// Whether it has stepped over something, and publishers who wait for it have not been woken.
    has_made_room: bool,
}

/// A lossless subscriber's record.
#[derive(Clone, Copy)]
struct Seat {
    gate: Gate,
    line: usize,
    generation: u32,
}

impl Subscriber {
    /// Joins as a lossy subscriber, with the last `history` messages or as many of them as there are.
    pub(crate) fn attach_lossy(parts: Parts, history: u64) -> Result<Self, Evidence> {
        let (next, number) = start(&parts, history)?;
        let (frame, seat) = (None, None);
        Ok(Subscriber { parts, next, number, frame, missed: 0, is_overtaken: false, seat, has_made_room: false })
    }

    /// Joins as a lossless subscriber, with the conditions of
    /// [`lossless::Subscriber::attach`](crate::ring::broadcast::lossless::Subscriber::attach). What it gets of the history
    /// is bounded by the cells that the ring keeps for it.
    pub(crate) fn attach_lossless(
        parts: Parts,
        line: usize,
        generation: u32,
        history: u64,
    ) -> Option<Result<Self, Evidence>> {
        let gate = parts.gate.filter(|gate| line < gate.subscribers.lines())?;
        let seat = Seat { gate, line, generation };
        Some(seat.join(&parts, history).inspect_err(|_| seat.leave()).map(|next| {
            seat.store(next);
            let (frame, seat) = (None, Some(seat));
            Subscriber { parts, next, number: 0, frame, missed: 0, is_overtaken: false, seat, has_made_room: false }
        }))
    }

    /// Leaves. Publishers wait for it no longer.
    pub(crate) fn detach(&mut self) {
        if let Some(seat) = self.seat {
            seat.leave();
        }
    }

    /// Whether publishers wait for this subscriber.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.seat.is_some()
    }

    /// What comes next.
    pub(crate) fn look(&mut self) -> Sight {
        self.frame = None;
        // A jump takes two rounds, and the frame after all the others that there can be takes one.
        for _ in 0..self.parts.cells.capacity() + 3 {
            let (seen, found) = self.parts.see(self.next);
            match seen {
                _ if self.is_overtaken => match self.catch_up(found) {
                    Ok(()) => {}
                    Err(sight) => return sight,
                },
                Seen::Gone => self.is_overtaken = true,
                Seen::Frame(frame) if !frame.is_message => {
                    self.missed = self.missed.saturating_add(u64::from(frame.has_number));
                    self.step(frame);
                    self.has_made_room = self.seat.is_some();
                }
                Seen::Impossible => return Sight::Broken(self.parts.evidence(self.next, found)),
                _ if self.missed != 0 => break,
                Seen::Frame(frame) => {
                    self.frame = Some(frame);
                    return Sight::Message;
                }
                Seen::Coming => return Sight::Nothing,
            }
        }
        if self.missed != 0 { Sight::Missed(core::mem::take(&mut self.missed)) } else { Sight::Nothing }
    }

    /// Number of the message that comes next.
    #[cfg(test)]
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The cell that it looks at.
    pub(crate) fn index(&self) -> usize {
        self.parts.cells.index(self.next) as usize
    }

    /// Whether a publisher has claimed what comes next. If it is not to be seen for long, its publisher may be dead.
    pub(crate) fn is_claimed(&self) -> bool {
        self.parts.publishers.counter.load(&self.parts.cells).is_ok_and(|tail| self.next.ahead(tail) > 0)
    }

    /// Numbers that have been published, or given away, and that this subscriber has neither got nor been told to have
    /// missed, as far as can be seen at this moment.
    pub(crate) fn unread(&self) -> u64 {
        let mut from = (self.next, self.number);
        if self.seat.is_none() && !self.parts.is_there(self.next) {
            from = self.parts.first().ok().flatten().unwrap_or(from);
        }
        walk(&self.parts, from, |_| true).1.wrapping_sub(self.number).wrapping_add(self.missed)
    }

    /// Steps over the frame at this subscriber's place, and counts it as missed, if the publisher that has claimed it is
    /// dead: for those who cannot [repair](Parts::repair) what it has left.
    ///
    /// As in [`lossy`](crate::ring::broadcast::lossy::Subscriber::step_over_dead), the counter is seen to be beyond the place
    /// before the records are looked at, and the stamp after them. If that is still none of this lap, or LOST, then nobody had
    /// dealt with the frame when the records were read, so they tell its cells; and `oldest` has not passed it (O1), so
    /// it has the number that this subscriber knows. Whoever closes the hole leaves one of so many cells, and with a number.
    pub(crate) fn step_over_dead(&mut self, life: impl Fn(usize) -> Life) {
        let Parts { cells, publishers, .. } = self.parts;
        if self.is_overtaken || !self.is_claimed() {
            return;
        }
        if let Some(units) = publishers.left_by_dead(&cells, self.next, life) {
            if let (Seen::Coming, _) = self.parts.see(self.next) {
                self.missed = self.missed.saturating_add(1);
                self.step(Frame { is_message: false, has_number: true, units });
            }
        }
    }

    /// The payload of the message that comes next, and how many cells it has. To be read with relaxed loads (in place, if
    /// publishers wait for this subscriber) after [`Sight::Message`], before [`pass`](Self::pass).
    pub(crate) fn payload(&self) -> Option<(NonNull<AtomicU64>, u16)> {
        self.frame.map(|frame| (self.parts.cells.payload(self.next), frame.units))
    }

    /// Whether everything that has been read from the payload belongs to the message. If not, the copy is worth nothing, and
    /// the next look says why.
    pub(crate) fn accept(&mut self) -> bool {
        self.is_overtaken = match self.seat {
            None => !self.parts.is_there(self.next),
            Some(seat) => {
                // Acquire: if a word that was read has been overwritten, the note is seen below; pairs with the fence in
                // `Publisher::claim`.
                fence(Ordering::Acquire);
                seat.is_evicted()
            }
        };
        !self.is_overtaken
    }

    /// See [`End::take_room_made`](crate::ring::End::take_room_made).
    pub(crate) fn take_room_made(&mut self) -> bool {
        core::mem::take(&mut self.has_made_room)
    }

    /// Steps on from a message that was accepted, and lets publishers have its cells.
    pub(crate) fn pass(&mut self) {
        if let Some(frame) = self.frame.take() {
            self.step(frame);
        }
    }

    fn step(&mut self, frame: Frame) {
        self.number = self.number.wrapping_add(u64::from(frame.has_number));
        self.next = self.parts.cells.after(self.next, frame.units);
        if let Some(seat) = self.seat {
            seat.store(self.next);
        }
    }

    /// Jumps to the oldest message that is still there, or says why it must not.
    fn catch_up(&mut self, found: u64) -> Result<(), Sight> {
        if let Some(seat) = self.seat {
            let broken = Sight::Broken(self.parts.evidence(self.next, found));
            return Err(if seat.is_evicted() { Sight::Evicted } else { broken });
        }
        // If it is overtaken over and over, it is to be tried again.
        let (oldest, number) = self.parts.first().map_err(Sight::Broken)?.ok_or(Sight::Nothing)?;
        if self.next.ahead(oldest) <= 0 {
            return Err(Sight::Broken(self.parts.evidence(self.next, found)));
        }
        self.missed = self.missed.wrapping_add(number.wrapping_sub(self.number));
        (self.next, self.number, self.is_overtaken) = (oldest, number, false);
        Ok(())
    }
}

impl Seat {
    /// Finds the first cursor (J1 to J4 of `broadcast`).
    fn join(&self, parts: &Parts, history: u64) -> Result<Position, Evidence> {
        let tail = parts.publishers.counter.load(&parts.cells)?;
        self.store(before(&parts.cells, tail, self.gate.history));
        // SeqCst (J2): with the fence in `Gate::floor`, either that finds the cursor stored above, or the counter that is
        // loaded below is the one that it was based on.
        fence(Ordering::SeqCst);
        let tail = parts.publishers.counter.load(&parts.cells)?;
        let bound = before(&parts.cells, tail, self.gate.history);
        let (_, messages) = search(parts, bound, tail, u64::MAX);
        Ok(search(parts, bound, tail, messages.saturating_sub(history)).0)
    }

    fn store(&self, cursor: Position) {
        // Release: the cells before have been read; pairs with the Acquire in `Gate::cursor`.
        self.gate.subscribers.claim(self.line).store(cursor.word() << 2 | 1, Ordering::Release);
    }

    fn leave(&self) {
        // Release: as in `store`.
        self.gate.subscribers.claim(self.line).store(0, Ordering::Release);
    }

    fn is_evicted(&self) -> bool {
        // Relaxed: an Acquire load or fence of what made the caller ask comes before.
        self.gate.subscribers.lost(self.line).load(Ordering::Relaxed) as u32 == self.generation
    }
}

/// The beginning of a frame, and its number, with at most `history` messages between it and the end.
fn start(parts: &Parts, history: u64) -> Result<(Position, u64), Evidence> {
    for _ in 0..MAX_ROUNDS {
        let Some(first) = parts.first()? else { continue };
        let (_, end_number) = walk(parts, first, |_| true);
        let found = walk(parts, first, |number| end_number.wrapping_sub(number) > history);
        // A walk that was overtaken has ended too early.
        if parts.is_there(first.0) {
            return Ok(found);
        }
    }
    // So busy a ring has no history to speak of. What is not there any more is reported as missed.
    parts.load_oldest().map(|oldest| (oldest, parts.number(oldest).load(Ordering::Relaxed)))
}

/// Goes from frame to frame while the number of the next is early, as far as they have been published.
fn walk(parts: &Parts, (mut at, mut number): (Position, u64), is_early: impl Fn(u64) -> bool) -> (Position, u64) {
    for _ in 0..parts.cells.capacity() {
        match parts.see(at).0 {
            Seen::Frame(frame) if is_early(number) => {
                number = number.wrapping_add(u64::from(frame.has_number));
                at = parts.cells.after(at, frame.units);
            }
            _ => break,
        }
    }
    (at, number)
}

/// Looks for messages from `at` on, which need not be the beginning of a frame, jumping over the first so many, lost ones
/// included. Returns the beginning of the next, or the tail, and how many there were before it.
pub(super) fn search(parts: &Parts, mut at: Position, tail: Position, jump: u64) -> (Position, u64) {
    let mut messages = 0;
    for _ in 0..=parts.cells.capacity() {
        if at.ahead(tail) <= 0 {
            break;
        }
        match parts.see(at).0 {
            Seen::Frame(_) if messages == jump => return (at, messages),
            Seen::Frame(frame) => {
                messages += u64::from(frame.has_number);
                at = parts.cells.after(at, frame.units);
            }
            // Inside of a frame, or of one that is yet to be published.
            _ => at = parts.cells.after(at, 1),
        }
    }
    (tail, messages)
}
