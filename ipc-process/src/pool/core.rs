//! The pool's books: which task is where, and what becomes of it.
//!
//! # One report for every task
//!
//! A task that was taken is in exactly one place: in the backlog, or among the flights of one seat. It leaves its place by
//! one of these steps, all under one lock:
//!
//! | from | to | report |
//! |---|---|---|
//! | backlog | the flights of a seat | none |
//! | flights | backlog: taken back unbegun, or begun again because it is idempotent | none |
//! | backlog | nowhere: cancelled, or the pool has ended | one |
//! | flights | nowhere: answered, or its worker died | one, unless it had one before |
//! | flights | flights: cancelled or timed out, `is_reported` is set | one |
//!
//! So a task has no report while it is in a place and not `is_reported`, and one afterwards. A worker answers what it has in
//! order, so its next output is that of the first task among the flights of its seat; if there are none, it is dropped.
//!
//! # What a death costs
//!
//! Tasks travel by the parcel, but a worker begins with one at a time, in order, and answers each before it begins with the
//! next. Before it begins, it counts a number up that it shares with the pool; to take tasks back, the pool counts it up
//! past them (see [`Channels::begun`](super::notice::Channels::begun)). When it has died, what it has answered is received
//! first, then what it has not begun is taken back. At most one task is left: the one that it had begun.

use super::error::{SubmitError, TaskError};
use super::items::Items;
use super::notice::MAX_WORKERS;
use super::report::{Outcome, Owner, Reports};
use super::seat::{Answered, Run, Seat, Ticket};
use crate::exit::Exit;
use ipc_core::error::TooLarge;
use ipc_core::{IpcMessage, Sender};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker may be at one task while others have nothing to do, before they get what it has ahead.
const HOARD: Duration = Duration::from_millis(2);

/// Tasks that are read from an iterator, at a time, only to be refused.
const REFUSALS: usize = 16;

/// How far a pool is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It takes tasks.
    Open,
    /// It takes no more, and does those that it has.
    Closing,
    /// It has given up what it had, and ends its workers.
    Ending,
    /// Nothing is left of it.
    Ended,
}

/// Who waits for the workers at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    Nobody,
    /// A thread of the program, which waits for something of its own.
    Waiter,
    /// The pool's own thread.
    Keeper,
}

/// The pool's books.
#[derive(Debug)]
pub(super) struct Core<T: ?Sized, O: ?Sized> {
    pub(super) seats: Vec<Seat<T>>,
    backlog: VecDeque<Run<T>>,
    pub(super) reports: Reports<O>,
    /// Tasks that were cancelled while a worker had them: the seat, and the number.
    pub(super) withdrawals: Vec<(u32, u64)>,
    pub(super) phase: Phase,
    pub(super) lead: Lead,
    /// Threads of the program that wait for something.
    pub(super) waiting: usize,
    /// When the last of them has stopped.
    pub(super) left_at: Instant,
    /// `None` when the pool has ended.
    bell: Option<Sender<u64>>,
    /// Why there are no workers and will be none.
    no_workers: Option<Arc<str>>,
}

impl<T: IpcMessage + ?Sized, O: IpcMessage + ?Sized> Core<T, O> {
    pub(super) fn new(bell: Sender<u64>) -> Self {
        Core {
            seats: Vec::with_capacity(MAX_WORKERS),
            backlog: VecDeque::new(),
            reports: Reports::new(),
            withdrawals: Vec::new(),
            phase: Phase::Open,
            lead: Lead::Nobody,
            waiting: 0,
            left_at: Instant::now(),
            bell: Some(bell),
            no_workers: None,
        }
    }

    /// Takes a task, or several that follow each other, and gives them to workers that have room for them.
    pub(super) fn submit(&mut self, run: Run<T>) -> Result<(), SubmitError> {
        if self.phase != Phase::Open {
            return Err(SubmitError::Closed);
        }
        if let Some(reason) = &self.no_workers {
            return Err(SubmitError::NoWorkers(reason.clone()));
        }
        self.backlog.push_back(run);
        self.dispatch();
        Ok(())
    }

    /// Gives out what waits, as far as there is room.
    pub(super) fn dispatch(&mut self) {
        while let Some(run) = self.backlog.pop_front() {
            let (rest, is_given) = self.place(run);
            if let Some(rest) = rest {
                self.backlog.push_front(rest);
            }
            if !is_given {
                break;
            }
        }
    }

    /// Gives tasks to the worker that has the fewest: its share, if others have room too. Returns those that are left, and
    /// whether any were given.
    fn place(&mut self, run: Run<T>) -> (Option<Run<T>>, bool) {
        let roomy = self.seats.iter().filter(|seat| seat.room() > 0).count();
        let share = run.tasks.len().div_ceil(roomy.max(1));
        match self.seats.iter_mut().filter(|seat| seat.room() > 0).min_by_key(|seat| seat.load()) {
            Some(seat) => seat.give(run, share),
            None => (Some(run), false),
        }
    }

    /// How many tasks would be given to workers at once, or refused.
    pub(super) fn appetite(&self) -> usize {
        if self.phase != Phase::Open || self.no_workers.is_some() {
            return REFUSALS;
        }
        if self.backlog.is_empty() { self.seats.iter().map(Seat::room).sum() } else { 0 }
    }

    /// Notes what a worker has answered next: outputs of the first tasks that it has, or why the first one has none.
    pub(super) fn answer(&mut self, seat: u32, mut outcome: Outcome<O>, now: Instant) {
        // What was taken back leaves gaps between the numbers of what is left.
        while let Some(number) = self.first_number(seat) {
            let most = outcome.as_ref().map_or(1, Items::len);
            let answered = self.seat(seat).and_then(|seat| seat.answer(number, most, now));
            let count = answered.map_or(1, |answered| answered.count);
            let rest = outcome.as_mut().ok().filter(|_| count < most).map(|outputs| outputs.split_off(count));
            if let Some(Answered { owner, count, is_reported: false }) = answered {
                self.reports.deliver(owner, count, outcome);
            }
            let Some(rest) = rest else { return };
            outcome = Ok(rest);
        }
    }

    /// Notes why there is no output of the task of this number, when those before it have been answered.
    pub(super) fn fail(&mut self, seat: u32, number: u64, error: TaskError, now: Instant) {
        let answered = self.seat(seat).and_then(|seat| seat.answer(number, 1, now));
        if let Some(Answered { owner, count, is_reported: false }) = answered {
            self.reports.deliver(owner, count, Err(error));
        }
    }

    /// The number of the task that a worker is at, if it has any.
    pub(super) fn first_number(&mut self, seat: u32) -> Option<u64> {
        Some(self.seat(seat)?.first()?.number)
    }

    /// Tells the owner of a worker's task why there will be no output, and has what comes all the same dropped.
    pub(super) fn give_up(&mut self, seat: u32, number: u64, error: TaskError) {
        let Some(flight) = self.seat(seat).and_then(|seat| seat.flight(number)) else { return };
        if !flight.is_reported {
            flight.is_reported = true;
            let owner = flight.run.ticket.owner;
            self.reports.deliver(owner, 1, Err(error));
        }
    }

    /// Notes how far a task is.
    pub(super) fn progress(&mut self, seat: u32, number: u64, progress: (u64, u64)) {
        let flight = self.seat(seat).and_then(|seat| seat.flight(number));
        if let Some(owner) = flight.filter(|flight| !flight.is_reported).map(|flight| flight.run.ticket.owner) {
            self.reports.set_progress(owner, progress);
        }
    }

    /// Cancels the task of an owner. `false` if it has its report.
    pub(super) fn cancel(&mut self, owner: Owner) -> bool {
        if let Some(at) = self.backlog.iter().position(|run| run.ticket.owner == owner) {
            self.backlog.remove(at);
            self.reports.deliver(owner, 1, Err(TaskError::Cancelled));
            return true;
        }
        let found = self.seats.iter_mut().find_map(|seat| Some((seat.id, seat.flight_of(owner)?)));
        let Some((seat, flight)) = found else { return false };
        flight.is_reported = true;
        self.withdrawals.push((seat, flight.number));
        self.reports.deliver(owner, 1, Err(TaskError::Cancelled));
        self.ring();
        true
    }

    /// Forgets the tasks of an iterator that was dropped, as far as no worker has them.
    pub(super) fn abandon_flow(&mut self, flow: usize) {
        let is_of = |owner: Owner| matches!(owner, Owner::Flow { flow: of, .. } if of == flow);
        let reports = &mut self.reports;
        self.backlog.retain(|run| {
            let is_kept = !is_of(run.ticket.owner);
            if !is_kept {
                reports.deliver(run.ticket.owner, run.tasks.len(), Err(TaskError::Cancelled));
            }
            is_kept
        });
        self.reports.abandon_flow(flow);
    }

    /// The number past which a worker's tasks are taken back.
    pub(super) fn next_number(&mut self, seat: u32) -> Option<u64> {
        Some(self.seat(seat)?.next_number())
    }

    /// Puts a worker's tasks from this number on, which were taken back, to the head of the backlog, except those that have
    /// their report.
    pub(super) fn take_back(&mut self, seat: u32, number: u64) {
        let Some(seat) = self.seat(seat) else { return };
        for flight in seat.take_back(number) {
            if !flight.is_reported {
                self.backlog.push_front(flight.run);
            }
        }
    }

    /// Gives the place of a worker up that has ended, after what it had not begun was taken back. What it had begun is begun
    /// again, if that is allowed, and otherwise reported.
    pub(super) fn vacate(&mut self, seat: u32, exit: Option<Exit>) {
        let Some(at) = self.seats.iter().position(|other| other.id == seat) else { return };
        for flight in self.seats.swap_remove(at).leave() {
            if flight.is_reported {
                continue;
            }
            let count = flight.run.tasks.len();
            match flight.run.retry() {
                Ok(run) => self.backlog.push_front(run),
                Err(Ticket { owner, attempts, .. }) => {
                    let signal = exit.and_then(Exit::signal);
                    let error = TaskError::WorkerDied { signal, exit, attempts: attempts + 1 };
                    self.reports.deliver(owner, count, Err(error));
                }
            }
        }
    }

    /// Notes that there are no workers, and why there will be none: what waits for one is reported.
    pub(super) fn lose_workers(&mut self, reason: &str) {
        let reason: Arc<str> = reason.into();
        self.no_workers = Some(reason.clone());
        for run in std::mem::take(&mut self.backlog) {
            let error = SubmitError::NoWorkers(reason.clone()).into();
            self.reports.deliver(run.ticket.owner, run.tasks.len(), Err(error));
        }
    }

    /// Notes that there is a worker after all.
    pub(super) fn gain_worker(&mut self, seat: Seat<T>) {
        self.no_workers = None;
        self.seats.push(seat);
    }

    /// Takes no more tasks.
    pub(super) fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            self.ring();
        }
    }

    /// Gives everything up.
    pub(super) fn end(&mut self) {
        if self.phase >= Phase::Ending {
            return;
        }
        self.phase = Phase::Ending;
        for run in std::mem::take(&mut self.backlog) {
            self.reports.deliver(run.ticket.owner, run.tasks.len(), Err(TaskError::PoolEnded));
        }
        for flight in self.seats.iter_mut().flat_map(Seat::flights_mut) {
            if !flight.is_reported {
                flight.is_reported = true;
                self.reports.deliver(flight.run.ticket.owner, flight.run.tasks.len(), Err(TaskError::PoolEnded));
            }
        }
        self.ring();
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.backlog.is_empty() && self.seats.iter().all(|seat| seat.load() == 0)
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// The worker that has tasks ahead while it is at something that takes long and others have nothing to do.
    pub(super) fn hoarder(&self, now: Instant) -> Option<u32> {
        if !self.backlog.is_empty() || !self.seats.iter().any(|seat| seat.load() == 0 && seat.room() > 0) {
            return None;
        }
        let is_hoarder = |seat: &&Seat<T>| seat.load() > 1 && now.saturating_duration_since(seat.busy_since) > HOARD;
        self.seats.iter().filter(is_hoarder).max_by_key(|seat| seat.load()).map(|seat| seat.id)
    }

    /// Whether a worker may come to be one that [hoards](Self::hoarder).
    pub(super) fn may_hoard(&self) -> bool {
        self.seats.iter().any(|seat| seat.load() == 0) && self.seats.iter().any(|seat| seat.load() > 1)
    }

    /// The tasks that have run for longer than they may: the seat, the number, and the limit.
    pub(super) fn overdue(&self, now: Instant) -> Vec<(u32, u64, Duration)> {
        let overdue = |seat: &Seat<T>| {
            let first = seat.first().filter(|first| !first.is_reported)?;
            let limit = first.run.ticket.options.timeout?;
            (now.saturating_duration_since(seat.busy_since) >= limit).then_some((seat.id, first.number, limit))
        };
        self.seats.iter().filter_map(overdue).collect()
    }

    /// How long until a task may have run for longer than it may, if that can be.
    pub(super) fn next_timeout(&self, now: Instant) -> Option<Duration> {
        let left = |seat: &Seat<T>| {
            let limit = seat.first().filter(|first| !first.is_reported)?.run.ticket.options.timeout?;
            Some(limit.saturating_sub(now.saturating_duration_since(seat.busy_since)))
        };
        self.seats.iter().filter_map(left).min()
    }

    /// Ends the wait of whoever waits for workers.
    pub(super) fn ring(&mut self) {
        if self.lead != Lead::Nobody {
            // A full channel has been rung.
            let _ = self.bell.as_mut().map(|bell| bell.try_send(1));
        }
    }

    /// Gives the pool's name up.
    pub(super) fn release(&mut self) {
        self.bell = None;
    }

    fn seat(&mut self, id: u32) -> Option<&mut Seat<T>> {
        self.seats.iter_mut().find(|seat| seat.id == id)
    }
}

/// Whether a task can be taken, as far as its length goes.
#[inline]
pub(super) fn check_length<T: IpcMessage + ?Sized>(task: &T, limit_bytes: usize) -> Result<(), SubmitError> {
    match T::TYPE.tail() {
        Some(_) if size_of_val(task) > limit_bytes => {
            Err(SubmitError::TooLarge(TooLarge { bytes: size_of_val(task), limit: limit_bytes }))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::items::Packer;
    use super::super::notice::Channels;
    use super::super::options::TaskOptions;
    use super::*;

    /// These, one after the other.
    fn packed(messages: impl IntoIterator<Item = u64>) -> Items<u64> {
        let mut packer = Packer::new();
        messages.into_iter().for_each(|message| packer.push(&message));
        packer.pack()
    }

    #[test]
    fn outputs_that_come_together_may_be_of_tasks_around_one_that_was_taken_back() {
        let domain = Some(format!("core-{}", std::process::id()));
        let channels = Channels { name: "books".to_owned(), domain, limits: [0; 2], token: 0 };
        let mut core = Core::<u64, u64>::new(channels.bell().sender().unwrap());
        core.gain_worker(Seat::new(0, 0, channels.tasks::<u64>(0).sender().unwrap(), None, Instant::now()));
        let flow = core.reports.open_flow();
        let ticket = Ticket { owner: Owner::Flow { flow, index: 0 }, options: TaskOptions::default(), attempts: 0 };
        core.submit(Run { ticket, tasks: packed([10, 11]) }).unwrap();
        core.reports.expect(flow, 2);
        // The second task is given once more, under another number.
        core.take_back(0, 1);
        core.dispatch();
        assert_eq!((core.first_number(0), core.next_number(0)), (Some(0), Some(3)));
        core.answer(0, Ok(packed([20, 21])), Instant::now());
        let mut arrived = Vec::new();
        assert!(core.reports.fetch(flow, &mut arrived));
        let outputs = arrived.into_iter().map(|arrival| (arrival.index, arrival.outcome.unwrap().take_first()));
        assert_eq!(outputs.collect::<Vec<_>>(), [(0, 20), (1, 21)]);
        assert!(core.is_idle());
    }
}
