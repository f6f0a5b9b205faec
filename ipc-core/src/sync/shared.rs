//! A value that is read and replaced as a whole. How it is read is in `ring/latest.rs`; who replaces it goes through a
//! gate.

use super::Options;
use super::door::{Door, Refused};
use super::member::{Count, Member};
use crate::error::{Corrupt, OpenError, SharedError};
use crate::info::ChannelInfo;
use crate::layout::KIND_SHARED_VALUE;
use crate::lock::Purpose;
use crate::message::IpcMessage;
use crate::ring::latest::{Outcome, Reader, Writer};
use crate::segment::Segment;
use crate::station::Patience;
use crate::words;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use std::thread;

/// Rounds of attempts to copy the value, with others let run in between, before that is given up.
const ROUNDS: usize = 256;

/// A value, such as a struct or an array, that any number of threads read and replace as a whole.
///
/// A reader gets a copy, which is never torn, and never waits for a writer. Writers wait for each other. A value is
/// replaced by one store: a writer that is killed before it has changed nothing.
///
/// ```
/// use ipc_core::sync::Shared;
/// # use ipc_core::sync::Options;
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let levels = Shared::<[f64; 3]>::open(Options::new("levels").domain(&domain), || [0.0; 3])?;
/// # /*
/// let levels = Shared::<[f64; 3]>::open("levels", || [0.0; 3])?;
/// # */
/// levels.store([0.5, 1.5, 2.5])?;
/// levels.update(|levels| levels[0] += 1.0)?;
/// assert_eq!(levels.load()?, [1.5, 1.5, 2.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// See [`Latest`](crate::Latest) for a value with one writer, whose readers can wait for changes.
pub struct Shared<T> {
    door: Door,
    reader: Reader,
    member: Member,
    value: PhantomData<fn(T) -> T>,
}

impl<T: IpcMessage> Shared<T> {
    /// Opens the value with this name, or creates it with the value that `init` returns.
    ///
    /// # Errors
    ///
    /// As for [`Mutex::open`](super::Mutex::open).
    pub fn open(options: impl Into<Options>, init: impl FnOnce() -> T) -> Result<Self, OpenError> {
        let (mut init, mut made) = (Some(init), None::<T>);
        let mut place = |segment: &Segment| {
            if let Some(init) = init.take() {
                made = Some(init());
            }
            if let Some(value) = &made {
                // SAFETY: the segment was made for a `T`, and nobody else has it.
                unsafe { replace(segment, value) };
            }
        };
        let member =
            Member::open::<T>(&options.into(), KIND_SHARED_VALUE, Count::ONE, &mut place, Door::sweep, |_, _, _| {})?;
        let (door, reader) = (Door::new(member.segment()), Reader::attach(member.segment().shared_value()));
        Ok(Shared { door, reader, member, value: PhantomData })
    }

    /// Returns a copy of the value.
    ///
    /// # Errors
    ///
    /// [`SharedError::Corrupt`] if the bytes are not a valid `T`; [`SharedError::Overtaken`] if the value was replaced
    /// during every one of many attempts to copy it.
    pub fn load(&self) -> Result<T, SharedError> {
        self.member.check_forked()?;
        for round in 0..ROUNDS {
            if round > 0 {
                thread::yield_now();
            }
            let mut copy = MaybeUninit::<T>::uninit();
            let outcome = self.reader.read(|slot| {
                // SAFETY: a slot starts at a multiple of 8 bytes and has room for a `T` in whole words, which the
                // geometry ensures; `copy` has room for one.
                unsafe { words::load(slot.as_ptr().cast(), copy.as_mut_ptr().cast(), size_of::<T>()) };
            });
            match outcome {
                Outcome::Value(_) => {
                    // SAFETY: every byte of the copy was initialised, and it is private to this call.
                    unsafe { super::mutex::check(core::ptr::NonNull::from(&mut copy).cast::<T>()) }
                        .map_err(Corrupt::from)?;
                    // SAFETY: `check` found it to be a `T`.
                    return Ok(unsafe { copy.assume_init() });
                }
                Outcome::Again => {}
                // There is a value before the segment has a name.
                Outcome::Nothing => return Err(Corrupt::Stamp { slot: 0, found: 0, expected: 1 }.into()),
                Outcome::Broken(evidence) => {
                    let (slot, found, expected) = (evidence.slot, evidence.found, evidence.expected);
                    return Err(Corrupt::Stamp { slot, found, expected }.into());
                }
            }
        }
        Err(SharedError::Overtaken)
    }

    /// Replaces the value.
    ///
    /// # Errors
    ///
    /// [`SharedError::WouldDeadlock`] within [`update`](Shared::update).
    pub fn store(&self, value: T) -> Result<(), SharedError> {
        self.replace_by(|_| Ok(value))
    }

    /// Changes the value under the writers' lock. Readers get the old value meanwhile. If `change` panics, the old
    /// value stays.
    ///
    /// # Errors
    ///
    /// As for [`load`](Shared::load) and [`store`](Shared::store).
    pub fn update(&self, change: impl FnOnce(&mut T)) -> Result<(), SharedError> {
        self.replace_by(|shared| {
            let mut value = shared.load()?;
            change(&mut value);
            Ok(value)
        })
    }

    /// The actual options of the value's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }

    fn replace_by(&self, make: impl FnOnce(&Self) -> Result<T, SharedError>) -> Result<(), SharedError> {
        let _turn = Turn::take(&self.door, &self.member)?;
        let value = make(self)?;
        // SAFETY: this thread has the turn, so nobody else replaces the value, which is a `T`.
        unsafe { replace(self.member.segment(), &value) };
        Ok(())
    }
}

/// Replaces the value of a segment.
///
/// # Safety
///
/// It is one of a `T`, and nobody else replaces it meanwhile.
unsafe fn replace<T: IpcMessage>(segment: &Segment, value: &T) {
    let mut writer = Writer::attach(segment.shared_value());
    // SAFETY: the open slot is this writer's, and large and aligned enough for a `T`, which the geometry ensures.
    unsafe { value.place(writer.open().as_ptr().cast()) };
    writer.publish();
}

/// The turn of one who replaces the value, until this is dropped. There is nothing that it could leave half done.
struct Turn<'a> {
    door: &'a Door,
    member: &'a Member,
}

impl<'a> Turn<'a> {
    fn take(door: &'a Door, member: &'a Member) -> Result<Self, SharedError> {
        match door.enter(member, Purpose::Pass, Patience::Forever) {
            Ok(_) => Ok(Turn { door, member }),
            Err(Refused::Forked(forked)) => Err(forked.into()),
            Err(Refused::WouldDeadlock | Refused::Timeout) => Err(SharedError::WouldDeadlock),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.member.is_forked() {
            self.door.leave(self.member, self.member.me(), false);
        }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let door = &self.door;
        self.member.leave(|member| door.abandon(member));
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.member.info().name).finish_non_exhaustive()
    }
}
