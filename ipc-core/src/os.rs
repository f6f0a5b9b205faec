//! Thin, typed wrappers of what the operating system offers. System calls are made here and nowhere else.
//!
//! # Two backends
//!
//! Both offer the same, and one of them is chosen when the library is built:
//!
//! | | `linux` | `portable` |
//! |---|---|---|
//! | chosen | on Linux | elsewhere, and on Linux by the feature `portable` |
//! | a segment ([`Attachment`]) | a file in /dev/shm | a `shared_memory` mapping, and files that lead to it |
//! | who lives | locks on bytes of that file | a locked file for each participant |
//! | waiting | futex | looks at the word at growing intervals |
//! | barriers | membarrier | refused, so that everybody has a fence |
//!
//! Nobody waits on a futex for a process that does not wake futexes, and no lock on a byte is seen by who looks at a file. So
//! each segment says which backend made it, and the other one refuses it.

#[cfg(unix)]
pub(crate) mod fork;
#[cfg(not(unix))]
#[path = "os/no_fork.rs"]
pub(crate) mod fork;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub(crate) use linux::*;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub(crate) use portable::*;
#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

/// What the system knows of the file that has a segment's name.
pub(crate) struct Facts {
    /// Whether it is neither a directory nor a device nor anything else.
    pub(crate) is_regular: bool,
    /// The user whose file it is.
    pub(crate) owner: u32,
    /// How long it is.
    pub(crate) bytes: u64,
    /// Who may read and write it.
    pub(crate) mode: u32,
    /// Its group.
    pub(crate) group: u32,
}

/// What kept the system from doing as it was asked, as far as there is advice for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is not so much room, or there never can be.
    NoSpace,
    /// The process, or the system, has no descriptor left.
    NoDescriptor,
    /// This user may not do it.
    NotPermitted,
    /// What has the name is a symbolic link.
    #[cfg_attr(not(unix), expect(dead_code, reason = "it is found out by looking"))]
    Link,
    /// What has the name is a directory, a device or the like.
    #[cfg_attr(not(unix), expect(dead_code, reason = "it is found out by looking"))]
    NotRegular,
    /// Something else.
    Other,
}

#[cfg(test)]
thread_local! {
    /// How often this thread has called [`barrier_everywhere`].
    pub(crate) static BARRIERS: core::cell::Cell<u64> = const { core::cell::Cell::new(0) };

    /// How often this thread has called [`Attachment::is_locked_elsewhere`].
    pub(crate) static LOOKS_AT_LOCKS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}
