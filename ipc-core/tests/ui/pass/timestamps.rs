//! A declared queue with timestamps, exclusive and shared.

use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core", queue = "ui-pass.timestamps", spsc, timestamps)]
#[repr(C)]
struct Exclusive {
    a: u8,
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core", queue = "ui-pass.timestamps.shared", timestamps)]
#[repr(C)]
struct Shared {
    a: u8,
}

fn main() {
    let domain = format!("ui-pass-{}", std::process::id());
    let rx = Exclusive::channel().domain(&domain).receiver().unwrap();
    assert!(rx.info().timestamps);
    let rx = Shared::channel().domain(&domain).receiver().unwrap();
    assert!(rx.info().timestamps);
    assert_eq!(Exclusive { a: 1 }.a + Shared { a: 1 }.a, 2);
}
