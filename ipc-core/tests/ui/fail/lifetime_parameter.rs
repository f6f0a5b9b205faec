use ipc_macros::IpcMessage;

#[derive(Clone, Copy)]
struct Name<'a>(&'a str);

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message<'a> {
    name: Name<'a>,
}

fn main() {
    let _ = ipc_core::message::from_bytes::<Message>(&[]);
    let _ = <Message as ipc_core::message::IpcMessage>::FINGERPRINT;
}
