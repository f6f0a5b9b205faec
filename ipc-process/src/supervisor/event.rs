//! What happens to supervised programs, and how they are.

use crate::error::SpawnError;
use crate::exit::Exit;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something that has happened to a supervised program.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It has been started for the first time.
    Started {
        /// Its name.
        program: Arc<str>,
        /// Its process id.
        pid: u32,
    },
    /// It takes part in the channels that its [`Health`](crate::Health) names, for the first time since it was started.
    Ready {
        /// Its name.
        program: Arc<str>,
        /// Its process id.
        pid: u32,
    },
    /// It runs, and has not taken part in a channel that its [`Health`](crate::Health) names for longer than it may. It
    /// is asked to end; [`Exited`](Event::Exited) follows.
    Unhealthy {
        /// Its name.
        program: Arc<str>,
        /// Its process id.
        pid: u32,
        /// The channel, or the first of several.
        channel: Arc<str>,
        /// For how long it has not taken part in all channels.
        absent_for: Duration,
        /// Whether it had been ready before. If not, `absent_for` is the time since its start.
        was_ready: bool,
    },
    /// It has ended. All that it had written has been handed on before.
    Exited {
        /// Its name.
        program: Arc<str>,
        /// The process id that it had.
        pid: u32,
        /// How it ended.
        exit: Exit,
        /// When it will be started again, if it will.
        restart_in: Option<Duration>,
    },
    /// It has been started again.
    Restarted {
        /// Its name.
        program: Arc<str>,
        /// Its new process id.
        pid: u32,
        /// How often that has been done altogether.
        restarts: u64,
    },
    /// It could not be started again. This counts as an exit.
    NotRestarted {
        /// Its name.
        program: Arc<str>,
        /// Why not.
        error: Arc<SpawnError>,
        /// When that will be tried again, if it will.
        restart_in: Option<Duration>,
    },
    /// It has ended more often than its [`Restart`](crate::Restart) permits, and stays so.
    GaveUp {
        /// Its name.
        program: Arc<str>,
        /// How often it was started again within `window`.
        restarts: u32,
        /// The time in which that was too often.
        window: Duration,
    },
}

impl Event {
    /// The name of the program that it has happened to.
    pub fn program(&self) -> &str {
        match self {
            Event::Started { program, .. }
            | Event::Ready { program, .. }
            | Event::Unhealthy { program, .. }
            | Event::Exited { program, .. }
            | Event::Restarted { program, .. }
            | Event::NotRestarted { program, .. }
            | Event::GaveUp { program, .. } => program,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let restart = |f: &mut fmt::Formatter<'_>, restart_in: &Option<Duration>| match restart_in {
            Some(delay) => write!(f, "; it starts again in {delay:?}"),
            None => Ok(()),
        };
        match self {
            Event::Started { program, pid } => write!(f, "{program}: started as pid {pid}"),
            Event::Ready { program, pid } => write!(f, "{program}: pid {pid} is ready"),
            Event::Unhealthy { program, pid, channel, absent_for, was_ready } => {
                let lack =
                    if *was_ready { "takes no part in channel" } else { "is not ready: it takes no part in channel" };
                write!(f, "{program}: pid {pid} {lack} \"{channel}\" after {absent_for:?}; it is ended")
            }
            Event::Exited { program, pid, exit, restart_in } => {
                write!(f, "{program}: pid {pid}: {exit}")?;
                restart(f, restart_in)
            }
            Event::Restarted { program, pid, .. } => write!(f, "{program}: started again as pid {pid}"),
            Event::NotRestarted { program, error, restart_in } => {
                write!(f, "{program}: {error}")?;
                restart(f, restart_in)
            }
            Event::GaveUp { program, restarts, window } => {
                write!(f, "{program}: given up, after {restarts} restarts within {window:?}")
            }
        }
    }
}

/// How a supervised program is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Its name.
    pub program: Arc<str>,
    /// What it is doing.
    pub state: State,
    /// How often it has been started again.
    pub restarts: u64,
    /// How it ended when it ended last, if it has.
    pub last_exit: Option<Exit>,
}

/// What a supervised program is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It runs, and is not [ready](crate::Health) yet.
    Starting {
        /// Its process id.
        pid: u32,
    },
    /// It runs, and is ready if it has a [`Health`](crate::Health).
    Running {
        /// Its process id.
        pid: u32,
    },
    /// It has been asked to end.
    Ending {
        /// Its process id.
        pid: u32,
    },
    /// It has ended, and will be started again.
    Waiting {
        /// When.
        until: Instant,
    },
    /// It has ended for good.
    Ended,
    /// It has ended too often.
    GivenUp,
}
