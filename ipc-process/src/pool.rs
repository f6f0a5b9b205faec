//! A pool of worker processes, among which tasks are shared out.

mod builder;
mod core;
mod crew;
mod ears;
mod error;
mod flow;
mod items;
mod job;
mod notice;
mod options;
mod report;
mod seat;
mod serve;
mod shared;
mod slab;

pub use builder::PoolBuilder;
pub use error::{PoolError, ServeError, SubmitError, TaskError};
pub use flow::{Boxed, Outputs};
pub use job::Job;
pub use options::TaskOptions;
pub use serve::TaskContext;

use self::core::{Phase, check_length};
use self::items::Items;
use self::report::Owner;
use self::seat::{Run, Ticket};
use self::shared::Shared;
use ::core::borrow::Borrow;
use ipc_core::IpcMessage;
use std::fmt;
use std::process;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A pool of worker processes, among which tasks are shared out. Tasks and outputs are messages, of one length or of any.
///
/// A worker is a process that calls [`serve`](Self::serve) with the function that makes outputs of tasks: this program
/// again, whose `main` begins with that, or [another one](PoolBuilder::program), or one that is [started by
/// hand](Self::work).
///
/// ```
/// use ipc_process::Pool;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     # let domain = format!("doc-{}", std::process::id());
///     # if std::env::var_os("SLIPRING_DOMAIN").is_none() { unsafe { std::env::set_var("SLIPRING_DOMAIN", &domain) } }
///     // In a worker, this does not return.
///     Pool::<u64, u64>::serve("squares", |number| number * number);
///
///     let pool = Pool::<u64, u64>::builder("squares").workers(2).start()?;
///     let job = pool.submit(12)?;
///     let squares = pool.map(0..100).collect::<Result<Vec<_>, _>>()?;
///     assert_eq!((job.wait()?, squares[99]), (144, 9801));
///     pool.join();
///     Ok(())
/// }
/// ```
///
/// - *One report a task.* Every task that was taken comes to an output or to a [`TaskError`], once.
/// - *A death costs the task that it strikes.* A worker may be killed at any instruction. The task that it was at is
///   [`WorkerDied`](TaskError::WorkerDied), or begun again if it is [idempotent](TaskOptions::idempotent); what it had ahead
///   goes to others, and another process takes its place. A panic ends the task and not the worker.
/// - *Ends.* [`close`](Self::close) takes no more tasks, [`join`](Self::join) waits until all are done and the workers have
///   ended. Dropping a pool ends the workers at once; what was not done is [`PoolEnded`](TaskError::PoolEnded). If this process
///   dies, its workers die with it (see [`Worker`](crate::Worker)).
/// - *Sharing.* Threads may share a pool. There is one pool of a name, in a domain, at a time.
///
/// A pool has one thread, which sleeps while nothing happens, and while other threads wait for outputs: these receive them
/// themselves. It must not be used in a child that was forked from its process.
pub struct Pool<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> {
    shared: Arc<Shared<Task, Output>>,
    /// Until it is waited for.
    keeper: Option<JoinHandle<()>>,
    options: TaskOptions,
    /// Bytes of the longest task, where they vary in length.
    limit_bytes: usize,
    name: String,
}

/// A worker that has joined a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolWorker {
    /// Its process id, as it says.
    pub pid: u32,
    /// Tasks that it has done.
    pub done: u64,
    /// Tasks that it has, the one that it is at included.
    pub pending: usize,
}

/// What a program's workers do.
impl<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> Pool<Task, Output> {
    /// If this process was started as a worker of the pool `name`: works for it, and ends the process. Otherwise it returns
    /// at once. A program whose pool starts workers of the same executable calls it at the beginning of `main`;
    /// [`main!`](crate::main) does that.
    ///
    /// `function` is given one task after the other, and returns the output, or something that it can be borrowed from: for
    /// a `Pool<str, [u32]>`, a `Vec<u32>`.
    pub fn serve<R: Borrow<Output>>(name: &str, mut function: impl FnMut(&Task) -> R) {
        Self::serve_with(name, || (), |(), task, _| function(task));
    }

    /// As [`serve`](Self::serve), with something that each worker makes for itself before it joins, and with a
    /// [`TaskContext`] for tasks that say how far they are.
    pub fn serve_with<State, R: Borrow<Output>>(
        name: &str,
        initialize: impl FnOnce() -> State,
        function: impl FnMut(&mut State, &Task, &TaskContext<'_>) -> R,
    ) {
        if serve::is_worker_of(name) {
            process::exit(match Self::work_with(name, initialize, function) {
                Ok(_) => 0,
                Err(error) => {
                    eprintln!("{error}");
                    1
                }
            });
        }
    }

    /// Works for the pool `name`, and returns how many tasks were done when it is closed. Waits for the pool if there is none
    /// yet. This is for programs that are nothing but workers, also if they are started by hand.
    ///
    /// # Errors
    ///
    /// [`ServeError`] says why this process cannot work for the pool, or could no longer.
    pub fn work<R: Borrow<Output>>(name: &str, mut function: impl FnMut(&Task) -> R) -> Result<u64, ServeError> {
        Self::work_with(name, || (), |(), task, _| function(task))
    }

    /// As [`work`](Self::work), with what [`serve_with`](Self::serve_with) has.
    ///
    /// # Errors
    ///
    /// As for [`work`](Self::work).
    pub fn work_with<State, R: Borrow<Output>>(
        name: &str,
        initialize: impl FnOnce() -> State,
        function: impl FnMut(&mut State, &Task, &TaskContext<'_>) -> R,
    ) -> Result<u64, ServeError> {
        serve::work::<Task, Output, _, _>(name, initialize, function)
    }
}

/// What the program does that has the pool.
impl<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> Pool<Task, Output> {
    /// Describes a pool, which [`PoolBuilder::start`] starts. Its channels are called `<name>.desk`, `<name>.0.tasks` and
    /// so on, so the rules of [`Queue::new`](ipc_core::Queue::new) hold for its name, with at most 116 characters and
    /// without a dot at the end.
    pub fn builder(name: impl Into<String>) -> PoolBuilder<Task, Output> {
        PoolBuilder::new(name.into())
    }

    /// Has a task done. Returns at once: if no worker has room for it, it waits in this process.
    ///
    /// A task that varies in length is given as a reference, or as something that it can be borrowed from.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] says why the task was not taken.
    pub fn submit(&self, task: impl Borrow<Task>) -> Result<Job<Task, Output>, SubmitError> {
        self.submit_with(task, self.options)
    }

    /// As [`submit`](Self::submit), with options for this task alone.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit).
    pub fn submit_with(&self, task: impl Borrow<Task>, options: TaskOptions) -> Result<Job<Task, Output>, SubmitError> {
        check_length(task.borrow(), self.limit_bytes)?;
        let tasks = Items::one(task.borrow());
        let mut core = self.shared.core();
        let job = core.reports.open_job();
        let ticket = Ticket { owner: Owner::Job(job), options, attempts: 0 };
        if let Err(error) = core.submit(Run { ticket, tasks }) {
            core.reports.forget_job(job);
            return Err(error);
        }
        drop(core);
        Ok(Job::new(Arc::clone(&self.shared), job))
    }

    /// Has many tasks done, and returns their outputs in the order of the tasks. Tasks are read as fast as workers take
    /// them, however many outputs that fills memory with.
    ///
    /// ```no_run
    /// # use ipc_process::Pool;
    /// # let pool = Pool::<str, u64>::builder("words").start()?;
    /// let lengths = pool.map(["how", "long", "are", "they"]).collect::<Result<Vec<u64>, _>>()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map<Tasks>(&self, tasks: Tasks) -> Outputs<'_, Task, Output, Tasks::IntoIter>
    where
        Tasks: IntoIterator<Item: Borrow<Task>>,
    {
        Outputs::new(self, tasks.into_iter(), true, u64::MAX)
    }

    /// As [`map`](Self::map), with the outputs in the order in which they come.
    pub fn map_unordered<Tasks>(&self, tasks: Tasks) -> Outputs<'_, Task, Output, Tasks::IntoIter>
    where
        Tasks: IntoIterator<Item: Borrow<Task>>,
    {
        Outputs::new(self, tasks.into_iter(), false, u64::MAX)
    }

    /// As [`map`](Self::map), and never reads more than `buffer` tasks ahead of the outputs that it has returned: for endless
    /// iterators, and for large outputs.
    pub fn imap<Tasks>(&self, tasks: Tasks, buffer: usize) -> Outputs<'_, Task, Output, Tasks::IntoIter>
    where
        Tasks: IntoIterator<Item: Borrow<Task>>,
    {
        Outputs::new(self, tasks.into_iter(), true, buffer as u64)
    }

    /// As [`imap`](Self::imap), with the outputs in the order in which they come.
    pub fn imap_unordered<Tasks>(&self, tasks: Tasks, buffer: usize) -> Outputs<'_, Task, Output, Tasks::IntoIter>
    where
        Tasks: IntoIterator<Item: Borrow<Task>>,
    {
        Outputs::new(self, tasks.into_iter(), false, buffer as u64)
    }

    /// The workers that have joined and not left, as far as is known at the moment.
    pub fn workers(&self) -> Vec<PoolWorker> {
        let core = self.shared.core();
        let worker = |seat: &seat::Seat<Task>| PoolWorker { pid: seat.pid, done: seat.answered, pending: seat.load() };
        core.seats.iter().map(worker).collect()
    }

    /// Waits until so many workers have joined, at most `limit`. Not needed before tasks are submitted. `false` if they have
    /// not.
    pub fn wait_for_workers(&self, workers: usize, limit: Duration) -> bool {
        let have = self.shared.wait(Instant::now().checked_add(limit), |core| {
            (core.seats.len() >= workers || core.phase == Phase::Ended).then_some(core.seats.len())
        });
        have.is_some_and(|have| have >= workers)
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes no more tasks. Those that were taken are done, and then the workers end.
    pub fn close(&self) {
        self.shared.core().close();
    }

    /// [Closes](Self::close) the pool, and waits until all tasks are done and all workers have ended. Outcomes are still to be
    /// had from their [`Job`]s.
    pub fn join(mut self) {
        self.close();
        self.wait_for_end();
    }

    /// Ends the workers at once, and waits for that. What was not done is [`TaskError::PoolEnded`]. The same as dropping it.
    pub fn terminate(self) {
        drop(self);
    }

    fn shared(&self) -> &Shared<Task, Output> {
        &self.shared
    }

    fn options(&self) -> TaskOptions {
        self.options
    }

    fn limit_bytes(&self) -> usize {
        self.limit_bytes
    }

    fn wait_for_end(&mut self) {
        self.shared.wait(None, |core| (core.phase == Phase::Ended).then_some(()));
        if let Some(keeper) = self.keeper.take() {
            // A function that is called with an outcome may be what drops the pool.
            if keeper.thread().id() != thread::current().id() {
                let _ = keeper.join();
            }
        }
    }

    fn new(
        shared: Arc<Shared<Task, Output>>,
        keeper: JoinHandle<()>,
        options: TaskOptions,
        limit_bytes: usize,
        name: String,
    ) -> Self {
        Pool { shared, keeper: Some(keeper), options, limit_bytes, name }
    }
}

impl<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> Drop for Pool<Task, Output> {
    fn drop(&mut self) {
        if self.keeper.is_some() {
            let mut core = self.shared.core();
            core.end();
            drop(self.shared.settle(core));
            self.wait_for_end();
        }
    }
}

impl<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> fmt::Debug for Pool<Task, Output> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A `main` that is a worker's if the process was started as one, and the program's otherwise.
///
/// Before the semicolon stand the pools that start workers of this executable: name, task, output, and the function that
/// makes the one of the other.
///
/// ```
/// fn square(number: &u64) -> u64 {
///     number * number
/// }
///
/// ipc_process::main! {
///     "squares": u64 => u64 = square;
///
///     fn main() -> Result<(), Box<dyn std::error::Error>> {
///         # if std::env::var_os("SLIPRING_DOMAIN").is_none() {
///         #     unsafe { std::env::set_var("SLIPRING_DOMAIN", format!("doc-{}", std::process::id())) }
///         # }
///         let pool = ipc_process::Pool::<u64, u64>::builder("squares").workers(2).start()?;
///         assert_eq!(pool.submit(12)?.wait()?, 144);
///         Ok(())
///     }
/// }
/// ```
#[macro_export]
macro_rules! main {
    ($($pool:literal : $task:ty => $output:ty = $function:expr),+ $(,)? ; fn main() $(-> $returns:ty)? $body:block) => {
        fn main() $(-> $returns)? {
            $($crate::Pool::<$task, $output>::serve($pool, $function);)+
            $body
        }
    };
}
