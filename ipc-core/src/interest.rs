//! What an end provides so that a [`WaitSet`](crate::WaitSet) or a task can wait for it together with other ends.
//!
//! Only the end itself can tell whether it is ready, since that depends on its private position in the ring. What other
//! threads can have is its [`Interest`]: the futex word that it is woken by, and the peers whose deaths it has to
//! notice.

use crate::layout::Side;
use crate::liveness::Roster;
use crate::segment::Segment;
use crate::waiting::{self, Sleepers};
use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use std::path::Path;
use std::sync::Arc;

/// An end of a channel that a [`WaitSet`](crate::WaitSet) or a task can wait for. The trait is sealed.
///
/// An end is *ready* when its `try_` method would return something other than [`Empty`](crate::TryRecvError::Empty) or
/// [`Full`](crate::TrySendError::Full). A [`Receiver`](crate::Receiver) is ready when there is a message, and a
/// [`Sender`](crate::Sender) when there is room. Either is ready when the other side has closed or died, or when the
/// segment is damaged. Readiness may be spurious, so use a method that does not wait. A [`Writer`](crate::Writer) never
/// waits, and is not a source.
///
/// A sender of a shared queue, or a [`Publisher`](crate::Publisher), that is reported ready has claimed the next slot.
/// Messages of other senders are held up until it has sent. So send at once, or do not wait for it in a set.
pub trait Source: Sealed {}

impl<S: Sealed + ?Sized> Source for S {}

/// What a [`Source`] is asked. Implementing it over a [`Station`](crate::station::Station) takes three lines.
pub trait Sealed {
    /// What the end sleeps on: the same for as long as the end exists, but that it may cease to be restless, which nobody relies
    /// on.
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
    /// Whether the end may become ready because time passes, and nobody does anything.
    is_restless: bool,
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
        side: Side,
        is_restless: bool,
    ) -> Self {
        // A publisher evicts the subscriber that has kept it waiting for too long.
        let evicts = segment.geometry().evict_after_ns != 0 && side == Side::First;
        Interest { segment, word, sleepers, lines, is_restless: is_restless || evicts }
    }

    /// The word to sleep on.
    pub(crate) fn word(&self) -> &AtomicU32 {
        // SAFETY: it lies in the mapping of the segment (`new`), which this value keeps.
        unsafe { self.word.as_ref() }
    }

    /// R1 for this end. The value that the word is left with; `None` if nobody can be told.
    pub(crate) fn announce(&self) -> Option<u32> {
        if !self.is_writable() {
            return waiting::announce_by(self.word(), || write_sleeping(&self.segment, self.word()));
        }
        Some(waiting::announce(self.word()))
    }

    /// Takes an announcement back.
    pub(crate) fn retract(&self) {
        if self.is_writable() {
            waiting::retract(self.word(), self.sleepers);
        }
    }

    /// Passes a wake-up that was not used on to another sleeper.
    pub(crate) fn pass_on(&self) {
        // Those who only read get everything each, and have no work from each other.
        if self.sleepers == Sleepers::Many && self.is_writable() {
            waiting::wake_some(self.word(), 1);
        }
    }

    /// Whether this process can write to the word.
    pub(crate) fn is_writable(&self) -> bool {
        self.segment.is_writable()
    }

    /// Who sleeps on it.
    pub(crate) fn sleepers(&self) -> Sleepers {
        self.sleepers
    }

    /// Whether the end may become ready because time passes, and nobody does anything.
    pub(crate) fn depends_on_time(&self) -> bool {
        self.is_restless
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

/// Writes [`SLEEPING_BYTE`](waiting::SLEEPING_BYTE) to `word` through the segment's file; `false` if that is refused.
pub(crate) fn write_sleeping(segment: &Segment, word: &AtomicU32) -> bool {
    let (at, value) = waiting::SLEEPING_BYTE;
    segment.has_places() && segment.write_at(word.as_ptr().cast::<u8>(), at, &[value]).is_ok()
}

/// R1 for many ends, and one barrier for all. Returns for each the value that its word is left with; `None` for those that
/// cannot be woken, which are to be looked at from time to time.
pub(crate) fn announce_all<'a>(interests: impl Iterator<Item = &'a Interest> + Clone) -> Vec<Option<u32>> {
    let mut left: Vec<Option<u32>> = interests.clone().map(Interest::announce).collect();
    let writable = interests.clone().filter(|interest| interest.is_writable());
    if !waiting::barrier(writable.map(Interest::word)) {
        // The words of the others say so.
        let unheard = left.iter_mut().zip(interests).filter(|(_, interest)| !interest.is_writable());
        unheard.for_each(|(left, _)| *left = None);
    }
    left
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").field("word", &self.word).field("lines", &self.lines).finish_non_exhaustive()
    }
}
