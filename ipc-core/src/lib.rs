//! The engine of [slipring](https://docs.rs/slipring): segments, rings, liveness, waiting, channels and message
//! layouts. Programs depend on `slipring`, which re-exports everything public from here.

pub mod message;
pub mod schema;
pub mod words;
