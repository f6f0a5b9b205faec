//! Removing segments, whole ones and what is left of them.
//!
//! # Invariants
//!
//! R1. *The first lock is held by whoever makes a segment, until it has its entry, and by whoever removes one.* So whoever
//!     has got it, and finds no entry that leads to the segment, has before it what nobody will ever find.
//! R2. *The entry goes first, the first lock's file last.* So whoever is killed in between leaves what the next sweep finds,
//!     whichever of the files are left. A sweep takes them from the directory: the mapping that says how many there can be
//!     may be gone.
//! R3. *What somebody uses is left alone.* Somebody who takes part and whose segment has lost its entry, which only
//!     happens by hand, keeps its lock, and the others see it.

use super::attachment::leads_to;
use super::directory::{self, Entry, Id, segment_directory};
use super::locks::{self, LockFile};
use super::mapping::Mapping;
use crate::layout::{self, Geometry};
use crate::os::fork::Local;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Removes a segment that has no entry any more. The caller has its first lock. What cannot be removed stays for a sweep.
pub(super) fn remove(id: &Id, participants: u32) {
    let locks = (0..participants).map(|index| id.lock(layout::lock_byte(index)));
    remove_with(id, locks);
}

/// Removes what a segment without an entry consists of: its mapping, and the locks in these files and the first.
fn remove_with(id: &Id, locks: impl IntoIterator<Item = PathBuf>) {
    if Mapping::remove(id).is_err() {
        return;
    }
    let _ = fs::remove_file(id.draft());
    for lock in locks {
        let _ = fs::remove_file(lock);
    }
    let _ = fs::remove_file(id.lock(layout::LIFECYCLE_LOCK_BYTE));
}

/// Removes the entry under `path` if it still leads to a segment whose mapping does not exist.
pub(super) fn remove_stale(id: &Id, path: &Path, geometry: &Geometry) -> io::Result<()> {
    let file = LockFile::create(&id.lock(layout::LIFECYCLE_LOCK_BYTE))?;
    // Otherwise somebody is at it.
    if file.try_lock()? {
        let is_gone = matches!(Mapping::open(id), Err(error) if error.kind() == io::ErrorKind::NotFound);
        if is_gone && leads_to(path, geometry)? {
            fs::remove_file(path)?;
        }
        if is_gone {
            remove(id, geometry.participants);
        }
    }
    Ok(())
}

/// Sweeps, if this process has not done so before.
pub(super) fn sweep_once() {
    static SWEPT: Local<OnceLock<()>> = Local::new();
    SWEPT.get().get_or_init(|| {
        // What cannot be looked at stays.
        let _ = sweep();
    });
}

/// Removes what is left of segments that have no entry.
pub(super) fn sweep() -> io::Result<()> {
    let ids: HashSet<Id> = directory::list()?.iter().filter_map(|path| Id::of_file(path)).collect();
    for id in ids {
        let _ = sweep_one(&id);
    }
    Ok(())
}

/// Removes what is left of a segment, if it has no entry and nobody uses it.
fn sweep_one(id: &Id) -> io::Result<()> {
    let path = id.lock(layout::LIFECYCLE_LOCK_BYTE);
    if !path.exists() && Mapping::open(id).is_ok() {
        // Somebody has removed the file by hand, and whoever takes part next makes it anew.
        return Ok(());
    }
    let first = LockFile::create(&path)?;
    if !first.try_lock()? {
        return Ok(());
    }
    let name = first.text()?;
    let is_file_name = Path::new(&name).file_name().is_some_and(|alone| alone == name.as_str());
    if is_file_name && Entry::read(&segment_directory().join(&name)).is_ok_and(|entry| is_of(&entry, id)) {
        return Ok(());
    }
    // Only now, since others are made under the first one.
    let files = directory::list()?.into_iter().filter(|file| Id::of_file(file).as_ref() == Some(id));
    let others: Vec<_> = files.filter(|file| *file != path).collect();
    for lock in &others {
        if locks::is_locked(lock)? {
            return Ok(());
        }
    }
    remove_with(id, others);
    Ok(())
}

fn is_of(entry: &Entry, id: &Id) -> bool {
    entry.geometry().is_some_and(|geometry| Id::new(&geometry.instance) == *id)
}
