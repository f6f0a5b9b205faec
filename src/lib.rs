//! Typed, crash-safe messaging between processes through lock-free rings in shared memory.
//!
//! A message is a struct or an enum with `#[derive(IpcMessage)]`. Its `#[ipc(...)]` attribute declares a channel.
//! Programs that are built and started separately connect by the channel's name:
//!
//! ```
//! use slipring::{IpcMessage, Opt, Str};
//!
//! #[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
//! #[repr(C)]
//! #[ipc(queue = "flights", capacity = 4096, spsc)]
//! struct Flight {
//!     carrier: Str<2>,
//!     flight: u16,
//!     dep_delay: Opt<i16>,
//!     status: Status,
//! }
//!
//! #[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
//! #[repr(u8)]
//! enum Status {
//!     Flown = 1,
//!     Cancelled = 2,
//! }
//!
//! # unsafe { std::env::set_var("SLIPRING_DOMAIN", format!("doc-{}", std::process::id())) };
//! // One program sends ...
//! let mut tx = Flight::sender()?;
//! tx.send(Flight { carrier: "UA".parse()?, flight: 1545, dep_delay: Opt::Some(2), status: Status::Flown })?;
//! # drop(tx);
//!
//! // ... and another one receives, whichever starts first.
//! let mut rx = Flight::receiver()?;
//! while let Some(flight) = rx.recv()? {
//!     println!("{} {}", flight.carrier, flight.flight);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to look
//!
//! | you want | look at |
//! |---|---|
//! | to declare a message and its channel | [`derive@IpcMessage`] |
//! | the types that a message can hold | [`Str`], [`List`], [`Opt`], and the list in [`trait@IpcMessage`] |
//! | a channel whose name is known only at run time | [`Queue`], [`Broadcast`], [`Latest`], [`Service`], [`Pipe`] |
//! | to send to one receiver | [`Queue`], [`Sender`]; in place, [`Loan`], [`LoanBatch`] |
//! | to receive | [`Receiver`]; in place, [`Received`], [`ReceivedBatch`] |
//! | to send to every subscriber | [`Broadcast`], [`Publisher`], [`Subscriber`]; in place, [`Loan`], [`LoanBatch`], [`Published`], [`PublishedBatch`] |
//! | to share the newest value only | [`Latest`], [`Writer`], [`Reader`]; in place, [`Draft`] |
//! | requests and replies | [`Service`], [`Client`], [`Server`] |
//! | a duplex connection | [`Pipe`], [`PipeEnd`] |
//! | locks, semaphores, events, barriers, shared values | [`sync`] |
//! | to wait for any of many channels | [`WaitSet`], [`Source`] |
//! | to wait as a task (feature `async`) | `into_async` of every end, `Async`, `AsyncPipeEnd` |
//! | the actual capacity and creator of a channel | [`ChannelInfo`] |
//! | what happens to a channel when its last participant leaves | [`Lifetime`] |
//! | channels between parties that do not trust each other | [`private`], [`Queue::hardened`], [`Queue::mode`] |
//! | a channel whose message type is unknown at compile time | [`dynamic`] |
//! | the layout of a message as data | [`schema`] |
//! | to measure latencies | [`Queue::timestamps`], [`Broadcast::timestamps`], [`Subscriber::latency`] |
//! | to inspect channels from outside | [`inspect`] |
//! | to start and supervise processes | [`process`] |
//! | to distribute tasks over worker processes | [`process::Pool`] |
//! | the reasons for which calls fail | [`error`] |
//!
//! # Terms
//!
//! - A *segment* is the shared memory of one channel. On Linux it is a file in /dev/shm.
//! - An *end* is a handle through which a program uses a channel: a sender, a receiver, a subscriber, a client.
//! - A *participant* is an end that is open. The segment has a table of them.
//! - *In place* means in the segment, without a copy. *By value* means that the message is copied.
//! - A *successor* is a participant that takes over the role of one that closed or died.
//!
//! # Guarantees
//!
//! - *Start order does not matter.* The first end to be opened creates the channel. Every other end joins it.
//! - *A crash is not a hang.* A process may be killed at any instruction. Its messages are still delivered, its death
//!   is reported once to the other side, and a successor continues exactly where it stopped.
//! - *Received messages are valid.* A message that is received by value is copied and then validated. If two programs
//!   declare different types, opening the channel fails and lists the differences, field by field.
//! - *Domains separate systems.* The environment variable [`SLIPRING_DOMAIN`](DOMAIN_VARIABLE) names the domain in
//!   which channels are looked up. The default is `default`.
//!
//! This version is made for Linux. A portable backend for other systems has fewer features: see `docs/platforms.md`.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use ipc_core::private;
pub use ipc_core::{dynamic, error, inspect, message, schema, sync};

pub use ipc_core::{
    AcceptError, Broadcast, BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, CallError,
    ChannelInfo, Client, Corrupt, DEFAULT_DOMAIN, DOMAIN_VARIABLE, Draft, HugePages, InPlace, Invalid, IpcMessage,
    Latest, Lifetime, List, Loan, LoanBatch, LoanError, LoanTimeoutError, Mismatch, OpenError, Opt, Peer, Pending,
    Pipe, PipeEnd, Published, PublishedBatch, Publisher, Queue, ReadError, Reader, Received, ReceivedBatch, Receiver,
    RecvError, RecvTimeoutError, Replies, Reply, ReplyError, ReplyLoan, ReplyStream, Request, RequestLoan, Role,
    SendBatchError, SendError, SendTimeoutError, Sender, Server, Service, Source, Stopper, Str, Subscriber, TooLarge,
    TooLong, TryLoanError, TryRecvError, TrySendError, WaitNewerError, WaitSet, WriteError, Writer,
};
#[cfg(feature = "async")]
pub use ipc_core::{
    Async, AsyncClient, AsyncPipeEnd, AsyncPublisher, AsyncReader, AsyncReceiver, AsyncReplies, AsyncSender,
    AsyncServer, AsyncSubscriber, PendingFuture,
};
pub use ipc_macros::IpcMessage;
#[cfg(target_os = "linux")]
pub use ipc_process as process;
