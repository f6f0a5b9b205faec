//! [`List`]: a vector that lies inside the message.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::mem::{MaybeUninit, offset_of};
use core::ops::{Deref, DerefMut};

use super::store::store_u32;
use super::{Invalid, IpcMessage, Reason};
use crate::schema::{Kind, Type};

/// At most `N` items, held inline; it derefs to a slice.
///
/// ```text
///   0      4      at T's alignment
///   +------+- - - +---------+---------+- - -+-----------+
///   | len  |      | item 0  | item 1  |     | item N-1  |
///   +------+- - - +---------+---------+- - -+-----------+
/// ```
///
/// Sending a list stores the items it has, not those it could have.
///
/// ```
/// use ipc_core::message::List;
///
/// let mut prices = List::<f64, 3>::from_slice(&[1.5, 2.5])?;
/// assert_eq!(prices.push(4.0), Ok(()));
/// assert_eq!(prices.push(5.0), Err(5.0));
/// assert_eq!(prices.iter().sum::<f64>(), 8.0);
/// assert_eq!(prices.pop(), Some(4.0));
/// assert_eq!(prices[..], [1.5, 2.5]);
///
/// let few = List::<u32, 4>::from_iter_truncated(1..=9);
/// assert_eq!(few[..], [1, 2, 3, 4]);
/// # Ok::<(), ipc_core::message::TooMany>(())
/// ```
#[repr(C)]
pub struct List<T, const N: usize> {
    /// Items, at most `N`.
    len: u32,
    /// Initialised up to `len`.
    items: [MaybeUninit<T>; N],
}

/// Items that do not fit a [`List`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} items do not fit a `List` of {capacity}: use a larger one, or `List::from_iter_truncated`")]
pub struct TooMany {
    /// How many items there are.
    pub len: usize,
    /// How many fit.
    pub capacity: usize,
}

impl<T: IpcMessage, const N: usize> List<T, N> {
    /// Fails to compile for a capacity that the length field cannot count to.
    const BOUNDED: () = assert!(N <= u32::MAX as usize, "a `List` holds at most 4,294,967,295 items");

    /// A list of no items.
    #[inline]
    pub const fn new() -> Self {
        let () = Self::BOUNDED;
        Self { len: 0, items: [const { MaybeUninit::uninit() }; N] }
    }

    /// Copies a slice that fits.
    ///
    /// # Errors
    ///
    /// [`TooMany`] if it does not.
    #[inline]
    pub fn from_slice(items: &[T]) -> Result<Self, TooMany>
    where
        T: Copy,
    {
        if items.len() > N {
            return Err(TooMany { len: items.len(), capacity: N });
        }
        Ok(Self::from_iter_truncated(items.iter().copied()))
    }

    /// Takes as many items as fit from an iterator, and leaves the others in it if it is taken `by_ref`.
    #[inline]
    pub fn from_iter_truncated(items: impl IntoIterator<Item = T>) -> Self {
        let mut list = Self::new();
        for (slot, item) in list.items.iter_mut().zip(items) {
            slot.write(item);
            list.len += 1;
        }
        list
    }

    /// Appends an item.
    ///
    /// # Errors
    ///
    /// Gives the item back if the list is full.
    #[inline]
    pub fn push(&mut self, item: T) -> Result<(), T> {
        match self.items.get_mut(self.len as usize) {
            None => Err(item),
            Some(slot) => {
                slot.write(item);
                self.len += 1;
                Ok(())
            }
        }
    }

    /// Removes the last item.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let last = self.as_slice().len().checked_sub(1)?;
        self.len = last as u32;
        // SAFETY: items up to the former length are initialised, and this one is no longer counted.
        Some(unsafe { self.items[last].assume_init_read() })
    }
}

impl<T, const N: usize> List<T, N> {
    /// The items.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        // The bound holds for every `List`. It is applied again because a reference into a segment is at the mercy of
        // the other side, and this keeps it inside the message whatever happens there.
        let len = (self.len as usize).min(N);
        // SAFETY: the first `len` items are initialised: `push` writes before it counts, and `validate` checks them.
        unsafe { core::slice::from_raw_parts(self.items.as_ptr().cast(), len) }
    }

    /// The items, to change in place.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        let len = (self.len as usize).min(N);
        // SAFETY: as in `as_slice`.
        unsafe { core::slice::from_raw_parts_mut(self.items.as_mut_ptr().cast(), len) }
    }

    /// Removes all items.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The most items that fit: `N`.
    #[inline]
    pub const fn capacity(&self) -> usize {
        N
    }
}

impl<T: IpcMessage, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: IpcMessage + Clone, const N: usize> Clone for List<T, N> {
    fn clone(&self) -> Self {
        Self::from_iter_truncated(self.iter().cloned())
    }
}

impl<T: IpcMessage + Copy, const N: usize> Copy for List<T, N> {}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T, const N: usize> DerefMut for List<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        self.as_mut_slice()
    }
}

impl<T, const N: usize> AsRef<[T]> for List<T, N> {
    fn as_ref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: IpcMessage + Copy, const N: usize> TryFrom<&[T]> for List<T, N> {
    type Error = TooMany;

    fn try_from(items: &[T]) -> Result<Self, TooMany> {
        Self::from_slice(items)
    }
}

impl<T: IpcMessage, const N: usize, const M: usize> TryFrom<[T; M]> for List<T, N> {
    type Error = TooMany;

    fn try_from(items: [T; M]) -> Result<Self, TooMany> {
        if M > N { Err(TooMany { len: M, capacity: N }) } else { Ok(Self::from_iter_truncated(items)) }
    }
}

impl<T: IpcMessage, const N: usize> TryFrom<Vec<T>> for List<T, N> {
    type Error = TooMany;

    fn try_from(items: Vec<T>) -> Result<Self, TooMany> {
        let len = items.len();
        if len > N { Err(TooMany { len, capacity: N }) } else { Ok(Self::from_iter_truncated(items)) }
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a List<T, N> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a mut List<T, N> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl<T: PartialEq, const N: usize> PartialEq for List<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Eq, const N: usize> Eq for List<T, N> {}

impl<T: PartialEq, const N: usize> PartialEq<[T]> for List<T, N> {
    fn eq(&self, other: &[T]) -> bool {
        self.as_slice() == other
    }
}

impl<T: Hash, const N: usize> Hash for List<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

// SAFETY: `repr(C)` with an integer and an array. `validate` accepts a length within the capacity and valid items up to
// it, which is all that the accessors rely on; `place` stores exactly that part.
unsafe impl<T: IpcMessage, const N: usize> IpcMessage for List<T, N> {
    const NAME: &'static str = "List";
    const TYPE: &'static Type = {
        let () = Self::BOUNDED;
        &Type {
            name: "List",
            size: size_of::<Self>(),
            align: align_of::<Self>(),
            kind: Kind::List { item: T::TYPE, capacity: N, offset: offset_of!(Self, items) },
        }
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
        // SAFETY: the length is the first field of what the caller vouches for.
        let len = unsafe { at.cast::<u32>().read() };
        if len as usize > N {
            return Err(Invalid::new(Reason::Length { len, capacity: N }));
        }
        if T::ANY_BITS {
            return Ok(());
        }
        let items = at.wrapping_byte_add(offset_of!(Self, items)).cast::<T>();
        for index in 0..len as usize {
            // SAFETY: item `index < len <= N` lies inside what the caller vouches for.
            unsafe { T::validate(items.wrapping_add(index)) }?;
        }
        Ok(())
    }

    #[inline]
    unsafe fn place(&self, to: *mut Self) {
        let present = self.as_slice();
        // SAFETY: the length is the first field of the destination that the caller vouches for.
        unsafe { store_u32(to.cast(), present.len() as u32) };
        let items = to.wrapping_byte_add(offset_of!(Self, items)).cast::<T>();
        // SAFETY: there are at most `N` items present, and the destination has room for `N`.
        unsafe { super::arrays::place_items(present, items) };
    }

    #[inline]
    unsafe fn place_blank(to: *mut Self) {
        // SAFETY: the length is the first field of the destination that the caller vouches for.
        unsafe { store_u32(to.cast(), 0) };
    }
}
