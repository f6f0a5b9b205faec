use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    id: u64,
    wrong: str,
}

fn main() {
    let _ = <Message as ipc_core::message::IpcMessage>::FINGERPRINT;
}
