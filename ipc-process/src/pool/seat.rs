//! A place for one worker, as the pool sees it: what it has been given and has not answered.
//!
//! # How much a worker is given ahead
//!
//! A worker that is given its next task when it has answered the last one waits for the pool in between; one that is given
//! very many keeps them from others. So it has a *window* of tasks ahead, which is doubled when a windowful has been
//! answered in much less than [`ROUND`], and halved when it has taken much longer. Tasks of a microsecond travel by the
//! hundred, and of those that take longer than [`ROUND`] one is under way while the next one waits.

use super::numbered::{self, Numbered};
use super::options::TaskOptions;
use super::report::Owner;
use ipc_core::error::TrySendError;
use ipc_core::message::boxed;
use ipc_core::{IpcMessage, Sender};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a windowful of tasks should take.
const ROUND: Duration = Duration::from_micros(500);

/// The fewest tasks that a worker has at a time, if there are so many.
const MIN_WINDOW: usize = 2;

/// A task on its way, whoever has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) owner: Owner,
    pub(super) options: TaskOptions,
    /// How often it was begun by a worker that died.
    pub(super) attempts: u32,
}

/// A task that no worker has.
#[derive(Debug)]
pub(super) struct Queued<T: ?Sized> {
    pub(super) task: Box<T>,
    pub(super) ticket: Ticket,
}

/// A task that a worker has.
#[derive(Debug)]
pub(super) struct Flight<T: ?Sized> {
    pub(super) number: u64,
    pub(super) ticket: Ticket,
    /// A copy, if it may have to be begun again.
    kept: Option<Box<T>>,
    /// Its owner has been told what became of it, and what comes now is dropped.
    pub(super) is_reported: bool,
}

/// A place for one worker.
#[derive(Debug)]
pub(super) struct Seat<T: ?Sized> {
    pub(super) id: u32,
    pub(super) pid: u32,
    /// `None` if it is to get no more.
    tasks: Option<Sender<Numbered<T>>>,
    /// In the order in which they were given.
    flights: VecDeque<Flight<T>>,
    next_number: u64,
    /// How many more tasks it may get.
    quota: u64,
    window: usize,
    widest: usize,
    /// Answers until the window is looked at again, and since when they are counted.
    round: (usize, Instant),
    /// Since when it has been at the first of its tasks, if it has any.
    pub(super) busy_since: Instant,
    /// Tasks that it has answered.
    pub(super) answered: u64,
}

impl<T: IpcMessage + ?Sized> Seat<T> {
    pub(super) fn new(id: u32, pid: u32, tasks: Sender<Numbered<T>>, quota: Option<u64>, now: Instant) -> Self {
        let widest = if T::TYPE.tail().is_some() { super::notice::MAX_WINDOW } else { tasks.capacity() };
        Seat {
            id,
            pid,
            tasks: Some(tasks),
            flights: VecDeque::new(),
            next_number: 0,
            quota: quota.unwrap_or(u64::MAX),
            window: MIN_WINDOW,
            widest,
            round: (MIN_WINDOW, now),
            busy_since: now,
            answered: 0,
        }
    }

    /// How many more tasks it can be given now.
    pub(super) fn room(&self) -> usize {
        if self.tasks.is_none() {
            return 0;
        }
        let room = self.window.saturating_sub(self.flights.len());
        room.min(usize::try_from(self.quota).unwrap_or(usize::MAX))
    }

    /// How many tasks it has.
    pub(super) fn load(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn flights(&self) -> impl Iterator<Item = &Flight<T>> {
        self.flights.iter()
    }

    pub(super) fn first(&self) -> Option<&Flight<T>> {
        self.flights.front()
    }

    /// The task of an owner that has had no report.
    pub(super) fn flight_of(&mut self, owner: Owner) -> Option<&mut Flight<T>> {
        self.flights.iter_mut().find(|flight| !flight.is_reported && flight.ticket.owner == owner)
    }

    pub(super) fn flight(&mut self, number: u64) -> Option<&mut Flight<T>> {
        self.flights.iter_mut().find(|flight| flight.number == number)
    }

    /// Gives it a task. `false` if there is no room in its channel.
    #[inline]
    pub(super) fn give(&mut self, task: &T, ticket: Ticket) -> bool {
        let Some(tasks) = &mut self.tasks else { return false };
        let is_full = match tasks.try_loan_len(T::tail_len(task)) {
            Ok(place) => {
                numbered::send(place, self.next_number, task);
                None
            }
            Err(error) => Some(matches!(error, TrySendError::Full(()))),
        };
        match is_full {
            None => {}
            Some(true) => {
                self.window = self.flights.len().max(MIN_WINDOW);
                return false;
            }
            // It has died or is damaged, of which the pool hears by the other channel.
            Some(false) => {
                self.retire();
                return false;
            }
        }
        if self.flights.is_empty() {
            self.busy_since = Instant::now();
        }
        let kept = ticket.options.is_idempotent.then(|| boxed(task));
        self.flights.push_back(Flight { number: self.next_number, ticket, kept, is_reported: false });
        self.next_number += 1;
        self.quota -= 1;
        if self.quota == 0 {
            self.retire();
        }
        true
    }

    /// Lets it end when it has done what it has.
    pub(super) fn retire(&mut self) {
        self.tasks = None;
    }

    /// Notes that it has answered a task, and returns it.
    #[inline]
    pub(super) fn answer(&mut self, number: u64, now: Instant) -> Option<Flight<T>> {
        let flight = match self.flights.front() {
            Some(first) if first.number == number => self.flights.pop_front(),
            _ => {
                let at = self.flights.iter().position(|flight| flight.number == number)?;
                self.flights.remove(at)
            }
        };
        self.answered += 1;
        self.busy_since = now;
        self.round.0 -= 1;
        if self.round.0 == 0 {
            self.turn_round(now);
        }
        flight
    }

    /// Adapts the window to how long the last one took.
    fn turn_round(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.round.1);
        if took < ROUND / 2 {
            self.window = (2 * self.window).min(self.widest);
        } else if took > ROUND * 2 {
            self.window = (self.window / 2).max(MIN_WINDOW);
        }
        self.round = (self.window, now);
    }

    /// Notes that these tasks have been taken out of its channel again, and returns them with their tickets. It is at
    /// something that takes long, so it gets few from now on.
    pub(super) fn take_back(&mut self, taken: Vec<Box<Numbered<T>>>) -> Vec<(Flight<T>, Box<T>)> {
        self.window = MIN_WINDOW;
        self.round = (MIN_WINDOW, Instant::now());
        let find = |task: Box<Numbered<T>>| {
            let at = self.flights.iter().position(|flight| flight.number == task.number)?;
            self.quota = self.quota.saturating_add(1);
            Some((self.flights.remove(at)?, boxed(&task.message)))
        };
        taken.into_iter().filter_map(find).collect()
    }

    /// What it has and will not answer.
    pub(super) fn leave(self) -> impl Iterator<Item = Flight<T>> {
        self.flights.into_iter()
    }
}

impl<T: ?Sized> Flight<T> {
    /// The task, to be begun again, if that is allowed.
    pub(super) fn retry(self) -> Result<Queued<T>, Ticket> {
        let attempts = self.ticket.attempts + 1;
        match self.kept {
            Some(task) if self.ticket.options.may_retry(attempts) => {
                Ok(Queued { task, ticket: Ticket { attempts, ..self.ticket } })
            }
            _ => Err(self.ticket),
        }
    }
}
