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
use crate::layout::{KIND_SERVICE, LINE_BYTES, Side};
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::ring::calls::MAX_LINES;
use crate::segment::{self, Lifetime, Pages, ReplySpec, Spec};
use crate::station;
use core::marker::PhantomData;
use desk::Desk;

/// Places for clients, and as many for servers.
const PLACES: u32 = 64;

const _: () = assert!(2 * PLACES <= MAX_LINES, "calls can tell all participants apart");

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
    capacity: Option<usize>,
    lifetime: Lifetime,
    pages: Pages,
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
            capacity: None,
            lifetime: Lifetime::default(),
            pages: Pages::default(),
            messages: PhantomData,
        }
    }

    /// How many calls can be under way at the same time, from 1 to 32,768; 256 by default. A client that wants to make
    /// another one waits.
    ///
    /// Each takes the request and the reply, in at least 128 bytes, and 128 bytes of the queue.
    pub fn capacity(mut self, calls: usize) -> Self {
        self.capacity = Some(calls);
        self
    }

    /// What becomes of the service's segment when the last participant leaves. Since a request means nothing without its
    /// client, every call has been delivered then, and [`Lifetime::Drained`] does the same as [`Lifetime::Attached`].
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Whether to fault every page of the segment in while the service is opened, as [`Queue::prefault`](crate::Queue::prefault).
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.pages.prefault = Some(prefault);
        self
    }

    /// Whether to have the segment in huge pages, as [`Queue::huge_pages`](crate::Queue::huge_pages).
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.pages.huge = huge_pages;
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
        segment::remove(&name, |segment| station::check_unused(segment, [Role::Client, Role::Server]))
    }

    fn spec(&self) -> Result<Spec, OpenError> {
        let mut spec =
            Spec::new::<Req>(SegmentName::new(self.domain.as_deref(), &self.name)?, KIND_SERVICE, [PLACES; 2])?;
        check_reply::<Rep>()?;
        spec.reply = Some(ReplySpec {
            message: Rep::NAME,
            bytes: size_of::<Rep>(),
            align: align_of::<Rep>(),
            schema: Rep::SCHEMA,
            fingerprint: Rep::FINGERPRINT,
        });
        (spec.capacity, spec.lifetime, spec.pages) = (self.capacity, self.lifetime, self.pages);
        Ok(spec)
    }
}

/// Refuses what cannot be a reply; `Spec::new` has refused the same in a request.
fn check_reply<T: IpcMessage>() -> Result<(), OpenError> {
    let refuse = |rule| Err(OpenError::Message { message: T::NAME, rule });
    if size_of::<T>() == 0 {
        return refuse("it has no bytes; give it a field, of type u8 if nothing else comes to mind");
    }
    if align_of::<T>() > LINE_BYTES {
        return refuse("it is aligned to more than 128 bytes; lower its `align`");
    }
    Ok(())
}
