//! Services: request and response between any number of clients and servers.
//!
//! A client writes its request into a slot of a table (`ring/calls.rs`) and puts a *ticket*, which names the call, into a
//! shared queue (`ring/shared.rs`). The first free server takes the ticket and so the call. It writes the reply into the
//! same slot.
//!
//! - A call takes this path: [`Client::call`] -> `Calls::claim` -> [`IpcMessage::place`] -> `Calls::post` ->
//!   `Producer::pass`.
//! - The reply takes this one: [`Request::reply`] -> [`IpcMessage::place`] -> `Calls::answer`.
//!
//! Requests and replies may each vary in length. A slot has room for the longest request and the longest reply that the
//! service was created for, so no message waits for room of its own, and the proofs of the table hold for every length.
//!
//! # How the code is laid out
//!
//! | type | what it is |
//! |---|---|
//! | [`Service`] | the builder: name and options |
//! | [`Client`], [`Pending`], [`Replies`] | the public handles of the calling side |
//! | [`Server`], [`Request`], [`ReplyStream`] | the public handles of the answering side |
//! | `Caller`, `Acceptor`, `Answer` | the two sides without the message types |
//! | `Desk` | what both sides share: the segment, the table, the queue of tickets, the participant |
//! | `Place` | where a request or a reply lies in its slot |
//!
//! # What a call costs
//!
//! A round trip takes at least one cache line there and back. With requests of up to 48 bytes and replies of up to 56,
//! these lines move between the processors in a call:
//!
//! - the cell of the queue, twice: the client checks whether it is free, and the server polls it;
//! - the request's line, which the server takes with one locked compare-and-swap, without a load before it, since the
//!   ticket says what the word must be;
//! - the reply's line, which the client polls, and which brings the reply along;
//! - the request's line again, when the client frees the slot.
//!
//! The counters of the queue, the participants' records and the wait words do not move if there is one client and one
//! server.
//!
//! A locked instruction waits for all earlier stores and holds up all later loads. So lines that will be needed are
//! prefetched: while a client waits for a reply, the lines of the slot that it will use next (it alternates between
//! two, see `spare.rs`); with the stamp, the beginning of the reply; and before the swap that takes a call, the rest of
//! the request.

mod answer;
mod caller;
mod client;
mod desk;
mod draft;
mod ongoing;
mod pending;
mod place;
mod request;
mod server;
mod spare;

pub use answer::Stopper;
pub(crate) use answer::{Acceptor, Answer};
pub(crate) use caller::{Caller, Failure};
pub use client::{Client, RequestLoan};
pub(crate) use ongoing::{Fate, Found, GivenUp, Ongoing};
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

/// The most clients, and the most servers, that a service can have at a time.
const PLACES: u32 = 64;

const _: () = assert!(2 * PLACES <= MAX_LINES, "calls can tell all participants apart");

/// A builder for the ends of a service. A service has up to 64 clients and 64 servers.
///
/// `#[ipc(service = "...", reply = R)]` on a [derived message](crate::message::IpcMessage) declares one, which
/// `T::channel()` returns. The first end to be opened creates the service with this builder's options. Every later end
/// joins the service as it is; [`ChannelInfo`] reports its actual options.
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
    pub(crate) access: Access,
    messages: PhantomData<fn(&Req) -> Rep>,
}

impl<Req: ?Sized, Rep: ?Sized> Clone for Service<Req, Rep> {
    fn clone(&self) -> Self {
        let (name, domain, access) = (self.name.clone(), self.domain.clone(), self.access.clone());
        Service { name, domain, access, ..*self }
    }
}

impl<Req: ?Sized, Rep: ?Sized> Service<Req, Rep> {
    /// A service with this name and the default options. The rules for the name are those of
    /// [`Queue::new`](crate::Queue::new).
    pub fn new(name: impl Into<String>) -> Self
    where
        Req: IpcMessage,
        Rep: IpcMessage,
    {
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

    /// Sets how many calls can be in flight at a time, from 1 to 32,768. The default is 256. A client waits to make
    /// another one.
    ///
    /// Memory for each: the longest request and the longest reply, at least 128 bytes, and 128 bytes of the queue.
    pub fn capacity(mut self, calls: usize) -> Self {
        self.capacity = Some(calls);
        self
    }

    /// Sets the size of the longest request, in bytes, if requests vary in length. The default is 8,192.
    ///
    /// If they have one length, opening an end fails with [`OpenError::Unsupported`].
    ///
    /// The part before the tail counts. Every slot reserves this much memory. The creator decides;
    /// [`Client::max_request_len`] returns the actual limit.
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

    /// Sets the size of the longest reply, in bytes, if replies vary in length: see
    /// [`max_request`](Service::max_request).
    pub fn max_reply(mut self, bytes: usize) -> Self {
        self.max_reply = Some(bytes);
        self
    }

    /// Sets whether to measure how long calls take. The default is `false`; the creator decides.
    ///
    /// Servers record the time from the call until they accept it. Clients record the time until the first reply. Both
    /// go into histograms in the segment: [`Observer::latency`](crate::inspect::Observer::latency) and
    /// [`Observer::round_trips`](crate::inspect::Observer::round_trips). A call that is cancelled before a server takes
    /// it is in neither. A call without a reply is not in the clients' histogram.
    ///
    /// Cost: for each call, three clock readings (about 25 ns each) and four atomic additions, which contend under
    /// load. Memory: 8 bytes a call, and 73 KiB for the histograms. See [`Queue::timestamps`](crate::Queue::timestamps)
    /// for the clock.
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Sets what happens to the service's segment when its last participant leaves.
    ///
    /// A request means nothing without its client. So [`Lifetime::Drained`] and [`Lifetime::Attached`] are the same
    /// here.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets whether opening the service faults in all of its pages: see [`Queue::prefault`](crate::Queue::prefault).
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.pages.prefault = Some(prefault);
        self
    }

    /// Sets whether to ask for huge pages: see [`Queue::huge_pages`](crate::Queue::huge_pages).
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.pages.huge = huge_pages;
        self
    }

    /// Sets who may open the service: see [`Queue::mode`](crate::Queue::mode).
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// Gives a group access to the service: see [`Queue::group`](crate::Queue::group).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.access.group = Some(group.into());
        self
    }

    /// Sets whether ends exchange messages by value only: see [`Queue::hardened`](crate::Queue::hardened).
    pub fn hardened(mut self, hardened: bool) -> Self {
        self.access.hardened = Some(hardened);
        self
    }

    /// Sets another name, and keeps the options: see [`Queue::name`](crate::Queue::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the domain: see [`Queue::domain`](crate::Queue::domain).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opens a calling end. It does not need a server to exist yet.
    ///
    /// # Errors
    ///
    /// - [`OpenError::TableFull`] if there are 64 live clients.
    /// - [`OpenError::Mismatch`] if the service has another request or reply type.
    /// - Any other [`OpenError`], as documented there.
    pub fn client(&self) -> Result<Client<Req, Rep>, OpenError>
    where
        Req: IpcMessage,
        Rep: IpcMessage,
    {
        open_caller(&self.spec()?).map(Client::new)
    }

    /// Opens an answering end. It does not need a client to exist yet.
    ///
    /// # Errors
    ///
    /// As for [`client`](Service::client), with servers in the place of clients.
    pub fn server(&self) -> Result<Server<Req, Rep>, OpenError>
    where
        Req: IpcMessage,
        Rep: IpcMessage,
    {
        open_acceptor(&self.spec()?).map(Server::new)
    }

    /// Removes the service. Returns `Ok(false)` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if the service has a live participant.
    pub fn remove(&self) -> Result<bool, OpenError> {
        let name = SegmentName::new(self.domain.as_deref(), &self.name)?;
        segment::remove(&name, &self.access, |segment| station::check_unused(segment, [Role::Client, Role::Server]))
    }

    pub(crate) fn spec(&self) -> Result<Spec, OpenError>
    where
        Req: IpcMessage,
        Rep: IpcMessage,
    {
        let mut spec =
            Spec::new::<Req>(SegmentName::new(self.domain.as_deref(), &self.name)?, KIND_SERVICE, [PLACES; 2])?;
        spec.reply_with::<Rep>(self.max_reply)?;
        if self.max_request.is_some() && Req::TYPE.tail().is_none() {
            return Err(OpenError::Unsupported("requests of this type have one length: leave `max_request` out"));
        }
        if self.max_reply.is_some() && Rep::TYPE.tail().is_none() {
            return Err(OpenError::Unsupported("replies of this type have one length: leave `max_reply` out"));
        }
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
