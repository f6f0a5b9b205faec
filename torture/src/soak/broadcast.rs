//! Broadcasts: a witness that lives gets everything, and whoever subscribes for a while gets a piece of that without a gap.

use super::{LAST, Life, Message, Name, Witness, message, name, note};
use crate::check::{Check, Context, PATIENCE, ensure};
pub(super) use crate::sweep::LOSSLESS_BROADCAST as KIND;
use slipring::{Broadcast, BroadcastRecvError, BroadcastTryRecvError, Subscriber};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

fn channel(domain: &str) -> Broadcast<Message> {
    Broadcast::new("news").domain(domain).capacity(16)
}

/// The part of a process.
pub(super) fn play(_: &str, role: &str, domain: &str, life: u64) -> Check {
    let broadcast = channel(domain);
    if role == "publisher" {
        let mut tx = broadcast.publisher().at("a publisher attaches")?;
        for number in 0.. {
            note("intent", &[number])?;
            tx.send(message((life, number))).at("a publisher publishes")?;
            note("sent", &[number])?;
        }
    }
    let mut rx = broadcast.subscriber().at("a subscriber attaches")?;
    loop {
        match rx.recv() {
            Ok(Some(received)) => {
                let (life, number) = name(received)?;
                note("got", &[life, number])?;
            }
            Ok(None) | Err(BroadcastRecvError::PublisherDied(_)) => {}
            Err(error) => return Err(format!("a subscriber receives: {error:?}")),
        }
    }
}

/// Subscribes before everybody else.
pub(super) fn witness(_: &str, domain: &str) -> Check<Box<dyn Witness>> {
    let broadcast = channel(domain);
    let subscriber = broadcast.subscriber().at("the witness attaches")?;
    Ok(Box::new(Survivor { broadcast, subscriber, all: Vec::new() }))
}

/// Gets every message.
struct Survivor {
    broadcast: Broadcast<Message>,
    subscriber: Subscriber<Message>,
    all: Vec<Name>,
}

impl Witness for Survivor {
    fn watch(&mut self) -> Check {
        loop {
            match self.subscriber.try_recv() {
                Ok(Some(received)) => self.all.push(name(received)?),
                Ok(None) | Err(BroadcastTryRecvError::Empty) => return Ok(()),
                Err(BroadcastTryRecvError::PublisherDied(_)) => {}
                Err(error) => return Err(format!("the witness receives: {error:?}")),
            }
        }
    }

    fn settle(mut self: Box<Self>, lives: &[Life]) -> Check<usize> {
        // What comes after the last of the dead says that everything before it has come.
        let mut tx = self.broadcast.publisher().at("an heir attaches")?;
        let deadline = Instant::now() + PATIENCE;
        while tx.send_timeout(message(LAST), Duration::from_millis(20)).is_err() {
            ensure(Instant::now() < deadline, || "nobody can publish any more".to_string())?;
            self.watch()?;
        }
        while self.all.last() != Some(&LAST) {
            ensure(Instant::now() < deadline, || "the last message does not come".to_string())?;
            self.watch()?;
        }
        self.all.pop();
        let publishers: Vec<_> = lives.iter().filter(|life| life.role == "publisher").collect();
        let lost = self.subscriber.lost();
        ensure(lost <= publishers.len() as u64, || format!("{lost} lost with {} deaths", publishers.len()))?;
        let mut places = HashMap::new();
        for (place, &name) in self.all.iter().enumerate() {
            ensure(places.insert(name, place).is_none(), || format!("{name:?} came twice"))?;
        }
        let mut intents = HashSet::new();
        for publisher in &publishers {
            intents.extend(publisher.firsts("intent").map(|number| (publisher.number, number)));
            let sent: Vec<_> = publisher.firsts("sent").map(|number| places.get(&(publisher.number, number))).collect();
            let is_there = sent.iter().all(Option::is_some) && sent.is_sorted();
            ensure(is_there, || format!("what publisher {} sent is missing or out of order", publisher.number))?;
        }
        let stray = self.all.iter().find(|name| !intents.contains(*name));
        ensure(stray.is_none(), || format!("{stray:?} came, and was never sent"))?;
        for subscriber in lives.iter().filter(|life| life.role == "subscriber") {
            let got: Vec<Name> = subscriber.lines("got").map(|numbers| (numbers[0], numbers[1])).collect();
            let from = got.first().and_then(|first| places.get(first).copied()).unwrap_or(0);
            let is_piece = self.all.get(from..from + got.len()) == Some(&got);
            ensure(is_piece, || format!("subscriber {} has not got everything in its time", subscriber.number))?;
        }
        Ok(self.all.len())
    }
}
