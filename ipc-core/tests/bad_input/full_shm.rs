//! A /dev/shm that is full, or that cannot be written, in a mount namespace of a child's own.

use super::support::{Child, Domain, SHM, queue, recv, skip};
use super::{assert_says, refusal};
use ipc_core::OpenError;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;

/// Slots of the channels that the file system is filled with: 18 pages each.
const CAPACITY: usize = 1000;

#[test]
fn a_full_shm_is_reported_and_nothing_is_left_of_the_attempt() {
    let domain = Domain::new("full");
    match with_own_shm("fill", &domain, "size=1m,mode=1777", 0) {
        Ok(child) => child.finish(),
        Err(error) => skip("a full /dev/shm", &format!("mount namespaces are not permitted here: {error}")),
    }
}

/// Fills a /dev/shm of 1 MiB with segments.
pub(super) fn fill(domain: &str) {
    assert_eq!(free_bytes(), 1 << 20, "the small file system is there");
    let error = refusal(&queue::<u64>(domain, "large"));
    let OpenError::NoSpace { path, bytes } = &error else { panic!("{error:?}") };
    assert_eq!(path, Path::new(SHM));
    assert!(*bytes > 4 << 20);
    assert_says(&error, &["/dev/shm has no room", &format!("{bytes} bytes"), "lower the capacity", "remount,size="]);
    // The largest ring that is not absurd, which no offset of the library may overflow on.
    let error = refusal(&queue::<u64>(domain, "large").capacity(1 << 31));
    assert!(matches!(error, OpenError::NoSpace { bytes, .. } if bytes > 1 << 37), "{error:?}");
    assert_eq!(free_bytes(), 1 << 20, "an attempt that failed keeps no memory");
    assert_eq!(fs::read_dir(SHM).unwrap().count(), 0);

    let mut ends = Vec::new();
    let error = loop {
        let queue = queue::<u64>(domain, &format!("small-{}", ends.len())).capacity(CAPACITY);
        match queue.sender() {
            Ok(tx) => ends.push((tx, queue.receiver().unwrap())),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, OpenError::NoSpace { .. }), "{error:?}");
    assert_eq!(ends.len(), 14, "as many segments of 18 pages as go into 256");
    // All of their memory is there already, so that no first touch of a page can be a SIGBUS.
    for (at, (tx, rx)) in ends.iter_mut().enumerate() {
        let messages = (0..CAPACITY as u64).map(|message| message * at as u64);
        assert_eq!(tx.send_batch(messages.clone()).unwrap(), CAPACITY);
        assert!(messages.map(|message| Ok(Some(message))).eq((0..CAPACITY).map(|_| recv(rx))));
    }
    drop(ends);
    assert_eq!(free_bytes(), 1 << 20);
    assert_eq!(fs::read_dir(SHM).unwrap().count(), 0);
}

#[test]
fn a_shm_that_cannot_be_written_is_reported() {
    let domain = Domain::new("readonly");
    match with_own_shm("read-only", &domain, "size=1m,mode=1777", libc::MS_RDONLY) {
        Ok(child) => child.finish(),
        Err(error) => skip("a read-only /dev/shm", &format!("mount namespaces are not permitted here: {error}")),
    }
}

/// Creates a channel where nothing can be written.
pub(super) fn read_only(domain: &str) {
    let error = refusal(&queue::<u64>(domain, "unwritable"));
    let OpenError::Os { path, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(path, Path::new(SHM));
    assert_eq!(source.raw_os_error(), Some(libc::EROFS));
    assert_says(&error, &["cannot create a segment in /dev/shm"]);
}

/// Starts a child that has a /dev/shm of its own, a tmpfs with these options. An error if that is not permitted.
fn with_own_shm(part: &str, domain: &Domain, options: &str, flags: libc::c_ulong) -> io::Result<Child> {
    // SAFETY: has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getegid() };
    let maps = (format!("{user} {user} 1"), format!("{group} {group} 1"));
    let options = CString::new(options).unwrap();
    let isolate = move || {
        let result = |answer| if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
        // SAFETY: takes one integer.
        if result(unsafe { libc::unshare(libc::CLONE_NEWNS) }).is_err() {
            // Whoever is not root may have a namespace of mounts within one of users.
            // SAFETY: takes one integer.
            result(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", &maps.0)?;
            fs::write("/proc/self/gid_map", &maps.1)?;
        }
        let (none, private) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
        // What is mounted below must not reach the namespace we come from.
        // SAFETY: the target is NUL-terminated, and the other pointers are not used for a change of propagation.
        result(unsafe { libc::mount(none, c"/".as_ptr(), none, private, none.cast()) })?;
        let (kind, target) = (c"tmpfs".as_ptr(), c"/dev/shm".as_ptr());
        // SAFETY: all strings are NUL-terminated and outlive the call.
        result(unsafe { libc::mount(kind, target, kind, flags, options.as_ptr().cast()) })
    };
    let child = Child::try_start(part, domain, |command| {
        // SAFETY: the closure makes system calls only; the paths of its writes are short enough to need no allocation.
        unsafe { command.pre_exec(isolate) };
    });
    if let Err(error) = &child {
        let refused = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::ENOSPC, libc::EUSERS, libc::EINVAL];
        assert!(refused.contains(&error.raw_os_error().unwrap_or(0)), "{error}");
    }
    child
}

/// What is free of /dev/shm.
fn free_bytes() -> u64 {
    // SAFETY: `statvfs` is a C struct of integers, for which zero is a valid value.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated, and `stat` is writable.
    assert_eq!(unsafe { libc::statvfs(c"/dev/shm".as_ptr(), &raw mut stat) }, 0);
    stat.f_bavail * stat.f_frsize
}
