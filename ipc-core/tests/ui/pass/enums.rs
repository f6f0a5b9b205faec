//! Fieldless enums of every tag.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(u8)]
enum U8 {
    _A = 3,
    _B,
    _C = U8::BASE + 7,
}

impl U8 {
    const BASE: u8 = 9;
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(u16)]
enum U16 {
    _A = 300,
    _B,
    _C = U16::BASE + 7,
}

impl U16 {
    const BASE: u16 = 9;
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(u32)]
enum U32 {
    _A = 1 << 20,
    _B,
    _C = U32::BASE + 7,
}

impl U32 {
    const BASE: u32 = 9;
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(u64)]
enum U64 {
    _A = 1 << 40,
    _B,
    _C = U64::BASE + 7,
}

impl U64 {
    const BASE: u64 = 9;
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(i8)]
enum I8 {
    _A = -128,
    _B,
    _C = I8::BASE + 7,
}

impl I8 {
    const BASE: i8 = 9;
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(i16)]
enum I16 {
    _A = -300,
    _B,
    _C = I16::BASE + 7,
}

impl I16 {
    const BASE: i16 = 9;
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(i32)]
enum I32 {
    _A = -1,
    _B,
    _C = I32::BASE + 7,
}

impl I32 {
    const BASE: i32 = 9;
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(i64)]
enum I64 {
    _A = i64::MIN,
    _B,
    _C = I64::BASE + 7,
}

impl I64 {
    const BASE: i64 = 9;
}

fn main() {
    const { assert!(I64::DENSE) };
    let _ = U8::FINGERPRINT;
    let _ = U16::FINGERPRINT;
    let _ = U32::FINGERPRINT;
    let _ = U64::FINGERPRINT;
    let _ = I8::FINGERPRINT;
    let _ = I16::FINGERPRINT;
    let _ = I32::FINGERPRINT;
}
