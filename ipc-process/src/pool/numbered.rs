//! An output with the number of its task in front.
//!
//! ```text
//! offset   0              8 (or the alignment of the message, if that is more)
//!          | number, u64 | the message, with its tail if it has one |
//! ```

use core::mem::offset_of;
use ipc_core::IpcMessage;
use ipc_core::message::Invalid;
use ipc_core::schema::{Field, Kind, Type};

/// Fields that a message with a tail may have, so that the number's can be put in front of them.
const MAX_FIELDS: usize = 64;

/// A message with a number in front.
#[repr(C)]
pub(super) struct Numbered<M: ?Sized> {
    pub(super) number: u64,
    pub(super) message: M,
}

/// The number. Its name can be that of no field of a program's.
const NUMBER: Field = Field { name: "task number", offset: offset_of!(Numbered<()>, number), ty: u64::TYPE };

impl<M: IpcMessage + ?Sized> Numbered<M> {
    const ALIGN: usize = if M::TYPE.align > align_of::<u64>() { M::TYPE.align } else { align_of::<u64>() };

    /// Where `repr(C)` puts the message.
    const OFFSET: usize = size_of::<u64>().next_multiple_of(M::TYPE.align);

    /// Where everything ends that does not vary in length.
    const END: usize = match M::TYPE.tail() {
        Some(tail) => Self::OFFSET + tail.offset,
        None => Self::OFFSET + M::TYPE.size,
    };

    /// The fields, and how many they are. A tail has to be a field of the outermost struct, so the fields of a message
    /// that has one are put beside the number.
    const FIELDS: &'static ([Field; MAX_FIELDS + 1], usize) = &{
        let mut fields = [NUMBER; MAX_FIELDS + 1];
        match M::TYPE.kind {
            Kind::Struct { fields: inner } if M::TYPE.tail().is_some() => {
                assert!(inner.len() <= MAX_FIELDS, "a task or output that varies in length has at most 64 fields");
                let mut at = 0;
                while at < inner.len() {
                    fields[at + 1] = Field { offset: Self::OFFSET + inner[at].offset, ..inner[at] };
                    at += 1;
                }
                (fields, at + 1)
            }
            _ => {
                fields[1] = Field { name: "message", offset: Self::OFFSET, ty: M::TYPE };
                (fields, 2)
            }
        }
    };
}

// SAFETY: `repr(C)` over a `u64` and a message, so that the layout is the same everywhere and has nothing in it that means
// something in one process only. `TYPE` describes it: the offsets are those that `repr(C)` gives. A wide pointer to it has
// the length of the message's tail, since the message comes last. `validate`, `place` and `place_blank` do for the message
// what it does itself, and any bits are a `u64`.
unsafe impl<M: IpcMessage + ?Sized> IpcMessage for Numbered<M> {
    const NAME: &'static str = "Numbered";
    const TYPE: &'static Type = &Type {
        name: Self::NAME,
        size: Self::END.next_multiple_of(Self::ALIGN),
        align: Self::ALIGN,
        kind: Kind::Struct { fields: Self::FIELDS.0.split_at(Self::FIELDS.1).0 },
    };
    const ANY_BITS: bool = M::ANY_BITS;

    #[inline(always)]
    fn tail_len(at: *const Self) -> usize {
        M::tail_len(at as *const M)
    }

    #[inline(always)]
    fn pointer(at: *mut u8, tail_len: usize) -> *mut Self {
        M::pointer(at, tail_len) as *mut Self
    }

    #[inline]
    unsafe fn validate(at: *const Self) -> Result<(), Invalid> {
        // SAFETY: the caller vouches for all of `at`, of which this is a part.
        let message = unsafe { &raw const (*at).message };
        // SAFETY: as above; the message is as long as its pointer says.
        unsafe { M::validate(message) }
    }

    #[inline]
    unsafe fn place(&self, to: *mut Self) {
        // SAFETY: the caller vouches for all of `to`, of which this is a part.
        let number = unsafe { &raw mut (*to).number };
        // SAFETY: as above.
        unsafe { self.number.place(number) };
        // SAFETY: as above.
        let message = unsafe { &raw mut (*to).message };
        // SAFETY: as above; the tails have the same length, as the caller vouches for.
        unsafe { self.message.place(message) };
    }

    #[inline]
    unsafe fn place_blank(to: *mut Self) {
        // SAFETY: the caller vouches for all of `to`, of which this is a part.
        let number = unsafe { &raw mut (*to).number };
        // SAFETY: as above.
        unsafe { u64::place_blank(number) };
        // SAFETY: as above.
        let message = unsafe { &raw mut (*to).message };
        // SAFETY: as above.
        unsafe { M::place_blank(message) };
    }
}

/// Sends a copy of a message with a number.
#[inline]
pub(super) fn send<M: IpcMessage + ?Sized>(mut place: ipc_core::Loan<'_, Numbered<M>>, number: u64, message: &M) {
    place.number = number;
    // SAFETY: the place was loaned for a message with a tail of this length, is this process's own until it is sent, and
    // does not overlap the message, which the caller has elsewhere.
    unsafe { message.place(&raw mut place.message) };
    place.send();
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_core::schema::decode;
    use ipc_macros::IpcMessage;
    use std::mem::{offset_of, size_of_val};

    #[derive(IpcMessage)]
    #[ipc(crate = "ipc_core")]
    #[repr(C)]
    struct Picture {
        width: u16,
        title: u8,
        pixels: [u32],
    }

    #[repr(C, align(32))]
    #[derive(IpcMessage, Clone, Copy)]
    #[ipc(crate = "ipc_core")]
    struct Wide([u8; 32]);

    /// What the compiler makes of a type without a tail is what its description says.
    fn check<M: IpcMessage>() {
        let ty = <Numbered<M>>::TYPE;
        assert_eq!((ty.size, ty.align), (size_of::<Numbered<M>>(), align_of::<Numbered<M>>()));
        assert_eq!(<Numbered<M>>::OFFSET, offset_of!(Numbered<M>, message));
        decode(<Numbered<M>>::SCHEMA).unwrap();
    }

    /// The same of one with a tail of `tail_len` items.
    fn check_tail<M: IpcMessage + ?Sized>(tail_len: usize) {
        let memory = [0u64; 64];
        let at = <Numbered<M>>::pointer(memory.as_ptr().cast_mut().cast(), tail_len);
        assert_eq!(<Numbered<M>>::tail_len(at), tail_len);
        // SAFETY: zeros are a value of every type that this is called with, and there are enough of them.
        let value = unsafe { &*at };
        let tail = <Numbered<M>>::TYPE.tail().unwrap();
        let end = tail.offset + tail_len * tail.item_bytes;
        assert_eq!(size_of_val(value), end.next_multiple_of(<Numbered<M>>::TYPE.align));
        assert_eq!(align_of_val(value), <Numbered<M>>::TYPE.align);
        assert_eq!((&raw const value.message).cast::<u8>().addr() - at.addr(), <Numbered<M>>::OFFSET);
        decode(<Numbered<M>>::SCHEMA).unwrap();
    }

    #[test]
    fn the_description_is_what_the_compiler_lays_out() {
        check::<u8>();
        check::<u64>();
        check::<u128>();
        check::<[u16; 5]>();
        check::<Wide>();
        for tail_len in 0..20 {
            check_tail::<[u8]>(tail_len);
            check_tail::<str>(tail_len);
            check_tail::<[u64]>(tail_len);
            check_tail::<Picture>(tail_len);
        }
    }
}
