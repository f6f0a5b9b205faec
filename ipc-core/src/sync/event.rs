//! Something that has happened or not, to be waited for.

use super::Options;
use super::member::{Member, Queue};
use crate::error::{Forked, OpenError};
use crate::info::ChannelInfo;
use crate::layout::KIND_EVENT;
use crate::lock::Signal;
use crate::station::Patience;
use core::fmt;
use core::time::Duration;

/// Something that has happened or not, to be waited for.
///
/// A *manual* event stays set until it is reset, and lets everybody go who waits. An *automatic* one is reset by letting one of
/// them go. Which of the two it is, each program says for itself when it opens the event: it is a way to wait.
///
/// Nobody who waits is counted, so the death of one holds up nobody. An automatic event whose wait was the last thing that a
/// process came back from before it died has been used up by it.
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
    /// Opens the event of this name, which is not set if it is created, to wait until it is set.
    ///
    /// # Errors
    ///
    /// [`OpenError::Kind`] if the name is that of something else, and the other [`OpenError`]s as they say.
    pub fn manual(options: impl Into<Options>) -> Result<Self, OpenError> {
        Self::open(&options.into(), false)
    }

    /// Opens the event of this name, which is not set if it is created, to wait until it is set and reset it in the same step.
    ///
    /// # Errors
    ///
    /// As for [`manual`](Event::manual).
    pub fn automatic(options: impl Into<Options>) -> Result<Self, OpenError> {
        Self::open(&options.into(), true)
    }

    fn open(options: &Options, is_automatic: bool) -> Result<Self, OpenError> {
        let member = Member::open::<u64>(options, KIND_EVENT, 1, &mut |_| {}, |_, _| {}, |_, _, _| {})?;
        // SAFETY: the word is mapped for as long as the member lives.
        let signal = unsafe { Signal::new(member.segment().state_word()) };
        Ok(Event { signal, is_automatic, member })
    }

    /// Sets the event. Those who wait for a manual one are all let go, even if it is reset at once; of those who wait for an
    /// automatic one, one is.
    ///
    /// # Errors
    ///
    /// [`Forked`] in a process that was forked after the event was opened. There is no other way to fail.
    pub fn set(&self) -> Result<(), Forked> {
        self.member.check_forked()?;
        self.signal.set();
        self.signal.change();
        self.member.wake(Queue::Turn, u32::MAX);
        Ok(())
    }

    /// Resets the event. Whether it was set.
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

    /// Whether the event is set, or was set since the last wait of an automatic one, which this is.
    ///
    /// # Errors
    ///
    /// As for [`set`](Event::set).
    pub fn try_wait(&self) -> Result<bool, Forked> {
        self.wait_within(Patience::None)
    }

    /// Waits until the event is set, for `limit` at most. Whether it was.
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

    /// What there is to know about the event's segment.
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
