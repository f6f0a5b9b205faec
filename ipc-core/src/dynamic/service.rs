//! The ends of a service whose messages are not known.

use crate::error::{AcceptError, Corrupt, Peer, TooLarge};
use crate::info::ChannelInfo;
use crate::interest::{Interest, Sealed};
use crate::ring::calls::Progress;
use crate::schema::value::ValueError;
use crate::schema::{Schema, Value};
use crate::service::{Acceptor, Answer, Caller, Failure, Fate, Found, GivenUp, Ongoing, Place};
use crate::station::Patience;
use core::fmt;
use core::time::Duration;
use thiserror::Error;

/// What a service takes, and what it gives.
#[derive(Clone, Debug)]
pub(super) struct Schemas {
    pub(super) request: Schema,
    pub(super) reply: Schema,
}

/// Why a call to a service whose messages are not known came to nothing. The request is still the caller's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallValueError {
    /// It is no value of the requests' schema.
    #[error("the value does not fit the service's requests: {0}")]
    Value(#[source] ValueError),
    /// It is longer than the service has room for.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The reply is no valid value of its schema.
    #[error("the reply is invalid: {0}")]
    Invalid(#[source] ValueError),
    /// The server that had taken the call died.
    #[error("the server ({0}) died with the call")]
    ServerDied(Peer),
    /// No server had taken the call, none is left, and this one died. To make the call again does nothing twice.
    #[error("the server ({0}) died, and none is left to take the call")]
    NobodyLeft(Peer),
    /// The server dropped the request without a reply, or the rest of its replies.
    #[error("the server dropped the request without answering it")]
    Dropped,
    /// No reply came in time. The call has been cancelled, and was not taken by any server if `is_untaken`.
    #[error("no reply came in time")]
    Timeout {
        /// Whether no server had taken it, so that to make it again does nothing twice.
        is_untaken: bool,
    },
    /// Every slot of the service is taken by a call that this very client has not waited for.
    #[error("all calls that the service has room for are this client's own: wait for one of them first")]
    Full,
    /// Shared memory is damaged.
    #[error(transparent)]
    Corrupt(Corrupt),
    /// This process was forked from the one that opened the service, and the handle is dead in it.
    #[error("this handle was opened before a fork: open the service again in the child")]
    Forked,
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted,
}

impl From<Failure> for CallValueError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => CallValueError::Timeout { is_untaken: true },
            Failure::Died(peer) => CallValueError::NobodyLeft(peer),
            Failure::Full => CallValueError::Full,
            Failure::Corrupt(corrupt) => CallValueError::Corrupt(corrupt),
            Failure::Forked => CallValueError::Forked,
            Failure::Evicted => CallValueError::Evicted,
        }
    }
}

impl From<Fate> for CallValueError {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Died(peer) => CallValueError::ServerDied(peer),
            Fate::Untaken(peer) => CallValueError::NobodyLeft(peer),
            Fate::Dropped => CallValueError::Dropped,
            Fate::Corrupt(corrupt) => CallValueError::Corrupt(corrupt),
            Fate::Forked => CallValueError::Forked,
            Fate::Evicted => CallValueError::Evicted,
        }
    }
}

/// The calling end of a service, whose requests and replies are [`Value`]s. Its verbs are those of
/// [`Client`](crate::Client).
pub struct Client {
    caller: Caller,
    schemas: Schemas,
}

impl Client {
    pub(super) fn new(caller: Caller, schemas: Schemas) -> Self {
        Client { caller, schemas }
    }

    /// Calls the service, and waits for the reply.
    ///
    /// # Errors
    ///
    /// [`CallValueError::Value`] and [`CallValueError::TooLarge`] before any of it reaches the service; otherwise as for
    /// [`Client::call`](crate::Client::call).
    pub fn call(&self, request: &Value) -> Result<Value, CallValueError> {
        // A wait without a limit ends with a result.
        self.submit(request)?.first(Patience::Forever).unwrap_or(Err(CallValueError::Dropped))
    }

    /// Calls the service, and waits for the reply at most `limit`. A call that was not answered in time is cancelled.
    ///
    /// # Errors
    ///
    /// [`CallValueError::Timeout`]; otherwise as for [`call`](Client::call).
    pub fn call_timeout(&self, request: &Value, limit: Duration) -> Result<Value, CallValueError> {
        let patience = Patience::from_timeout(limit);
        let mut pending = self.start(request, patience)?;
        if let Some(result) = pending.first(patience) {
            return result;
        }
        match pending.ongoing.give_up() {
            GivenUp::Back => Err(CallValueError::Timeout { is_untaken: true }),
            GivenUp::Unheard => Err(CallValueError::Timeout { is_untaken: false }),
            GivenUp::TooLate => pending.first(Patience::None).unwrap_or(Err(CallValueError::Dropped)),
        }
    }

    /// Makes a call, and leaves waiting for the reply to the caller. Waits for a free slot if there is none.
    ///
    /// # Errors
    ///
    /// As for [`call`](Client::call).
    pub fn submit(&self, request: &Value) -> Result<Pending<'_>, CallValueError> {
        self.start(request, Patience::Forever)
    }

    /// What the requests are.
    pub fn schema(&self) -> &Schema {
        &self.schemas.request
    }

    /// What the replies are.
    pub fn reply_schema(&self) -> &Schema {
        &self.schemas.reply
    }

    /// The service as it is.
    pub fn info(&self) -> &ChannelInfo {
        self.caller.info()
    }

    fn start(&self, request: &Value, patience: Patience) -> Result<Pending<'_>, CallValueError> {
        let bytes = encode(&self.schemas.request, request, self.caller.request_room())?;
        let mut ongoing = self.caller.open(patience)?;
        // SAFETY: the slot is this client's own, and `encode` has found room for so many bytes in it.
        unsafe { ongoing.request().put_bytes(&bytes) };
        ongoing.post(patience)?;
        Ok(Pending { ongoing, schema: &self.schemas.reply })
    }
}

/// The bytes of a value, if it is one of the schema and there is room for it.
fn encode(schema: &Schema, value: &Value, room: Place<'_>) -> Result<Vec<u8>, CallValueError> {
    let bytes = usize::try_from(schema.bytes_for(value)).unwrap_or(usize::MAX);
    // Before memory is spent on it. A message of one length has that of its schema.
    let mut encoded = vec![0; room.check_room(bytes)?];
    schema.write(value, &mut encoded).map_err(CallValueError::Value)?;
    Ok(encoded)
}

impl Sealed for Client {
    fn interest(&self) -> Interest {
        self.caller.interest()
    }

    fn look(&mut self) -> bool {
        self.caller.has_slot()
    }

    fn probe(&mut self) -> bool {
        self.caller.probe()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("service", &self.info().name).finish_non_exhaustive()
    }
}

/// A call that has been made. Dropping it cancels the call. An iteration over it gives all the replies that the server sends,
/// and [`wait`](Pending::wait) the first.
#[must_use = "dropping it cancels the call"]
pub struct Pending<'c> {
    ongoing: Ongoing<'c>,
    schema: &'c Schema,
}

impl Pending<'_> {
    /// Waits for the reply.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`].
    pub fn wait(mut self) -> Result<Value, CallValueError> {
        self.first(Patience::Forever).unwrap_or(Err(CallValueError::Dropped))
    }

    /// Waits for the reply at most `limit`. `None` if it has not come, in which case the call goes on, or has come before.
    ///
    /// # Errors
    ///
    /// As for [`Client::call`].
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<Value, CallValueError>> {
        self.first(Patience::from_timeout(limit))
    }

    fn first(&mut self, patience: Patience) -> Option<Result<Value, CallValueError>> {
        let result = self.next_within(patience)?;
        if self.ongoing.is_open() {
            // A stream, of which the rest is of no interest.
            self.ongoing.cancel();
        }
        Some(result.unwrap_or(Err(CallValueError::Dropped)))
    }

    /// The next reply. `None` if the patience is over; `Some(None)` if the server has sent all that it had to send.
    fn next_within(&mut self, patience: Patience) -> Option<Option<Result<Value, CallValueError>>> {
        Some(match self.ongoing.next(patience)? {
            Found::Reply(end) => {
                // SAFETY: a reply has been found, so that its place is this client's.
                let bytes = unsafe { self.ongoing.reply().take_bytes() };
                self.ongoing.finish_reading(end);
                let value = |bytes: Vec<u8>| self.schema.read(&bytes).map_err(CallValueError::Invalid);
                Some(bytes.map_err(CallValueError::Corrupt).and_then(value))
            }
            Found::Finished => None,
            // A request that is back stays so until this is dropped, which frees the slot.
            Found::Failed(fate) => Some(Err(fate.into())),
        })
    }
}

impl Iterator for Pending<'_> {
    type Item = Result<Value, CallValueError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_within(Patience::Forever).flatten()
    }
}

impl Sealed for Pending<'_> {
    fn interest(&self) -> Interest {
        self.ongoing.interest()
    }

    fn look(&mut self) -> bool {
        self.ongoing.is_decided()
    }

    fn probe(&mut self) -> bool {
        self.ongoing.probe_ready()
    }
}

impl fmt::Debug for Pending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("slot", &self.ongoing.slot()).finish_non_exhaustive()
    }
}

/// Why a server whose messages are not known was given no request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcceptValueError {
    /// The request is no valid value of its schema. Its client is told that it was dropped, and the next call goes on after it.
    #[error("a request is invalid and was dropped: {0}")]
    Invalid(#[from] ValueError),
    /// As for a server that knows the type.
    #[error(transparent)]
    Accept(#[from] AcceptError),
}

/// Why a reply was not sent. The client has been told that its request was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyValueError {
    /// It is no value of the replies' schema.
    #[error("the value does not fit the service's replies: {0}")]
    Value(#[from] ValueError),
    /// It is longer than the service has room for.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The answering end of a service, whose requests and replies are [`Value`]s. Its verbs are those of
/// [`Server`](crate::Server).
pub struct Server {
    acceptor: Acceptor,
    schemas: Schemas,
}

impl Server {
    pub(super) fn new(acceptor: Acceptor, schemas: Schemas) -> Self {
        Server { acceptor, schemas }
    }

    /// Takes the next request, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// [`AcceptValueError::Invalid`] if a request is no value of its schema; otherwise as for
    /// [`Server::accept`](crate::Server::accept).
    pub fn accept(&self) -> Result<Option<Request<'_>>, AcceptValueError> {
        self.accept_within(Patience::Forever)
    }

    /// Takes the next request, and waits for one at most `limit`. `None` if there was none.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Server::accept).
    pub fn accept_timeout(&self, limit: Duration) -> Result<Option<Request<'_>>, AcceptValueError> {
        self.accept_within(Patience::from_timeout(limit))
    }

    /// Takes the next request, if there is one now.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Server::accept).
    pub fn try_accept(&self) -> Result<Option<Request<'_>>, AcceptValueError> {
        self.accept_within(Patience::None)
    }

    /// What the requests are.
    pub fn schema(&self) -> &Schema {
        &self.schemas.request
    }

    /// What the replies are.
    pub fn reply_schema(&self) -> &Schema {
        &self.schemas.reply
    }

    /// The service as it is.
    pub fn info(&self) -> &ChannelInfo {
        self.acceptor.info()
    }

    fn accept_within(&self, patience: Patience) -> Result<Option<Request<'_>>, AcceptValueError> {
        // Dropped on the way, it tells the client.
        let Some(answer) = self.acceptor.accept(patience)? else { return Ok(None) };
        // SAFETY: the call has been taken, and its request with it.
        let bytes = unsafe { answer.request().take_bytes() }.map_err(AcceptError::from)?;
        let value = self.schemas.request.read(&bytes)?;
        Ok(Some(Request { answer, value, schema: &self.schemas.reply }))
    }
}

impl Sealed for Server {
    fn interest(&self) -> Interest {
        self.acceptor.interest()
    }

    fn look(&mut self) -> bool {
        self.acceptor.has_call()
    }

    fn probe(&mut self) -> bool {
        self.acceptor.probe()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("service", &self.info().name).finish_non_exhaustive()
    }
}

/// A request that a [`Server`] has taken. Dropping it unanswered tells the client so.
#[must_use = "dropping it leaves the client without a reply"]
pub struct Request<'s> {
    answer: Answer<'s>,
    value: Value,
    schema: &'s Schema,
}

impl Request<'_> {
    /// What is asked.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Sends the reply. `Ok(false)` if the client has died or does not wait for it any longer.
    ///
    /// # Errors
    ///
    /// If it is no value of the replies' schema, or too long. The client is told that the request was dropped.
    pub fn reply(mut self, reply: &Value) -> Result<bool, ReplyValueError> {
        self.put(reply)?;
        Ok(self.answer.say(Progress::ANSWERED))
    }

    /// Sends one reply of several, after which [`finish`](Request::finish) says that this is all. Waits until the client has
    /// read the last one. `Ok(false)` if it has gone.
    ///
    /// # Errors
    ///
    /// As for [`reply`](Request::reply), but that others may follow.
    pub fn reply_part(&mut self, reply: &Value) -> Result<bool, ReplyValueError> {
        if !self.answer.wait_for_place() {
            return Ok(false);
        }
        self.put(reply)?;
        Ok(self.answer.say(Progress { has_reply: true, ..Progress::NONE }))
    }

    /// Says that there are no more replies. `false` if the client has gone before it has heard of it.
    pub fn finish(mut self) -> bool {
        self.answer.finish()
    }

    /// Writes a reply to its place, which is free.
    fn put(&self, reply: &Value) -> Result<(), ReplyValueError> {
        let place = self.answer.reply();
        let bytes = usize::try_from(self.schema.bytes_for(reply)).unwrap_or(usize::MAX);
        let mut encoded = vec![0; place.check_room(bytes)?];
        self.schema.write(reply, &mut encoded)?;
        if !self.answer.is_forked() {
            // SAFETY: the call is this server's, and the place of the reply with it, in which there is room.
            unsafe { place.put_bytes(&encoded) };
        }
        Ok(())
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Request").field(&self.value).finish()
    }
}
