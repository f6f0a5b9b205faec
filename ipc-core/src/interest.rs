//! What an end of a channel has to offer so that somebody can wait for it together with others: in a
//! [`WaitSet`](crate::WaitSet), or as a task.
//!
//! Whether it is an end's turn depends on its place, which it alone knows. So the end is asked, and nothing else is
//! believed; what can be handed to others ([`Interest`]) is the word that it is woken by and whose lives it watches.

use crate::liveness::Roster;
use crate::segment::Segment;
use crate::waiting::Sleepers;
use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use std::path::Path;
use std::sync::Arc;

/// An end of a channel that can be waited for together with others, in a [`WaitSet`](crate::WaitSet) or as a task.
///
/// It is *ready* when its `try_` verb would return something else than [`Empty`](crate::TryRecvError::Empty) or
/// [`Full`](crate::TrySendError::Full): for a [`Receiver`](crate::Receiver) when there is a message, for a
/// [`Sender`](crate::Sender) when there is room, and for either when the other side has closed or died, or when the
/// segment is damaged. It may be reported ready for no reason, so use a verb that does not wait.
///
/// The ends of this crate's channels are all that there is: the trait cannot be implemented elsewhere.
pub trait Source: Sealed {}

impl<S: Sealed + ?Sized> Source for S {}

/// What a [`Source`] is asked. Implementing it over a [`Station`](crate::station::Station) takes three lines.
pub trait Sealed {
    /// What the end sleeps on. The same for as long as the end exists.
    #[doc(hidden)]
    fn interest(&self) -> Interest;

    /// Whether it is the end's turn, judged by the ring alone: what is looked at while spinning.
    #[doc(hidden)]
    fn look(&mut self) -> bool;

    /// Whether the end is ready, after a look at the ring *and* at the lives of the other side: R2 of the waiting
    /// protocol.
    #[doc(hidden)]
    fn probe(&mut self) -> bool;
}

/// What an end sleeps on, and on whose lives its waiting depends.
#[derive(Clone)]
pub struct Interest {
    segment: Arc<Segment>,
    /// Lies in `segment`.
    word: NonNull<AtomicU32>,
    sleepers: Sleepers,
    /// Whom to watch.
    lines: Range<u32>,
}

// SAFETY: the word is an atomic in a mapping that `segment` keeps alive and that any thread may use.
unsafe impl Send for Interest {}
// SAFETY: as for `Send`.
unsafe impl Sync for Interest {}

impl Interest {
    /// # Safety
    ///
    /// `word` lies in the mapping of `segment`.
    pub(crate) unsafe fn new(
        segment: Arc<Segment>,
        word: NonNull<AtomicU32>,
        sleepers: Sleepers,
        lines: Range<u32>,
    ) -> Self {
        Interest { segment, word, sleepers, lines }
    }

    /// The word to sleep on.
    pub(crate) fn word(&self) -> &AtomicU32 {
        // SAFETY: it lies in the mapping of the segment (`new`), which this value keeps.
        unsafe { self.word.as_ref() }
    }

    /// Who sleeps on it.
    pub(crate) fn sleepers(&self) -> Sleepers {
        self.sleepers
    }

    /// The file of the channel.
    pub(crate) fn path(&self) -> &Path {
        self.segment.path()
    }

    /// The segment of the channel.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// What those who are watched say of themselves. Takes no system call.
    pub(crate) fn roster(&self) -> Roster {
        Roster::new(&self.segment, self.lines.clone())
    }

    /// Whether this is the interest of the same end, or of one that takes its place.
    pub(crate) fn is_same(&self, other: &Interest) -> bool {
        self.word == other.word && Arc::ptr_eq(&self.segment, &other.segment)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").field("word", &self.word).field("lines", &self.lines).finish_non_exhaustive()
    }
}
