//! Linux: files under /dev/shm, open-file-description locks, futexes, membarrier.

use super::fork;
use core::sync::atomic::AtomicU32;
use core::time::Duration;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;

/// Where segments live: a tmpfs, so that a segment is memory and nothing else.
pub(crate) const SEGMENT_DIRECTORY: &str = "/dev/shm";

/// Opens a segment that has a name. Symbolic links are refused, and a FIFO in its place cannot make this block.
pub(crate) fn open_named(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Opens a segment that has a name, for reading only.
pub(crate) fn open_named_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Whether writing through this descriptor is permitted.
pub(crate) fn is_open_for_writing(file: &File) -> bool {
    // SAFETY: F_GETFL takes a descriptor, which `file` keeps open, and no argument.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    flags != -1 && flags & libc::O_ACCMODE != libc::O_RDONLY
}

/// Creates a file that has no name yet, readable and writable by this user alone.
pub(crate) fn create_unnamed(directory: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(directory)
}

/// Gives a file its size and reserves its memory. `ftruncate` would succeed on a full tmpfs, and the first touch of a
/// page that is not there would be a SIGBUS.
pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    loop {
        // SAFETY: takes a descriptor, which `file` keeps open, and two integers.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
            0 => return Ok(()),
            libc::EINTR => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Gives an unnamed file its name, atomically: `AlreadyExists` if the name is taken.
pub(crate) fn link(file: &File, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call, as does the empty literal.
    let linked =
        unsafe { libc::linkat(file.as_raw_fd(), c"".as_ptr(), libc::AT_FDCWD, path.as_ptr(), libc::AT_EMPTY_PATH) };
    if linked == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Err(error);
    }
    // Older kernels allow the empty path to privileged processes only; the way through /proc works for everyone.
    let through_proc = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    // SAFETY: both paths are NUL-terminated strings that outlive the call.
    let linked = unsafe {
        libc::linkat(libc::AT_FDCWD, through_proc.as_ptr(), libc::AT_FDCWD, path.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    };
    if linked == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The size of a transparent huge page, if the kernel has them.
pub(crate) fn huge_page_bytes() -> Option<usize> {
    let size = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").ok()?;
    size.trim().parse().ok().filter(|size: &usize| size.is_power_of_two())
}

/// How many descriptors this process may have: its soft limit.
pub(crate) fn descriptor_limit() -> u64 {
    soft_limit(libc::RLIMIT_NOFILE)
}

/// How many bytes a file of this process may have: its soft limit. Whoever tries to make a larger one is sent a signal,
/// which ends the process.
pub(crate) fn file_size_limit() -> u64 {
    soft_limit(libc::RLIMIT_FSIZE)
}

fn soft_limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer leads to an `rlimit`, which is writable. The call fails for unknown resources only.
    unsafe { libc::getrlimit(resource, &raw mut limit) };
    limit.rlim_cur
}

/// The process's effective user.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// The time of a clock that all processes of this machine share and that is never set, in nanoseconds. It starts anew in
/// each time namespace, and stands still while the machine is suspended.
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer leads to a `timespec`, which is writable. The call fails for unknown clocks only.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Takes the write lock on one byte of a file, for this open file description. `false` if another one has it.
pub(crate) fn try_lock(file: &File, byte: u64) -> io::Result<bool> {
    match set_lock(file, byte, libc::F_WRLCK) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the write lock on one byte of a file back.
pub(crate) fn unlock(file: &File, byte: u64) -> io::Result<()> {
    set_lock(file, byte, libc::F_UNLCK)
}

/// Whether any *other* open file description has a lock on one of `count` bytes from `first`. The kernel drops a
/// process's locks when it dies, even by SIGKILL and even as a zombie.
pub(crate) fn is_locked_elsewhere(file: &File, first: u64, count: u64) -> io::Result<bool> {
    #[cfg(test)]
    LOOKS_AT_LOCKS.set(LOOKS_AT_LOCKS.get() + 1);
    let mut lock = lock_request(first, count, libc::F_WRLCK);
    // SAFETY: `file` keeps the descriptor open, and F_OFD_GETLK takes a pointer to a `flock`, which `lock` is.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(i32::from(lock.l_type) != libc::F_UNLCK) }
}

fn set_lock(file: &File, byte: u64, kind: i32) -> io::Result<()> {
    let lock = lock_request(byte, 1, kind);
    // SAFETY: `file` keeps the descriptor open, and F_OFD_SETLK takes a pointer to a `flock`, which `lock` is.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn lock_request(first: u64, count: u64, kind: i32) -> libc::flock {
    // SAFETY: `flock` is a C struct of integers, for which zero is a valid value.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    // The casts are to types whose width differs by platform; the values are small constants and byte numbers.
    lock.l_type = kind as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = first as _;
    lock.l_len = count as _;
    lock
}

/// Sleeps while `word` holds `expected`, at most `limit`. Returns for any reason, a spurious one included: the caller
/// looks for itself.
///
/// The futex is a shared one: `FUTEX_PRIVATE_FLAG` would hide it from other processes.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let limit = libc::timespec { tv_sec: limit.as_secs() as _, tv_nsec: limit.subsec_nanos() as _ };
    // SAFETY: FUTEX_WAIT reads the word and the relative time-out, both of which outlive the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const limit) };
}

/// Wakes up to `count` of those who sleep on `word`, and returns how many there were.
pub(crate) fn futex_wake(word: &AtomicU32, count: u32) -> u32 {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
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
    BARRIERS.set(BARRIERS.get() + 1);
    membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
}

#[cfg(test)]
thread_local! {
    /// How often this thread has called [`barrier_everywhere`].
    pub(crate) static BARRIERS: core::cell::Cell<u64> = const { core::cell::Cell::new(0) };

    /// How often this thread has called [`is_locked_elsewhere`].
    pub(crate) static LOOKS_AT_LOCKS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

fn membarrier(command: libc::c_int) -> bool {
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
    fn locks_are_seen_by_other_descriptions_only() {
        let file = create_unnamed(Path::new(SEGMENT_DIRECTORY)).unwrap();
        let other =
            OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        assert!(try_lock(&file, 3).unwrap());
        assert!(try_lock(&file, 3).unwrap(), "the owner may ask again");
        assert!(!try_lock(&other, 3).unwrap());
        assert!(is_locked_elsewhere(&other, 0, 8).unwrap());
        assert!(!is_locked_elsewhere(&other, 4, 8).unwrap());
        assert!(!is_locked_elsewhere(&file, 0, 8).unwrap());
        unlock(&file, 3).unwrap();
        assert!(try_lock(&other, 3).unwrap());
    }

    #[test]
    fn locks_are_seen_by_those_who_cannot_take_them() {
        let file = create_unnamed(Path::new(SEGMENT_DIRECTORY)).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let reader = OpenOptions::new().read(true).open(path).unwrap();
        assert!(try_lock(&file, 3).unwrap());
        assert!(is_locked_elsewhere(&reader, 3, 1).unwrap());
        assert!(!is_locked_elsewhere(&reader, 4, 1).unwrap());
        assert!(try_lock(&reader, 4).is_err());
    }

    #[test]
    fn a_taken_name_is_already_exists() {
        let directory = Path::new(SEGMENT_DIRECTORY);
        let path = directory.join(format!("slipring-unit-test.{}", std::process::id()));
        link(&create_unnamed(directory).unwrap(), &path).unwrap();
        let second = link(&create_unnamed(directory).unwrap(), &path).map_err(|error| error.kind());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(second, Err(io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn more_than_there_is_cannot_be_reserved() {
        let file = create_unnamed(Path::new(SEGMENT_DIRECTORY)).unwrap();
        let error = reserve(&file, i64::MAX as u64).unwrap_err();
        assert!(matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EFBIG)), "{error}");
    }

    #[test]
    fn a_wait_on_another_value_returns_at_once() {
        let word = AtomicU32::new(1);
        futex_wait(&word, 0, Duration::MAX);
        assert_eq!(futex_wake(&word, 1), 0);
    }
}
