//! Rounds over ends whose other sides live in processes that are made up: they have descriptors of their own, and so
//! locks of their own, and name the process that a test says.

use super::*;
use crate::interest::{Interest, Sealed};
use crate::os::LOOKS_AT_LOCKS;
use crate::segment;
use crate::waiting;
use crate::{Lifetime, Queue, Receiver, Sender};
use core::task::Waker;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;

/// The sender's line of an exclusive queue.
const SENDER: u32 = 0;

/// A task that counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        // Relaxed: looked at by the thread that wakes.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A channel with a receiver that a task waits for.
struct Channel {
    queue: Queue<u64>,
    rx: Receiver<u64>,
    post: Arc<Post>,
    entry: Arc<Entry>,
    task: Arc<Task>,
}

impl Channel {
    fn new(post: &Arc<Post>, test: &str, number: usize) -> Self {
        let queue = Queue::<u64>::new(format!("{test}.{number}")).spsc().capacity(1);
        let queue = queue.domain(format!("unit-{}", std::process::id())).lifetime(Lifetime::Persistent);
        let rx = queue.receiver().unwrap();
        assert!(post.reserve());
        let entry = post.clone().admit(rx.interest());
        Channel { queue, rx, post: post.clone(), entry, task: Arc::default() }
    }

    /// A sender of another process, which says that its number is `process`.
    fn sender(&self, process: u32) -> Elsewhere {
        segment::estrange(self.rx.interest().segment());
        let tx = self.queue.sender().unwrap();
        let interest = tx.interest();
        segment::estrange(interest.segment());
        // Relaxed: this thread looks at it.
        interest.segment().participant(SENDER).process.store(process, Ordering::Relaxed);
        Elsewhere { tx, interest }
    }

    fn wait(&self) {
        let is_heard = self.entry.interest.announce();
        self.entry.arm(&Waker::from(self.task.clone()), is_heard);
    }

    /// How often the task has been woken since the last call.
    fn wakes(&self) -> usize {
        // Relaxed: as in `wake`.
        self.task.0.swap(0, Ordering::Relaxed)
    }

    fn says_live(&self) -> bool {
        // Relaxed: this thread has looked at it.
        self.rx.interest().segment().participant(SENDER).state.load(Ordering::Relaxed) & 3 == 1
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.post.dismiss(&self.entry);
        segment::estrange(self.rx.interest().segment());
        self.rx.interest().segment().let_go(1);
        // Whoever has died in here is gone, and whoever has not has left.
        let _ = self.queue.remove();
    }
}

/// A sender of another process.
struct Elsewhere {
    tx: Sender<u64>,
    interest: Interest,
}

impl Elsewhere {
    /// What is left if its process is killed.
    fn die(self) {
        self.interest.segment().let_go(SENDER);
        std::mem::forget(self.tx);
    }

    fn close(self) {
        drop(self.tx);
    }
}

/// Channels whose ends one post watches, whose thread does not run: what it would do is done by [`Channels::round`].
struct Channels {
    channels: Vec<Channel>,
    rounds: Arc<Rounds>,
    posts: [Arc<Post>; 1],
    groups: Groups,
}

impl Channels {
    fn new(test: &str, count: usize) -> Self {
        let rounds = Arc::new(Rounds::default());
        let posts = [Arc::new(Post::new(rounds.clone()))];
        let channels = (0..count).map(|number| Channel::new(&posts[0], test, number)).collect();
        let mut channels = Channels { channels, rounds, posts, groups: Groups::default() };
        // The first round is a survey.
        channels.round();
        channels
    }

    /// Makes a round, and returns how many locks it has looked at.
    fn round(&mut self) -> usize {
        for entry in self.posts[0].entries() {
            entry.check();
        }
        let before = LOOKS_AT_LOCKS.get();
        self.rounds.make_one(&mut self.groups, &self.posts);
        LOOKS_AT_LOCKS.get() - before
    }

    fn wait(&self) {
        self.channels.iter().for_each(Channel::wait);
    }

    /// Lets whatever is going on be over and noticed.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.wait();
            self.round();
        }
        self.woken();
        self.wait();
        self.round();
        assert_eq!(self.woken(), vec![0; self.channels.len()]);
    }

    fn woken(&self) -> Vec<usize> {
        self.channels.iter().map(Channel::wakes).collect()
    }
}

#[test]
fn a_round_looks_at_one_lock_of_each_process() {
    let mut all = Channels::new("one", 20);
    let senders: Vec<_> =
        all.channels.iter().zip([3, 5, 0].into_iter().cycle()).map(|(one, process)| one.sender(process)).collect();
    all.settle();
    for _ in 0..2 * SURVEY_ROUNDS {
        assert_eq!(all.round(), 2 + 6, "two processes, and six that name none");
    }
    assert_eq!(all.woken(), [0; 20]);
    senders.into_iter().for_each(Elsewhere::close);
    all.round();
    assert_eq!(all.round(), 0, "nobody is left");
}

#[test]
fn a_death_is_found_on_all_channels_in_the_next_round() {
    for rounds in 0..SURVEY_ROUNDS + 2 {
        let mut all = Channels::new(&format!("death-{rounds}"), 8);
        let is_dying = |number: usize| number % 2 == 0;
        let senders = all.channels.iter().enumerate();
        let senders = senders.map(|(number, one)| (number, one.sender(if is_dying(number) { 3 } else { 5 })));
        let (dying, living): (Vec<_>, Vec<_>) = senders.partition(|(number, _)| is_dying(*number));
        all.settle();
        (0..rounds).for_each(|_| {
            all.round();
        });
        dying.into_iter().for_each(|(_, sender)| sender.die());
        all.round();
        assert_eq!(all.woken(), [1, 0, 1, 0, 1, 0, 1, 0]);
        assert!(all.channels.iter().map(Channel::says_live).eq([false, true].into_iter().cycle().take(8)));
        all.settle();
        assert_eq!(all.round(), 1, "the dead are not looked at any more");
        living.into_iter().for_each(|(_, sender)| sender.close());
    }
}

#[test]
fn what_is_found_while_a_task_is_not_waiting_is_not_forgotten() {
    let mut all = Channels::new("later", 1);
    let sender = all.channels[0].sender(3);
    all.round();
    sender.die();
    all.round();
    assert_eq!(all.woken(), [0]);
    all.wait();
    all.round();
    assert_eq!(all.woken(), [1]);
}

#[test]
fn a_lock_that_is_lost_while_its_process_lives_is_found_in_turn() {
    let mut all = Channels::new("lost", 8);
    let mut senders: Vec<_> = all.channels.iter().map(|one| Some(one.sender(3))).collect();
    for lost in [5, 0, 7] {
        all.settle();
        senders[lost].take().unwrap().die();
        // A survey forms the group anew.
        let rounds = (1..16).find(|_| {
            all.round();
            !all.channels[lost].says_live()
        });
        assert!(rounds.is_some(), "{lost}");
        let expected: Vec<_> = (0..8).map(|number| usize::from(number == lost)).collect();
        assert_eq!(all.woken(), expected, "the others live");
    }
    senders.into_iter().flatten().for_each(Elsewhere::close);
}

#[test]
fn who_joins_and_dies_between_two_rounds_is_noticed() {
    let mut all = Channels::new("joins", 1);
    for process in [3, 3, 0] {
        all.settle();
        all.channels[0].sender(process).die();
        // The joiner has woken the task, which has looked while it lived.
        all.posts[0].entries()[0].check();
        assert_eq!(all.woken(), [1]);
        all.wait();
        all.round();
        assert_eq!((all.woken(), all.channels[0].says_live()), (vec![1], false));
    }
}

#[test]
fn who_joins_while_a_task_is_on_its_way_to_sleep_is_noticed() {
    let mut all = Channels::new("early", 1);
    all.settle();
    // The task has found out by itself that it has to look, and is about to announce that it waits.
    lock(&all.channels[0].entry.state).armed = None;
    all.channels[0].entry.interest.retract();
    all.channels[0].sender(3).die();
    all.wait();
    all.round();
    assert_eq!((all.woken(), all.channels[0].says_live()), (vec![1], false));
}

#[test]
fn who_was_there_before_is_watched_from_the_start() {
    let mut all = Channels::new("before", 1);
    let sender = all.channels[0].sender(3);
    all.settle();
    // The end is watched anew, and not from a survey on.
    all.posts[0].dismiss(&all.channels[0].entry);
    assert!(all.posts[0].reserve());
    all.channels[0].entry = all.posts[0].clone().admit(all.channels[0].rx.interest());
    all.settle();
    sender.die();
    all.round();
    assert_eq!(all.woken(), [1]);
}

#[test]
fn a_successor_does_not_hide_a_death() {
    let mut all = Channels::new("succeeded", 2);
    let [sender, other] = [0, 1].map(|number| all.channels[number].sender(3));
    all.settle();
    sender.die();
    other.die();
    let successor = all.channels[0].sender(5);
    all.posts[0].entries()[0].check();
    all.wait();
    all.woken();
    all.round();
    assert_eq!(all.woken(), [1, 1]);
    assert_eq!([0, 1].map(|number| all.channels[number].says_live()), [true, false]);
    successor.close();
}

#[test]
fn a_joiner_that_dies_half_way_hides_nobody() {
    let mut all = Channels::new("half-way", 1);
    let sender = all.channels[0].sender(3);
    let interest = all.channels[0].rx.interest();
    let roll = &interest.segment().wait_line(0).roll;
    // Relaxed, here and below: this thread looks at it. As if the sender had got no further than LIVE.
    roll.fetch_sub(1, Ordering::Relaxed);
    all.settle();
    sender.die();
    all.round();
    assert_eq!(all.woken(), [1]);
    let next = all.channels[0].sender(3);
    // Relaxed: as above.
    assert_eq!(roll.load(Ordering::Relaxed) % 2, 0);
    next.close();
}

#[test]
fn a_word_that_changed_without_a_wake_up_is_seen() {
    let mut all = Channels::new("stale", 2);
    let sender = all.channels[1].sender(3);
    all.settle();
    let change = |all: &Channels| {
        let (word, sleeping) = (all.channels[0].entry.interest.word(), u32::from(waiting::SLEEPING_BYTE.1));
        // Relaxed: this thread looks at it. What a waker does before it is killed, or stopped.
        word.fetch_add(1 << 9, Ordering::Relaxed);
        word.fetch_and(!sleeping, Ordering::Relaxed);
        // Relaxed: as above. And somebody else announces a sleep.
        word.fetch_or(sleeping, Ordering::Relaxed);
    };
    change(&all);
    let found = (0..=SURVEY_ROUNDS).any(|_| {
        all.rounds.make_one(&mut all.groups, &all.posts);
        all.woken() == [1, 0]
    });
    assert!(found, "a survey sees it");
    all.settle();
    change(&all);
    sender.die();
    all.rounds.make_one(&mut all.groups, &all.posts);
    assert_eq!(all.woken(), [1, 1], "and a death has all looked at");
}
