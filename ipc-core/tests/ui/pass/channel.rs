//! The functions of a declared channel, with the visibility of the type.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage as _;
use ipc_macros::IpcMessage;

/// A module.
pub mod messages {
    /// A message.
    #[derive(super::IpcMessage, Clone, Copy)]
    #[ipc(
        crate = "ipc_core", queue = "ui-pass", capacity = 4_096, spsc, lifetime = "attached", prefault = false, huge_pages,
        mode = 0o660, group = "robots", hardened
    )]
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

/// A message for everybody.
#[derive(IpcMessage, Clone, Copy)]
#[ipc(
    crate = "ipc_core", broadcast = "ui-pass.ticks", capacity = 8, lossless, history = 4, evict_after = "2s",
    lifetime = "drained", prefault = true, huge_pages
)]
#[repr(C)]
pub struct Tick {
    /// A field.
    pub a: u8,
}

/// A message for those who are fast enough.
#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core", broadcast = "ui-pass.frames", lossy)]
#[repr(C)]
pub struct Frame {
    /// A field.
    pub a: u8,
}

/// Messages that a channel has room for.
pub const ROOM: usize = 1 << 4;

/// A message whose channel is described by constants and switches.
#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core", queue = "ui-pass.room", capacity = ROOM * 2, huge_pages = true, timestamps = false, hardened = false)]
#[repr(C)]
pub struct Computed {
    /// A field.
    pub a: u8,
}

/// A request of any length.
#[derive(IpcMessage)]
#[ipc(
    crate = "ipc_core", service = "ui-pass.render", reply = str, capacity = 3, max_request = 1_000, max_reply = ROOM * 1_024,
    timestamps
)]
#[repr(C)]
pub struct Page {
    /// A field.
    pub number: u32,
    /// What is on it.
    pub text: str,
}

fn main() {
    let _: fn() -> ipc_core::Queue<Computed> = Computed::channel;
    let _: fn() -> ipc_core::Service<Page, str> = Page::channel;
    let _: fn() -> Result<ipc_core::Client<Page, str>, ipc_core::OpenError> = Page::client;
    let _: fn() -> Result<ipc_core::Server<Page, str>, ipc_core::OpenError> = Page::server;
    let _: fn() -> ipc_core::Broadcast<Tick> = Tick::channel;
    let _: fn() -> Result<ipc_core::Publisher<Tick>, ipc_core::OpenError> = Tick::publisher;
    let _: fn() -> Result<ipc_core::Subscriber<Tick>, ipc_core::OpenError> = Tick::subscriber;
    let _: fn() -> Result<ipc_core::Subscriber<Frame>, ipc_core::OpenError> = Frame::subscriber;
    let _: fn() -> ipc_core::Queue<messages::Public> = messages::Public::channel;
    let _: fn() -> Result<ipc_core::Sender<messages::Public>, ipc_core::OpenError> = messages::Public::sender;
    let _: fn() -> Result<ipc_core::Receiver<messages::Public>, ipc_core::OpenError> = messages::Public::receiver;
    let _ = messages::Private { a: 1 }.a;
    assert_eq!(messages::Private::NAME, "Other");
}
