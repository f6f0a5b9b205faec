//! A place for one worker, as the pool sees it: what it has been given and has not answered.
//!
//! # How much a worker is given ahead
//!
//! A worker that is given its next task when it has answered the last one waits for the pool in between; one that is given
//! very many keeps them from others. So it has a *window* of tasks ahead, which is doubled when a windowful has been
//! answered in much less than [`ROUND`], and halved when it has taken much longer. Tasks of a microsecond travel by the
//! hundred, and of those that take longer than [`ROUND`] one is under way while the next one waits.

use super::items::Items;
use super::notice::{MAX_WINDOW, Parcel};
use super::options::TaskOptions;
use super::report::Owner;
use ipc_core::error::TrySendError;
use ipc_core::{IpcMessage, Sender};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a windowful of tasks should take.
const ROUND: Duration = Duration::from_micros(500);

/// The fewest tasks that a worker has at a time, if there are so many.
const MIN_WINDOW: usize = 2;

/// Words of the tasks that travel together, at most, unless a single one has more. Several parcels fit into a seat's channel.
const PARCEL_WORDS: usize = 4096;

/// A task on its way, whoever has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) owner: Owner,
    pub(super) options: TaskOptions,
    /// How often it was begun by a worker that died.
    pub(super) attempts: u32,
}

/// Tasks that are in one place. If they are several, they follow each other in the iterator that they are from.
#[derive(Debug)]
pub(super) struct Run<T: ?Sized> {
    /// Of the first of them.
    pub(super) ticket: Ticket,
    pub(super) tasks: Items<T>,
}

/// Tasks that a worker has, with a copy of each.
#[derive(Debug)]
pub(super) struct Flight<T: ?Sized> {
    /// Of the first of them, which the others follow.
    pub(super) number: u64,
    pub(super) run: Run<T>,
    /// Their owner has been told what became of them, and what comes now is dropped.
    pub(super) is_reported: bool,
}

/// Tasks that a worker has answered, which follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) owner: Owner,
    pub(super) count: usize,
    /// As of the [`Flight`].
    pub(super) is_reported: bool,
}

/// A place for one worker.
#[derive(Debug)]
pub(super) struct Seat<T: ?Sized> {
    pub(super) id: u32,
    pub(super) pid: u32,
    /// `None` if it is to get no more.
    tasks: Option<Sender<Parcel>>,
    /// In the order in which they were given, so that numbers ascend.
    flights: VecDeque<Flight<T>>,
    /// Tasks in them.
    load: usize,
    next_number: u64,
    /// How many more tasks it may get.
    quota: u64,
    window: usize,
    /// Answers until the window is looked at again, and since when they are counted.
    round: (usize, Instant),
    /// Since when it has been at the first of its tasks, if it has any.
    pub(super) busy_since: Instant,
    /// Tasks that it has answered.
    pub(super) answered: u64,
}

impl<T: IpcMessage + ?Sized> Seat<T> {
    pub(super) fn new(id: u32, pid: u32, tasks: Sender<Parcel>, quota: Option<u64>, now: Instant) -> Self {
        Seat {
            id,
            pid,
            tasks: Some(tasks),
            flights: VecDeque::new(),
            load: 0,
            next_number: 0,
            quota: quota.unwrap_or(u64::MAX),
            window: MIN_WINDOW,
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
        let room = self.window.saturating_sub(self.load);
        room.min(usize::try_from(self.quota).unwrap_or(usize::MAX))
    }

    /// How many tasks it has.
    pub(super) fn load(&self) -> usize {
        self.load
    }

    /// The number that the next task that it is given has.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    pub(super) fn flights_mut(&mut self) -> impl Iterator<Item = &mut Flight<T>> {
        self.flights.iter_mut()
    }

    pub(super) fn first(&self) -> Option<&Flight<T>> {
        self.flights.front()
    }

    /// The task of an owner that has had no report.
    pub(super) fn flight_of(&mut self, owner: Owner) -> Option<&mut Flight<T>> {
        self.flights.iter_mut().find(|flight| !flight.is_reported && flight.run.ticket.owner == owner)
    }

    /// The task of this number, as a flight of its own.
    pub(super) fn flight(&mut self, number: u64) -> Option<&mut Flight<T>> {
        let at = self.part(number)?;
        self.part(number + 1);
        self.flights.get_mut(at)
    }

    /// Sees to it that a flight begins at this number, and returns its index. `None` if the worker does not have the task.
    fn part(&mut self, number: u64) -> Option<usize> {
        let at = self.flights.iter().position(|flight| number < flight.number + flight.run.tasks.len() as u64)?;
        let flight = &mut self.flights[at];
        let before = usize::try_from(number.checked_sub(flight.number)?).ok()?;
        if before == 0 {
            return Some(at);
        }
        let rest = Flight { number, run: flight.run.split_off(before), is_reported: flight.is_reported };
        self.flights.insert(at + 1, rest);
        Some(at + 1)
    }

    /// Gives it as many of the tasks as there is room for, and `most` at most, which is at least one. Returns those that are
    /// left, and whether it got any.
    pub(super) fn give(&mut self, mut run: Run<T>, most: usize) -> (Option<Run<T>>, bool) {
        let count = most.min(self.room()).min(run.tasks.fitting(PARCEL_WORDS));
        let Some(tasks) = self.tasks.as_mut().filter(|_| count != 0) else { return (Some(run), false) };
        let rest = (count < run.tasks.len()).then(|| run.split_off(count));
        if let Err(is_full) = send(tasks, self.next_number, &run.tasks) {
            if is_full {
                self.window = self.load.max(MIN_WINDOW);
            } else {
                // It has died or is damaged, of which the pool hears by the other channel.
                self.retire();
            }
            run.join(rest);
            return (Some(run), false);
        }
        if self.flights.is_empty() {
            self.busy_since = Instant::now();
        }
        self.flights.push_back(Flight { number: self.next_number, run, is_reported: false });
        self.load += count;
        self.next_number += count as u64;
        self.quota -= count as u64;
        if self.quota == 0 {
            self.retire();
        }
        (rest, true)
    }

    /// Lets it end when it has done what it has.
    pub(super) fn retire(&mut self) {
        self.tasks = None;
    }

    /// Notes that it has answered the task of this number, and up to `most` that follow it; and returns whose they are. `None`
    /// if it does not have the task.
    #[inline]
    pub(super) fn answer(&mut self, number: u64, most: usize, now: Instant) -> Option<Answered> {
        let at = match self.flights.front() {
            Some(first) if first.number == number => 0,
            _ => self.part(number)?,
        };
        let flight = &mut self.flights[at];
        let (count, owner, is_reported) =
            (most.min(flight.run.tasks.len()), flight.run.ticket.owner, flight.is_reported);
        if count == flight.run.tasks.len() {
            self.flights.remove(at);
        } else {
            flight.number += count as u64;
            flight.run.skip(count);
        }
        self.load -= count;
        self.answered += count as u64;
        self.busy_since = now;
        self.round.0 = self.round.0.saturating_sub(count);
        if self.round.0 == 0 {
            self.turn_round(now);
        }
        Some(Answered { owner, count, is_reported })
    }

    /// Adapts the window to how long the last one took.
    fn turn_round(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.round.1);
        if took < ROUND / 2 {
            self.window = (2 * self.window).min(MAX_WINDOW);
        } else if took > ROUND * 2 {
            self.window = (self.window / 2).max(MIN_WINDOW);
        }
        self.round = (self.window, now);
    }

    /// Notes that the tasks from this number on have been taken back, and returns them, the last ones first. It is at something
    /// that takes long, so it gets few from now on.
    pub(super) fn take_back(&mut self, number: u64) -> Vec<Flight<T>> {
        self.window = MIN_WINDOW;
        self.round = (MIN_WINDOW, Instant::now());
        let Some(at) = self.part(number).or_else(|| self.flights.iter().position(|flight| flight.number > number))
        else {
            return Vec::new();
        };
        let back: Vec<_> = self.flights.drain(at..).rev().collect();
        let count: usize = back.iter().map(|flight| flight.run.tasks.len()).sum();
        self.load -= count;
        self.quota = self.quota.saturating_add(count as u64);
        back
    }

    /// What it has and will not answer.
    pub(super) fn leave(self) -> impl Iterator<Item = Flight<T>> {
        self.flights.into_iter()
    }
}

impl<T: IpcMessage + ?Sized> Run<T> {
    /// Keeps the first `count` of them, of which there are so many, and returns the others.
    pub(super) fn split_off(&mut self, count: usize) -> Self {
        let ticket = Ticket { owner: self.ticket.owner.after(count), ..self.ticket };
        Run { ticket, tasks: self.tasks.split_off(count) }
    }

    /// Drops the first `count` of them, of which there are more.
    fn skip(&mut self, count: usize) {
        self.ticket.owner = self.ticket.owner.after(count);
        self.tasks.skip(count);
    }

    /// Undoes [`split_off`](Self::split_off).
    fn join(&mut self, rest: Option<Self>) {
        if let Some(rest) = rest {
            self.tasks.join(rest.tasks);
        }
    }

    /// The tasks, which were begun once more, to be begun again if that is allowed.
    pub(super) fn retry(self) -> Result<Self, Ticket> {
        let attempts = self.ticket.attempts + 1;
        if self.ticket.options.may_retry(attempts) {
            Ok(Run { ticket: Ticket { attempts, ..self.ticket }, ..self })
        } else {
            Err(self.ticket)
        }
    }
}

/// Sends tasks that have numbers from `first` on. If that fails, the error says whether it is for want of room.
fn send<T: IpcMessage + ?Sized>(to: &mut Sender<Parcel>, first: u64, tasks: &Items<T>) -> Result<(), bool> {
    let words = tasks.words();
    let mut parcel = to.try_loan_len(words.len()).map_err(|error| matches!(error, TrySendError::Full(())))?;
    parcel.first = first;
    parcel.count = tasks.len() as u64;
    parcel.words.copy_from_slice(words);
    parcel.send();
    Ok(())
}
