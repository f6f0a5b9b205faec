//! Several programs that are kept running.

mod event;
mod health;
mod output;
mod program;
mod signals;
mod watch;

pub use event::{Event, State, Status};
pub use health::Health;
pub use output::{Line, Stream};
pub use program::Program;

use crate::error::SpawnError;
use crate::poll::Wake;
use ipc_core::error::OpenError;
use output::{OnLine, print};
use program::{Order, Supervised};
use signals::Signals;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use thiserror::Error;
use watch::{OnEvent, Shared, Watch};

/// How long a program that is asked to end has for it, unless the builder says otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Several programs that are kept running: started together, started again when they end, listened to, and ended
/// together.
///
/// ```
/// use ipc_process::{Program, Restart, Supervisor};
/// use std::process::Command;
///
/// let mut feed = Command::new("echo");
/// feed.arg("a feed would say something here");
///
/// let supervisor = Supervisor::builder()
///     .program(Program::new("feed", feed).restart(Restart::on_failure()))
///     .program(Program::new("view", Command::new("true")).restart(Restart::never()))
///     .stop_on_signals()
///     .start()?;
/// for status in supervisor.wait() {
///     println!("{}: {:?}", status.program, status.last_exit);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// - *Start.* All are started at once. Programs that talk over channels need no order.
/// - *Health.* A program is well as long as its process lives and, if it has a [`Health`], takes part in its channels.
///   One that does not is ended, which counts as a failure.
/// - *End.* When a program's process ends, its [`Restart`](crate::Restart) decides. When all have ended for good, so
///   has the supervisor, and [`wait`](Self::wait) returns.
/// - *Logs.* What programs write goes line by line to [`on_line`](SupervisorBuilder::on_line), by default to standard
///   error with the program's name in front. The last line of a program that crashed is not lost, even if it has no
///   end.
/// - *One of them.* [`restart_program`](Self::restart_program), [`end_program`](Self::end_program) and
///   [`start_program`](Self::start_program) act on one program while the others go on.
/// - *Shutdown.* [`stop`](Self::stop), or a signal after [`stop_on_signals`](SupervisorBuilder::stop_on_signals),
///   ends the programs one after the other, the last one first: SIGTERM, and SIGKILL if it has not ended when the
///   grace is over.
/// - *Death.* Programs are [`Worker`](crate::Worker)s: if this process is killed, they go with it.
///
/// All of this is done by one thread, which sleeps when nothing happens, but for the looks that a [`Health`] asks for.
/// Callbacks run on it, so they should be quick. If one panics, the programs are ended, and the panic goes on in
/// `wait`.
///
/// Dropping a supervisor is `stop` and `wait`.
#[derive(Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
    /// The thread, until it is waited for.
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// A supervisor without programs, yet.
    pub fn builder() -> SupervisorBuilder {
        SupervisorBuilder {
            programs: Vec::new(),
            grace: DEFAULT_GRACE,
            stop_on_signals: false,
            on_event: Box::new(|_| {}),
            on_line: Box::new(print),
        }
    }

    /// How the programs are at the moment, in the order in which they were given.
    pub fn status(&self) -> Vec<Status> {
        self.shared.status().clone()
    }

    /// Begins to end a program and to start it again, whatever its [`Restart`](crate::Restart) says, and does not wait; one
    /// that does not run is just started. [Events](SupervisorBuilder::on_event) and [`status`](Self::status) show how it
    /// goes. `false` if there is no program of this name.
    ///
    /// As a program that is started by hand begins anew, restarts that were before do not count any more for its policy.
    ///
    /// ```
    /// # use ipc_process::{Program, Supervisor};
    /// # use std::process::Command;
    /// # let mut feed = Command::new("sleep");
    /// # feed.arg("1000");
    /// let supervisor = Supervisor::builder().program(Program::new("feed", feed)).start()?;
    /// assert!(supervisor.restart_program("feed"));
    /// assert!(supervisor.end_program("feed"));
    /// supervisor.wait();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restart_program(&self, name: &str) -> bool {
        self.shared.order(name, Order::Restart)
    }

    /// Has a program started that does not run: one that has ended for good, was given up, or waits to be started again. Does
    /// not wait. `false` if there is no program of this name. When all programs have ended for good, the supervisor has too,
    /// and nothing is started any more.
    pub fn start_program(&self, name: &str) -> bool {
        self.shared.order(name, Order::Start)
    }

    /// Begins to end a program for good, with SIGTERM, and SIGKILL when the grace is over, and does not wait. The others go on.
    /// `false` if there is no program of this name.
    pub fn end_program(&self, name: &str) -> bool {
        self.shared.order(name, Order::End)
    }

    /// Begins to end the programs, and does not wait.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Waits until all programs have ended for good, and says how they are then.
    ///
    /// # Panics
    ///
    /// If a callback has panicked, with its message.
    pub fn wait(mut self) -> Vec<Status> {
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
        self.status()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop();
            // A panic of a callback is for those who wait.
            let _ = thread.join();
        }
    }
}

/// What a [`Supervisor`] is to do.
pub struct SupervisorBuilder {
    programs: Vec<Program>,
    grace: Duration,
    stop_on_signals: bool,
    on_event: OnEvent,
    on_line: OnLine,
}

impl SupervisorBuilder {
    /// Adds a program.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.programs.push(program);
        self
    }

    /// How long a program that is asked to end has for it before it is killed; 5 seconds unless given.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        SupervisorBuilder { grace, ..self }
    }

    /// Ends the programs when this one gets SIGINT (Ctrl-C) or SIGTERM, instead of being killed by it. One more such
    /// signal during the shutdown kills them at once.
    ///
    /// The handlers that the program had before go on being called. As with other libraries that handle signals, the
    /// kernel's default is not restored: after the supervisor's end, a program without handlers of its own ignores
    /// these two.
    #[must_use]
    pub fn stop_on_signals(self) -> Self {
        SupervisorBuilder { stop_on_signals: true, ..self }
    }

    /// Calls `on_event` with everything that happens to the programs. By then [`Supervisor::status`] shows it.
    ///
    /// Events can be sent to where they are iterated over:
    ///
    /// ```
    /// use ipc_process::{Event, Program, Restart, Supervisor};
    /// use std::process::Command;
    /// use std::sync::mpsc::channel;
    ///
    /// let (seen, events) = channel();
    /// let supervisor = Supervisor::builder()
    ///     .program(Program::new("ends", Command::new("false")).restart(Restart::never()))
    ///     .on_event(move |event| drop(seen.send(event)))
    ///     .start()?;
    /// for event in events {
    ///     println!("{event}"); // "ends: started as pid 4711", "ends: pid 4711: exit code 1"
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn on_event(self, on_event: impl FnMut(Event) + Send + 'static) -> Self {
        SupervisorBuilder { on_event: Box::new(on_event), ..self }
    }

    /// Calls `on_line` with every line that the programs write, instead of printing it.
    #[must_use]
    pub fn on_line(self, on_line: impl FnMut(Line<'_>) + Send + 'static) -> Self {
        SupervisorBuilder { on_line: Box::new(on_line), ..self }
    }

    /// Starts all programs.
    ///
    /// # Errors
    ///
    /// If one cannot be started, those that have been are ended again.
    pub fn start(self) -> Result<Supervisor, SuperviseError> {
        let mut names = HashSet::new();
        if let Some(twice) = self.programs.iter().find(|program| !names.insert(Arc::clone(&program.name))) {
            return Err(SuperviseError::Twice(Arc::clone(&twice.name)));
        }
        for Program { name, health, .. } in &self.programs {
            let checked = health.as_ref().map_or(Ok(()), Health::check);
            checked.map_err(|source| SuperviseError::Channel { name: Arc::clone(name), source })?;
        }
        // Before any program runs, so that a signal in between is not lost on them.
        let signals = self.stop_on_signals.then(Signals::listen).transpose().map_err(SuperviseError::System)?;
        let start = |program: Program| {
            let name = Arc::clone(&program.name);
            Supervised::start(program).map_err(|source| SuperviseError::Program { name, source })
        };
        let programs = self.programs.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(Shared::new(Wake::new().map_err(SuperviseError::System)?, &programs));
        let watch = Watch {
            programs,
            shared: Arc::clone(&shared),
            signals,
            on_event: self.on_event,
            on_line: self.on_line,
            grace: self.grace,
            is_stopping: false,
        };
        let named = thread::Builder::new().name("slipring-supervisor".to_owned());
        let thread = named.spawn(|| watch.run()).map_err(SuperviseError::System)?;
        Ok(Supervisor { shared, thread: Some(thread) })
    }
}

impl fmt::Debug for SupervisorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorBuilder").field("programs", &self.programs).finish_non_exhaustive()
    }
}

/// Why a [`Supervisor`] could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// A program could not be started.
    #[error("{name}: {source}")]
    Program {
        /// Its name.
        name: Arc<str>,
        /// Why not.
        source: SpawnError,
    },
    /// A program's [`Health`] has a name that no channel or domain can have.
    #[error("{name}: {source}")]
    Channel {
        /// The program's name.
        name: Arc<str>,
        /// What is wrong with it.
        source: OpenError,
    },
    /// Two programs have the same name, by which logs and events could not tell them apart.
    #[error("there are two programs of the name \"{0}\"; give each its own")]
    Twice(Arc<str>),
    /// The system has no thread or descriptor to spare.
    #[error("the supervisor could not be started: {0}")]
    System(io::Error),
}
