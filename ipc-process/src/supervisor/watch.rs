//! The thread of a supervisor: it waits for programs, their output, signals and its handle, in one `poll`.

use super::event::{Event, Status};
use super::output::OnLine;
use super::program::{Order, Supervised};
use super::signals::Signals;
use crate::poll::{Wake, poll, readable};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is done with events.
pub(super) type OnEvent = Box<dyn FnMut(Event) + Send>;

/// What the thread and its handle have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) wake: Wake,
    stop: AtomicBool,
    /// What programs, by their indices, are told to do, in the order in which that was said.
    orders: Mutex<Vec<(usize, Order)>>,
    status: Mutex<Vec<Status>>,
}

impl Shared {
    pub(super) fn new(wake: Wake, programs: &[Supervised]) -> Self {
        let status = programs.iter().map(Supervised::status).collect();
        Shared { wake, stop: AtomicBool::new(false), orders: Mutex::new(Vec::new()), status: Mutex::new(status) }
    }

    /// Asks the thread to end all programs.
    pub(super) fn stop(&self) {
        // Relaxed: nothing but the flag itself is passed on, and ringing makes a system call after it.
        self.stop.store(true, Ordering::Relaxed);
        self.wake.ring();
    }

    /// Asks the thread to have a program do something. `false` if there is none of this name.
    pub(super) fn order(&self, program: &str, order: Order) -> bool {
        let Some(at) = self.status().iter().position(|status| *status.program == *program) else { return false };
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push((at, order));
        self.wake.ring();
        true
    }

    /// How the programs are.
    pub(super) fn status(&self) -> MutexGuard<'_, Vec<Status>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's own.
pub(super) struct Watch {
    pub(super) programs: Vec<Supervised>,
    pub(super) shared: Arc<Shared>,
    pub(super) signals: Option<Signals>,
    pub(super) on_event: OnEvent,
    pub(super) on_line: OnLine,
    pub(super) grace: Duration,
    pub(super) is_stopping: bool,
}

/// What a descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The handle.
    Handle,
    Signals,
    /// A program, by its index, has ended.
    End(usize),
    /// A program, by its index, and which of its outputs.
    Output(usize, usize),
}

impl Watch {
    /// The body of the thread.
    pub(super) fn run(mut self) {
        let introductions: Vec<_> = self.programs.iter().filter_map(Supervised::introduce).collect();
        introductions.into_iter().for_each(&mut self.on_event);
        while !self.programs.iter().all(Supervised::is_over) {
            for source in self.wait() {
                match source {
                    Source::Handle => self.heed_handle(),
                    Source::Signals => self.heed_signals(),
                    Source::Output(program, output) => self.programs[program].read(output, &mut self.on_line),
                    // Looked at below, as all programs are.
                    Source::End(_) => {}
                }
            }
            let now = Instant::now();
            for index in 0..self.programs.len() {
                let events = self.programs[index].tend(now, self.grace, &mut self.on_line);
                self.publish(index);
                events.into_iter().for_each(&mut self.on_event);
            }
            if self.is_stopping {
                self.end_the_last(now);
            }
        }
    }

    /// Waits until something has happened or is due. Returns what is ready.
    fn wait(&self) -> Vec<Source> {
        let mut sources = vec![Source::Handle];
        let mut fds = vec![readable(self.shared.wake.as_fd())];
        if let Some(signals) = &self.signals {
            sources.push(Source::Signals);
            fds.push(readable(signals.as_fd()));
        }
        for (index, program) in self.programs.iter().enumerate() {
            let Some(run) = program.run() else { continue };
            sources.push(Source::End(index));
            fds.push(readable(run.worker.as_fd()));
            for (number, output) in run.outputs.iter().enumerate() {
                let Some(output) = output else { continue };
                sources.push(Source::Output(index, number));
                fds.push(readable(output.as_fd()));
            }
        }
        let due = self.programs.iter().filter_map(Supervised::due).min();
        poll(&mut fds, due.map(|due| due.saturating_duration_since(Instant::now())));
        let is_ready = |at: &usize| !fds[*at].revents().is_empty();
        (0..fds.len()).filter(is_ready).map(|at| sources[at]).collect()
    }

    fn heed_handle(&mut self) {
        self.shared.wake.clear();
        // Relaxed: as of the store in `Shared::stop`.
        if self.shared.stop.load(Ordering::Relaxed) {
            self.stop();
        }
        let orders = std::mem::take(&mut *self.shared.orders.lock().unwrap_or_else(PoisonError::into_inner));
        for (at, order) in orders {
            // A shutdown is the last order.
            if !self.is_stopping {
                self.programs[at].obey(order, Instant::now(), self.grace);
                self.publish(at);
            }
        }
    }

    /// The first signal begins the shutdown, and a further one cuts it short.
    fn heed_signals(&mut self) {
        let count = self.signals.as_ref().map_or(0, Signals::count);
        let is_impatient = count > usize::from(!self.is_stopping);
        if count > 0 {
            self.stop();
        }
        if is_impatient {
            self.programs.iter_mut().for_each(Supervised::kill);
        }
    }

    fn stop(&mut self) {
        self.is_stopping = true;
        for index in 0..self.programs.len() {
            self.programs[index].stay();
            self.publish(index);
        }
    }

    /// Asks the last program that runs to end. Those before it run on until it has.
    fn end_the_last(&mut self, now: Instant) {
        let last = self.programs.iter().rposition(|program| program.run().is_some());
        if let Some(index) = last {
            self.programs[index].ask_to_end(now, self.grace);
            self.publish(index);
        }
    }

    /// Lets the handle see how a program is.
    fn publish(&self, index: usize) {
        self.shared.status()[index] = self.programs[index].status();
    }
}
