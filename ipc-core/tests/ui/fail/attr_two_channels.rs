use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", queue = "a", latest = "b")]
#[repr(C)]
struct Message {
    a: u8,
}

fn main() {
    let _ = Message::channel();
    let _ = Message::sender();
    let _ = Message::receiver();
}
