//! The portable backend: what `shared_memory` and locked files can do on any system.
//!
//! # What a segment consists of
//!
//! - The *entry*, a file in the directory of segments that has the channel's name and holds the header. It is what is
//!   found, listed and removed, and has the same name as the segment of the Linux backend would.
//! - The *mapping*, a `shared_memory` mapping with everything, the header included. Its name is made of the segment's random
//!   instance number, which the header has: short enough for every system, and never used again.
//! - The *locks*, files that are empty but for the first one. Their names begin with that of the mapping.
//!
//! # What that makes of the pitfalls of `shared_memory`
//!
//! - A mapping appears before it has its size, and then before it has its contents. Nobody can open it in between, since the
//!   entry, from which alone its name can be learnt, comes last, and all at once.
//! - Whoever owns a mapping removes whatever has its name when it is dropped. Here nobody owns one, and no name is used twice.
//!   A mapping is removed by whoever removes the entry, under the lifecycle lock, after a look whether it is the right one.
//! - Names are limited to 31 bytes on some systems. That of a mapping has 30.
//! - Sizes are rounded up on some systems. The header has the exact one.
//! - Memory is not reserved. Where it can be reserved by another way, on Linux, it is.
//!
//! # What becomes of the remains
//!
//! A creator that is killed half-way leaves a mapping and locks without an entry; one that removes a segment and is killed
//! does too, and so does whoever removes an entry by hand. The first lock's file says which entry it belongs to, so that the
//! next process that creates a segment can tell, and removes them (`sweep.rs`). An entry without a mapping, which stays when
//! mappings end with the system and files do not, is removed by whoever opens it.
//!
//! # Waiting
//!
//! Nobody is woken across processes: those who wait look at their word at growing intervals (`waiting.rs`). What `raw_sync`
//! has for it cannot be used here: on systems of the Unix family its event is a process-shared mutex and condition variable,
//! and whoever signals waits for ever for the mutex of a waiter that was killed.

mod attachment;
mod directory;
mod locks;
mod mapping;
#[cfg(unix)]
mod signal;
#[cfg(not(unix))]
#[path = "portable/no_signal.rs"]
mod signal;
mod sweep;
mod waiting;

pub(crate) use attachment::Attachment;
pub(crate) use directory::segment_directory;
pub(crate) use signal::Signal;
pub(crate) use waiting::{FUTEX_WAITV_MAX, futex_wait, futex_wait_any, futex_wake};

use crate::layout;
use std::io;

/// What segments are marked with.
pub(crate) const BACKEND: u32 = layout::BACKEND_PORTABLE;

/// Whether processes may take part in barriers that others issue. Not every system has such, so nobody relies on them.
pub(crate) const HAS_BARRIERS: bool = false;

/// Whether a process that only reads maps a segment so that it cannot write.
pub(crate) const MAPS_READ_ONLY: bool = false;

/// The number of a group: segments have none here.
pub(crate) fn group_id(name: &str) -> io::Result<Option<u32>> {
    Ok(name.parse().ok())
}

/// Whether this process is in a group.
pub(crate) fn is_in_group(_group: u32) -> bool {
    false
}

/// There are no huge pages to be asked for.
pub(crate) fn huge_page_bytes() -> Option<usize> {
    None
}

/// Whether this process takes part in barriers that others issue.
pub(crate) fn joins_barriers() -> bool {
    false
}

/// Refused.
pub(crate) fn barrier_everywhere() -> bool {
    #[cfg(test)]
    super::BARRIERS.set(super::BARRIERS.get() + 1);
    false
}

/// Fills `bytes` from the system's random source.
pub(crate) fn random(bytes: &mut [u8; 16]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::from)
}

/// The one processor that this thread may run on, if there is only one and the system says so. Not every system does.
pub(crate) fn only_processor() -> Option<u32> {
    None
}
