//! The *lookout* is a set of background threads that sleep on futexes on behalf of tasks and large wait sets, and wake
//! them. A task must not block on a futex, and a thread can sleep on at most 128 of them.
//!
//! A *post* is one such thread. It watches up to [`POST_WORDS`] ends, so n ends take n / 127 posts, rounded up, and
//! sleeps until a word changes. One more thread makes the *rounds*: it checks periodically for deaths, which change no
//! word (`lookout/rounds.rs`). The threads start with the first end that is watched, and stop with the last. They wake
//! a task by its [`Waker`], so any runtime will do.
//!
//! # The protocol
//!
//! The waiting protocol (`waiting.rs`) has one thread announce (R1), look (R2) and sleep. Here the first two are done
//! by the task and the sleeping by the post:
//!
//! ```text
//! task                                         post
//! R1  announce, barrier                        P1  for every end: if it is armed and its word no longer holds
//! A   word = what R1 left in it?                   `expected`: disarm it, and wake its task
//!     then armed, expected := that value       P2  futex_waitv on the values that P1 loaded; on those of armed
//!     else: wake myself                            ends, and of all ends whose word has one sleeper
//!     if others sleep on the word: bump        rounds, from time to time
//!        the post                              P3  P1 for every end of every post
//! R2  look; if there is nothing: pending
//! ```
//!
//! A, P1 and P3 exclude each other, by the end's mutex.
//!
//! *Proof that nothing is missed.* Let a waker publish something that R2 does not see. By the proof in `waiting.rs` (W4)
//! somebody, it or one who has cleared SLEEPING before it looked, then gives the word a new value V after R1, and calls
//! `futex_wake`. Every value that the word had before is gone for good (W3).
//!
//! - A loads V, or what came after it. That is not what R1 left, so nobody is known to wake for this announcement, and
//!   the task makes another.
//! - V comes after what A has loaded. From then on `expected` is stale, and the first P1 that sees V wakes the task. It
//!   comes at once: a post that has yet to begin its P1 loads V in it. A post that has loaded an older value in P1 and
//!   is not yet asleep finds V when the kernel compares, so P2 returns. A post that sleeps on the word is woken, unless
//!   the waker wakes only some and these are others. And a post that sleeps on a list without the word is one that saw
//!   the end disarmed, on a word that has several sleepers; but then A has bumped the word that is last in each list,
//!   which ends P2, before R2.
//!
//! A waker that is killed between the new value and `futex_wake` delays the task by a round, like a sleeper by a slice
//! (W2), since a death has everything looked at. One that is stopped there, or that wakes another sleeper who then
//! leaves the work undone and lives, delays it by about a second: V is there all the same, and P3 sees it. Where
//! membarrier is refused, an armed end is woken in every round, whatever its word says.
//!
//! # Fork
//!
//! A child has no threads but its own. It gets a new lookout, and what it has inherited from the old one it leaves
//! alone: the ends that are watched there are dead, as their verbs say (`os/fork.rs`).

use crate::error::OpenError;
use crate::interest::{Interest, announce_all};
use crate::liveness::{Living, Probed, Roster};
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
        let post = LOOKOUT.get().reserve().map_err(|source| {
            let path = interest.path().to_owned();
            OpenError::Os { action: "start the thread that watches", path, source }
        })?;
        Ok(Watched { entry: post.admit(interest), is_armed: false })
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
        if self.stand_down() {
            self.entry.interest.pass_on();
        }
    }

    /// Disarms the end; `true` if it had been woken.
    fn stand_down(&mut self) -> bool {
        if !self.is_armed || self.entry.post.epoch.is_past() {
            return false;
        }
        self.is_armed = false;
        let armed = lock(&self.entry.state).armed.take();
        let interest = &self.entry.interest;
        let was_woken = armed.is_none_or(|armed| waiting::standing(interest.word(), armed.expected).is_none());
        interest.retract();
        was_woken
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.abandon();
        if !self.entry.post.epoch.is_past() {
            self.entry.post.dismiss(&self.entry);
        }
    }
}

/// Wakes `waker` as soon as something happens at one of `watched`: R1, the barrier (one for all) and A, after which the
/// caller looks (R2) at each of them.
pub(crate) fn arm(watched: &mut [Watched], waker: &Waker) {
    if watched.iter().any(|watched| watched.entry.post.epoch.is_past()) {
        // Nobody watches. Whoever waits learns from the verbs of the end that it is dead.
        return waker.wake_by_ref();
    }
    let left = announce_all(watched.iter().map(|watched| &watched.entry.interest));
    for (watched, left) in watched.iter_mut().zip(left) {
        watched.entry.arm(waker, left);
        watched.is_armed = true;
    }
    let mut bumped = ptr::null();
    for Watched { entry, .. } in watched {
        // Neighbours mostly have one post.
        if entry.interest.sleepers() == Sleepers::Many && bumped != Arc::as_ptr(&entry.post) {
            bumped = Arc::as_ptr(&entry.post);
            entry.post.bump();
        }
    }
}

/// An end, as its post sees it.
struct Entry {
    interest: Interest,
    /// Has this entry in its list until it is dismissed.
    post: Arc<Post>,
    state: Mutex<State>,
}

struct State {
    armed: Option<Armed>,
    /// Those whom the end watches, as they were found last.
    roster: Roster,
    /// Whether that has changed since the task was last woken.
    has_news: bool,
    /// Whether those who wake can know that the end is waited for.
    is_heard: bool,
    /// Whether the next round is to look at this end.
    is_noted: bool,
}

/// Whom to wake, and when.
struct Armed {
    waker: Waker,
    /// What the word holds until then.
    expected: u32,
}

impl Entry {
    /// To be made before the first look of whoever waits, so that what happens after that look is a change.
    fn new(interest: Interest, post: Arc<Post>) -> Arc<Self> {
        let roster = interest.roster();
        let state = Mutex::new(State { armed: None, roster, has_news: false, is_heard: true, is_noted: false });
        Arc::new(Entry { interest, post, state })
    }

    /// A of the protocol. `left` is what R1 left in the word; `None` if nobody could be told.
    fn arm(self: &Arc<Self>, waker: &Waker, left: Option<u32>) {
        let mut state = lock(&self.state);
        let expected = self.expected(left);
        state.is_heard = left.is_some();
        state.armed = expected.map(|expected| Armed { waker: waker.clone(), expected });
        self.note_if_needed(&mut state);
        if state.armed.is_none() {
            drop(state);
            waker.wake_by_ref();
        }
    }

    /// The value to wait for a change of; `None` if the announcement has been used up. Without one, any value will do.
    fn expected(&self, left: Option<u32>) -> Option<u32> {
        let word = self.interest.word();
        match left {
            Some(left) => waiting::standing(word, left),
            // Acquire: as in `check`.
            None => Some(word.load(Ordering::Acquire)),
        }
    }

    /// P1 of the protocol. The value to sleep on, if its word is to be slept on.
    fn check(self: &Arc<Self>) -> Option<u32> {
        let word = self.interest.word();
        let mut state = lock(&self.state);
        // Acquire: pairs with the Release of wakers, and passes on to the task, by way of the waker, what it is woken
        // for.
        let value = word.load(Ordering::Acquire);
        let is_stale = state.armed.as_ref().is_some_and(|armed| armed.expected != value);
        let mut armed = None;
        if is_stale {
            armed = state.armed.take();
            self.note_if_needed(&mut state);
        }
        let is_wanted = state.armed.is_some() || self.interest.sleepers() == Sleepers::One;
        drop(state);
        if let Some(Armed { waker, .. }) = armed {
            wake(waker);
        }
        is_wanted.then_some(value)
    }

    /// P3 of the protocol, and a look at the lines of those who are watched. `see` is told of them: of all, or only of
    /// those who have come. `true` if the task is to be woken.
    fn look(self: &Arc<Self>, all: bool, see: impl FnMut(&Living)) -> bool {
        let mut state = lock(&self.state);
        state.has_news |= state.roster.update(self.interest.segment());
        state.roster.tell(all, see);
        state.is_noted = false;
        self.note_if_needed(&mut state);
        let Some(armed) = &state.armed else { return false };
        // Acquire: as in `check`.
        let is_stale = self.interest.word().load(Ordering::Acquire) != armed.expected;
        is_stale || state.has_news || self.is_restless(&state)
    }

    /// Looks at the locks of those whom `picks` asks for. With what it has found comes whether the task is to be woken.
    fn probe(self: &Arc<Self>, picks: impl Fn(&Living) -> bool) -> (Probed, bool) {
        let mut state = lock(&self.state);
        state.has_news |= state.roster.update(self.interest.segment());
        let probed = state.roster.probe(self.interest.segment(), picks);
        state.has_news |= probed == Probed::Dead;
        self.note_if_needed(&mut state);
        (probed, state.has_news && state.armed.is_some())
    }

    /// Wakes the task, if it waits. On a word that others sleep on, the post must not take a wake-up from them any
    /// more.
    fn wake(&self) {
        let mut state = lock(&self.state);
        let Some(Armed { waker, .. }) = state.armed.take() else { return };
        state.has_news = false;
        drop(state);
        wake(waker);
        if self.interest.sleepers() == Sleepers::Many {
            self.post.bump();
        }
    }

    /// Has the next round look at this end if something about it is not settled.
    fn note_if_needed(self: &Arc<Self>, state: &mut State) {
        // What is news to nobody who waits is noted when somebody does.
        let is_news = state.has_news && state.armed.is_some();
        let is_needed = is_news || state.roster.has_untold(self.interest.segment()) || self.is_restless(state);
        if is_needed && !state.is_noted {
            state.is_noted = true;
            self.post.rounds.note(self);
        }
    }

    /// Whether the task is to be woken in every round: where wake-ups cannot be relied on, where time matters, and
    /// where somebody has died and what it held may have to be repaired, which cannot always be done at once.
    fn is_restless(&self, state: &State) -> bool {
        !state.is_heard
            || self.interest.depends_on_time()
            || waiting::is_unreliable(self.interest.word())
            || self.interest.sleepers() == Sleepers::Many && state.roster.has_fallen()
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
    /// Who looks at what this one does not see.
    rounds: Arc<Rounds>,
    /// Bumped to have the thread look at everything once more.
    bumps: AtomicU32,
    ends: Mutex<Ends>,
    #[cfg(all(test, not(loom)))]
    sleep: late::Sleep,
}

/// The ends of a post.
#[derive(Default)]
struct Ends {
    entries: Vec<Arc<Entry>>,
    /// How many more have been promised a place. There are at most [`POST_WORDS`] in all.
    reserved: usize,
}

impl Post {
    fn new(rounds: Arc<Rounds>) -> Self {
        Post {
            epoch: Epoch::now(),
            rounds,
            bumps: AtomicU32::new(0),
            ends: Mutex::default(),
            #[cfg(all(test, not(loom)))]
            sleep: late::Sleep::default(),
        }
    }

    /// Promises a place, if there is one.
    fn reserve(&self) -> bool {
        let mut ends = lock(&self.ends);
        let has_room = ends.entries.len() + ends.reserved < POST_WORDS;
        ends.reserved += usize::from(has_room);
        has_room
    }

    /// Watches an end that was promised a place.
    fn admit(self: Arc<Self>, interest: Interest) -> Arc<Entry> {
        let entry = Entry::new(interest, self.clone());
        let mut ends = lock(&self.ends);
        ends.reserved -= 1;
        ends.entries.push(entry.clone());
        drop(ends);
        self.bump();
        entry
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.ends).entries.clone()
    }

    fn bump(&self) {
        // Release: publishes what was changed before; pairs with the Acquire in `keep_watch`.
        self.bumps.fetch_add(1, Ordering::Release);
        os::futex_wake(&self.bumps, 1);
    }

    fn dismiss(&self, entry: &Arc<Entry>) {
        lock(&self.ends).entries.retain(|other| !Arc::ptr_eq(other, entry));
        self.bump();
    }

    /// What the thread does.
    fn keep_watch(&self) {
        #[cfg(all(test, not(loom)))]
        self.sleep.is_mine();
        let mut seen = None;
        let mut entries = Vec::new();
        loop {
            // Acquire: pairs with the Release in `bump`. Before everything that is looked at below, so that whatever
            // changes afterwards changes this word.
            let bumps = self.bumps.load(Ordering::Acquire);
            if seen != Some(bumps) {
                seen = Some(bumps);
                entries = self.entries();
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
    /// Locked before any post's `ends`.
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    posts: Vec<Arc<Post>>,
    /// There if and only if there are posts.
    rounds: Option<Arc<Rounds>>,
}

static LOOKOUT: Local<Lookout> = Local::new();

impl Lookout {
    /// A place with a post, or with a new one.
    fn reserve(&self) -> io::Result<Arc<Post>> {
        let mut threads = lock(&self.threads);
        if let Some(post) = threads.posts.iter().find(|post| post.reserve()) {
            return Ok(post.clone());
        }
        let rounds = match &threads.rounds {
            Some(rounds) => rounds.clone(),
            None => {
                let rounds = Arc::new(Rounds::default());
                let made = rounds.clone();
                thread::Builder::new().name("slipring-rounds".into()).spawn(move || made.make())?;
                threads.rounds.insert(rounds).clone()
            }
        };
        let post = Arc::new(Post::new(rounds));
        post.reserve();
        let kept = post.clone();
        match thread::Builder::new().name("slipring-lookout".into()).spawn(move || kept.keep_watch()) {
            Ok(_) => threads.posts.push(post.clone()),
            Err(error) => {
                threads.end_rounds_if_idle();
                return Err(error);
            }
        }
        Ok(post)
    }

    /// Gives a post up if it watches nothing, under the lock under which it would be given something to watch.
    fn retire(&self, post: &Post) -> bool {
        let mut threads = lock(&self.threads);
        let ends = lock(&post.ends);
        let is_idle = ends.entries.is_empty() && ends.reserved == 0;
        drop(ends);
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

#[cfg(all(test, not(loom)))]
pub(crate) mod late;
