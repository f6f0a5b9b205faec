//! Batches of messages that are copied, and of messages that are shown one after the other.

use super::*;

/// How many slots a batch that is sent takes at once. The messages of others wait until all of them have been filled.
const RUN_MAX: usize = 64;

impl<E: Tended> Port<E> {
    /// Sends all messages as [`send`](Port::send) does, until one has to wait for longer than `patience`. Peers are
    /// woken once for the whole batch, or for as many as a shared ring takes together, even if the iterator panics.
    pub(crate) fn send_batch<T: IpcMessage>(
        &mut self,
        messages: impl Iterator<Item = T>,
        patience: impl Fn() -> Patience,
    ) -> Result<usize, (usize, T, Blocked)> {
        if E::IS_SHARED {
            return self.send_runs(messages, patience);
        }
        let mut messages = messages.fuse();
        let mut batch = Batch { port: self, passed: 0, flushed: 0, is_sent: true };
        while let Some(message) = messages.next() {
            if let Err(blocked) = batch.take_turn(&messages, &patience) {
                return Err((batch.passed, message, blocked));
            }
            // SAFETY: as in `send`.
            unsafe { message.place(batch.port.payload().cast()) };
            batch.port.step();
            batch.passed += 1;
            batch.send_more(&mut messages);
        }
        Ok(batch.passed)
    }

    /// As [`send_batch`](Port::send_batch), where there may be others on this side. Slots for messages that the iterator has
    /// promised are taken together, and given back if they do not come. What is in them is published together: a receiver
    /// that follows slot by slot would take the lines away from the sender that writes the next ones.
    fn send_runs<T: IpcMessage>(
        &mut self,
        mut messages: impl Iterator<Item = T>,
        patience: impl Fn() -> Patience,
    ) -> Result<usize, (usize, T, Blocked)> {
        let mut run = Run { port: self, passed: 0, filled: 0 };
        while let Some(message) = messages.next() {
            if let Err(blocked) = run.take_turn(&messages, &patience) {
                return Err((run.passed, message, blocked));
            }
            // SAFETY: as in `send`; the slot after those that have been filled is this end's own as well.
            unsafe { message.place(run.port.payload_ahead(run.filled).cast()) };
            run.filled += 1;
            if run.filled == run.port.owned(RUN_MAX) {
                // The iterator may wait before it comes to what it has not promised.
                run.publish();
            }
        }
        run.publish();
        Ok(run.passed)
    }

    /// As [`send_batch`](Port::send_batch), for copies of messages of any length; `claim` asks for a slot for one with a tail
    /// of this length.
    pub(crate) fn send_copy_batch<T: IpcMessage + ?Sized, M: Borrow<T>>(
        &mut self,
        mut messages: impl Iterator<Item = M>,
        claim: impl Fn(&mut Self, usize) -> Result<(), TooLarge>,
    ) -> Result<usize, SendBatchError<M>> {
        let mut batch = Batch { port: self, passed: 0, flushed: 0, is_sent: true };
        while let Some(message) = messages.next() {
            let tail_len = T::tail_len(message.borrow());
            if let Err(too_large) = claim(batch.port, tail_len) {
                return Err(SendBatchError { sent: batch.passed, error: SendError::TooLarge(message, too_large) });
            }
            if let Err(blocked) = batch.take_turn(&messages, || Patience::Forever) {
                return Err(SendBatchError { sent: batch.passed, error: send_error(message, blocked) });
            }
            // SAFETY: the slot is this end's own, aligned for a `T`, and large enough for one with this tail.
            unsafe { message.borrow().place(T::pointer(batch.port.payload(), tail_len)) };
            batch.port.step();
            batch.passed += 1;
        }
        Ok(batch.passed)
    }

    /// Appends up to `max` messages to `messages`, and waits for the first one. Peers are woken once for the whole batch, or for
    /// as many as are found at once.
    pub(in crate::queue) fn recv_batch<T: IpcMessage>(
        &mut self,
        messages: &mut Vec<T>,
        max: usize,
        patience: impl FnOnce() -> Patience,
    ) -> Result<Result<usize, Corrupt>, Blocked> {
        if max == 0 {
            return Ok(Ok(0));
        }
        self.take_turns(max, patience)?;
        Ok(if E::IS_SHARED { self.recv_claimed(messages, max) } else { self.recv_runs(messages, max) })
    }

    /// Receives messages of which this end owns the first. Slots are freed together, as many as are found filled at once.
    fn recv_runs<T: IpcMessage>(&mut self, messages: &mut Vec<T>, max: usize) -> Result<usize, Corrupt> {
        let mut received = 0;
        loop {
            let owned = self.owned(max - received);
            messages.reserve(owned);
            let (mut valid, mut checked) = (0, Ok(()));
            for copy in &mut messages.spare_capacity_mut()[..owned] {
                // SAFETY: the slot is this end's own; it starts at a multiple of 8 bytes and has room for a `T` in whole words.
                unsafe { words::load(self.payload_ahead(valid), copy.as_mut_ptr().cast(), size_of::<T>()) };
                checked = validate(copy);
                if checked.is_err() {
                    break;
                }
                valid += 1;
            }
            // SAFETY: `validate` has found that so many copies, for which there was room, are each a `T`.
            unsafe { messages.set_len(messages.len() + valid) };
            self.pass_many(valid + usize::from(checked.is_err()));
            checked?;
            received += valid;
            if received == max || !self.is_ready() {
                return Ok(received);
            }
        }
    }

    /// As [`recv_runs`](Port::recv_runs), where each slot has a stamp by which it is freed.
    fn recv_claimed<T: IpcMessage>(&mut self, messages: &mut Vec<T>, max: usize) -> Result<usize, Corrupt> {
        let mut batch = Batch { port: self, passed: 0, flushed: 0, is_sent: false };
        loop {
            let copy = batch.port.copy_from(batch.port.payload());
            batch.port.step();
            batch.passed += 1;
            messages.push(check(copy)?);
            if batch.passed == max || !batch.port.is_ready_for(max - batch.passed) {
                return Ok(batch.passed);
            }
        }
    }

    /// Shows the messages of one length in the slots that this end owns to `take`, `max` at most, and frees each after it.
    /// Peers are woken once for all.
    #[inline]
    pub(in crate::queue) fn recv_each<T: IpcMessage + ?Sized>(
        &mut self,
        max: usize,
        mut take: impl FnMut(&T),
    ) -> Result<usize, Corrupt> {
        // Looking at all of them first has the processor fetch their lines together, and not each when its turn comes.
        let owned = self.owned(max);
        let mut batch = Batch { port: self, passed: 0, flushed: 0, is_sent: false };
        while batch.passed < owned {
            let message: *const T = T::pointer(batch.port.payload(), 0);
            let checked = if T::ANY_BITS {
                Ok(())
            } else {
                // SAFETY: the slot is this end's own, is aligned for a `T`, and holds as many initialised bytes as one has.
                unsafe { T::validate(message) }
            };
            if checked.is_ok() {
                // SAFETY: as above, and the message is valid: any bits are one, or it was checked.
                take(unsafe { &*message });
            }
            batch.port.step();
            batch.passed += 1;
            checked?;
        }
        Ok(owned)
    }

    /// Whether stores to slots that this end has claimed are seen by others, and do no harm.
    fn may_store(&self) -> bool {
        !self.is_forked() && !self.station.is_struck()
    }
}

/// A batch being sent or received. Dropping it wakes the peers for what they have not been woken for yet.
struct Batch<'a, E: Tended> {
    port: &'a mut Port<E>,
    passed: usize,
    /// How many of those the peers have been woken for.
    flushed: usize,
    /// Whether slots that are left are of no use any more.
    is_sent: bool,
}

impl<E: Tended> Batch<'_, E> {
    /// Waits until the end owns a slot for the message that comes before `rest`. Peers are woken before it waits.
    #[inline(always)]
    fn take_turn(&mut self, rest: &impl Iterator, patience: impl Fn() -> Patience) -> Result<(), Blocked> {
        let count = if E::IS_SHARED { promised(rest) } else { 1 };
        if self.port.is_ready_for(count) {
            return Ok(());
        }
        self.flush();
        self.port.take_turns(count, patience)
    }

    /// Sends messages for which there is room, as far as that is known, if no more is to be done for each, and nobody minds
    /// a slot that is taken in vain.
    #[inline(always)]
    fn send_more<T: IpcMessage>(&mut self, messages: &mut impl Iterator<Item = T>) {
        let Port { end, station, timing: None } = &mut *self.port else { return };
        if E::CLAIMS_AMONG_OTHERS {
            return;
        }
        let passed = &mut self.passed;
        end.pass_each(|payload| {
            // An iterator may fork.
            let message = if station.is_forked() { None } else { messages.next() };
            let Some(message) = message else { return false };
            // SAFETY: as in `send`.
            unsafe { message.place(payload.as_ptr().cast()) };
            *passed += 1;
            true
        });
    }

    fn flush(&mut self) {
        self.port.flush(self.passed - self.flushed);
        self.flushed = self.passed;
    }
}

impl<E: Tended> Drop for Batch<'_, E> {
    fn drop(&mut self) {
        // If the iterator had fewer messages than it said, or has panicked.
        if self.is_sent && self.port.may_store() && self.port.end.give_rest_back() {
            // Others' messages may have been waiting behind.
            self.port.flush(1);
        }
        self.flush();
    }
}

/// Slots that were taken together, and are being filled. Dropping it publishes what has been filled, and gives the others back.
struct Run<'a, E: Tended> {
    port: &'a mut Port<E>,
    /// How many messages have been published.
    passed: usize,
    /// How many more have been written to slots that this end owns.
    filled: usize,
}

impl<E: Tended> Run<'_, E> {
    /// Waits until the end owns a slot for the message that comes before `rest`. What has been filled is published before it
    /// waits.
    #[inline(always)]
    fn take_turn(&mut self, rest: &impl Iterator, patience: impl Fn() -> Patience) -> Result<(), Blocked> {
        if self.filled != 0 && !self.port.is_refused() {
            // The others of the run are this end's own.
            return Ok(());
        }
        self.publish();
        self.port.take_turns(promised(rest), patience)
    }

    fn publish(&mut self) {
        let count = core::mem::take(&mut self.filled);
        if count != 0 && self.port.may_store() {
            // In order, so that who dies at it has sent the first ones.
            (0..count).for_each(|_| self.port.step());
            self.passed += count;
            self.port.end.give_rest_back();
            self.port.flush(count);
        }
    }
}

impl<E: Tended> Drop for Run<'_, E> {
    fn drop(&mut self) {
        self.publish();
        if self.port.may_store() && self.port.end.give_rest_back() {
            // Others' messages may have been waiting behind.
            self.port.flush(1);
        }
    }
}

/// How many slots to take for the message that comes before `rest`, and for those that it promises.
fn promised(rest: &impl Iterator) -> usize {
    rest.size_hint().0.saturating_add(1).min(RUN_MAX)
}
