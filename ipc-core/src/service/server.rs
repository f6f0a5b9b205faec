//! The answering end of a service.

use super::desk::{self, Desk, turn};
use super::request::Request;
use crate::error::{AcceptError, Corrupt};
use crate::info::ChannelInfo;
use crate::message::IpcMessage;
use crate::ring::Company;
use crate::ring::calls::Taken;
use crate::ring::shared::{self, Consumer};
use crate::segment::Segment;
use crate::station::Patience;
use crate::waiting::{self, Sleepers};
use core::cell::RefCell;
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;

/// The answering end of a service. Dropping it leaves the service to the other servers, and to those that come.
///
/// A server may be moved to another thread; threads that answer at the same time have a server each. Several requests can
/// be accepted and be answered in any order.
///
/// A service outlives its clients, unlike a queue, whose receivers hear of it when the last sender has left: a server that
/// has nobody to answer waits for the next client. A [`Stopper`] ends the wait.
pub struct Server<Req, Rep> {
    pub(super) desk: Desk,
    queue: RefCell<Consumer>,
    stop: Arc<AtomicBool>,
    messages: PhantomData<fn(Req) -> Rep>,
}

impl<Req: IpcMessage, Rep: IpcMessage> Server<Req, Rep> {
    pub(super) fn new((desk, queue): (Desk, shared::Parts)) -> Self {
        // As for clients: never alone.
        let queue = Consumer::attach(queue, desk.queue_line(), Company::Others);
        Server { desk, queue: RefCell::new(queue), stop: Arc::default(), messages: PhantomData }
    }

    /// Answers every request with what `handler` makes of it, until a [`Stopper`] stops it.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Corrupt`] if a request is no valid value (its client is told that it was dropped, and `serve` may be
    /// called again), or the segment is damaged.
    pub fn serve(&self, mut handler: impl FnMut(Req) -> Rep) -> Result<(), AcceptError> {
        while let Some(request) = self.accept()? {
            request.reply_with(&mut handler);
        }
        Ok(())
    }

    /// Takes the next request, and waits for one if there is none. `None` when a [`Stopper`] has stopped this server.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    ///
    /// ```
    /// # let service = ipc_core::Service::<u32, u32>::new("accept").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let call = client.submit(4)?;
    /// if let Some(request) = server.accept()? {
    ///     let number = *request;
    ///     request.reply(number * number);
    /// }
    /// # assert_eq!(call.wait()?, 16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn accept(&self) -> Result<Option<Request<'_, Req, Rep>>, AcceptError> {
        self.accept_within(Patience::Forever)
    }

    /// Takes the next request, and waits for one at most `limit`. `None` if there was none.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn accept_timeout(&self, limit: Duration) -> Result<Option<Request<'_, Req, Rep>>, AcceptError> {
        self.accept_within(Patience::from_timeout(limit))
    }

    /// Takes the next request, if there is one now.
    ///
    /// # Errors
    ///
    /// As for [`serve`](Server::serve).
    pub fn try_accept(&self) -> Result<Option<Request<'_, Req, Rep>>, AcceptError> {
        self.accept_within(Patience::None)
    }

    /// What stops this server, from another thread or from a signal handler.
    pub fn stopper(&self) -> Stopper {
        Stopper { stop: self.stop.clone(), segment: self.desk.segment().clone() }
    }

    /// Calls that can be under way at the same time.
    pub fn capacity(&self) -> usize {
        self.desk.calls.slots()
    }

    /// Calls that have a slot, of all clients together, as far as can be seen at this moment.
    #[expect(clippy::len_without_is_empty, reason = "an emptiness that may be over when it is reported helps nobody")]
    pub fn len(&self) -> usize {
        self.desk.calls.in_use()
    }

    /// The service as it is, beside what was asked for.
    pub fn info(&self) -> &ChannelInfo {
        self.desk.info()
    }

    #[inline(always)]
    fn accept_within(&self, patience: Patience) -> Result<Option<Request<'_, Req, Rep>>, AcceptError> {
        if self.desk.is_forked() {
            return Err(AcceptError::Forked);
        }
        let taken = match self.look() {
            Some(found) => found?,
            None => self.wait(patience)?,
        };
        let Some(taken) = taken else { return Ok(None) };
        // SAFETY: the call has been taken, and its request with it; the geometry says that it is laid out for a `Req`.
        let copy = |desk: &Desk| unsafe { desk::copy_out(desk.calls.request(taken.index())) };
        Ok(Some(Request::new(self, taken, copy)?))
    }

    /// The next call, or `None` in it if this server has been stopped. `None` if there is none.
    #[inline(always)]
    fn look(&self) -> Option<Result<Option<Taken>, Corrupt>> {
        // Acquire: whoever stops this server may have prepared something for afterwards; pairs with the Release in `stop`.
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
            if !turn(queue.claim())? {
                return Ok(None);
            }
            // SAFETY: the cell has been claimed, and its first word holds the ticket.
            let word = unsafe { queue.payload().as_ref() };
            // Relaxed: acquired by `claim`.
            let taken = self.desk.calls.take(word.load(Ordering::Relaxed), self.desk.line());
            queue.pass();
            waiting::wake_some(self.desk.slot_word(), 1);
            if taken.is_some() {
                return Ok(taken);
            }
        }
        Ok(None)
    }

    #[cold]
    fn wait(&self, patience: Patience) -> Result<Option<Taken>, Corrupt> {
        let probe = || {
            self.desk.tend();
            None
        };
        let found = self.desk.wait(self.desk.call_word(), Sleepers::Many, patience, || self.look(), probe);
        found.unwrap_or(Ok(None))
    }
}

impl<Req, Rep> Drop for Server<Req, Rep> {
    fn drop(&mut self) {
        let Server { desk, queue, .. } = self;
        desk.leave(|| queue.get_mut().detach());
    }
}

impl<Req, Rep> fmt::Debug for Server<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("service", &self.desk.info().name).finish_non_exhaustive()
    }
}

/// Stops a [`Server`], for good: its `serve` returns, and its `accept` and the like return `None`. Requests that it has
/// accepted may still be answered.
#[derive(Clone)]
pub struct Stopper {
    stop: Arc<AtomicBool>,
    segment: Arc<Segment>,
}

impl Stopper {
    /// Stops the server.
    pub fn stop(&self) {
        // Release: pairs with the Acquire in `Server::look`.
        self.stop.store(true, Ordering::Release);
        waiting::wake(&self.segment.wait_line(0).word);
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("stop", &self.stop).finish_non_exhaustive()
    }
}
