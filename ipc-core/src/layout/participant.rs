//! The participant table: who takes part in a channel, one line for each.

use super::{LINE_BYTES, PROGRAM_BYTES, WORD_BYTES};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One participant's line in the table.
///
/// ```text
///   0  state    u64   generation << 32 | EVICTED << 31 | BY_VALUE << 30 | crashes << 2 | phase
///   8  pid      u32
///  12  processor u32  0: may run on several; n + 1: on processor n alone
///  16  program  40 bytes, zero-padded UTF-8
///  56  fallen_program  40 bytes, the same of the last owner that died
///  96  fallen_pid      u32
/// 100  process         u32, random; 0: unknown
/// 104  claim    u64
/// 112  units    u64
/// 120  losses   u64
/// ```
///
/// Owned by whoever holds the write lock on the slot's byte of the segment file (byte [`lock_byte`](super::lock_byte)). Only
/// the owner writes, with exceptions, each by compare-and-swaps of the exact word observed: anyone who found the lock free
/// may move `state` from live to crashed, and repair what the last three words say; whoever has the lifecycle lock may evict
/// the owner.
#[repr(C, align(128))]
pub(crate) struct ParticipantSlot {
    /// See [`liveness`](crate::liveness) for the state machine. Written by the owner, and once by whoever finds it dead.
    pub(crate) state: AtomicU64,
    /// The owner's process id as it sees itself. Shown to people, never trusted.
    pub(crate) pid: AtomicU32,
    /// 0 if the owner may run on several processors, n + 1 if only on processor n. Written by the owner at attach and
    /// whenever it goes to sleep; read by the other side to decide whether spinning makes sense. A wrong value costs
    /// time and nothing else.
    pub(crate) processor: AtomicU32,
    /// The owner's program name, zero-padded UTF-8 in memory order. Shown to people, never trusted.
    pub(crate) program: [AtomicU64; PROGRAM_BYTES / 8],
    /// Program name of the last owner that died and was succeeded. Written by the successor.
    pub(crate) fallen_program: [AtomicU64; PROGRAM_BYTES / 8],
    /// Process id of the last owner that died and was succeeded. Written by the successor.
    pub(crate) fallen_pid: AtomicU32,
    /// A random number that all lines of one process have in common, and none of another process, short of an accident; a
    /// forked child has another one. 0 if it is not known. Written by the owner at attach; read by those who watch many
    /// lines, to look at the lock of one line of each process mostly. A wrong value delays the finding of a death.
    pub(crate) process: AtomicU32,
    /// What the owner is about to take, or holds, in a ring that several share. Its form is the ring's affair.
    pub(crate) claim: crate::atomics::AtomicU64,
    /// How much it takes. Written by the owner before `claim`.
    pub(crate) units: crate::atomics::AtomicU64,
    /// What was lost with owners of this line that died. Written by whoever repairs.
    pub(crate) losses: crate::atomics::AtomicU64,
}

impl ParticipantSlot {
    /// A copy in private memory, word by word.
    pub(crate) fn copy(&self) -> Self {
        // Relaxed, here and below: whoever copies a line to change it has its lock.
        let copy = |word: &AtomicU64| AtomicU64::new(word.load(Ordering::Relaxed));
        let number = |word: &AtomicU32| AtomicU32::new(word.load(Ordering::Relaxed));
        let claim = |word: &crate::atomics::AtomicU64| crate::atomics::AtomicU64::new(word.load(Ordering::Relaxed));
        ParticipantSlot {
            state: copy(&self.state),
            pid: number(&self.pid),
            processor: number(&self.processor),
            program: core::array::from_fn(|at| copy(&self.program[at])),
            fallen_program: core::array::from_fn(|at| copy(&self.fallen_program[at])),
            fallen_pid: number(&self.fallen_pid),
            process: number(&self.process),
            claim: claim(&self.claim),
            units: claim(&self.units),
            losses: claim(&self.losses),
        }
    }

    /// The bytes of a copy, up to the record.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the struct is `repr(C)`, and before the record, whose offset is asserted, it has no padding; nobody writes
        // to a copy while it is borrowed.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), RECORD_OFFSET_BYTES as usize) }
    }
}

/// Words from one participant's record (`claim`, `units`, `losses`) to the next.
pub(crate) const RECORD_STRIDE_WORDS: usize = LINE_BYTES / WORD_BYTES;

/// Where the record lies in a participant's line.
pub(crate) const RECORD_OFFSET_BYTES: u64 = 104;

#[cfg(not(loom))]
const _: () = {
    use core::mem::offset_of;

    assert!(size_of::<ParticipantSlot>() == LINE_BYTES);
    assert!(offset_of!(ParticipantSlot, claim) as u64 == RECORD_OFFSET_BYTES);
    assert!(offset_of!(ParticipantSlot, units) == 112);
    assert!(offset_of!(ParticipantSlot, losses) == 120);
    assert!(offset_of!(ParticipantSlot, pid) == 8);
    assert!(offset_of!(ParticipantSlot, processor) == 12);
    assert!(offset_of!(ParticipantSlot, program) == 16);
    assert!(offset_of!(ParticipantSlot, fallen_program) == 56);
    assert!(offset_of!(ParticipantSlot, fallen_pid) == 96);
    assert!(offset_of!(ParticipantSlot, process) == 100);
};
