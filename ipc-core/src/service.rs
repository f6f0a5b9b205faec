//! Services: requests and their replies, between any number of clients and servers.
//!
//! A client writes its request into a slot of a table (`ring/calls.rs`) and puts a ticket for it into a queue
//! (`ring/shared.rs`); the first server that is free takes the ticket, and with it the call; the reply goes into the same
//! slot. The way of a call: [`Client::call`] -> `Calls::claim` -> [`IpcMessage::place`] -> `Calls::post` ->
//! `Producer::pass`, and back: [`Request::reply`] -> [`IpcMessage::place`] -> `Calls::answer`.
//!
//! # What a call costs
//!
//! One cache line there and back is the least that a round trip can take. With requests of up to 48 bytes and replies of
//! up to 56, the lines that change hands in a call are
//!
//! - the cell of the queue, twice: the client looks whether it is free, the server polls it;
//! - the request's line, which the server takes with one locked swap: the ticket says what the word has to be, so there is
//!   no load before it;
//! - the reply's line, which the client polls, and which comes with the reply;
//! - the request's line again, when the client frees the slot; it goes on meanwhile, as nothing waits for that.
//!
//! The counters of the queue, the records and the words that say whether somebody sleeps stay with those who use them, as
//! long as there is one client and one server.

mod client;
mod desk;
mod pending;
mod request;
mod server;

pub use client::Client;
pub use pending::{Pending, Replies};
pub use request::{ReplyStream, Request};
pub use server::{Server, Stopper};

use crate::error::{OpenError, Role};
#[cfg(doc)]
use crate::info::ChannelInfo;
use crate::layout::{KIND_SERVICE, LINE_BYTES};
use crate::liveness;
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::segment::{self, Lifetime, ReplySpec, Spec};
use crate::station::Side;
use core::marker::PhantomData;
use desk::Desk;

/// Calls that are under way at the same time, unless somebody says otherwise.
const DEFAULT_CALLS: usize = 256;

/// Places for clients, and as many for servers.
const PLACES: u32 = 64;

/// Describes a service, and opens its ends.
///
/// Whichever end is opened first creates the service, and its options count; the others join what they find, and
/// [`ChannelInfo`] tells where that differs from what was asked for. There are places for 64 clients and 64 servers.
///
/// ```
/// use ipc_core::Service;
/// # let domain = format!("doc-{}", std::process::id());
/// let service = Service::<u32, u64>::new("square");
/// # let service = service.domain(&domain);
/// let server = service.server()?;
/// let stopper = server.stopper();
/// std::thread::scope(|scope| {
///     let server = scope.spawn(move || server.serve(|number| u64::from(number).pow(2)));
///     let client = service.client()?;
///     assert_eq!(client.call(12)?, 144);
///     stopper.stop();
///     server.join().expect("the server does not panic")?;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Service<Req, Rep> {
    name: String,
    domain: Option<String>,
    capacity: usize,
    requested_capacity: Option<usize>,
    lifetime: Lifetime,
    messages: PhantomData<fn(Req) -> Rep>,
}

impl<Req, Rep> Clone for Service<Req, Rep> {
    fn clone(&self) -> Self {
        Service { name: self.name.clone(), domain: self.domain.clone(), ..*self }
    }
}

impl<Req: IpcMessage, Rep: IpcMessage> Service<Req, Rep> {
    /// A service with this name, for which the rules of [`Queue::new`](crate::Queue::new) hold.
    pub fn new(name: impl Into<String>) -> Self {
        Service {
            name: name.into(),
            domain: None,
            capacity: DEFAULT_CALLS,
            requested_capacity: None,
            lifetime: Lifetime::default(),
            messages: PhantomData,
        }
    }

    /// How many calls can be under way at the same time, from 1 to 32,768; 256 by default. A client that wants to make
    /// another one waits.
    ///
    /// Each takes the request and the reply, in at least 128 bytes, and 128 bytes of the queue.
    pub fn capacity(mut self, calls: usize) -> Self {
        (self.capacity, self.requested_capacity) = (calls, Some(calls));
        self
    }

    /// What becomes of the service's segment when the last participant leaves. Since a request means nothing without its
    /// client, every call has been delivered then, and [`Lifetime::Drained`] does the same as [`Lifetime::Attached`].
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Separates this service from those of the same name in other domains, as [`Queue::domain`](crate::Queue::domain).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opens an end that calls. There need not be a server yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::Mismatch`] if the service has another request or reply, [`OpenError::TableFull`] if there are 64
    /// clients already, and the other [`OpenError`]s as they say.
    pub fn client(&self) -> Result<Client<Req, Rep>, OpenError> {
        Desk::open(&self.spec()?, Side::First, Role::Client).map(Client::new)
    }

    /// Opens an end that answers. There need not be a client yet.
    ///
    /// # Errors
    ///
    /// As for [`client`](Service::client), with 64 servers.
    pub fn server(&self) -> Result<Server<Req, Rep>, OpenError> {
        Desk::open(&self.spec()?, Side::Second, Role::Server).map(Server::new)
    }

    /// Removes the service. `Ok(false)` if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives takes part in it.
    pub fn remove(&self) -> Result<bool, OpenError> {
        let name = SegmentName::new(self.domain.as_deref(), &self.name)?;
        segment::remove(&name, |segment| match liveness::first_living(segment) {
            None => Ok(()),
            Some((index, peer)) => {
                let is_first = index < segment.geometry().first_role;
                let role = if is_first { Role::Client } else { Role::Server };
                Err(OpenError::InUse { channel: self.name.clone(), role, peer })
            }
        })
    }

    fn spec(&self) -> Result<Spec, OpenError> {
        check_message::<Req>()?;
        check_message::<Rep>()?;
        Ok(Spec {
            name: SegmentName::new(self.domain.as_deref(), &self.name)?,
            kind: KIND_SERVICE,
            message: Req::NAME,
            message_bytes: size_of::<Req>(),
            message_align: align_of::<Req>(),
            schema: Req::SCHEMA,
            fingerprint: Req::FINGERPRINT,
            reply: Some(ReplySpec {
                message: Rep::NAME,
                bytes: size_of::<Rep>(),
                align: align_of::<Rep>(),
                schema: Rep::SCHEMA,
                fingerprint: Rep::FINGERPRINT,
            }),
            capacity: Some(self.capacity),
            roles: [PLACES; 2],
            lifetime: self.lifetime,
            history: 0,
            evict_after: None,
            flags: 0,
        })
    }
}

fn check_message<T: IpcMessage>() -> Result<(), OpenError> {
    let refuse = |rule| Err(OpenError::Message { message: T::NAME, rule });
    if size_of::<T>() == 0 {
        return refuse("it has no bytes; give it a field, of type u8 if nothing else comes to mind");
    }
    if align_of::<T>() > LINE_BYTES {
        return refuse("it is aligned to more than 128 bytes; lower its `align`");
    }
    Ok(())
}
