//! Structs whose last field varies in length.

use ipc_core::message::{IpcMessage, List, Opt, Str};
use ipc_core::schema::Tail;
use ipc_macros::IpcMessage;

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Packet {
    time_ns: u64,
    link: u16,
    data: [u8],
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core", name = "Line")]
#[repr(C)]
struct Log {
    level: Opt<u8>,
    text: str,
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(64))]
struct Wide(u8, Str<3>, [[f64; 2]]);

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Samples<T: IpcMessage, const N: usize> {
    of: [T; N],
    r#in: [List<T, N>],
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Bytes {
    all: [u8],
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Where<T>([T])
where
    T: IpcMessage;

fn extent<T: IpcMessage + ?Sized>() -> (usize, usize, Option<Tail>) {
    (T::TYPE.size, T::TYPE.align, T::TYPE.tail())
}

fn tail(offset: usize, item_bytes: usize) -> Option<Tail> {
    Some(Tail { offset, item_bytes, is_text: false })
}

fn main() {
    assert_eq!(extent::<Packet>(), (16, 8, tail(10, 1)));
    assert_eq!(extent::<Log>(), (2, 1, Some(Tail { offset: 2, item_bytes: 1, is_text: true })));
    assert_eq!(Log::NAME, "Line");
    assert_eq!(extent::<Wide>(), (64, 64, tail(8, 16)));
    assert_eq!(extent::<Samples<u32, 2>>(), (8, 4, tail(8, 12)));
    assert_eq!(extent::<Bytes>(), (0, 1, tail(0, 1)));
    assert_eq!(extent::<Where<u64>>(), (0, 8, tail(0, 8)));
    assert_eq!(extent::<[u16]>(), (0, 2, tail(0, 2)));
    assert!(Packet::ANY_BITS && !Log::ANY_BITS);
}
