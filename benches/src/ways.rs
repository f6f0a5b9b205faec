//! Ways of getting a message from one process to another.

pub(crate) mod futex;
pub(crate) mod memory;
pub(crate) mod pipe;
pub(crate) mod queue;
pub(crate) mod ring;
#[cfg(feature = "peers")]
pub(crate) mod threads;
