//! Worker processes and their supervision.
//!
//! | you want | look at |
//! |---|---|
//! | a process that dies with the one that started it, whatever kills that | [`Worker`] |
//! | to know how it ended | [`Exit`] |
//! | several programs that are started again when they end, with their logs in one place | [`Supervisor`], [`Program`] |
//! | to say when they are started again | [`Restart`] |
//! | to have a program restarted that has lost its channels | [`Health`] |
//! | to have tasks done by several processes of one kind | [`Pool`], [`Job`], [`TaskOptions`], [`main!`] |
//! | to know why a task has no output | [`TaskError`] |
//!
//! A program depends on `slipring`, which has all of this as `slipring::process`. Nothing here handles SIGCHLD or
//! needs it to be handled: processes are waited for, and signalled, by descriptors of theirs (pidfds), which no other
//! process inherits. It takes Linux 5.4 or later.

mod child;
mod error;
mod exit;
mod keeper;
mod poll;
mod pool;
mod restart;
mod supervisor;
mod worker;

pub use error::SpawnError;
pub use exit::Exit;
pub use pool::{
    Boxed, Job, Outputs, Pool, PoolBuilder, PoolError, PoolWorker, ServeError, SubmitError, TaskContext, TaskError,
    TaskOptions,
};
pub use restart::Restart;
pub use supervisor::{
    Event, Health, Line, Program, State, Status, Stream, SuperviseError, Supervisor, SupervisorBuilder,
};
pub use worker::Worker;
