use slipring::{IpcMessage, Str};

/// What the two programs exchange.
#[derive(IpcMessage, Debug)]
#[repr(C)]
#[ipc(queue = "hello", spsc)]
pub(crate) struct Hello {
    pub(crate) number: u32,
    pub(crate) text: Str<60>,
}
