//! The answering side of a service, without the message types: it takes calls and publishes replies.

use super::desk::{Desk, turn};
use super::place::Place;
use crate::error::{AcceptError, Corrupt};
use crate::info::ChannelInfo;
use crate::interest::Interest;
use crate::os;
use crate::ring::calls::{End, Progress, Taken};
use crate::ring::shared::{self, Consumer};
use crate::ring::{Company, End as _, Turn};
use crate::segment::Segment;
use crate::station::Patience;
use crate::waiting;
use core::cell::RefCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// The answering end of a service.
pub(crate) struct Acceptor {
    desk: Desk,
    queue: RefCell<Consumer>,
    stop: Arc<AtomicBool>,
}

impl Acceptor {
    pub(super) fn new((desk, queue): (Desk, shared::Parts)) -> Self {
        // As for clients: never alone.
        let queue = Consumer::attach(queue, desk.queue_line(), Company::Others);
        Acceptor { desk, queue: RefCell::new(queue), stop: Arc::default() }
    }

    pub(super) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The service as it is.
    pub(crate) fn info(&self) -> &ChannelInfo {
        self.desk.info()
    }

    pub(super) fn stopper(&self) -> Stopper {
        Stopper { stop: self.stop.clone(), segment: self.desk.segment().clone() }
    }

    /// Takes the next call. `None` if there was none in time, or this end has been stopped.
    #[inline(always)]
    pub(crate) fn accept(&self, patience: Patience) -> Result<Option<Answer<'_>>, AcceptError> {
        if self.desk.is_forked() {
            return Err(AcceptError::Forked);
        }
        if self.desk.is_evicted() {
            return Err(AcceptError::Evicted);
        }
        let taken = match self.look() {
            Some(found) => found?,
            None => self.wait(patience)?,
        };
        Ok(taken.map(|taken| self.answer(taken)))
    }

    /// The right to answer a call that this end has taken.
    #[inline(always)]
    pub(crate) fn answer(&self, taken: Taken) -> Answer<'_> {
        Answer { desk: &self.desk, taken, is_open: true }
    }

    /// Takes the next call if there is one, for a task: `None` if there is none, and `None` in it if this end has been
    /// stopped. Whoever takes it [answers](Acceptor::answer) it.
    #[cfg(feature = "async")]
    pub(crate) fn try_take(&self) -> Option<Result<Option<Taken>, AcceptError>> {
        if self.desk.is_forked() {
            return Some(Err(AcceptError::Forked));
        }
        if self.desk.is_evicted() {
            return Some(Err(AcceptError::Evicted));
        }
        self.look().map(|found| found.map_err(AcceptError::from))
    }

    /// Whether there is a call to be taken, by looking alone. It is this end's from then on: another one gets it only
    /// if this one is dropped, or dies, without having taken it.
    pub(crate) fn has_call(&mut self) -> bool {
        // Acquire: as in `look`.
        self.stop.load(Ordering::Acquire) || self.queue.get_mut().look() != Turn::Theirs
    }

    /// Whether there is a call to be taken, or another reason not to wait: R2 of the waiting protocol.
    pub(crate) fn probe(&mut self) -> bool {
        if self.desk.is_forked() || self.desk.is_evicted() {
            return true;
        }
        self.desk.tend();
        self.has_call()
    }

    /// What it takes to wait for a call on this end's behalf.
    pub(crate) fn interest(&self) -> Interest {
        self.desk.interest(self.desk.call_word(), 0..self.desk.segment().geometry().participants)
    }

    /// The next call, or `None` in it if this end has been stopped. `None` if there is none.
    #[inline(always)]
    fn look(&self) -> Option<Result<Option<Taken>, Corrupt>> {
        // Acquire: whoever stops this end may have prepared something for afterwards; pairs with the Release in `stop`.
        if self.stop.load(Ordering::Acquire) {
            return Some(Ok(None));
        }
        self.take().transpose().map(|taken| taken.map(Some))
    }

    /// Takes the call of the next ticket that is not void.
    #[inline(always)]
    fn take(&self) -> Result<Option<Taken>, Corrupt> {
        let mut queue = self.queue.borrow_mut();
        // There are not more tickets than cells, unless others are at it, too.
        for _ in 0..self.desk.calls.slots().saturating_mul(4) {
            if !turn(queue.look())? {
                return Ok(None);
            }
            // SAFETY: the cell has been claimed, and its first word holds the ticket.
            let word = unsafe { queue.payload().as_ref() };
            // Relaxed: acquired by the claim.
            let taken = self.desk.calls.take(word.load(Ordering::Relaxed), self.desk.line());
            queue.pass();
            waiting::wake_some(self.desk.slot_word(), 1);
            if let Some(taken) = taken {
                self.count(taken);
                return Ok(Some(taken));
            }
        }
        Ok(None)
    }

    /// Counts how long the call took to arrive.
    #[inline(always)]
    fn count(&self, taken: Taken) {
        if let Some(time) = self.desk.calls.time(taken.index()) {
            if let Some(histogram) = self.desk.segment().histogram() {
                // Relaxed: acquired with the request.
                histogram.record(time.load(Ordering::Relaxed), os::monotonic_ns());
            }
        }
    }

    #[cold]
    fn wait(&self, patience: Patience) -> Result<Option<Taken>, AcceptError> {
        let look = || self.look().map(|found| found.map_err(AcceptError::from));
        let probe = || {
            self.desk.tend();
            self.desk.is_evicted().then_some(Err(AcceptError::Evicted))
        };
        self.desk.wait(self.desk.call_word(), patience, look, probe).unwrap_or(Ok(None))
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let Acceptor { desk, queue, .. } = self;
        desk.leave(|| queue.get_mut().detach());
    }
}

/// Stops a [`Server`](super::Server), for good: its `serve` returns, and its `accept` and the like return `None`.
/// Requests that it has accepted may still be answered.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    segment: Arc<Segment>,
}

impl Stopper {
    /// Stops the server.
    pub fn stop(&self) {
        // Release: pairs with the Acquire in `Acceptor::look`.
        self.stop.store(true, Ordering::Release);
        waiting::wake(&self.segment.wait_line(0).word);
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("stop", &self.stop).finish_non_exhaustive()
    }
}

/// The right to answer a call. Dropping it tells the client that there is no answer.
pub(crate) struct Answer<'s> {
    desk: &'s Desk,
    taken: Taken,
    /// Whether the call is still this server's.
    is_open: bool,
}

impl<'s> Answer<'s> {
    pub(super) fn desk(&self) -> &'s Desk {
        self.desk
    }

    /// The place of the request, which is this server's.
    #[inline(always)]
    pub(crate) fn request(&self) -> Place<'s> {
        self.desk.request(self.taken.index())
    }

    /// The place of the reply, which is this server's as long as none was sent, and again when
    /// [`wait_for_place`](Answer::wait_for_place) says so.
    #[inline(always)]
    pub(crate) fn reply(&self) -> Place<'s> {
        self.desk.reply(self.taken.index())
    }

    /// Whether what is stored reaches anybody: not in a child that was forked since.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.desk.is_forked()
    }

    /// Says how far the answer has come, and wakes the client. `false` if it has gone; then, and after an end, there is
    /// nothing more to say. The request stays this server's until an end is said, or this is dropped.
    #[inline(always)]
    pub(crate) fn say(&mut self, progress: Progress) -> bool {
        if progress.end != End::Open {
            self.is_open = false;
        }
        if self.desk.is_forked() {
            return false;
        }
        let is_heard = self.desk.calls.answer(self.taken, progress);
        if is_heard {
            waiting::wake(&self.desk.head(self.taken.index()).replies);
        } else if !self.is_open {
            waiting::wake_some(self.desk.slot_word(), 1);
        }
        is_heard
    }

    /// Waits until there is a place for another reply. `false` if the client has gone.
    pub(crate) fn wait_for_place(&self) -> bool {
        self.is_open && self.look_for_place()
    }

    /// Says that the answer is complete, without another reply. `false` if the client has gone.
    pub(crate) fn finish(&mut self) -> bool {
        self.is_open && self.say(Progress { end: End::Finished, ..Progress::NONE })
    }

    fn look_for_place(&self) -> bool {
        if self.desk.is_forked() {
            return false;
        }
        let look = || match self.desk.calls.server_progress(self.taken) {
            Progress::NONE => Some(true),
            Progress { end: End::Open, .. } => None,
            _ => Some(false),
        };
        if let Some(found) = look() {
            return found;
        }
        let probe = || {
            if self.desk.is_gone(self.taken.client()) {
                self.desk.resolve(self.taken.index());
            }
            None
        };
        let word = &self.desk.head(self.taken.index()).room;
        self.desk.wait(word, Patience::Forever, look, probe).unwrap_or(false)
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.say(Progress { end: End::Dropped, ..Progress::NONE });
        }
    }
}
