//! A segment: an entry, its mapping and its locks.

use super::directory::{self, Entry, Id};
use super::locks::Locks;
use super::mapping::Mapping;
use super::sweep;
use crate::layout::{self, Geometry, PAGE_BYTES};
use crate::os::Facts;
use crate::os::fork::Epoch;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes that a system may add to a mapping: less than its largest page.
const ROUNDED_BYTES: u64 = 1 << 16;

/// A segment that has been opened. In a child that was forked from the process that opened it, the memory is fresh private
/// pages, and the locks are gone.
pub(crate) struct Attachment {
    /// What the entry said when it was opened; of a segment that was made here, what it is to say.
    entry: Entry,
    /// There is none if the entry is not one of this backend.
    parts: Option<Parts>,
    /// The entry's name.
    path: PathBuf,
    /// Whether the segment has, or has had, a name.
    was_named: AtomicBool,
    /// Whether it was opened to look at it and nothing else.
    is_to_read: bool,
    /// Whether the memory is to be written.
    is_writable: bool,
    epoch: Epoch,
}

/// What an entry leads to.
struct Parts {
    geometry: Geometry,
    mapping: Mapping,
    locks: Locks,
}

impl Attachment {
    /// Opens the segment that has the name `path`, to take part in it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::open_for(path, false)
    }

    /// Opens the segment that has the name `path`, for reading only.
    pub(crate) fn open_to_read(path: &Path) -> io::Result<Self> {
        Self::open_for(path, true)
    }

    fn open_for(path: &Path, is_to_read: bool) -> io::Result<Self> {
        let entry = Entry::read(path)?;
        let parts = match entry.geometry() {
            None => None,
            Some(geometry) => Some(Parts::open(geometry, path)?),
        };
        let was_named = AtomicBool::new(true);
        let path = path.to_owned();
        Ok(Attachment { entry, parts, path, was_named, is_to_read, is_writable: false, epoch: Epoch::now() })
    }

    /// Makes a segment of so many bytes that is to have the name `path`, and has none yet. It begins with `header`, and
    /// the rest are zeros.
    pub(crate) fn create(path: &Path, header: &[u8], bytes: u64) -> io::Result<Self> {
        directory::prepare()?;
        sweep::sweep_once();
        let geometry = directory::geometry(header).ok_or(io::ErrorKind::InvalidInput)?;
        let locks = Locks::new(Id::new(&geometry.instance));
        locks.found(&file_name(path))?;
        let mapping = Mapping::create(locks.id(), bytes).inspect_err(|_| sweep::remove(locks.id(), 0))?;
        let owner = crate::os::effective_user();
        let entry = Entry { is_regular: true, owner, bytes: header.len() as u64, header: header.to_vec() };
        let parts = Some(Parts { geometry, mapping, locks });
        let was_named = AtomicBool::new(false);
        let (path, epoch) = (path.to_owned(), Epoch::now());
        let attachment = Attachment { entry, parts, path, was_named, is_to_read: false, is_writable: false, epoch };
        attachment.write_at(header, 0)?;
        Ok(attachment)
    }

    /// Makes the memory ready to be used. Nothing is to be done: it is all mapped, on pages of the usual size.
    pub(crate) fn map(&mut self, bytes: usize, _align: usize, is_writable: bool) -> io::Result<()> {
        if self.parts()?.mapping.len() < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.is_writable = is_writable;
        Ok(())
    }

    /// Gives a segment that has no name its name. `AlreadyExists` if the name is taken.
    ///
    /// The entry is written under another name first, so that nobody ever reads half of one.
    pub(crate) fn link(&self, path: &Path) -> io::Result<()> {
        let draft = self.parts()?.locks.id().draft();
        let linked = directory::write(&draft, &self.entry.header).and_then(|()| fs::hard_link(&draft, path));
        let _ = fs::remove_file(&draft);
        linked?;
        // Relaxed: whoever drops the attachment has it to itself.
        self.was_named.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the name `path` leads to this segment.
    pub(crate) fn is_named(&self, path: &Path) -> io::Result<bool> {
        self.check()?;
        let Some(parts) = &self.parts else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        leads_to(path, &parts.geometry)
    }

    /// Removes the name `path`, which leads to this segment, and everything that it led to. Those who have the memory keep it.
    pub(crate) fn unlink(&self, path: &Path) -> io::Result<()> {
        let parts = self.parts()?;
        // First, so that nobody finds what is being removed. Should this process die now, others will do the rest.
        fs::remove_file(path)?;
        sweep::remove(parts.locks.id(), parts.geometry.participants);
        Ok(())
    }

    /// What the system knows of the entry.
    pub(crate) fn facts(&self) -> io::Result<Facts> {
        self.check()?;
        let Entry { is_regular, owner, bytes, .. } = self.entry;
        Ok(Facts { is_regular, owner, bytes, mode: 0o600, group: 0 })
    }

    /// Says who may open the segment, which is this user alone.
    pub(crate) fn set_access(&self, mode: u32, group: Option<u32>) -> io::Result<()> {
        if mode == 0o600 && group.is_none() { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// How large the segment is: as large as its header says, if the system has added what it had to.
    pub(crate) fn bytes(&self, expected: u64) -> io::Result<u64> {
        let bytes = self.parts()?.mapping.len() as u64;
        let is_rounded = (expected..expected.saturating_add(ROUNDED_BYTES)).contains(&bytes);
        Ok(if is_rounded { expected } else { bytes })
    }

    /// Reads from the header.
    pub(crate) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.check()?;
        let range = range(at, bytes.len(), self.entry.header.len())?;
        bytes.copy_from_slice(&self.entry.header[range]);
        Ok(())
    }

    /// Stores bytes in a segment that nobody else knows of yet.
    pub(crate) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mapping = &self.parts()?.mapping;
        // Relaxed: as in `link`.
        if self.was_named.load(Ordering::Relaxed) {
            // Whoever takes part has memory that it can write.
            return Err(io::ErrorKind::Unsupported.into());
        }
        let range = range(at, bytes.len(), mapping.len())?;
        // SAFETY: the range was checked to lie in the mapping.
        let place = unsafe { mapping.start().add(range.start) };
        // SAFETY: as above; it is not what `bytes` borrows, and without a name it is this process's alone.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        Ok(())
    }

    /// Whether the locks that say who lives can be taken.
    pub(crate) fn can_lock(&self) -> bool {
        !self.is_to_read && !self.epoch.is_past()
    }

    /// Takes a lock. `false` if another attachment, of this process or of another one, has it.
    pub(crate) fn try_lock(&self, lock: u64) -> io::Result<bool> {
        let Parts { geometry, locks, .. } = self.parts()?;
        let is_locked = locks.try_lock(lock)?;
        if is_locked && lock == layout::LIFECYCLE_LOCK_BYTE {
            locks.settle(&file_name(&self.path), || leads_to(&self.path, geometry))?;
        }
        Ok(is_locked)
    }

    /// Gives a lock back.
    pub(crate) fn unlock(&self, lock: u64) {
        if let Ok(parts) = self.parts() {
            parts.locks.unlock(lock);
        }
    }

    /// Whether any *other* attachment has one of `count` locks from `first`. The system drops a process's locks when it
    /// dies, however it dies.
    pub(crate) fn is_locked_elsewhere(&self, first: u64, count: u64) -> io::Result<bool> {
        #[cfg(test)]
        crate::os::LOOKS_AT_LOCKS.set(crate::os::LOOKS_AT_LOCKS.get() + 1);
        self.parts()?.locks.is_locked_elsewhere(first, count)
    }

    /// Where the memory starts; null if there is none.
    pub(crate) fn start(&self) -> *mut u8 {
        self.parts.as_ref().map_or(ptr::null_mut(), |parts| parts.mapping.start())
    }

    /// Whether the memory is to be written.
    pub(crate) fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Faults every page in.
    pub(crate) fn prefault(&self) {
        let Some(parts) = &self.parts else { return };
        for offset in (0..parts.mapping.len()).step_by(PAGE_BYTES) {
            // SAFETY: the offset is below the mapping's length.
            let place = unsafe { parts.mapping.start().add(offset) };
            // SAFETY: the word is mapped and aligned, and all who touch it while we do use atomics.
            let word = unsafe { AtomicU64::from_ptr(place.cast()) };
            // Relaxed: what it is does not matter.
            word.load(Ordering::Relaxed);
        }
    }

    /// Refused: there are no huge pages.
    pub(crate) fn collapse(&self, _size: usize) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// When it was opened.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the entry leads to. An error in a child that was forked since.
    fn parts(&self) -> io::Result<&Parts> {
        self.check()?;
        self.parts.as_ref().ok_or(io::ErrorKind::InvalidInput.into())
    }

    fn check(&self) -> io::Result<()> {
        if self.epoch.is_past() { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Relaxed: as in `link`.
        if self.epoch.is_past() || self.was_named.load(Ordering::Relaxed) {
            return;
        }
        // It was made in vain.
        if let Some(parts) = &self.parts {
            sweep::remove(parts.locks.id(), parts.geometry.participants);
        }
    }
}

impl Parts {
    /// Opens what the entry under `path` leads to. `NotFound` if that entry is gone by now, be it because it led nowhere.
    fn open(geometry: Geometry, path: &Path) -> io::Result<Self> {
        let id = Id::new(&geometry.instance);
        match Mapping::open(&id) {
            Ok(mapping) => Ok(Parts { geometry, mapping, locks: Locks::new(id) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                sweep::remove_stale(&id, path, &geometry)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether the name `path` leads to the segment with this geometry.
pub(super) fn leads_to(path: &Path, geometry: &Geometry) -> io::Result<bool> {
    match Entry::read(path) {
        Ok(entry) => Ok(entry.geometry().is_some_and(|found| found.instance == geometry.instance)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The last part of a path, as it is noted in the first lock's file.
fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// `length` bytes from `at` of `room`.
fn range(at: u64, length: usize, room: usize) -> io::Result<core::ops::Range<usize>> {
    let start = usize::try_from(at).ok().filter(|&start| start <= room && length <= room - start);
    start.map(|start| start..start + length).ok_or(io::ErrorKind::UnexpectedEof.into())
}
