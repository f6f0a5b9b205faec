//! Pipes: duplex connections between two programs.
//!
//! A pipe is two exclusive queues, one for each direction. An end is the sender of one queue and the receiver of the
//! other. Nothing else is in shared memory, so each direction has all properties of a queue.
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
//! D1. *An end is opened as a whole or not at all, and by one process.* Opening an end takes its receiver first and its
//!     sender second; both are exclusive. Of two processes that race, one is refused the receiver and has touched
//!     nothing. The other one meets no rival at the sender. If it is refused the sender all the same (that of an end
//!     that was split, and is still in use), it gives the receiver back.
//! D2. *Nobody waits for an end while holding half of it.* Opening a half fails rather than waits, and the left and the
//!     right end consist of different halves. So no order of opening can deadlock.
//! D3. *A failed attempt to open an end is invisible to the other side.* Opening a sender and closing it would look
//!     like end of stream, so the sender is opened last, when nothing can fail any more. Closing the receiver again is
//!     noticed only by a sender whose queue is full. The one failure that can be foreseen, another message type in the
//!     sender's queue, is checked before anything is opened.

use crate::error::{
    LoanError, LoanTimeoutError, OpenError, RecvError, RecvTimeoutError, Role, SendBatchError, SendError,
    SendTimeoutError, TryLoanError, TryRecvError, TrySendError,
};
use crate::interest::{Interest, Sealed};
use crate::message::IpcMessage;
use crate::queue::{Iter, Loan, Queue, Received, Receiver, Sender};
use crate::segment::Lifetime;
use core::time::Duration;

/// A builder for the two ends of a pipe. The left end sends `A` and receives `B`; the right end does the reverse.
///
/// The first end to be opened creates both queues with this builder's options. Messages that one end sends before the
/// other one is opened are delivered to it.
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

impl<A: ?Sized, B: ?Sized> Pipe<A, B> {
    /// A pipe with this name and the default options.
    ///
    /// The rules for the name are those of [`Queue::new`], with at most 125 characters: the queues are called
    /// `<name>.lr` (left to right) and `<name>.rl`.
    pub fn new(name: impl Into<String>) -> Self
    where
        A: IpcMessage,
        B: IpcMessage,
    {
        let name = name.into();
        let [to_right, to_left] = queue_names(&name);
        Pipe { name, to_right: Queue::new(to_right).spsc(), to_left: Queue::new(to_left).spsc() }
    }

    /// Sets the capacity of each direction: see [`Queue::capacity`].
    pub fn capacity(self, messages: usize) -> Self {
        self.with(|queue| queue.capacity(messages), |queue| queue.capacity(messages))
    }

    /// Sets what happens to each direction when its last participant leaves.
    ///
    /// With [`Lifetime::Drained`], replies that nobody received go to the next program that opens that end. If it could
    /// mistake them for replies to its own requests, choose [`Lifetime::Attached`] and close both ends, or number the
    /// requests.
    pub fn lifetime(self, lifetime: Lifetime) -> Self {
        self.with(|queue| queue.lifetime(lifetime), |queue| queue.lifetime(lifetime))
    }

    /// Sets whether opening the pipe faults in all of its pages: see [`Queue::prefault`].
    pub fn prefault(self, prefault: bool) -> Self {
        self.with(|queue| queue.prefault(prefault), |queue| queue.prefault(prefault))
    }

    /// Sets whether to ask for huge pages: see [`Queue::huge_pages`].
    pub fn huge_pages(self, huge_pages: bool) -> Self {
        self.with(|queue| queue.huge_pages(huge_pages), |queue| queue.huge_pages(huge_pages))
    }

    /// Sets whether to measure the latency of messages, in a histogram for each direction: see [`Queue::timestamps`].
    pub fn timestamps(self, timestamps: bool) -> Self {
        self.with(|queue| queue.timestamps(timestamps), |queue| queue.timestamps(timestamps))
    }

    /// Sets who may open the pipe: see [`Queue::mode`].
    pub fn mode(self, mode: u32) -> Self {
        self.with(|queue| queue.mode(mode), |queue| queue.mode(mode))
    }

    /// Gives a group access to the pipe: see [`Queue::group`].
    pub fn group(self, group: impl Into<String>) -> Self {
        let group = group.into();
        self.with(|queue| queue.group(&group), |queue| queue.group(&group))
    }

    /// Sets whether the ends exchange messages by value only: see [`Queue::hardened`].
    pub fn hardened(self, hardened: bool) -> Self {
        self.with(|queue| queue.hardened(hardened), |queue| queue.hardened(hardened))
    }

    /// Sets another name, by the rules of [`new`](Pipe::new), and keeps the options: see [`Queue::name`].
    pub fn name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        let [to_right, to_left] = queue_names(&name);
        let renamed = self.with(|queue| queue.name(to_right), |queue| queue.name(to_left));
        Pipe { name, ..renamed }
    }

    /// Sets the domain: see [`Queue::domain`].
    pub fn domain(self, domain: impl Into<String>) -> Self {
        let domain = domain.into();
        self.with(|queue| queue.domain(&domain), |queue| queue.domain(&domain))
    }

    /// Opens the left end, which sends `A` and receives `B`. It does not need the right end to be open yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if a live participant has the left end, or half of it. Otherwise as for [`Queue::sender`].
    /// The pipe is unchanged after an error.
    pub fn left(&self) -> Result<PipeEnd<A, B>, OpenError>
    where
        A: IpcMessage,
        B: IpcMessage,
    {
        self.take(Role::Left, &self.to_right, &self.to_left)
    }

    /// Opens the right end, which sends `B` and receives `A`. It does not need the left end to be open yet.
    ///
    /// # Errors
    ///
    /// As for [`left`](Pipe::left).
    pub fn right(&self) -> Result<PipeEnd<B, A>, OpenError>
    where
        A: IpcMessage,
        B: IpcMessage,
    {
        self.take(Role::Right, &self.to_left, &self.to_right)
    }

    /// Removes the pipe and all messages in it. Returns `Ok(false)` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if the pipe has a live participant.
    pub fn remove(&self) -> Result<bool, OpenError> {
        // Both are looked at first, so that a pipe of which one direction is in use keeps the other.
        self.to_right.check_removable()?;
        self.to_left.check_removable()?;
        let removed = [self.to_right.remove()?, self.to_left.remove()?];
        Ok(removed.contains(&true))
    }

    /// Opens an end, in the order of D1 and D3.
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

    /// The same, for changing them.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    pub(crate) fn queues_mut(&mut self) -> (&mut Queue<A>, &mut Queue<B>) {
        (&mut self.to_right, &mut self.to_left)
    }

    fn with(
        self,
        to_right: impl FnOnce(Queue<A>) -> Queue<A>,
        to_left: impl FnOnce(Queue<B>) -> Queue<B>,
    ) -> Pipe<A, B> {
        Pipe { name: self.name, to_right: to_right(self.to_right), to_left: to_left(self.to_left) }
    }
}

/// The names of a pipe's two queues: the one to the right, and the one to the left.
fn queue_names(pipe: &str) -> [String; 2] {
    [format!("{pipe}.lr"), format!("{pipe}.rl")]
}

/// One end of a pipe. It sends `S` and receives `R`.
///
/// Dropping an end closes both directions. The other end still gets every message that was sent, and then end of
/// stream.
///
/// The methods are those of [`Sender`] and [`Receiver`], which document the errors and the costs. Messages for an end
/// that has closed stay in the pipe for the next program that opens it; [`send`](PipeEnd::send) fails only when the
/// pipe is full.
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

    /// Sends a message without waiting: [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_send`].
    #[inline(always)]
    pub fn try_send(&mut self, message: S) -> Result<(), TrySendError<S>> {
        self.tx.try_send(message)
    }

    /// Sends a message, and waits for room for at most `limit`: [`Sender::send_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send_timeout`].
    #[inline(always)]
    pub fn send_timeout(&mut self, message: S, limit: Duration) -> Result<(), SendTimeoutError<S>> {
        self.tx.send_timeout(message, limit)
    }

    /// Sends all of `messages` in order, and wakes the other end once: [`Sender::send_batch`].
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

    /// Lends the next slot without waiting: [`Sender::try_loan`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_loan`].
    pub fn try_loan(&mut self) -> Result<Loan<'_, S>, TryLoanError> {
        self.tx.try_loan()
    }

    /// Lends the next slot, and waits for one at most `limit`: [`Sender::loan_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::loan_timeout`].
    pub fn loan_timeout(&mut self, limit: Duration) -> Result<Loan<'_, S>, LoanTimeoutError> {
        self.tx.loan_timeout(limit)
    }
}

impl<S: IpcMessage + ?Sized, R: IpcMessage + ?Sized> PipeEnd<S, R> {
    /// Lends room for a message whose tail has `len` items, to be filled in place: [`Sender::loan_len`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::loan_len`].
    pub fn loan_len(&mut self, len: usize) -> Result<Loan<'_, S>, LoanError> {
        self.tx.loan_len(len)
    }

    /// Lends room without waiting: [`Sender::try_loan_len`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::try_loan_len`].
    pub fn try_loan_len(&mut self, len: usize) -> Result<Loan<'_, S>, TryLoanError> {
        self.tx.try_loan_len(len)
    }

    /// Lends room, and waits for it for at most `limit`: [`Sender::loan_len_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::loan_len_timeout`].
    pub fn loan_len_timeout(&mut self, len: usize, limit: Duration) -> Result<Loan<'_, S>, LoanTimeoutError> {
        self.tx.loan_len_timeout(len, limit)
    }

    /// Sends a copy of a message of any length: [`Sender::send_copy`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send_copy`].
    pub fn send_copy(&mut self, message: &S) -> Result<(), LoanError> {
        self.tx.send_copy(message)
    }

    /// Sends a copy, and waits for room at most `limit`: [`Sender::send_copy_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Sender::send_copy_timeout`].
    pub fn send_copy_timeout(&mut self, message: &S, limit: Duration) -> Result<(), LoanTimeoutError> {
        self.tx.send_copy_timeout(message, limit)
    }

    /// Sends a copy of a message of any length without waiting: [`Sender::try_send_copy`].
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

    /// Receives a message in place without waiting: [`Receiver::try_recv_ref`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::try_recv_ref`].
    pub fn try_recv_ref(&mut self) -> Result<Option<Received<'_, R>>, TryRecvError> {
        self.rx.try_recv_ref()
    }

    /// Receives a message in place, and waits for one for at most `limit`: [`Receiver::recv_ref_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_ref_timeout`].
    pub fn recv_ref_timeout(&mut self, limit: Duration) -> Result<Option<Received<'_, R>>, RecvTimeoutError> {
        self.rx.recv_ref_timeout(limit)
    }

    /// Receives a message of any length by value: [`Receiver::recv_boxed`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_boxed`].
    pub fn recv_boxed(&mut self) -> Result<Option<Box<R>>, RecvError> {
        self.rx.recv_boxed()
    }

    /// Receives a copy of a message of any length if there is one now: [`Receiver::try_recv_boxed`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::try_recv_boxed`].
    pub fn try_recv_boxed(&mut self) -> Result<Option<Box<R>>, TryRecvError> {
        self.rx.try_recv_boxed()
    }

    /// Receives a copy of a message of any length, and waits for one at most `limit`: [`Receiver::recv_boxed_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_boxed_timeout`].
    pub fn recv_boxed_timeout(&mut self, limit: Duration) -> Result<Option<Box<R>>, RecvTimeoutError> {
        self.rx.recv_boxed_timeout(limit)
    }

    /// Waits for at most `limit` until a message, or end of stream, can be received: [`Receiver::poll`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::poll`].
    pub fn poll(&mut self, limit: Duration) -> Result<bool, RecvError> {
        self.rx.poll(limit)
    }

    /// An end of the halves that [`split`](PipeEnd::split) has made of it.
    #[cfg(feature = "async")]
    pub(crate) fn of_halves(tx: Sender<S>, rx: Receiver<R>) -> Self {
        PipeEnd { tx, rx }
    }

    /// Borrows the two halves: to send in one thread while another one receives, and for the methods that only they
    /// have, such as [`Sender::len`], [`Sender::info`] and [`Sender::loan_batch`].
    pub fn halves(&mut self) -> (&mut Sender<S>, &mut Receiver<R>) {
        (&mut self.tx, &mut self.rx)
    }

    /// Splits the end into its two halves, which can move to different threads and be closed separately. Another
    /// process can open the end when both are closed.
    ///
    /// ```
    /// # let pipe = ipc_core::Pipe::<u32, u32>::new("split").domain(format!("doc-{}", std::process::id()));
    /// let (mut requests, mut replies) = pipe.left()?.split();
    /// let mut right = pipe.right()?;
    /// requests.send(7)?;
    /// drop(requests);
    /// while let Some(number) = right.recv()? {
    ///     right.send(number + 1)?;
    /// }
    /// assert_eq!(replies.recv()?, Some(8));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split(self) -> (Sender<S>, Receiver<R>) {
        (self.tx, self.rx)
    }
}

impl<S: IpcMessage + ?Sized, R: IpcMessage> PipeEnd<S, R> {
    /// Receives a message, and waits for one if there is none: [`Receiver::recv`]. Returns `Ok(None)` at end of stream.
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv`].
    #[inline(always)]
    pub fn recv(&mut self) -> Result<Option<R>, RecvError> {
        self.rx.recv()
    }

    /// Receives a message without waiting: [`Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::try_recv`].
    #[inline(always)]
    pub fn try_recv(&mut self) -> Result<Option<R>, TryRecvError> {
        self.rx.try_recv()
    }

    /// Receives a message, and waits for one for at most `limit`: [`Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// As for [`Receiver::recv_timeout`].
    #[inline(always)]
    pub fn recv_timeout(&mut self, limit: Duration) -> Result<Option<R>, RecvTimeoutError> {
        self.rx.recv_timeout(limit)
    }

    /// Appends up to `max` messages to `batch`, and waits for the first one: [`Receiver::recv_batch`].
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
