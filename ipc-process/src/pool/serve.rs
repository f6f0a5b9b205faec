//! What a worker does: joins its pool, takes one task after the other, and answers each before it takes the next.

use super::error::ServeError;
use super::items::Items;
use super::notice::{Channels, MAX_NOTICE_BYTES, Notice, NoticeKind, POOL_VARIABLE, Parcel, TOKEN_VARIABLE, Verdict};
use core::borrow::Borrow;
use ipc_core::error::{CallError, OpenError, RecvError, SendError};
use ipc_core::sync::Atomic;
use ipc_core::{Client, IpcMessage, Sender};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How long a pool may take to answer, before a worker takes it for gone.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How often a task's progress is passed on, at most.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(20);

/// What a task can tell its pool while it runs.
pub struct TaskContext<'w> {
    desk: &'w Client<Notice, Verdict>,
    seat: u32,
    number: u64,
    reported_at: Cell<Option<Instant>>,
}

impl TaskContext<'_> {
    /// Says how far the task is: `done` of `total`, in whatever unit. [`Job::progress`](super::Job::progress) shows it. It is
    /// passed on 50 times a second at most, and when all is done.
    pub fn progress(&self, done: u64, total: u64) {
        let is_due = self.reported_at.get().is_none_or(|at| at.elapsed() >= PROGRESS_INTERVAL);
        if is_due || done >= total {
            self.reported_at.set(Some(Instant::now()));
            let head =
                Head { seat: self.seat, number: self.number, amounts: [done, total], ..Head::of(NoticeKind::Progress) };
            // If the pool has gone, that is noticed when the task is done.
            let _ = tell(self.desk, head, &[]);
        }
    }
}

impl fmt::Debug for TaskContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext").field("seat", &self.seat).field("task", &self.number).finish_non_exhaustive()
    }
}

/// Whether this process was started by a pool of this name.
pub(super) fn is_worker_of(name: &str) -> bool {
    std::env::var_os(POOL_VARIABLE).is_some_and(|of| of == name)
}

/// Works for the pool until it has nothing more to do, and returns how many tasks were done.
pub(super) fn work<T, O, S, R>(
    name: &str,
    initialize: impl FnOnce() -> S,
    mut function: impl FnMut(&mut S, &T, &TaskContext<'_>) -> R,
) -> Result<u64, ServeError>
where
    T: IpcMessage + ?Sized,
    O: IpcMessage + ?Sized,
    R: Borrow<O>,
{
    let token = std::env::var(TOKEN_VARIABLE).ok().filter(|_| is_worker_of(name));
    let token = token.and_then(|token| token.parse().ok()).unwrap_or(0);
    // The channels of a seat are there before the worker, so what it would give them does not matter.
    let channels = Channels { name: name.to_owned(), domain: None, limits: [0; 2], token };
    let open = |source: OpenError| ServeError::Open { pool: name.to_owned(), source };
    let gone = |reason: String| ServeError::PoolGone { pool: name.to_owned(), reason };
    let desk = channels.desk().client().map_err(open)?;
    let mut state = initialize();
    let seat = join::<T, O>(&desk, &channels)?;
    let mut parcels = channels.tasks::<T>(seat).receiver().map_err(open)?;
    let mut outputs = channels.outputs::<O>(seat).sender().map_err(open)?;
    let begun = Atomic::open(channels.begun(seat), 0).map_err(open)?;
    tell(&desk, Head { seat, ..Head::of(NoticeKind::Ready) }, &[]).map_err(gone)?;
    let mut done = 0;
    loop {
        let parcel = match parcels.recv_boxed() {
            Ok(Some(parcel)) => parcel,
            Ok(None) => return Ok(done),
            Err(RecvError::SenderDied(peer)) => return Err(gone(format!("{peer} has died"))),
            Err(error) => return Err(gone(error.to_string())),
        };
        let mut tasks = Tasks::<T>::of(&parcel).ok_or_else(|| gone(DAMAGED.to_owned()))?;
        while let Some((number, task)) = tasks.begin(&begun).map_err(gone)? {
            let context = TaskContext { desk: &desk, seat, number, reported_at: Cell::new(None) };
            let output = catch_unwind(AssertUnwindSafe(|| function(&mut state, task, &context)));
            match output {
                Ok(output) => answer(&desk, &mut outputs, seat, number, output.borrow()).map_err(gone)?,
                Err(panic) => {
                    let head = Head { seat, number, ..Head::of(NoticeKind::Panicked) };
                    tell(&desk, head, text_of(&*panic).as_bytes()).map_err(gone)?;
                }
            }
            done += 1;
        }
    }
}

/// What a worker says of tasks that are none.
const DAMAGED: &str = "it has sent what are no tasks";

/// Tasks that have come together.
struct Tasks<T: ?Sized> {
    tasks: Items<T>,
    /// The number of the first of them that is left.
    next: u64,
    /// How many of them, from there on, were begun before: none, or one.
    begun: usize,
}

impl<T: IpcMessage + ?Sized> Tasks<T> {
    /// `None` if the parcel does not hold what it says.
    fn of(parcel: &Parcel) -> Option<Self> {
        let tasks = Items::received(&parcel.words, usize::try_from(parcel.count).ok()?)?;
        Some(Tasks { tasks, next: parcel.first, begun: 0 })
    }

    /// Begins with the next task, if the pool has not taken it back, nor those that come after it. Returns its number too.
    #[inline]
    fn begin(&mut self, begun: &Atomic<u64>) -> Result<Option<(u64, &T)>, String> {
        self.drop_first(self.begun);
        while self.tasks.len() != 0 {
            let number = self.next;
            match begun.compare_exchange(number, number.wrapping_add(1)).map_err(|error| error.to_string())? {
                Ok(_) => {
                    self.begun = 1;
                    self.tasks.check_first().map_err(|invalid| format!("{DAMAGED}: {invalid}"))?;
                    return Ok(Some((number, self.tasks.first())));
                }
                // The pool has counted past it.
                Err(next) if next > number => {
                    let taken = usize::try_from(next - number).unwrap_or(usize::MAX).min(self.tasks.len());
                    self.drop_first(taken);
                }
                Err(_) => return Err(DAMAGED.to_owned()),
            }
        }
        Ok(None)
    }

    fn drop_first(&mut self, count: usize) {
        self.tasks.skip(count);
        self.next += count as u64;
        self.begun = 0;
    }
}

/// Asks for a seat.
fn join<T: IpcMessage + ?Sized, O: IpcMessage + ?Sized>(
    desk: &Client<Notice, Verdict>,
    channels: &Channels,
) -> Result<u32, ServeError> {
    let pool = || channels.name.clone();
    let schemas = [T::SCHEMA, O::SCHEMA].concat();
    let head = Head {
        pid: std::process::id(),
        task_schema_bytes: T::SCHEMA.len() as u32,
        number: channels.token,
        ..Head::of(NoticeKind::Join)
    };
    // A worker may be started before its pool, so it waits for it as long as it takes.
    let verdict = call(desk, head, &schemas, None).map_err(|reason| ServeError::PoolGone { pool: pool(), reason })?;
    if verdict.is_welcome {
        Ok(verdict.seat)
    } else {
        Err(ServeError::Refused { pool: pool(), reason: verdict.reason.to_owned() })
    }
}

/// Sends an output, or tells that it is too large.
#[inline]
fn answer<O: IpcMessage + ?Sized>(
    desk: &Client<Notice, Verdict>,
    outputs: &mut Sender<O>,
    seat: u32,
    number: u64,
    output: &O,
) -> Result<(), String> {
    match outputs.send_copy(output) {
        Ok(()) => Ok(()),
        Err(SendError::TooLarge((), too_large)) => {
            let amounts = [too_large.bytes as u64, too_large.limit as u64];
            tell(desk, Head { seat, number, amounts, ..Head::of(NoticeKind::TooLarge) }, &[])
        }
        Err(error) => Err(error.to_string()),
    }
}

/// All of a notice but its text.
struct Head {
    kind: NoticeKind,
    seat: u32,
    pid: u32,
    task_schema_bytes: u32,
    number: u64,
    amounts: [u64; 2],
}

impl Head {
    const fn of(kind: NoticeKind) -> Self {
        Head { kind, seat: 0, pid: 0, task_schema_bytes: 0, number: 0, amounts: [0; 2] }
    }
}

/// Gives notice, and waits until the pool has taken note.
fn tell(desk: &Client<Notice, Verdict>, head: Head, text: &[u8]) -> Result<(), String> {
    call(desk, head, text, Some(ANSWER_LIMIT)).map(drop)
}

/// Gives notice, and waits for the verdict.
fn call(
    desk: &Client<Notice, Verdict>,
    head: Head,
    text: &[u8],
    limit: Option<Duration>,
) -> Result<Box<Verdict>, String> {
    // Room for the rest of a notice is left.
    let text = &text[..text.len().min(MAX_NOTICE_BYTES - 64)];
    let mut notice = desk.loan_len(text.len()).map_err(|error| error.to_string())?;
    notice.kind = head.kind;
    notice.seat = head.seat;
    notice.pid = head.pid;
    notice.task_schema_bytes = head.task_schema_bytes;
    notice.number = head.number;
    notice.amounts = head.amounts;
    notice.text.copy_from_slice(text);
    let failed = |error: CallError<Notice>| error.to_string();
    let mut pending = notice.submit().map_err(failed)?;
    let Some(limit) = limit else { return pending.wait_boxed().map_err(failed) };
    match pending.wait_ref_timeout(limit) {
        Some(verdict) => verdict.map(|verdict| ipc_core::message::boxed(&*verdict)).map_err(failed),
        None => Err(format!("it has not answered for {limit:?}")),
    }
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "it says nothing that could be shown".to_owned(),
    }
}
