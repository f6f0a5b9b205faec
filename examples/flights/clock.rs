//! The clock that all processes of a machine share.

/// Nanoseconds of the monotonic clock, which counts from the same moment in every process.
///
/// `std::time::Instant` reads the same clock, but does not give its value away, so it cannot travel in a message.
pub(crate) fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a writable `timespec`. The call cannot fail otherwise: Linux always has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
