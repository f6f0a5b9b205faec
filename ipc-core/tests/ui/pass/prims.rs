//! Every primitive.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    _u8: u8,
    _u16: u16,
    _u32: u32,
    _u64: u64,
    _u128: u128,
    _i8: i8,
    _i16: i16,
    _i32: i32,
    _i64: i64,
    _i128: i128,
    _f32: f32,
    _f64: f64,
    _bool: bool,
    _char: char,
}

fn main() {
    const { assert!(!Message::ANY_BITS) };
}
