//! Broadcasts, lossy and lossless.

use super::note::{Note, check_text, text};
use super::{
    CAPACITY, CAPACITY_BYTES, CHANNEL, MOMENT, Opened, ROUNDS_A_LOOK, ROUNDS_A_WAIT, Traffic, is_whole, observe,
};
use crate::scribble::victim::Desk;
use slipring::{
    Broadcast, BroadcastRecvTimeoutError, BroadcastTryRecvError, IpcMessage, Lifetime, OpenError, Publisher,
    SendTimeoutError, Subscriber, TrySendError,
};

/// Two publishers, two subscribers, nobody waits.
pub(super) fn lossy(domain: &str) -> Opened {
    open(channel::<Note>(domain, CAPACITY).timestamps(true), domain)
}

/// The same, with messages of any length.
pub(super) fn lossy_of_any_length(domain: &str) -> Opened {
    open_texts(channel(domain, CAPACITY_BYTES), domain)
}

/// Publishers wait for subscribers, and evict them if they wait too long.
pub(super) fn lossless(domain: &str) -> Opened {
    open(channel::<Note>(domain, CAPACITY).lossless().history(2).evict_after(MOMENT).timestamps(true), domain)
}

/// The same, with messages of any length.
pub(super) fn lossless_of_any_length(domain: &str) -> Opened {
    open_texts(channel(domain, CAPACITY_BYTES).lossless().history(2).evict_after(MOMENT), domain)
}

fn channel<T: IpcMessage + ?Sized>(domain: &str, capacity: usize) -> Broadcast<T> {
    let broadcast = Broadcast::new(CHANNEL).domain(domain).capacity(capacity).lossy();
    broadcast.lifetime(Lifetime::Persistent).prefault(false).hardened(true)
}

fn open(broadcast: Broadcast<Note>, domain: &str) -> Opened {
    let (publishers, subscribers) = ends(&broadcast)?;
    Ok(Box::new(Notes { domain: domain.into(), publishers, subscribers, number: 0 }))
}

fn open_texts(broadcast: Broadcast<str>, domain: &str) -> Opened {
    let (publishers, subscribers) = ends(&broadcast)?;
    Ok(Box::new(Texts { domain: domain.into(), publishers, subscribers, number: 0 }))
}

type Ends<T> = (Vec<Publisher<T>>, Vec<Subscriber<T>>);

/// Two on either side. The first subscriber of a lossy channel has come before its process writes, and only reads.
fn ends<T: IpcMessage + ?Sized>(broadcast: &Broadcast<T>) -> Result<Ends<T>, OpenError> {
    let first = broadcast.subscriber()?;
    let publishers = vec![broadcast.publisher()?, broadcast.publisher()?];
    Ok((publishers, vec![first, broadcast.subscriber()?]))
}

/// Ends of a broadcast whose messages have one length.
struct Notes {
    domain: String,
    publishers: Vec<Publisher<Note>>,
    subscribers: Vec<Subscriber<Note>>,
    number: u64,
}

impl Traffic for Notes {
    fn round(&mut self, desk: &Desk) -> bool {
        let mut is_good = true;
        self.number += 1;
        let waits = self.number % ROUNDS_A_WAIT == 0;
        for publisher in &mut self.publishers {
            is_good &= match desk.call("try_send", || publisher.try_send(Note::new(self.number))) {
                Err(TrySendError::Corrupt(_, corrupt)) => is_whole(&corrupt),
                _ => true,
            };
            if waits {
                is_good &= match desk.call("send_timeout", || publisher.send_timeout(Note::new(self.number), MOMENT)) {
                    Err(SendTimeoutError::Corrupt(_, corrupt)) => is_whole(&corrupt),
                    _ => true,
                };
            }
            desk.call("len", || (publisher.len(), publisher.lost()));
        }
        for subscriber in &mut self.subscribers {
            desk.call("len", || (subscriber.len(), subscriber.lost(), subscriber.latency()));
            for _ in 0..4 {
                match desk.call("try_recv", || subscriber.try_recv()) {
                    Ok(Some(note)) => {
                        note.check();
                        desk.received(1);
                    }
                    Err(BroadcastTryRecvError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    Err(BroadcastTryRecvError::Evicted) => is_good = false,
                    Err(BroadcastTryRecvError::Lagged { .. }) => {}
                    _ => break,
                }
            }
            if waits {
                match desk.call("recv_timeout", || subscriber.recv_timeout(MOMENT)) {
                    Ok(Some(note)) => note.check(),
                    Err(BroadcastRecvTimeoutError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    _ => {}
                }
            }
        }
        if self.number % ROUNDS_A_LOOK == 0 {
            observe(desk, &self.domain);
        }
        is_good
    }
}

/// Ends of a broadcast whose messages vary in length.
struct Texts {
    domain: String,
    publishers: Vec<Publisher<str>>,
    subscribers: Vec<Subscriber<str>>,
    number: u64,
}

impl Traffic for Texts {
    fn round(&mut self, desk: &Desk) -> bool {
        let mut is_good = true;
        self.number += 1;
        let waits = self.number % ROUNDS_A_WAIT == 0;
        for publisher in &mut self.publishers {
            is_good &= match desk.call("try_send", || publisher.try_send_copy(&text(self.number))) {
                Err(TrySendError::Corrupt((), corrupt)) => is_whole(&corrupt),
                _ => true,
            };
            desk.call("len", || (publisher.len(), publisher.lost(), publisher.max_len()));
        }
        for subscriber in &mut self.subscribers {
            desk.call("len", || (subscriber.len(), subscriber.lost()));
            for _ in 0..4 {
                match desk.call("try_recv", || subscriber.try_recv_boxed()) {
                    Ok(Some(text)) => {
                        check_text(&text);
                        desk.received(1);
                    }
                    Err(BroadcastTryRecvError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    Err(BroadcastTryRecvError::Evicted) => is_good = false,
                    Err(BroadcastTryRecvError::Lagged { .. }) => {}
                    _ => break,
                }
            }
            if waits {
                match desk.call("recv_timeout", || subscriber.recv_boxed_timeout(MOMENT)) {
                    Ok(Some(text)) => check_text(&text),
                    Err(BroadcastRecvTimeoutError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    _ => {}
                }
            }
        }
        if self.number % ROUNDS_A_LOOK == 0 {
            observe(desk, &self.domain);
        }
        is_good
    }
}
