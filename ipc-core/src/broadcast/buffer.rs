//! Memory for copies of messages of any type and length.

use crate::message::MAX_ALIGN;
use core::mem::MaybeUninit;

/// Bytes that are aligned for every message.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
struct Piece([MaybeUninit<u8>; MAX_ALIGN]);

const _: () = assert!(align_of::<Piece>() == MAX_ALIGN && size_of::<Piece>() == MAX_ALIGN);

/// Memory of this process that is allocated when it is needed, and then used again and again.
#[derive(Default)]
pub(crate) struct Buffer(Vec<Piece>);

impl Buffer {
    /// Makes room for a message of so many bytes, padding at its end included. What was in there is gone.
    pub(crate) fn reserve(&mut self, bytes: usize) -> *mut u8 {
        let pieces = bytes.div_ceil(MAX_ALIGN);
        if self.0.len() < pieces {
            self.0.clear();
            self.0.resize(pieces, Piece([MaybeUninit::uninit(); MAX_ALIGN]));
        }
        self.0.as_mut_ptr().cast()
    }

    /// Where the message that it was reserved for begins.
    pub(crate) fn start(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }
}
