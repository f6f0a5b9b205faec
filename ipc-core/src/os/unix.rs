//! What all systems of the Unix family have.

use super::Cause;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How many descriptors this process may have: its soft limit.
pub(crate) fn descriptor_limit() -> u64 {
    soft_limit(|limit| {
        // SAFETY: the pointer leads to an `rlimit`, which is writable. The call fails for unknown resources only.
        unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, limit) };
    })
}

/// How many bytes a file of this process may have: its soft limit. Whoever tries to make a larger one is sent a signal,
/// which ends the process.
pub(crate) fn file_size_limit() -> u64 {
    soft_limit(|limit| {
        // SAFETY: as in `descriptor_limit`.
        unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, limit) };
    })
}

/// The soft limit that `get` stores. (The type of a resource's name differs by platform, so it is not passed.)
fn soft_limit(get: impl FnOnce(*mut libc::rlimit)) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    get(&raw mut limit);
    // None at all is the largest number of a type whose width differs by platform.
    if limit.rlim_cur == libc::RLIM_INFINITY { u64::MAX } else { limit.rlim_cur as _ }
}

/// The process's effective user.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// The user whose file has this name, if there is one.
pub(crate) fn owner(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.uid())
}

/// The time of a clock that all processes of this machine share and that is never set, in nanoseconds. It starts anew in
/// each time namespace, and stands still while the machine is suspended.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// What [`monotonic_ns`] was a moment ago, for those who look at it often: at the last tick of the kernel's clock, which is
/// 10 ms ago at most. It takes 5 ns instead of 24. Elsewhere than on Linux it is the time.
pub(crate) fn recent_ns() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    let clock = libc::CLOCK_MONOTONIC;
    clock_ns(clock)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer leads to a `timespec`, which is writable. The call fails for unknown clocks only.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// What kept the system from doing as it was asked.
pub(crate) fn cause(error: &io::Error) -> Cause {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EFBIG) => Cause::NoSpace,
        Some(libc::EMFILE | libc::ENFILE) => Cause::NoDescriptor,
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => Cause::NotPermitted,
        Some(libc::ELOOP) => Cause::Link,
        Some(libc::EISDIR | libc::ENXIO | libc::ENODEV) => Cause::NotRegular,
        _ => Cause::Other,
    }
}
