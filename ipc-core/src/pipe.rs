//! Pipes: two programs, each of which sends to the other.
//!
//! A pipe is two exclusive queues, one for each direction, and an end is the sender of one and the receiver of the
//! other. There is nothing else in shared memory, so everything that holds for queues holds for each direction.
//!
//! ```text
//!   left                    <name>.lr                   right
//!   PipeEnd<A, B>  -- A -->  queue of A  ----------->   PipeEnd<B, A>
//!                  <------   queue of B  <-- B --
//!                            <name>.rl
//! ```
//!
//! # Invariants
//!
//! D1. *An end is taken as a whole or not at all, and by one.* All who want one end take its receiver first and its
//!     sender second, each of which is exclusive. So of two who race, one is refused the receiver and has touched
//!     nothing, and the other one meets nobody at the sender. Who is refused the sender all the same (a left end that
//!     was split, and of which the sender is still in use) gives the receiver back.
//! D2. *Nobody waits for an end while having half of it.* Taking a half is refused rather than waited for, and the left
//!     end and the right end are made of different halves. So no order of opening can end in a deadlock.
//! D3. *An end that cannot be taken leaves no trace with the other side.* To take a sender and give it back would look
//!     like the end of the messages, so the sender is taken last, when nothing can go wrong any more. A receiver that is
//!     given back is noticed only by a sender whose queue is full. What can be known to go wrong beforehand, another
//!     message than this program's in the queue of the sender, is looked at before anything is taken.

use crate::error::{
    LoanError, LoanTimeoutError, OpenError, RecvError, RecvTimeoutError, Role, SendBatchError, SendError,
    SendTimeoutError, TryLoanError, TryRecvError, TrySendError,
};
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::queue::{Iter, Loan, Queue, Received, Receiver, Sender};
use crate::segment::Lifetime;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use crate::segment::PrivateSegment;
use core::time::Duration;

/// Describes a pipe, and opens its ends: the left one sends `A` and receives `B`, the right one the other way round.
///
/// Whichever end is opened first creates both queues, and its options count. What one end sends before the other one
/// is there is delivered to it.
///
/// ```
/// use ipc_core::Pipe;
/// # let domain = format!("doc-{}", std::process::id());
/// let pipe = Pipe::<u32, f64>::new("roots");
/// # let pipe = pipe.domain(&domain);
/// // One program asks ...
/// let mut left = pipe.left()?;
/// left.send(2)?;
/// // ... and another one answers.
/// let mut right = pipe.right()?;
/// let question = right.recv()?.unwrap();
/// right.send(f64::from(question).sqrt())?;
/// assert_eq!(left.recv()?, Some(2f64.sqrt()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pipe<A: ?Sized, B: ?Sized> {
    name: String,
    to_right: Queue<A>,
    to_left: Queue<B>,
}

impl<A: ?Sized, B: ?Sized> Clone for Pipe<A, B> {
    fn clone(&self) -> Self {
        Pipe { name: self.name.clone(), to_right: self.to_right.clone(), to_left: self.to_left.clone() }
    }
}

impl<A: IpcMessage + ?Sized, B: IpcMessage + ?Sized> Pipe<A, B> {
    /// A pipe with this name, for which the rules are those of [`Queue::new`], with at most 125 characters: the queues
    /// are called `<name>.lr` (left to right) and `<name>.rl`.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let to_right = Queue::new(format!("{name}.lr")).spsc();
        let to_left = Queue::new(format!("{name}.rl")).spsc();
        Pipe { name, to_right, to_left }
    }

    /// How many messages fit in each direction, or, where they vary in length, how many bytes: as [`Queue::capacity`].
    pub fn capacity(self, messages: usize) -> Self {
        self.with(|queue| queue.capacity(messages), |queue| queue.capacity(messages))
    }

    /// What becomes of each direction when the last of its two participants leaves.
    ///
    /// With [`Lifetime::Drained`], answers that nobody waited for are given to the next one who takes the end they were
    /// meant for. Where they would be taken for answers to its own questions, choose [`Lifetime::Attached`] and let both
    /// ends go, or have the answers say what they answer.
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        self.with(|queue| queue.lifetime(lifetime), |queue| queue.lifetime(lifetime))
    }

    /// Whether to fault every page in while the pipe is opened: as [`Queue::prefault`].
    pub fn prefault(self, prefault: bool) -> Self {
        self.with(|queue| queue.prefault(prefault), |queue| queue.prefault(prefault))
    }

    /// Whether to have both directions in huge pages: as [`Queue::huge_pages`].
    pub fn huge_pages(self, huge_pages: bool) -> Self {
        self.with(|queue| queue.huge_pages(huge_pages), |queue| queue.huge_pages(huge_pages))
    }

    /// Whether to measure how long messages are on their way, in a histogram for each direction: as
    /// [`Queue::timestamps`].
    pub fn timestamps(self, timestamps: bool) -> Self {
        self.with(|queue| queue.timestamps(timestamps), |queue| queue.timestamps(timestamps))
    }

    /// Who may open both directions: as [`Queue::mode`].
    pub fn mode(self, mode: u32) -> Self {
        self.with(|queue| queue.mode(mode), |queue| queue.mode(mode))
    }

    /// Gives both directions to a group: as [`Queue::group`].
    pub fn group(self, group: impl Into<String>) -> Self {
        let group = group.into();
        self.with(|queue| queue.group(&group), |queue| queue.group(&group))
    }

    /// Whether the ends exchange messages by value only: as [`Queue::hardened`].
    pub fn hardened(self, hardened: bool) -> Self {
        self.with(|queue| queue.hardened(hardened), |queue| queue.hardened(hardened))
    }

    /// Separates this pipe from those of the same name in other domains: as [`Queue::domain`].
    pub fn domain(self, domain: impl Into<String>) -> Self {
        let domain = domain.into();
        self.with(|queue| queue.domain(&domain), |queue| queue.domain(&domain))
    }

    /// Takes the left end, which sends `A` and receives `B`. Nobody needs to be at the right one yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives has the left end, or a half of it; then the pipe is as it was. The
    /// others are those of [`Queue::sender`].
    pub fn left(&self) -> Result<PipeEnd<A, B>, OpenError> {
        self.take(Role::Left, &self.to_right, &self.to_left)
    }

    /// Takes the right end, which sends `B` and receives `A`. Nobody needs to be at the left one yet.
    ///
    /// # Errors
    ///
    /// As for [`left`](Pipe::left).
    pub fn right(&self) -> Result<PipeEnd<B, A>, OpenError> {
        self.take(Role::Right, &self.to_left, &self.to_right)
    }

    /// Removes the pipe, with the messages that are in it. `Ok(false)` if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives takes part in it.
    pub fn remove(&self) -> Result<bool, OpenError> {
        // Both are looked at first, so that a pipe of which one direction is in use keeps the other.
        self.to_right.check_removable()?;
        self.to_left.check_removable()?;
        let removed = [self.to_right.remove()?, self.to_left.remove()?];
        Ok(removed.contains(&true))
    }

    /// Takes an end, in the order of D1 and D3.
    fn take<S: IpcMessage + ?Sized, R: IpcMessage + ?Sized>(
        &self,
        role: Role,
        out: &Queue<S>,
        back: &Queue<R>,
    ) -> Result<PipeEnd<S, R>, OpenError> {
        out.check_message()?;
        let rx = back.receiver().map_err(|error| self.of_end(role, error))?;
        let tx = out.sender().map_err(|error| self.of_end(role, error))?;
        Ok(PipeEnd { tx, rx })
    }

    /// Says of the end what a queue says of a half of it.
    fn of_end(&self, role: Role, error: OpenError) -> OpenError {
        match error {
            OpenError::InUse { peer, .. } => OpenError::InUse { channel: self.name.clone(), role, peer },
            error => error,
        }
    }

    /// The queue to the right, and the one to the left.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(crate) fn queues(&self) -> (&Queue<A>, &Queue<B>) {
        (&self.to_right, &self.to_left)
    }

    /// The same pipe, in segments without names.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(crate) fn in_segments(self, right: PrivateSegment, left: PrivateSegment) -> Self {
        self.with(|queue| queue.in_segment(right), |queue| queue.in_segment(left))
    }

    fn with(
        self,
        to_right: impl FnOnce(Queue<A>) -> Queue<A>,
        to_left: impl FnOnce(Queue<B>) -> Queue<B>,
    ) -> Pipe<A, B> {
        Pipe { name: self.name, to_right: to_right(self.to_right), to_left: to_left(self.to_left) }
    }
}

/// One end of a pipe: sends `S` and receives `R`. Dropping it closes both directions: the other end gets what was sent,
/// and then the end.
///
/// The verbs are those of [`Sender`] and [`Receiver`], where their errors and their costs are described. In particular,
/// what is sent to an end that has closed stays in the pipe for the next one who takes it, and [`send`](PipeEnd::send)
/// fails only when there is no more room.
#[derive(Debug)]
pub struct PipeEnd<S: ?Sized, R: ?Sized> {
    // Dropped first, so that the other end hears of it before this one stops listening.
    tx: Sender<S>,
    rx: Receiver<R>,
}

impl<S: IpcMessage, R: IpcMessage + ?Sized> PipeEnd<S, R> {
    /// Sends a message, and waits for room if there is none: [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send`].
    #[inline(always)]
    pub fn send(&mut self, message: S) -> Result<(), SendError<S>> {
        self.tx.send(message)
    }

    /// Sends a message if there is room now: [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_send`].
    #[inline(always)]
    pub fn try_send(&mut self, message: S) -> Result<(), TrySendError<S>> {
        self.tx.try_send(message)
    }

    /// Sends a message, and waits for room at most `limit`: [`Sender::send_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send_timeout`].
    #[inline(always)]
    pub fn send_timeout(&mut self, message: S, limit: Duration) -> Result<(), SendTimeoutError<S>> {
        self.tx.send_timeout(message, limit)
    }

    /// Sends every message of `messages`, and wakes the other end once: [`Sender::send_batch`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send_batch`].
    pub fn send_batch(&mut self, messages: impl IntoIterator<Item = S>) -> Result<usize, SendBatchError<S>> {
        self.tx.send_batch(messages)
    }

    /// Lends the next slot, to be filled in place: [`Sender::loan`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::loan`].
    pub fn loan(&mut self) -> Result<Loan<'_, S>, LoanError> {
        self.tx.loan()
    }

    /// Lends the next slot if one is free now: [`Sender::try_loan`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_loan`].
    pub fn try_loan(&mut self) -> Result<Loan<'_, S>, TryLoanError> {
        self.tx.try_loan()
    }
}

impl<S: IpcMessage + ?Sized, R: IpcMessage + ?Sized> PipeEnd<S, R> {
    /// Lends room for a message with `len` elements in its tail, to be filled in place: [`Sender::loan_len`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::loan_len`].
    pub fn loan_len(&mut self, len: usize) -> Result<Loan<'_, S>, LoanError> {
        self.tx.loan_len(len)
    }

    /// Lends such room if there is any now: [`Sender::try_loan_len`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_loan_len`].
    pub fn try_loan_len(&mut self, len: usize) -> Result<Loan<'_, S>, TryLoanError> {
        self.tx.try_loan_len(len)
    }

    /// Lends such room, and waits for it at most `limit`: [`Sender::loan_len_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::loan_len_timeout`].
    pub fn loan_len_timeout(&mut self, len: usize, limit: Duration) -> Result<Loan<'_, S>, LoanTimeoutError> {
        self.tx.loan_len_timeout(len, limit)
    }

    /// Sends a copy of a message, which may be of any length: [`Sender::send_copy`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send_copy`].
    pub fn send_copy(&mut self, message: &S) -> Result<(), LoanError> {
        self.tx.send_copy(message)
    }

    /// Sends a copy if there is room now: [`Sender::try_send_copy`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_send_copy`].
    pub fn try_send_copy(&mut self, message: &S) -> Result<(), TryLoanError> {
        self.tx.try_send_copy(message)
    }

    /// Receives a message in place: [`Receiver::recv_ref`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_ref`].
    pub fn recv_ref(&mut self) -> Result<Option<Received<'_, R>>, RecvError> {
        self.rx.recv_ref()
    }

    /// Receives a message in place if there is one now: [`Receiver::try_recv_ref`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::try_recv_ref`].
    pub fn try_recv_ref(&mut self) -> Result<Option<Received<'_, R>>, TryRecvError> {
        self.rx.try_recv_ref()
    }

    /// Receives a message in place, and waits for one at most `limit`: [`Receiver::recv_ref_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_ref_timeout`].
    pub fn recv_ref_timeout(&mut self, limit: Duration) -> Result<Option<Received<'_, R>>, RecvTimeoutError> {
        self.rx.recv_ref_timeout(limit)
    }

    /// Receives a copy of a message of any length: [`Receiver::recv_boxed`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_boxed`].
    pub fn recv_boxed(&mut self) -> Result<Option<Box<R>>, RecvError> {
        self.rx.recv_boxed()
    }

    /// Waits at most `limit` until there is something to receive, a message or the end: [`Receiver::poll`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::poll`].
    pub fn poll(&mut self, limit: Duration) -> Result<bool, RecvError> {
        self.rx.poll(limit)
    }

    /// Both directions at once: to send from one thread while another receives, and for what only the halves have, as
    /// [`Sender::len`], [`Sender::info`] and [`Sender::loan_batch`].
    pub fn halves(&mut self) -> (&mut Sender<S>, &mut Receiver<R>) {
        (&mut self.tx, &mut self.rx)
    }

    /// Takes the end apart, so that each direction can be moved to a thread of its own and closed by itself. The end can
    /// be taken by somebody else when both are closed.
    pub fn split(self) -> (Sender<S>, Receiver<R>) {
        (self.tx, self.rx)
    }
}

impl<S: IpcMessage + ?Sized, R: IpcMessage> PipeEnd<S, R> {
    /// Receives a message, and waits for one if there is none; `Ok(None)` when the other end has closed and everything
    /// it sent was received: [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv`].
    #[inline(always)]
    pub fn recv(&mut self) -> Result<Option<R>, RecvError> {
        self.rx.recv()
    }

    /// Receives a message if there is one now: [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::try_recv`].
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<Option<R>, TryRecvError> {
        self.rx.try_recv()
    }

    /// Receives a message, and waits for one at most `limit`: [`Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_timeout`].
    #[inline(always)]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<R>, RecvTimeoutError> {
        self.rx.recv_timeout(limit)
    }

    /// Appends up to `max` messages to `batch`, and waits for the first: [`Receiver::recv_batch`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_batch`].
    pub fn recv_batch(&mut self, batch: &mut Vec<R>, max: usize) -> Result<usize, RecvError> {
        self.rx.recv_batch(batch, max)
    }

    /// Receives one message after the other, until the end: [`Receiver::iter`].
    pub fn iter(&mut self) -> Iter<'_, R> {
        self.rx.iter()
    }
}

/// Ready when there is something to receive. For the other direction, see [`PipeEnd::halves`].
impl<S: ?Sized, R: ?Sized> Sealed for PipeEnd<S, R> {
    fn interest(&self) -> Interest {
        self.rx.interest()
    }

    fn look(&mut self) -> bool {
        self.rx.look()
    }

    fn probe(&mut self) -> bool {
        self.rx.probe()
    }
}

impl<'a, S: IpcMessage + ?Sized, R: IpcMessage> IntoIterator for &'a mut PipeEnd<S, R> {
    type Item = Result<R, RecvError>;
    type IntoIter = Iter<'a, R>;

    fn into_iter(self) -> Iter<'a, R> {
        self.iter()
    }
}
