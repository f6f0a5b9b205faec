//! Channels whose message type is unknown at compile time. Their ends exchange [values](crate::schema::Value), by the
//! schema that every segment carries.
//!
//! Use it for programs that handle any channel: command line tools, recorders, bridges to other languages. The channel
//! must exist. Received messages are validated by its schema. Values to be sent are checked against it before anything
//! reaches the channel. Its ends can be waited for in a [`WaitSet`](crate::WaitSet) like others.
//!
//! A [`Pipe`](crate::Pipe) is two queues, `<name>.lr` from its left end to its right and `<name>.rl` back, and is opened as
//! these. A service's ends are [`Client`] and [`Server`].
//!
//! ```
//! use ipc_core::dynamic::Channel;
//! use ipc_core::schema::Value;
//! use ipc_core::{Opt, Queue};
//!
//! # let domain = format!("doc-{}", std::process::id());
//! // One program knows the type ...
//! let mut tx = Queue::<Opt<u16>>::new("readings").domain(&domain).sender()?;
//! tx.send(Opt::Some(7))?;
//!
//! // ... and another one does not.
//! let channel = Channel::open_in(&domain, "readings")?;
//! assert_eq!(channel.schema().to_string(), "Opt<u16>");
//! let mut rx = channel.receiver()?;
//! assert_eq!(rx.recv()?, Some(Value::Opt(Some(Box::new(Value::Uint(7))))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod latest;
mod publisher;
mod receiver;
mod sender;
mod service;
mod subscriber;

pub use latest::{ReadValueError, Reader, WriteValueError, Writer};
pub use publisher::Publisher;
pub use receiver::{Receiver, RecvValueError, RecvValueTimeoutError, TryRecvValueError};
pub use sender::{SendValueError, Sender, TrySendValueError};
pub use service::{AcceptValueError, CallValueError, Client, Pending, ReplyValueError, Request, Server};
pub use subscriber::{BroadcastRecvValueError, BroadcastRecvValueTimeoutError, BroadcastTryRecvValueError, Subscriber};

use crate::broadcast;
use crate::error::{OpenError, Peer};
use crate::latest as latest_value;
use crate::layout::{
    KIND_ATOMIC, KIND_BARRIER, KIND_CONDVAR, KIND_EVENT, KIND_EXCLUSIVE_QUEUE, KIND_LATEST, KIND_LOSSLESS_BROADCAST,
    KIND_LOSSY_BROADCAST, KIND_MUTEX, KIND_ONCE, KIND_RW_LOCK, KIND_SEMAPHORE, KIND_SERVICE, KIND_SHARED_QUEUE,
    KIND_SHARED_VALUE, kind_name,
};
use crate::name::SegmentName;
use crate::queue;
use crate::schema::{Schema, decode};
use crate::segment::{self, Access, Segment, Spec};
use crate::service as calls;
use core::fmt;
use service::Schemas;

/// The kind of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A queue with one sender and one receiver.
    ExclusiveQueue,
    /// A queue with any number of senders and receivers.
    SharedQueue,
    /// A broadcast that waits for its slowest subscriber.
    LosslessBroadcast,
    /// A broadcast whose publishers never wait.
    LossyBroadcast,
    /// The newest value.
    Latest,
    /// Requests and replies.
    Service,
    /// A [`Mutex`](crate::sync::Mutex).
    Mutex,
    /// An [`RwLock`](crate::sync::RwLock).
    RwLock,
    /// A [`Semaphore`](crate::sync::Semaphore).
    Semaphore,
    /// An [`Event`](crate::sync::Event).
    Event,
    /// A [`Condvar`](crate::sync::Condvar).
    Condvar,
    /// A [`Barrier`](crate::sync::Barrier).
    Barrier,
    /// A [`Once`](crate::sync::Once).
    Once,
    /// An [`Atomic`](crate::sync::Atomic).
    Atomic,
    /// A [`Shared`](crate::sync::Shared) value.
    Shared,
}

/// The kinds, and the numbers in a header that stand for them.
const KINDS: [(u32, Kind); 15] = [
    (KIND_EXCLUSIVE_QUEUE, Kind::ExclusiveQueue),
    (KIND_SHARED_QUEUE, Kind::SharedQueue),
    (KIND_LOSSLESS_BROADCAST, Kind::LosslessBroadcast),
    (KIND_LOSSY_BROADCAST, Kind::LossyBroadcast),
    (KIND_LATEST, Kind::Latest),
    (KIND_SERVICE, Kind::Service),
    (KIND_MUTEX, Kind::Mutex),
    (KIND_RW_LOCK, Kind::RwLock),
    (KIND_SEMAPHORE, Kind::Semaphore),
    (KIND_EVENT, Kind::Event),
    (KIND_CONDVAR, Kind::Condvar),
    (KIND_BARRIER, Kind::Barrier),
    (KIND_ONCE, Kind::Once),
    (KIND_ATOMIC, Kind::Atomic),
    (KIND_SHARED_VALUE, Kind::Shared),
];

impl Kind {
    /// What a header's number stands for. `None` if this version does not know it.
    pub(crate) fn of(number: u32) -> Option<Self> {
        KINDS.iter().find(|(of_kind, _)| *of_kind == number).map(|(_, kind)| *kind)
    }
}

/// In words, without an article: `shared queue`, `latest value`, `mutex`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = KINDS.iter().find(|(_, kind)| kind == self).map(|(number, _)| *number);
        let name = number.and_then(kind_name).unwrap_or_default();
        f.pad(name.split_once(' ').map_or(name, |(_article, name)| name))
    }
}

/// An existing channel, with the schema of its messages.
///
/// It is not a participant of the channel. Opening an end makes one.
#[derive(Clone, Debug)]
pub struct Channel {
    spec: Spec,
    kind: Kind,
    schema: Schema,
    /// What a service replies with.
    reply: Option<Schema>,
}

impl Channel {
    /// Finds the channel with this name, in the default domain (see [`Queue::domain`](crate::Queue::domain)).
    ///
    /// # Errors
    ///
    /// [`OpenError::NoChannel`] if it does not exist, or any other [`OpenError`], as documented there.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        Self::find(SegmentName::new(None, name)?)
    }

    /// Finds the channel with this name in `domain`.
    ///
    /// # Errors
    ///
    /// As for [`open`](Channel::open).
    pub fn open_in(domain: &str, name: &str) -> Result<Self, OpenError> {
        Self::find(SegmentName::new(Some(domain), name)?)
    }

    fn find(name: SegmentName) -> Result<Self, OpenError> {
        let no_channel = || OpenError::NoChannel { channel: name.channel().into(), domain: name.domain().into() };
        let segment = segment::peek(&name, &Access::default())?.ok_or_else(no_channel)?;
        let damaged = |reason: String| OpenError::NotASegment { path: segment.path().into(), reason };
        let kind = segment.geometry().kind;
        let kind = Kind::of(kind)
            .ok_or_else(|| damaged(format!("it is a channel of a kind that this version does not know ({kind})")))?;
        let geometry = segment.geometry();
        let shape = (geometry.message_bytes, geometry.is_variable());
        let (schema, encoded) = checked(&segment, segment.schema()?, shape)?;
        let reply = match kind {
            Kind::Service => {
                let shape = (geometry.reply_bytes, geometry.has_variable_replies());
                Some(checked(&segment, segment.reply_schema()?, shape)?)
            }
            _ => None,
        };
        let (reply, encoded_reply) = reply.unzip();
        let named_reply = reply.as_ref().map(Schema::type_text).zip(encoded_reply);
        let spec = Spec::of_segment(&segment, name, (schema.type_text(), encoded), named_reply);
        Ok(Channel { spec, kind, schema, reply })
    }

    /// The kind of channel.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The schema of its messages. `Display` shows it in Rust's syntax.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The schema of a service's replies; `None` for channels of other kinds.
    pub fn reply_schema(&self) -> Option<&Schema> {
        self.reply.as_ref()
    }

    /// Opens a calling end of a service.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the channel is no service, and otherwise as for
    /// [`Service::client`](crate::Service::client).
    ///
    /// ```
    /// use ipc_core::dynamic::Channel;
    /// use ipc_core::schema::Value;
    /// # let domain = format!("doc-{}", std::process::id());
    /// # let service = ipc_core::Service::<str, u64>::new("count").domain(&domain);
    /// # let server = service.server()?;
    /// # let stopper = server.stopper();
    /// # let server = std::thread::spawn(move || while let Some(request) = server.accept_ref().unwrap() {
    /// #     let count = request.chars().count() as u64;
    /// #     request.reply(count);
    /// # });
    /// let service = Channel::open_in(&domain, "count")?;
    /// assert_eq!(service.schema().to_string(), "str");
    /// assert_eq!(service.client()?.call(&Value::Str("größer".into()))?, Value::Uint(6));
    /// # stopper.stop();
    /// # server.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client(&self) -> Result<Client, OpenError> {
        let schemas = self.expect_service()?;
        Ok(Client::new(calls::open_caller(&self.spec)?, schemas))
    }

    /// Opens an answering end of a service.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the channel is no service, and otherwise as for
    /// [`Service::server`](crate::Service::server).
    pub fn server(&self) -> Result<Server, OpenError> {
        let schemas = self.expect_service()?;
        Ok(Server::new(calls::open_acceptor(&self.spec)?, schemas))
    }

    /// Opens a receiving end of a queue.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the channel is no queue, and otherwise as for
    /// [`Queue::receiver`](crate::Queue::receiver).
    pub fn receiver(&self) -> Result<Receiver, OpenError> {
        self.check_kind(&[Kind::ExclusiveQueue, Kind::SharedQueue], "a queue")?;
        Ok(Receiver::new(queue::open_receiver(&self.spec)?, self.schema.clone()))
    }

    /// Opens a sending end of a queue.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the channel is no queue, and otherwise as for [`Queue::sender`](crate::Queue::sender).
    pub fn sender(&self) -> Result<Sender, OpenError> {
        self.check_kind(&[Kind::ExclusiveQueue, Kind::SharedQueue], "a queue")?;
        Ok(Sender::new(queue::open_sender(&self.spec)?, self.schema.clone()))
    }

    /// Opens a publishing end of a broadcast.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the channel is no broadcast, and otherwise as for
    /// [`Broadcast::publisher`](crate::Broadcast::publisher).
    pub fn publisher(&self) -> Result<Publisher, OpenError> {
        self.check_kind(&[Kind::LosslessBroadcast, Kind::LossyBroadcast], "a broadcast")?;
        Ok(Publisher::new(broadcast::open_publisher(&self.spec)?, self.schema.clone()))
    }

    /// Opens a subscribing end of a broadcast. That of a lossy one maps the channel read-only.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the channel is no broadcast, and otherwise as for
    /// [`Broadcast::subscriber`](crate::Broadcast::subscriber).
    pub fn subscriber(&self) -> Result<Subscriber, OpenError> {
        self.check_kind(&[Kind::LosslessBroadcast, Kind::LossyBroadcast], "a broadcast")?;
        Ok(Subscriber::new(broadcast::open_subscriber(&self.spec)?, self.schema.clone()))
    }

    /// Opens a reading end of a latest value.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the channel is no latest value, and otherwise as for
    /// [`Latest::reader`](crate::Latest::reader).
    pub fn reader(&self) -> Result<Reader, OpenError> {
        self.check_kind(&[Kind::Latest], "a latest value")?;
        Ok(Reader::new(latest_value::open_reader(&self.spec)?, self.schema.clone()))
    }

    /// Opens the writing end of a latest value.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the channel is no latest value, and otherwise as for
    /// [`Latest::writer`](crate::Latest::writer).
    pub fn writer(&self) -> Result<Writer, OpenError> {
        self.check_kind(&[Kind::Latest], "a latest value")?;
        Ok(Writer::new(latest_value::open_writer(&self.spec)?, self.schema.clone()))
    }

    /// The schemas of a service.
    fn expect_service(&self) -> Result<Schemas, OpenError> {
        match &self.reply {
            Some(reply) => Ok(Schemas { request: self.schema.clone(), reply: reply.clone() }),
            None => Err(self.refusal("a service")?),
        }
    }

    /// Refuses to open an end that channels of this kind do not have.
    fn check_kind(&self, kinds: &[Kind], expected: &'static str) -> Result<(), OpenError> {
        if kinds.contains(&self.kind) { Ok(()) } else { Err(self.refusal(expected)?) }
    }

    /// The error of opening an end that is one of another kind.
    fn refusal(&self, expected: &'static str) -> Result<OpenError, OpenError> {
        let creator = segment::peek(&self.spec.name, &self.spec.access)?.map(|segment| segment.creator());
        Ok(OpenError::Kind {
            channel: self.spec.name.channel().into(),
            found: kind_name(self.spec.kind).unwrap_or("a channel of another kind"),
            expected,
            creator: creator.unwrap_or_else(|| Peer { pid: 0, program: "nobody any more".into() }),
        })
    }
}

/// Decodes a schema of a segment, and holds it against what the header says of the message: its size, and whether it
/// varies.
fn checked(segment: &Segment, encoded: Vec<u8>, (bytes, varies): (u64, bool)) -> Result<(Schema, Vec<u8>), OpenError> {
    let damaged = |reason: String| OpenError::NotASegment { path: segment.path().into(), reason };
    let schema = decode(&encoded).map_err(|error| damaged(format!("its schema is damaged: {error}")))?;
    let fits = match schema.tail() {
        None => !varies && schema.size_bytes() == bytes,
        Some(_) => varies,
    };
    if fits {
        Ok((schema, encoded))
    } else {
        Err(damaged("its header is damaged: it contradicts the schema beside it".into()))
    }
}
