//! Environments: the soak, with its kills and its ledgers, where processes have the same process id, other clocks, another
//! user, little memory, few descriptors, one processor, or no `membarrier`.
//!
//! A process of its own enters what all share (the *whole*), and has each of those that it starts enter what is theirs
//! (*each*). What this machine does not allow is skipped, and the figures say why.

use super::{End, Plan, Seen};
use crate::check::{Check, Context, ensure};
use crate::child::{self, Child};
use crate::domain::Domain;
use crate::report::Tally;
use crate::soak;
use crate::surroundings;
use serde_json::json;
use slipring::{OpenError, Queue};
use std::time::Duration;

/// The campaign's name.
pub(crate) const NAME: &str = "environments";

/// An environment, and what is asked of it besides the soak.
struct Environment {
    name: &'static str,
    /// Surroundings of the process that starts all the others, and so of all of them.
    whole: &'static str,
    /// Surroundings that each of the others has for itself.
    each: &'static str,
    /// What has to be seen in the whole's surroundings besides.
    besides: fn(domain: &str) -> Check,
}

const ENVIRONMENTS: &[Environment] = &[
    // All of them have the process id 1, and the same thread id.
    Environment { name: "pid-namespaces", whole: "plain", each: "pid-namespace", besides: nothing },
    // No two of them agree what time it is.
    Environment { name: "time-namespaces", whole: "plain", each: "time-namespace", besides: nothing },
    Environment { name: "another-user", whole: "nobody", each: "plain", besides: nothing },
    Environment { name: "shm-of-1-mib", whole: "small-shm", each: "plain", besides: fills_shm },
    Environment { name: "rlimit-fsize", whole: "small-files", each: "plain", besides: is_told_the_file_size },
    Environment { name: "rlimit-nofile", whole: "few-descriptors", each: "plain", besides: uses_up_descriptors },
    Environment { name: "rlimit-memlock", whole: "no-locked-memory", each: "plain", besides: nothing },
    Environment { name: "one-processor", whole: "one-processor", each: "plain", besides: nothing },
    Environment { name: "membarrier-refused", whole: "no-membarrier", each: "plain", besides: nothing },
    Environment {
        name: "membarrier-refused-to-some",
        whole: "plain",
        each: "no-membarrier-for-some",
        besides: nothing,
    },
];

/// The scene in which one user tries to get at another one's channel.
const INTRUDERS: &str = "two-users";

/// Runs the campaign.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) {
    let kills = if plan.is_long { 1_000 } else { 50 };
    for environment in ENVIRONMENTS.iter().filter(|environment| plan.has(environment.name)) {
        super::run(NAME, environment.name, tally, || soak_in(environment, kills));
    }
    if plan.has(INTRUDERS) {
        super::run(NAME, INTRUDERS, tally, || keep_intruders_out(kills));
    }
}

/// What a process of these surroundings says, which has nothing to do but enter them.
fn probe(name: &str) -> Check<Result<(), String>> {
    let mut child = Child::start(["surroundings", name])?;
    let said = child.hear()?;
    Ok(if said == "entered" { Ok(()) } else { Err(said) })
}

/// The part of such a process.
pub(crate) fn try_surroundings(name: &str) -> Check {
    child::settle_in()?;
    match surroundings::enter(name, 1) {
        Ok(()) => child::say("entered"),
        Err(why) => child::say(&why),
    }
}

fn soak_in(environment: &Environment, kills: u64) -> Check<End> {
    for name in [environment.whole, environment.each] {
        if let Err(why) = probe(name)? {
            return Ok(End::Skipped(why));
        }
    }
    let mut whole = Child::start(["environment", environment.name, &kills.to_string()])?;
    let (mut seen, mut messages) = (Seen::default(), 0);
    loop {
        let said = whole.hear()?;
        let mut words = said.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("kind"), Some(_), Some(cases), Some(more)) => {
                seen.cases += cases.parse::<u64>().at("a number of kills")?;
                messages += more.parse::<u64>().at("a number of messages")?;
            }
            (Some("end"), ..) => break,
            _ => return Err(said),
        }
    }
    whole.finish()?;
    seen.messages = Some(messages);
    Ok(End::Fine(seen))
}

/// The process that all the others of an environment are children of.
pub(crate) fn play(name: &str, kills: u64) -> Check {
    let environment = ENVIRONMENTS.iter().find(|environment| environment.name == name);
    let environment = environment.ok_or("there is no such environment")?;
    child::end_with_parent()?;
    surroundings::enter(environment.whole, 0)?;
    for kind in soak::kinds() {
        match soak::rounds(kind, kills, environment.each) {
            Ok(messages) => child::say(&format!("kind {kind} {kills} {messages}"))?,
            Err(wrong) => return child::say(&format!("{kind}: {wrong}")),
        }
    }
    let domain = Domain::new();
    let besides = (environment.besides)(domain.name()).and_then(|()| domain.check_empty());
    child::say(&besides.err().unwrap_or_else(|| "end".to_string()))
}

fn nothing(_: &str) -> Check {
    Ok(())
}

/// A queue of the default capacity, which is some MiB.
fn large(domain: &str) -> Queue<u64> {
    Queue::new("large").domain(domain)
}

/// That a queue works.
fn works(queue: &Queue<u64>) -> Check {
    let mut tx = queue.sender().at("a sender attaches")?;
    let mut rx = queue.receiver().at("a receiver attaches")?;
    tx.send(7).at("it sends")?;
    ensure(rx.try_recv() == Ok(Some(7)), || "a message does not come".to_string())
}

/// That a full /dev/shm is told, however it became full, and that there is room again afterwards.
fn fills_shm(domain: &str) -> Check {
    let error = large(domain).sender().err();
    ensure(matches!(error, Some(OpenError::NoSpace { .. })), || format!("a queue of 4 MiB in 1 MiB: {error:?}"))?;
    let small = |number| Queue::<u64>::new(format!("small-{number}")).domain(domain).capacity(1_000);
    let mut ends = Vec::new();
    let error = loop {
        match small(ends.len()).sender() {
            Ok(tx) => ends.push(tx),
            Err(error) => break error,
        }
    };
    ensure(matches!(error, OpenError::NoSpace { .. }), || format!("a full /dev/shm is told as {error}"))?;
    for tx in &mut ends {
        // All of its memory is there, so no page of it can be missing now.
        let sent = tx.send_batch(0..1_000).at("a sender sends where there is no memory left")?;
        ensure(sent == 1_000, || format!("only {sent} messages have gone"))?;
    }
    for number in 0..ends.len() {
        let mut rx = small(number).receiver().at("a receiver attaches")?;
        let received = (0..1_000).all(|message| rx.try_recv() == Ok(Some(message)));
        ensure(received, || "the messages do not come".to_string())?;
    }
    drop(ends);
    works(&small(0))
}

fn is_told_the_file_size(domain: &str) -> Check {
    let error = large(domain).sender().err();
    let is_told = matches!(error, Some(OpenError::FileSize { limit: 262_144, .. }));
    ensure(is_told, || format!("a file beyond the limit is told as {error:?}"))?;
    works(&large(domain).capacity(16))
}

/// That a process without a free descriptor is told so, and that its channels go on.
fn uses_up_descriptors(domain: &str) -> Check {
    let small = |number| Queue::<u64>::new(format!("small-{number}")).domain(domain).capacity(1);
    let mut ends = Vec::new();
    let error = loop {
        match small(ends.len()).sender() {
            Ok(tx) => ends.push(tx),
            Err(error) => break error,
        }
    };
    ensure(matches!(error, OpenError::Descriptors { limit: 64, .. }), || format!("too many channels: {error:?}"))?;
    for (number, tx) in ends.iter_mut().enumerate() {
        tx.try_send(7).at("a sender sends without a free descriptor")?;
        let mut rx = small(number).receiver().at("the other end shares the descriptor")?;
        ensure(rx.try_recv() == Ok(Some(7)), || "a message does not come".to_string())?;
    }
    drop(ends);
    works(&small(0))
}

/// Messages between two ends of a channel, while another user tries to get at it, and is killed at random moments.
fn keep_intruders_out(kills: u64) -> Check<End> {
    if let Err(why) = probe("nobody")? {
        return Ok(End::Skipped(why));
    }
    let domain = Domain::new();
    let queue = guarded(domain.name());
    let (mut tx, mut rx) = (queue.sender().at("a sender attaches")?, queue.receiver().at("a receiver attaches")?);
    let (mut number, mut refusals) = (0, 0);
    for kill in 0..kills {
        let mut intruder = Child::start(["intruder", domain.name()])?;
        for _ in 0..5 {
            intruder.hear_word("refused")?;
            for _ in 0..kill * 37 % 500 {
                tx.send(number).at("the owner sends")?;
                let received = rx.recv_timeout(Duration::ZERO).at("the owner receives")?;
                ensure(received == Some(number), || format!("{received:?} came in place of {number}"))?;
                number += 1;
            }
        }
        intruder.kill()?;
        refusals += 5 + intruder.last_words()?.iter().filter(|line| *line == "refused").count() as u64;
    }
    drop((tx, rx));
    domain.check_empty()?;
    Ok(Seen { cases: kills, messages: Some(number), more: vec![("refusals", json!(refusals))] }.into())
}

/// The channel of one user.
fn guarded(domain: &str) -> Queue<u64> {
    Queue::new("guarded").domain(domain).capacity(16).spsc()
}

/// The other user, who tries to open either end, or to remove the channel, and has to be refused every time.
pub(crate) fn intrude(domain: &str) -> Check {
    child::settle_in()?;
    surroundings::enter("nobody", 0)?;
    child::end_with_parent()?;
    let queue = guarded(domain);
    loop {
        let errors = [queue.sender().err(), queue.receiver().err(), queue.remove().err()];
        let is_refused = |error: &Option<OpenError>| matches!(error, Some(OpenError::Permission { .. }));
        ensure(errors.iter().all(is_refused), || format!("another user is told {errors:?}"))?;
        child::say("refused")?;
    }
}
