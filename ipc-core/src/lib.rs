//! The engine of [slipring](https://docs.rs/slipring): segments, rings, liveness, waiting, channels and message
//! layouts. Programs depend on `slipring`, which re-exports everything public from here.
//!
//! The modules are layers; each uses only those above it in this list:
//!
//! | layer | modules |
//! |---|---|
//! | atomics, errors | `atomics`, [`error`] |
//! | messages | [`words`], [`schema`], [`message`] |
//! | shared structs | `layout` |
//! | rings: pure algorithms | `ring` |
//! | operating system | `os` |
//! | segments | `name`, `segment` |
//! | who lives, and waiting | `liveness`, `waiting` |
//! | one participant's part | `info`, `station` |
//! | channels | [`queue`], [`service`] |

pub mod error;
pub mod message;
pub mod queue;
pub mod schema;
pub mod service;
pub mod words;

mod atomics;
mod info;
mod layout;
mod liveness;
mod name;
mod os;
mod ring;
mod segment;
mod station;
mod waiting;

pub use error::{
    CallError, Corrupt, LoanError, Mismatch, OpenError, Peer, RecvError, RecvTimeoutError, ReplyError, Role,
    SendBatchError, SendError, SendTimeoutError, TryLoanError, TryRecvError, TrySendError,
};
pub use info::ChannelInfo;
pub use message::{Invalid, IpcMessage, List, Opt, Str, TooLong};
pub use name::{DEFAULT_DOMAIN, DOMAIN_VARIABLE};
pub use queue::{Loan, Queue, Received, Receiver, Sender};
pub use segment::Lifetime;
pub use service::{Client, Pending, Replies, ReplyStream, Request, Server, Service, Stopper};
