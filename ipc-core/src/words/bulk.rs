//! Copies of many bytes, where the width of a store and its way to memory decide.
//!
//! A loop of eight-byte stores moves a fraction of what a core can. So what is longer than [`BULK_BYTES`] is moved by
//! whole cache lines, with instructions that are written out as assembly: to the language such an access is opaque, and no
//! data race. Each byte is read once. Whoever may meet a copy in the making looks at a stamp afterwards, and drops what it
//! has if that has changed, so nobody depends on how wide the accesses are.
//!
//! # Ordinary or streaming
//!
//! An ordinary store fetches its line from whoever read it last. Between cores that share a cache that is cheap, and the
//! line is still near when the receiver wants it; between distant cores it is up to ten times slower than a store that
//! goes past the caches, to memory. No figure that the system gives tells the two apart, and a virtual machine's
//! processors wander from one case to the other. Of the ordinary ways, a string instruction is as fast as any on some
//! processors, and on others takes three times as long as a loop once the copy is larger than a core's own cache.
//!
//! So what is longer than [`STREAM_BYTES`] is stored in the way that was fastest when this thread last tried them
//! ([`Trial`]): of every [`PERIOD`] long copies six are timed, two of each way. Streaming has to win by a quarter, since
//! what it leaves in memory the receiver has to fetch from there.
//!
//! # Order
//!
//! Streaming stores are ordered with nothing. A barrier before them keeps them behind what the caller has announced (that
//! a slot is about to change), and one after them before what the caller will publish. Both are store barriers of some
//! nanoseconds, paid only where tens of kilobytes move.

use super::{load_words, store_words};
use core::cell::Cell;
use std::time::Instant;

/// From here on vectors are worth their beginning and their end.
pub(crate) const BULK_BYTES: usize = 512;

/// From here on a string instruction is worth its beginning.
const STRING_BYTES: usize = 4 << 10;

/// From here on a way past the caches may be worth it: half a level-1 cache, and no line of which is awaited singly.
const STREAM_BYTES: usize = 32 << 10;

/// Long copies from one trial to the next.
const PERIOD: u32 = 128;

/// Bytes that one turn of a loop moves.
const LINE_BYTES: usize = 64;

/// Bytes that one instruction moves, and to which its store is aligned.
const VECTOR_BYTES: usize = 16;

thread_local! {
    /// What this thread found. It is one for all channels, because a thread mostly sends to one place.
    static TRIAL: Cell<Trial> = const { Cell::new(Trial::new()) };
}

/// See [`words::store`](super::store).
#[inline(never)]
pub(super) unsafe fn store(from: *const u8, to: *mut u8, len: usize) {
    let head = to.align_offset(VECTOR_BYTES).min(len);
    let lines = (len - head) / LINE_BYTES * LINE_BYTES;
    let rest = head + lines;
    // SAFETY: this is the first part of what the caller vouches for.
    unsafe { store_words(from, to, head) };
    // SAFETY: this is the second part of it, whole lines, and `align_offset` has aligned it.
    unsafe { store_lines(from.wrapping_add(head), to.wrapping_add(head), lines) };
    // SAFETY: this is what remains of it.
    unsafe { store_words(from.wrapping_add(rest), to.wrapping_add(rest), len - rest) };
}

/// See [`words::load`](super::load).
#[inline(never)]
pub(super) unsafe fn load(from: *const u8, to: *mut u8, len: usize) {
    let lines = len / LINE_BYTES * LINE_BYTES;
    // SAFETY: this is the first part of what the caller vouches for, whole lines.
    unsafe { lines::load(from, to, lines) };
    // SAFETY: this is what remains of it, and as well aligned as its beginning, since lines are whole words.
    unsafe { load_words(from.wrapping_add(lines), to.wrapping_add(lines), len - lines) };
}

/// Stores whole lines in the way that is the faster one at the moment.
///
/// # Safety
///
/// `from` is readable and `to` writable for `len` bytes, a multiple of [`LINE_BYTES`]; they do not overlap; `to` is aligned
/// to [`VECTOR_BYTES`].
unsafe fn store_lines(from: *const u8, to: *mut u8, len: usize) {
    if len < STRING_BYTES {
        // SAFETY: the caller vouches for it.
        return unsafe { lines::store_vectors(from, to, len) };
    }
    if len < STREAM_BYTES {
        // SAFETY: as above.
        return unsafe { lines::store(from, to, len) };
    }
    let mut trial = TRIAL.get();
    let (way, timed) = trial.next();
    let begin = timed.then(Instant::now);
    match way {
        // SAFETY: the caller vouches for it.
        Way::String => unsafe { lines::store(from, to, len) },
        // SAFETY: as above.
        Way::Vectors => unsafe { lines::store_vectors(from, to, len) },
        // SAFETY: as above.
        Way::Streaming => unsafe { lines::stream(from, to, len) },
    }
    if let Some(begin) = begin {
        trial.learn(way, begin.elapsed().as_nanos() as f32 / len as f32);
    }
    TRIAL.set(trial);
}

/// How lines are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Through the caches, by one instruction for all of them.
    String,
    /// Through the caches, by a loop of vectors.
    Vectors,
    /// Past the caches.
    Streaming,
}

impl Way {
    /// In the order in which they are tried.
    const ALL: [Way; 3] = [Way::String, Way::Vectors, Way::Streaming];
}

/// Timed copies of each way in a trial.
const TIMED: u32 = 2;

/// Copies that a trial times.
const TRIAL_COPIES: u32 = TIMED * Way::ALL.len() as u32;

/// Which of the ways is the fastest one, and since when.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// Long copies since the trial began, less than [`PERIOD`].
    copies: u32,
    /// The best time of a byte that each way took in this trial, in nanoseconds.
    times: [f32; Way::ALL.len()],
    /// What the last trial came to.
    chosen: Way,
}

impl Trial {
    const fn new() -> Self {
        Trial { copies: 0, times: [f32::INFINITY; Way::ALL.len()], chosen: Way::String }
    }

    /// How to make the next copy, and whether to time it.
    fn next(&mut self) -> (Way, bool) {
        let copy = self.copies;
        self.copies = (copy + 1) % PERIOD;
        Way::ALL.get((copy / TIMED) as usize).map_or((self.chosen, false), |&way| (way, true))
    }

    /// Takes note of what a timed copy took, in nanoseconds a byte.
    fn learn(&mut self, way: Way, time: f32) {
        let best = &mut self.times[way as usize];
        *best = best.min(time);
        if self.copies == TRIAL_COPIES {
            let [string, vectors, streaming] = self.times;
            let cached = if vectors < string { Way::Vectors } else { Way::String };
            let chosen = if streaming * 1.25 < string.min(vectors) { Way::Streaming } else { cached };
            *self = Trial { copies: TRIAL_COPIES, chosen, ..Trial::new() };
        }
    }
}

/// The loops of x86-64.
#[cfg(all(target_arch = "x86_64", not(miri), not(slipring_tsan)))]
mod lines {
    use super::LINE_BYTES;
    use core::arch::asm;
    use core::arch::x86_64::_mm_sfence;

    /// Stores `len` bytes, whole lines, at an aligned place.
    #[inline(always)]
    pub(super) unsafe fn store(from: *const u8, to: *mut u8, len: usize) {
        // The instruction knows how much is to come, and does not fetch a line that it will overwrite whole.
        // SAFETY: it reads and writes `len` bytes, upwards, since the direction flag is clear; the caller vouches for them.
        unsafe {
            asm!(
                "rep movsb",
                inout("rcx") len => _,
                inout("rsi") from => _,
                inout("rdi") to => _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// A loop that moves `$len` bytes, a multiple of a line and not 0, by vectors that the instruction `$store` stores.
    macro_rules! by_vectors {
        ($store:literal, $from:ident, $to:ident, $len:ident) => {
            asm!(
                "2:",
                "movdqu {a}, [{from}]",
                "movdqu {b}, [{from} + 16]",
                "movdqu {c}, [{from} + 32]",
                "movdqu {d}, [{from} + 48]",
                concat!($store, " [{to}], {a}"),
                concat!($store, " [{to} + 16], {b}"),
                concat!($store, " [{to} + 32], {c}"),
                concat!($store, " [{to} + 48], {d}"),
                "add {from}, 64",
                "add {to}, 64",
                "sub {len}, 64",
                "jnz 2b",
                from = inout(reg) $from => _,
                to = inout(reg) $to => _,
                len = inout(reg) $len => _,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack),
            )
        };
    }

    /// As [`store`], by a loop.
    #[inline(always)]
    pub(super) unsafe fn store_vectors(from: *const u8, to: *mut u8, len: usize) {
        if len < LINE_BYTES {
            return;
        }
        // SAFETY: the loop reads and writes `len` bytes, a multiple of a line and not 0; the caller vouches for them, and for
        // the alignment of the stores.
        unsafe { by_vectors!("movdqa", from, to, len) };
    }

    /// As [`store`], past the caches, and ordered after every earlier store and before every later one.
    #[inline(always)]
    pub(super) unsafe fn stream(from: *const u8, to: *mut u8, len: usize) {
        if len < LINE_BYTES {
            return;
        }
        // SAFETY: a barrier touches no memory, and every processor of this kind has it.
        unsafe { _mm_sfence() };
        // SAFETY: as for `store_vectors`.
        unsafe { by_vectors!("movntdq", from, to, len) };
        // SAFETY: as above.
        unsafe { _mm_sfence() };
    }

    /// Loads `len` bytes, whole lines.
    #[inline(always)]
    pub(super) unsafe fn load(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: as for `store`.
        unsafe { store(from, to, len) };
    }
}

/// The loops, word by word.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(slipring_tsan))))]
mod lines {
    use crate::words::{load_words, store_words};

    pub(super) unsafe fn store(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: the caller vouches for it, and `to` is aligned.
        unsafe { store_words(from, to, len) };
    }

    pub(super) unsafe fn store_vectors(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: as above.
        unsafe { store_words(from, to, len) };
    }

    pub(super) unsafe fn stream(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: as above.
        unsafe { store_words(from, to, len) };
    }

    pub(super) unsafe fn load(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: the caller vouches for it, and `from` is aligned.
        unsafe { load_words(from, to, len) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that tell one place from another.
    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at.wrapping_mul(167) >> 3) as u8).collect()
    }

    proptest! {
        #[test]
        fn a_copy_is_exact_whatever_its_length_and_its_place(
            len in prop_oneof![0usize..2_000, STREAM_BYTES - 100..STREAM_BYTES + 2_000],
            from_offset in 0usize..64,
            to_offset in 0usize..64,
        ) {
            let source = pattern(from_offset + len);
            let mut target = vec![0xee; to_offset + len + 64];
            // SAFETY: `len` bytes follow both offsets, in vectors of their own.
            unsafe { store(source[from_offset..].as_ptr(), target[to_offset..].as_mut_ptr(), len) };
            prop_assert!(target[to_offset..to_offset + len] == source[from_offset..]);
            prop_assert!(target[..to_offset].iter().chain(&target[to_offset + len..]).all(|&byte| byte == 0xee));
        }

        #[test]
        fn what_is_loaded_is_exact_whatever_its_length(len in 0usize..5_000, words in 0usize..8, to_offset in 0usize..64) {
            let source: Vec<u64> = pattern(words * 8 + len + 8).chunks_exact(8)
                .map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
            let mut target = vec![0xee; to_offset + len + 64];
            let from = source[words..].as_ptr().cast();
            // SAFETY: `from` is aligned, and followed by `len` bytes and more; so is the offset in the target.
            unsafe { load(from, target[to_offset..].as_mut_ptr(), len) };
            let bytes = pattern(words * 8 + len);
            prop_assert!(target[to_offset..to_offset + len] == bytes[words * 8..]);
            prop_assert!(target[..to_offset].iter().chain(&target[to_offset + len..]).all(|&byte| byte == 0xee));
        }
    }

    /// The ways of the next `copies` copies, where a byte takes so many nanoseconds in each way.
    fn play(trial: &mut Trial, copies: u32, times: [f32; 3]) -> Vec<Way> {
        let mut copy = |_| {
            let (way, timed) = trial.next();
            if timed {
                trial.learn(way, times[way as usize]);
            }
            way
        };
        (0..copies).map(&mut copy).collect()
    }

    #[test]
    fn the_fastest_way_is_taken_until_it_is_a_slower_one() {
        let mut trial = Trial::new();
        let untimed = |ways: Vec<Way>, way| ways[TRIAL_COPIES as usize..].iter().all(|&taken| taken == way);
        assert!(untimed(play(&mut trial, PERIOD, [0.4, 0.3, 0.05]), Way::Streaming), "far apart");
        assert!(untimed(play(&mut trial, PERIOD, [0.03, 0.04, 0.05]), Way::String), "near again");
        assert!(untimed(play(&mut trial, PERIOD, [0.09, 0.03, 0.05]), Way::Vectors), "the instruction is slow");
        assert!(untimed(play(&mut trial, PERIOD, [0.05, 0.06, 0.045]), Way::String), "a small gain is none");
        assert!(untimed(play(&mut trial, PERIOD, [0.4, 0.3, 0.05]), Way::Streaming), "far again");
    }

    #[test]
    fn one_slow_copy_of_two_decides_nothing() {
        let mut trial = Trial::new();
        for time in [9.0, 0.03, 0.04, 0.04, 0.05, 0.05] {
            let (way, timed) = trial.next();
            assert!(timed);
            trial.learn(way, time);
        }
        assert_eq!(trial.next(), (Way::String, false));
    }
}
