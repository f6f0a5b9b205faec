//! What Windows has in the place of `unix.rs`.

use super::Cause;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use windows_sys::Win32::Foundation;
use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

/// How many handles this process may have: no limit that it would meet.
pub(crate) fn descriptor_limit() -> u64 {
    1 << 24
}

/// How many bytes a file of this process may have: there is no limit for one process.
pub(crate) fn file_size_limit() -> u64 {
    u64::MAX
}

/// The process's user. Users have no numbers here, and segments lie in a directory of the user's own.
pub(crate) fn effective_user() -> u32 {
    0
}

/// The user whose file has this name, which is not known.
pub(crate) fn owner(_path: &Path) -> Option<u32> {
    None
}

/// The time of a clock that all processes of this machine share and that is never set, in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    static FREQUENCY: OnceLock<u64> = OnceLock::new();
    let frequency = *FREQUENCY.get_or_init(|| {
        let mut frequency = 0;
        // SAFETY: the pointer leads to an integer, which is writable. The call cannot fail since Windows XP.
        unsafe { QueryPerformanceFrequency(&raw mut frequency) };
        frequency.max(1) as u64
    });
    let mut ticks = 0;
    // SAFETY: as above.
    unsafe { QueryPerformanceCounter(&raw mut ticks) };
    let ticks = ticks as u64;
    (ticks / frequency).wrapping_mul(1_000_000_000).wrapping_add(ticks % frequency * 1_000_000_000 / frequency)
}

/// The same: there is none that is cheaper to look at.
pub(crate) fn recent_ns() -> u64 {
    monotonic_ns()
}

/// What kept the system from doing as it was asked.
pub(crate) fn cause(error: &io::Error) -> Cause {
    match error.raw_os_error().map(|code| code as u32) {
        Some(
            Foundation::ERROR_DISK_FULL
            | Foundation::ERROR_HANDLE_DISK_FULL
            | Foundation::ERROR_COMMITMENT_LIMIT
            | Foundation::ERROR_NOT_ENOUGH_MEMORY,
        ) => Cause::NoSpace,
        Some(Foundation::ERROR_TOO_MANY_OPEN_FILES) => Cause::NoDescriptor,
        Some(Foundation::ERROR_ACCESS_DENIED | Foundation::ERROR_WRITE_PROTECT) => Cause::NotPermitted,
        _ => Cause::Other,
    }
}
