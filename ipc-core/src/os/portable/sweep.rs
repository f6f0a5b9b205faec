//! Removing segments, whole ones and what is left of them.
//!
//! # Invariants
//!
//! R1. *The first lock is held by whoever makes a segment, until it has its entry, and by whoever removes one.* So whoever
//!     has got it, and finds no entry that leads to the segment, has before it what nobody will ever find.
//! R2. *The entry goes first, the first lock's file last.* So whoever is killed in between leaves what the next sweep finds.
//!     It takes the other locks from the directory: the mapping, which says how many there can be, may be gone.
//! R3. *What somebody uses is left alone.* Somebody who takes part and whose segment has lost its entry, which only
//!     happens by hand, keeps its lock, and the others see it.

use super::attachment::leads_to;
use super::directory::{self, Entry, Id, segment_directory};
use super::locks::{self, LockFile};
use super::mapping::Mapping;
use crate::layout::{self, Geometry};
use crate::os::fork::Local;
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
    for path in directory::list()? {
        if let Some(id) = Id::of_first_lock(&path) {
            let _ = sweep_one(&id, &path);
        }
    }
    Ok(())
}

/// Removes what is left of a segment, if it has no entry and nobody uses it.
fn sweep_one(id: &Id, first_lock: &Path) -> io::Result<()> {
    let first = LockFile::open(first_lock)?;
    // One that is not there any more is nobody's, and another one may be somebody's by now.
    if !first.try_lock()? || !first.is_at(first_lock) || has_entry(id, &first.text()?)? {
        return Ok(());
    }
    // Only now, since others are made under the first one.
    let files = directory::list()?.into_iter().filter(|file| Id::of_lock(file).as_ref() == Some(id));
    let others: Vec<_> = files.filter(|file| file != first_lock).collect();
    for lock in &others {
        if locks::is_locked(lock)? {
            return Ok(());
        }
    }
    remove_with(id, others);
    Ok(())
}

/// Whether there is an entry that leads to the segment, for all that its first lock says. An error if that cannot be told.
fn has_entry(id: &Id, name: &str) -> io::Result<bool> {
    if name.is_empty() {
        // A creator that died before it noted the name had made no mapping. If there is one, somebody has removed the file
        // that had the name, and whoever takes part next notes it anew.
        return match Mapping::open(id) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
    }
    let is_file_name = Path::new(name).file_name().is_some_and(|alone| alone == name);
    if !is_file_name {
        return Ok(false);
    }
    match Entry::read(&segment_directory().join(name)) {
        Ok(entry) => Ok(is_of(&entry, id)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_of(entry: &Entry, id: &Id) -> bool {
    entry.geometry().is_some_and(|geometry| Id::new(&geometry.instance) == *id)
}
