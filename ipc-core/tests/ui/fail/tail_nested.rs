use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Packet {
    link: u16,
    data: [u8],
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    id: u64,
    wrong: Packet,
}

fn main() {
    let _ = ipc_core::message::boxed::<Message>;
    let _ = <Message as ipc_core::message::IpcMessage>::FINGERPRINT;
}
