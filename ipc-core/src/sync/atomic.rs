//! A word that every process changes in one step.

use super::Options;
use super::member::{Count, Member};
use super::mutex::placing;
use crate::error::{Forked, OpenError};
use crate::info::ChannelInfo;
use crate::layout::KIND_ATOMIC;
use crate::message::IpcMessage;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{self, Ordering};
use sealed::Word;

/// An atomic value: a counter, a flag, a limit.
///
/// All operations are sequentially consistent. A death cannot leave one half done. To wait for a change, use an
/// [`Event`](super::Event).
///
/// ```
/// use ipc_core::sync::Atomic;
/// # use ipc_core::sync::Options;
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let served = Atomic::<u64>::open(Options::new("served").domain(&domain), 0)?;
/// # /*
/// let served = Atomic::<u64>::open("served", 0)?;
/// # */
/// served.fetch_add(3)?;
/// served.fetch_sub(1)?;
/// assert_eq!(served.fetch_max(1)?, 2);
/// assert_eq!(served.compare_exchange(2, 10)?, Ok(2));
/// assert_eq!(served.load()?, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Atomic<T> {
    value: NonNull<T>,
    member: Member,
}

// SAFETY: `value` leads to a word in a mapping that `member` keeps alive, and is used by atomic operations alone.
unsafe impl<T: AtomicValue> Send for Atomic<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: AtomicValue> Sync for Atomic<T> {}

/// What an [`Atomic`] can be of: integers of a fixed width, `bool`, `f32` and `f64`.
pub trait AtomicValue: IpcMessage + Copy + PartialEq + Word {}

/// What an [`Atomic`] can count with: integers of a fixed width.
pub trait AtomicInteger: AtomicValue {
    /// Adds to what is in a word, and returns what was there before. It wraps.
    #[doc(hidden)]
    fn add(word: &Self::Atomic, value: Self) -> Self;

    /// Subtracts from what is in a word, in the same way.
    #[doc(hidden)]
    fn sub(word: &Self::Atomic, value: Self) -> Self;

    /// Keeps the greater of what is in a word and a value, in the same way.
    #[doc(hidden)]
    fn max(word: &Self::Atomic, value: Self) -> Self;

    /// Keeps the smaller of what is in a word and a value, in the same way.
    #[doc(hidden)]
    fn min(word: &Self::Atomic, value: Self) -> Self;
}

impl<T: AtomicValue> Atomic<T> {
    /// Opens the atomic with this name, or creates it with `value`.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::open`](super::Mutex::open).
    pub fn open(options: impl Into<Options>, value: T) -> Result<Self, OpenError> {
        let mut init = placing(|| value);
        let member = Member::open::<T>(&options.into(), KIND_ATOMIC, Count::ONE, &mut init, |_, _| {}, |_, _, _| {})?;
        Ok(Atomic { value: member.segment().value().cast(), member })
    }

    /// Returns the value.
    ///
    /// # Errors
    ///
    /// [`Forked`] in a forked child; nothing else.
    pub fn load(&self) -> Result<T, Forked> {
        Ok(T::load(self.word()?))
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// As for [`load`](Atomic::load).
    pub fn store(&self, value: T) -> Result<(), Forked> {
        self.swap(value).map(|_| ())
    }

    /// Replaces the value, and returns the old one.
    ///
    /// # Errors
    ///
    /// As for [`load`](Atomic::load).
    pub fn swap(&self, value: T) -> Result<T, Forked> {
        Ok(T::swap(self.word()?, value))
    }

    /// Replaces the value if it equals `current`, bit for bit. Returns the old value: `Ok` if it was replaced, `Err` if
    /// not.
    ///
    /// # Errors
    ///
    /// As for [`load`](Atomic::load).
    #[inline]
    pub fn compare_exchange(&self, current: T, new: T) -> Result<Result<T, T>, Forked> {
        Ok(T::compare_exchange(self.word()?, current, new))
    }

    /// Replaces the value by the result of `change`, unless that is `None`, and returns the old value. `change` is
    /// called again if the value was changed meanwhile.
    ///
    /// # Errors
    ///
    /// As for [`load`](Atomic::load).
    pub fn fetch_update(&self, mut change: impl FnMut(T) -> Option<T>) -> Result<Result<T, T>, Forked> {
        let mut found = self.load()?;
        while let Some(new) = change(found) {
            match self.compare_exchange(found, new)? {
                Ok(was) => return Ok(Ok(was)),
                Err(other) => found = other,
            }
        }
        Ok(Err(found))
    }

    /// The actual options of the atomic's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }

    #[inline]
    fn word(&self) -> Result<&T::Atomic, Forked> {
        self.member.check_forked()?;
        // SAFETY: the value has the size and the alignment of its atomic (`word!`), lies in the segment for as long as
        // `member` lives, and nobody accesses it but by atomic operations.
        Ok(unsafe { self.value.cast().as_ref() })
    }
}

impl<T: AtomicInteger> Atomic<T> {
    /// Adds `value`, wrapping on overflow, and returns the old value.
    ///
    /// # Errors
    ///
    /// As for [`load`](Atomic::load).
    pub fn fetch_add(&self, value: T) -> Result<T, Forked> {
        Ok(T::add(self.word()?, value))
    }

    /// Subtracts `value`, and returns what it was before. It wraps.
    ///
    /// # Errors
    ///
    /// As for [`load`](Atomic::load).
    pub fn fetch_sub(&self, value: T) -> Result<T, Forked> {
        Ok(T::sub(self.word()?, value))
    }

    /// Raises it to `value` if it is smaller, and returns what it was before.
    ///
    /// # Errors
    ///
    /// As for [`load`](Atomic::load).
    pub fn fetch_max(&self, value: T) -> Result<T, Forked> {
        Ok(T::max(self.word()?, value))
    }

    /// Lowers it to `value` if it is greater, and returns what it was before.
    ///
    /// # Errors
    ///
    /// As for [`load`](Atomic::load).
    pub fn fetch_min(&self, value: T) -> Result<T, Forked> {
        Ok(T::min(self.word()?, value))
    }
}

impl<T> Drop for Atomic<T> {
    fn drop(&mut self) {
        self.member.leave(|_| {});
    }
}

impl<T> fmt::Debug for Atomic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Atomic").field("name", &self.member.info().name).finish_non_exhaustive()
    }
}

/// What an atomic needs of its type, which nobody else has to implement.
mod sealed {
    /// A type of which there is an atomic word.
    pub trait Word: Sized {
        /// The word, which has the type's size and alignment.
        type Atomic;

        fn load(word: &Self::Atomic) -> Self;
        fn swap(word: &Self::Atomic, value: Self) -> Self;
        fn compare_exchange(word: &Self::Atomic, current: Self, new: Self) -> Result<Self, Self>;
    }
}

/// Implements [`Word`] by way of an atomic: what a value is there, and which value what is there is.
macro_rules! word {
    ($type:ty, $atomic:ident, $to:expr, $from:expr) => {
        impl Word for $type {
            type Atomic = atomic::$atomic;

            fn load(word: &Self::Atomic) -> Self {
                // SeqCst: every operation is in one order with all others.
                $from(word.load(Ordering::SeqCst))
            }

            fn swap(word: &Self::Atomic, value: Self) -> Self {
                // SeqCst: as above.
                $from(word.swap($to(value), Ordering::SeqCst))
            }

            #[inline]
            fn compare_exchange(word: &Self::Atomic, current: Self, new: Self) -> Result<Self, Self> {
                // SeqCst, both: as above.
                let swap = word.compare_exchange($to(current), $to(new), Ordering::SeqCst, Ordering::SeqCst);
                swap.map($from).map_err($from)
            }
        }

        impl AtomicValue for $type {}

        const _: () = {
            assert!(size_of::<$type>() == size_of::<atomic::$atomic>());
            assert!(align_of::<atomic::$atomic>() <= crate::layout::LINE_BYTES, "a slot begins at a line");
        };
    };
}

/// As [`word!`], of integers that are what their atomics hold.
macro_rules! integer {
    ($($type:ident $atomic:ident),*) => { $(
        word!($type, $atomic, |value| value, |value| value);

        impl AtomicInteger for $type {
            fn add(word: &Self::Atomic, value: Self) -> Self {
                // SeqCst: as above.
                word.fetch_add(value, Ordering::SeqCst)
            }

            fn sub(word: &Self::Atomic, value: Self) -> Self {
                // SeqCst: as above.
                word.fetch_sub(value, Ordering::SeqCst)
            }

            fn max(word: &Self::Atomic, value: Self) -> Self {
                // SeqCst: as above.
                word.fetch_max(value, Ordering::SeqCst)
            }

            fn min(word: &Self::Atomic, value: Self) -> Self {
                // SeqCst: as above.
                word.fetch_min(value, Ordering::SeqCst)
            }
        }
    )* };
}

integer!(u8 AtomicU8, u16 AtomicU16, u32 AtomicU32, u64 AtomicU64, i8 AtomicI8, i16 AtomicI16, i32 AtomicI32, i64 AtomicI64);
word!(bool, AtomicU8, u8::from, |value| value != 0);
word!(f32, AtomicU32, f32::to_bits, f32::from_bits);
word!(f64, AtomicU64, f64::to_bits, f64::from_bits);
