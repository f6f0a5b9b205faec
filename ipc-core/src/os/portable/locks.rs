//! Locks, each of which is a file of its own that is locked as a whole.
//!
//! What systems agree on is that a file can be locked by whoever has it open, against all others who have opened it, in the
//! same process or another, and that the lock goes with the process. (Locks on bytes of a file belong to the process on some
//! systems and to the handle on others.)
//!
//! Nobody can ask whether a lock is held without asking for it. So whoever looks asks for a *shared* lock, and gives it back
//! at once: two who look do not disturb each other, and whoever wants the lock itself and finds it shared tries again. Should
//! one be stopped just then, for as long as that takes the place looks taken.

use super::directory::Id;
use crate::os::fork::{self, Epoch};
use core::mem::ManuallyDrop;
use fs4::{FileExt, TryLockError};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How often to try for a lock that somebody is looking at.
const ATTEMPTS: usize = 1000;

/// The locks of a segment, as one attachment has them.
pub(super) struct Locks {
    id: Id,
    held: Mutex<HashMap<u64, LockFile>>,
    epoch: Epoch,
}

impl Locks {
    /// Those of a segment, none of which is held.
    pub(super) fn new(id: Id) -> Self {
        Locks { id, held: Mutex::default(), epoch: Epoch::now() }
    }

    /// Which segment they are of.
    pub(super) fn id(&self) -> &Id {
        &self.id
    }

    /// Takes a lock. `false` if somebody else has it.
    pub(super) fn try_lock(&self, lock: u64) -> io::Result<bool> {
        self.check()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains_key(&lock) {
            return Ok(true);
        }
        let file = LockFile::create(&self.id.lock(lock))?;
        let is_locked = file.try_lock()?;
        if is_locked {
            held.insert(lock, file);
        }
        Ok(is_locked)
    }

    /// Takes the first lock of a segment that is being made, and notes the entry's file name in it.
    pub(super) fn found(&self, entry: &str) -> io::Result<()> {
        self.check()?;
        let path = self.id.lock(0);
        for _ in 0..ATTEMPTS {
            let file = LockFile::create(&path)?;
            // Somebody who sweeps may have come first, has found nothing that the file belongs to, and removes it.
            if file.try_lock()? && file.is_at(&path) {
                file.set_text(entry)?;
                self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(0, file);
                return Ok(());
            }
            thread::yield_now();
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// To be called whenever the first lock has been taken. If its file had to be made for that, the segment has been removed,
    /// which `is_named` finds out, and the file goes as well; or somebody has removed the file, which then belongs to
    /// `entry` again.
    pub(super) fn settle(&self, entry: &str, is_named: impl FnOnce() -> io::Result<bool>) -> io::Result<()> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = held.get(&0).filter(|file| file.is_empty()) else { return Ok(()) };
        if is_named()? {
            return file.set_text(entry);
        }
        // Should it be refused, a sweep does it.
        let _ = fs::remove_file(self.id.lock(0));
        Ok(())
    }

    /// Gives a lock back.
    pub(super) fn unlock(&self, lock: u64) {
        if self.check().is_ok() {
            let file = self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&lock);
            drop(file);
        }
    }

    /// Whether anybody but this attachment has one of `count` locks from `first`.
    pub(super) fn is_locked_elsewhere(&self, first: u64, count: u64) -> io::Result<bool> {
        self.check()?;
        for lock in first..first.saturating_add(count) {
            let is_ours = self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&lock);
            if !is_ours && is_locked(&self.id.lock(lock))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A forked child has none of them.
    fn check(&self) -> io::Result<()> {
        if self.epoch.is_past() { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }
}

/// Whether anybody has the lock whose file this is.
pub(super) fn is_locked(path: &Path) -> io::Result<bool> {
    match LockFile::open(path) {
        Ok(file) => file.is_locked(),
        // Nobody has ever wanted it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A lock's file, open. The lock goes with it.
pub(super) struct LockFile {
    /// In a past epoch the descriptor has been closed, and its number may be somebody else's.
    file: ManuallyDrop<File>,
    epoch: Epoch,
}

impl LockFile {
    /// Opens the file, and makes it if there is none.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Self::open_by(&options, path)
    }

    /// Opens the file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_by(OpenOptions::new().read(true).write(true), path)
    }

    fn open_by(options: &OpenOptions, path: &Path) -> io::Result<Self> {
        let inside = fork::enter();
        let file = options.open(path)?;
        inside.opened(&file);
        Ok(LockFile { file: ManuallyDrop::new(file), epoch: Epoch::now() })
    }

    /// Takes the lock. `false` if somebody has it.
    pub(super) fn try_lock(&self) -> io::Result<bool> {
        for _ in 0..ATTEMPTS {
            if is_granted(FileExt::try_lock(&*self.file))? {
                return Ok(true);
            }
            if self.is_locked()? {
                return Ok(false);
            }
            // It is only being looked at, or was given back in this moment.
            thread::yield_now();
        }
        Ok(false)
    }

    /// Whether somebody has the lock who has opened the file elsewhere.
    fn is_locked(&self) -> io::Result<bool> {
        if !is_granted(FileExt::try_lock_shared(&*self.file))? {
            return Ok(true);
        }
        FileExt::unlock(&*self.file)?;
        Ok(false)
    }

    /// Whether `path` leads to this very file.
    #[cfg(unix)]
    pub(super) fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let which = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let mine = self.file.metadata().map(which);
        mine.is_ok_and(|mine| fs::symlink_metadata(path).is_ok_and(|found| which(found) == mine))
    }

    /// Whether `path` leads to this very file, as far as can be told: a file that is open keeps its name.
    #[cfg(not(unix))]
    pub(super) fn is_at(&self, path: &Path) -> bool {
        path.exists()
    }

    /// What is in the file.
    pub(super) fn text(&self) -> io::Result<String> {
        let mut text = String::new();
        (&*self.file).read_to_string(&mut text)?;
        Ok(text)
    }

    fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() == 0)
    }

    fn set_text(&self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        (&*self.file).write_all(text.as_bytes())
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if !self.epoch.is_past() {
            let inside = fork::enter();
            inside.closing(&self.file);
            // Whoever is between a fork and `exec` has the file open as well, and would keep the lock.
            let _ = FileExt::unlock(&*self.file);
            // SAFETY: the field is not used after this, since the value is being dropped.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

fn is_granted(answer: Result<(), TryLockError>) -> io::Result<bool> {
    match answer {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
