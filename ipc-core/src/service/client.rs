//! The calling end of a service.

use super::desk::{Desk, turn};
use super::pending::{Pending, Replies};
use crate::error::{CallError, Corrupt, Peer};
use crate::info::ChannelInfo;
use crate::layout::Side;
use crate::liveness::{self, Census};
use crate::message::IpcMessage;
use crate::ring::Company;
use crate::ring::calls::Call;
use crate::ring::shared::{self, Producer};
use crate::station::Patience;
use crate::waiting::{self, Sleepers};
use core::cell::{Cell, RefCell};
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// The calling end of a service. Dropping it withdraws what it has not waited for.
///
/// A client may be moved to another thread; threads that call at the same time have a client each. A call that comes
/// before the first server waits for it. So does one that comes when all servers have left of their own will: a service
/// may be restarted without its clients noticing more than a delay. Use [`call_timeout`](Client::call_timeout) where that
/// has to have an end.
pub struct Client<Req, Rep> {
    pub(super) desk: Desk,
    queue: RefCell<Producer>,
    /// Slots that this client had last, which it finds in its own cache.
    spare: RefCell<Vec<u32>>,
    /// Calls of this client that have a slot.
    under_way: Cell<usize>,
    /// Deaths of servers that are known to this client.
    pub(super) deaths: Cell<u64>,
    messages: PhantomData<fn(Req) -> Rep>,
}

/// Why a call could not be made, or came to nothing.
pub(super) enum Failure {
    Timeout,
    /// No server is left, and this one died.
    Died(Peer),
    /// Every slot is taken by a call of this client.
    Full,
    Corrupt(Corrupt),
}

impl<Req: IpcMessage, Rep: IpcMessage> Client<Req, Rep> {
    pub(super) fn new((desk, queue): (Desk, shared::Parts)) -> Self {
        // The queue's ends are never alone: a client that is the only one now would have to be told when it no longer is.
        let queue = Producer::attach(queue, desk.queue_line(), Company::Others);
        let deaths = Cell::new(census(&desk).deaths);
        Client {
            desk,
            queue: RefCell::new(queue),
            spare: RefCell::default(),
            under_way: Cell::new(0),
            deaths,
            messages: PhantomData,
        }
    }

    /// Calls the service, and waits for the reply.
    ///
    /// # Errors
    ///
    /// [`CallError::ServerDied`] if the server that took the call died, or if none has taken it, none is left, and one
    /// died; [`CallError::Dropped`] if the server dropped the request; [`CallError::Corrupt`] if the reply or the segment
    /// is damaged. They give the request back if no server has taken it, so that it may be made again.
    ///
    /// ```
    /// # let service = ipc_core::Service::<u32, u32>::new("call").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let stopper = server.stopper();
    /// # let server = std::thread::spawn(move || server.serve(|number| number + 1));
    /// assert_eq!(client.call(41)?, 42);
    /// # stopper.stop();
    /// # server.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call(&self, request: Req) -> Result<Rep, CallError<Req>> {
        self.submit(request)?.wait()
    }

    /// Calls the service, and waits for the reply at most `limit`. A call that was not answered in time is cancelled.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`], with the request if no server had taken it; otherwise as for [`call`](Client::call).
    pub fn call_timeout(&self, request: Req, limit: Duration) -> Result<Rep, CallError<Req>> {
        let patience = Patience::from_timeout(limit);
        let mut pending = self.start(request, patience)?;
        match pending.advance(patience) {
            Some(result) => result,
            None => pending.give_up(),
        }
    }

    /// Makes a call, and leaves waiting for the reply to the caller, who can make others meanwhile. Waits for a free slot
    /// if there is none.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] if every slot of the service is taken by a call of this very client; otherwise as for
    /// [`call`](Client::call).
    ///
    /// ```
    /// # let service = ipc_core::Service::<u32, u32>::new("submit").domain(format!("doc-{}", std::process::id()));
    /// # let (client, server) = (service.client()?, service.server()?);
    /// # let stopper = server.stopper();
    /// # let server = std::thread::spawn(move || server.serve(|number| number + 1));
    /// let calls = (0..10).map(|number| client.submit(number)).collect::<Result<Vec<_>, _>>()?;
    /// for (number, call) in calls.into_iter().enumerate() {
    ///     assert_eq!(call.wait()?, number as u32 + 1);
    /// }
    /// # stopper.stop();
    /// # server.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit(&self, request: Req) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        self.start(request, Patience::Forever)
    }

    /// As [`submit`](Client::submit), and waits for a free slot at most `limit`.
    ///
    /// # Errors
    ///
    /// [`CallError::Timeout`] with the request if there was none in time; otherwise as for `submit`.
    pub fn submit_timeout(&self, request: Req, limit: Duration) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        self.start(request, Patience::from_timeout(limit))
    }

    /// Makes a call whose server may send many replies (with [`Request::reply_stream`](super::Request::reply_stream)); one
    /// that answers with a single reply is fine, too.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Client::submit).
    pub fn call_stream(&self, request: Req) -> Result<Replies<'_, Req, Rep>, CallError<Req>> {
        self.submit(request).map(Replies::new)
    }

    /// Calls that can be under way at the same time, of all clients together.
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
    fn start(&self, request: Req, patience: Patience) -> Result<Pending<'_, Req, Rep>, CallError<Req>> {
        if self.desk.is_forked() {
            return Err(CallError::Forked(Some(request)));
        }
        let deaths = self.deaths.get();
        let call = match self.claim() {
            Some(call) => call,
            None => match self.wait_for_slot(patience, deaths) {
                Ok(call) => call,
                Err(failure) => return Err(failure.of(request)),
            },
        };
        // From here on dropping it gives the slot back.
        let mut pending = Pending::new(self, call, deaths);
        // SAFETY: the slot is this client's own, with room and alignment for a `Req`, which the geometry ensures.
        unsafe { request.place(self.desk.calls.request(call.index()).as_ptr().cast()) };
        let ticket = self.desk.calls.post(call);
        match self.announce(ticket, patience, deaths) {
            Ok(()) => {
                pending.keep(request);
                Ok(pending)
            }
            Err(failure) => Err(failure.of(request)),
        }
    }

    /// Claims a slot if one is free, those first that this client had last.
    #[inline(always)]
    fn claim(&self) -> Option<Call> {
        let (calls, line) = (&self.desk.calls, self.desk.line());
        let mut spare = self.spare.borrow_mut();
        let mut claimed = None;
        while let Some(index) = spare.pop() {
            claimed = calls.claim(index as usize, line);
            if claimed.is_some() {
                break;
            }
        }
        drop(spare);
        let call = claimed.or_else(|| self.search())?;
        self.under_way.set(self.under_way.get() + 1);
        Some(call)
    }

    /// Looks at all slots, from a place on that differs from client to client.
    #[cold]
    fn search(&self) -> Option<Call> {
        let (calls, line) = (&self.desk.calls, self.desk.line());
        let slots = calls.slots();
        let first = line as usize * slots / desk_places(&self.desk);
        (first..slots).chain(0..first).find_map(|index| calls.claim(index, line))
    }

    #[cold]
    fn wait_for_slot(&self, patience: Patience, deaths: u64) -> Result<Call, Failure> {
        if self.under_way.get() >= self.desk.calls.slots() {
            return Err(Failure::Full);
        }
        let probe = || self.probe_queue(deaths).map(Err);
        let found = self.desk.wait(self.desk.slot_word(), Sleepers::Many, patience, || self.claim().map(Ok), probe);
        found.unwrap_or(Err(Failure::Timeout))
    }

    /// Puts a ticket into the queue, and wakes a server.
    #[inline(always)]
    fn announce(&self, ticket: u64, patience: Patience, deaths: u64) -> Result<(), Failure> {
        let is_done = self.enqueue(ticket).map_err(Failure::Corrupt)?;
        if !is_done {
            self.wait_for_room(ticket, patience, deaths)?;
        }
        waiting::wake_some(self.desk.call_word(), 1);
        Ok(())
    }

    #[inline(always)]
    fn enqueue(&self, ticket: u64) -> Result<bool, Corrupt> {
        let mut queue = self.queue.borrow_mut();
        if !turn(queue.claim(1))? {
            return Ok(false);
        }
        // SAFETY: the cell has been claimed, and its first word holds the ticket.
        let word = unsafe { queue.payload().as_ref() };
        // Relaxed: published by `pass`.
        word.store(ticket, Ordering::Relaxed);
        queue.pass();
        Ok(true)
    }

    /// Waits until the queue has room: it is full of the tickets of calls that were withdrawn, or somebody has died.
    #[cold]
    fn wait_for_room(&self, ticket: u64, patience: Patience, deaths: u64) -> Result<(), Failure> {
        let look = || match self.enqueue(ticket) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(corrupt) => Some(Err(Failure::Corrupt(corrupt))),
        };
        let probe = || self.probe_queue(deaths).map(Err);
        let found = self.desk.wait(self.desk.slot_word(), Sleepers::Many, patience, look, probe);
        found.unwrap_or(Err(Failure::Timeout))
    }

    /// Does what is to be done for the dead while waiting for the queue or the table.
    fn probe_queue(&self, deaths: u64) -> Option<Failure> {
        self.desk.tend();
        self.nobody_left(deaths).map(Failure::Died)
    }

    /// Who died, if no server is left and one has died since `deaths` were known.
    pub(super) fn nobody_left(&self, deaths: u64) -> Option<Peer> {
        let Census { living, deaths: now, fallen } = census(&self.desk);
        self.deaths.set(now);
        if living > 0 || now == deaths {
            return None;
        }
        let first_server = Side::Second.lines_of(self.desk.segment().geometry()).start;
        Some(liveness::last_dead(self.desk.segment(), fallen.unwrap_or(first_server)))
    }

    /// Notes that a call has its slot no more; `is_free` if it is free, and not left to a server.
    #[inline(always)]
    pub(super) fn done(&self, call: Call, is_free: bool) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        if is_free {
            self.spare.borrow_mut().push(call.index() as u32);
            waiting::wake_some(self.desk.slot_word(), 1);
        }
    }
}

impl Failure {
    /// The error of a call that no server has taken.
    fn of<Req>(self, request: Req) -> CallError<Req> {
        match self {
            Failure::Timeout => CallError::Timeout(Some(request)),
            Failure::Died(peer) => CallError::ServerDied(Some(request), peer),
            Failure::Full => CallError::Full(request),
            Failure::Corrupt(corrupt) => CallError::Corrupt(Some(request), corrupt),
        }
    }
}

fn census(desk: &Desk) -> Census {
    liveness::census(desk.segment(), Side::Second.lines_of(desk.segment().geometry()))
}

/// Lines of clients.
fn desk_places(desk: &Desk) -> usize {
    Side::First.lines_of(desk.segment().geometry()).len().max(1)
}

impl<Req, Rep> Drop for Client<Req, Rep> {
    fn drop(&mut self) {
        let Client { desk, queue, .. } = self;
        desk.leave(|| queue.get_mut().detach());
    }
}

impl<Req, Rep> fmt::Debug for Client<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("service", &self.desk.info().name).finish_non_exhaustive()
    }
}
