use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(Rust, align(8))]
struct Message {
    a: u8,
    b: u32,
}

fn main() {
    let _ = ipc_core::message::from_bytes::<Message>(&[]);
    let _ = <Message as ipc_core::message::IpcMessage>::FINGERPRINT;
}
