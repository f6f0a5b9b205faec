//! A case's own corner of /dev/shm.

use crate::check::{Check, Context, ensure};
use std::fs;
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

    fn leftovers(&self) -> std::io::Result<Vec<PathBuf>> {
        let prefix = format!("slipring.{}.", self.name);
        let mut leftovers = Vec::new();
        for entry in fs::read_dir(SHM)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                leftovers.push(entry.path());
            }
        }
        Ok(leftovers)
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        for path in self.leftovers().unwrap_or_default() {
            // Only a case that failed leaves anything, and it has been reported.
            let _ = fs::remove_file(path);
        }
    }
}
