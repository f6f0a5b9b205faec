//! Every shape that the derive carries: it compiles without a warning, and a value comes out of the bytes as it went in.

use core::mem::MaybeUninit;

use ipc_core::message::{IpcMessage, List, Opt, Str, from_bytes};
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Prims {
    a: u8,
    b: i128,
    c: i8,
    d: u128,
    e: u16,
    f: f64,
    g: i16,
    h: u64,
    i: u32,
    j: i64,
    k: i32,
    l: f32,
    m: char,
    n: bool,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq, Eq)]
#[ipc(crate = "ipc_core")]
#[repr(i16)]
enum Status {
    Lost = -300,
    Flown = 1,
    Landed,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, u16)]
#[allow(dead_code)]
enum Command {
    Stop,
    Move { x: f64, up: bool },
    Say(Str<7>, u8) = 9,
    Report(Status),
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, align(64))]
struct Pair<T, U>
where
    T: IpcMessage,
    U: IpcMessage,
{
    first: T,
    r#second: U,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
enum Either<T: IpcMessage, U: IpcMessage, const N: usize> {
    Left(T),
    Right { items: [U; N] },
    Neither,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Id(u64, [u8; 3]);

/// Places a value over a background and returns the bytes.
fn placed<T: IpcMessage>(value: &T, background: u8) -> Vec<u8> {
    let mut slot = MaybeUninit::<T>::uninit();
    // SAFETY: all of `slot` is written.
    unsafe { slot.as_mut_ptr().cast::<u8>().write_bytes(background, size_of::<T>()) };
    // SAFETY: `slot` is aligned, writable, and private to this function.
    unsafe { value.place(slot.as_mut_ptr()) };
    // SAFETY: all bytes were initialised by the background.
    unsafe { core::slice::from_raw_parts(slot.as_ptr().cast::<u8>(), size_of::<T>()) }.to_vec()
}

fn round_trip<T: IpcMessage + PartialEq + core::fmt::Debug>(value: T) {
    for background in [0, 0xff] {
        assert_eq!(from_bytes::<T>(&placed(&value, background)).as_ref(), Ok(&value));
    }
}

#[test]
fn values_come_back() {
    round_trip(Prims {
        a: 1,
        b: -2,
        c: -3,
        d: 1 << 100,
        e: 5,
        f: 6.5,
        g: -7,
        h: 8,
        i: 9,
        j: -10,
        k: -11,
        l: 1.5,
        m: 'é',
        n: true,
    });
    round_trip(Status::Lost);
    round_trip(Status::Landed);
    for command in [
        Command::Stop,
        Command::Move { x: 1.0, up: true },
        Command::Say("abc".parse().unwrap(), 4),
        Command::Report(Status::Flown),
    ] {
        round_trip(command);
    }
    round_trip(Pair {
        first: Opt::Some(3u64),
        second: 'x',
    });
    round_trip(Either::<u8, u64, 2>::Right { items: [1, 2] });
    round_trip(Either::<u8, u64, 2>::Left(1));
    round_trip(Id(7, [1, 2, 3]));
    round_trip([[Id(7, [1, 2, 3]); 2]; 3]);
    round_trip(List::<Opt<u16>, 4>::from_slice(&[Opt::None, Opt::Some(4)]).unwrap());
}
