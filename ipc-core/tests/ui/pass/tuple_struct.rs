//! A struct without field names, and the names that are keywords.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message(u8, [u16; 3]);

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Words {
    r#type: u8,
    r#match: Message,
}

fn main() {
    const { assert!(Words::ANY_BITS) };
    let words = Words { r#type: 1, r#match: Message(1, [2; 3]) };
    let _ = (words.r#type, words.r#match.0, words.r#match.1);
}
