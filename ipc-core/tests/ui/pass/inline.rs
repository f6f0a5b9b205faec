//! The inline stand-ins, nested in each other.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_core::message::{List, Opt, Str};
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    _text: Str<12>,
    _maybe: Opt<Str<3>>,
    _many: List<Opt<List<[char; 2], 3>>, 5>,
    _none: Str<0>,
}

fn main() {
    let _ = Message::FINGERPRINT;
}
