//! Why a call came to nothing, on either side of a service.

use super::{Corrupt, Peer, TooLarge};
use core::fmt;
use thiserror::Error;

/// Why a call to a service was not made, or not answered. The request is given back where no server has taken it, so
/// that making the call again does nothing twice.
#[derive(Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallError<Req: ?Sized> {
    /// The server that had taken the call died; or no server had taken it, none is left, and this one died. In the
    /// second case the request is given back, and the next call waits for a successor.
    #[error("the server ({1}) died{how}", how = died_how(.0))]
    ServerDied(Option<Box<Req>>, Peer),
    /// The server dropped the request without a reply, or the rest of its replies.
    #[error("the server dropped the request without answering it")]
    Dropped,
    /// No reply came in time. The call has been cancelled.
    #[error("no reply came in time{how}", how = late_how(.0))]
    Timeout(Option<Box<Req>>),
    /// Every slot of the service is taken by a call that this very client has not waited for.
    #[error("all calls that the service has room for are this client's own: wait for one of them first")]
    Full(Box<Req>),
    /// The request is longer than the service has room for.
    #[error(
        "a request of {} bytes is longer than the {} that this service has room for: create it with a larger `max_request`",
        .0.bytes, .0.limit
    )]
    TooLarge(TooLarge),
    /// The reply, or shared memory, is damaged.
    #[error("{1}")]
    Corrupt(Option<Box<Req>>, Corrupt),
    /// This is a forked child, and its parent opened the handle. Open the service again in the child.
    #[error("this handle was opened before a fork: open the service again in the child")]
    Forked(Option<Box<Req>>),
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted(Option<Box<Req>>),
    /// This end is [hardened](crate::Queue::hardened), and the call would return a reference into the segment.
    #[error(
        "this end is hardened and gives out no references into shared memory: send or receive by value, or open it with `hardened(false)`"
    )]
    Hardened,
}

/// What a server's death means for a call, given the request if it has been given back.
fn died_how<Req: ?Sized>(request: &Option<Box<Req>>) -> &'static str {
    if request.is_some() { ", and none is left to take the call" } else { " with the call" }
}

/// How far a call had come when its time was over, in the same way.
fn late_how<Req: ?Sized>(request: &Option<Box<Req>>) -> &'static str {
    if request.is_some() { ", and no server had taken the call" } else { "" }
}

impl<Req: ?Sized> CallError<Req> {
    /// The request, if no server has taken it.
    pub fn into_request(self) -> Option<Box<Req>> {
        match self {
            CallError::ServerDied(request, _) | CallError::Corrupt(request, _) => request,
            CallError::Timeout(request) | CallError::Forked(request) | CallError::Evicted(request) => request,
            CallError::Full(request) => Some(request),
            CallError::Dropped | CallError::TooLarge(_) | CallError::Hardened => None,
        }
    }
}

/// Prints the variant and what is known besides the request, which need not be printable.
impl<Req: ?Sized> fmt::Debug for CallError<Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallError({self})")
    }
}

/// Why a server was given no request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// A request is no valid value, in which case its client is told that it was dropped, and the next call goes on
    /// after it; or shared memory is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// This is a forked child, and its parent opened the handle. Open the service again in the child.
    #[error("this handle was opened before a fork: open the service again in the child")]
    Forked,
    /// Somebody has sent this participant away, with [`evict`](crate::inspect::Observer::evict). The handle is dead: drop it, and
    /// open the channel again if you may.
    #[error("this participant was evicted: drop the handle, and open the channel again if you may")]
    Evicted,
    /// This end is [hardened](crate::Queue::hardened), and the call would return a reference into the segment.
    #[error(
        "this end is hardened and gives out no references into shared memory: send or receive by value, or open it with `hardened(false)`"
    )]
    Hardened,
}

/// Why a server cannot go on with a reply.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The client has died, or does not want to hear more. (In a child that was forked since, every client is gone.)
    #[error("the client does not wait for this reply any longer")]
    ClientGone,
    /// The reply is longer than the service has room for. It was not sent; another one can be.
    #[error(
        "a reply of {} bytes is longer than the {} that this service has room for: create it with a larger `max_reply`",
        .0.bytes, .0.limit
    )]
    TooLarge(TooLarge),
    /// This end is [hardened](crate::Queue::hardened), and the call would return a reference into the segment.
    #[error(
        "this end is hardened and gives out no references into shared memory: send or receive by value, or open it with `hardened(false)`"
    )]
    Hardened,
}

impl From<TooLarge> for ReplyError {
    fn from(too_large: TooLarge) -> Self {
        ReplyError::TooLarge(too_large)
    }
}
