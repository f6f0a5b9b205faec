use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(c)]
struct Message {
    a: u8,
}

fn main() {}
