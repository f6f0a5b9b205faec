use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", queue = "a", capcity = 64)]
#[repr(C)]
struct Message {
    a: u8,
}

fn main() {
    let _ = Message::channel();
}
