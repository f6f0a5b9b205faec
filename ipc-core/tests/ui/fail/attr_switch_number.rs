use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", queue = "a", spsc, huge_pages = 1)]
#[repr(C)]
struct Message {
    a: u8,
}

fn main() {
    let _ = ipc_core::message::from_bytes::<Message>(&[]);
    let _ = <Message as ipc_core::message::IpcMessage>::FINGERPRINT;
}
