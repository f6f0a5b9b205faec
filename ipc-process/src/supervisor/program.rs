//! A program of a supervisor, and its runs.

use super::event::{Event, State, Status};
use super::output::{OnLine, Output, Stream};
use crate::error::SpawnError;
use crate::exit::Exit;
use crate::keeper::Launcher;
use crate::restart::{Decision, History, Restart};
use crate::worker::Worker;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A program that a [`Supervisor`](crate::Supervisor) is to run.
#[derive(Debug)]
pub struct Program {
    pub(super) name: Arc<str>,
    command: Command,
    restart: Restart,
}

impl Program {
    /// A program with a name, by which it is called in logs and events, and the command that starts it. Unless
    /// [`restart`](Self::restart) says otherwise, it is started again when it fails.
    ///
    /// The supervisor decides about the command's standard streams (output goes line by line to
    /// [`on_line`](crate::SupervisorBuilder::on_line), input is empty) and gives it a process group of its own, so
    /// that Ctrl-C in a terminal reaches the supervisor alone.
    pub fn new(name: impl Into<Arc<str>>, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        Program { name: name.into(), command, restart: Restart::on_failure() }
    }

    /// When it is to be started again.
    #[must_use]
    pub fn restart(self, restart: Restart) -> Self {
        Program { restart, ..self }
    }
}

/// A program under supervision.
#[derive(Debug)]
pub(super) struct Supervised {
    name: Arc<str>,
    launcher: Launcher,
    history: History,
    phase: Phase,
    /// Whether it is to be started at once when the run that is being ended has ended.
    is_wanted_again: bool,
    restarts: u64,
    last_exit: Option<Exit>,
}

/// What a program of a supervisor that runs is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To run, if it does not.
    Start,
    /// To end, and stay so.
    End,
    /// To end, if it runs, and to be started again.
    Restart,
}

/// What a program under supervision is doing.
#[derive(Debug)]
enum Phase {
    Running(Run),
    Waiting { until: Instant },
    Ended,
    GivenUp,
}

/// A run of a program.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) worker: Worker,
    started: Instant,
    /// Its pipes, as long as they are open.
    pub(super) outputs: [Option<Output>; 2],
    ending: Ending,
}

/// Whether a run is being ended, in which case the program is not started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// It was asked to end.
    Asked {
        kill_at: Instant,
    },
    Killed,
}

impl Supervised {
    /// Starts the program.
    pub(super) fn start(program: Program) -> Result<Self, SpawnError> {
        let mut launcher = Launcher::new(program.command)?;
        let run = Run::start(&program.name, &mut launcher)?;
        let history = History::new(program.restart);
        let (phase, is_wanted_again) = (Phase::Running(run), false);
        Ok(Supervised { name: program.name, launcher, history, phase, is_wanted_again, restarts: 0, last_exit: None })
    }

    /// Its run, if it runs.
    pub(super) fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Running(run) => Some(run),
            _ => None,
        }
    }

    fn run_mut(&mut self) -> Option<&mut Run> {
        match &mut self.phase {
            Phase::Running(run) => Some(run),
            _ => None,
        }
    }

    /// Whether nothing will happen to it any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::GivenUp)
    }

    /// When it has to be looked after, if nothing happens before.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Running(Run { ending: Ending::Asked { kill_at: due }, .. }) | Phase::Waiting { until: due } => {
                Some(*due)
            }
            Phase::Running(_) | Phase::Ended | Phase::GivenUp => None,
        }
    }

    /// The event of its first start.
    pub(super) fn introduce(&self) -> Option<Event> {
        self.run().map(|run| Event::Started { program: Arc::clone(&self.name), pid: run.worker.id() })
    }

    pub(super) fn status(&self) -> Status {
        let state = match &self.phase {
            Phase::Running(Run { worker, ending: Ending::No, .. }) => State::Running { pid: worker.id() },
            Phase::Running(run) => State::Ending { pid: run.worker.id() },
            Phase::Waiting { until } => State::Waiting { until: *until },
            Phase::Ended => State::Ended,
            Phase::GivenUp => State::GivenUp,
        };
        Status { program: Arc::clone(&self.name), state, restarts: self.restarts, last_exit: self.last_exit }
    }

    /// Hands on what one of its outputs has.
    pub(super) fn read(&mut self, output: usize, on_line: &mut OnLine) {
        let open = self.run_mut().and_then(|run| run.outputs.get_mut(output));
        if let Some(open) = open {
            if open.as_mut().is_some_and(|output| !output.read(on_line)) {
                *open = None;
            }
        }
    }

    /// Does what is due at `now`. Returns what has happened.
    pub(super) fn tend(&mut self, now: Instant, on_line: &mut OnLine) -> Vec<Event> {
        match &mut self.phase {
            Phase::Running(run) => match run.worker.exit() {
                Some(exit) => self.ended(now, exit, on_line),
                None => {
                    if matches!(run.ending, Ending::Asked { kill_at } if kill_at <= now) {
                        self.kill();
                    }
                    Vec::new()
                }
            },
            Phase::Waiting { until } if *until <= now => self.start_again(now),
            Phase::Waiting { .. } | Phase::Ended | Phase::GivenUp => Vec::new(),
        }
    }

    /// Asks it to end, for good; it will be killed if it has not after `grace`. If it was asked before, nothing
    /// changes.
    pub(super) fn ask_to_end(&mut self, now: Instant, grace: Duration) {
        if let Some(run) = self.run_mut().filter(|run| run.ending == Ending::No) {
            // Where it is not permitted, killing is not either, and `kill` deals with that.
            let _ = run.worker.ask_to_end();
            run.ending = Ending::Asked { kill_at: later(now, grace) };
        }
    }

    /// Carries out what the supervisor's handle asks for.
    pub(super) fn obey(&mut self, order: Order, now: Instant, grace: Duration) {
        match order {
            Order::End => {
                self.stay();
                self.ask_to_end(now, grace);
            }
            Order::Restart if self.run().is_some() => {
                self.is_wanted_again = true;
                self.ask_to_end(now, grace);
            }
            Order::Start | Order::Restart => match &self.phase {
                Phase::Running(run) => self.is_wanted_again = run.ending != Ending::No,
                Phase::Waiting { .. } | Phase::Ended | Phase::GivenUp => {
                    // That somebody asks for it counts for more than how often it has failed.
                    self.history.forget();
                    self.phase = Phase::Waiting { until: now };
                }
            },
        }
    }

    /// Does not start it again, if that was to be done.
    pub(super) fn stay(&mut self) {
        self.is_wanted_again = false;
        if let Phase::Waiting { .. } = self.phase {
            self.phase = Phase::Ended;
        }
    }

    /// Kills it, for good.
    pub(super) fn kill(&mut self) {
        let Phase::Running(run) = &mut self.phase else { return };
        run.ending = Ending::Killed;
        if run.worker.kill().is_err() {
            // It is another user's by now, and nobody here can end it. Its handle's last attempt fails like this one.
            self.phase = Phase::Ended;
        }
    }

    /// Its process has ended.
    fn ended(&mut self, now: Instant, exit: Exit, on_line: &mut OnLine) -> Vec<Event> {
        let Phase::Running(run) = std::mem::replace(&mut self.phase, Phase::Ended) else { return Vec::new() };
        run.outputs.into_iter().flatten().for_each(|output| output.drain(on_line));
        self.last_exit = Some(exit);
        let ran_for = now.saturating_duration_since(run.started);
        let decision = match run.ending {
            Ending::No => self.history.decide(now, ran_for, exit.is_success()),
            _ if std::mem::take(&mut self.is_wanted_again) => Decision::RestartIn(Duration::ZERO),
            Ending::Asked { .. } | Ending::Killed => Decision::Leave,
        };
        let pid = run.worker.id();
        self.decided(now, decision, |program, restart_in| Event::Exited { program, pid, exit, restart_in })
    }

    /// Starts it again, or tries.
    fn start_again(&mut self, now: Instant) -> Vec<Event> {
        match Run::start(&self.name, &mut self.launcher) {
            Ok(run) => {
                let pid = run.worker.id();
                self.phase = Phase::Running(run);
                self.restarts += 1;
                vec![Event::Restarted { program: Arc::clone(&self.name), pid, restarts: self.restarts }]
            }
            Err(error) => {
                let error = Arc::new(error);
                let decision = self.history.decide(now, Duration::ZERO, false);
                self.decided(now, decision, |program, restart_in| Event::NotRestarted { program, error, restart_in })
            }
        }
    }

    /// Carries out a decision about it, which is not running. Returns the event of its end, made by `event`, and what
    /// follows.
    fn decided(
        &mut self,
        now: Instant,
        decision: Decision,
        event: impl FnOnce(Arc<str>, Option<Duration>) -> Event,
    ) -> Vec<Event> {
        let program = || Arc::clone(&self.name);
        match decision {
            Decision::Leave => {
                self.phase = Phase::Ended;
                vec![event(program(), None)]
            }
            Decision::RestartIn(delay) => {
                self.phase = Phase::Waiting { until: later(now, delay) };
                vec![event(program(), Some(delay))]
            }
            Decision::GiveUp { restarts, window } => {
                self.phase = Phase::GivenUp;
                vec![event(program(), None), Event::GaveUp { program: program(), restarts, window }]
            }
        }
    }
}

impl Run {
    fn start(name: &Arc<str>, launcher: &mut Launcher) -> Result<Self, SpawnError> {
        let worker = Worker::from(launcher.launch()?);
        let output = |stream, pipe: Option<OwnedFd>| {
            // A pipe can be made not to block; if not, it is closed, and the program's output is lost.
            pipe.and_then(|pipe| Output::new(name, worker.id(), stream, pipe).ok())
        };
        let stdout = output(Stream::Stdout, worker.take_stdout().map(OwnedFd::from));
        let stderr = output(Stream::Stderr, worker.take_stderr().map(OwnedFd::from));
        Ok(Run { worker, started: Instant::now(), outputs: [stdout, stderr], ending: Ending::No })
    }
}

/// The time `delay` after `now`. One that the clock cannot count is cut to a year.
fn later(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 60 * 60))
}
