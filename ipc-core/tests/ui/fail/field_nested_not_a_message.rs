use ipc_macros::IpcMessage;
use ipc_core::message::List;

struct Point {
    _x: f64,
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Message {
    path: List<Point, 4>,
}

fn main() {
    let _ = ipc_core::message::from_bytes::<Message>(&[]);
    let _ = <Message as ipc_core::message::IpcMessage>::FINGERPRINT;
}
