//! The algorithms of locks: pure functions of words in shared memory.
//!
//! As the [rings](crate::ring), they know nothing of processes, names, mappings or system calls, and loom explores the very
//! code that ships. Nothing in here waits: every step is tried, and whoever cannot go on is told so.

mod gate;
mod ledger;
mod lines;
#[cfg(test)]
mod model;
mod owner;
mod readers;
mod rendezvous;
mod signal;

pub(crate) use gate::{Entry, Gate, Left, Purpose};
pub(crate) use ledger::{Change, Ledger, MAX_PERMITS};
pub(crate) use lines::Lines;
pub(crate) use owner::{Owner, Seen};
pub(crate) use readers::Readers;
pub(crate) use rendezvous::{Arrival, MAX_PARTIES, Rendezvous, Standing};
pub(crate) use signal::Signal;
