//! Two victims on a queue: both send, both receive, or one sends to the other.

use super::super::play::Stage;
use super::super::queue::{Seen, fill, send_through};
use super::duo::{Duo, Extent, extent};
use super::{EXCLUSIVE as EXCLUSIVE_KIND, Operations};
use crate::check::{Books, CAPACITY, Check, Context, Message, PATIENCE, PAUSE, ensure, in_order, message, number};
use crate::trace::act;
use slipring::{OpenError, Queue, Receiver, Sender, TryRecvError, TrySendError};

/// Pairs on a shared queue. `look` receives in place; the queue is full but for a slot when the second sends to the first.
pub(super) const SHARED: &[Operations] =
    &[["send", "send"], ["recv", "recv"], ["look", "look"], ["send", "recv"], ["recv", "send"]];

/// Pairs on an exclusive one, where nobody else has an end of either side.
pub(super) const EXCLUSIVE: &[Operations] = &[["send", "recv"], ["recv", "send"], ["look", "send"], ["send", "look"]];

/// Numbers of messages: before the strike, there for the victims, by either victim, beside a stopped one, by those who come after.
const BEFORE: u64 = 100;
const READY: u64 = 150;
const VICTIMS: [u64; 2] = [200, 201];
const OTHERS: u64 = 400;
const AFTER: u64 = 500;
const FILLING: u64 = 600;

fn channel(kind: &str, domain: &str) -> Queue<Message> {
    let queue = Queue::new("work").domain(domain).capacity(CAPACITY);
    if kind == EXCLUSIVE_KIND { queue.spsc() } else { queue }
}

/// The part of either victim.
pub(super) fn victim(stage: &Stage) -> Check {
    let scene = stage.scene();
    let queue = channel(scene.kind, &stage.domain);
    if scene.operation == "send" {
        let message = message(VICTIMS[usize::from(scene.role == "second")]);
        let mut sender = queue.sender().at("a victim attaches")?;
        stage.join()?;
        match act(|| sender.try_send(message))? {
            Ok(()) => stage.done(&[message[0]])?,
            // Those who died and were replaced have filled the channel.
            Err(TrySendError::Full(_) | TrySendError::ReceiverDied(..)) => stage.done(&[])?,
            Err(error) => return Err(format!("a victim sends: {error:?}")),
        }
        drop(sender);
    } else {
        let mut receiver = queue.receiver().at("a victim attaches")?;
        let is_look = scene.operation == "look";
        stage.join()?;
        let received = act(|| match is_look {
            true => receiver.try_recv_ref().map(|received| received.map(|received| *received)),
            false => receiver.try_recv(),
        })?;
        match received {
            Ok(Some(received)) => stage.done(&[number(received)?])?,
            Ok(None) | Err(TryRecvError::Empty | TryRecvError::SenderDied(_)) => stage.done(&[])?,
            Err(error) => return Err(format!("a victim receives: {error:?}")),
        }
        drop(receiver);
    }
    stage.rest(&[])
}

/// The survivors' ends. On an exclusive queue they take the places of the victims, when these are dead or have left.
#[derive(Default)]
struct Ends {
    tx: Option<Sender<Message>>,
    rx: Option<Receiver<Message>>,
}

/// The survivors' part.
pub(super) fn survivors(duo: &mut Duo) -> Check {
    let queue = channel(duo.pair.kind, duo.domain());
    let (mut ends, mut books, mut seen) = (Ends::default(), Books::default(), Seen::default());
    let ready = ready(duo);
    come_together(duo, &queue, &mut ends)?;
    duo.strike()?;
    if duo.drains_first() {
        beside_stopped(duo, &queue, &mut ends, &mut books, &mut seen)?;
    }
    let done = duo.decide()?;
    if done.is_some() {
        duo.first.release()?;
    }
    let sends = duo.pair.operations[0] == "send";
    let sent = done.iter().flatten().copied().filter(|_| sends);
    if may_be_taken(duo) {
        books.may(sent);
    } else {
        books.must(sent);
    }
    seen.numbers.extend(done.iter().flatten().copied().filter(|_| !sends));
    let mut rx = ends.rx.map_or_else(|| queue.receiver().at("a receiver succeeds"), Ok)?;
    let mut tx = ends.tx.map_or_else(|| queue.sender().at("a sender succeeds"), Ok)?;
    seen.ends = 0;
    send_through(&mut tx, &mut rx, AFTER, &mut books, &mut seen)?;
    drop(tx);
    seen.take_until_end(&mut rx)?;
    let mut tx = queue.sender().at("a new sender attaches")?;
    fill(&mut tx, &mut books, FILLING)?;
    drop(tx);
    seen.take_until_end(&mut rx)?;
    duo.saw("the receivers", &seen);
    settle(duo, ready, &mut books, &seen, rx.lost())
}

/// How many messages the victims find.
fn ready(duo: &Duo) -> u64 {
    match duo.pair.operations {
        ["send", _] => 0,
        [_, "send"] => CAPACITY as u64 - 1,
        _ => 3,
    }
}

/// Sends as many messages as come before the victims' slot, and those that they are to find; and has the victims come.
fn come_together(duo: &mut Duo, queue: &Queue<Message>, ends: &mut Ends) -> Check {
    let mut tx = queue.sender().at("the first sender attaches")?;
    let mut rx = queue.receiver().at("the first receiver attaches")?;
    for number in BEFORE..BEFORE + duo.position() {
        tx.try_send(message(number)).at("the first sender sends")?;
        let received = rx.recv_timeout(PATIENCE).at("the first receiver receives")?;
        ensure(received == Some(message(number)), || format!("{received:?} came before the strike"))?;
    }
    for number in READY..READY + ready(duo) {
        tx.try_send(message(number)).at("the first sender sends")?;
    }
    if duo.pair.kind != EXCLUSIVE_KIND {
        *ends = Ends { tx: Some(tx), rx: Some(rx) };
        return duo.enter();
    }
    // One end after the other is given up, so that the channel stays.
    if duo.pair.operations[0] == "send" {
        drop(tx);
        duo.first.enter()?;
        drop(rx);
    } else {
        drop(rx);
        duo.first.enter()?;
        drop(tx);
    }
    duo.second.enter()
}

/// The place of the dead is taken, that of the stopped one is not; and what can be sent and received is.
fn beside_stopped(duo: &Duo, queue: &Queue<Message>, ends: &mut Ends, books: &mut Books, seen: &mut Seen) -> Check {
    if duo.pair.kind == EXCLUSIVE_KIND {
        let is_refused = if duo.pair.operations[0] == "send" {
            ends.rx = Some(queue.receiver().at("a receiver succeeds the dead one")?);
            matches!(queue.sender(), Err(OpenError::InUse { .. }))
        } else {
            ends.tx = Some(queue.sender().at("a sender succeeds the dead one")?);
            matches!(queue.receiver(), Err(OpenError::InUse { .. }))
        };
        ensure(is_refused, || "a stopped victim's place is given away".to_string())?;
    }
    if let Some(tx) = &mut ends.tx {
        match tx.send_timeout(message(OTHERS), PAUSE) {
            Ok(()) => books.must([OTHERS]),
            Err(slipring::SendTimeoutError::Timeout(_)) => {}
            Err(error) => return Err(format!("a sender beside a stopped victim: {error:?}")),
        }
    }
    if let Some(rx) = &mut ends.rx {
        while seen.take(rx, PAUSE)? {
            ensure(seen.ends == 0, || format!("the end was told while a sender lives: {seen:?}"))?;
        }
    }
    Ok(())
}

/// Whether the second may have received what the first was sending.
fn may_be_taken(duo: &Duo) -> bool {
    let [first, second] = duo.pair.operations;
    first == "send" && second != "send" && extent(&duo.second) != Extent::Nothing
}

/// What the dead had sent has come, what they had received has not, and what they were about to is in doubt.
fn settle(duo: &Duo, ready: u64, books: &mut Books, seen: &Seen, lost: u64) -> Check {
    let missing: Vec<u64> = (READY..READY + ready).filter(|number| !seen.numbers.contains(number)).collect();
    let (mut least, mut most, mut unsent, mut senders) = (0, 0, 0, 0);
    for (who, dead) in duo.dead() {
        let extent = extent(dead);
        if duo.pair.operations[who] == "send" {
            senders += 1;
            match extent {
                Extent::Nothing => {}
                Extent::All if !may_be_taken(duo) => books.must([VICTIMS[who]]),
                _ => books.may([VICTIMS[who]]),
            }
            unsent += u64::from(extent == Extent::Some && !seen.numbers.contains(&VICTIMS[who]));
        } else if ready > 0 {
            least += usize::from(extent == Extent::All);
            most += usize::from(extent != Extent::Nothing);
        }
    }
    let is_right = (least..=most).contains(&missing.len());
    ensure(is_right, || format!("{missing:?} did not come, and from {least} to {most} messages had been received"))?;
    books.must((READY..READY + ready).filter(|number| !missing.contains(number)));
    books.settle(&seen.numbers)?;
    let both = [extent(&duo.first), extent(&duo.second)];
    if may_be_taken(duo) && both == [Extent::All; 2] {
        ensure(!seen.numbers.contains(&VICTIMS[0]), || "what the second had received comes again".to_string())?;
    }
    // What a dead receiver had in hand is delivered again, behind what came after it.
    let may_return = duo.pair.kind != EXCLUSIVE_KIND && duo.pair.operations != ["send"; 2];
    if !duo.goes_on() && !may_return {
        in_order(&seen.numbers)?;
    }
    ensure(lost <= unsent, || format!("{lost} messages are reported lost, and {unsent} can be"))?;
    ensure(seen.deaths <= senders, || format!("{} deaths of senders are told, and {senders} died", seen.deaths))
}
