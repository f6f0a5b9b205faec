//! Messages that vary in length, on queues and broadcasts: several of them pass the end of the ring's memory while the victim
//! sends them, or receives them.

use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{Check, Context, PATIENCE, PAUSE, ensure};
use crate::trace::act;
use slipring::{
    Broadcast, BroadcastRecvTimeoutError, Publisher, Queue, Receiver, RecvTimeoutError, Sender, Subscriber,
};
use std::time::{Duration, Instant};

/// The kind's name.
pub(super) const KIND: &str = "lengths";

/// Bytes of the ring.
const BYTES: usize = 1024;

/// Messages that the victim sends, and that it receives.
const SENT: u64 = 4;
const TAKEN: u64 = 2;

/// Numbers of messages: before the strike, by the victim or for it, by those who come after.
const BEFORE: u64 = 100;
const VICTIMS: u64 = 200;
const AFTER: u64 = 500;

/// The channels, as operations.
const OPERATIONS: [&str; 3] = ["exclusive", "shared", "broadcast"];

pub(super) fn scenes() -> Vec<Scene> {
    let scene = |role| move |operation| Scene { kind: KIND, operation, role, has_company: false };
    OPERATIONS.into_iter().map(scene("sender")).chain(OPERATIONS.into_iter().map(scene("receiver"))).collect()
}

/// The message of this number: from 4 to 14 words, so that some take one unit of the ring and some two.
fn message(number: u64) -> Vec<u64> {
    (0..4 + number * 5 % 11).map(|word| number ^ word << 32).collect()
}

fn number(received: &[u64]) -> Check<u64> {
    let number = received.first().copied().unwrap_or_default();
    if received == message(number) { Ok(number) } else { Err(format!("{received:x?} is a torn message")) }
}

/// An end that sends, whatever the channel is.
enum Tx {
    Queue(Box<Sender<[u64]>>),
    Broadcast(Box<Publisher<[u64]>>),
}

/// An end that receives.
enum Rx {
    Queue(Receiver<[u64]>),
    Broadcast(Subscriber<[u64]>),
}

fn queue(operation: &str, domain: &str) -> Queue<[u64]> {
    let queue = Queue::new("work").domain(domain).capacity(BYTES);
    if operation == "exclusive" { queue.spsc() } else { queue }
}

fn feed(domain: &str) -> Broadcast<[u64]> {
    Broadcast::new("work").domain(domain).capacity(BYTES).lossless()
}

impl Tx {
    fn open(operation: &str, domain: &str) -> Check<Self> {
        Ok(match operation {
            "broadcast" => Tx::Broadcast(Box::new(feed(domain).publisher().at("a publisher attaches")?)),
            _ => Tx::Queue(Box::new(queue(operation, domain).sender().at("a sender attaches")?)),
        })
    }

    fn try_send(&mut self, number: u64) -> Check {
        let sent = match self {
            Tx::Queue(tx) => tx.try_send_copy(&message(number)),
            Tx::Broadcast(tx) => tx.try_send_copy(&message(number)),
        };
        sent.at("a message is sent")
    }

    /// Sends as soon as there is room, while somebody receives.
    fn send(&mut self, number: u64, rx: &mut Rx, seen: &mut Vec<u64>) -> Check {
        let deadline = Instant::now() + PATIENCE;
        while let Err(wrong) = self.try_send(number) {
            ensure(Instant::now() < deadline, || format!("{wrong}, after {seen:?}"))?;
            rx.take(Duration::from_millis(20), seen)?;
        }
        Ok(())
    }
}

impl Rx {
    fn open(operation: &str, domain: &str) -> Check<Self> {
        Ok(match operation {
            "broadcast" => Rx::Broadcast(feed(domain).subscriber().at("a subscriber attaches")?),
            _ => Rx::Queue(queue(operation, domain).receiver().at("a receiver attaches")?),
        })
    }

    /// Takes a message if one comes in time.
    fn take(&mut self, limit: Duration, seen: &mut Vec<u64>) -> Check<bool> {
        let received = match self {
            Rx::Queue(rx) => match rx.recv_boxed_timeout(limit) {
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::SenderDied(_)) => None,
                received => received.at("a message is received")?,
            },
            Rx::Broadcast(rx) => match rx.recv_boxed_timeout(limit) {
                Err(BroadcastRecvTimeoutError::Timeout | BroadcastRecvTimeoutError::Lagged { .. }) => None,
                received => received.at("a message is received")?,
            },
        };
        let Some(received) = received else { return Ok(false) };
        seen.push(number(&received)?);
        Ok(true)
    }
}

/// The victim's part.
pub(super) fn victim(stage: &Stage) -> Check {
    let (scene, mut taken) = (stage.scene(), Vec::new());
    if scene.role == "sender" {
        let mut tx = Tx::open(scene.operation, &stage.domain)?;
        stage.join()?;
        act(|| (VICTIMS..VICTIMS + SENT).try_for_each(|number| tx.try_send(number)))??;
    } else {
        let mut rx = Rx::open(scene.operation, &stage.domain)?;
        stage.join()?;
        // Leaving is part of what it does.
        act(move || {
            let taken = (0..TAKEN).try_for_each(|_| rx.take(PATIENCE, &mut taken).map(drop));
            drop(rx);
            taken
        })??;
    }
    stage.done(&[])?;
    stage.rest(&[])
}

/// The survivors' part.
pub(super) fn survivors(play: &mut Play) -> Check {
    let (scene, domain) = (play.scene(), play.domain.name().to_string());
    let mut seen = Vec::new();
    let mut first = Rx::open(scene.operation, &domain)?;
    let mut tx = Tx::open(scene.operation, &domain)?;
    // As far as the eleventh unit of sixteen, so that the next ones pass the end, and one of two units does not fit before it.
    for number in BEFORE..BEFORE + 6 {
        tx.try_send(number)?;
        ensure(first.take(PATIENCE, &mut seen)?, || "what was sent does not come".to_string())?;
    }
    seen.clear();
    if scene.role == "sender" {
        // An exclusive queue has one sender.
        let other = (scene.operation != "exclusive").then_some(tx);
        play.enter()?;
        play.strike()?;
        let tx = other.map_or_else(|| Tx::open(scene.operation, &domain), Ok)?;
        go_on(play, tx, first, &mut seen)?;
        settle_sent(play, &seen)
    } else {
        // Of a queue the victim is the only receiver.
        let other = Some(first).filter(|_| scene.operation == "broadcast");
        play.enter()?;
        (VICTIMS..VICTIMS + SENT).try_for_each(|number| tx.try_send(number))?;
        play.strike()?;
        let rx = other.map_or_else(|| Rx::open(scene.operation, &domain), Ok)?;
        go_on(play, tx, rx, &mut seen)?;
        settle_taken(play, &seen)
    }?;
    play.end()
}

/// More than a lap of messages after the strike, all of which have to come.
fn go_on(play: &mut Play, mut tx: Tx, mut rx: Rx, seen: &mut Vec<u64>) -> Check {
    while rx.take(PAUSE, seen)? {}
    for number in AFTER..AFTER + 20 {
        tx.send(number, &mut rx, seen)?;
    }
    let deadline = Instant::now() + PATIENCE;
    while !(AFTER..AFTER + 20).all(|number| seen.contains(&number)) {
        ensure(Instant::now() < deadline, || format!("what was sent afterwards does not come: {seen:?}"))?;
        rx.take(Duration::from_millis(20), seen)?;
    }
    play.saw("the receiver", &*seen);
    drop((tx, rx));
    for number in seen.iter() {
        let times = seen.iter().filter(|other| *other == number).count();
        ensure(times == 1, || format!("message {number} came {times} times"))?;
    }
    Ok(())
}

/// Of what the victim was sending came a beginning, and all of it if it had ended.
fn settle_sent(play: &Play, seen: &[u64]) -> Check {
    let came: Vec<u64> = seen.iter().copied().filter(|number| (VICTIMS..AFTER).contains(number)).collect();
    let is_beginning = came.iter().copied().eq(VICTIMS..VICTIMS + came.len() as u64);
    ensure(is_beginning, || format!("of the victim's messages came {came:?}"))?;
    let is_whole = came.len() as u64 == SENT;
    ensure(is_whole || !play.progress().is_finished, || format!("of what was sent came {came:?}"))
}

/// What the victim has not received comes to others, and to every subscriber comes all of it.
fn settle_taken(play: &Play, seen: &[u64]) -> Check {
    let is_broadcast = play.scene().operation == "broadcast";
    let first = if is_broadcast { VICTIMS } else { VICTIMS + TAKEN };
    let has_rest = (first..VICTIMS + SENT).all(|number| seen.contains(&number));
    ensure(has_rest, || format!("what the victim has not received does not come: {seen:?}"))
}
