use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", queue = "a", capacity = 1_000_000_000)]
#[repr(C)]
struct Message {
    a: u8,
}

fn main() {
    let _ = Message::sender();
}
