use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    id: u64,
    wrong: [[u8; 0]],
}

fn main() {}
