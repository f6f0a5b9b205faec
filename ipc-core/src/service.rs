//! Services: requests and their replies, between any number of clients and servers.
//!
//! A client writes its request into a slot of a table (`ring/calls.rs`) and puts a ticket for it into a queue
//! (`ring/shared.rs`); the first server that is free takes the ticket, and with it the call; the reply goes into the same
//! slot. The way of a call: [`Client::call`] -> `Calls::claim` -> [`IpcMessage::place`] -> `Calls::post` ->
//! `Producer::pass`, and back: [`Request::reply`] -> [`IpcMessage::place`] -> `Calls::answer`.
//!
//! Requests and replies may vary in length, each for itself. A slot has room for the longest of either that the service was
//! created for, so a message never has to wait for room of its own, and what was proven of the table holds for all of them.
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
//! - the request's line again, when the client frees the slot.
//!
//! The counters of the queue, the records and the words that say whether somebody sleeps stay with those who use them, as
//! long as there is one client and one server.
//!
//! A locked instruction waits for all stores before it, and nothing after it is loaded before it is done. So lines are asked
//! for ahead, where it is known that they will be needed: while a client waits for a reply, the lines of the slot that it will
//! use next (it has two in turn, `spare.rs`); with the stamp, the beginning of the reply; and before the swap that takes a
//! call, the rest of the request.

mod answer;
mod caller;
mod client;
mod desk;
mod draft;
mod pending;
mod place;
mod request;
mod server;
mod spare;

pub use answer::Stopper;
pub(crate) use answer::{Acceptor, Answer};
pub(crate) use caller::{Caller, Failure, Fate, Found, GivenUp, Ongoing};
pub use client::{Client, RequestLoan};
pub use pending::{Pending, Replies, Reply};
pub(crate) use place::Place;
pub use request::{InPlace, ReplyLoan, ReplyStream, Request};
pub use server::Server;

use crate::error::{OpenError, Role};
#[cfg(doc)]
use crate::info::ChannelInfo;
use crate::layout::{FLAG_TIMESTAMPS, KIND_SERVICE, Side};
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::ring::calls::MAX_LINES;
use crate::segment::{self, Access, Lifetime, Pages, Spec};
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
pub struct Service<Req: ?Sized, Rep: ?Sized> {
    name: String,
    domain: Option<String>,
    capacity: Option<usize>,
    max_request: Option<usize>,
    max_reply: Option<usize>,
    lifetime: Lifetime,
    timestamps: bool,
    pages: Pages,
    access: Access,
    messages: PhantomData<fn(&Req) -> Rep>,
}

impl<Req: ?Sized, Rep: ?Sized> Clone for Service<Req, Rep> {
    fn clone(&self) -> Self {
        let (name, domain, access) = (self.name.clone(), self.domain.clone(), self.access.clone());
        Service { name, domain, access, ..*self }
    }
}

impl<Req: IpcMessage + ?Sized, Rep: IpcMessage + ?Sized> Service<Req, Rep> {
    /// A service with this name, for which the rules of [`Queue::new`](crate::Queue::new) hold.
    pub fn new(name: impl Into<String>) -> Self {
        Service {
            name: name.into(),
            domain: None,
            capacity: None,
            max_request: None,
            max_reply: None,
            lifetime: Lifetime::default(),
            timestamps: false,
            pages: Pages::default(),
            access: Access::default(),
            messages: PhantomData,
        }
    }

    /// How many calls can be under way at the same time, from 1 to 32,768; 256 by default. A client that wants to make
    /// another one waits.
    ///
    /// Each takes the longest request and the longest reply, in at least 128 bytes, and 128 bytes of the queue.
    pub fn capacity(mut self, calls: usize) -> Self {
        self.capacity = Some(calls);
        self
    }

    /// How many bytes a request may have, if requests vary in length; 8,192 by default. What is before the tail counts.
    ///
    /// Every slot has room for so many, which are reserved when the service is created. Like the capacity it is for the
    /// creator to say; [`Client::max_request_len`] tells.
    ///
    /// ```
    /// use ipc_core::{CallError, Service};
    /// # let domain = format!("doc-{}", std::process::id());
    /// # let client = Service::<str, u64>::new("words").domain(&domain).max_request(100).client()?;
    /// let error = client.submit_copy(&"x".repeat(200)).unwrap_err();
    /// let CallError::TooLarge(too_large) = error else { panic!("{error}") };
    /// assert_eq!((too_large.bytes, too_large.limit), (200, 100));
    /// # Ok::<(), ipc_core::OpenError>(())
    /// ```
    pub fn max_request(mut self, bytes: usize) -> Self {
        self.max_request = Some(bytes);
        self
    }

    /// The same of replies.
    pub fn max_reply(mut self, bytes: usize) -> Self {
        self.max_reply = Some(bytes);
        self
    }

    /// Whether to measure how long calls take. Servers count how long each was on its way to being accepted, clients how long
    /// it was until the reply (of several, the first) was there, in two histograms in the segment, which tools read without
    /// taking part: see [`Observer::latency`](crate::inspect::Observer::latency) and
    /// [`Observer::round_trips`](crate::inspect::Observer::round_trips). Like the capacity it is for the creator to say.
    ///
    /// A call that was withdrawn before a server took it is counted by neither, one without a reply not by its client.
    ///
    /// What it costs: of every call, three readings of the clock, about 25 ns each, and four atomic additions, which get slower
    /// where many are at it; 8 bytes more for a call, and 73 KiB for the histograms. See
    /// [`Queue::timestamps`](crate::Queue::timestamps) for the rest.
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
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

    /// Who may open the service: as [`Queue::mode`](crate::Queue::mode).
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// Gives the service to a group: as [`Queue::group`](crate::Queue::group).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.access.group = Some(group.into());
        self
    }

    /// Whether ends exchange messages by value only: as [`Queue::hardened`](crate::Queue::hardened).
    pub fn hardened(mut self, hardened: bool) -> Self {
        self.access.hardened = Some(hardened);
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
        open_caller(&self.spec()?).map(Client::new)
    }

    /// Opens an end that answers. There need not be a client yet.
    ///
    /// # Errors
    ///
    /// As for [`client`](Service::client), with 64 servers.
    pub fn server(&self) -> Result<Server<Req, Rep>, OpenError> {
        open_acceptor(&self.spec()?).map(Server::new)
    }

    /// Removes the service. `Ok(false)` if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives takes part in it.
    pub fn remove(&self) -> Result<bool, OpenError> {
        let name = SegmentName::new(self.domain.as_deref(), &self.name)?;
        segment::remove(&name, &self.access, |segment| station::check_unused(segment, [Role::Client, Role::Server]))
    }

    fn spec(&self) -> Result<Spec, OpenError> {
        let mut spec =
            Spec::new::<Req>(SegmentName::new(self.domain.as_deref(), &self.name)?, KIND_SERVICE, [PLACES; 2])?;
        spec.reply_with::<Rep>(self.max_reply)?;
        spec.request_limit = self.max_request;
        spec.flags |= if self.timestamps { FLAG_TIMESTAMPS } else { 0 };
        (spec.capacity, spec.lifetime, spec.pages) = (self.capacity, self.lifetime, self.pages);
        spec.access = self.access.clone();
        Ok(spec)
    }
}

/// Takes a client's place in the service that `spec` describes.
pub(crate) fn open_caller(spec: &Spec) -> Result<Caller, OpenError> {
    Desk::open(spec, Side::First, Role::Client).map(Caller::new)
}

/// Takes a server's place in the service that `spec` describes.
pub(crate) fn open_acceptor(spec: &Spec) -> Result<Acceptor, OpenError> {
    Desk::open(spec, Side::Second, Role::Server).map(Acceptor::new)
}
