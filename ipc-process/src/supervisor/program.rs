//! A program of a supervisor, and its runs.

use super::event::{Event, State, Status};
use super::health::{Checkup, Finding, Health};
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
    pub(super) health: Option<Health>,
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
        Program { name: name.into(), command, restart: Restart::on_failure(), health: None }
    }

    /// When it is to be started again.
    #[must_use]
    pub fn restart(self, restart: Restart) -> Self {
        Program { restart, ..self }
    }

    /// Which channels it takes part in when it is well. Unless given, it is well as long as its process lives.
    #[must_use]
    pub fn health(self, health: Health) -> Self {
        let health = Some(health.of_command(&self.command));
        Program { health, ..self }
    }
}

/// A program under supervision.
#[derive(Debug)]
pub(super) struct Supervised {
    name: Arc<str>,
    launcher: Launcher,
    history: History,
    health: Option<Arc<Health>>,
    phase: Phase,
    sequel: Sequel,
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

/// What follows when a run that is being ended has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sequel {
    /// Nothing.
    #[default]
    Stay,
    /// It is started again at once.
    Again,
    /// What follows a failure.
    AsFailed,
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
    checkup: Option<Box<Checkup>>,
}

/// Whether a run is being ended, in which case [`Sequel`] says what follows.
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
        let health = program.health.map(Arc::new);
        let run = Run::start(&program.name, &mut launcher, health.clone())?;
        Ok(Supervised {
            name: program.name,
            launcher,
            history: History::new(program.restart),
            health,
            phase: Phase::Running(run),
            sequel: Sequel::Stay,
            restarts: 0,
            last_exit: None,
        })
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
            Phase::Running(run) => match run.ending {
                Ending::No => run.checkup.as_ref().and_then(|checkup| checkup.next_look),
                Ending::Asked { kill_at } => Some(kill_at),
                Ending::Killed => None,
            },
            Phase::Waiting { until } => Some(*until),
            Phase::Ended | Phase::GivenUp => None,
        }
    }

    /// The event of its first start.
    pub(super) fn introduce(&self) -> Option<Event> {
        self.run().map(|run| Event::Started { program: Arc::clone(&self.name), pid: run.worker.id() })
    }

    pub(super) fn status(&self) -> Status {
        let state = match &self.phase {
            Phase::Running(Run { worker, ending, checkup, .. }) => match (ending, checkup) {
                (Ending::No, Some(checkup)) if !checkup.is_ready => State::Starting { pid: worker.id() },
                (Ending::No, _) => State::Running { pid: worker.id() },
                _ => State::Ending { pid: worker.id() },
            },
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

    /// Does what is due at `now`, and returns what has happened. A program that turns out to be unhealthy has `grace`
    /// to end.
    pub(super) fn tend(&mut self, now: Instant, grace: Duration, on_line: &mut OnLine) -> Vec<Event> {
        match &mut self.phase {
            Phase::Running(run) => match (run.worker.exit(), run.ending) {
                (Some(exit), _) => self.ended(now, exit, on_line),
                (None, Ending::No) => self.check_up(now, grace).into_iter().collect(),
                (None, Ending::Asked { kill_at }) if kill_at <= now => {
                    self.kill();
                    Vec::new()
                }
                (None, Ending::Asked { .. } | Ending::Killed) => Vec::new(),
            },
            Phase::Waiting { until } if *until <= now => self.start_again(now),
            Phase::Waiting { .. } | Phase::Ended | Phase::GivenUp => Vec::new(),
        }
    }

    /// Looks after the health of its run, if that is due. Returns what is new about it.
    fn check_up(&mut self, now: Instant, grace: Duration) -> Option<Event> {
        let run = self.run_mut()?;
        let pid = run.worker.id();
        let finding = run.checkup.as_mut()?.look(pid, now)?;
        let program = Arc::clone(&self.name);
        Some(match finding {
            Finding::Ready => Event::Ready { program, pid },
            Finding::Unhealthy { channel, absent_for, was_ready } => {
                self.sequel = Sequel::AsFailed;
                self.ask_to_end(now, grace);
                Event::Unhealthy { program, pid, channel, absent_for, was_ready }
            }
        })
    }

    /// Asks it to end; it will be killed if it has not after `grace`. If it was asked before, nothing changes.
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
                self.sequel = Sequel::Again;
                self.ask_to_end(now, grace);
            }
            Order::Start | Order::Restart => match &self.phase {
                Phase::Running(run) if run.ending == Ending::No => {}
                Phase::Running(_) => self.sequel = Sequel::Again,
                Phase::Waiting { .. } | Phase::Ended | Phase::GivenUp => {
                    // That somebody asks for it counts for more than how often it has failed.
                    self.history.forget();
                    self.phase = Phase::Waiting { until: now };
                }
            },
        }
    }

    /// Does not start it again, if that was to be done. From now on nothing but its end is of interest.
    pub(super) fn stay(&mut self) {
        self.sequel = Sequel::Stay;
        match &mut self.phase {
            Phase::Running(Run { checkup: Some(checkup), .. }) => checkup.next_look = None,
            Phase::Waiting { .. } => self.phase = Phase::Ended,
            Phase::Running(_) | Phase::Ended | Phase::GivenUp => {}
        }
    }

    /// Kills it.
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
        let decision = match (run.ending, std::mem::take(&mut self.sequel)) {
            (Ending::No, _) => self.history.decide(now, ran_for, exit.is_success()),
            (_, Sequel::Stay) => Decision::Leave,
            (_, Sequel::Again) => Decision::RestartIn(Duration::ZERO),
            (_, Sequel::AsFailed) => self.history.decide(now, ran_for, false),
        };
        let pid = run.worker.id();
        self.decided(now, decision, |program, restart_in| Event::Exited { program, pid, exit, restart_in })
    }

    /// Starts it again, or tries.
    fn start_again(&mut self, now: Instant) -> Vec<Event> {
        match Run::start(&self.name, &mut self.launcher, self.health.clone()) {
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
    fn start(name: &Arc<str>, launcher: &mut Launcher, health: Option<Arc<Health>>) -> Result<Self, SpawnError> {
        let worker = Worker::from(launcher.launch()?);
        let output = |stream, pipe: Option<OwnedFd>| {
            // A pipe can be made not to block; if not, it is closed, and the program's output is lost.
            pipe.and_then(|pipe| Output::new(name, worker.id(), stream, pipe).ok())
        };
        let stdout = output(Stream::Stdout, worker.take_stdout().map(OwnedFd::from));
        let stderr = output(Stream::Stderr, worker.take_stderr().map(OwnedFd::from));
        let started = Instant::now();
        let checkup = health.map(|health| Box::new(Checkup::new(health, started)));
        Ok(Run { worker, started, outputs: [stdout, stderr], ending: Ending::No, checkup })
    }
}

/// The time `delay` after `now`. One that the clock cannot count is cut to a year.
pub(super) fn later(now: Instant, delay: Duration) -> Instant {
    now.checked_add(delay).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 60 * 60))
}
