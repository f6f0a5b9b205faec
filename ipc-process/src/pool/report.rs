//! What became of tasks, and whom it is told.

use super::error::TaskError;
use super::items::Items;
use super::slab::Slab;
use std::fmt;
use std::task::Waker;

/// An output, or why there is none. Of several tasks of an iterator that follow each other, the output of each, or why there
/// are none.
pub(super) type Outcome<O> = Result<Items<O>, TaskError>;

/// What is called with an outcome.
pub(super) type Callback<O> = Box<dyn FnOnce(Outcome<O>) + Send>;

/// Whom the outcome of a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A [`Job`](super::Job).
    Job(usize),
    /// An iterator over outputs, and where in it the output belongs.
    Flow { flow: usize, index: u64 },
}

impl Owner {
    /// Whom the task is for that comes so many after this one's.
    pub(super) fn after(self, tasks: usize) -> Self {
        match self {
            Owner::Job(job) => Owner::Job(job),
            Owner::Flow { flow, index } => Owner::Flow { flow, index: index + tasks as u64 },
        }
    }
}

/// Whoever is told of outcomes.
pub(super) struct Reports<O: ?Sized> {
    jobs: Slab<JobEntry<O>>,
    flows: Slab<FlowEntry<O>>,
    /// What is to be done about outcomes when no lock is held.
    due: Vec<Due<O>>,
}

/// A task that was submitted by itself.
struct JobEntry<O: ?Sized> {
    outcome: Option<Outcome<O>>,
    listener: Listener<O>,
    progress: Option<(u64, u64)>,
}

/// Who waits for the outcome of a job.
enum Listener<O: ?Sized> {
    /// Somebody who looks.
    Handle,
    /// A task of an executor.
    Waker(Waker),
    /// A function that is called.
    Callback(Callback<O>),
    /// Nobody.
    Nobody,
}

/// The tasks of an iterator.
struct FlowEntry<O: ?Sized> {
    /// Those that were submitted and have no outcome yet.
    outstanding: u64,
    /// Outcomes that the iterator has not fetched.
    arrived: Vec<Arrival<O>>,
    is_dropped: bool,
}

/// What became of tasks of an iterator that follow each other.
pub(super) struct Arrival<O: ?Sized> {
    /// Where in the iterator the first of them is.
    pub(super) index: u64,
    /// How many they are; at least one.
    pub(super) count: usize,
    pub(super) outcome: Outcome<O>,
}

/// What is to be done about an outcome when no lock is held.
pub(super) enum Due<O: ?Sized> {
    Call(Callback<O>, Outcome<O>),
    Wake(Waker),
}

impl<O: ?Sized> Due<O> {
    pub(super) fn run(self) {
        match self {
            Due::Call(callback, outcome) => callback(outcome),
            Due::Wake(waker) => waker.wake(),
        }
    }
}

impl<O: ?Sized> Reports<O> {
    pub(super) fn new() -> Self {
        Reports { jobs: Slab::new(), flows: Slab::new(), due: Vec::new() }
    }

    pub(super) fn take_due(&mut self) -> Vec<Due<O>> {
        std::mem::take(&mut self.due)
    }

    /// Tells `owner` what became of `count` tasks that follow each other: called once for each task.
    pub(super) fn deliver(&mut self, owner: Owner, count: usize, outcome: Outcome<O>) {
        match owner {
            Owner::Job(job) => self.deliver_job(job, outcome),
            Owner::Flow { flow, index } => {
                let Some(entry) = self.flows.get_mut(flow) else { return };
                entry.outstanding = entry.outstanding.saturating_sub(count as u64);
                if !entry.is_dropped {
                    entry.arrived.push(Arrival { index, count, outcome });
                } else if entry.outstanding == 0 {
                    self.flows.remove(flow);
                }
            }
        }
    }

    fn deliver_job(&mut self, job: usize, outcome: Outcome<O>) {
        let Some(entry) = self.jobs.get_mut(job) else { return };
        match std::mem::replace(&mut entry.listener, Listener::Handle) {
            Listener::Handle => entry.outcome = Some(outcome),
            Listener::Waker(waker) => {
                entry.outcome = Some(outcome);
                self.due.push(Due::Wake(waker));
            }
            Listener::Callback(callback) => {
                self.jobs.remove(job);
                self.due.push(Due::Call(callback, outcome));
            }
            Listener::Nobody => drop(self.jobs.remove(job)),
        }
    }
}

/// Jobs.
impl<O: ?Sized> Reports<O> {
    pub(super) fn open_job(&mut self) -> usize {
        self.jobs.insert(JobEntry { outcome: None, listener: Listener::Handle, progress: None })
    }

    /// Forgets a job that was never submitted, or whose outcome has been taken.
    pub(super) fn forget_job(&mut self, job: usize) {
        self.jobs.remove(job);
    }

    pub(super) fn is_done(&self, job: usize) -> bool {
        self.jobs.get(job).is_none_or(|entry| entry.outcome.is_some())
    }

    /// The outcome, if it is there. It is given out once.
    pub(super) fn take_outcome(&mut self, job: usize) -> Option<Outcome<O>> {
        let outcome = self.jobs.get_mut(job)?.outcome.take()?;
        self.jobs.remove(job);
        Some(outcome)
    }

    /// Has a task of an executor woken when the outcome is there.
    pub(super) fn wake_on_outcome(&mut self, job: usize, waker: &Waker) {
        if let Some(entry) = self.jobs.get_mut(job) {
            entry.listener = Listener::Waker(waker.clone());
        }
    }

    /// Has a function called with the outcome, which may be there already.
    pub(super) fn call_on_outcome(&mut self, job: usize, callback: Callback<O>) {
        match self.take_outcome(job) {
            Some(outcome) => self.due.push(Due::Call(callback, outcome)),
            None => {
                if let Some(entry) = self.jobs.get_mut(job) {
                    entry.listener = Listener::Callback(callback);
                }
            }
        }
    }

    /// Notes that nobody asks for the outcome any more.
    pub(super) fn abandon_job(&mut self, job: usize) {
        match self.jobs.get_mut(job) {
            Some(entry) if entry.outcome.is_none() => entry.listener = Listener::Nobody,
            _ => drop(self.jobs.remove(job)),
        }
    }

    pub(super) fn set_progress(&mut self, owner: Owner, progress: (u64, u64)) {
        if let Owner::Job(job) = owner {
            if let Some(entry) = self.jobs.get_mut(job) {
                entry.progress = Some(progress);
            }
        }
    }

    pub(super) fn progress(&self, job: usize) -> Option<(u64, u64)> {
        self.jobs.get(job)?.progress
    }
}

/// Iterators.
impl<O: ?Sized> Reports<O> {
    pub(super) fn open_flow(&mut self) -> usize {
        self.flows.insert(FlowEntry { outstanding: 0, arrived: Vec::new(), is_dropped: false })
    }

    /// Notes that so many tasks of an iterator have been submitted.
    pub(super) fn expect(&mut self, flow: usize, tasks: u64) {
        if let Some(entry) = self.flows.get_mut(flow) {
            entry.outstanding += tasks;
        }
    }

    /// Moves what has arrived for an iterator to `arrived`, which is empty. `false` if there is nothing.
    pub(super) fn fetch(&mut self, flow: usize, arrived: &mut Vec<Arrival<O>>) -> bool {
        match self.flows.get_mut(flow) {
            Some(entry) if !entry.arrived.is_empty() => {
                std::mem::swap(&mut entry.arrived, arrived);
                true
            }
            _ => false,
        }
    }

    /// Notes that nobody asks for the outcomes any more.
    pub(super) fn abandon_flow(&mut self, flow: usize) {
        if let Some(entry) = self.flows.get_mut(flow) {
            entry.is_dropped = true;
            entry.arrived = Vec::new();
            if entry.outstanding == 0 {
                self.flows.remove(flow);
            }
        }
    }
}

impl<O: ?Sized> fmt::Debug for Reports<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").finish_non_exhaustive()
    }
}
