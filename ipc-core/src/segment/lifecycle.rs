//! The lifecycle lock of a segment, and what may be done only under it: rules L1 to L3 of `segment.rs`.

use super::{Segment, registry};
use crate::error::OpenError;
use crate::layout::{self, LIFECYCLE_LOCK_BYTE};
use core::sync::atomic::Ordering;
use core::time::Duration;
use crossbeam_utils::Backoff;
use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Instant;

/// How long to wait for somebody else's joining or leaving, which takes microseconds unless they are stopped in it.
const LIFECYCLE_PATIENCE: Duration = Duration::from_secs(5);

/// The lifecycle lock of one segment.
pub(crate) struct Lifecycle {
    segment: Arc<Segment>,
}

/// Takes the lifecycle lock of a segment that this process has joined, to leave it.
pub(crate) fn lock_to_leave(segment: &Arc<Segment>) -> Result<Lifecycle, OpenError> {
    Lifecycle::lock(segment)
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        if self.segment.has_places() {
            self.segment.unlock_lifecycle();
        }
    }
}

impl Lifecycle {
    /// Takes the lock, and waits for others who join or leave. Whoever cannot take part does without it.
    pub(super) fn lock(segment: &Arc<Segment>) -> Result<Self, OpenError> {
        if !segment.has_places() {
            return Ok(Lifecycle { segment: segment.clone() });
        }
        let (backoff, started) = (Backoff::new(), Instant::now());
        loop {
            match segment.try_lock_lifecycle() {
                Ok(true) => return Ok(Lifecycle { segment: segment.clone() }),
                Ok(false) if started.elapsed() > LIFECYCLE_PATIENCE => {
                    return Err(OpenError::Busy { path: segment.path.clone(), seconds: LIFECYCLE_PATIENCE.as_secs() });
                }
                Ok(false) if backoff.is_completed() => thread::sleep(Duration::from_micros(200)),
                Ok(false) => backoff.snooze(),
                Err(source) => return Err(segment.os_error("take a lock of", source)),
            }
        }
    }

    /// Removes the segment's name if it still leads to this segment.
    pub(crate) fn unlink(&mut self) -> Result<bool, OpenError> {
        registry::forget(&self.segment);
        self.segment.unlink()
    }

    /// Takes the lock that says that participant `index` lives. `false` if somebody has it.
    pub(crate) fn try_hold(&self, index: u32) -> Result<bool, OpenError> {
        let segment = &self.segment;
        let mut held = segment.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&index) {
            return Ok(false);
        }
        let locked = segment.memory.try_lock(layout::lock_byte(index));
        let locked = locked.map_err(|source| segment.os_error("take a lock of", source))?;
        if locked {
            held.insert(index);
        }
        Ok(locked)
    }

    /// Gives the lock of participant `index` back.
    pub(crate) fn let_go(&self, index: u32) {
        self.segment.let_go(index);
    }

    /// Whether any participant lives.
    pub(crate) fn is_anybody_there(&self) -> bool {
        let segment = &self.segment;
        let held = segment.held.lock().unwrap_or_else(PoisonError::into_inner);
        // An unlink too many would lose messages, so whoever cannot be asked counts as alive.
        !held.is_empty() || segment.is_locked_elsewhere(0, segment.geometry.participants)
    }
}

impl Segment {
    /// Takes the lifecycle lock, unless another process or another thread has it.
    fn try_lock_lifecycle(&self) -> io::Result<bool> {
        // Acquire: pairs with the Release of the thread that had the lock before.
        if self.lifecycle.swap(true, Ordering::Acquire) {
            return Ok(false);
        }
        let locked = self.memory.try_lock(LIFECYCLE_LOCK_BYTE);
        if !matches!(locked, Ok(true)) {
            // Relaxed: nothing was done under the flag.
            self.lifecycle.store(false, Ordering::Relaxed);
        }
        locked
    }

    fn unlock_lifecycle(&self) {
        self.memory.unlock(LIFECYCLE_LOCK_BYTE);
        // Release: pairs with the Acquire of the next thread that takes the lock.
        self.lifecycle.store(false, Ordering::Release);
    }
}
