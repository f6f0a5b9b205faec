//! A subscriber that publishers wait for. It has a record of its own, whose claim is its cursor.
//!
//! # Who wakes a publisher
//!
//! A publisher that has found the ring full may sleep, and the subscriber whose cursor gives it room has to wake it. Any
//! other one would wake it in vain: with eight subscribers on a processor, that happened ten times a lap, and each
//! time the publisher announced its next sleep by a barrier on every processor. So those who find that somebody sleeps look
//! at each other's cursors first.
//!
//! ```text
//! publisher, which needs position p               subscriber
//! A1  word := SLEEPING                            N1  cursor := next;  word = SLEEPING?
//! A2  barrier                                     N2  T := counter;  cursor at least a lap behind T?  then it is not me
//! A3  load the cursors; one at least a lap        N3  fence   (SeqCst)
//!     behind p?  then sleep                       N4  load the cursors; one at least a lap behind T?  then it is they
//!                                                 N5  wake
//! ```
//!
//! *Nobody is forgotten.* Let a publisher sleep, with nobody else publishing (who does, wakes the others). Each cursor that is a
//! lap behind p comes out of that by one store, its *step*. A3 has not seen some subscriber's step. By the case proof of
//! [`waiting`](crate::waiting) this one looks at the word after the barrier A2, so that it finds SLEEPING, or has been
//! preceded by a wake-up, and finds T = p. It has not left this T to others before, since its cursor was in the way. So it
//! comes to N4, and wakes, or finds a cursor whose step it does not see. That step was not before the barrier either, and
//! its subscriber's fence N3 comes after this one's. So the same holds for that one; there are finitely many, and the last
//! one wakes.
//!
//! A step over a message that was given up has its look at the word when its subscriber has received what follows. One that
//! finds nothing there wakes everybody before it sleeps. A subscriber that dies, or is evicted, wakes nobody; publishers look
//! for that themselves, every time that they have slept for a slice. One that leaves wakes everybody, and so does one that has
//! joined, whose preliminary cursor others may have found.

use super::*;

/// An end that reads, and keeps publishers from what it has not read.
pub(crate) struct Subscriber {
    parts: Parts,
    gate: Gate,
    line: usize,
    generation: u32,
    /// The position to read next.
    next: Position,
    /// What the counter was when others were found to keep the ring full: then it is for them to wake publishers.
    left_to_others: Option<Position>,
    /// Whether it has stepped over something, to which nobody has been woken.
    has_made_room: bool,
}

impl Subscriber {
    /// Joins on `line`, whose owner number `generation` it is, with the last `history` messages, or as many of them as
    /// the ring keeps. Joining is serialised by a lock of the caller's, and whoever looks finds the line's owner alive
    /// already. `None` in a lossy ring, or if there is no such line.
    pub(crate) fn attach(parts: Parts, line: usize, generation: u32, history: u64) -> Option<Result<Self, Evidence>> {
        let gate = parts.gate().filter(|gate| line < gate.subscribers.lines())?;
        let load_tail = || parts.publishers.counter.load(&parts.cells);
        // J1: preliminary.
        let next = match load_tail() {
            Ok(tail) => parts.before(tail, gate.history),
            Err(evidence) => return Some(Err(evidence)),
        };
        let mut joined = Subscriber { parts, gate, line, generation, next, left_to_others: None, has_made_room: false };
        joined.publish_cursor();
        // SeqCst (J2): with the fence in `Publisher::scan`, either that finds the cursor stored above, or the counter
        // loaded below is the one that it was based on (B5).
        fence(Ordering::SeqCst);
        match load_tail() {
            Ok(tail) => joined.next = parts.before(tail, history.min(gate.history)),
            Err(evidence) => {
                joined.detach();
                return Some(Err(evidence));
            }
        }
        joined.publish_cursor();
        Some(Ok(joined))
    }

    /// Leaves. Publishers wait for it no longer.
    pub(crate) fn detach(&self) {
        // Release: everything has been read; pairs with the Acquire in `Gate::cursor`.
        self.gate.subscribers.claim(self.line).store(0, Ordering::Release);
    }

    /// What comes next.
    #[inline(always)]
    pub(crate) fn look(&mut self) -> Sight {
        match self.parts.see(self.next) {
            (Seen::Message, _) => Sight::Message,
            (Seen::Coming, _) => Sight::Nothing,
            _ => self.look_closer(),
        }
    }

    /// Number of the message that comes next.
    pub(crate) fn number(&self) -> u64 {
        self.parts.number_of(self.next)
    }

    /// Whether a publisher has claimed what comes next. If it is not to be seen for long, its publisher may be dead.
    pub(crate) fn is_claimed(&self) -> bool {
        self.parts.publishers.counter.load(&self.parts.cells).is_ok_and(|tail| self.next.ahead(tail) > 0)
    }

    /// The [payload](Self::payload) of the message that comes next, if there is one: to be read at once, and then
    /// [completed](Self::complete). `None` says nothing.
    #[inline(always)]
    pub(crate) fn begin(&self) -> Option<NonNull<AtomicU64>> {
        self.sees_next().then(|| self.payload())
    }

    /// [Passes](Self::pass) the message that was read after [`begin`](Self::begin), if it is to be [accepted](Self::accept).
    #[inline(always)]
    pub(crate) fn complete(&mut self) -> bool {
        let is_accepted = self.accept();
        if is_accepted {
            self.pass();
        }
        is_accepted
    }

    /// The payload of the message that comes next: to be read after [`Sight::Message`]. It stays as it is until
    /// [`pass`](Self::pass), unless this subscriber is evicted.
    #[inline(always)]
    pub(crate) fn payload(&self) -> NonNull<AtomicU64> {
        self.parts.cells.payload(self.next)
    }

    /// Whether everything that has been read from the payload belongs to the message; false if this subscriber has been
    /// evicted.
    #[inline(always)]
    pub(crate) fn accept(&self) -> bool {
        // Acquire (S3): if a word that was read has been overwritten, the note is seen below (B6); pairs with the fence
        // in `Publisher::open`.
        fence(Ordering::Acquire);
        // Relaxed (S4): the fence orders it.
        self.gate.subscribers.lost(self.line).load(Ordering::Relaxed) as u32 != self.generation
    }

    /// Steps on, and lets publishers have the cell.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.next = self.parts.cells.after(self.next, 1);
        self.publish_cursor();
    }

    /// Whether a message comes next.
    #[inline(always)]
    pub(crate) fn sees_next(&self) -> bool {
        self.parts.has_message(self.next)
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

    /// As [`pass`](Self::pass), for so many cells, all of which have messages. One store lets publishers have them.
    pub(crate) fn pass_many(&mut self, count: usize) {
        self.next = self.parts.cells.forward(self.next, count as u64);
        self.publish_cursor();
    }

    /// Whether it is for this subscriber, which has [passed](Self::pass) something, to wake publishers that sleep because
    /// the ring was full. `counted` is that of [`Publisher::claim`].
    #[cold]
    pub(crate) fn makes_room(&mut self, counted: impl Fn(usize) -> Option<u32>) -> bool {
        let (cells, gate) = (&self.parts.cells, &self.gate);
        // N2. That the ring is damaged, publishers find out for themselves.
        let Ok(tail) = self.parts.publishers.counter.load(cells) else { return true };
        let leaves_room = |cursor: Position| cursor.ahead(tail) < cells.one_lap() as i64;
        if self.left_to_others == Some(tail) || !leaves_room(self.next) {
            return false;
        }
        // SeqCst (N3): of two subscribers that leave room for the same publisher, the one whose fence comes later finds the
        // other's cursor.
        fence(Ordering::SeqCst);
        let cursor = |line| gate.cursor(cells, line, counted(line)?);
        let is_behind = |line| cursor(line).is_some_and(|cursor| !leaves_room(cursor));
        let is_full = (0..gate.subscribers.lines()).any(is_behind);
        self.left_to_others = is_full.then_some(tail);
        !is_full
    }

    /// See [`End::take_room_made`](crate::ring::End::take_room_made).
    pub(crate) fn take_room_made(&mut self) -> bool {
        core::mem::take(&mut self.has_made_room)
    }

    #[inline(always)]
    fn publish_cursor(&self) {
        let word = self.next.word() << 2 | 1;
        // Release: the cells before have been read; pairs with the Acquire in `Gate::cursor`.
        self.gate.subscribers.claim(self.line).store(word, Ordering::Release);
    }

    #[cold]
    fn look_closer(&mut self) -> Sight {
        let mut missed = 0;
        for _ in 0..self.parts.cells.capacity() {
            let (seen, found) = self.parts.see(self.next);
            match seen {
                Seen::Gap { is_lost } => {
                    missed += u64::from(is_lost);
                    self.pass();
                    self.has_made_room = true;
                }
                _ if missed != 0 => break,
                Seen::Message => return Sight::Message,
                Seen::Coming => return Sight::Nothing,
                // `see` was an Acquire, so the note is seen if it was the reason (B6).
                Seen::Gone if !self.accept() => return Sight::Evicted,
                Seen::Gone | Seen::Impossible => return Sight::Broken(self.parts.evidence(self.next, found)),
            }
        }
        if missed != 0 { Sight::Missed(missed) } else { Sight::Nothing }
    }
}
