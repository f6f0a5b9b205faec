//! The functions of a declared channel, with the visibility of the type.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_macros::IpcMessage;

/// A module.
pub mod messages {
    /// A message.
    #[derive(super::IpcMessage, Clone, Copy)]
    #[ipc(crate = "ipc_core", queue = "ui-pass", capacity = 4_096, spsc, lifetime = "attached", prefault = false, huge_pages)]
    #[repr(C)]
    pub struct Public {
        /// A field.
        pub a: u8,
    }

    /// A message of which nobody uses the channel.
    #[derive(super::IpcMessage, Clone, Copy)]
    #[ipc(crate = "::ipc_core")]
    #[ipc(name = "Other", queue = "ui-pass.other")]
    #[ipc(spsc)]
    #[repr(C)]
    pub(super) struct Private {
        pub(super) a: u8,
    }
}

fn main() {
    let _: fn() -> ipc_core::Queue<messages::Public> = messages::Public::channel;
    let _: fn() -> Result<ipc_core::Sender<messages::Public>, ipc_core::OpenError> = messages::Public::sender;
    let _: fn() -> Result<ipc_core::Receiver<messages::Public>, ipc_core::OpenError> = messages::Public::receiver;
    let _ = messages::Private { a: 1 }.a;
    assert_eq!(messages::Private::NAME, "Other");
}
