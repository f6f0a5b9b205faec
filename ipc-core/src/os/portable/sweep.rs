//! Removing segments, whole ones and what is left of them.
//!
//! # Invariants
//!
//! R1. *The first lock is held by whoever makes a segment, until it has its entry, and by whoever removes one.* So whoever
//!     has got it, and finds no entry that leads to the segment, has before it what nobody will ever find.
//! R2. *The entry goes first, the first lock's file last.* So whoever is killed in between leaves what the next sweep finds.
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
use std::path::Path;
use std::sync::OnceLock;

/// Removes a segment that has no entry any more. The caller has its first lock. What cannot be removed stays for a sweep.
pub(super) fn remove(id: &Id, participants: u32) {
    if Mapping::remove(id).is_err() {
        return;
    }
    let _ = fs::remove_file(id.draft());
    for index in 0..participants {
        let _ = fs::remove_file(id.lock(layout::lock_byte(index)));
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
    let file = LockFile::open(first_lock)?;
    if !file.try_lock()? {
        return Ok(());
    }
    let name = file.text()?;
    let is_file_name = Path::new(&name).file_name().is_some_and(|alone| alone == name.as_str());
    if is_file_name && Entry::read(&segment_directory().join(&name)).is_ok_and(|entry| is_of(&entry, id)) {
        return Ok(());
    }
    // Without its mapping nobody knows how many could have taken part.
    let mapping = Mapping::open(id);
    let participants = mapping.as_ref().ok().and_then(geometry).map_or(0, |geometry| geometry.participants);
    for index in 0..participants.min(MAX_PARTICIPANTS) {
        if locks::is_locked(id, layout::lock_byte(index))? {
            return Ok(());
        }
    }
    drop(mapping);
    remove(id, participants.min(MAX_PARTICIPANTS));
    Ok(())
}

/// More than any segment has places for.
const MAX_PARTICIPANTS: u32 = 4096;

fn is_of(entry: &Entry, id: &Id) -> bool {
    entry.geometry().is_some_and(|geometry| Id::new(&geometry.instance) == *id)
}

/// What the mapping's own header says. It may have been left half-made.
fn geometry(mapping: &Mapping) -> Option<Geometry> {
    let mut header = [0; layout::GEOMETRY_BYTES];
    if mapping.len() < header.len() {
        return None;
    }
    // SAFETY: the mapping is as long as that, and nobody writes to a header that has been written.
    unsafe { core::ptr::copy_nonoverlapping(mapping.start(), header.as_mut_ptr(), header.len()) };
    super::directory::geometry(&header)
}
