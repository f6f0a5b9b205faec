//! How a task is to be treated.

use std::time::Duration;

/// How often an idempotent task is begun at most, unless the options say otherwise.
const DEFAULT_MAX_ATTEMPTS: u32 = 3;

/// How a task is to be treated: what a pool's tasks have in common is said when it is built, and what one has for itself
/// when it is [submitted](super::Pool::submit_with).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskOptions {
    pub(super) is_idempotent: bool,
    pub(super) max_attempts: u32,
    pub(super) timeout: Option<Duration>,
}

impl TaskOptions {
    /// A task that is begun once, and may take as long as it likes.
    pub const fn new() -> Self {
        TaskOptions { is_idempotent: false, max_attempts: DEFAULT_MAX_ATTEMPTS, timeout: None }
    }

    /// Says that the task may be done again if a worker dies with it, however much of it was done: three times at most,
    /// unless [`max_attempts`](Self::max_attempts) says otherwise.
    #[must_use]
    pub const fn idempotent(self) -> Self {
        TaskOptions { is_idempotent: true, ..self }
    }

    /// How often an idempotent task is begun at most: what kills its workers stops at that.
    #[must_use]
    pub const fn max_attempts(self, attempts: u32) -> Self {
        TaskOptions { max_attempts: attempts, ..self }
    }

    /// How long the task may run, from when a worker begins with it. After that its worker is killed (within 50 ms), and
    /// another one takes its place; if it was started by hand, it is left alone, and what it answers is dropped.
    #[must_use]
    pub const fn timeout(self, limit: Duration) -> Self {
        TaskOptions { timeout: Some(limit), ..self }
    }

    /// Whether to begin again after so many attempts.
    pub(super) const fn may_retry(&self, attempts: u32) -> bool {
        self.is_idempotent && attempts < self.max_attempts
    }
}

impl Default for TaskOptions {
    fn default() -> Self {
        TaskOptions::new()
    }
}
