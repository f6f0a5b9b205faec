//! Files under /dev/shm: opening, creating, naming.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a segment that has a name. Symbolic links are refused, and a FIFO in its place cannot make this block.
pub(super) fn open_named(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Opens a segment that has a name, for reading only.
pub(super) fn open_named_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

/// Creates a file that has no name yet, readable and writable by this user alone.
pub(super) fn create_unnamed(directory: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(directory)
}

/// Gives a file its size and reserves its memory. `ftruncate` would succeed on a full tmpfs, and the first touch of a
/// page that is not there would be a SIGBUS.
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
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
pub(super) fn link(file: &File, path: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::segment_directory;

    #[test]
    fn a_taken_name_is_already_exists() {
        let directory = segment_directory();
        let path = directory.join(format!("slipring-unit-test.{}", std::process::id()));
        link(&create_unnamed(directory).unwrap(), &path).unwrap();
        let second = link(&create_unnamed(directory).unwrap(), &path).map_err(|error| error.kind());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(second, Err(io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn more_than_there_is_cannot_be_reserved() {
        let file = create_unnamed(segment_directory()).unwrap();
        let error = reserve(&file, i64::MAX as u64).unwrap_err();
        assert!(matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EFBIG)), "{error}");
    }
}
