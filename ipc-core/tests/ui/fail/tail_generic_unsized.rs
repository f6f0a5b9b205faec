use ipc_core::message::IpcMessage;
use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Frame<T: IpcMessage + ?Sized> {
    id: u64,
    wrong: T,
}

fn main() {
    let _ = <Frame<u8> as IpcMessage>::NAME;
}
