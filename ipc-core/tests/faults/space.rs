//! Processes that run out of something: of space in /dev/shm (in a mount namespace of a child's own), of descriptors, of the
//! size that a file may have.

use super::support::{Child, Domain, IS_PORTABLE, Part, SHM, assert_says, listen, queue, recv, refusal, say, skip};
use ipc_core::OpenError;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("space_fill", fill),
    ("space_read_only", read_only),
    ("space_use_up_descriptors", use_up_descriptors),
    ("space_small_files", small_files),
];

/// Slots of the channels that the file system is filled with: 18 pages each.
const CAPACITY: usize = 1000;

#[test]
fn a_full_shm_is_reported_and_nothing_is_left_of_the_attempt() {
    let domain = Domain::new("space-full");
    match with_own_shm("space_fill", &domain, "size=1m,mode=1777", 0) {
        Ok(child) => child.finish(),
        Err(error) => skip("a full /dev/shm", &format!("mount namespaces are not permitted here: {error}")),
    }
}

/// Fills a /dev/shm of 1 MiB with segments.
fn fill(domain: &str) {
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
    // Entries and locks take some as well.
    let most = if IS_PORTABLE { 12 } else { 14 };
    assert_eq!(ends.len(), most, "as many segments of 18 pages as go into 256");
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
    let domain = Domain::new("space-readonly");
    match with_own_shm("space_read_only", &domain, "size=1m,mode=1777", libc::MS_RDONLY) {
        Ok(child) => child.finish(),
        Err(error) => skip("a read-only /dev/shm", &format!("mount namespaces are not permitted here: {error}")),
    }
}

/// Creates a channel where nothing can be written.
fn read_only(domain: &str) {
    let error = refusal(&queue::<u64>(domain, "unwritable"));
    let OpenError::Os { path, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(path, Path::new(SHM));
    assert_eq!(source.raw_os_error(), Some(libc::EROFS));
    assert_says(&error, &["cannot create a segment in /dev/shm"]);
}

#[test]
fn a_process_without_descriptors_is_told_and_its_channels_go_on() {
    let domain = Domain::new("space-descriptors");
    let mut tx = domain.queue::<u64>("open").sender().unwrap();
    let mut child = Child::start("space_use_up_descriptors", &domain);
    assert_eq!(child.hear(), "used up");
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!(child.hear(), "received");
    child.finish();
}

/// Has descriptors for one channel, and receives after it has tried to open another one.
fn use_up_descriptors(domain: &str) {
    let mut rx = queue::<u64>(domain, "open").receiver().unwrap();
    let next = fs::File::open("/dev/null").unwrap().as_raw_fd();
    set_limit(libc::RLIMIT_NOFILE, next as u64);
    let error = refusal(&queue::<u64>(domain, "other"));
    assert!(matches!(error, OpenError::Descriptors { .. }), "{error:?}");
    assert_says(&error, &["descriptor"]);
    say("used up");
    assert_eq!([recv(&mut rx), recv(&mut rx)], [Ok(Some(1)), Ok(Some(2))]);
    say("received");
    listen();
}

#[test]
fn a_file_that_may_not_be_so_large_is_an_error_and_no_signal() {
    let domain = Domain::new("space-small-files");
    Child::start("space_small_files", &domain).finish();
}

/// May write files of 64 KiB. Without a check of its own, the system would kill it for the attempt to make a larger one.
fn small_files(domain: &str) {
    set_limit(libc::RLIMIT_FSIZE, 1 << 16);
    let error = refusal(&queue::<u64>(domain, "large"));
    let OpenError::FileSize { bytes, limit } = &error else { panic!("{error:?}") };
    assert!(*bytes > 4 << 20 && *limit == 1 << 16, "{error:?}");
    assert_says(&error, &["65536 bytes", "ulimit -f", "capacity"]);
    let small = queue::<u64>(domain, "small").capacity(8);
    let (mut tx, mut rx) = (small.sender().unwrap(), small.receiver().unwrap());
    tx.send(1).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(1)));
}

/// Lowers one of this process's limits.
fn set_limit(what: libc::__rlimit_resource_t, to: u64) {
    let limit = libc::rlimit { rlim_cur: to as _, rlim_max: to as _ };
    // SAFETY: `limit` is readable.
    assert_eq!(unsafe { libc::setrlimit(what, &raw const limit) }, 0);
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
    // The casts are from types whose width differs by platform.
    stat.f_bavail as u64 * stat.f_frsize as u64
}
