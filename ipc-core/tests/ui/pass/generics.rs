//! Type and constant parameters, with bounds in either place and with defaults.

#![deny(warnings, missing_docs, unreachable_pub, unsafe_op_in_unsafe_fn, unused_qualifications, missing_copy_implementations)]

use ipc_core::message::IpcMessage;
use ipc_macros::IpcMessage;

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Pair<T: IpcMessage, U = u8, const N: usize = 4>
where
    U: IpcMessage,
{
    first: T,
    second: [U; N],
}

#[derive(IpcMessage, Clone, Copy)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
enum Either<T: IpcMessage, U: IpcMessage> {
    _Left(T),
    _Right { value: U },
    _Neither,
}

fn main() {
    let _ = <Pair<u8>>::FINGERPRINT;
    let _ = <Pair<Either<u8, Pair<f64, bool, 2>>, char>>::FINGERPRINT;
    let pair = Pair::<u8> { first: 1, second: [2; 4] };
    let _ = (pair.first, pair.second);
}
