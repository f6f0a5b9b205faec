use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    id: u64,
    data: [u8],
}

impl Drop for Message {
    fn drop(&mut self) {}
}

fn main() {}
