//! Waiting for any of many channels at once.
//!
//! # Why the ends are passed in at every wait
//!
//! A [`WaitSet`] is like `poll(2)`, not like `epoll(7)`. Whether an end is ready depends on its position in the ring,
//! which the end keeps in private memory so that its fast path touches no shared word. A set with registered ends could
//! not read it. A set that owned the ends would lend them out only one at a time. So the caller keeps the ends, uses
//! them freely between two waits, and never has to unregister one. The cost is that each wait checks all ends, at 10 to
//! 50 ns each.
//!
//! # How it sleeps
//!
//! - Up to 128 ends: the calling thread sleeps itself, as in `waiting.rs`, with one announcement for each end, one
//!   barrier for all of them, and one `futex_waitv`. It checks all ends after each slice of sleep, so invariant W2
//!   holds here as well.
//! - More ends, or a set with a [descriptor](WaitSet::descriptor): background threads (`lookout.rs`) watch the ends,
//!   and ring the set's *bell*, a futex word and, if asked for, a descriptor, to wake the caller.

use crate::error::OpenError;
use crate::interest::{Interest, Source, announce_all};
use crate::lookout::{self, Watched};
use crate::os::{self, FUTEX_WAITV_MAX, Signal};
use crate::station::Patience;
use crate::waiting::{self, SLICE, Spin};
use core::fmt;
use core::slice;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;
use core::time::Duration;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};
use std::task::Wake;
use std::thread;

/// Ends up to which it pays to spin before sleeping.
const SPIN_ENDS: usize = 8;

/// How often to look where the system refuses the threads that it takes to sleep on many words, or an announcement.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// What the kernel is asked for where there is no limit.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Waits for any of many ends, of channels of any kind, without a thread for each.
///
/// Pass the ends to each wait, and use them freely in between. A wait returns the positions of the ends that are ready;
/// see [`Source`] for what *ready* means. It may return an end that is not ready (a spurious wake-up), so use methods
/// that do not wait, such as `try_recv`. An end whose other side has closed stays ready: leave it out of later waits.
///
/// A set of up to 128 ends needs no thread. Larger ones use background threads, shared with all sets and tasks of the
/// process: one for every 127 ends, and one more. The set remembers the ends of its last wait, which makes the next
/// wait cheaper if they are the same. Their segments stay mapped until then.
///
/// ```
/// use ipc_core::{Queue, WaitSet};
/// # let domain = format!("doc-{}", std::process::id());
/// # let desk = |number: u64| Queue::<u64>::new(format!("desk.{number}")).domain(&domain);
/// let mut desks = (0..200).map(|number| desk(number).capacity(1).receiver()).collect::<Result<Vec<_>, _>>()?;
/// desk(17).sender()?.send(4711)?;
///
/// let mut set = WaitSet::new();
/// for at in set.wait(&mut desks) {
///     while let Ok(Some(number)) = desks[at].try_recv() {
///         println!("desk {at}: {number}");
///     #   assert_eq!((at, number), (17, 4711));
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Ends of different types are passed as `&mut dyn Source`:
///
/// ```
/// use ipc_core::{Queue, Source, WaitSet};
/// # let domain = format!("doc-{}", std::process::id());
/// # let mut numbers = Queue::<u64>::new("numbers").domain(&domain).receiver()?;
/// # let mut words = Queue::<[u8; 8]>::new("words").domain(&domain).receiver()?;
/// # let mut numbers_sender = Queue::<u64>::new("numbers").domain(&domain).sender()?;
/// # numbers_sender.send(3)?;
/// let mut set = WaitSet::new();
/// for at in set.wait([&mut numbers as &mut dyn Source, &mut words]) {
///     match at {
///         0 => println!("{:?}", numbers.try_recv()),
///         _ => println!("{:?}", words.try_recv()),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WaitSet {
    /// The ends of the last wait, if it had the lookout watch them.
    watched: Vec<Watched>,
    bell: Arc<Bell>,
    waker: Waker,
    spin: Spin,
    /// Positions of those that were ready in the last wait.
    ready: Vec<usize>,
}

impl WaitSet {
    /// Creates a set.
    pub fn new() -> Self {
        let bell = Arc::new(Bell { rung: AtomicU32::new(0), signal: OnceLock::new() });
        let waker = bell.clone().into();
        WaitSet { watched: Vec::new(), bell, waker, spin: Spin::new(), ready: Vec::new() }
    }

    /// Waits until any of `sources` is ready, and returns the positions of all that are. Returns at once if there are
    /// no sources.
    pub fn wait<'a, S>(&mut self, sources: impl IntoIterator<Item = &'a mut S>) -> Ready<'_>
    where
        S: Source + ?Sized + 'a,
    {
        self.wait_within(sources.into_iter().collect(), Patience::Forever)
    }

    /// Waits for at most `limit`: see [`wait`](WaitSet::wait). Returns no positions if none became ready in time.
    pub fn wait_timeout<'a, S>(&mut self, sources: impl IntoIterator<Item = &'a mut S>, limit: Duration) -> Ready<'_>
    where
        S: Source + ?Sized + 'a,
    {
        self.wait_within(sources.into_iter().collect(), Patience::from_timeout(limit))
    }

    /// Returns the positions of the `sources` that are ready now, without waiting.
    pub fn try_wait<'a, S>(&mut self, sources: impl IntoIterator<Item = &'a mut S>) -> Ready<'_>
    where
        S: Source + ?Sized + 'a,
    {
        self.wait_within(sources.into_iter().collect(), Patience::None)
    }

    /// Returns a file descriptor for `epoll` and other event loops.
    ///
    /// It is readable at first, and whenever something has happened at the ends of the last wait. Call
    /// [`try_wait`](WaitSet::try_wait) then, use the ends that are ready, and do not read from the descriptor. It stays
    /// readable until a wait finds nothing ready.
    ///
    /// After the first call, a background thread watches the set, even if it has few ends. Each call returns a new
    /// descriptor for the same set.
    ///
    /// # Errors
    ///
    /// An [`io::Error`](std::io::Error) if the system refuses a descriptor.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use ipc_core::{Queue, WaitSet};
    /// # let queue = Queue::<u64>::new("descriptor").spsc().domain(format!("doc-{}", std::process::id()));
    /// # let (mut tx, mut rx) = (queue.sender()?, queue.receiver()?);
    /// # let sender = std::thread::spawn(move || tx.send(7).unwrap());
    /// let mut set = WaitSet::new();
    /// let readable = tokio::io::unix::AsyncFd::new(set.descriptor()?)?;
    /// let message = loop {
    ///     let mut guard = readable.readable().await?;
    ///     if set.try_wait([&mut rx]).len() == 0 {
    ///         guard.clear_ready();
    ///     } else {
    ///         break rx.try_recv()?;
    ///     }
    /// };
    /// assert_eq!(message, Some(7));
    /// # sender.join().unwrap();
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    pub fn descriptor(&mut self) -> std::io::Result<OwnedFd> {
        if let Some(signal) = self.bell.signal.get() {
            return signal.descriptor();
        }
        let signal = Signal::new()?;
        signal.raise();
        let descriptor = signal.descriptor()?;
        // It was empty above, and nobody else sets it.
        let _ = self.bell.signal.set(signal);
        Ok(descriptor)
    }

    fn wait_within<S: Source + ?Sized>(&mut self, mut sources: Vec<&mut S>, patience: Patience) -> Ready<'_> {
        if self.bell.signal.get().is_some() {
            self.wait_by_lookout(&mut sources, patience);
            if !self.ready.is_empty() {
                self.bell.ring();
            }
        } else if !self.is_settled(&mut sources, patience) {
            if sources.len() <= FUTEX_WAITV_MAX {
                self.watched.clear();
                self.wait_here(&mut sources, patience);
            } else {
                self.wait_by_lookout(&mut sources, patience);
            }
        }
        Ready { positions: self.ready.iter() }
    }

    /// Whether there is no need to sleep: an end is ready, perhaps after some spinning, or there is no time left.
    fn is_settled<S: Source + ?Sized>(&mut self, sources: &mut [&mut S], patience: Patience) -> bool {
        if self.probe(sources) || sources.is_empty() || matches!(patience, Patience::None) {
            return true;
        }
        if sources.len() > SPIN_ENDS {
            return false;
        }
        let any = || sources.iter_mut().any(|source| source.look());
        self.spin.until(patience.deadline(), false, any) && self.probe(sources)
    }

    /// Checks all sources (R2), and notes those that are ready. Returns `false` if none is.
    fn probe<S: Source + ?Sized>(&mut self, sources: &mut [&mut S]) -> bool {
        let ready = sources.iter_mut().enumerate().filter_map(|(at, source)| source.probe().then_some(at));
        self.ready.clear();
        self.ready.extend(ready);
        !self.ready.is_empty()
    }

    /// Waits for as many ends as the kernel can sleep on.
    fn wait_here<S: Source + ?Sized>(&mut self, sources: &mut [&mut S], patience: Patience) {
        let interests: Vec<Interest> = sources.iter().map(|source| source.interest()).collect();
        let words = || interests.iter().map(Interest::word);
        loop {
            let left = announce_all(interests.iter());
            let are_heard = left.iter().all(Option::is_some);
            // `None` if an announcement has been used up already.
            let standing = |(word, left): (_, Option<u32>)| Some((word, waiting::standing(word, left?)?));
            let expected: Option<Vec<_>> = words().zip(left).map(standing).collect();
            let left = if self.probe(sources) { None } else { patience.left() };
            let Some(left) = left else { break };
            if !are_heard {
                thread::sleep(left.min(POLL_INTERVAL));
            } else if let Some(expected) = expected {
                os::futex_wait_any(&expected, Some(left.min(SLICE)));
            }
        }
        interests.iter().for_each(Interest::retract);
    }

    /// Waits for any number of ends. If there is a descriptor and nothing is ready, they stay armed.
    fn wait_by_lookout<S: Source + ?Sized>(&mut self, sources: &mut [&mut S], patience: Patience) {
        let is_watched = self.watch(sources).is_ok();
        loop {
            self.bell.reset();
            lookout::arm(&mut self.watched, &self.waker);
            if self.probe(sources) || sources.is_empty() {
                break;
            }
            let Some(left) = patience.left() else { break };
            if is_watched {
                self.bell.wait(left);
            } else {
                thread::sleep(left.min(POLL_INTERVAL));
            }
        }
        if !is_watched {
            // A descriptor that nobody can signal stays readable.
            self.bell.ring();
        }
        if !self.ready.is_empty() || self.bell.signal.get().is_none() {
            self.watched.iter_mut().for_each(Watched::disarm);
        }
    }

    /// Has the lookout watch `sources`, and nothing else.
    fn watch<S: Source + ?Sized>(&mut self, sources: &[&mut S]) -> Result<(), OpenError> {
        self.watched.truncate(sources.len());
        for (at, source) in sources.iter().enumerate() {
            let interest = source.interest();
            match self.watched.get_mut(at) {
                Some(watched) if watched.interest().is_same(&interest) => {}
                Some(watched) => *watched = Watched::new(interest)?,
                None => self.watched.push(Watched::new(interest)?),
            }
        }
        Ok(())
    }
}

impl Default for WaitSet {
    fn default() -> Self {
        WaitSet::new()
    }
}

impl fmt::Debug for WaitSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitSet").field("ready", &self.ready).finish_non_exhaustive()
    }
}

/// The positions of those ends that are ready, in ascending order: what a wait of a [`WaitSet`] returns.
#[derive(Clone, Debug)]
#[must_use = "an end that is ready is ready again in the next wait"]
pub struct Ready<'a> {
    positions: slice::Iter<'a, usize>,
}

impl Iterator for Ready<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.positions.next().copied()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.positions.size_hint()
    }
}

impl ExactSizeIterator for Ready<'_> {}

/// What the lookout rings.
struct Bell {
    /// 1 if it has been rung, 0 otherwise.
    rung: AtomicU32,
    /// Readable if it has been rung.
    signal: OnceLock<Signal>,
}

impl Bell {
    fn ring(&self) {
        // Release: passes on what there is to look at; pairs with the Acquire in `wait`.
        self.rung.store(1, Ordering::Release);
        os::futex_wake(&self.rung, 1);
        if let Some(signal) = self.signal.get() {
            signal.raise();
        }
    }

    /// To be followed by a look at everything: a ring before this is forgotten.
    fn reset(&self) {
        if let Some(signal) = self.signal.get() {
            signal.clear();
        }
        // Acquire: pairs with the Release in `ring`, so that the look that follows sees what the ring was for.
        self.rung.swap(0, Ordering::Acquire);
    }

    /// Waits until it is rung, at most `limit`; or returns for no reason.
    fn wait(&self, limit: Duration) {
        // Acquire: as in `reset`.
        if self.rung.load(Ordering::Acquire) == 0 {
            os::futex_wait(&self.rung, 0, limit.min(LONGEST_SLEEP));
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
