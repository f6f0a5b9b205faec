//! Waiting for what workers answer and say, and looking after them meanwhile.
//!
//! One thread at a time does this (see `shared.rs`). A round waits until there is something, receives all of it, and
//! enters it into the books. What has no channel to announce itself (processes that end before they have joined, tasks
//! that run for too long, tasks to be taken back) is looked at in every round, and no round lasts longer than 50 ms.
//!
//! # Ending one task and no other
//!
//! A task is ended by killing its worker, which must not be at the next one by then. So the process is stopped first, and
//! what it has answered is received. It cannot answer any more; if the task is still the first that it has not answered, the
//! process is killed, and otherwise it goes on.

use super::core::{Core, Phase};
use super::crew::Crew;
use super::error::TaskError;
use super::items::Packer;
use super::notice::{Channels, MAX_VERDICT_BYTES, MAX_WORKERS, Notice, NoticeKind, Parcel, Verdict};
use super::report::Outcome;
use super::seat::Seat;
use super::shared::Shared;
use crate::worker::Worker;
use core::marker::PhantomData;
use ipc_core::error::{Corrupt, OpenError, TooLarge, TryRecvError};
use ipc_core::message::Invalid;
use ipc_core::schema::diff;
use ipc_core::sync::Atomic;
use ipc_core::{IpcMessage, Receiver, Sender, Server, Source, WaitSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// The longest that a round waits.
pub(super) const SLICE: Duration = Duration::from_millis(50);

/// The longest while there are processes that may end without a word.
const RESTLESS_SLICE: Duration = Duration::from_millis(5);

/// The longest while a worker may have tasks ahead that others could do.
const HOARD_SLICE: Duration = Duration::from_millis(2);

/// Answers that are received from a worker before the next one has its turn.
const BATCH: usize = 1024;

/// How long a worker that was started by hand has to open the channels of its seat.
const SEATING_LIMIT: Duration = Duration::from_secs(10);

/// How long to wait for a process to stop. One that has not by then has been in the kernel all the time, at the same task.
const STOP_LIMIT: Duration = Duration::from_millis(200);

/// What the one thread has that waits for workers.
pub(super) struct Ears<T: ?Sized, O: ?Sized> {
    channels: Channels,
    desk: Server<Notice, Verdict>,
    bell: Receiver<u64>,
    lines: Vec<Line<O>>,
    crew: Crew,
    /// Tasks that a worker does before it is replaced.
    quota: Option<u64>,
    set: WaitSet,
    answers: Vec<Answer<O>>,
    tasks: PhantomData<fn(&T)>,
}

/// The channels from and to one worker.
struct Line<O: ?Sized> {
    seat: u32,
    pid: u32,
    /// Whether it is a process that the pool has started.
    is_own: bool,
    since: Instant,
    outputs: Receiver<O>,
    /// For the books, once the worker is ready.
    tasks: Option<Sender<Parcel>>,
    /// See [`Channels::begun`].
    begun: Atomic<u64>,
    end: Option<End>,
}

/// How a worker has come to its end, as its channel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It has closed the channel.
    Left,
    /// It has lost its locks.
    Died,
}

/// What a worker has answered: the outcome of the first task that it has, or outputs of this one and of those that follow it.
struct Answer<O: ?Sized> {
    seat: u32,
    outcome: Outcome<O>,
}

impl<T: IpcMessage + ?Sized, O: IpcMessage + ?Sized> Ears<T, O> {
    pub(super) fn new(
        channels: Channels,
        bell: Receiver<u64>,
        crew: Crew,
        quota: Option<u64>,
    ) -> Result<Self, OpenError> {
        let desk = channels.desk().server()?;
        let (lines, set, answers) = (Vec::new(), WaitSet::new(), Vec::new());
        Ok(Ears { channels, desk, bell, lines, crew, quota, set, answers, tasks: PhantomData })
    }

    /// One round: waits at most `limit` until workers have something to say, and enters it.
    pub(super) fn listen(&mut self, shared: &Shared<T, O>, limit: Duration) {
        let slice = self.slice(&shared.core(), limit);
        if !self.receive() {
            let ends: [&mut dyn Source; 2] = [&mut self.desk, &mut self.bell];
            let lines = self.lines.iter_mut().map(|line| &mut line.outputs as &mut dyn Source);
            if self.set.wait_timeout(ends.into_iter().chain(lines), slice).len() > 0 {
                self.receive();
            }
        }
        while let Ok(Some(_)) = self.bell.try_recv() {}
        let now = Instant::now();
        let mut core = shared.core();
        self.enter(&mut core, now);
        self.hear(&mut core, now);
        self.bury(&mut core, now);
        self.look_after(&mut core, now);
        core.dispatch();
    }

    /// How long this round may wait.
    fn slice(&self, core: &Core<T, O>, limit: Duration) -> Duration {
        let mut slice = limit.min(SLICE);
        let is_seating = self.lines.iter().any(|line| line.tasks.is_some());
        if is_seating || self.crew.is_restless() || core.phase != Phase::Open {
            slice = slice.min(RESTLESS_SLICE);
        }
        if core.may_hoard() {
            slice = slice.min(HOARD_SLICE);
        }
        if !core.withdrawals.is_empty() {
            return Duration::ZERO;
        }
        core.next_timeout(Instant::now()).map_or(slice, |left| slice.min(left))
    }

    /// Receives what workers have answered, without waiting. `false` if there was nothing.
    fn receive(&mut self) -> bool {
        let Ears { lines, answers, .. } = self;
        for line in lines.iter_mut() {
            line.receive(answers, BATCH);
        }
        !answers.is_empty() || lines.iter().any(|line| line.end.is_some())
    }

    /// Enters what was received.
    fn enter(&mut self, core: &mut Core<T, O>, now: Instant) {
        if !self.answers.is_empty() {
            self.crew.succeed();
        }
        for Answer { seat, outcome } in self.answers.drain(..) {
            core.answer(seat, outcome, now);
        }
    }

    /// Hears what workers have to say beside their outputs.
    fn hear(&mut self, core: &mut Core<T, O>, now: Instant) {
        // As many as there can be at a time. A damaged desk is heard no more, and workers that are there go on.
        for _ in 0..MAX_WORKERS {
            let Ok(Some(request)) = self.desk.try_accept_boxed() else { break };
            let notice: &Notice = &request;
            let (seat, number) = (notice.seat, notice.number);
            let mut verdict = Ok(seat);
            if let Some(line) = self.lines.iter_mut().find(|line| line.seat == seat && notice.kind.is_outcome()) {
                // Of the tasks before this one.
                line.catch_up(core, now);
            }
            match notice.kind {
                NoticeKind::Join => {
                    verdict =
                        seat_worker::<T, O>(&self.channels, &mut self.lines, &mut self.crew, notice, core.phase, now);
                }
                NoticeKind::Ready => {
                    if let Some(line) = self.lines.iter_mut().find(|line| line.seat == seat) {
                        if let Some(tasks) = line.tasks.take() {
                            core.gain_worker(Seat::new(seat, line.pid, tasks, self.quota, now));
                        }
                    }
                }
                NoticeKind::Panicked => {
                    let message = String::from_utf8_lossy(&notice.text).into_owned();
                    core.fail(seat, number, TaskError::Panicked { message }, now);
                }
                NoticeKind::TooLarge => {
                    let [bytes, limit] = notice.amounts.map(|amount| usize::try_from(amount).unwrap_or(usize::MAX));
                    core.fail(seat, number, TaskError::OutputTooLarge(TooLarge { bytes, limit }), now);
                }
                NoticeKind::Progress => core.progress(seat, number, notice.amounts.into()),
            }
            let reason = verdict.as_ref().err().map_or("", String::as_str);
            // A worker that has died meanwhile hears of nothing.
            if let Ok(mut answer) = request.loan_len(reason.len().min(MAX_VERDICT_BYTES / 2)) {
                answer.is_welcome = verdict.is_ok();
                answer.seat = *verdict.as_ref().unwrap_or(&0);
                let _ = answer.set_text(shortened(reason));
                answer.send();
            }
        }
    }

    /// Takes leave of workers that have ended.
    fn bury(&mut self, core: &mut Core<T, O>, now: Instant) {
        for line in self.lines.iter_mut().filter(|line| line.tasks.is_some() && line.is_own) {
            // Nobody has opened the channel that would tell.
            if self.crew.on(line.seat).is_none_or(|worker| !worker.is_alive()) {
                line.end = Some(End::Died);
                self.crew.fail("it ended before it was ready".to_owned(), now);
            }
        }
        while let Some(at) = self.lines.iter().position(|line| line.end.is_some()) {
            let line = self.lines.swap_remove(at);
            let (seat, has_died) = (line.seat, line.end == Some(End::Died));
            let exit = if has_died { self.crew.bury(seat) } else { None };
            if !has_died {
                self.crew.leave(seat, now);
                let is_idler = core.phase == Phase::Open
                    && core.seats.iter().any(|other| other.id == seat && other.answered == 0 && other.room() > 0);
                if is_idler && line.is_own {
                    self.crew.fail("it left before it had done anything".to_owned(), now);
                }
            }
            line.take_back(core);
            core.vacate(seat, exit);
        }
    }

    /// Does what time asks for.
    fn look_after(&mut self, core: &mut Core<T, O>, now: Instant) {
        self.crew.look(now);
        match core.phase {
            Phase::Open => self.crew.refill(now),
            Phase::Closing if core.has_backlog() => self.crew.refill(now),
            Phase::Closing if core.is_idle() => self.dismiss(core, now),
            Phase::Closing | Phase::Ended => {}
            Phase::Ending => self.end(core, now),
        }
        if self.lines.is_empty() {
            if let Some(reason) = self.crew.hopeless() {
                core.lose_workers(&reason);
            }
        }
        self.lose_the_late(now);
        for (seat, number) in std::mem::take(&mut core.withdrawals) {
            self.withdraw(core, seat, number);
        }
        for (seat, number, limit) in core.overdue(now) {
            if self.end_task(core, seat, number) {
                core.give_up(seat, number, TaskError::TimedOut { limit });
            }
        }
        if let Some(seat) = core.hoarder(now) {
            self.take_back(core, seat);
        }
    }

    /// Gives those up that have a seat and do not get ready.
    fn lose_the_late(&mut self, now: Instant) {
        let Ears { lines, crew, .. } = self;
        lines.retain(|line| {
            let is_late = line.tasks.is_some() && now.saturating_duration_since(line.since) > SEATING_LIMIT;
            if is_late && line.is_own {
                // Its end is noticed as that of any other that was not ready.
                let _ = crew.on(line.seat).map(Worker::kill);
            }
            !is_late || line.is_own
        });
    }

    /// Takes everything back that a worker has not begun.
    fn take_back(&mut self, core: &mut Core<T, O>, seat: u32) {
        if let Some(line) = self.lines.iter().find(|line| line.seat == seat) {
            line.take_back(core);
        }
    }

    /// Sees to it that a task, which has its report, is not done, or not any further.
    fn withdraw(&mut self, core: &mut Core<T, O>, seat: u32, number: u64) {
        self.take_back(core, seat);
        self.end_task(core, seat, number);
    }

    /// Kills a worker if it is at this task. `false` if it is not.
    fn end_task(&mut self, core: &mut Core<T, O>, seat: u32, number: u64) -> bool {
        let Some(line) = self.lines.iter_mut().find(|line| line.seat == seat) else { return false };
        let Some(worker) = self.crew.on(seat) else {
            // It was started by hand and goes on, whatever it is at.
            return core.first_number(seat) == Some(number);
        };
        worker.stop(STOP_LIMIT);
        line.catch_up(core, Instant::now());
        let is_at_it = core.first_number(seat) == Some(number);
        // Neither is refused of a process that this one has just stopped, unless it has gone.
        let _ = if is_at_it { worker.kill() } else { worker.resume() };
        is_at_it
    }

    /// Lets workers end that have nothing left to do.
    fn dismiss(&mut self, core: &mut Core<T, O>, now: Instant) {
        self.crew.dismiss(now);
        core.seats.iter_mut().for_each(Seat::retire);
        // Those that were started by hand are not waited for; one that is about to be ready is, and is let go then.
        self.lines.retain(|line| line.is_own);
        if self.lines.is_empty() && self.crew.is_empty() {
            core.seats.clear();
            core.phase = Phase::Ended;
        }
    }

    /// Ends everything.
    fn end(&mut self, core: &mut Core<T, O>, now: Instant) {
        if self.crew.is_empty() {
            // Not before: the last one to leave a channel removes it, and that cannot be one that was killed.
            core.seats.clear();
            self.lines.clear();
            core.phase = Phase::Ended;
        } else {
            self.crew.kill(now);
        }
    }
}

impl<O: IpcMessage + ?Sized> Line<O> {
    /// Receives at most `most` answers, without waiting.
    fn receive(&mut self, answers: &mut Vec<Answer<O>>, most: usize) {
        let (seat, mut packed, mut left) = (self.seat, Packer::new(), most);
        while left > 0 {
            let received = self.outputs.try_recv_each(left, |output| {
                if let Err(invalid) = packed.push_checked(output) {
                    fail(seat, &mut packed, &invalid, answers);
                }
            });
            match received {
                Ok(Some(count)) => left -= count,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Corrupt(Corrupt::Message(invalid))) => {
                    fail(seat, &mut packed, &invalid, answers);
                    left -= 1;
                }
                Ok(None) => {
                    self.end = Some(End::Left);
                    break;
                }
                // If the channel is damaged, nothing that it holds can be relied on, so it is as good as dead.
                Err(_) => {
                    self.end = Some(End::Died);
                    break;
                }
            }
        }
        finish(seat, &mut packed, answers);
    }

    /// Receives all that the worker has answered, and enters it.
    fn catch_up<T: IpcMessage + ?Sized>(&mut self, core: &mut Core<T, O>, now: Instant) {
        let mut answers = Vec::new();
        self.receive(&mut answers, usize::MAX);
        for Answer { seat, outcome } in answers {
            core.answer(seat, outcome, now);
        }
    }

    /// Takes everything back that the worker has not begun.
    fn take_back<T: IpcMessage + ?Sized>(&self, core: &mut Core<T, O>) {
        let Some(next) = core.next_number(self.seat) else { return };
        // In a forked child, where it cannot be had, there is nothing to be taken back.
        let begun = self.begun.swap(next).unwrap_or(next);
        core.take_back(self.seat, begun);
    }
}

/// Notes an output that is none, after those that were packed.
#[cold]
fn fail<O: IpcMessage + ?Sized>(seat: u32, packed: &mut Packer<O>, invalid: &Invalid, answers: &mut Vec<Answer<O>>) {
    finish(seat, packed, answers);
    answers.push(Answer { seat, outcome: Err(TaskError::Corrupt(invalid.to_string())) });
}

/// Passes on the outputs that were packed.
fn finish<O: IpcMessage + ?Sized>(seat: u32, packed: &mut Packer<O>, answers: &mut Vec<Answer<O>>) {
    if !packed.is_empty() {
        answers.push(Answer { seat, outcome: Ok(packed.pack()) });
    }
}

/// Gives a worker a seat, or says why not.
fn seat_worker<T: IpcMessage + ?Sized, O: IpcMessage + ?Sized>(
    channels: &Channels,
    lines: &mut Vec<Line<O>>,
    crew: &mut Crew,
    notice: &Notice,
    phase: Phase,
    now: Instant,
) -> Result<u32, String> {
    if phase != Phase::Open && phase != Phase::Closing {
        return Err("it has ended".to_owned());
    }
    if let Some(differences) = differences::<T, O>(notice) {
        crew.refuse(notice.pid, differences.clone(), now);
        return Err(differences);
    }
    let mut refused = format!("all of its {MAX_WORKERS} seats are taken");
    for seat in 0..MAX_WORKERS as u32 {
        if lines.iter().any(|line| line.seat == seat) {
            continue;
        }
        let (tasks, outputs, begun) = (channels.tasks::<T>(seat), channels.outputs::<O>(seat), channels.begun(seat));
        // What a pool has left behind that was killed. Where somebody lives who still uses it, another seat will do.
        let open = || {
            tasks.remove()?;
            outputs.remove()?;
            begun.remove()?;
            Ok::<_, OpenError>((tasks.sender()?, outputs.receiver()?, Atomic::open(begun.clone(), 0)?))
        };
        match open() {
            Ok((tasks, outputs, begun)) => {
                let is_own = notice.number == channels.token && crew.seat(notice.pid, seat);
                let (tasks, pid, since) = (Some(tasks), notice.pid, now);
                lines.push(Line { seat, pid, is_own, since, outputs, tasks, begun, end: None });
                return Ok(seat);
            }
            Err(error) => refused = error.to_string(),
        }
    }
    Err(refused)
}

/// How the tasks and outputs of a worker that wants to join differ from the pool's, if they do.
fn differences<T: IpcMessage + ?Sized, O: IpcMessage + ?Sized>(notice: &Notice) -> Option<String> {
    let (task, output) = notice.text.split_at_checked(notice.task_schema_bytes as usize).unwrap_or((&[], &[]));
    let mut text = String::new();
    for (what, ours, theirs) in [("tasks", T::SCHEMA, task), ("outputs", O::SCHEMA, output)] {
        for difference in diff(ours, theirs) {
            let start = if text.is_empty() { "" } else { "; " };
            // Writing to a string does not fail.
            let _ =
                write!(text, "{start}its {what} are others (here the pool's, the segment the worker's): {difference}");
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Text that fits into a verdict.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_VERDICT_BYTES / 2);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
