//! Types of one's own that have the name of one in `std`, and names that the derive uses itself.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Cell {
    charge: f32,
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Vec {
    cell: Cell,
    offset: u8,
    to: u8,
    at: u8,
}

/// Hides what the derive must not rely on.
#[allow(dead_code, non_camel_case_types)]
mod hidden {
    pub(crate) struct Result;
    pub(crate) struct Ok;
    pub(crate) struct Err;
    pub(crate) struct u64;
    pub(crate) struct str;
    pub(crate) struct bool;
}
#[allow(unused_imports)]
use hidden::*;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(u8)]
enum Option {
    Some,
    None,
}

fn main() {
    let vec = Vec { cell: Cell { charge: 1.0 }, offset: 1, to: 2, at: 3 };
    let _ = (vec.cell.charge, vec.offset, vec.to, vec.at, Option::Some, Option::None);
    let _ = (Vec::FINGERPRINT, Option::FINGERPRINT);
}
