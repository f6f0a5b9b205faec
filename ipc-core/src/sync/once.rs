//! Something that is done once, by whichever process comes first.

use super::Options;
use super::door::{Door, Refused};
use super::member::{Count, Member, Queue};
use crate::atomics::AtomicU64;
use crate::error::{Forked, OnceError, OpenError};
use crate::info::ChannelInfo;
use crate::layout::KIND_ONCE;
use crate::lock::Purpose;
use crate::station::Patience;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// One-time initialisation: the first process performs an action, and the others wait until it is done.
///
/// "Once" lasts as long as any process has it open, or for good with
/// [`Lifetime::Persistent`](crate::Lifetime::Persistent). If the process that performs the action dies or panics, the
/// next one performs it again; [`OnceState`] says so.
///
/// ```
/// use ipc_core::sync::Once;
/// # use ipc_core::sync::Options;
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let migrated = Once::open(Options::new("migrated").domain(&domain))?;
/// # /*
/// let migrated = Once::open("migrated")?;
/// # */
/// let mut times = 0;
/// for _ in 0..3 {
///     migrated.call_once(|_| times += 1)?;
/// }
/// assert_eq!(times, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Once {
    door: Door,
    done: NonNull<AtomicU64>,
    member: Member,
}

// SAFETY: `done` leads to an atomic in a mapping that `member` keeps alive, and that any thread may use.
unsafe impl Send for Once {}
// SAFETY: as for `Send`.
unsafe impl Sync for Once {}

/// What the action of [`Once::call_once`] gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnceState {
    /// Whether an earlier attempt died or panicked.
    pub was_begun: bool,
}

impl Once {
    /// Opens the once with this name, or creates it.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the name belongs to something else, or any other [`OpenError`], as documented there.
    pub fn open(options: impl Into<Options>) -> Result<Self, OpenError> {
        let member =
            Member::open::<u64>(&options.into(), KIND_ONCE, Count::ONE, &mut |_| {}, Door::sweep, |_, _, _| {})?;
        let (door, done) = (Door::new(member.segment()), member.segment().done_word());
        Ok(Once { door, done, member })
    }

    /// Calls `act`, unless a process has completed it before. It has been completed when this returns.
    ///
    /// # Errors
    ///
    /// [`OnceError::WouldDeadlock`] if this thread is in `act` already.
    pub fn call_once(&self, act: impl FnOnce(OnceState)) -> Result<(), OnceError> {
        if self.is_done()? {
            return Ok(());
        }
        let is_marked =
            self.door.enter(&self.member, Purpose::Change, Patience::Forever).map_err(|refused| match refused {
                Refused::Forked(forked) => OnceError::Forked(forked),
                Refused::WouldDeadlock | Refused::Timeout => OnceError::WouldDeadlock,
            })?;
        let mut attempt = Attempt { once: self, is_marked: true };
        if !self.is_done()? {
            act(OnceState { was_begun: is_marked });
            // Release: whoever finds it done sees what was done; pairs with the Acquire in `is_done`.
            self.done().store(1, Ordering::Release);
        }
        attempt.is_marked = false;
        Ok(())
    }

    /// Whether the action has been completed.
    ///
    /// # Errors
    ///
    /// [`Forked`] in a forked child.
    pub fn is_done(&self) -> Result<bool, Forked> {
        self.member.check_forked()?;
        // Acquire: pairs with the Release in `call_once`.
        Ok(self.done().load(Ordering::Acquire) != 0)
    }

    /// Waits for at most `limit` until the action has been completed. Returns whether it has.
    ///
    /// # Errors
    ///
    /// As for [`is_done`](Once::is_done).
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool, Forked> {
        let is_done = |_| self.is_done().unwrap_or(true).then_some(());
        self.member.check_forked()?;
        Ok(self.member.wait(Queue::Turn, Patience::from_timeout(limit), is_done).is_some())
    }

    /// The actual options of the once's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }

    fn done(&self) -> &AtomicU64 {
        // SAFETY: the word is mapped for as long as the member lives.
        unsafe { self.done.as_ref() }
    }
}

/// The doing of it, which ends when this is dropped, by a panic or otherwise.
struct Attempt<'a> {
    once: &'a Once,
    is_marked: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Once { door, member, .. } = self.once;
        if !member.is_forked() {
            door.leave(member, member.me(), self.is_marked);
            member.wake(Queue::Turn, u32::MAX);
        }
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        let door = &self.door;
        self.member.leave(|member| door.abandon(member));
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("name", &self.member.info().name).finish_non_exhaustive()
    }
}
