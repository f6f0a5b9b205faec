//! Messages: the [`IpcMessage`] trait, and three inline types, [`Opt`], [`Str`] and [`List`], which replace types of
//! `std` whose layout is undefined or which point to the heap.
//!
//! A message crosses a process boundary as bytes. The trait answers the three questions on which soundness depends:
//!
//! - *Do both sides agree on the layout?* [`IpcMessage::SCHEMA`] describes it, with all names and values;
//!   [`IpcMessage::FINGERPRINT`] is its digest.
//! - *Are the received bytes a value of the type?* [`IpcMessage::validate`] checks every byte that has invalid
//!   patterns. It compiles to nothing if there are none ([`IpcMessage::ANY_BITS`]).
//! - *Does nothing but the value leave this process?* [`IpcMessage::place`] stores field by field, so no padding, which
//!   may hold anything, reaches the segment.
//!
//! The derive macro implements all of it:
//!
//! ```
//! use ipc_core::message::{IpcMessage, Opt, Str, from_bytes};
//! use ipc_macros::IpcMessage;
//!
//! #[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
//! #[ipc(crate = "ipc_core")]
//! #[repr(C)]
//! struct Flight {
//!     carrier: Str<2>,
//!     number: u16,
//!     delay_min: Opt<i16>,
//!     status: Status,
//! }
//!
//! #[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
//! #[ipc(crate = "ipc_core")]
//! #[repr(u8)]
//! enum Status {
//!     Flown = 1,
//!     Cancelled = 2,
//! }
//!
//! let mut bytes = [0; size_of::<Flight>()];
//! let refused = from_bytes::<Flight>(&bytes).unwrap_err();
//! assert_eq!(refused.to_string(), "`Flight`.`status`: 0 is not a variant of `Status`");
//!
//! bytes[core::mem::offset_of!(Flight, status)] = 2;
//! assert_eq!(from_bytes::<Flight>(&bytes)?.status, Status::Cancelled);
//! # Ok::<(), ipc_core::message::Invalid>(())
//! ```

mod arrays;
mod invalid;
mod list;
mod opt;
mod prims;
#[doc(hidden)]
pub mod private;
mod store;
mod str;
pub(crate) mod tail;

use core::mem::MaybeUninit;

pub use invalid::{Invalid, Reason};
pub use list::{List, TooMany};
pub use opt::Opt;
pub use str::{Str, TooLong};
pub use tail::boxed;

use crate::schema::{self, Type};

/// The strictest alignment that a slot of a segment offers, in bytes: two cache lines.
pub const MAX_ALIGN: usize = 128;

/// A type whose values can be placed in shared memory and read by another program.
///
/// Derive it; the module's documentation has an example. Every field has to be a message too: integers, floats,
/// `bool`, `char`, arrays, [`Opt`], [`Str`], [`List`], and other derived types.
///
/// The last field of a struct may be a *tail*: `[T]`, or `str`. Such a message varies in length, from one to the next.
///
/// # Safety
///
/// - The type has a layout that is the same in every program (`repr(C)` or a primitive representation), at most
///   [`MAX_ALIGN`] alignment, no drop glue, and no pointer, handle or other value that means something in one process
///   only. It has no interior mutability.
/// - `TYPE` describes that layout exactly; `SCHEMA` and `FINGERPRINT` are left as they are provided.
/// - `validate` returns `Ok` only for bytes that are a valid value. `ANY_BITS` is true only if it would for all bytes.
/// - `place` and `place_blank` leave a valid value, whatever the other bytes of the destination hold, and write neither
///   outside it nor to its padding.
/// - `DENSE` is true only if the type has no padding, so that all of its bytes are initialised.
/// - `tail_len` and `pointer` take pointers apart and put them together, and do nothing else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be placed in shared memory",
    label = "not an `IpcMessage`",
    note = "derive `IpcMessage` for it if it is a type of yours",
    note = "in place of a type of `std`, use `Str<N>` for `String`, `List<T, N>` for `Vec<T>`, `Opt<T>` for `Option<T>`, \
            `u64` for `usize`, and a named `repr(C)` struct for a tuple"
)]
pub unsafe trait IpcMessage: Send + Sync + 'static {
    /// The type's name as it is written in the source, or as `#[ipc(name = "...")]` sets it. It never contains a module
    /// path, because two programs that share a source file may include it at different places.
    const NAME: &'static str;

    /// The layout, as a tree.
    const TYPE: &'static Type;

    /// The layout, as bytes that another program can compare, [`diff`](schema::diff) and [`decode`](schema::decode).
    const SCHEMA: &'static [u8] = schema::bytes_of::<Self>();

    /// The digest of [`SCHEMA`](Self::SCHEMA): two programs that agree on it agree on every name, offset, size, value
    /// and bound.
    const FINGERPRINT: u128 = schema::fingerprint(Self::SCHEMA);

    /// Whether all bytes are a valid value, so that there is nothing to validate.
    const ANY_BITS: bool;

    /// Whether no byte is padding, so that a value can be copied as bytes.
    const DENSE: bool = false;

    /// The length of the tail of the message at `at`: items, or bytes of text. The pointer says so, and nothing is
    /// read. 0 for a type without a tail.
    fn tail_len(at: *const Self) -> usize;

    /// The pointer to a message at `at` whose tail has the length `tail_len`, which a type without a tail ignores.
    fn pointer(at: *mut u8, tail_len: usize) -> *mut Self;

    /// Checks that the bytes at `at` are a valid value.
    ///
    /// # Errors
    ///
    /// [`Invalid`] names the first field, in ascending order, whose bytes are not a value of its type.
    ///
    /// # Safety
    ///
    /// `at` is aligned and readable for the size of `Self`, its bytes are initialised, and nobody writes to them
    /// during the call.
    unsafe fn validate(at: *const Self) -> Result<(), Invalid>;

    /// Stores the value at `to`, field by field in ascending order, each with relaxed atomic stores. Padding, and what
    /// a [`Str`], [`List`], [`Opt`] or enum does not use at the moment, is neither read nor written.
    ///
    /// # Safety
    ///
    /// If there are tails, those of `self` and `to` have the same length. `to` is aligned and writable for the size of
    /// `Self`, and does not overlap `self`. Other processes may access the destination at the same time, but this one
    /// only atomically.
    unsafe fn place(&self, to: *mut Self);

    /// Stores some valid value at `to`, in the manner of [`place`](Self::place): zeros, first variants, and empty
    /// texts, lists and options. A tail of text becomes NUL characters.
    ///
    /// # Safety
    ///
    /// As for [`place`](Self::place).
    unsafe fn place_blank(to: *mut Self);
}

/// Reads a message from bytes at any alignment, and checks it.
///
/// ```
/// use ipc_core::message::{Opt, from_bytes};
///
/// assert_eq!(from_bytes::<u32>(&7u32.to_ne_bytes()), Ok(7));
/// assert_eq!(from_bytes::<Opt<u8>>(&[1, 9]), Ok(Opt::Some(9)));
/// assert!(from_bytes::<bool>(&[2]).is_err());
/// assert!(from_bytes::<u32>(&[0; 3]).is_err());
/// ```
///
/// # Errors
///
/// [`Invalid`] if there are not exactly as many bytes as the type has, or if they are not a value of it.
pub fn from_bytes<T: IpcMessage>(bytes: &[u8]) -> Result<T, Invalid> {
    if bytes.len() != size_of::<T>() {
        return Err(Invalid::new(Reason::Size { given: bytes.len(), expected: size_of::<T>() }));
    }
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: both are `size_of::<T>()` bytes long, as just checked, and `value` is a local of this call.
    unsafe { value.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    // SAFETY: all bytes of `value` were just initialised, and it is aligned and private to this call.
    unsafe { T::validate(value.as_ptr()) }?;
    // SAFETY: `validate` accepted the bytes.
    Ok(unsafe { value.assume_init() })
}
