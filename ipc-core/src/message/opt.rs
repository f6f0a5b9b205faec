//! [`Opt`]: an option with a layout.

use core::fmt;
use core::mem::offset_of;

use super::store::store_u8;
use super::{Invalid, IpcMessage, Reason};
use crate::schema::{Kind, Type};

/// An `Option` with a layout that every program agrees on: a tag byte, then the value at its alignment.
///
/// It converts from and to `Option`, and [`get`](Self::get) gives one for matching and for `?`:
///
/// ```
/// use ipc_core::message::Opt;
///
/// let delay: Opt<i16> = Some(-3).into();
/// assert_eq!(delay, Opt::Some(-3));
/// assert_eq!(delay.get().unwrap_or(0), -3);
/// assert_eq!(delay.map(i32::from).into_option(), Some(-3i32));
/// assert!(Opt::<i16>::default().is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(C, u8)]
pub enum Opt<T> {
    /// There is no value.
    #[default]
    None = 0,
    /// There is this value.
    Some(T) = 1,
}

impl<T> Opt<T> {
    /// Whether there is a value.
    #[inline]
    pub const fn is_some(&self) -> bool {
        matches!(self, Self::Some(_))
    }

    /// Whether there is no value.
    #[inline]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The value by reference, as an `Option`.
    #[inline]
    pub const fn as_ref(&self) -> Option<&T> {
        match self {
            Self::None => None,
            Self::Some(value) => Some(value),
        }
    }

    /// The value by mutable reference, as an `Option`.
    #[inline]
    pub const fn as_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::None => None,
            Self::Some(value) => Some(value),
        }
    }

    /// A copy of the value, as an `Option`.
    #[inline]
    pub const fn get(&self) -> Option<T>
    where
        T: Copy,
    {
        match self {
            Self::None => None,
            Self::Some(value) => Some(*value),
        }
    }

    /// Becomes an `Option`.
    #[inline]
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::None => None,
            Self::Some(value) => Some(value),
        }
    }

    /// The value, or `default` if there is none.
    #[inline]
    pub fn unwrap_or(self, default: T) -> T {
        self.into_option().unwrap_or(default)
    }

    /// The value, or that of `Default` if there is none.
    #[inline]
    pub fn unwrap_or_default(self) -> T
    where
        T: Default,
    {
        self.into_option().unwrap_or_default()
    }

    /// Applies a function to the value, if there is one.
    #[inline]
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Opt<U> {
        self.into_option().map(f).into()
    }
}

impl<T> From<Option<T>> for Opt<T> {
    #[inline]
    fn from(option: Option<T>) -> Self {
        match option {
            None => Self::None,
            Some(value) => Self::Some(value),
        }
    }
}

impl<T> From<Opt<T>> for Option<T> {
    #[inline]
    fn from(opt: Opt<T>) -> Self {
        opt.into_option()
    }
}

impl<T: PartialEq> PartialEq<Option<T>> for Opt<T> {
    fn eq(&self, other: &Option<T>) -> bool {
        self.as_ref() == other.as_ref()
    }
}

/// Like `Option`: `Some(7)` or `None`.
impl<T: fmt::Debug> fmt::Debug for Opt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// The value as it shows itself, or `-`, as tables have it.
impl<T: fmt::Display> fmt::Display for Opt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("-"),
            Self::Some(value) => value.fmt(f),
        }
    }
}

/// The layout of an [`Opt`] that holds a value, for naming the offset: `repr(C, u8)` is a tag followed by the value.
#[repr(C)]
struct Layout<T> {
    tag: u8,
    value: T,
}

// SAFETY: `repr(C, u8)` has the layout of `Layout`. `validate` accepts the two tags, and the second only with a valid
// value behind it; `place` stores the tag, and the value if there is one.
unsafe impl<T: IpcMessage> IpcMessage for Opt<T> {
    const NAME: &'static str = "Opt";
    const TYPE: &'static Type = &Type {
        name: Self::NAME,
        size: size_of::<Self>(),
        align: align_of::<Self>(),
        kind: Kind::Opt { item: T::TYPE, offset: offset_of!(Layout<T>, value) },
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
        // SAFETY: the tag is the first byte of what the caller vouches for.
        let tag = unsafe { at.cast::<u8>().read() };
        match tag {
            0 => Ok(()),
            // SAFETY: the value lies at this offset of what the caller vouches for.
            1 => unsafe { T::validate(at.wrapping_byte_add(offset_of!(Layout<T>, value)).cast()) },
            _ => Err(Invalid::new(Reason::Opt(tag))),
        }
    }

    #[inline]
    unsafe fn place(&self, to: *mut Self) {
        // SAFETY: the tag is the first byte of the destination that the caller vouches for.
        unsafe { store_u8(to.cast(), self.is_some().into()) };
        if let Self::Some(value) = self {
            // SAFETY: the value lies at this offset of the destination.
            unsafe { value.place(to.wrapping_byte_add(offset_of!(Layout<T>, value)).cast()) };
        }
    }

    #[inline]
    unsafe fn place_blank(to: *mut Self) {
        // SAFETY: the tag is the first byte of the destination that the caller vouches for.
        unsafe { store_u8(to.cast(), 0) };
    }
}
