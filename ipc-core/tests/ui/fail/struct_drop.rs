use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    a: u8,
}

impl Drop for Message {
    fn drop(&mut self) {}
}

fn main() {}
