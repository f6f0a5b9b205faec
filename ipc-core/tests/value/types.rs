//! Messages of every shape.

use core::mem::MaybeUninit;

use ipc_core::message::{IpcMessage, List, Opt, Str};
use ipc_macros::IpcMessage;

/// Stores a value over a background, and returns the bytes.
pub(super) fn placed<T: IpcMessage>(value: &T, background: u8) -> Vec<u8> {
    let mut slot = MaybeUninit::<T>::uninit();
    // SAFETY: `slot` has this size.
    unsafe { slot.as_mut_ptr().cast::<u8>().write_bytes(background, size_of::<T>()) };
    // SAFETY: `slot` is aligned, writable, and private to this function.
    unsafe { value.place(slot.as_mut_ptr()) };
    // SAFETY: `write_bytes` initialised all bytes, and the stores of `place` did not undo that.
    unsafe { core::slice::from_raw_parts(slot.as_ptr().cast::<u8>(), size_of::<T>()) }.to_vec()
}

/// Declares messages.
macro_rules! messages {
    ($($item:item)*) => {$(
        #[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
        #[ipc(crate = "ipc_core")]
        #[allow(dead_code)]
        $item
    )*};
}

messages! {
    #[repr(C)]
    pub(super) struct Prims {
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
    }

    #[repr(C)]
    pub(super) struct Checked {
        yes: bool,
        letter: char,
        nothing: [u8; 0],
        no: bool,
    }

    #[repr(i16)]
    pub(super) enum Status {
        Lost = -300,
        Flown = 1,
        Landed,
    }

    #[repr(i64)]
    pub(super) enum Wide {
        Zero,
        Some = 0x0101,
        Minus = -1,
    }

    #[repr(C, u16)]
    pub(super) enum Command {
        Stop,
        Move { x: f64, up: bool },
        Say(Str<7>, u8) = 9,
        Report(Status),
        Nothing(),
    }

    #[repr(C, align(64))]
    pub(super) struct Pair<T: IpcMessage, U: IpcMessage> {
        pub(super) first: T,
        pub(super) second: U,
    }

    #[repr(C, i8)]
    pub(super) enum Either<T: IpcMessage, U: IpcMessage, const N: usize> {
        Left(T) = -1,
        Right { items: [U; N] },
        Neither,
    }

    #[repr(C)]
    pub(super) struct Id(pub(super) u64, pub(super) [u8; 3]);

    #[repr(C)]
    pub(super) struct Only<T: IpcMessage>(pub(super) T);

    #[repr(C)]
    pub(super) struct Large {
        ids: List<Id, 3>,
        commands: [[Opt<Command>; 2]; 2],
        either: Either<Str<5>, Only<Status>, 2>,
        text: Opt<Str<9>>,
    }
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
#[allow(dead_code, reason = "only its schema is looked at")]
pub(crate) struct Parcel {
    weight: f64,
    contents: [u32],
}
