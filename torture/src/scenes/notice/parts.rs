//! What the victims do: they take part, have something in hand or not, say so, and wait to be killed.

use super::super::Part;
use super::waits::{
    CAPACITY, MANY, Message, any_length, barrier, broadcast, broadcast_any_length, exclusive, latest, lock, lossy,
    mutex, numbered, pipe, semaphore, service, shared,
};
use crate::check::{Check, Context};
use crate::child::{listen, say};

/// All of them.
pub(crate) const PARTS: &[(&str, Part)] = &[
    ("exclusive-sender", |domain| hold(exclusive(domain).sender().at("it attaches")?)),
    ("exclusive-receiver", |domain| hold(exclusive(domain).receiver().at("it attaches")?)),
    ("shared-sender", |domain| hold(shared(domain).sender().at("it attaches")?)),
    ("shared-receiver", |domain| hold(shared(domain).receiver().at("it attaches")?)),
    ("shared-loan", |domain| hold(shared(domain).sender().at("it attaches")?.loan().at("it takes a slot")?)),
    ("shared-guard", |domain| hold(shared(domain).receiver().at("it attaches")?.recv_ref().at("it receives")?)),
    ("any-length-sender", |domain| hold(any_length(domain).sender().at("it attaches")?)),
    ("any-length-receiver", |domain| hold(any_length(domain).receiver().at("it attaches")?)),
    ("publisher", |domain| hold(broadcast(domain).publisher().at("it attaches")?)),
    ("publisher-loan", |domain| hold(broadcast(domain).publisher().at("it attaches")?.loan().at("it takes a slot")?)),
    ("subscriber", |domain| hold(broadcast(domain).subscriber().at("it attaches")?)),
    ("lossy-publisher", |domain| hold(lossy(domain).publisher().at("it attaches")?)),
    ("lossy-loan", |domain| hold(lossy(domain).publisher().at("it attaches")?.loan().at("it takes a slot")?)),
    ("any-length-publisher", |domain| hold(broadcast_any_length(domain).publisher().at("it attaches")?)),
    ("any-length-subscriber", |domain| hold(broadcast_any_length(domain).subscriber().at("it attaches")?)),
    ("writer", |domain| hold(latest(domain).writer().at("it attaches")?)),
    ("server", |domain| hold(service(domain).server().at("it attaches")?)),
    ("server-with-call", |domain| serve(domain, false)),
    ("server-with-stream", |domain| serve(domain, true)),
    ("client-with-all-slots", call_to_the_full),
    ("mutex-owner", |domain| hold(mutex(domain)?.lock().map_err(|_| "it does not get the lock")?)),
    ("lock-writer", |domain| hold(lock(domain)?.write().map_err(|_| "it does not get the lock")?)),
    ("lock-reader", |domain| hold(lock(domain)?.read().map_err(|_| "it does not get the lock")?)),
    ("permit-holder", |domain| hold(semaphore(domain)?.acquire().at("it gets the permit")?)),
    ("barrier-party", |domain| hold(barrier(domain)?)),
    ("left", |domain| hold(pipe(domain).left().at("it attaches")?)),
    ("senders-1", |domain| send_over(domain, 1)),
    ("senders-128", |domain| send_over(domain, 128)),
    ("senders-many", |domain| send_over(domain, MANY)),
];

/// Says that it is ready, and keeps what it has until it is killed.
fn hold<T>(held: T) -> Check {
    say("ready")?;
    listen()?;
    drop(held);
    Ok(())
}

/// Takes a call, and answers it with a part of a stream or not at all.
fn serve(domain: &str, streams: bool) -> Check {
    let server = service(domain).server().at("it attaches")?;
    say("ready")?;
    let request = server.accept().at("it accepts")?.ok_or("no request comes")?;
    if streams {
        let mut replies = request.reply_stream();
        replies.send(Message::default()).at("it answers")?;
        say("taken")?;
        listen().map(drop)
    } else {
        say("taken")?;
        listen().map(drop)
    }
}

/// Makes as many calls as there is room for.
fn call_to_the_full(domain: &str) -> Check {
    let client = service(domain).client().at("it attaches")?;
    let calls = (0..CAPACITY).map(|_| client.submit(Message::default()));
    hold(calls.collect::<Result<Vec<_>, _>>().at("it calls")?)
}

fn send_over(domain: &str, count: usize) -> Check {
    let senders = (0..count).map(|number| numbered(domain, number).sender());
    hold(senders.collect::<Result<Vec<_>, _>>().at("it attaches")?)
}
