//! Locks on bytes of a file that belong to an open file description.

#[cfg(test)]
use crate::os::LOOKS_AT_LOCKS;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Whether writing through this descriptor is permitted.
pub(super) fn is_open_for_writing(file: &File) -> bool {
    // SAFETY: F_GETFL takes a descriptor, which `file` keeps open, and no argument.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    flags != -1 && flags & libc::O_ACCMODE != libc::O_RDONLY
}

/// Takes the write lock on one byte of a file, for this open file description. `false` if another one has it.
pub(super) fn try_lock(file: &File, byte: u64) -> io::Result<bool> {
    match set_lock(file, byte, libc::F_WRLCK) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the write lock on one byte of a file back.
pub(super) fn unlock(file: &File, byte: u64) -> io::Result<()> {
    set_lock(file, byte, libc::F_UNLCK)
}

/// Whether any *other* open file description has the write lock on one of `count` bytes from `first`. The kernel drops a
/// process's locks when it dies, even by SIGKILL and even as a zombie.
///
/// A read lock is none: whoever may read the file can take one, and would pass for a participant that lives.
pub(super) fn is_locked_elsewhere(file: &File, first: u64, count: u64) -> io::Result<bool> {
    #[cfg(test)]
    LOOKS_AT_LOCKS.set(LOOKS_AT_LOCKS.get() + 1);
    // Only a write lock stands in the way of a read lock.
    let mut lock = lock_request(first, count, libc::F_RDLCK);
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

#[cfg(test)]
mod tests {
    use super::super::files::create_unnamed;
    use super::*;
    use crate::os::segment_directory;
    use std::fs::OpenOptions;

    #[test]
    fn locks_are_seen_by_other_descriptions_only() {
        let file = create_unnamed(segment_directory()).unwrap();
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
        let file = create_unnamed(segment_directory()).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let reader = OpenOptions::new().read(true).open(path).unwrap();
        assert!(try_lock(&file, 3).unwrap());
        assert!(is_locked_elsewhere(&reader, 3, 1).unwrap());
        assert!(!is_locked_elsewhere(&reader, 4, 1).unwrap());
        assert!(try_lock(&reader, 4).is_err());
    }

    #[test]
    fn who_may_only_read_cannot_pass_for_one_who_lives() {
        let file = create_unnamed(segment_directory()).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let reader = OpenOptions::new().read(true).open(path).unwrap();
        set_lock(&reader, 4, libc::F_RDLCK).unwrap();
        assert!(!is_locked_elsewhere(&file, 4, 1).unwrap());
        assert!(!try_lock(&file, 4).unwrap(), "it can keep a place from being taken, all the same");
    }
}
