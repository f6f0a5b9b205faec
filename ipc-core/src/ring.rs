//! The ring algorithms: pure functions of borrowed shared memory.
//!
//! Nothing in here knows of processes, names, mappings or system calls; a test checks that it stays so. Each ring is
//! one file, named for it, with its invariants and their proof at the top.

#[allow(dead_code, reason = "no channel uses the rings of several participants yet")]
pub(crate) mod broadcast;
#[allow(dead_code, reason = "no channel uses the rings of several participants yet")]
pub(crate) mod cells;
#[allow(dead_code, reason = "no channel uses the rings of several participants yet")]
pub(crate) mod claims;
pub(crate) mod exclusive;
#[allow(dead_code, reason = "no channel uses the rings of several participants yet")]
pub(crate) mod broadcast_frames;
#[cfg_attr(not(test), expect(dead_code, reason = "no channel has this ring yet"))]
pub(crate) mod latest;
#[allow(dead_code, reason = "no channel uses the rings of several participants yet")]
pub(crate) mod shared;
mod slots;

pub(crate) use slots::Slots;
