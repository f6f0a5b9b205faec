//! The part that the three programs of this system share: the messages, and with them the channels.
//!
//! ```text
//! words --- Word ---> count --- Total ---> report
//! ```
//!
//! `words` reads a text file and sends every word of it, `count` tallies them, `report` prints the most frequent. Each
//! is a program of its own, started on its own, in any order; what they know of each other is this file.

use slipring::{IpcMessage, Str};

/// One word of the text.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
#[ipc(queue = "words", capacity = 1024, spsc)]
pub struct Word {
    /// The word in lower case.
    pub text: Str<32>,
    /// The line it stands on, counted from 1.
    pub line: u32,
}

/// How often a word occurs. Totals are sent from the most frequent word to the least; equals in alphabetical order.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
#[ipc(queue = "totals", capacity = 1024, spsc)]
pub struct Total {
    /// The word in lower case.
    pub text: Str<32>,
    /// Its number of occurrences.
    pub occurrences: u32,
    /// The line of its first occurrence, counted from 1.
    pub first_line: u32,
}
