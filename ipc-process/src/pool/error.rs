//! What can go wrong with pools and their tasks.

use crate::error::SpawnError;
use crate::exit::Exit;
use ipc_core::error::{OpenError, TooLarge};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Why a pool could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// There is a pool of this name already, or the name cannot be used: what could not be opened says so.
    #[error("the pool \"{name}\" cannot be opened: {source}")]
    Open {
        /// The pool's name.
        name: String,
        /// Why not.
        source: OpenError,
    },
    /// The workers cannot be started.
    #[error("the workers of the pool \"{name}\" cannot be started: {source}")]
    Spawn {
        /// The pool's name.
        name: String,
        /// Why not.
        source: SpawnError,
    },
    /// More workers than a pool has seats for.
    #[error("{asked} workers were asked for, and a pool has seats for {limit}: divide the work among several pools")]
    TooManyWorkers {
        /// How many were asked for.
        asked: usize,
        /// How many there can be.
        limit: usize,
    },
    /// This process is itself a worker of the pool, and would start workers that start workers.
    #[error(
        "this process was started as a worker of the pool \"{name}\", and has come to where it would start that pool: let \
         `main` begin with `slipring::process::main!`, or with `Pool::serve`"
    )]
    InWorker {
        /// The pool's name.
        name: String,
    },
    /// The system has no thread to spare.
    #[error("the pool's thread could not be started: {0}")]
    System(io::Error),
}

/// Why a task was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The pool has been closed.
    #[error("the pool has been closed and takes no more tasks")]
    Closed,
    /// The task is longer than the pool was built for.
    #[error("a task of {} bytes is longer than the {} that this pool has room for: build it with a larger `max_task`", .0.bytes, .0.limit)]
    TooLarge(TooLarge),
    /// There are no workers, and none can be started.
    #[error("the pool has no workers: {0}")]
    NoWorkers(Arc<str>),
}

/// Why there is no output. Every task that was taken has one output or one of these, once.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The worker died while it had the task, which may have been done in part.
    #[error("the worker died with the task ({}), attempt {attempts}", ending(*exit))]
    WorkerDied {
        /// The signal that killed the worker, if one did and the pool could tell.
        signal: Option<i32>,
        /// How the worker ended, if it was started by the pool.
        exit: Option<Exit>,
        /// How often the task has been begun. More than once only if it is idempotent.
        attempts: u32,
    },
    /// The task has panicked. The worker goes on.
    #[error("the task panicked: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// The task has run for longer than it may. Its worker was killed, if it was started by the pool.
    #[error("the task has run for longer than {limit:?}")]
    TimedOut {
        /// How long it may run.
        limit: Duration,
    },
    /// The task was cancelled.
    #[error("the task was cancelled")]
    Cancelled,
    /// The pool was terminated, or dropped.
    #[error("the pool has ended before the task")]
    PoolEnded,
    /// The output is longer than the pool was built for. The worker goes on.
    #[error("an output of {} bytes is longer than the {} that this pool has room for: build it with a larger `max_output`", .0.bytes, .0.limit)]
    OutputTooLarge(TooLarge),
    /// What the worker has put into shared memory is no output.
    #[error("the worker has answered with what is no output: {0}")]
    Corrupt(String),
    /// The task was not taken: only where tasks are read from an iterator.
    #[error(transparent)]
    NotTaken(#[from] SubmitError),
}

/// Why a worker stopped working for a pool.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A channel of the pool could not be opened.
    #[error("the pool \"{pool}\" cannot be joined: {source}")]
    Open {
        /// The pool's name.
        pool: String,
        /// Why not.
        source: OpenError,
    },
    /// The pool does not want this worker: it has other tasks or outputs, or no seat.
    #[error("the pool \"{pool}\" does not take this worker: {reason}")]
    Refused {
        /// The pool's name.
        pool: String,
        /// What it says.
        reason: String,
    },
    /// The pool's process has died, or does not answer.
    #[error("the pool \"{pool}\" is gone: {reason}")]
    PoolGone {
        /// The pool's name.
        pool: String,
        /// How that was noticed.
        reason: String,
    },
}

/// How a worker ended, for people.
fn ending(exit: Option<Exit>) -> String {
    exit.map_or_else(|| "how is not known, since it was started by hand".to_owned(), |exit| exit.to_string())
}
