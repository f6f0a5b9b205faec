//! The segments that this process has open, by the name under which each was found, so that all of its handles share one
//! descriptor and one mapping. Handles that only read may have another one, which cannot be written.
//!
//! The list's lock is held for a look or a change, and never while something is waited for, or a segment dropped. A
//! forked child begins with a list of its own.

use super::Segment;
use crate::error::OpenError;
use crate::os::fork;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// By name, and by whether the memory can be written.
type Names = HashMap<(PathBuf, bool), Weak<Segment>>;

fn names() -> MutexGuard<'static, Names> {
    static NAMES: fork::Local<Mutex<Names>> = fork::Local::new();
    NAMES.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// The segment that was last found under `path`, if it is still open and can be written.
pub(super) fn find(path: &Path) -> Option<Arc<Segment>> {
    find_key(&(path.into(), true))
}

/// The same, where it does not matter whether it can be written.
pub(super) fn find_to_read(path: &Path) -> Option<Arc<Segment>> {
    find(path).or_else(|| find_key(&(path.into(), false)))
}

fn find_key(key: &(PathBuf, bool)) -> Option<Arc<Segment>> {
    names().get(key).and_then(Weak::upgrade)
}

fn key(segment: &Segment) -> (PathBuf, bool) {
    (segment.path.clone(), segment.is_writable())
}

/// Lists a segment to which its name leads; the caller has its lifecycle lock. `false` if another thread was faster and
/// the process has the same file open already.
pub(super) fn list(segment: &Arc<Segment>) -> Result<bool, OpenError> {
    let known = find_key(&key(segment));
    if let Some(known) = known.filter(|known| !Arc::ptr_eq(known, segment)) {
        if known.is_linked()? {
            return Ok(false);
        }
    }
    names().insert(key(segment), Arc::downgrade(segment));
    Ok(true)
}

/// Takes `segment` off the list, and leaves there what has come under its name since.
pub(super) fn forget(segment: &Segment) {
    let mut names = names();
    let key = key(segment);
    if names.get(&key).is_some_and(|known| core::ptr::eq(known.as_ptr(), segment)) {
        names.remove(&key);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::name::SegmentName;
    use crate::segment;
    use crate::{Lifetime, Queue};
    use core::cell::Cell;
    use std::fs;

    fn domain() -> String {
        format!("unit-{}", std::process::id())
    }

    #[test]
    fn what_is_closed_is_off_the_list() {
        let queue = Queue::<u64>::new("listed").spsc().domain(domain()).lifetime(Lifetime::Persistent);
        let tx = queue.sender().unwrap();
        let path = tx.info().path.clone();
        assert!(names().contains_key(&(path.clone(), true)));
        let rx = queue.receiver().unwrap();
        drop(tx);
        assert!(names().contains_key(&(path.clone(), true)));
        drop(rx);
        assert!(!names().contains_key(&(path.clone(), true)));
        // Whoever gives up before joining leaves nothing on it, either.
        assert!(Queue::<u64>::new("listed").spsc().domain(domain()).capacity(0).sender().is_err());
        assert!(queue.remove().unwrap());
        assert!(!names().contains_key(&(path.clone(), true)));
    }

    #[test]
    fn a_name_that_moves_while_it_is_being_removed_is_followed() {
        let queue = Queue::<u64>::new("moves").spsc().domain(domain()).lifetime(Lifetime::Persistent);
        let path = queue.sender().unwrap().info().path.clone();
        let name = SegmentName::new(Some(&domain()), "moves").unwrap();
        let looks = Cell::new(0);
        let removed = segment::remove(&name, &crate::segment::Access::default(), |_| {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                fs::remove_file(&path).unwrap();
                assert!(queue.sender().unwrap().info().created);
            }
            Ok(())
        });
        assert!(removed.unwrap());
        assert_eq!(looks.get(), 2, "the new one was looked at as well");
        assert!(!path.exists());
    }
}
