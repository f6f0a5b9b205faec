//! A case's own corner of /dev/shm.

use crate::check::{Check, Context, ensure};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;

const SHM: &str = "/dev/shm";

/// How many domains this process has had, so that none has the name of another.
static COUNT: Mutex<u64> = Mutex::new(0);

/// The domain of one case. What is still in it when it is dropped is removed.
pub(crate) struct Domain {
    name: String,
}

impl Domain {
    /// A new domain.
    pub(crate) fn new() -> Self {
        let mut count = COUNT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *count += 1;
        Domain { name: format!("torture-{}-{count}", process::id()) }
    }

    /// As it is given to `domain`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// That nothing is left in it.
    pub(crate) fn check_empty(&self) -> Check {
        let leftovers = self.leftovers().at("/dev/shm is listed")?;
        ensure(leftovers.is_empty(), || format!("left behind: {leftovers:?}"))
    }

    fn leftovers(&self) -> io::Result<Vec<PathBuf>> {
        segments(&format!("slipring.{}.", self.name))
    }
}

/// Removes whatever is in any domain of this process, which is about to end in the middle of a case.
pub(crate) fn remove_all() {
    for path in segments(&format!("slipring.torture-{}-", process::id())).unwrap_or_default() {
        // It may be removed by the case itself at this moment.
        let _ = fs::remove_file(path);
    }
}

/// The segments whose files' names start so.
fn segments(prefix: &str) -> io::Result<Vec<PathBuf>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(SHM)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            segments.push(entry.path());
        }
    }
    Ok(segments)
}

impl Drop for Domain {
    fn drop(&mut self) {
        for path in self.leftovers().unwrap_or_default() {
            // Only a case that failed leaves anything, and it has been reported.
            let _ = fs::remove_file(path);
        }
    }
}
