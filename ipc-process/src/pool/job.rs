//! A task that was submitted by itself.

use super::error::TaskError;
use super::report::{Outcome, Owner};
use super::shared::Shared;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use ipc_core::IpcMessage;
use ipc_core::message::boxed;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A task that was [submitted](super::Pool::submit): what it comes to is had here, once.
///
/// It is a `Future`, under any executor. Dropping it lets the task be done all the same; [`cancel`](Self::cancel) does not.
/// It may outlive the pool.
///
/// Outputs that vary in length are had by the verbs with `boxed`.
pub struct Job<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> {
    shared: Arc<Shared<Task, Output>>,
    job: usize,
    /// Whether the outcome has been given out, or is given to somebody else.
    is_over: bool,
}

/// Outputs of one length.
impl<Task: IpcMessage + ?Sized, Output: IpcMessage> Job<Task, Output> {
    /// Waits for the output.
    ///
    /// # Errors
    ///
    /// [`TaskError`] says why there is none.
    pub fn wait(mut self) -> Result<Output, TaskError> {
        self.outcome(None).map_or(Err(TaskError::PoolEnded), unboxed)
    }

    /// Waits for the output at most `limit`. `None` if it has not come, in which case the task goes on. After the outcome
    /// there is nothing more, and this is `None` at once.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<Output, TaskError>> {
        self.outcome(Instant::now().checked_add(limit)).map(unboxed)
    }

    /// Has a function called with the outcome, on one of the program's threads that waits for tasks of this pool, or on a
    /// thread of the pool. The function may use the pool. While it runs on the pool's thread, others of that thread wait.
    pub fn on_done(self, function: impl FnOnce(Result<Output, TaskError>) + Send + 'static) {
        self.call(move |outcome| function(unboxed(outcome)));
    }
}

/// Outputs of any kind.
impl<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> Job<Task, Output> {
    pub(super) fn new(shared: Arc<Shared<Task, Output>>, job: usize) -> Self {
        Job { shared, job, is_over: false }
    }

    /// Waits for the output, whatever its length.
    ///
    /// # Errors
    ///
    /// [`TaskError`] says why there is none.
    pub fn wait_boxed(mut self) -> Result<Box<Output>, TaskError> {
        self.outcome(None).map_or(Err(TaskError::PoolEnded), reboxed)
    }

    /// As [`wait_timeout`](Self::wait_timeout), whatever the length of the output.
    ///
    /// # Errors
    ///
    /// As for [`wait_boxed`](Self::wait_boxed).
    pub fn wait_boxed_timeout(&mut self, limit: Duration) -> Option<Result<Box<Output>, TaskError>> {
        self.outcome(Instant::now().checked_add(limit)).map(reboxed)
    }

    /// As [`on_done`](Self::on_done), whatever the length of the output.
    pub fn on_done_boxed(self, function: impl FnOnce(Result<Box<Output>, TaskError>) + Send + 'static) {
        self.call(move |outcome| function(reboxed(outcome)));
    }

    /// Whether the outcome is there, so that waiting for it would not take any time.
    pub fn is_done(&self) -> bool {
        self.is_over || self.shared.core().reports.is_done(self.job)
    }

    /// How far the task says that it is: how much of how much. `None` if it has not said anything.
    pub fn progress(&self) -> Option<(u64, u64)> {
        if self.is_over { None } else { self.shared.core().reports.progress(self.job) }
    }

    /// Ends the task, whose outcome is [`TaskError::Cancelled`] at once. `false` if it has another outcome already.
    ///
    /// If no worker has begun it, none will. If one has, its process is killed and another one takes its place; tasks that it
    /// had ahead go to others. A worker that was started by hand is left alone, and what it answers is dropped.
    pub fn cancel(&self) -> bool {
        if self.is_over {
            return false;
        }
        let mut core = self.shared.core();
        let is_cancelled = core.cancel(Owner::Job(self.job));
        drop(self.shared.settle(core));
        is_cancelled
    }

    /// Waits, as a task of an executor, until the outcome is there. To be followed by a verb that does not wait then.
    pub async fn ready(&mut self) {
        poll_fn(|context| self.poll_done(context)).await;
    }

    /// The outcome, if it is there before `deadline`.
    fn outcome(&mut self, deadline: Option<Instant>) -> Option<Outcome<Output>> {
        if self.is_over {
            return None;
        }
        let job = self.job;
        let outcome = self.shared.wait(deadline, |core| core.reports.take_outcome(job));
        self.is_over = outcome.is_some();
        outcome
    }

    fn call(mut self, callback: impl FnOnce(Outcome<Output>) + Send + 'static) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        let mut core = self.shared.core();
        core.reports.call_on_outcome(self.job, Box::new(callback));
        drop(self.shared.settle(core));
    }

    /// Whether the outcome is there; if not, a waker is left.
    fn poll_done(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut core = self.shared.core();
        if self.is_over || core.reports.is_done(self.job) {
            return Poll::Ready(());
        }
        core.reports.wake_on_outcome(self.job, context.waker());
        Poll::Pending
    }
}

impl<Task: IpcMessage + ?Sized, Output: IpcMessage> Future for Job<Task, Output> {
    type Output = Result<Output, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(Err(TaskError::PoolEnded));
        }
        let mut core = this.shared.core();
        match core.reports.take_outcome(this.job) {
            Some(outcome) => {
                this.is_over = true;
                Poll::Ready(unboxed(outcome))
            }
            None => {
                core.reports.wake_on_outcome(this.job, context.waker());
                Poll::Pending
            }
        }
    }
}

impl<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> Drop for Job<Task, Output> {
    fn drop(&mut self) {
        if !self.is_over {
            self.shared.core().reports.abandon_job(self.job);
        }
    }
}

impl<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> fmt::Debug for Job<Task, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// An outcome whose output has one length.
#[inline]
pub(super) fn unboxed<O: IpcMessage>(outcome: Outcome<O>) -> Result<O, TaskError> {
    outcome.map(|mut output| output.take_first())
}

/// An outcome whose output has any length.
pub(super) fn reboxed<O: IpcMessage + ?Sized>(outcome: Outcome<O>) -> Result<Box<O>, TaskError> {
    outcome.map(|output| boxed(output.first()))
}
