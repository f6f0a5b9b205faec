//! Typed, crash-safe messaging between processes through lock-free rings in shared memory.
pub use ipc_core::*;
pub use ipc_macros::IpcMessage;
