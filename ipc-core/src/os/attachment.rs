//! A file and its mapping, neither of which a forked child keeps.

use super::fork::{self, Epoch};
use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// The smallest page of any supported machine.
const PAGE_BYTES: usize = 4096;

/// An open file and, once it is mapped, its memory. In a child that was forked from the process that opened it, the
/// memory is fresh private pages, and the file is gone.
pub(crate) struct Attachment {
    /// In a past epoch the descriptor has been closed, and its number may be somebody else's.
    file: ManuallyDrop<File>,
    map: Option<MmapRaw>,
    epoch: Epoch,
}

impl Attachment {
    /// Opens a file in a way of the caller's choice, which is quick and opens no other attachment.
    pub(crate) fn open(open: impl FnOnce() -> io::Result<File>) -> io::Result<Self> {
        fork::watch()?;
        let inside = fork::enter();
        let file = open()?;
        inside.opened(file.as_raw_fd());
        Ok(Attachment { file: ManuallyDrop::new(file), map: None, epoch: Epoch::now() })
    }

    /// Maps the first `bytes` of the file, readable and writable.
    pub(crate) fn map(&mut self, bytes: usize) -> io::Result<()> {
        let descriptor = self.file()?.as_raw_fd();
        let inside = fork::enter();
        let map = MmapOptions::new().len(bytes).map_raw(descriptor)?;
        inside.mapped(descriptor, map.as_mut_ptr(), map.len());
        self.map = Some(map);
        Ok(())
    }

    /// The file. An error if it was opened before this process was forked: the child has let go of it.
    pub(crate) fn file(&self) -> io::Result<&File> {
        if self.epoch.is_past() { Err(io::Error::from_raw_os_error(libc::EBADF)) } else { Ok(&self.file) }
    }

    /// Where the mapping starts; null if there is none.
    pub(crate) fn start(&self) -> *mut u8 {
        self.map.as_ref().map_or(ptr::null_mut(), MmapRaw::as_mut_ptr)
    }

    /// Faults every page of the mapping in, as far as the system lets it.
    pub(crate) fn prefault(&self) {
        let Some(map) = &self.map else { return };
        // SAFETY: the range is a mapping of ours, and nothing in it is changed.
        let done = unsafe { libc::madvise(map.as_mut_ptr().cast(), map.len(), libc::MADV_POPULATE_WRITE) } == 0;
        if !done {
            // A kernel before 5.14: a look at a page maps it.
            for offset in (0..map.len()).step_by(PAGE_BYTES) {
                // SAFETY: the offset is below the mapping's length.
                let place = unsafe { map.as_mut_ptr().add(offset) };
                // SAFETY: the word is mapped and aligned, and all who touch it while we do use atomics.
                let word = unsafe { AtomicU64::from_ptr(place.cast()) };
                // Relaxed: what it is does not matter.
                word.load(Ordering::Relaxed);
            }
        }
    }

    /// When it was opened.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if self.epoch.is_past() {
            // The mapping is this process's own and goes by itself.
            return;
        }
        let inside = fork::enter();
        inside.closing(self.file.as_raw_fd());
        self.map = None;
        // SAFETY: the field is not used after this, since the value is being dropped.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}
