//! The memory of a segment.

use super::directory::Id;
use crate::os::fork::{self, Epoch};
use core::mem::ManuallyDrop;
use shared_memory::{Shmem, ShmemConf, ShmemError};
use std::io;

/// A mapping, always readable and writable. It stays in the system when it is dropped.
pub(super) struct Mapping {
    shared: ManuallyDrop<Shmem>,
    epoch: Epoch,
}

// SAFETY: what a `Shmem` has is a descriptor, a name, and the address of memory that is there for all threads. It is changed
// only by `set_owner`, which takes it mutably.
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes a mapping of so many zeros, for which there is room.
    pub(super) fn create(id: &Id, bytes: u64) -> io::Result<Self> {
        let size = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let inside = fork::enter();
        let shared = ShmemConf::new().os_id(id.mapping()).size(size).create().map_err(io_error)?;
        let mapping = Mapping::from(shared, &inside);
        drop(inside);
        match reserve(id, bytes) {
            Ok(()) => Ok(mapping),
            Err(error) => Mapping::remove(id).and(Err(error)),
        }
    }

    /// Opens a mapping. `NotFound` if there is none.
    pub(super) fn open(id: &Id) -> io::Result<Self> {
        let inside = fork::enter();
        let shared = ShmemConf::new().os_id(id.mapping()).open().map_err(io_error)?;
        Ok(Mapping::from(shared, &inside))
    }

    fn from(mut shared: Shmem, inside: &fork::Inside) -> Self {
        shared.set_owner(false);
        inside.mapped(shared.as_ptr(), shared.len());
        Mapping { shared: ManuallyDrop::new(shared), epoch: Epoch::now() }
    }

    /// Removes a mapping. Those who have it open keep the memory.
    pub(super) fn remove(id: &Id) -> io::Result<()> {
        let mut mapping = match Mapping::open(id) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Its creator may have died before it had a size, without which nothing is mapped.
            Err(error) => return unlink(id, error),
            Ok(mapping) => mapping,
        };
        // Its owner removes it when it is dropped.
        mapping.shared.set_owner(true);
        drop(mapping);
        remove_rest(id);
        Ok(())
    }

    /// Where it starts.
    pub(super) fn start(&self) -> *mut u8 {
        self.shared.as_ptr()
    }

    /// How long it is: perhaps longer than it was made.
    pub(super) fn len(&self) -> usize {
        self.shared.len()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let inside = fork::enter();
        if !self.epoch.is_past() {
            inside.unmapping(self.start());
        }
        // In a forked child, the pages that go are its own, and the descriptor is its copy.
        // SAFETY: the field is not used after this, since the value is being dropped.
        unsafe { ManuallyDrop::drop(&mut self.shared) };
    }
}

/// Has the system find the memory now. Otherwise the first touch of a page that it cannot find would be a SIGBUS.
#[cfg(target_os = "linux")]
fn reserve(id: &Id, bytes: u64) -> io::Result<()> {
    let _inside = fork::enter();
    // The package keeps its descriptor to itself, but here the mapping is a file.
    let path = std::path::Path::new("/dev/shm").join(id.mapping().trim_start_matches('/'));
    std::fs::OpenOptions::new().write(true).open(path).and_then(|file| fs4::FileExt::allocate(&file, bytes))
}

/// Elsewhere mappings are not in a file system that can be full, or their files have all their blocks from the start.
#[cfg(not(target_os = "linux"))]
fn reserve(_id: &Id, _bytes: u64) -> io::Result<()> {
    Ok(())
}

/// Removes a mapping that could not be opened, because of `error`.
#[cfg(unix)]
fn unlink(id: &Id, _error: io::Error) -> io::Result<()> {
    let name = std::ffi::CString::new(id.mapping())?;
    // SAFETY: a plain call with a string that ends in a zero.
    if unsafe { libc::shm_unlink(name.as_ptr()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Elsewhere they go when nobody has them.
#[cfg(not(unix))]
fn unlink(_id: &Id, error: io::Error) -> io::Result<()> {
    Err(error)
}

/// On Windows, a mapping that is removed is a file that gets another name and goes with the last who has it open. Where only
/// the first of that happens, as under wine, the second is made up for.
#[cfg(windows)]
fn remove_rest(id: &Id) {
    let name = format!("{}_deleted", id.mapping().trim_start_matches('/'));
    // It fails if there is none.
    let _ = std::fs::remove_file(std::env::temp_dir().join("shared_memory-rs").join(name));
}

/// Elsewhere nothing is left.
#[cfg(not(windows))]
fn remove_rest(_id: &Id) {}

fn io_error(error: ShmemError) -> io::Error {
    match error {
        ShmemError::MapCreateFailed(code) | ShmemError::MapOpenFailed(code) | ShmemError::UnknownOsError(code) => {
            io::Error::from_raw_os_error(code as i32)
        }
        ShmemError::MappingIdExists => io::ErrorKind::AlreadyExists.into(),
        error => io::Error::other(error),
    }
}
