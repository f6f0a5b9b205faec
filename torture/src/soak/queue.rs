//! Queues: what was sent comes once, except what a receiver died with in hand; a lone receiver's messages come in order. Of the
//! many of a shared queue, every other one sends or receives in batches.

use super::{LAST, Life, Message, Name, Witness, message, name, note};
use crate::check::{Check, Context, PATIENCE, ensure};
pub(super) use crate::sweep::{EXCLUSIVE_QUEUE as EXCLUSIVE, QUEUE as SHARED};
use slipring::{Queue, Receiver, RecvError, RecvTimeoutError, SendBatchError, SendError, Sender};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

fn channel(kind: &str, domain: &str) -> Queue<Message> {
    let queue = Queue::new("work").domain(domain).capacity(16);
    if kind == EXCLUSIVE { queue.spsc() } else { queue }
}

/// Messages of a batch.
const BATCH: u64 = 5;

/// How many messages a life sends or receives at a time, and may die with.
fn at_a_time(kind: &str, life: u64) -> u64 {
    if kind == SHARED && life % 4 > 1 { BATCH } else { 1 }
}

/// The part of a process.
pub(super) fn play(kind: &str, role: &str, domain: &str, life: u64) -> Check {
    let (queue, is_batched) = (channel(kind, domain), at_a_time(kind, life) > 1);
    if role == "sender" {
        let mut tx = queue.sender().at("a sender attaches")?;
        for number in 0.. {
            if is_batched {
                send_batch(&mut tx, life, number * BATCH..(number + 1) * BATCH)?;
                continue;
            }
            note("intent", &[number])?;
            send(&mut tx, (life, number))?;
            note("sent", &[number])?;
        }
    }
    let mut rx = queue.receiver().at("a receiver attaches")?;
    if is_batched {
        return receive_batches(&mut rx);
    }
    loop {
        match rx.recv() {
            Ok(Some(received)) => {
                let (life, number) = name(received)?;
                note("got", &[life, number])?;
            }
            // Somebody will come.
            Ok(None) | Err(RecvError::SenderDied(_)) => {}
            Err(error) => return Err(format!("a receiver receives: {error:?}")),
        }
    }
}

fn send(tx: &mut Sender<Message>, name: Name) -> Check {
    loop {
        match tx.send(message(name)) {
            Ok(()) => return Ok(()),
            // It has not been sent, and a successor will make room.
            Err(SendError::ReceiverDied(..) | SendError::Closed(_)) => {}
            Err(error) => return Err(format!("a sender sends: {error:?}")),
        }
    }
}

/// Every other batch is copied, and the others are filled in place.
fn send_batch(tx: &mut Sender<Message>, life: u64, mut numbers: Range<u64>) -> Check {
    numbers.clone().try_for_each(|number| note("intent", &[number]))?;
    if numbers.start % 2 == 0 {
        while !numbers.is_empty() {
            let batch = numbers.clone().map(|number| message((life, number)));
            match tx.send_batch(batch) {
                Ok(_) => return numbers.try_for_each(|number| note("sent", &[number])),
                Err(SendBatchError { sent, error: SendError::ReceiverDied(..) | SendError::Closed(_) }) => {
                    numbers.by_ref().take(sent).try_for_each(|number| note("sent", &[number]))?;
                }
                Err(error) => return Err(format!("a sender sends a batch: {error:?}")),
            }
        }
    }
    while !numbers.is_empty() {
        match tx.loan_batch(numbers.clone().count()) {
            Ok(mut batch) => {
                batch.iter_mut().zip(numbers.clone()).for_each(|(slot, number)| *slot = message((life, number)));
                let sent = batch.send();
                numbers.by_ref().take(sent).try_for_each(|number| note("sent", &[number]))?;
            }
            Err(SendError::ReceiverDied(..) | SendError::Closed(_)) => {}
            Err(error) => return Err(format!("a sender takes slots: {error:?}")),
        }
    }
    Ok(())
}

fn receive_batches(rx: &mut Receiver<Message>) -> Check {
    let mut batch = Vec::new();
    loop {
        match rx.recv_batch(&mut batch, BATCH as usize) {
            // Somebody will come.
            Ok(_) | Err(RecvError::SenderDied(_)) => {}
            Err(error) => return Err(format!("a receiver receives a batch: {error:?}")),
        }
        for received in batch.drain(..) {
            let (life, number) = name(received)?;
            note("got", &[life, number])?;
        }
    }
}

/// Knows only the channel.
pub(super) fn witness(kind: &str, domain: &str) -> Check<Box<dyn Witness>> {
    Ok(Box::new(Heir { queue: channel(kind, domain), is_exclusive: kind == EXCLUSIVE }))
}

/// Comes when everybody is dead.
struct Heir {
    queue: Queue<Message>,
    is_exclusive: bool,
}

impl Witness for Heir {
    fn settle(self: Box<Self>, lives: &[Life]) -> Check<usize> {
        let (left, lost) = take_rest(&self.queue)?;
        let mut receipts: Vec<Vec<Name>> = Vec::new();
        for life in lives.iter().filter(|life| life.role == "receiver") {
            receipts.push(life.lines("got").map(|numbers| (numbers[0], numbers[1])).collect());
        }
        receipts.push(left);
        let senders: Vec<_> = lives.iter().filter(|life| life.role == "sender").collect();
        let kind = if self.is_exclusive { EXCLUSIVE } else { SHARED };
        let in_hand = |role: &str| {
            let of_role = lives.iter().filter(|life| life.role == role);
            of_role.map(|life| at_a_time(kind, life.number)).sum::<u64>()
        };
        let most = in_hand("sender");
        ensure(lost <= most, || format!("{lost} are reported lost, and senders died with {most} in hand"))?;
        let mut is_sent = HashMap::new();
        for sender in &senders {
            is_sent.extend(sender.firsts("intent").map(|number| ((sender.number, number), false)));
            is_sent.extend(sender.firsts("sent").map(|number| ((sender.number, number), true)));
        }
        let mut came = HashSet::new();
        for &name in receipts.iter().flatten() {
            ensure(is_sent.contains_key(&name), || format!("{name:?} came, and was never sent"))?;
            ensure(came.insert(name), || format!("{name:?} came twice"))?;
        }
        let missing = is_sent.iter().filter(|(name, is_sent)| **is_sent && !came.contains(*name)).count();
        let most = in_hand("receiver");
        ensure(missing as u64 <= most, || format!("{missing} are missing, and receivers died with {most} in hand"))?;
        if self.is_exclusive {
            check_order(&senders, &receipts)?;
        }
        Ok(came.len())
    }
}

/// Takes what the dead have left, and leaves the channel empty.
fn take_rest(queue: &Queue<Message>) -> Check<(Vec<Name>, u64)> {
    let mut rx = queue.receiver().at("the heir attaches")?;
    let mut left = Vec::new();
    loop {
        match rx.recv_timeout(Duration::from_millis(300)) {
            Ok(Some(received)) => left.push(name(received)?),
            Ok(None) | Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::SenderDied(_)) => {}
            Err(error) => return Err(format!("the heir receives: {error:?}")),
        }
    }
    let mut tx = queue.sender().at("another heir attaches")?;
    tx.send_timeout(message(LAST), PATIENCE).at("another heir sends")?;
    let received = rx.recv_timeout(PATIENCE).at("the heir receives")?;
    ensure(received == Some(message(LAST)), || format!("{received:?} came late"))?;
    Ok((left, rx.lost()))
}

/// With one receiver at a time, everything comes in the order in which it was sent, and what is missing is missing where
/// a receiver died.
fn check_order(senders: &[&Life], receipts: &[Vec<Name>]) -> Check {
    let mut expected = Vec::new();
    for sender in senders {
        let sent: HashSet<u64> = sender.firsts("sent").collect();
        expected.extend(sender.firsts("intent").map(|number| ((sender.number, number), sent.contains(&number))));
    }
    let mut expected = expected.into_iter();
    let mut allowance = 0;
    for receipt in receipts {
        for name in receipt {
            loop {
                let (next, is_sent) = expected.next().ok_or_else(|| format!("{name:?} came out of order"))?;
                if next == *name {
                    break;
                }
                ensure(!is_sent || allowance > 0, || format!("{next:?} was sent, and {name:?} came in its place"))?;
                allowance -= u32::from(is_sent);
            }
            allowance = 0;
        }
        allowance += 1;
    }
    Ok(())
}
