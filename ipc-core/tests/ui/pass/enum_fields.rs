//! Enums with fields, of every tag.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
enum U8 {
    _Unit,
    _Tuple(u8, f64),
    _Struct { a: u128, b: [bool; 3] } = 9,
    _EmptyTuple(),
    _EmptyStruct {},
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, u16)]
enum U16 {
    _Unit,
    _Tuple(u8, f64),
    _Struct { a: u128, b: [bool; 3] } = 9,
    _EmptyTuple(),
    _EmptyStruct {},
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, u32)]
enum U32 {
    _Unit,
    _Tuple(u8, f64),
    _Struct { a: u128, b: [bool; 3] } = 9,
    _EmptyTuple(),
    _EmptyStruct {},
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, u64)]
enum U64 {
    _Unit,
    _Tuple(u8, f64),
    _Struct { a: u128, b: [bool; 3] } = 9,
    _EmptyTuple(),
    _EmptyStruct {},
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, i8)]
enum I8 {
    _Unit,
    _Tuple(u8, f64),
    _Struct { a: u128, b: [bool; 3] } = 9,
    _EmptyTuple(),
    _EmptyStruct {},
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, i16)]
enum I16 {
    _Unit,
    _Tuple(u8, f64),
    _Struct { a: u128, b: [bool; 3] } = 9,
    _EmptyTuple(),
    _EmptyStruct {},
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, i32)]
enum I32 {
    _Unit,
    _Tuple(u8, f64),
    _Struct { a: u128, b: [bool; 3] } = 9,
    _EmptyTuple(),
    _EmptyStruct {},
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, i64)]
enum I64 {
    _Unit,
    _Tuple(u8, f64),
    _Struct { a: u128, b: [bool; 3] } = 9,
    _EmptyTuple(),
    _EmptyStruct {},
}

fn main() {
    let _ = U8::FINGERPRINT;
    let _ = U16::FINGERPRINT;
    let _ = U32::FINGERPRINT;
    let _ = U64::FINGERPRINT;
    let _ = I8::FINGERPRINT;
    let _ = I16::FINGERPRINT;
    let _ = I32::FINGERPRINT;
    let _ = I64::FINGERPRINT;
}
