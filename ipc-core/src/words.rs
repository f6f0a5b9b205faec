//! Copying between private and shared memory, word by word and in ascending order.
//!
//! Every access to shared memory here is a relaxed atomic of at most eight bytes, or a load of two such words. That buys three
//! things:
//!
//! - another process that writes at the same time causes no data race in this one: each word is read once, and is
//!   one of the values that were stored there;
//! - the stores reach the segment in ascending order, which is what lets the cache line with the stamp travel last;
//! - the compiler cannot read a word twice and act on two different values.
//!
//! What is long goes by wider accesses, which come to the same: see `words/bulk.rs`.
//!
//! Ordering between processes is not this module's concern: its callers publish with a Release store of the slot's
//! stamp, and have done an Acquire load of it before they come here.

mod bulk;

pub(crate) use bulk::BULK_BYTES;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Bytes in a word: the widest access that is atomic on every supported platform.
const WORD_BYTES: usize = size_of::<u64>();

/// Asks for the cache line of `at`, to be written soon. It is a hint, and any address will do.
#[inline(always)]
pub(crate) fn prefetch_to_write(at: *const u8) {
    // The instruction by name: of `_mm_prefetch` with `_MM_HINT_ET0` the compiler makes one that asks for the line to read,
    // unless it may take a processor for granted that has this one. On those that have not, it does nothing. It is
    // given the address alone, since it reads and writes nothing.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch of any address has no effect but on the time that later accesses take.
    unsafe {
        core::arch::asm!("prefetchw [{}]", in(reg) at.addr(), options(nomem, nostack, preserves_flags))
    };
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

/// As [`prefetch_to_write`], to be read.
#[inline(always)]
pub(crate) fn prefetch_to_read(at: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: as above.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(at.cast())
    };
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

/// Copies `len` bytes from private memory into shared memory, in ascending order.
///
/// # Safety
///
/// `from` is readable and initialised, and `to` is writable, both for `len` bytes; they do not overlap.
#[inline(always)]
pub unsafe fn store(from: *const u8, to: *mut u8, len: usize) {
    if len < BULK_BYTES {
        // SAFETY: the caller vouches for it.
        unsafe { store_words(from, to, len) };
    } else {
        // SAFETY: as above.
        unsafe { bulk::store(from, to, len) };
    }
}

/// Copies `len` bytes from shared memory into private memory. The last word is read whole.
///
/// # Safety
///
/// `from` is aligned to a word and readable for `len` rounded up to whole words; `to` is writable for `len` bytes; they
/// do not overlap.
#[inline(always)]
pub unsafe fn load(from: *const u8, to: *mut u8, len: usize) {
    if len < BULK_BYTES {
        // SAFETY: the caller vouches for it.
        unsafe { load_words(from, to, len) };
    } else {
        // SAFETY: as above.
        unsafe { bulk::load(from, to, len) };
    }
}

/// As [`store`], a word at a time.
#[inline(always)]
unsafe fn store_words(from: *const u8, to: *mut u8, len: usize) {
    let to_word = to.align_offset(WORD_BYTES).min(len);
    let words_end = to_word + (len - to_word) / WORD_BYTES * WORD_BYTES;
    let mut at = 0;
    while at < len {
        let (from, to) = (from.wrapping_add(at), to.wrapping_add(at));
        if to_word <= at && at < words_end {
            // SAFETY: `at + WORD_BYTES <= words_end <= len`, and the caller vouches for `from .. from + len`.
            let word = unsafe { from.cast::<u64>().read_unaligned() };
            // SAFETY: `to` is aligned here, since `at` differs from `to_word` by whole words, and in the caller's range.
            let shared = unsafe { AtomicU64::from_ptr(to.cast()) };
            // Relaxed: the stamp that is stored after the payload publishes it.
            shared.store(word, Ordering::Relaxed);
            at += WORD_BYTES;
        } else {
            // SAFETY: `at < len`, and the caller vouches for `from .. from + len`.
            let byte = unsafe { from.read() };
            // SAFETY: `at < len`, and the caller vouches for `to .. to + len`; a byte is always aligned.
            let shared = unsafe { AtomicU8::from_ptr(to) };
            // Relaxed: as above.
            shared.store(byte, Ordering::Relaxed);
            at += 1;
        }
    }
}

/// As [`load`], two words at a time where that is worth it, and then a word at a time.
///
/// What is done with a copy first is mostly to move it, sixteen bytes at a time, and no processor forwards two stores of
/// eight bytes to one load of sixteen: it waits until both have left for the cache. What is shorter than two pairs stays in
/// registers as words.
#[inline(always)]
unsafe fn load_words(from: *const u8, to: *mut u8, len: usize) {
    let mut at = 0;
    while pairs::ARE_LOADED && len >= 2 * pairs::BYTES && at + pairs::BYTES <= len {
        // SAFETY: the caller vouches for `from .. from + len`.
        let pair = unsafe { pairs::load(from.wrapping_add(at)) };
        // SAFETY: `at + BYTES <= len` bytes of `to` are writable.
        unsafe { to.wrapping_add(at).cast::<pairs::Pair>().write_unaligned(pair) };
        at += pairs::BYTES;
    }
    while at < len {
        let width = (len - at).min(WORD_BYTES);
        // SAFETY: `at` is a multiple of a word below `len`, and the caller vouches for whole words from an aligned `from`.
        let shared = unsafe { AtomicU64::from_ptr(from.wrapping_add(at).cast_mut().cast()) };
        // Relaxed: the Acquire load of the stamp, done before the payload is touched, orders this.
        let word = shared.load(Ordering::Relaxed);
        // SAFETY: `word` has `WORD_BYTES >= width` bytes, and `at + width <= len` bytes of `to` are writable.
        unsafe { core::ptr::copy_nonoverlapping((&raw const word).cast::<u8>(), to.wrapping_add(at), width) };
        at += WORD_BYTES;
    }
}

/// Two words by one load, on x86-64.
#[cfg(all(target_arch = "x86_64", not(miri), not(slipring_tsan)))]
mod pairs {
    use core::arch::asm;

    pub(super) use core::arch::x86_64::__m128i as Pair;
    pub(super) const ARE_LOADED: bool = true;
    pub(super) const BYTES: usize = size_of::<Pair>();

    /// Loads two words.
    ///
    /// # Safety
    ///
    /// `from` is readable for [`BYTES`].
    #[inline(always)]
    pub(super) unsafe fn load(from: *const u8) -> Pair {
        let pair;
        // Written out as assembly it is opaque to the language, so that a store of another process at the same time is no data
        // race; it is done once, and stays between the atomics before it and after it, since they may write to memory.
        // SAFETY: it reads `BYTES` bytes, for which the caller vouches, and writes none.
        unsafe {
            asm!(
                "movdqu {pair}, [{from}]",
                from = in(reg) from,
                pair = out(xmm_reg) pair,
                options(nostack, preserves_flags, readonly),
            );
        }
        pair
    }
}

/// Elsewhere, none.
#[cfg(not(all(target_arch = "x86_64", not(miri), not(slipring_tsan))))]
mod pairs {
    pub(super) type Pair = u128;
    pub(super) const ARE_LOADED: bool = false;
    pub(super) const BYTES: usize = size_of::<Pair>();

    pub(super) unsafe fn load(_: *const u8) -> Pair {
        unreachable!("nothing is loaded in pairs here")
    }
}
