use ipc_macros::IpcMessage;

struct Point {
    _x: f64,
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    at: Point,
}

fn main() {
    let _ = ipc_core::message::from_bytes::<Message>(&[]);
    let _ = <Message as ipc_core::message::IpcMessage>::FINGERPRINT;
}
