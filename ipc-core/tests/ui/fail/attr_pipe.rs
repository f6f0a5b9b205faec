use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", pipe = "a")]
#[repr(C)]
struct Message {
    a: u8,
}

fn main() {}
