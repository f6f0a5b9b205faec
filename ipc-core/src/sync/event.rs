//! Something that has happened or not, to be waited for.

use super::Options;
use super::member::{Count, Member, Queue};
use crate::error::{Forked, OpenError};
use crate::info::ChannelInfo;
use crate::layout::KIND_EVENT;
use crate::lock::Signal;
use crate::station::Patience;
use core::fmt;
use core::time::Duration;

/// An event that threads of several processes set and wait for.
///
/// A *manual-reset* event stays set until it is reset, and releases all waiters. An *auto-reset* event releases one
/// waiter, and is reset by it. Each program chooses when it opens the event, since this is only a way to wait.
///
/// Waiters are not counted, so the death of one holds up nobody. If a process dies right after its wait for an
/// auto-reset event returned, the event has been consumed.
///
/// ```
/// use ipc_core::sync::Event;
/// use std::time::Duration;
/// # use ipc_core::sync::Options;
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let ready = Event::manual(Options::new("ready").domain(&domain))?;
/// # /*
/// let ready = Event::manual("ready")?;
/// # */
/// assert!(!ready.wait_timeout(Duration::from_millis(1))?);
/// ready.set()?;
/// ready.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Event {
    signal: Signal,
    is_automatic: bool,
    member: Member,
}

impl Event {
    /// Opens the event with this name as a manual-reset event, or creates it unset.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the name belongs to something else, or any other [`OpenError`], as documented there.
    pub fn manual(options: impl Into<Options>) -> Result<Self, OpenError> {
        Self::open(&options.into(), false)
    }

    /// Opens the event with this name as an auto-reset event, or creates it unset.
    ///
    /// # Errors
    ///
    /// As for [`manual`](Event::manual).
    pub fn automatic(options: impl Into<Options>) -> Result<Self, OpenError> {
        Self::open(&options.into(), true)
    }

    fn open(options: &Options, is_automatic: bool) -> Result<Self, OpenError> {
        let member = Member::open::<u64>(options, KIND_EVENT, Count::ONE, &mut |_| {}, |_, _| {}, |_, _, _| {})?;
        // SAFETY: the word is mapped for as long as the member lives.
        let signal = unsafe { Signal::new(member.segment().state_word()) };
        Ok(Event { signal, is_automatic, member })
    }

    /// Sets the event. It releases all threads that wait with a manual-reset handle, even if the event is reset at
    /// once, and one thread that waits with an auto-reset handle.
    ///
    /// # Errors
    ///
    /// [`Forked`] in a forked child; nothing else.
    pub fn set(&self) -> Result<(), Forked> {
        self.member.check_forked()?;
        self.signal.set();
        self.signal.change();
        self.member.wake(Queue::Turn, u32::MAX);
        Ok(())
    }

    /// Resets the event. Returns whether it was set.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    pub fn reset(&self) -> Result<bool, Forked> {
        self.member.check_forked()?;
        Ok(self.signal.reset())
    }

    /// Whether the event is set.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    pub fn is_set(&self) -> Result<bool, Forked> {
        self.member.check_forked()?;
        Ok(self.signal.is_set())
    }

    /// Waits until the event is set.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    pub fn wait(&self) -> Result<(), Forked> {
        self.wait_within(Patience::Forever).map(|_| ())
    }

    /// Returns whether the event is set, without waiting. A handle of an auto-reset event resets it.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    pub fn try_wait(&self) -> Result<bool, Forked> {
        self.wait_within(Patience::None)
    }

    /// Waits for at most `limit` until the event is set. Returns whether it was.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool, Forked> {
        self.wait_within(Patience::from_timeout(limit))
    }

    fn wait_within(&self, patience: Patience) -> Result<bool, Forked> {
        self.member.check_forked()?;
        let before = self.signal.changes();
        let look = || match self.is_automatic {
            true => self.signal.is_set() && self.signal.reset(),
            false => self.signal.is_set() || self.signal.changes() != before,
        };
        Ok(look() || self.member.wait(Queue::Turn, patience, |_| look().then_some(())).is_some())
    }

    /// The actual options of the event's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.member.leave(|_| {});
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = &mut f.debug_struct("Event");
        event.field("name", &self.member.info().name).field("is_automatic", &self.is_automatic).finish_non_exhaustive()
    }
}
