//! [`Str`]: text that lies inside the message.

use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::mem::offset_of;
use core::ops::Deref;
use core::str::FromStr;

use super::store::store_u16;
use super::{Invalid, IpcMessage, Reason};
use crate::schema::{Kind, Type};
use crate::words;

/// UTF-8 text of at most `N` bytes, held inline; it derefs to `str`.
///
/// ```text
///   0      2                      2 + N
///   +------+------------------------+
///   | len  | bytes                  |   + one byte of padding if N is odd
///   +------+------------------------+
/// ```
///
/// ```
/// use ipc_core::message::Str;
///
/// let carrier: Str<2> = "UA".try_into()?;
/// assert_eq!(carrier, "UA");
/// assert_eq!(carrier.to_lowercase(), "ua");
/// assert!("AAL".parse::<Str<2>>().is_err());
/// // "é" takes two bytes and does not fit whole after "caf".
/// assert_eq!(Str::<4>::truncated("café"), "caf");
/// # Ok::<(), ipc_core::message::TooLong>(())
/// ```
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Str<const N: usize> {
    /// Bytes of text, at most `N`.
    len: u16,
    /// The text, valid UTF-8 up to `len`; what lies behind is initialised, but means nothing.
    bytes: [u8; N],
}

/// What does not fit a [`Str`], or the tail of a loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a length of {len} does not fit into {capacity}: use a larger `Str`, or a longer loan, or cut it (`Str::truncated`)"
)]
pub struct TooLong {
    /// How many bytes of text, or items, there would be.
    pub len: usize,
    /// How many fit.
    pub capacity: usize,
}

impl<const N: usize> Str<N> {
    /// Fails to compile for a capacity that the length field cannot count to.
    const BOUNDED: () = assert!(N <= u16::MAX as usize, "a `Str` holds at most 65,535 bytes");

    /// A text of no characters.
    #[inline]
    pub const fn empty() -> Self {
        let () = Self::BOUNDED;
        Self { len: 0, bytes: [0; N] }
    }

    /// Copies a text that fits.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if it does not.
    #[inline]
    pub fn new(text: &str) -> Result<Self, TooLong> {
        let mut new = Self::empty();
        new.push_str(text)?;
        Ok(new)
    }

    /// Copies as many whole characters of a text as fit.
    #[inline]
    pub fn truncated(text: &str) -> Self {
        let mut end = text.len().min(N);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut new = Self::empty();
        new.append(&text[..end]);
        new
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // The bound holds for every `Str`. It is applied again because a reference into a segment is at the mercy of
        // the other side, and this keeps it inside the message whatever happens there.
        let len = usize::from(self.len).min(N);
        // SAFETY: every constructor copies from a `str`, and `validate` accepts nothing else.
        unsafe { core::str::from_utf8_unchecked(&self.bytes[..len]) }
    }

    /// Appends a text; nothing changes if it does not fit.
    ///
    /// # Errors
    ///
    /// [`TooLong`] if it does not, with the length that the whole would have.
    #[inline]
    pub fn push_str(&mut self, text: &str) -> Result<(), TooLong> {
        let len = self.as_str().len() + text.len();
        if len > N {
            return Err(TooLong { len, capacity: N });
        }
        self.append(text);
        Ok(())
    }

    /// Removes the text.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The most bytes of text that fit: `N`.
    #[inline]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// Appends a text that is known to fit.
    #[inline]
    fn append(&mut self, text: &str) {
        let start = self.as_str().len();
        let end = start + text.len();
        self.bytes[start..end].copy_from_slice(text.as_bytes());
        // `end <= N`, or the line above had panicked, and `BOUNDED` keeps `N` within 16 bits.
        self.len = end as u16;
    }
}

impl<const N: usize> Default for Str<N> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<const N: usize> Deref for Str<N> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> AsRef<str> for Str<N> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// `Eq`, `Ord` and `Hash` are those of the text, as `Borrow` demands.
impl<const N: usize> Borrow<str> for Str<N> {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> TryFrom<&str> for Str<N> {
    type Error = TooLong;

    fn try_from(text: &str) -> Result<Self, TooLong> {
        Self::new(text)
    }
}

impl<const N: usize> TryFrom<String> for Str<N> {
    type Error = TooLong;

    fn try_from(text: String) -> Result<Self, TooLong> {
        Self::new(&text)
    }
}

impl<const N: usize> FromStr for Str<N> {
    type Err = TooLong;

    fn from_str(text: &str) -> Result<Self, TooLong> {
        Self::new(text)
    }
}

/// Lets `write!` format into it; what does not fit is `fmt::Error`.
impl<const N: usize> fmt::Write for Str<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text).map_err(|_| fmt::Error)
    }
}

impl<const N: usize> fmt::Display for Str<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl<const N: usize> fmt::Debug for Str<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize, const M: usize> PartialEq<Str<M>> for Str<N> {
    fn eq(&self, other: &Str<M>) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<const N: usize> Eq for Str<N> {}

impl<const N: usize> PartialEq<str> for Str<N> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl<const N: usize> PartialEq<&str> for Str<N> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl<const N: usize> PartialEq<Str<N>> for str {
    fn eq(&self, other: &Str<N>) -> bool {
        self == other.as_str()
    }
}

impl<const N: usize> PartialEq<Str<N>> for &str {
    fn eq(&self, other: &Str<N>) -> bool {
        *self == other.as_str()
    }
}

impl<const N: usize> PartialOrd for Str<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Str<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<const N: usize> Hash for Str<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

// SAFETY: `repr(C)` with an integer and bytes. `validate` accepts a length within the capacity and UTF-8 up to it,
// which is all that the accessors rely on; `place` stores exactly that part.
unsafe impl<const N: usize> IpcMessage for Str<N> {
    const NAME: &'static str = "Str";
    const TYPE: &'static Type = {
        let () = Self::BOUNDED;
        &Type { name: "Str", size: size_of::<Self>(), align: align_of::<Self>(), kind: Kind::Str { capacity: N } }
    };
    const ANY_BITS: bool = false;

    #[inline(always)]
    fn tail_len(_: *const Self) -> usize {
        0
    }

    #[inline(always)]
    fn pointer(at: *mut u8, _: usize) -> *mut Self {
        at.cast()
    }

    #[inline]
    unsafe fn validate(at: *const Self) -> Result<(), Invalid> {
        // SAFETY: `Self` is an integer and bytes, so initialised memory is a reference's worth of it; the caller
        // vouches for that and for the alignment, and that nobody writes during the call.
        let candidate = unsafe { &*at };
        let Some(text) = candidate.bytes.get(..usize::from(candidate.len)) else {
            return Err(Invalid::new(Reason::Length { len: candidate.len.into(), capacity: N }));
        };
        match core::str::from_utf8(text) {
            Ok(_) => Ok(()),
            Err(error) => Err(Invalid::new(Reason::Utf8 { valid_up_to: error.valid_up_to() })),
        }
    }

    #[inline]
    unsafe fn place(&self, to: *mut Self) {
        let text = self.as_str();
        // SAFETY: the length is the first field of the destination that the caller vouches for.
        unsafe { store_u16(to.cast(), text.len() as u16) };
        let bytes = to.cast::<u8>().wrapping_add(offset_of!(Self, bytes));
        // SAFETY: the text is at most `N` bytes, and so many follow the length in the destination.
        unsafe { words::store(text.as_ptr(), bytes, text.len()) };
    }

    #[inline]
    unsafe fn place_blank(to: *mut Self) {
        // SAFETY: the length is the first field of the destination that the caller vouches for.
        unsafe { store_u16(to.cast(), 0) };
    }
}
