//! Relaxed atomic stores of one primitive each: how every field reaches shared memory.
//!
//! Relaxed is enough throughout: the stamp that a ring stores after the payload, with Release, publishes it.

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Generates the store of one integer type that has an atomic of the same alignment.
macro_rules! store {
    ($($name:ident: $int:ty as $atomic:ty;)*) => {$(
        #[doc = concat!("Stores a `", stringify!($int), "`.")]
        ///
        /// # Safety
        ///
        /// `to` is aligned and writable, and this process accesses it only atomically during the call.
        #[inline(always)]
        pub(super) unsafe fn $name(to: *mut $int, value: $int) {
            // SAFETY: the caller vouches for `to`, and the atomic has the integer's size and alignment.
            let shared = unsafe { <$atomic>::from_ptr(to) };
            shared.store(value, Relaxed);
        }
    )*};
}

store! {
    store_u8: u8 as AtomicU8;
    store_u16: u16 as AtomicU16;
    store_u32: u32 as AtomicU32;
}

/// Stores a `u64`, in halves where the platform aligns it to less than its size (32-bit x86 does).
///
/// # Safety
///
/// As for `store_u8`.
#[inline(always)]
pub(super) unsafe fn store_u64(to: *mut u64, value: u64) {
    if align_of::<u64>() == align_of::<AtomicU64>() {
        // SAFETY: the caller vouches for `to`, and the atomic's alignment is the integer's, as just checked.
        let shared = unsafe { AtomicU64::from_ptr(to) };
        shared.store(value, Relaxed);
    } else {
        let [a, b, c, d, e, f, g, h] = value.to_ne_bytes();
        let low = to.cast::<u32>();
        // SAFETY: this is the first half of what the caller vouches for; a `u64` is aligned to at least 4 bytes.
        unsafe { store_u32(low, u32::from_ne_bytes([a, b, c, d])) };
        // SAFETY: this is the second half of it.
        unsafe { store_u32(low.wrapping_add(1), u32::from_ne_bytes([e, f, g, h])) };
    }
}

/// Stores a `u128` as two words, because no platform promises a wider atomic.
///
/// # Safety
///
/// As for `store_u8`.
#[inline(always)]
pub(super) unsafe fn store_u128(to: *mut u128, value: u128) {
    let halves = to.cast::<u64>();
    let (high, low) = ((value >> 64) as u64, value as u64);
    let (first, second) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
    // SAFETY: this is the first half of what the caller vouches for; a `u128` is aligned at least like a `u64`.
    unsafe { store_u64(halves, first) };
    // SAFETY: this is the second half of it.
    unsafe { store_u64(halves.wrapping_add(1), second) };
}

/// Stores `count` words from private memory.
///
/// # Safety
///
/// `from` is aligned, readable and initialised, and `to` is as for `store_u64`, both for `count` words.
#[inline(always)]
pub(super) unsafe fn store_words(from: *const u64, to: *mut u64, count: usize) {
    for at in 0..count {
        // SAFETY: `at < count`, and the caller vouches for so many words.
        let word = unsafe { from.wrapping_add(at).read() };
        // SAFETY: as above, for the destination.
        unsafe { store_u64(to.wrapping_add(at), word) };
    }
}

/// Stores `len` zero bytes, in whole words where the destination is aligned to them.
///
/// # Safety
///
/// `to` is writable for `len` bytes, and this process accesses them only atomically during the call.
#[inline]
pub(super) unsafe fn store_zeros(to: *mut u8, len: usize) {
    let head = to.align_offset(align_of::<AtomicU64>()).min(len);
    let words = (len - head) / size_of::<u64>();
    let tail = head + words * size_of::<u64>();
    for at in (0..head).chain(tail..len) {
        // SAFETY: `at < len`, and the caller vouches for so many bytes.
        unsafe { store_u8(to.wrapping_add(at), 0) };
    }
    let aligned = to.wrapping_add(head).cast::<u64>();
    for at in 0..words {
        // SAFETY: `head + (at + 1) * 8 <= len`, and `align_offset` made `aligned` a multiple of a word.
        unsafe { store_u64(aligned.wrapping_add(at), 0) };
    }
}
