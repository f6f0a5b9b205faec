//! Queues, exclusive and shared.

use super::note::{Note, check_text, text};
use super::{
    CAPACITY, CAPACITY_BYTES, CHANNEL, MOMENT, Opened, ROUNDS_A_LOOK, ROUNDS_A_WAIT, Traffic, is_whole, observe,
};
use crate::scribble::victim::Desk;
use slipring::{
    IpcMessage, Lifetime, Queue, Receiver, RecvError, RecvTimeoutError, SendTimeoutError, Sender, Source, TryRecvError,
    TrySendError, WaitSet,
};
use std::time::Duration;

/// One end on either side.
pub(super) fn exclusive(domain: &str) -> Opened {
    open(channel::<Note>(domain, CAPACITY).spsc(), domain, 1)
}

/// The same, with messages of any length.
pub(super) fn exclusive_of_any_length(domain: &str) -> Opened {
    open_texts(channel::<str>(domain, CAPACITY_BYTES).spsc(), domain, 1)
}

/// Two ends on either side.
pub(super) fn shared(domain: &str) -> Opened {
    open(channel::<Note>(domain, CAPACITY).timestamps(true), domain, 2)
}

/// The same, with messages of any length.
pub(super) fn shared_of_any_length(domain: &str) -> Opened {
    open_texts(channel::<str>(domain, CAPACITY_BYTES).redeliver(false), domain, 2)
}

fn channel<T: IpcMessage + ?Sized>(domain: &str, capacity: usize) -> Queue<T> {
    Queue::new(CHANNEL).domain(domain).capacity(capacity).lifetime(Lifetime::Persistent).prefault(false).hardened(true)
}

fn open(queue: Queue<Note>, domain: &str, ends: usize) -> Opened {
    let senders = (0..ends).map(|_| queue.sender()).collect::<Result<_, _>>()?;
    let receivers = (0..ends).map(|_| queue.receiver()).collect::<Result<_, _>>()?;
    let set = WaitSet::new();
    Ok(Box::new(Notes { domain: domain.into(), senders, receivers, set, number: 0 }))
}

fn open_texts(queue: Queue<str>, domain: &str, ends: usize) -> Opened {
    let senders = (0..ends).map(|_| queue.sender()).collect::<Result<_, _>>()?;
    let receivers = (0..ends).map(|_| queue.receiver()).collect::<Result<_, _>>()?;
    Ok(Box::new(Texts { domain: domain.into(), senders, receivers, number: 0 }))
}

/// Ends of a queue whose messages have one length.
struct Notes {
    domain: String,
    senders: Vec<Sender<Note>>,
    receivers: Vec<Receiver<Note>>,
    set: WaitSet,
    number: u64,
}

impl Traffic for Notes {
    fn round(&mut self, desk: &Desk) -> bool {
        let mut is_good = true;
        self.number += 1;
        let waits = self.number % ROUNDS_A_WAIT == 0;
        for tx in &mut self.senders {
            is_good &= match desk.call("try_send", || tx.try_send(Note::new(self.number))) {
                Err(TrySendError::Corrupt(_, corrupt)) => is_whole(&corrupt),
                _ => true,
            };
            desk.call("len", || (tx.len(), tx.lost(), tx.capacity()));
            if waits {
                is_good &= match desk.call("send_timeout", || tx.send_timeout(Note::new(self.number), MOMENT)) {
                    Err(SendTimeoutError::Corrupt(_, corrupt)) => is_whole(&corrupt),
                    _ => true,
                };
            }
        }
        is_good &= self.receive(desk, waits);
        if self.number % ROUNDS_A_LOOK == 0 {
            observe(desk, &self.domain);
        }
        is_good
    }
}

impl Notes {
    fn receive(&mut self, desk: &Desk, waits: bool) -> bool {
        let (mut is_good, is_shared) = (true, self.receivers.len() > 1);
        for rx in &mut self.receivers {
            desk.call("len", || (rx.len(), rx.lost()));
            let polled = desk.call("poll", || rx.poll(Duration::ZERO));
            // What a receiver of a shared queue has polled is its own. On an exclusive queue the message may be gone again,
            // and a batch would wait for another one for ever.
            if is_shared && matches!(polled, Ok(true)) {
                let mut batch = Vec::new();
                if let Err(RecvError::Corrupt(corrupt)) = desk.call("recv_batch", || rx.recv_batch(&mut batch, 2)) {
                    is_good &= is_whole(&corrupt);
                }
                batch.iter().for_each(Note::check);
                desk.received(batch.len());
            }
            for _ in 0..3 {
                match desk.call("try_recv", || rx.try_recv()) {
                    Ok(Some(note)) => {
                        note.check();
                        desk.received(1);
                    }
                    Err(TryRecvError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    _ => break,
                }
            }
            if waits {
                match desk.call("recv_timeout", || rx.recv_timeout(MOMENT)) {
                    Ok(Some(note)) => note.check(),
                    Err(RecvTimeoutError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    _ => {}
                }
            }
        }
        if waits {
            let sources = self.receivers.iter_mut().map(|rx| rx as &mut dyn Source);
            desk.call("wait", || self.set.wait_timeout(sources, MOMENT).count());
        }
        is_good
    }
}

/// Ends of a queue whose messages vary in length.
struct Texts {
    domain: String,
    senders: Vec<Sender<str>>,
    receivers: Vec<Receiver<str>>,
    number: u64,
}

impl Traffic for Texts {
    fn round(&mut self, desk: &Desk) -> bool {
        let mut is_good = true;
        self.number += 1;
        let waits = self.number % ROUNDS_A_WAIT == 0;
        for tx in &mut self.senders {
            is_good &= match desk.call("try_send", || tx.try_send_copy(&text(self.number))) {
                Err(TrySendError::Corrupt((), corrupt)) => is_whole(&corrupt),
                _ => true,
            };
            desk.call("len", || (tx.len(), tx.lost(), tx.max_len()));
        }
        for rx in &mut self.receivers {
            desk.call("len", || (rx.len(), rx.lost()));
            for _ in 0..2 {
                match desk.call("try_recv", || rx.try_recv_boxed()) {
                    Ok(Some(text)) => {
                        check_text(&text);
                        desk.received(1);
                    }
                    Err(TryRecvError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    _ => break,
                }
            }
            if waits {
                match desk.call("recv_timeout", || rx.recv_boxed_timeout(MOMENT)) {
                    Ok(Some(text)) => check_text(&text),
                    Err(RecvTimeoutError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
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
