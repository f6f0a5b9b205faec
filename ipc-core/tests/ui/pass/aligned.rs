//! Structs with a stricter alignment.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(64))]
struct Line {
    _a: u8,
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
#[repr(align(128))]
struct Lines {
    _a: Line,
    _b: u64,
}

fn main() {
    let _ = Lines::FINGERPRINT;
    const { assert!(align_of::<Lines>() == 128) };
    let _ = Line::FINGERPRINT;
}
