//! Calls: a table of slots, each of which carries one request to a server and its replies back to the client.
//!
//! ```text
//! slot:     | control | 2 wait words | length | time | request ... |   | reply ... | stamp |      or, if replies vary
//!           '------ one line, if the request fits ----------------'   '-- lines of its own-'      in length, stamp,
//!                                                                                                 length, reply
//!
//! control:  | serial, 37 bits | server, 12 bits | client, 12 bits | phase, 3 bits |     0 = free, never used
//! stamp:    | end, 3 bits | reply, 1 bit | 23 zero bits | serial, 37 bits |
//! ticket:   | index, 15 bits | serial, 37 bits | client, 12 bits |
//! ```
//!
//! *Control* says whose the slot is, and is written with it for one call after the other, which the *serial* numbers:
//!
//! ```text
//!           claim             post            take
//!   FREE s --------> FILLING ------> READY --------> TAKEN
//!    ^   s+1, client    |            | | |  server      |
//!    |                  |            | | '-> WITHDRAWN  |
//!    |                  |            | |        |       |
//!    '------------------'------------'-+--------'-------'
//!      given up     withdrawn          read back      the call is over
//! ```
//!
//! (A client that wants its request back goes by way of WITHDRAWN, in which no server takes the call any more; one that does
//! not frees the slot at once.)
//!
//! Clients and servers are numbered by their lines in the participant table. A posted call is announced by its *ticket*,
//! which travels through a queue that is not this module's concern. The ticket holds all that control holds, so a server
//! takes a call by one swap of the exact word and touches the slot only then; a ticket whose call was withdrawn, or is
//! delivered a second time, takes nothing.
//!
//! The *stamp* says how far the answer has come, as the last word of the reply's last line, so that a polling client gets
//! it and a reply of up to 56 bytes in one transfer. A stamp of an earlier serial means: no reply yet. For the present
//! serial it says whether there is a reply that the client has not read, and whether and how the call has ended:
//!
//! ```text
//!                    .---------- read, by the client ----------.
//!                    v                                         |
//!   (earlier) ---> open --------- reply, by the server --> open, reply
//!        |           |                                         |
//!        '-----------'---> ended ------ or at once: ---> ended, reply
//! ```
//!
//! An ordinary answer is the one step from "earlier" to "ended, reply".
//!
//! # Invariants
//!
//! K1. *The request belongs to the client in FILLING and in WITHDRAWN, and to the server in TAKEN until the call has ended.
//!     The reply belongs to the server in TAKEN, while the stamp says that there is none and the call has not ended; and to
//!     the client while the stamp says that there is one.* The length and the time of a request belong to it, and so does
//!     the length of a reply. So they need no orderings of their own, and whoever reads them reads what was written with the
//!     message. They are held against the slot's room all the same: a bug may write anything.
//! K2. *A call ends once.* Every step of the stamp is a swap of the exact word, and none leads away from an ended one of
//!     the same serial. So of the server that answers, the client that abandons, and those who find one of them dead,
//!     exactly one ends the call, and the others learn how it ended.
//! K3. *After the end the slot belongs to the server if the end is ABANDONED, and otherwise to the client*; whoever it
//!     belongs to frees it, and the other one never touches it again.
//! K4. *A word that was seen in control does not come again*, since every claim raises the serial. (The serial has 37
//!     bits: somebody would have to be stopped between its look and its swap for exactly a multiple of 2^37 calls of one
//!     slot.)
//! K5. *The stamp's serial never falls below one that it has had, and never exceeds control's.* Somebody who was slow
//!     may still end an earlier call that nobody waits for, by a swap from a stamp that is older yet; that leaves another
//!     "earlier" stamp, which means the same.
//!
//! # Deaths
//!
//! Both words name those who may change them, so whoever dies leaves a state that says so, and [`Calls::resolve`] moves
//! it on by single swaps of words that were seen while the dead one was known to be dead or before: it may be done by any
//! number of processes at once, and by ones that die meanwhile. Who takes over a dead one's line observes and resolves a
//! slot until nothing changes; after that no slot waits for the dead one, as the table shows: its name is left only where
//! the other of the two has the slot.
//!
//! | control | stamp | client | server | resolved to |
//! |---|---|---|---|---|
//! | FILLING, READY, WITHDRAWN | | gone | | FREE |
//! | TAKEN | not ended | gone | lives | ended: ABANDONED, and the server frees it |
//! | TAKEN | not ended | gone | gone | FREE |
//! | TAKEN | not ended | lives | gone | ended: DIED, and the client frees it |
//! | TAKEN | ABANDONED | | gone | FREE |
//! | TAKEN | ended otherwise | gone | | FREE |
//!
//! *Why a live one is never robbed.* Control's word is seen first, and only then is asked who lives. An owner of that
//! line who is gone at the second moment is gone for good, and so is everybody who had the line before; so the word's
//! client (or server) is gone, whoever may come to the line later, and a later owner's words have other serials (K4). The
//! stamp is swapped only if it is of this serial or an earlier one, which K5 makes harmless.

use super::Evidence;
use crate::atomics::AtomicU64;
use crate::words;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

mod encoding;
mod repair;

pub(crate) use encoding::{Call, End, MAX_CALLS, MAX_LINES, Progress, Taken};
use encoding::{Control, PHASE_BITS, Phase, SERIAL_MASK, is_up_to};

/// How often a server tries to change a stamp. Somebody slow can foil an attempt once (K5); so many of them at once are
/// no accident.
const ATTEMPTS: usize = 64;

/// How far into a request its second line begins, at the latest, if there is one: the head is before it.
const SECOND_LINE_BYTES: usize = 48;

/// Who has a call that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// No server has taken it.
    Nobody,
    /// The server on this line has.
    Server(u32),
    /// Control holds what it cannot hold during this call.
    Broken(Evidence),
}

/// What came of the wish not to wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// No server had taken the call, and none will. The slot is free.
    Withdrawn,
    /// The slot is the server's now, who will free it.
    Abandoned,
    /// The call has ended: the slot is the client's, who reads the reply, if there is one, and frees it.
    TooLate(Progress),
}

/// What a slot's control word was when somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observed(u64);

/// What somebody who resolved a dead participant's slot has to tell others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// Nothing.
    Nothing,
    /// The slot is free.
    Freed,
    /// The call has ended, and its client or server may be waiting for that.
    Ended,
    /// The slot changed meanwhile. To be observed again, if nothing of the dead one may be left.
    Changed,
}

/// The shared parts of a table of calls.
#[derive(Clone, Copy)]
pub(crate) struct Calls {
    first: NonNull<AtomicU64>,
    slots: usize,
    layout: Layout,
}

/// Where the parts of a slot lie, in words from its beginning. Control is at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// From one slot to the next.
    pub(crate) stride: usize,
    /// Where requests vary in length.
    pub(crate) request_length: Option<usize>,
    /// Where calls are timed.
    pub(crate) time: Option<usize>,
    pub(crate) request: usize,
    /// Where replies vary in length.
    pub(crate) reply_length: Option<usize>,
    pub(crate) reply: usize,
    pub(crate) stamp: usize,
}

// SAFETY: every access through `Calls` is an atomic one, or goes through a payload pointer whose use is the
// responsibility of the module that asks for it.
unsafe impl Send for Calls {}
// SAFETY: as for `Send`.
unsafe impl Sync for Calls {}

impl Calls {
    /// Looks at `slots` slots.
    ///
    /// # Safety
    ///
    /// `first` leads to `slots * layout.stride` atomic words, which stay mapped for as long as the value and its copies are
    /// used. There are 1 to [`MAX_CALLS`] slots, and the parts of each lie within its stride.
    pub(crate) unsafe fn new(first: NonNull<AtomicU64>, slots: usize, layout: Layout) -> Self {
        debug_assert!((1..=MAX_CALLS).contains(&slots));
        debug_assert!(layout.request < layout.stride && layout.reply < layout.stride && layout.stamp < layout.stride);
        Calls { first, slots, layout }
    }

    /// Number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// Number of slots that are somebody's, as far as can be seen at this moment.
    pub(crate) fn in_use(&self) -> usize {
        // Relaxed: a figure, on which nothing depends while anybody is at work.
        let is_free = |slot| self.control(slot).load(Ordering::Relaxed) & ((1 << PHASE_BITS) - 1) == Phase::Free as u64;
        (0..self.slots).filter(|&slot| !is_free(slot)).count()
    }

    /// Whether slot `index` is nobody's, as far as can be seen at this moment.
    pub(crate) fn is_free(&self, index: usize) -> bool {
        self.seen(index).is_some_and(|control| control.phase == Phase::Free)
    }

    /// Whether slot `index` has a call of the client on line `client`, as far as can be seen at this moment.
    pub(crate) fn is_clients(&self, index: usize, client: u32) -> bool {
        let is_clients = |control: Control| {
            // Relaxed: as in `seen`. What was abandoned is its server's.
            let stamp = self.stamp(index).load(Ordering::Relaxed);
            let is_abandoned = Progress::from_stamp(stamp, control.serial).end == End::Abandoned;
            control.phase != Phase::Free && u32::from(control.client) == client && !is_abandoned
        };
        self.seen(index).is_some_and(is_clients)
    }

    fn seen(&self, index: usize) -> Option<Control> {
        // Relaxed: an impression, on which nothing depends.
        Control::from_word(self.control(index).load(Ordering::Relaxed))
    }

    /// Fetches the lines with the head and the beginning of the request of slot `index`, in order to write to them.
    #[inline(always)]
    pub(crate) fn prefetch_to_fill(&self, index: usize) {
        words::prefetch_to_write(self.part(index, 0).as_ptr().cast());
        words::prefetch_to_write(self.request(index).as_ptr().cast::<u8>().wrapping_add(SECOND_LINE_BYTES));
    }

    /// The length of the request of slot `index`, if it has one. To be touched only by whom the request belongs to (K1).
    #[inline(always)]
    pub(crate) fn request_length(&self, index: usize) -> Option<&AtomicU64> {
        self.layout.request_length.map(|word| self.word(index, word))
    }

    /// The time of the call in slot `index`, if it has one. To be touched only by whom the request belongs to (K1).
    #[inline(always)]
    pub(crate) fn time(&self, index: usize) -> Option<&AtomicU64> {
        self.layout.time.map(|word| self.word(index, word))
    }

    /// The length of the reply of slot `index`, if it has one. To be touched only by whom the reply belongs to (K1).
    #[inline(always)]
    pub(crate) fn reply_length(&self, index: usize) -> Option<&AtomicU64> {
        self.layout.reply_length.map(|word| self.word(index, word))
    }

    /// Where the request of slot `index` lies. To be touched only by whom it belongs to (K1).
    #[inline(always)]
    pub(crate) fn request(&self, index: usize) -> NonNull<AtomicU64> {
        self.part(index, self.layout.request)
    }

    /// Where the reply of slot `index` lies. To be touched only by whom it belongs to (K1).
    #[inline(always)]
    pub(crate) fn reply(&self, index: usize) -> NonNull<AtomicU64> {
        self.part(index, self.layout.reply)
    }

    #[inline(always)]
    fn control(&self, index: usize) -> &AtomicU64 {
        self.word(index, 0)
    }

    #[inline(always)]
    fn stamp(&self, index: usize) -> &AtomicU64 {
        self.word(index, self.layout.stamp)
    }

    #[inline(always)]
    fn word(&self, index: usize, word: usize) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the words being atomics that outlive `self`.
        unsafe { self.part(index, word).as_ref() }
    }

    #[inline(always)]
    fn part(&self, index: usize, word: usize) -> NonNull<AtomicU64> {
        debug_assert!(index < self.slots && word < self.layout.stride);
        // SAFETY: every index is below the number of slots (of a ticket, `take` checks it), and the word within a slot.
        unsafe { self.first.add(index * self.layout.stride + word) }
    }
}

/// What clients do.
impl Calls {
    /// Claims slot `index` for a call of the client on line `client`, if it is free.
    #[inline(always)]
    pub(crate) fn claim(&self, index: usize, client: u32) -> Option<Call> {
        let control = self.control(index);
        // Relaxed: the swap below decides.
        let found = control.load(Ordering::Relaxed);
        let free = Control::from_word(found).filter(|control| control.phase == Phase::Free)?;
        let call = Call { index: index as u32, client: client as u16, serial: (free.serial + 1) & SERIAL_MASK };
        let filling = call.control(Phase::Filling).word();
        // Acquire: whoever had the slot before is done with its request and its reply; pairs with the Release of all that
        // frees a slot. Relaxed on failure: somebody else has it.
        control.compare_exchange(found, filling, Ordering::Acquire, Ordering::Relaxed).ok().map(|_| call)
    }

    /// Says that the request has been written, and returns the ticket that lets a server take the call.
    #[inline(always)]
    pub(crate) fn post(&self, call: Call) -> u64 {
        // Release: publishes the request; pairs with the Acquire in `take`. A store suffices, since nobody else changes
        // the control of a slot that a live client fills.
        self.control(call.index()).store(call.control(Phase::Ready).word(), Ordering::Release);
        call.ticket()
    }

    /// How far the answer has come.
    #[inline(always)]
    pub(crate) fn progress(&self, call: Call) -> Progress {
        // The reply may begin in another line than the stamp's, which is then on its way when the stamp says so.
        words::prefetch_to_read(self.reply(call.index()).as_ptr().cast());
        // Acquire: the reply is there if the stamp says so; pairs with the Release in `answer` and `resolve`.
        Progress::from_stamp(self.stamp(call.index()).load(Ordering::Acquire), call.serial)
    }

    /// Says that the reply has been read, where more may follow. Returns how far the answer has come since: unless the
    /// call has ended meanwhile, the place is the server's now.
    pub(crate) fn acknowledge(&self, call: Call) -> Progress {
        let (unread, read) = (Progress { has_reply: true, ..Progress::NONE }, Progress::NONE);
        let stamp = self.stamp(call.index());
        let swap = stamp.compare_exchange(
            unread.stamp(call.serial),
            read.stamp(call.serial),
            // AcqRel: Release lets the server write over what has been read, and pairs with the Acquire in
            // `server_progress`; Acquire, on both outcomes, as in `progress`.
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        swap.map_or_else(|found| Progress::from_stamp(found, call.serial), |_| read)
    }

    /// Frees the slot of a call that has not been posted, has been taken back, or has ended in any way but ABANDONED.
    #[inline(always)]
    pub(crate) fn free(&self, call: Call) {
        // Release: the reply, or the request, has been read; pairs with the Acquire in `claim`. A store suffices: the slot
        // is the live client's own (K1, K3).
        self.control(call.index()).store(Control::free(call.serial).word(), Ordering::Release);
    }

    /// Who has a call that has not ended.
    pub(crate) fn holder(&self, call: Call) -> Holder {
        let expected = call.control(Phase::Ready);
        // Acquire: whatever the server did before it took the call is older than what is found out about it now; pairs
        // with the Release in `take`.
        let found = self.control(call.index()).load(Ordering::Acquire);
        match Control::from_word(found) {
            Some(control) if control == expected => Holder::Nobody,
            Some(control) if control == Control { phase: Phase::Taken, server: control.server, ..expected } => {
                Holder::Server(control.server.into())
            }
            _ => Holder::Broken(Evidence { slot: call.index(), found, expected: expected.word() }),
        }
    }

    /// Takes a call back that no server has taken. `false` if one has. The request is the client's again, who frees the slot.
    pub(crate) fn take_back(&self, call: Call) -> bool {
        let (ready, back) = (call.control(Phase::Ready).word(), call.control(Phase::Withdrawn).word());
        // Relaxed: nobody else has touched the request. On failure only the fact counts.
        self.control(call.index()).compare_exchange(ready, back, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Frees the slot of a call that no server has taken. `false` if one has.
    fn withdraw(&self, call: Call) -> bool {
        let (ready, free) = (call.control(Phase::Ready).word(), Control::free(call.serial).word());
        // Release: the request has been written before the next one is; pairs with the Acquire in `claim`. Relaxed on
        // failure: only the fact counts.
        self.control(call.index()).compare_exchange(ready, free, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Ends a call whose client does not want to wait any longer.
    pub(crate) fn cancel(&self, call: Call) -> Cancelled {
        if self.withdraw(call) {
            return Cancelled::Withdrawn;
        }
        let stamp = self.stamp(call.index());
        // Acquire, here and on failure below: as in `progress`.
        let mut found = stamp.load(Ordering::Acquire);
        for _ in 0..ATTEMPTS {
            let progress = Progress::from_stamp(found, call.serial);
            match progress.end {
                End::Open => {}
                End::Abandoned => break,
                _ => return Cancelled::TooLate(progress),
            }
            let abandoned = Progress { end: End::Abandoned, ..Progress::NONE };
            // Release: the client has read what it wanted to; pairs with the Acquire in `answer`, after which the server
            // frees the slot.
            let swap = stamp.compare_exchange(found, abandoned.stamp(call.serial), Ordering::AcqRel, Ordering::Acquire);
            match swap {
                Ok(_) => break,
                Err(changed) => found = changed,
            }
        }
        Cancelled::Abandoned
    }
}

/// What servers do.
impl Calls {
    /// Takes the call of a ticket for the server on line `server`. `None` if it has been withdrawn or taken.
    #[inline(always)]
    pub(crate) fn take(&self, ticket: u64, server: u32) -> Option<Taken> {
        let taken = Taken { call: Call::from_ticket(ticket), server: server as u16 };
        if taken.index() >= self.slots {
            return None;
        }
        // Nothing is loaded before the swap is done, so what else there is of a short request is asked for ahead of it.
        words::prefetch_to_read(self.request(taken.index()).as_ptr().cast::<u8>().wrapping_add(SECOND_LINE_BYTES));
        let (ready, now) = (taken.call.control(Phase::Ready).word(), taken.control().word());
        // AcqRel: Acquire so that the request is there, pairs with the Release in `post`; Release pairs with the Acquire in
        // `holder`. Relaxed on failure: the ticket is void.
        let swap = self.control(taken.index()).compare_exchange(ready, now, Ordering::AcqRel, Ordering::Relaxed);
        swap.ok().map(|_| taken)
    }

    /// How far the answer has come. The place of the reply is the server's while this is [`Progress::NONE`].
    pub(crate) fn server_progress(&self, taken: Taken) -> Progress {
        // Acquire: the client has read the last reply; pairs with the Release in `acknowledge`.
        Progress::from_stamp(self.stamp(taken.index()).load(Ordering::Acquire), taken.call.serial)
    }

    /// Says that a reply has been written, or that the call ends, or both. `false` if the client has gone. After an end the
    /// call is not the server's any more; if the client has gone, an end frees the slot.
    ///
    /// An end without a new reply leaves an earlier one in place for the client to read.
    #[inline(always)]
    pub(crate) fn answer(&self, taken: Taken, wanted: Progress) -> bool {
        let serial = taken.call.serial;
        let stamp = self.stamp(taken.index());
        // The slot's last call was most likely answered, so the first attempt needs no look.
        let mut expected = Progress::ANSWERED.stamp(serial.wrapping_sub(1));
        let mut next = wanted.stamp(serial);
        for _ in 0..ATTEMPTS {
            // AcqRel: Release publishes the reply, and that the request has been read; pairs with the Acquire in
            // `progress`. Acquire, on both outcomes: as in `server_progress`.
            match stamp.compare_exchange(expected, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(found) => match Progress::from_stamp(found, serial) {
                    Progress { end: End::Open, has_reply } => {
                        if has_reply && wanted.has_reply {
                            // What is there has not been read, so the new reply had no place to be written to.
                            return false;
                        }
                        next = Progress { has_reply: has_reply || wanted.has_reply, ..wanted }.stamp(serial);
                        expected = found;
                    }
                    Progress { end: End::Abandoned, .. } => {
                        if wanted.end != End::Open {
                            self.free_abandoned(taken);
                        }
                        return false;
                    }
                    _ => return false,
                },
            }
        }
        false
    }

    /// Frees the slot of a call that its client abandoned (K3).
    fn free_abandoned(&self, taken: Taken) {
        let free = Control::free(taken.call.serial).word();
        // It fails only if somebody freed the slot who took this server for dead, and then there is nothing to do.
        let _ = self.control(taken.index()).compare_exchange(
            taken.control().word(),
            free,
            // Release: the request has been read and the reply written; pairs with the Acquire in `claim`. Relaxed on
            // failure: nothing follows.
            Ordering::Release,
            Ordering::Relaxed,
        );
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
