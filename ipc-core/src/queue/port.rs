//! The code that all senders and receivers share, written once for every ring.
//!
//! A [`Port`] joins two things: an [`End`], which is the ring's producer or consumer and never blocks, and a
//! [`Station`], which is this handle's seat in the participant table and does the blocking. [`Port`] moves the messages
//! between them: it waits until the end owns a slot, writes or reads the slot, passes it on, and wakes the peers.
//!
//! [`Sender`](super::Sender), [`Receiver`](super::Receiver) and the ends of broadcasts are wrappers of it.

use super::sender::send_error;
use crate::error::{Corrupt, SendBatchError, SendError, TooLarge};
use crate::info::ChannelInfo;
use crate::interest::Interest;
use crate::message::IpcMessage;
use crate::message::tail::bytes_with;
use crate::ring::{Begun, End, Evidence, Turn, VariableProducer};
use crate::segment::Segment;
use crate::station::{Blocked, Patience, Station};
use crate::timing::Timing;
use crate::{waiting, words};
use core::borrow::Borrow;
use core::hint;
use core::mem::{self, MaybeUninit};
use core::sync::atomic::AtomicU32;
use core::time::Duration;
use crossbeam_utils::Backoff;
use std::thread;
use std::time::Instant;

mod batch;

/// How long to wait for another one of this side to notice that it is not alone any more. That takes a few instructions, but for
/// one that is stopped among them: then the end is opened all the same, and finds nothing until the other one goes on.
const SETTLING_PATIENCE: Duration = Duration::from_millis(100);

/// An end of a ring that can repair what dead participants left behind in it.
pub(crate) trait Tended: End {
    /// Whether what this end claims stands in the way of others of its side, so that an eviction counts at once. An end that
    /// has its side for itself learns of one when it waits.
    const CLAIMS_AMONG_OTHERS: bool = Self::IS_SHARED;

    /// Repairs whatever blocks this end. Whether what it finds is to be believed: see [`End::may_claim`].
    fn tend(&mut self, segment: &Segment) -> bool;

    /// Wakes peers that sleep until this end passes a slot on. It has passed `count`.
    #[inline(always)]
    fn wake(station: &Station, count: usize) {
        if Self::IS_SHARED {
            station.wake_some(count.try_into().unwrap_or(u32::MAX));
        } else {
            station.wake();
        }
    }
}

/// One end of a channel. What each message changes comes first, where it shares its cache lines with nothing else.
#[repr(C)]
pub(crate) struct Port<E: Tended> {
    end: E,
    station: Station,
    /// Present if the channel has timestamps.
    timing: Option<Timing>,
}

impl<E: Tended> Port<E> {
    /// Joins an end of a ring with its station.
    pub(crate) fn new((station, mut end): (Station, E)) -> Self {
        let (backoff, started) = (Backoff::new(), Instant::now());
        while !end.may_claim() && !end.tend(station.segment()) && started.elapsed() < SETTLING_PATIENCE {
            if backoff.is_completed() {
                thread::sleep(Duration::from_micros(200));
            }
            backoff.snooze();
        }
        let timing = Timing::new(station.segment(), station.side());
        Port { end, station, timing }
    }

    /// The channel's actual options, and who created it.
    pub(crate) fn info(&self) -> &ChannelInfo {
        self.station.info()
    }

    /// The end of the ring.
    pub(crate) fn end(&self) -> &E {
        &self.end
    }

    /// Whether this end owns the slot at its position. Always `false` in a forked child, for which [`wait`](Port::wait)
    /// returns the error.
    #[inline(always)]
    pub(crate) fn is_ready(&mut self) -> bool {
        !self.is_refused() && self.end.is_ready()
    }

    /// Whether nothing is to be claimed any more.
    #[inline(always)]
    fn is_refused(&self) -> bool {
        self.station.is_forked() || E::CLAIMS_AMONG_OTHERS && self.station.is_evicted()
    }

    /// Whether this process was forked from the one that opened the channel.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.station.is_forked()
    }

    /// See [`Station::check_in_place`].
    pub(crate) fn check_in_place(&self) -> Result<(), Blocked> {
        self.station.check_in_place()
    }

    /// As [`take_turns`](Port::take_turns), for a call that hands out references into shared memory.
    /// None is taken if none is asked for.
    pub(crate) fn take_turns_in_place(
        &mut self,
        max: usize,
        patience: impl FnOnce() -> Patience,
    ) -> Result<(), Blocked> {
        if max == 0 {
            return Ok(());
        }
        self.check_in_place()?;
        self.take_turns(max, patience)
    }

    /// As [`take_turn`](Port::take_turn), for a call that hands out a reference into shared memory.
    pub(crate) fn take_turn_in_place(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Blocked> {
        self.check_in_place()?;
        self.take_turn(patience)
    }

    /// Stops a guard from being used in a forked child, where its slot is blank, if not every bit pattern is a value.
    ///
    /// # Panics
    ///
    /// In a child that was forked since the channel was opened.
    #[inline(always)]
    pub(crate) fn assert_not_forked(&self) {
        assert!(!self.is_forked(), "this guard was taken before a fork, and its message is not in the child");
    }

    /// Writes a message into the next slot and publishes it. Calls `patience` for the time limit if it has to wait.
    #[inline(always)]
    pub(crate) fn send<T: IpcMessage>(
        &mut self,
        message: T,
        patience: impl FnOnce() -> Patience,
    ) -> Result<(), (T, Blocked)> {
        if let Some(begun) = self.begin() {
            let unfinished = Unfinished(&mut self.end, begun);
            // SAFETY: the slot is this end's own until it is completed, and large and aligned enough for a `T`, which the
            // geometry ensures.
            unsafe { message.place(begun.payload.as_ptr().cast()) };
            mem::forget(unfinished);
            self.complete(begun);
            return Ok(());
        }
        if let Err(blocked) = self.take_turn(patience) {
            return Err((message, blocked));
        }
        // SAFETY: the slot is this end's own, and large and aligned enough for a `T`, which the geometry ensures.
        unsafe { message.place(self.payload().cast()) };
        self.pass();
        Ok(())
    }

    /// As [`send`](Port::send), of a copy of a message of one length.
    #[inline(always)]
    pub(crate) fn send_copy<T: IpcMessage + ?Sized>(
        &mut self,
        message: &T,
        patience: impl FnOnce() -> Patience,
    ) -> Result<(), Blocked> {
        self.take_turn(patience)?;
        // SAFETY: as in `send`; a message of one length has no tail.
        unsafe { message.place(T::pointer(self.payload(), 0)) };
        self.pass();
        Ok(())
    }

    /// Copies the next message out, frees its slot, validates the copy, and returns it. `end` converts the reason for
    /// which a wait ended without a message; `Ok` is the end of the channel.
    ///
    /// The caller's result is built here, and no call that is not inlined writes to it, so a small message stays in
    /// registers until it is where the caller wants it. In memory it would be moved by loads that straddle the stores before
    /// them, which defeats store-to-load forwarding and stalls the processor.
    #[inline(always)]
    pub(super) fn recv<T: IpcMessage, F: From<Corrupt>>(
        &mut self,
        patience: impl FnOnce() -> Patience,
        end: impl FnOnce(Blocked) -> Result<(), F>,
    ) -> Result<Option<T>, F> {
        let begun = self.begin();
        if begun.is_none() {
            if let Err(blocked) = self.take_turn(patience) {
                return end(blocked).map(|()| None);
            }
        }
        let copy = self.copy_from(begun.map_or_else(|| self.payload(), |begun| begun.payload.as_ptr().cast()));
        match begun {
            Some(begun) => self.complete(begun),
            None => self.pass(),
        }
        // SAFETY: all bytes of the copy have been loaded, and this is all that is done with it.
        unsafe { received(&copy) }
    }

    /// Copies the message out of a slot that this end owns, whose payload is `payload`. The copy has not been validated.
    #[inline(always)]
    fn copy_from<T: IpcMessage>(&mut self, payload: *mut u8) -> MaybeUninit<T> {
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: the slot is this end's own; it starts at a multiple of 8 bytes and has room for a `T` in whole words.
        unsafe { words::load(payload, copy.as_mut_ptr().cast(), size_of::<T>()) };
        copy
    }

    /// Waits until this end owns the slot at its position. Calls `patience` for the time limit if it has to wait.
    #[inline(always)]
    pub(crate) fn take_turn(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Blocked> {
        if self.is_ready() { Ok(()) } else { self.wait(patience()) }
    }

    /// As [`take_turn`](Port::take_turn), and takes up to `max` slots at once if that is cheaper than one after the other.
    pub(crate) fn take_turns(&mut self, max: usize, patience: impl FnOnce() -> Patience) -> Result<(), Blocked> {
        if self.is_ready_for(max) {
            return Ok(());
        }
        self.end.ask_for_slots(max);
        let turn = self.wait(patience());
        self.end.ask_for_slots(1);
        turn
    }

    /// As [`is_ready`](Port::is_ready), and takes up to `max` slots, as [`take_turns`](Port::take_turns) does.
    #[inline(always)]
    fn is_ready_for(&mut self, max: usize) -> bool {
        if !E::CLAIMS_AMONG_OTHERS {
            return self.is_ready();
        }
        self.end.ask_for_slots(max);
        let is_ready = !self.is_refused() && self.end.look() == Turn::Ours;
        self.end.ask_for_slots(1);
        is_ready
    }

    /// See [`End::begin`].
    #[inline(always)]
    fn begin(&mut self) -> Option<Begun> {
        // With timestamps, a message is passed on with more than itself.
        let is_possible = self.end.is_alone() && self.timing.is_none() && !self.is_refused();
        if is_possible { self.end.begin() } else { None }
    }

    /// See [`End::complete`].
    #[inline(always)]
    fn complete(&mut self, begun: Begun) {
        self.end.complete(begun);
        self.flush(1);
    }

    /// The payload of the slot that this end owns.
    #[inline(always)]
    pub(crate) fn payload(&self) -> *mut u8 {
        self.end.payload().as_ptr().cast()
    }

    /// Passes the slot to the other side, advances, and wakes a peer that sleeps.
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.step();
        self.flush(1);
    }

    /// Notes that the messages in the slots that this end owns have been received, though the slots are not free yet.
    pub(super) fn note_arrival(&mut self) {
        if let Some(timing) = &mut self.timing {
            timing.note_arrival();
        }
    }

    /// Passes the slot to the other side and advances. With timestamps, a sender writes the time of the message, and a
    /// receiver records its latency.
    #[inline(always)]
    fn step(&mut self) {
        if self.timing.is_some() { self.step_timed(1) } else { self.end.pass() }
    }

    /// Passes the next `count` slots one by one. Their messages were all received at the same time, if
    /// [`note_arrival`](Port::note_arrival) was called.
    ///
    /// It is not rare where it is done at all. But called from a way that is cold it leaves a message that has been
    /// received in registers where it is not done.
    #[cold]
    #[inline(never)]
    fn step_timed(&mut self, count: usize) {
        let Some(timing) = &mut self.timing else { return };
        let arrival_ns = timing.arrival();
        for _ in 0..count {
            let payload = self.end.payload();
            timing.note_arrival_again(arrival_ns);
            // SAFETY: the slot is this end's own until it is passed, and one of the segment that the timing is for,
            // which `station` keeps mapped.
            unsafe { timing.pass(payload, || self.end.pass()) };
        }
    }

    /// How many slots this end owns from its position on, at most `max`.
    pub(crate) fn owned(&mut self, max: usize) -> usize {
        self.end.owned(max)
    }

    /// The payload `ahead` slots on, of those that this end owns.
    pub(crate) fn payload_ahead(&self, ahead: usize) -> *mut u8 {
        self.end.payload_ahead(ahead).as_ptr().cast()
    }

    /// As [`pass`](Port::pass), for the next `count` slots, all of which this end owns.
    pub(crate) fn pass_many(&mut self, count: usize) {
        match &self.timing {
            Some(timing) if timing.counts() => self.step_timed(count),
            Some(timing) => {
                for ahead in 0..count {
                    // SAFETY: as in `step_timed`; this end owns so many slots.
                    unsafe { timing.stamp(self.end.payload_ahead(ahead)) };
                }
                self.end.pass_many(count);
            }
            None => self.end.pass_many(count),
        }
        self.flush(count);
    }

    /// Gives the slot back without a message.
    pub(crate) fn abandon(&mut self) {
        self.end.abandon();
        self.flush(1);
    }

    /// Wakes peers that sleep, for `count` slots that were passed to them.
    #[inline(always)]
    fn flush(&self, count: usize) {
        E::wake(&self.station, count);
    }

    /// What this end sleeps on: see [`Sealed::interest`](crate::interest::Sealed::interest).
    pub(crate) fn interest(&self) -> Interest {
        self.station.interest(!self.end.may_claim())
    }

    /// Whether this end owns a slot, or has an error to tell.
    pub(crate) fn look(&mut self) -> bool {
        // That it has made room for others is for a probe to tell them, without which nobody sleeps.
        self.is_refused() || self.end.look() != Turn::Theirs
    }

    /// Whether a wait would end at once.
    pub(crate) fn probe(&mut self) -> bool {
        let Port { end, station, .. } = self;
        station.probe(end, turn, E::tend)
    }

    #[cold]
    #[inline(never)]
    fn wait(&mut self, patience: Patience) -> Result<(), Blocked> {
        if self.is_forked() {
            return Err(Blocked::Forked);
        }
        let Port { end, station, .. } = self;
        if !matches!(patience, Patience::None) {
            (0..end.stand_back()).for_each(|_| hint::spin_loop());
        }
        station.wait(patience, end, turn, E::tend)
    }
}

impl<E: Tended + VariableProducer> Port<E> {
    /// Requests a slot for a message whose tail has the length `tail_len`.
    pub(crate) fn claim<T: IpcMessage + ?Sized>(&mut self, tail_len: usize) -> Result<(), TooLarge> {
        self.claim_bytes(bytes_with::<T>(tail_len).unwrap_or(usize::MAX))
    }

    /// Requests a slot of `bytes` bytes.
    pub(crate) fn claim_bytes(&mut self, bytes: usize) -> Result<(), TooLarge> {
        if self.station.is_struck() {
            self.end.forget();
        }
        if self.end.ask_for(bytes).map_err(|limit| TooLarge { bytes, limit })? {
            self.flush(1);
        }
        Ok(())
    }

    /// As [`send_copy_batch`](Port::send_copy_batch), of a ring whose messages vary in length.
    pub(crate) fn send_frames<T: IpcMessage + ?Sized, M: Borrow<T>>(
        &mut self,
        messages: impl Iterator<Item = M>,
    ) -> Result<usize, SendBatchError<M>> {
        self.send_copy_batch(messages, Self::claim::<T>)
    }

    /// Shortens the slot that this end owns to `bytes` bytes.
    pub(crate) fn shorten(&mut self, bytes: usize) {
        self.end.shorten(bytes);
    }

    /// The size of the largest slot, in bytes.
    pub(crate) fn limit_bytes(&self) -> usize {
        self.end.limit_bytes()
    }
}

impl<E: Tended> Drop for Port<E> {
    fn drop(&mut self) {
        let Port { end, station, .. } = self;
        if !station.is_struck() {
            end.detach();
        }
        station.close();
        if E::CLAIMS_AMONG_OTHERS && !station.is_forked() {
            // What this end had claimed is there for the others of its side: a message, or a place that they wait for.
            station.wake_own_side();
        }
        station.leave(|| end.is_drained());
    }
}

/// A slot whose message is being stored. Dropping it, as a panic does, gives the slot up.
struct Unfinished<'a, E: End>(&'a mut E, Begun);

impl<E: End> Drop for Unfinished<'_, E> {
    fn drop(&mut self) {
        self.0.relinquish(self.1);
    }
}

/// Validates a copied message and returns it.
#[inline(always)]
pub(crate) fn check<T: IpcMessage>(copy: MaybeUninit<T>) -> Result<T, Corrupt> {
    validate(&copy)?;
    // SAFETY: `validate` has found that the copy is a `T`.
    Ok(unsafe { copy.assume_init() })
}

/// Validates a copied message, and returns it as what was received.
///
/// # Safety
///
/// All bytes of the copy are initialised, and the caller has no other use for it.
#[inline(always)]
pub(crate) unsafe fn received<T: IpcMessage, F: From<Corrupt>>(copy: &MaybeUninit<T>) -> Result<Option<T>, F> {
    match validate(copy) {
        // By reading it: to move it is one more copy of a message that is not small.
        // SAFETY: `validate` has found that the copy is a `T`, and the caller vouches that it is read once.
        Ok(()) => Ok(Some(unsafe { copy.assume_init_read() })),
        Err(corrupt) => Err(corrupt.into()),
    }
}

/// Checks that a copy that was loaded from a slot is a `T`.
#[inline(always)]
pub(crate) fn validate<T: IpcMessage>(copy: &MaybeUninit<T>) -> Result<(), Corrupt> {
    if !T::ANY_BITS {
        // SAFETY: every byte of the copy is initialised: `Port::copy` has loaded them all.
        unsafe { T::validate(copy.as_ptr()) }?;
    }
    Ok(())
}

/// Whether this end owns a slot; an error if the slot's stamp is impossible. Wakes those who sleep on `theirs` if the look has
/// made room for them.
fn turn(end: &mut impl End, theirs: &AtomicU32) -> Result<bool, Corrupt> {
    let turn = end.look();
    if end.take_room_made() {
        waiting::wake(theirs);
    }
    match turn {
        Turn::Ours => Ok(true),
        Turn::Theirs => Ok(false),
        Turn::Broken(Evidence { slot, found, expected }) => Err(Corrupt::Stamp { slot, found, expected }),
    }
}
