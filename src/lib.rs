//! Typed, crash-safe messaging between processes through lock-free rings in shared memory.
//!
//! A message is a struct or an enum with `#[derive(IpcMessage)]`; its `#[ipc(...)]` attribute declares the channel it
//! travels on. Programs that are built and started separately meet by the channel's name:
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
//! | types that a message can hold | [`Str`], [`List`], [`Opt`], and the list in [`trait@IpcMessage`] |
//! | a channel whose name is known only at run time | [`Queue`], [`Broadcast`], [`Latest`], [`Service`], [`Pipe`] |
//! | a channel whose messages are not known | [`dynamic`] |
//! | every subscriber to get every message | [`Broadcast`], [`Publisher`], [`Subscriber`]; in place, [`Loan`], [`Published`] |
//! | the newest value only, for any number of readers | [`Latest`], [`Writer`], [`Reader`]; in place, [`Draft`] |
//! | two programs that talk both ways | [`Pipe`], [`PipeEnd`] |
//! | parties that do not trust each other | [`private`], [`Queue::hardened`], [`Queue::mode`] |
//! | to send | [`Sender`]; in place, [`Loan`], [`LoanBatch`] |
//! | to receive | [`Receiver`]; in place, [`Received`], [`ReceivedBatch`] |
//! | requests and replies | [`Service`], [`Client`], [`Server`] |
//! | locks, semaphores, events, barriers, shared values | [`sync`] |
//! | to wait for any of many channels | [`WaitSet`], [`Source`] |
//! | to wait as a task (feature `async`) | `Receiver::into_async`, `Sender::into_async`, `Async` |
//! | to know who created a channel, with which capacity, and where | [`ChannelInfo`] |
//! | what happens when the last one leaves | [`Lifetime`] |
//! | to measure how long messages take | [`Queue::timestamps`], [`Broadcast::timestamps`], [`Subscriber::latency`] |
//! | to look at channels without taking part | [`inspect`] |
//! | to start other processes, and not to lose them | [`process`] |
//! | to share tasks out among processes | [`process::Pool`] |
//! | why something failed | [`error`] |
//! | the layout of a message as data | [`schema`] |
//!
//! # What to rely on
//!
//! - *Start order does not matter.* The first end creates the channel, the other joins it.
//! - *A death is no hang.* A process may be killed at any instruction. What it had sent is delivered, its death is
//!   reported once to the other side, and a successor goes on exactly where it stopped.
//! - *What is received is valid.* Messages are received by value, copied out and checked; two programs whose
//!   declarations differ are told so, field by field, when they open the channel.
//! - *Domains keep systems apart.* Channels are looked up in the domain that the environment variable
//!   [`SLIPRING_DOMAIN`](DOMAIN_VARIABLE) names, `default` without it.
//!
//! This version is made for Linux. A portable backend for other systems is there as well, and does less: see
//! `docs/platforms.md`.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use ipc_core::private;
pub use ipc_core::{dynamic, error, inspect, message, schema, sync};

pub use ipc_core::{
    AcceptError, Broadcast, BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, CallError,
    ChannelInfo, Client, Corrupt, DEFAULT_DOMAIN, DOMAIN_VARIABLE, Draft, HugePages, InPlace, Invalid, IpcMessage,
    Latest, Lifetime, List, Loan, LoanBatch, LoanError, LoanTimeoutError, Mismatch, OpenError, Opt, Peer, Pending,
    Pipe, PipeEnd, Published, Publisher, Queue, ReadError, Reader, Received, ReceivedBatch, Receiver, RecvError,
    RecvTimeoutError, Replies, Reply, ReplyError, ReplyLoan, ReplyStream, Request, RequestLoan, Role, SendBatchError,
    SendError, SendTimeoutError, Sender, Server, Service, Source, Stopper, Str, Subscriber, TooLarge, TooLong,
    TryLoanError, TryRecvError, TrySendError, WaitNewerError, WaitSet, WriteError, Writer,
};
#[cfg(feature = "async")]
pub use ipc_core::{Async, AsyncClient, AsyncReceiver, AsyncReplies, AsyncSender, AsyncServer, PendingFuture};
pub use ipc_macros::IpcMessage;
#[cfg(target_os = "linux")]
pub use ipc_process as process;
