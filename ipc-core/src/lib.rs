//! The engine of [slipring](https://docs.rs/slipring): segments, rings, liveness, waiting, channels and message
//! layouts. Programs depend on `slipring`, which re-exports everything public from here.
//!
//! The modules are layers; each uses only those above it in this list:
//!
//! | layer | modules |
//! |---|---|
//! | atomics, errors | `atomics`, [`error`] |
//! | messages | [`words`], [`schema`], [`message`] |
//! | shared structs | `layout`, `histogram` |
//! | rings: pure algorithms | `ring` |
//! | operating system | `os` |
//! | segments | `name`, `segment` |
//! | who lives, and waiting | `liveness`, `waiting` |
//! | one participant's part | `info`, `station`, `timing` |
//! | channels | [`queue`], [`latest`] |
//! | channels of types that are not known | [`dynamic`] |
//! | made of channels | [`pipe`] |
//! | looking at channels from outside | [`inspect`] |

pub mod dynamic;
pub mod error;
pub mod inspect;
pub mod latest;
pub mod message;
pub mod pipe;
pub mod queue;
pub mod schema;
pub mod words;

mod atomics;
mod histogram;
mod info;
mod layout;
mod liveness;
mod name;
mod os;
mod ring;
mod segment;
mod station;
mod timing;
mod waiting;

pub use error::{
    Corrupt, LoanError, LoanTimeoutError, Mismatch, OpenError, Peer, ReadError, RecvError, RecvTimeoutError, Role,
    SendBatchError, SendError, SendTimeoutError, TooLarge, TryLoanError, TryRecvError, TrySendError, WaitNewerError,
    WriteError,
};
pub use info::ChannelInfo;
pub use latest::{Draft, Latest, Reader, Writer};
pub use message::{Invalid, IpcMessage, List, Opt, Str, TooLong};
pub use name::{DEFAULT_DOMAIN, DOMAIN_VARIABLE};
pub use pipe::{Pipe, PipeEnd};
pub use queue::{Loan, Queue, Received, Receiver, Sender};
pub use segment::{HugePages, Lifetime};
