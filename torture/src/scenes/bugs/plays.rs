//! The scenes that are played here.

use super::super::{End, Part, Seen};
use crate::cargo;
use crate::check::{Check, Context, PATIENCE, ensure};
use crate::child::{Child, listen, say};
use crate::domain::Domain;
use crate::trace::{self, Goal, act};
use serde_json::json;
use slipring::{Broadcast, Queue};
use std::fs;

/// What the processes of these scenes do.
pub(crate) const PARTS: &[(&str, Part)] = &[
    ("publish-once", publish_once),
    ("send-a-tick", send_a_tick),
    ("send-and-end", send_and_end),
    ("look-in", look_in),
];

/// One program's module.
mod feed {
    /// What is sent.
    #[derive(slipring::IpcMessage, Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    pub(super) struct Tick {
        pub(super) id: u64,
        pub(super) price: f64,
    }
}

/// Another program's module, deeper down.
mod desk {
    pub(super) mod messages {
        /// What is received.
        #[derive(slipring::IpcMessage, Clone, Copy, Debug, PartialEq)]
        #[repr(C)]
        pub(in super::super) struct Tick {
            pub(in super::super) id: u64,
            pub(in super::super) price: f64,
        }
    }
}

fn send_a_tick(domain: &str) -> Check {
    let mut tx = Queue::<feed::Tick>::new("ticks").domain(domain).sender().at("the sender attaches")?;
    tx.send(feed::Tick { id: 7, price: 1.5 }).at("it sends")?;
    say("ready")
}

/// Two programs have the message in modules of different paths.
pub(super) fn a_type_is_the_same_in_any_module() -> Check<End> {
    let domain = Domain::new();
    let queue = Queue::<desk::messages::Tick>::new("ticks").domain(domain.name());
    let mut rx = queue.receiver().at("the receiver attaches")?;
    let mut child = Child::start(["part", "send-a-tick", domain.name()])?;
    child.hear_word("ready")?;
    let received = rx.recv_timeout(PATIENCE).at("the tick comes")?;
    ensure(received == Some(desk::messages::Tick { id: 7, price: 1.5 }), || format!("{received:?} came"))?;
    child.finish()?;
    drop(rx);
    domain.check_empty()?;
    Ok(Seen { cases: 1, messages: Some(1), ..Seen::default() }.into())
}

fn news(domain: &str) -> Broadcast<[u64; 4]> {
    Broadcast::new("news").domain(domain).capacity(16).lossy()
}

/// Publishes one message under the eyes of a tracer.
fn publish_once(domain: &str) -> Check {
    let mut publisher = news(domain).publisher().at("the publisher attaches")?;
    // What is done the first time only is not what is counted.
    (0..40).try_for_each(|number| publisher.send([number; 4])).at("it publishes")?;
    say("ready")?;
    listen()?;
    act(|| publisher.try_send([7; 4]))?.at("it publishes")
}

/// Instructions that a publisher executes for one message are counted, with one subscriber and with many.
pub(super) fn a_send_costs_the_same_for_any_number() -> Check<End> {
    if !trace::IS_SUPPORTED {
        return Ok(End::Skipped("instructions are counted on x86-64 only".to_string()));
    }
    let mut counts = Vec::new();
    for subscribers in [1, 64] {
        let domain = Domain::new();
        let subscribers = (0..subscribers).map(|_| news(domain.name()).subscriber());
        let subscribers = subscribers.collect::<Result<Vec<_>, _>>().at("subscribers attach")?;
        let mut child = Child::start(["part", "publish-once", domain.name()])?;
        child.hear_word("ready")?;
        child.tell("go")?;
        let said = child.hear()?;
        if said == trace::UNTRACED {
            return Ok(End::Skipped("tracing is refused".to_string()));
        }
        let end = said.strip_prefix("ready ").ok_or("the publisher does not begin")?.parse().at("an address")?;
        counts.push(trace::run(child.pid(), end, Goal::End)?.0.steps);
        child.kill()?;
        drop(subscribers);
    }
    ensure(counts[0] == counts[1], || format!("{counts:?} instructions for 1 and for 64 subscribers"))?;
    Ok(Seen { cases: 2, messages: None, more: vec![("instructions", json!(counts))] }.into())
}

/// The two programs of the first example, without comments and blank lines.
pub(super) fn hello_is_short() -> Check<End> {
    let Ok(workspace) = cargo::root() else { return Ok(End::Skipped("the sources are not here".to_string())) };
    let mut lines = 0;
    for program in ["hello_sender.rs", "hello_receiver.rs"] {
        let text = fs::read_to_string(workspace.join("examples").join(program)).at("an example is read")?;
        ensure(!text.contains("sleep"), || format!("{program} polls"))?;
        lines += text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    }
    ensure(lines <= 40, || format!("the two programs have {lines} lines"))?;
    Ok(Seen { cases: 1, messages: None, more: vec![("lines", json!(lines))] }.into())
}

/// Messages of a process that sends and ends: more bytes than a pipe keeps.
const MANY: u64 = 100_000;

fn work(domain: &str) -> Queue<[u64; 4]> {
    Queue::new("work").domain(domain).capacity(MANY as usize)
}

fn send_and_end(domain: &str) -> Check {
    let mut tx = work(domain).sender().at("the sender attaches")?;
    tx.send_batch((0..MANY).map(|number| [number; 4])).map(drop).at("it sends")
}

/// Whoever waits for the sender's end before it receives does not wait for ever, and gets everything.
pub(super) fn a_sender_ends_before_its_messages_are_received() -> Check<End> {
    let domain = Domain::new();
    Child::start(["part", "send-and-end", domain.name()])?.finish()?;
    let mut rx = work(domain.name()).receiver().at("the receiver attaches")?;
    for number in 0..MANY {
        let received = rx.recv_timeout(PATIENCE).at("a message comes")?;
        ensure(received == Some([number; 4]), || format!("{received:?} came in place of {number}"))?;
    }
    drop(rx);
    domain.check_empty()?;
    Ok(Seen { cases: 1, messages: Some(MANY), ..Seen::default() }.into())
}

/// A channel that many look into.
fn visited(domain: &str) -> Queue<u64> {
    Queue::new("visited").domain(domain).capacity(16)
}

/// Joins, sends nothing, and ends when it is told to, or is killed.
fn look_in(domain: &str) -> Check {
    let sender = visited(domain).sender().at("a visitor attaches")?;
    say("ready")?;
    listen()?;
    drop(sender);
    Ok(())
}

/// Visitors come, and end in order or are killed; those who use the channel notice nothing.
pub(super) fn who_looked_in_takes_nothing_along() -> Check<End> {
    let domain = Domain::new();
    let queue = visited(domain.name());
    let (mut tx, mut rx) = (queue.sender().at("a sender attaches")?, queue.receiver().at("a receiver attaches")?);
    let path = rx.info().path.clone();
    for number in 0..20 {
        let mut visitor = Child::start(["part", "look-in", domain.name()])?;
        visitor.hear_word("ready")?;
        if number % 2 == 0 {
            visitor.finish()?;
        } else {
            visitor.kill()?;
        }
        ensure(path.exists(), || "the segment went with a visitor".to_string())?;
        tx.send(number).at("the sender sends")?;
        let received = rx.recv_timeout(PATIENCE).at("a message comes")?;
        ensure(received == Some(number), || format!("{received:?} came in place of {number}"))?;
    }
    drop((tx, rx));
    domain.check_empty()?;
    Ok(Seen { cases: 20, messages: Some(20), ..Seen::default() }.into())
}
