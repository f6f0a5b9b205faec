use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message<T> {
    value: T,
}

fn main() {
    let _ = ipc_core::message::from_bytes::<Message<u8>>(&[]);
    let _ = <Message<u8> as ipc_core::message::IpcMessage>::FINGERPRINT;
}
