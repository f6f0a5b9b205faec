//! What a pool is to be.

use super::Pool;
use super::core::Core;
use super::crew::Crew;
use super::ears::Ears;
use super::error::PoolError;
use super::notice::{Channels, MAX_WORKERS, POOL_VARIABLE, TOKEN_VARIABLE};
use super::options::TaskOptions;
use super::shared::Shared;
use crate::error::SpawnError;
use crate::keeper::Launcher;
use ipc_core::{DOMAIN_VARIABLE, IpcMessage, OpenError};
use std::ffi::OsString;
use std::marker::PhantomData;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of the longest task or output, where they vary in length, unless the builder says otherwise.
const DEFAULT_LIMIT: usize = 1 << 16;

/// The longest name of a pool: with `.63.outputs` behind it, it is one of a channel.
const MAX_NAME_BYTES: usize = 116;

/// How long a worker has to join, unless the builder says otherwise.
const DEFAULT_JOIN_LIMIT: Duration = Duration::from_secs(10);

/// What a [`Pool`] is to be. Made by [`Pool::builder`].
#[derive(Debug)]
pub struct PoolBuilder<Task: ?Sized, Output: ?Sized> {
    name: String,
    domain: Option<String>,
    workers: Option<usize>,
    program: Option<Command>,
    args: Vec<OsString>,
    options: TaskOptions,
    quota: Option<u64>,
    limits: [usize; 2],
    join_limit: Duration,
    messages: PhantomData<fn(&Task) -> Box<Output>>,
}

impl<Task: IpcMessage + ?Sized, Output: IpcMessage + ?Sized> PoolBuilder<Task, Output> {
    pub(super) fn new(name: String) -> Self {
        PoolBuilder {
            name,
            domain: None,
            workers: None,
            program: None,
            args: Vec::new(),
            options: TaskOptions::new(),
            quota: None,
            limits: [DEFAULT_LIMIT; 2],
            join_limit: DEFAULT_JOIN_LIMIT,
            messages: PhantomData,
        }
    }

    /// How many workers the pool starts, and keeps: one for every processor unless given, and 64 at most. With 0 it starts
    /// none, and waits for those that are started by hand ([`Pool::work`]).
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Another program for the workers to be, which calls [`Pool::serve`] or [`Pool::work`]. Unless given, they are this
    /// program again.
    #[must_use]
    pub fn program(mut self, program: Command) -> Self {
        self.program = Some(program);
        self
    }

    /// Arguments for the workers, if they are this program again. By default there are none.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item: Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The domain that the pool and its workers meet in, as [`Queue::domain`](ipc_core::Queue::domain).
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// How tasks are treated that are submitted without options of their own.
    #[must_use]
    pub fn options(mut self, options: TaskOptions) -> Self {
        self.options = options;
        self
    }

    /// Says that any task may be done again if a worker dies with it, as [`TaskOptions::idempotent`].
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.options = self.options.idempotent();
        self
    }

    /// How long any task may run, as [`TaskOptions::timeout`].
    #[must_use]
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.options = self.options.timeout(limit);
        self
    }

    /// Replaces each worker when it has done so many tasks: for functions that leak.
    #[must_use]
    pub fn max_tasks_per_worker(mut self, tasks: u64) -> Self {
        self.quota = Some(tasks.max(1));
        self
    }

    /// How many bytes a task may have, if tasks vary in length; 65,536 unless given. Every worker has a channel of more than
    /// twice as many.
    #[must_use]
    pub fn max_task(mut self, bytes: usize) -> Self {
        self.limits[0] = bytes;
        self
    }

    /// The same of outputs.
    #[must_use]
    pub fn max_output(mut self, bytes: usize) -> Self {
        self.limits[1] = bytes;
        self
    }

    /// How long a worker has from its start until it joins, 10 seconds unless given. After that it is killed and counts as
    /// failed.
    #[must_use]
    pub fn join_timeout(mut self, limit: Duration) -> Self {
        self.join_limit = limit;
        self
    }

    /// Starts the pool and its workers, and does not wait for them: tasks wait until workers have joined.
    ///
    /// # Errors
    ///
    /// [`PoolError::Open`] if there is a pool of this name, and says which process has it, or if outputs have no bytes; [`PoolError::Spawn`] if there is
    /// no such program; and the other [`PoolError`]s as they say.
    pub fn start(self) -> Result<Pool<Task, Output>, PoolError> {
        let workers =
            self.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS));
        if workers > MAX_WORKERS {
            return Err(PoolError::TooManyWorkers { asked: workers, limit: MAX_WORKERS });
        }
        let name = self.name.clone();
        if workers > 0 && self.program.is_none() && std::env::var_os(POOL_VARIABLE).is_some_and(|of| *of == *name) {
            return Err(PoolError::InWorker { name });
        }
        let open = |source| PoolError::Open { name: name.clone(), source };
        check_name(&name).map_err(open)?;
        if Output::TYPE.size == 0 && Output::TYPE.tail().is_none() {
            let rule = "it has no bytes; let tasks that have nothing to say return a u8";
            return Err(open(OpenError::Message { message: Output::NAME, rule }));
        }
        let channels = self.channels();
        let (quota, options, join_limit, limit) = (self.quota, self.options, self.join_limit, self.limits[0]);
        // Before there are any workers: the name is this pool's.
        let bell = channels.bell().receiver().map_err(open)?;
        let core = Core::new(channels.bell().sender().map_err(open)?);
        let spawn = |source| PoolError::Spawn { name: name.clone(), source };
        let launcher = (workers > 0).then(|| self.launcher(&channels)).transpose().map_err(spawn)?;
        let mut crew = Crew::new(launcher, workers, join_limit);
        crew.fill(Instant::now()).map_err(spawn)?;
        let shared = Arc::new(Shared::new(core, Ears::new(channels, bell, crew, quota).map_err(open)?));
        let keeper = Arc::clone(&shared);
        let thread = thread::Builder::new().name("slipring-pool".to_owned());
        let thread = thread.spawn(move || keeper.keep()).map_err(PoolError::System)?;
        Ok(Pool::new(shared, thread, options, limit, name))
    }

    fn channels(&self) -> Channels {
        let (name, domain) = (self.name.clone(), self.domain.clone());
        let time = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
        let token = time ^ u64::from(std::process::id()).rotate_right(16);
        Channels { name, domain, limits: self.limits, token }
    }

    /// What starts the workers.
    fn launcher(self, channels: &Channels) -> Result<Launcher, SpawnError> {
        let mut command = self.program.unwrap_or_else(|| {
            // The executable that runs, even if its file has been replaced.
            let mut command = Command::new("/proc/self/exe");
            if let Some(own) = std::env::args_os().next() {
                command.arg0(own);
            }
            command.args(self.args);
            command.stdin(Stdio::null());
            command
        });
        command.env(POOL_VARIABLE, &channels.name).env(TOKEN_VARIABLE, channels.token.to_string());
        if let Some(domain) = &channels.domain {
            command.env(DOMAIN_VARIABLE, domain);
        }
        // In a group of their own, so that Ctrl-C is this process's to act on.
        command.process_group(0);
        Launcher::new(command)
    }
}

/// Refuses a name that a channel of the pool could not begin with, and says so of the pool's name instead of that channel's.
fn check_name(name: &str) -> Result<(), OpenError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_in_order = !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_allowed) && is_in_order {
        return Ok(());
    }
    let rule = "use 1 to 116 ASCII letters, digits, '_', '-' and '.', without a '.' at either end and without \"..\"";
    Err(OpenError::Name { what: "pool name", name: name.to_owned(), rule })
}
