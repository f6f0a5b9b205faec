//! The lookout: threads that sleep on the words of channels for others, and wake them. A task cannot sleep on a futex,
//! and a thread can sleep on 128 of them at most, so both leave it to the lookout.
//!
//! A *post* is one thread, which watches up to [`POST_WORDS`] ends; n ends take n / 127 posts, rounded up. Posts begin
//! with the first end that is watched and end with the last. Which runtime a task belongs to does not matter: what is
//! woken is its [`Waker`].
//!
//! # The protocol
//!
//! The waiting protocol (`waiting.rs`) has one thread announce (R1), look (R2) and sleep. Here the first two are done by
//! the task and the sleeping by the post:
//!
//! ```text
//! task                                         post
//! R1  announce, barrier                        P1  for every end: if it is armed and its word no longer holds
//! A   value := word                                `expected`: disarm it, and wake its task
//!     if SLEEPING is set:                      P2  futex_waitv on the values that P1 loaded; on those of armed
//!        armed, expected := value                  ends, and of all ends whose word has one sleeper
//!     else: wake myself                        P3  the first post, once a tick: P1 for all posts
//!     if others sleep on the word: bump the post
//! R2  look; if there is nothing: pending
//! ```
//!
//! A and P1 exclude each other, by the end's mutex.
//!
//! *Proof that nothing is missed.* Let a waker publish something that R2 does not see. By the proof in `waiting.rs` the
//! waker then sees SLEEPING, gives the word a new value V, and calls `futex_wake`. Every value that the word had before
//! is gone for good (W3).
//!
//! - A loads V, or what came after it. Its Acquire has seen V, so R2, which comes later, sees what was published, against
//!   the assumption. (If SLEEPING is clear, nobody would wake for this announcement, and the task has to make another.)
//! - V comes after what A has loaded. From then on `expected` is stale, and the first P1 that sees V wakes the task. It
//!   comes at once: a post that has yet to begin its P1 loads V in it. A post that has loaded an older value in P1 and
//!   is not yet asleep finds V when the kernel compares, so P2 returns. A post that sleeps on the word is woken, unless the
//!   waker wakes only some and these are others. And a post that sleeps on a list without the word is one that saw the
//!   end disarmed, on a word that has several sleepers; but then A has bumped the word that is last in each
//!   list, which ends P2, before R2.
//!
//! A waker that is killed between the new value and `futex_wake` delays the task by a tick, like a sleeper by a slice
//! (W2), and so does one that wakes another sleeper who then leaves the work undone: V is there all the same, and the next
//! tick sees it. (The ticks are left to one post, since most of what a sleep costs is to tell the kernel the words again.)
//! Where membarrier is refused, an armed end is woken once a tick, whatever its word says.
//!
//! # The living
//!
//! Nobody wakes anybody when a process is killed. So every other tick the first post looks at the locks of those whom an
//! armed end watches, and wakes its task if anything in the table has changed since it last looked. The task's own look says
//! what it means. On a crowd's words that happens at every look as long as the place of a dead participant has not been
//! taken over: what it held may have to be repaired, which cannot always be done at once.
//!
//! # Fork
//!
//! A child has no threads but its own. It gets a new lookout, and what it has inherited from the old one it leaves alone:
//! the ends that are watched there are dead, as their verbs say (`os/fork.rs`).

use crate::error::OpenError;
use crate::interest::Interest;
use crate::liveness::Survey;
use crate::os;
use crate::os::fork::{Epoch, Local};
use crate::waiting::{self, Sleepers};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;
use core::time::Duration;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// Ends that one post watches: what the kernel takes, less the post's own word.
const POST_WORDS: usize = os::FUTEX_WAITV_MAX - 1;

/// How long a post sleeps at most. A death is noticed within two ticks.
const TICK: Duration = Duration::from_millis(45);

/// An end that the lookout watches. Dropped, it is watched no more.
pub(crate) struct Watched {
    entry: Arc<Entry>,
    post: Arc<Post>,
    /// Whether it was armed and has not been disarmed. It may have been woken since.
    is_armed: bool,
}

impl Watched {
    /// Has an end watched. Nobody is woken before it is [armed](arm).
    ///
    /// # Errors
    ///
    /// [`OpenError::Os`] if there has to be another post, and the system refuses a thread.
    pub(crate) fn new(interest: Interest) -> Result<Self, OpenError> {
        // Before the first look of whoever waits, so that what happens after it is a change.
        let survey = interest.survey();
        let entry = Arc::new(Entry { interest, state: Mutex::new(State { armed: None, survey }) });
        let post = LOOKOUT.get().assign(&entry).map_err(|source| {
            let path = entry.interest.path().to_owned();
            OpenError::Os { action: "start the thread that watches", path, source }
        })?;
        Ok(Watched { entry, post, is_armed: false })
    }

    /// What is watched.
    pub(crate) fn interest(&self) -> &Interest {
        &self.entry.interest
    }

    /// The task has looked, and does not wait any more.
    pub(crate) fn disarm(&mut self) {
        self.stand_down();
    }

    /// The task does not wait any more, and has not looked since it was woken, if it was. On a word that others sleep
    /// on as well, the wake-up is passed on to one of them.
    pub(crate) fn abandon(&mut self) {
        if self.stand_down() && self.entry.interest.sleepers() == Sleepers::Many {
            waiting::wake_some(self.entry.interest.word(), 1);
        }
    }

    /// Disarms the end; `true` if it had been woken.
    fn stand_down(&mut self) -> bool {
        if !self.is_armed || self.post.epoch.is_past() {
            return false;
        }
        self.is_armed = false;
        let armed = lock(&self.entry.state).armed.take();
        let interest = &self.entry.interest;
        let was_woken = armed.is_none_or(|armed| waiting::announced(interest.word()) != Some(armed.expected));
        waiting::retract(interest.word(), interest.sleepers());
        was_woken
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.abandon();
        if !self.post.epoch.is_past() {
            self.post.dismiss(&self.entry);
        }
    }
}

/// Wakes `waker` as soon as something happens at one of `watched`: R1, the barrier (one for all) and A, after which the
/// caller looks (R2) at each of them.
pub(crate) fn arm(watched: &mut [Watched], waker: &Waker) {
    if watched.iter().any(|watched| watched.post.epoch.is_past()) {
        // Nobody watches. Whoever waits learns from the verbs of the end that it is dead.
        return waker.wake_by_ref();
    }
    let words = || watched.iter().map(|watched| watched.entry.interest.word());
    words().for_each(waiting::announce);
    waiting::barrier(words());
    for watched in &mut *watched {
        watched.entry.arm(waker);
        watched.is_armed = true;
    }
    let mut bumped = ptr::null();
    for Watched { entry, post, .. } in watched {
        // Neighbours mostly have one post.
        if entry.interest.sleepers() == Sleepers::Many && bumped != Arc::as_ptr(post) {
            bumped = Arc::as_ptr(post);
            post.bump();
        }
    }
}

/// An end, as its post sees it.
struct Entry {
    interest: Interest,
    state: Mutex<State>,
}

struct State {
    armed: Option<Armed>,
    /// What the post saw last of those who are watched.
    survey: Survey,
}

/// Whom to wake, and when.
struct Armed {
    waker: Waker,
    /// What the word holds until then.
    expected: u32,
}

/// What a post looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// The words.
    Words,
    /// The words, and whether they can be relied on.
    Tick,
    /// All that, and the living.
    Survey,
}

impl Entry {
    /// A of the protocol.
    fn arm(&self, waker: &Waker) {
        let mut state = lock(&self.state);
        state.armed = waiting::announced(self.interest.word()).map(|expected| Armed { waker: waker.clone(), expected });
        if state.armed.is_none() {
            drop(state);
            waker.wake_by_ref();
        }
    }

    /// P1 of the protocol.
    fn check(&self, round: Round) -> Checked {
        let word = self.interest.word();
        let is_crowd = self.interest.sleepers() == Sleepers::Many;
        let mut state = lock(&self.state);
        // Acquire: pairs with the Release of wakers, and passes on to the task, by way of the waker, what it is woken for.
        let value = word.load(Ordering::Acquire);
        let disarmed = if is_crowd { None } else { Some(value) };
        let Some(armed) = &state.armed else {
            return Checked { value: disarmed, has_woken: false };
        };
        let is_woken = value != armed.expected;
        let mut is_due = is_woken || round != Round::Words && waiting::is_unreliable(word);
        if round == Round::Survey {
            let survey = self.interest.survey();
            is_due |= survey != state.survey || is_crowd && survey.has_fallen;
            state.survey = survey;
        }
        if !is_due {
            return Checked { value: Some(value), has_woken: false };
        }
        let armed = state.armed.take();
        drop(state);
        if let Some(Armed { waker, .. }) = armed {
            // A waker that panics would otherwise leave every other end of this post unwatched.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
        Checked { value: disarmed, has_woken: true }
    }
}

/// What came of a look at an end.
struct Checked {
    /// The value to sleep on, if its word is to be slept on.
    value: Option<u32>,
    has_woken: bool,
}

/// A thread, and the ends that it watches.
struct Post {
    /// The epoch that the thread belongs to.
    epoch: Epoch,
    /// Bumped to have the thread look at everything once more.
    bumps: AtomicU32,
    /// At most [`POST_WORDS`].
    entries: Mutex<Vec<Arc<Entry>>>,
}

impl Post {
    fn bump(&self) {
        // Release: publishes what was changed before; pairs with the Acquire in `keep_watch`.
        self.bumps.fetch_add(1, Ordering::Release);
        os::futex_wake(&self.bumps, 1);
    }

    fn dismiss(&self, entry: &Arc<Entry>) {
        lock(&self.entries).retain(|other| !Arc::ptr_eq(other, entry));
        self.bump();
    }

    /// What the thread does.
    fn keep_watch(&self) {
        let mut seen = None;
        let (mut entries, mut kept) = (Vec::new(), Vec::new());
        let mut next_tick = Instant::now() + TICK;
        let mut round = Round::Tick;
        let mut has_overslept = false;
        loop {
            // Acquire: pairs with the Release in `bump`. Before everything that is looked at below, so that whatever
            // changes afterwards changes this word.
            let bumps = self.bumps.load(Ordering::Acquire);
            if seen != Some(bumps) {
                seen = Some(bumps);
                entries = lock(&self.entries).clone();
                if entries.is_empty() && LOOKOUT.get().retire(self) {
                    return;
                }
                kept = LOOKOUT.get().kept_by(self);
            }
            let mut words = Vec::with_capacity(os::FUTEX_WAITV_MAX);
            for entry in &entries {
                #[cfg(test)]
                late::note(has_overslept, entry, next_tick);
                if let Some(value) = entry.check(if has_overslept { Round::Tick } else { Round::Words }).value {
                    words.push((entry.interest.word(), value));
                }
            }
            let mut limit = None;
            if !kept.is_empty() {
                let now = Instant::now();
                if now >= next_tick {
                    kept.iter().for_each(|post| post.tick(round));
                    next_tick = now + TICK;
                    round = if round == Round::Tick { Round::Survey } else { Round::Tick };
                }
                limit = Some(next_tick.saturating_duration_since(now));
            }
            // Last, so that a bump before the kernel compares this word is seen, and one after it comes to a list of
            // words that are all slept on.
            words.push((&self.bumps, bumps));
            has_overslept = os::futex_wait_any(&words, limit);
        }
    }

    /// P3 of the protocol.
    fn tick(&self, round: Round) {
        // Not under the lock: whoever is woken may want to be watched no more.
        let entries = lock(&self.entries).clone();
        for entry in entries {
            if entry.check(round).has_woken && entry.interest.sleepers() == Sleepers::Many {
                // It must not take a wake-up from the others any more.
                self.bump();
            }
        }
    }
}

/// The posts of this process.
#[derive(Default)]
struct Lookout {
    /// The posts with a thread. Locked before any of their `entries`.
    posts: Mutex<Vec<Arc<Post>>>,
}

static LOOKOUT: Local<Lookout> = Local::new();

impl Lookout {
    /// Has an end watched by a post that has room, or by a new one.
    fn assign(&self, entry: &Arc<Entry>) -> io::Result<Arc<Post>> {
        let mut posts = lock(&self.posts);
        for post in posts.iter() {
            let mut entries = lock(&post.entries);
            if entries.len() < POST_WORDS {
                entries.push(entry.clone());
                drop(entries);
                post.bump();
                return Ok(post.clone());
            }
        }
        let entries = Mutex::new(vec![entry.clone()]);
        let post = Arc::new(Post { epoch: Epoch::now(), bumps: AtomicU32::new(0), entries });
        let kept = post.clone();
        thread::Builder::new().name("slipring-lookout".into()).spawn(move || kept.keep_watch())?;
        posts.push(post.clone());
        posts[0].bump();
        Ok(post)
    }

    /// Gives a post up if it watches nothing, under the lock under which it would be given something to watch.
    fn retire(&self, post: &Post) -> bool {
        let mut posts = lock(&self.posts);
        let is_idle = lock(&post.entries).is_empty();
        if is_idle {
            posts.retain(|other| !ptr::eq(&raw const **other, post));
            if let Some(first) = posts.first() {
                first.bump();
            }
        }
        is_idle
    }

    /// The posts that `post` looks after: all if it is the first, and otherwise none.
    fn kept_by(&self, post: &Post) -> Vec<Arc<Post>> {
        let posts = lock(&self.posts);
        let is_first = posts.first().is_some_and(|first| ptr::eq(&raw const **first, post));
        if is_first { posts.clone() } else { Vec::new() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sleeps that went on until their tick although a word in their list had long changed.
#[cfg(test)]
pub(crate) mod late {
    use super::{Entry, lock};
    use core::sync::atomic::Ordering;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;
    use std::time::Instant;

    /// Segments, and when the tick was due.
    static LATE: Mutex<Vec<(PathBuf, Instant)>> = Mutex::new(Vec::new());

    /// Called for every end after a sleep whose tick was due at `deadline`.
    pub(super) fn note(has_overslept: bool, entry: &Entry, deadline: Instant) {
        let interest = &entry.interest;
        let state = lock(&entry.state);
        // Acquire: pairs with the Release of wakers.
        let is_stale = |expected| interest.word().load(Ordering::Acquire) != expected;
        if has_overslept && state.armed.as_ref().is_some_and(|armed| is_stale(armed.expected)) {
            lock(&LATE).push((interest.path().to_owned(), deadline));
        }
    }

    /// When the ticks were due that found something in `segment`, since the last call.
    pub(crate) fn take(segment: &Path) -> Vec<Instant> {
        let mut late = lock(&LATE);
        let (taken, kept) = late.drain(..).partition(|(path, _)| path == segment);
        *late = kept;
        let taken: Vec<(PathBuf, Instant)> = taken;
        taken.into_iter().map(|(_, deadline)| deadline).collect()
    }
}
