//! Declared channels with timestamps: queues, exclusive and shared, a broadcast, and a latest value.

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

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", broadcast = "ui-pass.timestamps.all", history = 2, timestamps)]
#[repr(C)]
struct ToAll {
    a: u8,
    text: str,
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core", latest = "ui-pass.timestamps.latest", timestamps)]
#[repr(C)]
struct Newest {
    a: u8,
}

fn main() {
    let domain = format!("ui-pass-{}", std::process::id());
    let rx = Exclusive::channel().domain(&domain).receiver().unwrap();
    assert!(rx.info().timestamps);
    let rx = Shared::channel().domain(&domain).receiver().unwrap();
    assert!(rx.info().timestamps);
    let subscriber = ToAll::channel().domain(&domain).subscriber().unwrap();
    assert!(subscriber.info().timestamps);
    let mut publisher = ToAll::channel().domain(&domain).lifetime(ipc_core::Lifetime::Attached).publisher().unwrap();
    publisher.loan_len(3).unwrap().a = 1;
    let reader = Newest::channel().domain(&domain).reader().unwrap();
    assert!(reader.info().timestamps);
    assert_eq!(Exclusive { a: 1 }.a + Shared { a: 1 }.a + Newest { a: 1 }.a, 3);
}
