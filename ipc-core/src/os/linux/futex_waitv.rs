//! Sleeping on many futexes at once, which Linux offers since 5.16.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

/// Words that one thread can sleep on.
pub(crate) const FUTEX_WAITV_MAX: usize = 128;

/// The kernel's `FUTEX2_SIZE_U32`, without `FUTEX2_PRIVATE`, which would hide the words from other processes.
const SHARED_U32: u32 = 2;

/// Longest sleep where the kernel cannot sleep on many words: the delay of a wake-up there.
const SLICE_WITHOUT: Duration = Duration::from_millis(1);

/// The kernel's `struct futex_waitv`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// The kernel's `struct __kernel_timespec`, which is of 64 bits on every processor.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// Sleeps while every word holds the value beside it, at most `limit` (`None`: for ever). Returns for any reason, a
/// spurious one included: the caller looks for itself. `true` if it is known that nobody has woken it. At most
/// [`FUTEX_WAITV_MAX`] words; what is beyond is ignored.
///
/// Where the kernel has no such call, or a sandbox refuses it, this sleeps on the *last* word for at most a millisecond:
/// the caller then looks a thousand times a second.
pub(crate) fn futex_wait_any(words: &[(&AtomicU32, u32)], limit: Option<Duration>) -> bool {
    static IS_REFUSED: AtomicBool = AtomicBool::new(false);

    // Relaxed, here and below: a hint that spares a call that would be refused again.
    if !IS_REFUSED.load(Ordering::Relaxed) {
        match futex_waitv(words, limit) {
            Err(libc::ENOSYS | libc::EPERM) => IS_REFUSED.store(true, Ordering::Relaxed),
            Err(libc::ETIMEDOUT) => return true,
            _ => return false,
        }
    }
    if let Some(&(word, expected)) = words.last() {
        super::futex_wait(word, expected, limit.unwrap_or(SLICE_WITHOUT).min(SLICE_WITHOUT));
    }
    false
}

/// The system call; the error is the kernel's number.
fn futex_waitv(words: &[(&AtomicU32, u32)], limit: Option<Duration>) -> Result<(), i32> {
    let mut waiters = [Waiter::default(); FUTEX_WAITV_MAX];
    let count = words.len().min(FUTEX_WAITV_MAX);
    for (waiter, (word, expected)) in waiters.iter_mut().zip(words) {
        *waiter = Waiter { value: (*expected).into(), address: word.as_ptr() as u64, flags: SHARED_U32, reserved: 0 };
    }
    let deadline = limit.and_then(deadline);
    let deadline = deadline.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the kernel reads `count` elements of `waiters`, the words that they name, and the deadline if it is not
    // null, all of which outlive the call.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            count as libc::c_uint,
            0 as libc::c_uint,
            deadline,
            libc::CLOCK_MONOTONIC,
        )
    };
    if woken >= 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// `limit` from now, as the call wants it. `None` if that is beyond what the clock can express.
fn deadline(limit: Duration) -> Option<Timespec> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is writable. The call cannot fail with a clock that exists everywhere.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    // The casts are from types whose width differs by platform.
    let now = Timespec { seconds: now.tv_sec as _, nanoseconds: now.tv_nsec as _ };
    let nanoseconds = now.nanoseconds + i64::from(limit.subsec_nanos());
    let seconds = now.seconds.checked_add(i64::try_from(limit.as_secs()).ok()?)?;
    let seconds = seconds.checked_add(nanoseconds / 1_000_000_000)?;
    Some(Timespec { seconds, nanoseconds: nanoseconds % 1_000_000_000 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_wait_returns_at_once_if_one_of_the_words_has_another_value() {
        let words: Vec<AtomicU32> = (0..FUTEX_WAITV_MAX as u32).map(AtomicU32::new).collect();
        for other in [0, 1, words.len() - 1] {
            let expected = |at| if at == other { u32::MAX } else { at as u32 };
            let waiters: Vec<_> = words.iter().enumerate().map(|(at, word)| (word, expected(at))).collect();
            assert!(!futex_wait_any(&waiters, None));
        }
    }

    #[test]
    fn a_wait_ends_with_its_limit() {
        let word = AtomicU32::new(7);
        assert!(futex_wait_any(&[(&word, 7)], Some(Duration::from_millis(2))));
        assert!(futex_wait_any(&[(&word, 7)], Some(Duration::ZERO)));
    }

    #[test]
    fn any_of_the_words_wakes() {
        let words: Vec<AtomicU32> = (0..FUTEX_WAITV_MAX).map(|_| AtomicU32::new(0)).collect();
        for woken in [0, 63, words.len() - 1] {
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Relaxed, here and below: only the value counts, and the kernel orders the rest.
                    words[woken].store(1, Ordering::Relaxed);
                    super::super::futex_wake(&words[woken], 1);
                });
                while words[woken].load(Ordering::Relaxed) == 0 {
                    let waiters: Vec<_> = words.iter().map(|word| (word, 0)).collect();
                    futex_wait_any(&waiters, None);
                }
            });
            words[woken].store(0, Ordering::Relaxed);
        }
    }
}
