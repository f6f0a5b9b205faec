//! The ring algorithms: pure functions of borrowed shared memory.
//!
//! Nothing in here knows of processes, names, mappings or system calls; a test checks that it stays so. Each ring is
//! one file, named for it, with its invariants and their proof at the top.

pub(crate) mod broadcast;
pub(crate) mod broadcast_frames;
pub(crate) mod calls;
pub(crate) mod cells;
pub(crate) mod claims;
mod end;
pub(crate) mod exclusive;
pub(crate) mod frames;
pub(crate) mod latest;
mod lines;
#[cfg(all(test, not(loom)))]
mod payload;
pub(crate) mod shared;
mod slots;

pub(crate) use cells::Cells;
pub(crate) use claims::{Company, Life, Repair};
pub(crate) use end::{Begun, End, Evidence, Turn, VariableConsumer, VariableProducer, pauses_when_full};
pub(crate) use slots::Slots;
