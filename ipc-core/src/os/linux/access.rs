//! Who may open a file: its mode, its group, and which groups this process is in.

use core::mem::MaybeUninit;
use core::ptr;
use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

/// Most bytes that the entry of a group may take, with the names of all its members.
const MAX_ENTRY_BYTES: usize = 1 << 20;

/// The number of the group that has this name, or this number. `None` if there is none.
pub(crate) fn group_id(name: &str) -> io::Result<Option<u32>> {
    if let Ok(id) = name.parse() {
        return Ok(Some(id));
    }
    let name = CString::new(name)?;
    let mut text = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<libc::group>::uninit();
        let mut found = ptr::null_mut();
        let (at, bytes) = (text.as_mut_ptr(), text.len());
        // SAFETY: the name is NUL-terminated; the entry, the text and the result are writable, and `bytes` is the text's length.
        match unsafe { libc::getgrnam_r(name.as_ptr(), entry.as_mut_ptr(), at, bytes, &raw mut found) } {
            0 if found.is_null() => return Ok(None),
            // SAFETY: the call has filled the entry in, which is where it says that it has found one.
            0 => return Ok(Some(unsafe { entry.assume_init() }.gr_gid)),
            libc::ERANGE if bytes < MAX_ENTRY_BYTES => text.resize(2 * bytes, 0),
            libc::EINTR => {}
            // So a missing or unreadable list of groups is told.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Gives a file to a group. Whoever is not privileged has to be in it.
pub(super) fn set_group(file: &File, group: u32) -> io::Result<()> {
    // SAFETY: takes a descriptor, which `file` keeps open, and two integers; the first one leaves the owner as it is.
    if unsafe { libc::fchown(file.as_raw_fd(), u32::MAX, group) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives a file its mode, whatever the process's mask of modes is.
pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

/// Whether this process is in a group.
pub(crate) fn is_in_group(group: u32) -> bool {
    // SAFETY: has no preconditions and cannot fail.
    if unsafe { libc::getegid() } == group {
        return true;
    }
    // SAFETY: asks for the number of groups, for which nothing is written.
    let count = unsafe { libc::getgroups(0, ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: the list has room for as many as are asked for.
    let count = unsafe { libc::getgroups(groups.len() as libc::c_int, groups.as_mut_ptr()) };
    groups.iter().take(usize::try_from(count).unwrap_or(0)).any(|&other| other == group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_by_number() {
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(group_id("4711").unwrap(), Some(4711));
        assert_eq!(group_id("no group has such a name").unwrap(), None);
        assert!(group_id("nul\0").is_err());
    }

    #[test]
    fn a_process_is_in_its_own_group() {
        // SAFETY: has no preconditions and cannot fail.
        assert!(is_in_group(unsafe { libc::getegid() }));
        assert!(!is_in_group(u32::MAX - 1));
    }
}
