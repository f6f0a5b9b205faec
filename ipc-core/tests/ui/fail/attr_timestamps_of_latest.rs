use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", latest = "a", timestamps)]
#[repr(C)]
struct Message {
    a: u8,
}

fn main() {
    let _ = Message::channel();
    let _ = Message::writer();
    let _ = Message::reader();
}
