use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    text: ipc_core::message::Str<65_536>,
}

fn main() {}
