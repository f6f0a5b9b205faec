use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    text: ipc_core::message::Str<65_536>,
}

fn main() {
    let _ = ipc_core::message::from_bytes::<Message>(&[]);
    let _ = <Message as ipc_core::message::IpcMessage>::FINGERPRINT;
}
