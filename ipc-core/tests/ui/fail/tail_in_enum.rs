use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
enum Message {
    Text(str),
}

fn main() {}
