//! Repairers that die: somebody has died before, at a crash point, and the victim is about to take up what was left.
//!
//! The parent starts the first one, which has to die at its point, and then plays the case with the victim. Who is left does
//! the rest of the repair. What was lost is counted once, whoever counted it, nothing comes twice, and no room is gone.

mod calls;

use super::case::Scene;
use super::play::{Play, Stage};
use super::queue::{Seen, fill, send_through};
use crate::check::{Books, CAPACITY, Check, Context, Message, PATIENCE, ensure, message, number};
use crate::child::{self, Child};
use crate::points;
use crate::trace::act;
use slipring::{Broadcast, LoanBatch, Queue, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// The kind's name.
pub(super) const KIND: &str = "repair";

/// Numbers of messages: of the one that died first, of others, of those who come after.
const CORPSES: u64 = 100;
const OTHERS: u64 = 200;
const VICTIMS: u64 = 300;
const AFTER: u64 = 500;
const FILLING: u64 = 600;

/// Longer than it takes to notice a death.
const REPAIRING: Duration = Duration::from_millis(400);

const QUEUE: &[(&str, &str)] = &[
    // The hole of a dead sender, closed by who waits, and by who takes the line over.
    ("receiver", "hole"),
    ("sender", "succeed-hole"),
    // The message of a dead receiver, returned and taken again, or given up, by who waits, and by who takes the line over.
    ("receiver", "orphan"),
    ("receiver", "given-up-orphan"),
    ("receiver", "succeed-orphan"),
    // The same of two messages that were claimed together.
    ("receiver", "holes"),
    ("receiver", "orphans"),
    ("receiver", "given-up-orphans"),
    // A message, and two, that a receiver has in hand when it leaves.
    ("receiver", "put-back"),
    ("receiver", "put-back-batch"),
    // Somebody sleeps who has to be woken.
    ("sender", "wake"),
    // Somebody has died who was about to sleep.
    ("sender", "wake-nobody"),
    ("publisher", "evict"),
];

pub(super) fn scenes() -> Vec<Scene> {
    let scene = |&(role, operation): &(_, _)| Scene { kind: KIND, operation, role, has_company: false };
    QUEUE.iter().chain(calls::SCENES).map(scene).collect()
}

fn queue(operation: &str, domain: &str) -> Queue<Message> {
    let gives_up = operation.starts_with("given-up");
    Queue::new("work").domain(domain).capacity(CAPACITY).redeliver(!gives_up)
}

fn feed(domain: &str) -> Broadcast<Message> {
    let feed = Broadcast::new("work").domain(domain).capacity(CAPACITY).lossless();
    feed.evict_after(Duration::from_millis(30))
}

/// Starts a process that joins on the side `role`, and dies there at the last point of a function.
fn bury(role: &str, operation: &str, domain: &str, file: &str, function: &str) -> Check {
    let point = points::place(file, function)?;
    let end = format!("{point}#1");
    let mut corpse = Child::start_with(["corpse", role, operation, domain], Some((points::VARIABLE, &end)))?;
    corpse.hear_word("joined")?;
    corpse.tell("go")?;
    let said = corpse.hear_or_die()?;
    ensure(said.is_none(), || format!("the first one was to die at {point}, and said {said:?}"))
}

/// The part of the one that dies first.
pub(crate) fn corpse(role: &str, operation: &str, domain: &str) -> Check {
    child::settle_in()?;
    let queue = queue(operation, domain);
    let join = || {
        child::say("joined")?;
        ensure(child::listen()?.as_deref() == Some("go"), || "the parent has gone".to_string())
    };
    match role {
        "sender" => {
            let mut sender = queue.sender().at("the first one attaches")?;
            join()?;
            if operation == "holes" {
                return act(|| sender.try_loan_batch(2).map(LoanBatch::send))?.at("the first one sends").map(drop);
            }
            act(|| sender.try_send(message(CORPSES)))?.at("the first one sends")
        }
        "receiver" => {
            let mut receiver = queue.receiver().at("the first one attaches")?;
            join()?;
            if operation.ends_with("orphans") {
                return act(|| receiver.try_recv_batch_ref(2).map(drop))?.at("the first one receives");
            }
            // From an empty queue it does not come back.
            act(|| receiver.recv_timeout(PATIENCE))?.at("the first one receives").map(drop)
        }
        _ => calls::corpse(role, domain, join),
    }
}

/// The victim's part.
pub(super) fn victim(stage: &Stage) -> Check {
    let scene = stage.scene();
    let queue = queue(scene.operation, &stage.domain);
    match (scene.role, scene.operation) {
        ("sender", "wake" | "wake-nobody") => {
            let mut sender = queue.sender().at("the victim attaches")?;
            stage.join()?;
            act(|| sender.try_send(message(VICTIMS)))?.at("the victim sends")?;
        }
        ("sender", _) => {
            stage.join()?;
            drop(act(|| queue.sender())?.at("the victim attaches")?);
        }
        ("receiver", "succeed-orphan") => {
            stage.join()?;
            drop(act(|| queue.receiver())?.at("the victim attaches")?);
        }
        ("receiver", "put-back" | "put-back-batch") => {
            let mut receiver = queue.receiver().at("the victim attaches")?;
            stage.join()?;
            let most = if scene.operation == "put-back" { 1 } else { 2 };
            act(move || {
                std::mem::forget(receiver.try_recv_batch_ref(most));
                drop(receiver);
            })?;
        }
        ("receiver", _) => {
            let mut receiver = queue.receiver().at("the victim attaches")?;
            stage.join()?;
            match act(|| receiver.recv_timeout(REPAIRING))? {
                Err(RecvTimeoutError::Timeout) => {}
                received => drop(received.at("the victim receives")?),
            }
        }
        ("publisher", _) => {
            let mut publisher = feed(&stage.domain).publisher().at("the victim attaches")?;
            stage.join()?;
            act(|| publisher.send_timeout(message(VICTIMS), PATIENCE))?.at("the victim publishes")?;
        }
        _ => return calls::victim(stage),
    }
    stage.done(&[])?;
    stage.rest(&[])
}

/// The survivors' part.
pub(super) fn survivors(play: &mut Play) -> Check {
    let scene = play.scene();
    let queue = queue(scene.operation, play.domain.name());
    match (scene.role, scene.operation) {
        ("receiver", "hole" | "holes") | ("sender", "succeed-hole") => around_a_hole(play, &queue),
        ("receiver", _) => around_an_orphan(play, &queue),
        ("sender", "wake") => beside_a_sleeper(play, &queue),
        ("sender", _) => after_a_sleeper(play, &queue),
        ("publisher", _) => beside_a_slow_subscriber(play),
        _ => calls::survivors(play),
    }?;
    play.end()
}

fn around_a_hole(play: &mut Play, queue: &Queue<Message>) -> Check {
    let mut tx = queue.sender().at("the sender attaches")?;
    let operation = play.scene().operation;
    let (function, lost) = if operation == "holes" { ("pass_many", 2) } else { ("commit", 1) };
    bury("sender", operation, play.domain.name(), "ring/shared/producer.rs", function)?;
    tx.try_send(message(OTHERS)).at("the sender sends")?;
    play.enter()?;
    play.strike()?;
    let (mut books, mut seen) = (Books::default(), Seen::default());
    let may_have_it = operation != "succeed-hole";
    if may_have_it {
        books.may([OTHERS])
    } else {
        books.must([OTHERS])
    }
    settle(play, queue, tx, &mut books, &mut seen, lost)
}

fn around_an_orphan(play: &mut Play, queue: &Queue<Message>) -> Check {
    let operation = play.scene().operation;
    let mut tx = queue.sender().at("the sender attaches")?;
    let is_batch = operation.ends_with("orphans") || operation == "put-back-batch";
    let sent = OTHERS..OTHERS + if is_batch { 2 } else { 1 };
    sent.clone().try_for_each(|number| tx.try_send(message(number))).at("the sender sends")?;
    if !operation.starts_with("put-back") {
        let function = if is_batch { "pass_many" } else { "pass" };
        bury("receiver", operation, play.domain.name(), "ring/shared/consumer.rs", function)?;
    }
    play.enter()?;
    play.strike()?;
    let (mut books, mut seen) = (Books::default(), Seen::default());
    let lost = match operation {
        "orphan" | "orphans" => {
            books.may(sent.clone());
            0
        }
        "succeed-orphan" | "put-back" | "put-back-batch" => {
            books.must(sent.clone());
            0
        }
        _ => sent.clone().count() as u64,
    };
    settle(play, queue, tx, &mut books, &mut seen, lost)?;
    let came = sent.filter(|number| seen.numbers.contains(number)).count();
    ensure(operation != "orphans" || came != 0, || "the victim has received one of two, and neither came".to_string())
}

/// Takes what is left, sends as much as there has to be room for, and counts what was lost.
fn settle(
    play: &mut Play,
    queue: &Queue<Message>,
    mut tx: slipring::Sender<Message>,
    books: &mut Books,
    seen: &mut Seen,
    lost: u64,
) -> Check {
    let mut rx = queue.receiver().at("a receiver attaches")?;
    send_through(&mut tx, &mut rx, AFTER, books, seen)?;
    let deadline = Instant::now() + PATIENCE;
    while rx.lost() < lost {
        ensure(Instant::now() < deadline, || format!("{} of {lost} losses are counted: {seen:?}", rx.lost()))?;
        seen.take(&mut rx, Duration::from_millis(50))?;
    }
    // A message that was returned may be behind the one that was sent since.
    seen.take(&mut rx, crate::check::PAUSE)?;
    fill(&mut tx, books, FILLING)?;
    drop(tx);
    seen.take_until_end(&mut rx)?;
    play.saw("the receiver", &*seen);
    books.settle(&seen.numbers)?;
    ensure(rx.lost() == lost, || format!("{} messages are counted as lost, and {lost} were", rx.lost()))
}

fn beside_a_sleeper(play: &mut Play, queue: &Queue<Message>) -> Check {
    let mut rx = queue.receiver().at("the receiver attaches")?;
    let mut tx = queue.sender().at("another sender attaches")?;
    play.enter()?;
    let sleeper = Sleeper::start(move || (rx.recv_timeout(PATIENCE), rx));
    sleeper.wait_until_asleep()?;
    play.strike()?;
    tx.try_send(message(AFTER)).at("another sender sends")?;
    let (received, mut rx) = sleeper.thread.join().map_err(|_| "the sleeper panicked".to_string())?;
    let mut seen = Seen::default();
    seen.numbers.push(number(received.at("the sleeper receives")?.ok_or("an early end")?)?);
    let (mut books, is_finished) = (Books::default(), play.progress().is_finished);
    if is_finished {
        books.must([VICTIMS])
    } else {
        books.may([VICTIMS])
    }
    books.must([AFTER]);
    fill_after(play, &mut tx, &mut rx, &mut books, &mut seen)
}

/// Nobody is there to be woken, and the word says that there is.
fn after_a_sleeper(play: &mut Play, queue: &Queue<Message>) -> Check {
    let mut tx = queue.sender().at("another sender attaches")?;
    // Who joins wakes everybody, so the victim has joined before.
    play.enter()?;
    bury("receiver", play.scene().operation, play.domain.name(), "os/linux.rs", "futex_wait")?;
    play.strike()?;
    let mut rx = queue.receiver().at("a receiver attaches")?;
    let (mut books, mut seen) = (Books::default(), Seen::default());
    if play.progress().is_finished {
        books.must([VICTIMS])
    } else {
        books.may([VICTIMS])
    }
    fill_after(play, &mut tx, &mut rx, &mut books, &mut seen)
}

fn fill_after(
    play: &mut Play,
    tx: &mut slipring::Sender<Message>,
    rx: &mut slipring::Receiver<Message>,
    books: &mut Books,
    seen: &mut Seen,
) -> Check {
    send_through(tx, rx, AFTER + 1, books, seen)?;
    play.saw("the receiver", &*seen);
    books.settle(&seen.numbers)
}

/// A thread that is about to sleep.
struct Sleeper<T> {
    thread: thread::JoinHandle<T>,
    id: libc::pid_t,
}

impl<T: Send + 'static> Sleeper<T> {
    fn start(sleep: impl FnOnce() -> T + Send + 'static) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            // SAFETY: has no preconditions.
            let _ = tell.send(unsafe { libc::gettid() });
            sleep()
        });
        Sleeper { thread, id: told.recv().unwrap_or(0) }
    }

    /// Waits until the kernel says that the thread sleeps.
    fn wait_until_asleep(&self) -> Check {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stat =
                std::fs::read_to_string(format!("/proc/self/task/{}/stat", self.id)).at("the sleeper's state")?;
            let state = stat.rsplit(") ").next().unwrap_or_default();
            if state.starts_with('S') {
                return Ok(());
            }
            ensure(Instant::now() < deadline, || format!("the receiver does not sleep: {stat}"))?;
            thread::yield_now();
        }
    }
}

fn beside_a_slow_subscriber(play: &mut Play) -> Check {
    let feed = feed(play.domain.name());
    let mut slow = feed.subscriber().at("the slow subscriber attaches")?;
    let mut publisher = feed.publisher().at("another publisher attaches")?;
    for number in OTHERS..OTHERS + CAPACITY as u64 {
        publisher.try_send(message(number)).at("another publisher publishes")?;
    }
    play.enter()?;
    play.strike()?;
    let mut swift = feed.subscriber().at("a subscriber attaches")?;
    publisher.send_timeout(message(AFTER), PATIENCE).at("another publisher publishes")?;
    let mut told = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    loop {
        ensure(Instant::now() < deadline, || format!("the message does not come: {told:?}"))?;
        match swift.recv_timeout(Duration::from_millis(50)) {
            Ok(Some(received)) if received == message(AFTER) => break,
            other => told.push(format!("{other:?}")),
        }
    }
    play.saw("a subscriber", &told);
    // It may have been overwritten since.
    let verdict = slow.recv_timeout(PATIENCE);
    let is_told = matches!(verdict, Err(slipring::BroadcastRecvTimeoutError::Evicted));
    ensure(is_told, || format!("the subscriber that was given up on is told {verdict:?}"))
}
