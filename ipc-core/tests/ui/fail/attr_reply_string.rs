use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", service = "a", reply = String)]
#[repr(C)]
struct Message {
    a: u8,
}

fn main() {
    let _ = Message::channel();
    let _ = Message::client();
    let _ = Message::server();
}
