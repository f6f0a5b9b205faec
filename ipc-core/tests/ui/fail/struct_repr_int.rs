use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(u8)]
struct Message {
    a: u8,
}

fn main() {}
