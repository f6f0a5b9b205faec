//! A segment: a file and its mapping, neither of which a forked child keeps.

use super::{access, files, locks, memfd};
use crate::crash;
use crate::os::Facts;
use crate::os::fork::{self, Epoch};
use core::ffi::c_int;
use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// The smallest page of any supported machine.
const PAGE_BYTES: usize = 4096;

/// Linux 6.1, and not in every version of the libc crate.
const MADV_COLLAPSE: c_int = 25;

/// An open file and, once it is mapped, its memory. In a child that was forked from the process that opened it, the
/// memory is fresh private pages, and the file is gone.
pub(crate) struct Attachment {
    /// In a past epoch the descriptor has been closed, and its number may be somebody else's.
    file: ManuallyDrop<File>,
    map: Option<MmapRaw>,
    /// Whether the memory can be written.
    is_writable: bool,
    /// Where in `map` the file's first byte is.
    offset: usize,
    /// How much of the file is mapped.
    bytes: usize,
    epoch: Epoch,
}

impl Attachment {
    /// Opens the segment that has the name `path`, to take part in it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::open_by(|| files::open_named(path))
    }

    /// Opens the segment that has the name `path`, for reading only.
    pub(crate) fn open_to_read(path: &Path) -> io::Result<Self> {
        Self::open_by(|| files::open_named_to_read(path))
    }

    /// Makes a segment of so many bytes that is to have the name `path`, and has none yet. It begins with `header`, and
    /// the rest are zeros.
    pub(crate) fn create(path: &Path, header: &[u8], bytes: u64) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let attachment = Self::open_by(|| files::create_unnamed(directory))?;
        let file = attachment.file()?;
        crash::point();
        files::reserve(file, bytes)?;
        crash::point();
        file.write_all_at(header, 0)?;
        Ok(attachment)
    }

    /// Makes memory of so many bytes that begins with `header` and has no name. It can be [sealed](Attachment::seal).
    pub(crate) fn create_private(header: &[u8], bytes: u64) -> io::Result<Self> {
        let attachment = Self::open_by(memfd::create_sealable)?;
        let file = attachment.file()?;
        crash::point();
        files::reserve(file, bytes)?;
        crash::point();
        file.write_all_at(header, 0)?;
        Ok(attachment)
    }

    /// Keeps the size of private memory as it is, for good.
    pub(crate) fn seal(&self) -> io::Result<()> {
        crash::point();
        memfd::seal(self.file()?)
    }

    /// A file that somebody has handed over. `InvalidData` if it is no memory that keeps its size.
    pub(crate) fn adopt(file: File) -> io::Result<Self> {
        if !memfd::is_sealed(&file) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Self::open_by(|| Ok(file))
    }

    /// The file once more, with locks of its own, to be handed to another process: to take part, or only to read.
    pub(crate) fn open_again(&self, is_writable: bool) -> io::Result<File> {
        memfd::open_again(self.file()?, is_writable)
    }

    /// Says who may open the file.
    pub(crate) fn set_access(&self, mode: u32, group: Option<u32>) -> io::Result<()> {
        if let Some(group) = group {
            crash::point();
            access::set_group(self.file()?, group)?;
        }
        crash::point();
        // After the group, whose change may take bits away.
        access::set_mode(self.file()?, mode)
    }

    /// Opens a file in a way of the caller's choice, which is quick and opens no other attachment.
    fn open_by(open: impl FnOnce() -> io::Result<File>) -> io::Result<Self> {
        fork::watch()?;
        let inside = fork::enter();
        crash::point();
        let file = open()?;
        inside.opened(&file);
        let file = ManuallyDrop::new(file);
        Ok(Attachment { file, map: None, is_writable: false, offset: 0, bytes: 0, epoch: Epoch::now() })
    }

    /// Maps the first `bytes` of the file, readable and perhaps writable, at a multiple of `align` (a power of two; whatever
    /// it is, at least a page).
    pub(crate) fn map(&mut self, bytes: usize, align: usize, is_writable: bool) -> io::Result<()> {
        let descriptor = self.file()?.as_raw_fd();
        let inside = fork::enter();
        crash::point();
        let (map, offset) = if align > PAGE_BYTES {
            map_aligned(descriptor, bytes, align, is_writable)?
        } else if is_writable {
            (MmapOptions::new().len(bytes).map_raw(descriptor)?, 0)
        } else {
            (MmapOptions::new().len(bytes).map_raw_read_only(descriptor)?, 0)
        };
        inside.mapped(map.as_mut_ptr().wrapping_add(offset), bytes);
        (self.map, self.is_writable, self.offset, self.bytes) = (Some(map), is_writable, offset, bytes);
        Ok(())
    }

    /// Gives a segment that has no name its name. `AlreadyExists` if the name is taken.
    pub(crate) fn link(&self, path: &Path) -> io::Result<()> {
        crash::point();
        files::link(self.file()?, path)
    }

    /// Whether the name `path` leads to this segment.
    pub(crate) fn is_named(&self, path: &Path) -> io::Result<bool> {
        crash::point();
        let ours = self.file()?.metadata()?;
        match fs::symlink_metadata(path) {
            Ok(named) => Ok(named.dev() == ours.dev() && named.ino() == ours.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the name `path`, which leads to this segment.
    pub(crate) fn unlink(&self, path: &Path) -> io::Result<()> {
        crash::point();
        fs::remove_file(path)
    }

    /// What the system knows of the file.
    pub(crate) fn facts(&self) -> io::Result<Facts> {
        let metadata = self.file()?.metadata()?;
        let (mode, group) = (metadata.mode(), metadata.gid());
        Ok(Facts { is_regular: metadata.is_file(), owner: metadata.uid(), bytes: metadata.len(), mode, group })
    }

    /// How large the segment is. `_expected` is what its header says, for systems that do not know exactly.
    pub(crate) fn bytes(&self, _expected: u64) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.len())
    }

    /// Reads from the header.
    pub(crate) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.file()?.read_exact_at(bytes, at)
    }

    /// Stores bytes by way of the file, whose pages and mappings are the same memory: for a process whose mapping is
    /// read-only, and before there is one.
    pub(crate) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        crash::point();
        self.file()?.write_all_at(bytes, at)
    }

    /// Whether the locks that say who lives can be taken.
    pub(crate) fn can_lock(&self) -> bool {
        self.file().is_ok_and(locks::is_open_for_writing)
    }

    /// Takes a lock. `false` if another attachment, of this process or of another one, has it.
    pub(crate) fn try_lock(&self, lock: u64) -> io::Result<bool> {
        crash::point();
        locks::try_lock(self.file()?, lock)
    }

    /// Gives a lock back.
    pub(crate) fn unlock(&self, lock: u64) {
        crash::point();
        // Fails only for a descriptor that is no longer open, and then there is no lock either.
        let _ = self.file().and_then(|file| locks::unlock(file, lock));
    }

    /// Whether any *other* attachment has one of `count` locks from `first`. The kernel drops a process's locks when it
    /// dies, even by SIGKILL and even as a zombie.
    pub(crate) fn is_locked_elsewhere(&self, first: u64, count: u64) -> io::Result<bool> {
        crash::point();
        locks::is_locked_elsewhere(self.file()?, first, count)
    }

    /// The file. An error if it was opened before this process was forked: the child has let go of it.
    fn file(&self) -> io::Result<&File> {
        if self.epoch.is_past() { Err(io::Error::from_raw_os_error(libc::EBADF)) } else { Ok(&self.file) }
    }

    /// Where the mapping starts; null if there is none.
    pub(crate) fn start(&self) -> *mut u8 {
        self.map.as_ref().map_or(ptr::null_mut(), |map| map.as_mut_ptr().wrapping_add(self.offset))
    }

    /// Whether the memory can be written.
    pub(crate) fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Faults every page of the mapping in, as far as the system lets it.
    pub(crate) fn prefault(&self) {
        let advice = if self.is_writable { libc::MADV_POPULATE_WRITE } else { libc::MADV_POPULATE_READ };
        if self.advise(self.bytes, advice).is_err() {
            // A kernel before 5.14: a look at a page maps it.
            for offset in (0..self.bytes).step_by(PAGE_BYTES) {
                // SAFETY: the offset is below the mapping's length.
                let place = unsafe { self.start().add(offset) };
                // SAFETY: the word is mapped and aligned, and all who touch it while we do use atomics.
                let word = unsafe { AtomicU64::from_ptr(place.cast()) };
                // Relaxed: what it is does not matter.
                word.load(Ordering::Relaxed);
            }
        }
    }

    /// Makes huge pages, which have `size` bytes, of the file's pages; a rest that does not fill one stays.
    ///
    /// The pages are there by now, having been reserved, and neither the mount's options nor `shmem_enabled` keep the
    /// kernel from this, unless they say "deny".
    pub(crate) fn collapse(&self, size: usize) -> io::Result<()> {
        // The kernel's own collapsing is to put it right if a page is split later. It may be refused.
        let _ = self.advise(self.bytes, libc::MADV_HUGEPAGE);
        self.advise(self.bytes / size * size, MADV_COLLAPSE)
    }

    fn advise(&self, bytes: usize, advice: c_int) -> io::Result<()> {
        // SAFETY: the range is a mapping of ours, and none of the advice given here changes what is in it.
        match unsafe { libc::madvise(self.start().cast(), bytes, advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
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
        inside.closing(&self.file);
        crash::point();
        inside.unmapping(self.start());
        self.map = None;
        // SAFETY: the field is not used after this, since the value is being dropped.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}

/// Maps a file at a multiple of `align`, inside a larger mapping that keeps its place. Returns that one, and where in it
/// the file's first byte is.
fn map_aligned(descriptor: c_int, bytes: usize, align: usize, is_writable: bool) -> io::Result<(MmapRaw, usize)> {
    let too_large = || io::Error::from_raw_os_error(libc::ENOMEM);
    let room = bytes.checked_add(align).ok_or_else(too_large)?;
    let map = MmapRaw::from(MmapOptions::new().len(room).no_reserve_swap().map_anon()?);
    let offset = (map.as_ptr() as usize).next_multiple_of(align) - map.as_ptr() as usize;
    // SAFETY: the next multiple of `align` is less than `align` away, so the offset is within the mapping.
    let start = unsafe { map.as_mut_ptr().add(offset) };
    let protection = libc::PROT_READ | if is_writable { libc::PROT_WRITE } else { 0 };
    // SAFETY: from `start` on there are `bytes` of the mapping above, which nobody uses yet and which go with it.
    let mapped =
        unsafe { libc::mmap(start.cast(), bytes, protection, libc::MAP_SHARED | libc::MAP_FIXED, descriptor, 0) };
    if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok((map, offset)) }
}
