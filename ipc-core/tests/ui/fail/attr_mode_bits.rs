use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core", queue = "a", mode = 0o755)]
#[repr(C)]
struct Message {
    field: u8,
}

fn main() {}
