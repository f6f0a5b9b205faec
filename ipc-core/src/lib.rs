//! The engine of [slipring](https://docs.rs/slipring): segments, rings, liveness, waiting, channels and message
//! layouts. Programs depend on `slipring`, which re-exports everything public from here.
//!
//! The modules are layers; each uses only those above it in this list:
//!
//! | layer | modules |
//! |---|---|
//! | atomics, errors | `atomics`, `crash`, [`error`] |
//! | messages | [`words`], [`schema`], [`message`] |
//! | shared structs | `layout`, `histogram` |
//! | rings: pure algorithms | `ring` |
//! | rings over memory that lies, in tests | `hostile` |
//! | locks: pure algorithms | `lock` |
//! | operating system | `os` |
//! | segments | `name`, `segment` |
//! | detecting deaths, and waiting | `liveness`, `waiting` |
//! | waiting on behalf of other threads | `interest`, `lookout` |
//! | what all ends of channels have in common | `info`, `station`, `timing` |
//! | channels | [`queue`], [`broadcast`], [`latest`], [`service`] |
//! | locks, semaphores, events, shared values | [`sync`] |
//! | channels whose types are unknown at compile time | [`dynamic`] |
//! | composed of channels | [`pipe`] |
//! | channels without names | [`private`] |
//! | waiting for many ends, and tasks | [`wait_set`], `task` |
//! | inspecting channels from outside | [`inspect`] |

pub mod broadcast;
pub mod dynamic;
pub mod error;
pub mod inspect;
pub mod latest;
pub mod message;
pub mod pipe;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub mod private;
pub mod queue;
pub mod schema;
pub mod service;
pub mod sync;
#[cfg(feature = "async")]
pub mod task;
pub mod wait_set;
pub mod words;

mod atomics;
#[cfg(not(feature = "crash-points"))]
mod crash;
#[cfg(feature = "crash-points")]
#[doc(hidden)]
pub mod crash;
mod histogram;
#[cfg(all(test, not(any(loom, slipring_tsan))))]
mod hostile;
#[cfg(slipring_hostile)]
pub mod hostile;
mod info;
mod interest;
mod layout;
mod liveness;
mod lock;
mod lookout;
mod name;
mod os;
mod ring;
mod segment;
mod station;
mod timing;
mod waiting;

pub use broadcast::{Broadcast, Published, PublishedBatch, Publisher, Subscriber};
pub use error::{
    AcceptError, BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, CallError, Corrupt, LoanError,
    LoanTimeoutError, Mismatch, OpenError, Peer, ReadError, RecvError, RecvTimeoutError, ReplyError, Role,
    SendBatchError, SendError, SendTimeoutError, TooLarge, TryLoanError, TryRecvError, TrySendError, WaitNewerError,
    WriteError,
};
pub use info::ChannelInfo;
pub use interest::Source;
pub use latest::{Draft, Latest, Reader, Writer};
pub use message::{Invalid, IpcMessage, List, Opt, Str, TooLong};
pub use name::{DEFAULT_DOMAIN, DOMAIN_VARIABLE};
pub use pipe::{Pipe, PipeEnd};
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use private::Private;
pub use queue::{Loan, LoanBatch, Queue, Received, ReceivedBatch, Receiver, Sender};
pub use segment::{HugePages, Lifetime};
pub use service::{
    Client, InPlace, Pending, Replies, Reply, ReplyLoan, ReplyStream, Request, RequestLoan, Server, Service, Stopper,
};
#[cfg(feature = "async")]
pub use task::{
    Async, AsyncClient, AsyncPipeEnd, AsyncPublisher, AsyncReader, AsyncReceiver, AsyncReplies, AsyncSender,
    AsyncServer, AsyncSubscriber, PendingFuture,
};
pub use wait_set::WaitSet;
