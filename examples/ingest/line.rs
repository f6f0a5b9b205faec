//! What the two programs of this example have in common: each includes this file.

use slipring::{IpcMessage, Str};

/// A line of text, as much of it as fits, and where it came from.
#[derive(IpcMessage, Debug)]
#[repr(C)]
#[ipc(queue = "ingest", capacity = 256)]
pub(crate) struct Line {
    pub(crate) port: u16,
    pub(crate) text: Str<240>,
}
