//! Services: requests and replies.

use super::note::{Note, check_text, text};
use super::{CAPACITY, CHANNEL, MOMENT, Opened, ROUNDS_A_LOOK, Traffic, is_whole, observe};
use crate::scribble::victim::Desk;
use slipring::error::AcceptError;
use slipring::{CallError, Client, IpcMessage, Lifetime, Server, Service};
use std::time::Duration;

/// A client and two servers.
pub(super) fn open(domain: &str) -> Opened {
    let service = channel::<Note>(domain).timestamps(true);
    let (client, servers) = (service.client()?, vec![service.server()?, service.server()?]);
    Ok(Box::new(Notes { domain: domain.into(), client, servers, number: 0 }))
}

/// The same, with requests and replies of any length.
pub(super) fn open_of_any_length(domain: &str) -> Opened {
    let service = channel::<str>(domain).max_request(160).max_reply(160);
    let (client, servers) = (service.client()?, vec![service.server()?, service.server()?]);
    Ok(Box::new(Texts { domain: domain.into(), client, servers, number: 0 }))
}

fn channel<T: IpcMessage + ?Sized>(domain: &str) -> Service<T, T> {
    Service::new(CHANNEL)
        .domain(domain)
        .capacity(CAPACITY)
        .lifetime(Lifetime::Persistent)
        .prefault(false)
        .hardened(true)
}

/// Ends of a service whose messages have one length.
struct Notes {
    domain: String,
    client: Client<Note, Note>,
    servers: Vec<Server<Note, Note>>,
    number: u64,
}

impl Traffic for Notes {
    fn round(&mut self, desk: &Desk) -> bool {
        let mut is_good = true;
        let mut pending = Vec::new();
        for _ in 0..3 {
            self.number += 1;
            match desk.call("submit", || self.client.submit_timeout(Note::new(self.number), MOMENT)) {
                Ok(call) => pending.push(call),
                Err(error) => is_good &= call_is_whole(&error),
            }
        }
        for server in &self.servers {
            for _ in 0..2 {
                match desk.call("try_accept", || server.try_accept()) {
                    Ok(Some(request)) => {
                        request.check();
                        desk.received(1);
                        // One of them is dropped without an answer, now and then.
                        if self.number % 7 != 0 {
                            desk.call("reply", || request.reply(Note::new(self.number)));
                        }
                    }
                    Err(AcceptError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    _ => break,
                }
            }
        }
        for mut call in pending {
            match desk.call("try_take", || call.wait_timeout(Duration::ZERO)) {
                Some(Ok(reply)) => {
                    reply.check();
                    desk.received(1);
                }
                Some(Err(error)) => is_good &= call_is_whole(&error),
                None => {}
            }
            desk.call("cancel", || drop(call));
        }
        desk.call("len", || (self.client.len(), self.servers[0].len()));
        if self.number % ROUNDS_A_LOOK == 0 {
            observe(desk, &self.domain);
        }
        is_good
    }
}

/// Ends of a service whose messages vary in length.
struct Texts {
    domain: String,
    client: Client<str, str>,
    servers: Vec<Server<str, str>>,
    number: u64,
}

impl Traffic for Texts {
    fn round(&mut self, desk: &Desk) -> bool {
        let mut is_good = true;
        let mut pending = Vec::new();
        for _ in 0..3 {
            self.number += 1;
            match desk.call("submit", || self.client.submit_copy_timeout(&text(self.number), MOMENT)) {
                Ok(call) => pending.push(call),
                Err(error) => is_good &= call_is_whole(&error),
            }
        }
        for server in &self.servers {
            for _ in 0..2 {
                match desk.call("try_accept", || server.try_accept_boxed()) {
                    Ok(Some(request)) => {
                        check_text(&request);
                        desk.received(1);
                        if self.number % 7 != 0 {
                            desk.call("reply", || request.reply_copy(&text(self.number)).is_ok());
                        }
                    }
                    Err(AcceptError::Corrupt(corrupt)) => is_good &= is_whole(&corrupt),
                    _ => break,
                }
            }
        }
        for mut call in pending {
            match desk.call("try_take", || call.try_take_boxed()) {
                Some(Ok(reply)) => {
                    check_text(&reply);
                    desk.received(1);
                }
                Some(Err(error)) => is_good &= call_is_whole(&error),
                None => {}
            }
            desk.call("cancel", || drop(call));
        }
        if self.number % ROUNDS_A_LOOK == 0 {
            observe(desk, &self.domain);
        }
        is_good
    }
}

/// Whether a service of whose call this became can go on. One whose slots are all taken needs to be made anew as well.
fn call_is_whole<R: ?Sized>(error: &CallError<R>) -> bool {
    match error {
        CallError::Corrupt(_, corrupt) => is_whole(corrupt),
        CallError::Full(_) => false,
        _ => true,
    }
}
