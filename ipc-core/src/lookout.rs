//! The lookout: threads that sleep on the words of channels for others, and wake them. A task cannot sleep on a futex,
//! and a thread can sleep on 128 of them at most, so both leave it to the lookout.
//!
//! A *post* is one thread, which watches up to [`POST_WORDS`] ends; n ends take n / 127 posts, rounded up. Posts sleep
//! until a word changes, however long that takes. One more thread makes the *rounds*: at every tick it looks at all that
//! no word tells (`lookout/rounds.rs`). All of them begin with the first end that is watched and end with the last. Which
//! runtime a task belongs to does not matter: what is woken is its [`Waker`].
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
//!     else: wake myself
//!     if others sleep on the word: bump        rounds, once a tick
//!        the post                              P3  P1 for every end of every post
//! R2  look; if there is nothing: pending
//! ```
//!
//! A, P1 and P3 exclude each other, by the end's mutex.
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
//! round sees it. Where membarrier is refused, an armed end is woken once a tick, whatever its word says.
//!
//! # Fork
//!
//! A child has no threads but its own. It gets a new lookout, and what it has inherited from the old one it leaves alone:
//! the ends that are watched there are dead, as their verbs say (`os/fork.rs`).

use crate::error::OpenError;
use crate::interest::Interest;
use crate::liveness::{Living, Roster};
use crate::os;
use crate::os::fork::{Epoch, Local};
use crate::waiting::{self, Sleepers};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

mod rounds;

use rounds::Rounds;

/// Ends that one post watches: what the kernel takes, less the post's own word.
const POST_WORDS: usize = os::FUTEX_WAITV_MAX - 1;

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
    /// [`OpenError::Os`] if that takes another thread, and the system refuses it.
    pub(crate) fn new(interest: Interest) -> Result<Self, OpenError> {
        let entry = Arc::new(Entry::new(interest));
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
    /// Those whom the end watches, as the rounds have found them last.
    roster: Roster,
    /// Whether that has changed since the task was last woken.
    has_news: bool,
}

/// Whom to wake, and when.
struct Armed {
    waker: Waker,
    /// What the word holds until then.
    expected: u32,
}

impl Entry {
    /// To be made before the first look of whoever waits, so that what happens after that look is a change.
    fn new(interest: Interest) -> Self {
        let roster = interest.roster();
        Entry { interest, state: Mutex::new(State { armed: None, roster, has_news: false }) }
    }

    /// A of the protocol.
    fn arm(&self, waker: &Waker) {
        let mut state = lock(&self.state);
        state.armed = waiting::announced(self.interest.word()).map(|expected| Armed { waker: waker.clone(), expected });
        if state.armed.is_none() {
            drop(state);
            waker.wake_by_ref();
        }
    }

    /// P1 of the protocol. The value to sleep on, if its word is to be slept on.
    fn check(&self) -> Option<u32> {
        let word = self.interest.word();
        let mut state = lock(&self.state);
        // Acquire: pairs with the Release of wakers, and passes on to the task, by way of the waker, what it is woken for.
        let value = word.load(Ordering::Acquire);
        let is_stale = state.armed.as_ref().is_some_and(|armed| armed.expected != value);
        let armed = if is_stale { state.armed.take() } else { None };
        let is_wanted = state.armed.is_some() || self.interest.sleepers() == Sleepers::One;
        drop(state);
        if let Some(Armed { waker, .. }) = armed {
            wake(waker);
        }
        is_wanted.then_some(value)
    }

    /// P3 of the protocol, and a look at the lines of those who are watched, which are shown to `see`. `true` if the task
    /// is to be woken.
    fn look(&self, see: impl FnMut(&Living)) -> bool {
        let mut state = lock(&self.state);
        let State { armed, roster, has_news } = &mut *state;
        *has_news |= roster.update(self.interest.segment());
        roster.living().iter().for_each(see);
        let Some(armed) = armed else { return false };
        // Acquire: as in `check`.
        self.interest.word().load(Ordering::Acquire) != armed.expected || *has_news || self.is_restless(roster)
    }

    /// Looks at the locks of those whom `picks` asks for. `true` if one has died.
    fn probe(&self, picks: impl Fn(&Living) -> bool) -> bool {
        let mut state = lock(&self.state);
        let has_died = state.roster.probe(self.interest.segment(), picks);
        state.has_news |= has_died;
        has_died
    }

    /// Wakes the task, if it waits. `true` if it did.
    fn wake(&self) -> bool {
        let mut state = lock(&self.state);
        let Some(Armed { waker, .. }) = state.armed.take() else { return false };
        state.has_news = false;
        drop(state);
        wake(waker);
        true
    }

    /// Whether the task is to be woken at every tick: where wake-ups cannot be relied on, and where somebody has died and
    /// what it held may have to be repaired, which cannot always be done at once.
    fn is_restless(&self, roster: &Roster) -> bool {
        waiting::is_unreliable(self.interest.word())
            || self.interest.sleepers() == Sleepers::Many && roster.has_fallen()
    }
}

/// Wakes a task. A waker that panics would otherwise leave every other end of its post unwatched.
fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

/// A thread, and the ends that it watches.
struct Post {
    /// The epoch that the thread belongs to.
    epoch: Epoch,
    /// Bumped to have the thread look at everything once more.
    bumps: AtomicU32,
    /// At most [`POST_WORDS`].
    entries: Mutex<Vec<Arc<Entry>>>,
    #[cfg(test)]
    sleep: late::Sleep,
}

impl Post {
    fn new(entry: Arc<Entry>) -> Self {
        Post {
            epoch: Epoch::now(),
            bumps: AtomicU32::new(0),
            entries: Mutex::new(vec![entry]),
            #[cfg(test)]
            sleep: late::Sleep::default(),
        }
    }

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
        #[cfg(test)]
        self.sleep.is_mine();
        let mut seen = None;
        let mut entries = Vec::new();
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
            }
            let mut words = Vec::with_capacity(os::FUTEX_WAITV_MAX);
            for entry in &entries {
                if let Some(value) = entry.check() {
                    words.push((entry.interest.word(), value));
                }
            }
            // Last, so that a bump before the kernel compares this word is seen, and one after it comes to a list of
            // words that are all slept on.
            words.push((&self.bumps, bumps));
            os::futex_wait_any(&words, None);
        }
    }
}

/// The threads of this process.
#[derive(Default)]
struct Lookout {
    /// Locked before any post's `entries`.
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    /// The posts with a thread.
    posts: Vec<Arc<Post>>,
    /// There if there are posts, and for a while longer.
    rounds: Option<Arc<Rounds>>,
}

static LOOKOUT: Local<Lookout> = Local::new();

impl Lookout {
    /// Has an end watched by a post that has room, or by a new one.
    fn assign(&self, entry: &Arc<Entry>) -> io::Result<Arc<Post>> {
        let mut threads = lock(&self.threads);
        for post in &threads.posts {
            let mut entries = lock(&post.entries);
            if entries.len() < POST_WORDS {
                entries.push(entry.clone());
                drop(entries);
                post.bump();
                return Ok(post.clone());
            }
        }
        if threads.rounds.is_none() {
            let rounds = Arc::new(Rounds::default());
            let kept = rounds.clone();
            thread::Builder::new().name("slipring-rounds".into()).spawn(move || kept.make())?;
            threads.rounds = Some(rounds);
        }
        let post = Arc::new(Post::new(entry.clone()));
        let kept = post.clone();
        let begun = thread::Builder::new().name("slipring-lookout".into()).spawn(move || kept.keep_watch());
        if begun.is_ok() {
            threads.posts.push(post.clone());
        }
        threads.end_rounds_if_idle();
        begun.map(|_| post)
    }

    /// Gives a post up if it watches nothing, under the lock under which it would be given something to watch.
    fn retire(&self, post: &Post) -> bool {
        let mut threads = lock(&self.threads);
        let is_idle = lock(&post.entries).is_empty();
        if is_idle {
            threads.posts.retain(|other| !ptr::eq(&raw const **other, post));
            threads.end_rounds_if_idle();
        }
        is_idle
    }

    /// The posts that there are.
    fn posts(&self) -> Vec<Arc<Post>> {
        lock(&self.threads).posts.clone()
    }
}

impl Threads {
    fn end_rounds_if_idle(&mut self) {
        if self.posts.is_empty() {
            if let Some(rounds) = self.rounds.take() {
                rounds.end();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod late;
