//! Worker processes and their supervision.
//!
//! - [`Worker`] is a process that dies with the one that started it, whatever kills that.
//!
//! A program depends on `slipring`, which has all of this as `slipring::process`.

mod child;
mod error;
mod exit;
mod keeper;
mod poll;
mod worker;

pub use error::SpawnError;
pub use exit::Exit;
pub use worker::Worker;
