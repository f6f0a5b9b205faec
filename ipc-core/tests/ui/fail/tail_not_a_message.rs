use ipc_macros::IpcMessage;

struct Plain(u8);

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    id: u64,
    wrong: [Plain],
}

fn main() {}
