//! The wake-ups that a post has slept through, until a round has found them.

use super::{Armed, Entry, Post, lock};
use core::sync::atomic::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// Segments, and when the round was due.
static LATE: Mutex<Vec<(PathBuf, Instant)>> = Mutex::new(Vec::new());

/// Whether a post's thread sleeps.
#[derive(Default)]
pub(super) struct Sleep {
    /// Where the kernel tells of it.
    stat: OnceLock<PathBuf>,
}

impl Sleep {
    /// Called by the thread.
    pub(super) fn is_mine(&self) {
        // Only Linux can tell, which will do for the test that asks.
        if let Ok(thread) = fs::read_link("/proc/thread-self") {
            self.stat.get_or_init(|| Path::new("/proc").join(thread).join("stat"));
        }
    }

    /// Whether the thread sleeps, and nobody has woken it.
    fn is_deep(&self) -> bool {
        // The state follows the name, which is in parentheses.
        let stat = self.stat.get().and_then(|path| fs::read_to_string(path).ok());
        stat.is_some_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')))
    }
}

/// The value that an end is armed with, if its word has another one.
fn stale(entry: &Entry) -> Option<u32> {
    let state = lock(&entry.state);
    let Armed { expected, .. } = *state.armed.as_ref()?;
    // Acquire: pairs with the Release of wakers.
    (entry.interest.word().load(Ordering::Acquire) != expected).then_some(expected)
}

/// Called before the round that was due at `deadline`. A post whose thread sleeps although one of its words has changed has
/// not been woken, since whoever is woken does not count as asleep until it has looked.
pub(super) fn note(posts: &[Arc<Post>], deadline: Instant) {
    for post in posts {
        for entry in post.entries() {
            let before = stale(&entry);
            // No lock is held here for which the thread might be waiting.
            if before.is_some() && post.sleep.is_deep() && stale(&entry) == before {
                lock(&LATE).push((entry.interest.path().to_owned(), deadline));
            }
        }
    }
}

/// When the rounds were due that found something in `segment`, since the last call.
pub(crate) fn take(segment: &Path) -> Vec<Instant> {
    let mut late = lock(&LATE);
    let (taken, kept) = late.drain(..).partition(|(path, _)| path == segment);
    *late = kept;
    let taken: Vec<(PathBuf, Instant)> = taken;
    taken.into_iter().map(|(_, deadline)| deadline).collect()
}
