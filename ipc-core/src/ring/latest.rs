//! The newest value only: one writer, any number of readers, who never hold it up.
//!
//! ```text
//! slot i:    | payload ... | stamp |     written by the writer; the stamp is the version of the value that is in it
//! version:   of the newest value         written by the writer, in a line of its own
//! ```
//!
//! Values are numbered from 1; the number is the *version*, and 0 means that there is none yet, so zeroed memory is a
//! channel without a value. Version *v* lives in slot *v mod N* of N slots (a power of two, at least 2; four are
//! enough, see below). So the version alone says where the newest value is, and the writer, who fills the slot of
//! *v + 1*, is never in the slot that readers are being sent to. Readers store nothing: their map may be read-only.
//!
//! ```text
//! writer, for version v                          reader
//! W1  stamp(v mod N) := !v     (Release)         R1  v := version               (Acquire)
//! W2  fence                    (Release)         R2  copy from slot v mod N     (relaxed words)
//! W3  payload                  (relaxed words)   R3  fence                      (Acquire)
//! W4  stamp(v mod N) := v      (Relaxed)         R4  stamp(v mod N) = v?        (Acquire)
//! W5  version := v             (Release)             if so, the copy is the value of version v
//! ```
//!
//! # Invariants
//!
//! V1. *A copy that is accepted is the value of exactly the version it is returned with.* R1 reads what W5 stored, so
//!     W4 and every payload word of v happen before R2 and R4, which read these or later ones. If any word of R2 is of
//!     a later v', then that word's W3 comes after the fence W2 of v', and R2 before the fence R3. The fences
//!     synchronise, W1 of v' happens before R4, and R4 reads it or something later: a stamp `!w` or `w` with w >= v'.
//!     Neither is v. `w` is later. `!w` differs from w, and hence from every version that lives in this slot, in the
//!     lowest bit.
//! V2. *Versions never go backwards for a reader.* They are read from one word, which only rises.
//! V3. *A value is published by one store, W5.* Whoever dies before it has written nothing. The successor takes the
//!     version from the word, and fills the same slot again: no reader was ever sent there for that version, and one
//!     who still copies an older version from there finds W1 of the dead one or of the successor, as in V1.
//! V4. *A stamp that does not fit, with a version that stands still, is not the algorithm's work.* R4 that fails has
//!     read W1 or W4 of some v' >= v + N. W1 is a Release, and W4 comes after the fence W2, so W5 of v' - 1 happens
//!     before whatever the reader does next, and the next R1 reads v' - 1 or more, which is more than v. So a damaged
//!     channel is told from a busy one.
//!
//! # Who waits
//!
//! The writer never. A reader copies again only if the writer has published N - 1 values, and begun another,
//! during one copy. With N = 4 that happens to readers that lose the processor, and next to never twice in a row. Still the
//! attempts are bounded, and a reader that was unlucky so many times is told ([`Outcome::Again`]) and may yield first.
//!
//! The version would be 0 again, and read as "none", after 2^64 values, which takes 500 years at one a nanosecond.

use super::slots::Slot;
use super::{Evidence, Slots};
use crate::atomics::{AtomicU64, fence};
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

/// Number of slots that keeps readers from starving.
pub(crate) const SLOTS: usize = 4;

/// Copies that [`Reader::read`] makes before it lets its caller yield.
const ATTEMPTS: usize = 8;

/// The shared parts of a channel for the newest value.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    slots: Slots,
    /// Version of the newest value, 0 if there is none: stored by the writer, read by all.
    version: NonNull<AtomicU64>,
    /// Number of slots less one.
    mask: u64,
}

// SAFETY: `version` leads to an atomic, which any thread may use.
unsafe impl Send for Parts {}
// SAFETY: as for `Send`.
unsafe impl Sync for Parts {}

impl Parts {
    /// A channel of these slots, whose number is a power of two and at least 2, usually [`SLOTS`].
    ///
    /// # Safety
    ///
    /// `version` leads to an atomic word that stays mapped for as long as the value and its copies are used. Readers
    /// need it and the slots to be readable, the writer needs them to be writable.
    pub(crate) unsafe fn new(slots: Slots, version: NonNull<AtomicU64>) -> Self {
        let capacity = slots.capacity();
        debug_assert!(capacity >= 2 && capacity.is_power_of_two());
        Parts { slots, version, mask: capacity as u64 - 1 }
    }

    #[inline(always)]
    fn version(&self) -> &AtomicU64 {
        // SAFETY: the constructor's caller vouched for the word.
        unsafe { self.version.as_ref() }
    }

    /// Where the value of `version` lives.
    #[inline(always)]
    fn slot(&self, version: u64) -> Slot {
        self.slots.slot((version & self.mask) as usize)
    }
}

/// The end that writes values. There is one at a time.
pub(crate) struct Writer {
    parts: Parts,
    /// Version of the value that is written next.
    next: u64,
}

impl Writer {
    /// Goes on after the newest value. The caller is the only writer, and comes after the one before it.
    pub(crate) fn attach(parts: Parts) -> Self {
        // Relaxed: only the number counts; the writer before, if there was one, comes before by way of its lock.
        let newest = parts.version().load(Ordering::Relaxed);
        Writer { parts, next: newest.wrapping_add(1) }
    }

    /// Version of the newest value, 0 if there is none.
    pub(crate) fn version(&self) -> u64 {
        self.next.wrapping_sub(1)
    }

    /// Opens the next value's slot, whose payload is the writer's own until [`publish`](Self::publish). To open it
    /// again is to start over.
    #[inline(always)]
    pub(crate) fn open(&mut self) -> NonNull<AtomicU64> {
        let slot = self.parts.slot(self.next);
        // Release (W1): whoever reads the mark sees how far the version has come; pairs with the Acquire in
        // `Reader::is_intact`.
        self.parts.slots.stamp(slot).store(!self.next, Ordering::Release);
        // Release (W2): whoever reads a payload word that is stored from here on sees the mark; pairs with the fence in
        // `Reader::is_intact`.
        fence(Ordering::Release);
        slot.payload()
    }

    /// The payload of the next value's slot, to be touched only when that is open.
    #[inline(always)]
    pub(crate) fn payload(&self) -> NonNull<AtomicU64> {
        self.parts.slot(self.next).payload()
    }

    /// Makes the value that was written to the open slot the newest one.
    #[inline(always)]
    pub(crate) fn publish(&mut self) {
        self.stamp();
        self.point();
    }

    /// W4.
    #[inline(always)]
    fn stamp(&self) {
        let stamp = self.parts.slots.stamp(self.parts.slot(self.next));
        // Relaxed: readers come here by way of the version, which is stored next.
        stamp.store(self.next, Ordering::Relaxed);
    }

    /// W5.
    #[inline(always)]
    fn point(&mut self) {
        // Release (W5): publishes the payload and its stamp; pairs with the Acquire in `Reader::begin`.
        self.parts.version().store(self.next, Ordering::Release);
        self.next = self.next.wrapping_add(1);
    }
}

/// What a reader got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is no value yet.
    Nothing,
    /// The copy is the value of this version.
    Value(u64),
    /// The writer has overtaken every attempt. A newer value is there; yield, and try again.
    Again,
    /// The shared words are none that the algorithm can have left there.
    Broken(Evidence),
}

/// An end that reads values.
#[derive(Clone, Copy)]
pub(crate) struct Reader {
    parts: Parts,
}

/// Where the newest value was a moment ago.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot {
    slot: Slot,
    version: u64,
}

impl Reader {
    /// Reads what any writer writes.
    pub(crate) fn attach(parts: Parts) -> Self {
        Reader { parts }
    }

    /// Version of the newest value, 0 if there is none. A value of this version or a later one can be read.
    #[inline(always)]
    pub(crate) fn version(&self) -> u64 {
        // Relaxed: only the number counts; `begin` reads the same word again, which never falls.
        self.parts.version().load(Ordering::Relaxed)
    }

    /// Copies the newest value out by `copy`, which gets the payload, reads its words with relaxed loads, and may be
    /// called several times. Only after [`Outcome::Value`] is the last copy a value.
    #[inline(always)]
    pub(crate) fn read(&self, mut copy: impl FnMut(NonNull<AtomicU64>)) -> Outcome {
        let mut overtaken: Option<Snapshot> = None;
        for _ in 0..ATTEMPTS {
            let Some(snapshot) = self.begin() else {
                return Outcome::Nothing;
            };
            if let Some(before) = overtaken.filter(|before| before.version == snapshot.version) {
                return Outcome::Broken(self.evidence(before));
            }
            copy(snapshot.slot.payload());
            if self.is_intact(snapshot) {
                return Outcome::Value(snapshot.version);
            }
            overtaken = Some(snapshot);
        }
        Outcome::Again
    }

    /// Finds the newest value.
    #[inline(always)]
    fn begin(&self) -> Option<Snapshot> {
        // Acquire (R1): the payload is there; pairs with the Release in `Writer::point`.
        let version = self.parts.version().load(Ordering::Acquire);
        (version != 0).then(|| Snapshot { slot: self.parts.slot(version), version })
    }

    /// Whether everything that has been read from the snapshot's payload so far belongs to its version.
    #[inline(always)]
    fn is_intact(&self, snapshot: Snapshot) -> bool {
        // Acquire (R3): if a word that was read is of a later version, its mark is seen below; pairs with the fence in
        // `Writer::open`.
        fence(Ordering::Acquire);
        // Acquire (R4): if the slot is of a later version, `begin` sees how far that is; pairs with the Release in
        // `Writer::open`, and with the fence there.
        self.parts.slots.stamp(snapshot.slot).load(Ordering::Acquire) == snapshot.version
    }

    /// Of a version that stood still while its stamp did not fit.
    #[cold]
    fn evidence(&self, snapshot: Snapshot) -> Evidence {
        let slot = self.parts.slots.index(snapshot.slot);
        // Relaxed: for an error message.
        let found = self.parts.slots.stamp(snapshot.slot).load(Ordering::Relaxed);
        Evidence { slot, found, expected: snapshot.version }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod loom_tests;
