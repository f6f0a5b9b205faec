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
    wrong: [Packet; 2],
}

fn main() {}
