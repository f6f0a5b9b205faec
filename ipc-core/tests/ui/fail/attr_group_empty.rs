use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core", latest = "a", group = "")]
#[repr(C)]
struct Message {
    field: u8,
}

fn main() {}
