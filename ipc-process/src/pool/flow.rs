//! Outputs of many tasks, one after the other, while the tasks are read from an iterator.

use super::Pool;
use super::core::check_length;
use super::error::TaskError;
use super::items::{Items, Packer};
use super::report::{Arrival, Owner};
use super::seat::{Run, Ticket};
use core::borrow::Borrow;
use core::iter::Fuse;
use ipc_core::IpcMessage;
use ipc_core::message::boxed;
use std::collections::VecDeque;
use std::fmt;

/// Tasks that are read at a time.
const BATCH: usize = 256;

/// The outputs of many tasks: what [`Pool::map`], [`Pool::map_unordered`] and [`Pool::imap`] return.
///
/// It is an iterator over outputs of one length, or the reasons why there are none, with one item for every task. Those of
/// any length are had by [`next_boxed`](Self::next_boxed) or [`boxed`](Self::boxed). An error is an item and not the end.
///
/// Tasks are read from their iterator in the calls for outputs, by the thread that makes them, and as far ahead as workers
/// take them. Dropping it drops the tasks that no worker has, and what becomes of the others.
#[must_use = "tasks are read while outputs are asked for"]
pub struct Outputs<'p, Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized, Tasks: Iterator> {
    pool: &'p Pool<Task, Output>,
    tasks: Fuse<Tasks>,
    is_exhausted: bool,
    flow: usize,
    is_ordered: bool,
    /// Tasks whose outputs have not been returned, at most.
    ahead: u64,
    /// Tasks that were read, and outputs that were returned.
    read: u64,
    returned: u64,
    /// Outcomes to be returned; if they are to be in order, they are.
    ready: VecDeque<Arrival<Output>>,
    /// How many of them there are.
    present: u64,
    arrived: Vec<Arrival<Output>>,
    batch: Vec<Tasks::Item>,
}

impl<'p, Task, Output, Tasks> Outputs<'p, Task, Output, Tasks>
where
    Task: IpcMessage + ?Sized,
    Output: IpcMessage + ?Sized,
    Tasks: Iterator<Item: Borrow<Task>>,
{
    pub(super) fn new(pool: &'p Pool<Task, Output>, tasks: Tasks, is_ordered: bool, ahead: u64) -> Self {
        let flow = pool.shared().core().reports.open_flow();
        Outputs {
            pool,
            tasks: tasks.fuse(),
            is_exhausted: false,
            flow,
            is_ordered,
            ahead: ahead.max(1),
            read: 0,
            returned: 0,
            ready: VecDeque::new(),
            present: 0,
            arrived: Vec::new(),
            batch: Vec::with_capacity(BATCH),
        }
    }

    /// Waits for the next output, whatever its length. `None` after the last.
    ///
    /// # Errors
    ///
    /// [`TaskError`] says why there is none.
    pub fn next_boxed(&mut self) -> Option<Result<Box<Output>, TaskError>> {
        self.next_outcome(|outputs| {
            let output = boxed(outputs.first());
            outputs.skip(1);
            output
        })
    }

    /// An iterator over outputs of any length.
    pub fn boxed(self) -> Boxed<'p, Task, Output, Tasks> {
        Boxed { outputs: self }
    }

    /// The next outcome, of whose outputs `take` takes the first out.
    ///
    /// The result is built where the caller wants it, in each of its two ways, and is not passed through. It is as wide as an
    /// error, and would be moved by loads that straddle the stores before them, for which a processor waits.
    #[inline(always)]
    fn next_outcome<R>(&mut self, take: impl FnOnce(&mut Items<Output>) -> R) -> Option<Result<R, TaskError>> {
        if !self.find_next() {
            return None;
        }
        let first = self.ready.front_mut()?;
        match &mut first.outcome {
            Ok(outputs) => {
                let output = take(outputs);
                self.step();
                Some(Ok(output))
            }
            Err(error) => {
                let error = error.clone();
                self.step();
                Some(Err(error))
            }
        }
    }

    /// Waits until the next outcome is the first one of those that are ready. `false` if there is none left.
    #[inline]
    fn find_next(&mut self) -> bool {
        loop {
            let under_way = self.read - self.returned - self.present;
            if !self.is_exhausted && under_way <= self.present {
                self.feed();
            }
            match self.ready.front() {
                Some(first) if !self.is_ordered || first.index == self.returned => return true,
                _ if self.is_exhausted && self.read == self.returned => return false,
                _ => self.fetch(),
            }
        }
    }

    /// Notes that the next outcome has been returned.
    #[inline]
    fn step(&mut self) {
        if let Some(first) = self.ready.front_mut() {
            first.index += 1;
            first.count -= 1;
            if first.count == 0 {
                self.ready.pop_front();
            }
        }
        self.returned += 1;
        self.present -= 1;
    }

    /// Reads tasks, as many as workers take, and no further ahead than is allowed.
    fn feed(&mut self) {
        loop {
            let allowed = self.ahead - (self.read - self.returned);
            // Where there is a limit, tasks wait in the pool, so that workers get them while nobody asks for outputs.
            let is_bounded = self.ahead != u64::MAX;
            let wanted = if is_bounded { BATCH } else { self.pool.shared().core().appetite().min(BATCH) };
            let wanted = wanted.min(usize::try_from(allowed).unwrap_or(usize::MAX));
            if wanted == 0 {
                return;
            }
            // Not under the lock, since it is the program's code.
            self.batch.extend(self.tasks.by_ref().take(wanted));
            self.is_exhausted = self.batch.len() < wanted;
            self.submit();
            if self.is_exhausted {
                return;
            }
        }
    }

    /// Submits the tasks that were read. Those that are too long come to that at once.
    fn submit(&mut self) {
        let (limit, mut packer) = (self.pool.limit_bytes(), Packer::new());
        let mut batch = std::mem::take(&mut self.batch);
        for task in batch.drain(..) {
            match check_length(task.borrow(), limit) {
                Ok(()) => packer.push(task.borrow()),
                Err(error) => {
                    self.submit_run(packer.pack());
                    self.arrived.push(Arrival { index: self.read, count: 1, outcome: Err(error.into()) });
                    self.read += 1;
                }
            }
        }
        self.batch = batch;
        self.submit_run(packer.pack());
        self.sort();
    }

    /// Submits tasks that follow each other.
    fn submit_run(&mut self, tasks: Items<Task>) {
        let (index, count) = (self.read, tasks.len());
        if count == 0 {
            return;
        }
        self.read += count as u64;
        let owner = Owner::Flow { flow: self.flow, index };
        let ticket = Ticket { owner, options: self.pool.options(), attempts: 0 };
        let mut core = self.pool.shared().core();
        match core.submit(Run { ticket, tasks }) {
            Ok(()) => core.reports.expect(self.flow, count as u64),
            Err(error) => self.arrived.push(Arrival { index, count, outcome: Err(error.into()) }),
        }
    }

    /// Waits until there is an outcome, or another task can be read.
    fn fetch(&mut self) {
        let may_read = !self.is_exhausted && self.read - self.returned < self.ahead;
        let Outputs { pool, flow, arrived, .. } = self;
        let found = pool.shared().wait(None, |core| {
            let is_fetched = core.reports.fetch(*flow, arrived);
            (is_fetched || may_read && core.appetite() > 0).then_some(())
        });
        if found.is_none() {
            // The pool has ended, and all that it had has been reported.
            self.is_exhausted = true;
            self.read = self.returned + self.present;
        }
        if may_read {
            self.feed();
        }
        self.sort();
    }

    /// Puts what has arrived in its place.
    #[inline]
    fn sort(&mut self) {
        for arrival in self.arrived.drain(..) {
            self.present += arrival.count as u64;
            let at = match self.ready.back() {
                Some(last) if self.is_ordered && arrival.index < last.index => {
                    self.ready.partition_point(|other| other.index < arrival.index)
                }
                _ => self.ready.len(),
            };
            self.ready.insert(at, arrival);
        }
    }
}

impl<Task, Output, Tasks> Iterator for Outputs<'_, Task, Output, Tasks>
where
    Task: IpcMessage + ?Sized,
    Output: IpcMessage,
    Tasks: Iterator<Item: Borrow<Task>>,
{
    type Item = Result<Output, TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.next_outcome(Items::take_first)
    }
}

impl<Task, Output, Tasks> Drop for Outputs<'_, Task, Output, Tasks>
where
    Task: IpcMessage + ?Sized,
    Output: IpcMessage + ?Sized,
    Tasks: Iterator,
{
    fn drop(&mut self) {
        self.pool.shared().core().abandon_flow(self.flow);
    }
}

impl<Task, Output, Tasks> fmt::Debug for Outputs<'_, Task, Output, Tasks>
where
    Task: IpcMessage + ?Sized,
    Output: IpcMessage + ?Sized,
    Tasks: Iterator,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (read, returned) = (self.read, self.returned);
        f.debug_struct("Outputs").field("read", &read).field("returned", &returned).finish_non_exhaustive()
    }
}

/// The outputs of many tasks, whatever their length. Made by [`Outputs::boxed`].
#[must_use = "tasks are read while outputs are asked for"]
#[derive(Debug)]
pub struct Boxed<'p, Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized, Tasks: Iterator> {
    outputs: Outputs<'p, Task, Output, Tasks>,
}

impl<Task, Output, Tasks> Iterator for Boxed<'_, Task, Output, Tasks>
where
    Task: IpcMessage + ?Sized,
    Output: IpcMessage + ?Sized,
    Tasks: Iterator<Item: Borrow<Task>>,
{
    type Item = Result<Box<Output>, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.outputs.next_boxed()
    }
}
