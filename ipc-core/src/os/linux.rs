//! Linux: files under /dev/shm, open-file-description locks, futexes, membarrier.

mod access;
mod attachment;
mod files;
mod futex_waitv;
mod locks;
mod memfd;
mod signal;

pub(crate) use access::{group_id, is_in_group};
pub(crate) use attachment::Attachment;
pub(crate) use futex_waitv::{FUTEX_WAITV_MAX, futex_wait_any};
pub(crate) use memfd::{receive_files, send_files};
pub(crate) use signal::Signal;

use super::fork;
use crate::crash;
use crate::layout;
use core::sync::atomic::AtomicU32;
use core::time::Duration;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// What segments are marked with.
pub(crate) const BACKEND: u32 = layout::BACKEND_LINUX;

/// Whether processes may take part in barriers that others issue.
pub(crate) const HAS_BARRIERS: bool = true;

/// Whether a process that only reads maps a segment so that it cannot write.
pub(crate) const MAPS_READ_ONLY: bool = true;

/// Where segments live: a tmpfs, so that a segment is memory and nothing else.
pub(crate) fn segment_directory() -> &'static Path {
    Path::new("/dev/shm")
}

/// The size of a transparent huge page, if the kernel has them.
pub(crate) fn huge_page_bytes() -> Option<usize> {
    let size = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").ok()?;
    size.trim().parse().ok().filter(|size: &usize| size.is_power_of_two())
}

/// Sleeps while `word` holds `expected`, at most `limit`. Returns for any reason, a spurious one included: the caller
/// looks for itself.
///
/// The futex is a shared one: `FUTEX_PRIVATE_FLAG` would hide it from other processes.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let limit = libc::timespec { tv_sec: limit.as_secs() as _, tv_nsec: limit.subsec_nanos() as _ };
    crash::point();
    // SAFETY: FUTEX_WAIT reads the word and the relative time-out, both of which outlive the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const limit) };
}

/// Wakes up to `count` of those who sleep on `word`, and returns how many there were.
pub(crate) fn futex_wake(word: &AtomicU32, count: u32) -> u32 {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    crash::point();
    // SAFETY: FUTEX_WAKE uses the word's address and never its contents.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    u32::try_from(woken).unwrap_or(0)
}

/// Whether this process takes part in `membarrier`'s global expedited barriers. Asks the kernel once, and once more in
/// a child that was forked: the registration is the process's.
pub(crate) fn joins_barriers() -> bool {
    static JOINS: fork::Local<OnceLock<bool>> = fork::Local::new();
    *JOINS.get().get_or_init(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED))
}

/// Makes every running thread of every process that [`joins_barriers`] execute a full memory barrier, before it
/// returns. `false` where the kernel or a sandbox refuses.
pub(crate) fn barrier_everywhere() -> bool {
    #[cfg(test)]
    super::BARRIERS.set(super::BARRIERS.get() + 1);
    membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
}

fn membarrier(command: libc::c_int) -> bool {
    crash::point();
    // SAFETY: takes three integers.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Fills `bytes` from the kernel's random source.
pub(crate) fn random(bytes: &mut [u8; 16]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `bytes`, which is writable.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // Requests of up to 256 bytes are never cut short.
    if filled == bytes.len() as isize { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The one processor that this thread may run on, if there is only one.
pub(crate) fn only_processor() -> Option<u32> {
    // SAFETY: `cpu_set_t` is a C struct of integers, for which zero is a valid value.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: the pointer and the length describe `set`, which is writable.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) } != 0 {
        // The set is too small for the machine, which therefore has more than a thousand processors.
        return None;
    }
    // SAFETY: every number asked for is below the size of the set.
    let mut allowed = (0..libc::CPU_SETSIZE as u32).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu as usize, &set) });
    let first = allowed.next()?;
    if allowed.next().is_none() { Some(first) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_on_another_value_returns_at_once() {
        let word = AtomicU32::new(1);
        futex_wait(&word, 0, Duration::MAX);
        assert_eq!(futex_wake(&word, 1), 0);
    }
}
