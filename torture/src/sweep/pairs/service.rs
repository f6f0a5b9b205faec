//! Two victims at a service: a client and a server, with one call between them or with a call each.

use super::super::play::Stage;
use super::super::service::{TheClient, TheServer, channel, check_unused, fill};
use super::Operations;
use super::duo::{Duo, Extent, extent};
use crate::check::{Check, Context, Message, PATIENCE, PAUSE, ensure, message, number};
use crate::trace::act;
use slipring::{CallError, Pending};
use std::time::{Duration, Instant};

/// In the pairs with `reply`, the server answers the other victim's call; otherwise there is a survivor's call.
pub(super) const PAIRS: &[Operations] = &[
    ["submit", "accept"],
    ["accept", "submit"],
    ["submit", "submit"],
    ["accept", "accept"],
    ["take", "reply"],
    ["reply", "take"],
    ["cancel", "reply"],
    ["reply", "cancel"],
];

/// Numbers of requests: before the strike, a survivor's, by either victim.
const BEFORE: u64 = 100;
const OPEN: u64 = 150;
const VICTIMS: [u64; 2] = [200, 201];

/// By how much a reply's number is greater than its request's.
const REPLY: u64 = 1_000;

/// Said in place of a reply: the server died.
const DIED: u64 = 1;

/// The part of either victim.
pub(super) fn victim(stage: &Stage) -> Check {
    let service = channel(&stage.domain);
    match stage.scene().operation {
        "accept" | "reply" => victim_answers(stage, &service.server().at("a victim attaches")?),
        _ => victim_calls(stage, &service.client().at("a victim attaches")?),
    }
}

fn victim_calls(stage: &Stage, client: &TheClient) -> Check {
    let request = message(VICTIMS[usize::from(stage.scene().role == "second")]);
    if stage.scene().operation == "submit" {
        stage.join()?;
        let mut call = act(|| client.submit(request))?.at("a victim submits")?;
        stage.done(&[request[0]])?;
        return stage.rest(&[end_of(call.wait_timeout(PATIENCE).ok_or("the call does not end")?)?]);
    }
    let mut call = client.submit(request).at("a victim submits")?;
    stage.join()?;
    if stage.scene().operation == "cancel" {
        act(|| drop(call))?;
        stage.done(&[])?;
        return stage.rest(&[]);
    }
    match act(|| call.try_take())? {
        Some(result) => {
            stage.done(&[end_of(result)?])?;
            stage.rest(&[])
        }
        None => {
            stage.done(&[])?;
            stage.rest(&[end_of(call.wait_timeout(PATIENCE).ok_or("the call does not end")?)?])
        }
    }
}

/// The number of a reply, or what stands for the report of a death.
fn end_of(result: Result<Message, CallError<Message>>) -> Check<u64> {
    match result {
        Ok(reply) => number(reply),
        Err(CallError::ServerDied(..)) => Ok(DIED),
        Err(error) => Err(format!("a call ends as {error:?}")),
    }
}

fn victim_answers(stage: &Stage, server: &TheServer) -> Check {
    if stage.scene().operation == "accept" {
        stage.join()?;
        let request = act(|| server.try_accept())?.at("a victim accepts")?;
        let taken: Vec<u64> = request.iter().map(|request| request[0]).collect();
        stage.done(&taken)?;
        if let Some(request) = request {
            let number = number(*request)?;
            request.reply(message(number + REPLY));
        }
        return stage.rest(&[]);
    }
    let request = server.accept_timeout(PATIENCE).at("a victim accepts")?.ok_or("no request came")?;
    let reply = message(number(*request)? + REPLY);
    stage.join()?;
    act(|| request.reply(reply))?;
    stage.done(&[])?;
    stage.rest(&[])
}

/// The survivors' server, and what it has answered.
struct Desk {
    server: TheServer,
    served: Vec<u64>,
}

impl Desk {
    fn serve(&mut self, limit: Duration) -> Check<bool> {
        let Some(request) = self.server.accept_timeout(limit).at("a survivor accepts")? else { return Ok(false) };
        let number = number(*request)?;
        self.served.push(number);
        request.reply(message(number + REPLY));
        Ok(true)
    }

    fn serve_until_quiet(&mut self) -> Check {
        while self.serve(PAUSE)? {}
        Ok(())
    }
}

/// The survivors' part.
pub(super) fn survivors(duo: &mut Duo) -> Check {
    let service = channel(duo.domain());
    let client = service.client().at("a client attaches")?;
    let server = service.server().at("a server attaches")?;
    let mut desk = Desk { server, served: Vec::new() };
    for number in BEFORE..BEFORE + duo.position() {
        let call = client.submit(message(number)).at("a client submits")?;
        desk.serve(PATIENCE)?;
        let reply = call.wait();
        ensure(reply == Ok(message(number + REPLY)), || format!("the reply to {number} is {reply:?}"))?;
    }
    desk.served.clear();
    // The call has to be there for who takes it.
    let is_answerer_first = duo.pair.operations[0] == "reply";
    if is_answerer_first {
        duo.second.enter()?;
        duo.first.enter()?;
    } else {
        duo.enter()?;
    }
    let has_open = !duo.pair.operations.contains(&"reply");
    let other = service.client().at("another client attaches")?;
    let open = has_open.then(|| other.submit(message(OPEN))).transpose().at("a client submits")?;
    duo.strike()?;
    if duo.drains_first() {
        desk.serve_until_quiet()?;
    }
    let mut ends = Vec::new();
    if let Some(done) = duo.decide()? {
        ends.extend(done);
        desk.serve_until_quiet()?;
        ends.extend(duo.first.release()?);
    }
    if let Some(open) = open {
        settle_open(duo, open, &mut desk)?;
    }
    desk.serve_until_quiet()?;
    duo.saw("the survivors' server", &desk.served);
    duo.saw("the first", &ends);
    settle(duo, &desk.served, &ends)?;
    fill(&client, &desk.server, &mut desk.served)?;
    fill(&other, &desk.server, &mut Vec::new())?;
    check_unused(&client, &desk.server)
}

/// The survivor's call is answered, or it is told of the death of who had taken it; not both.
fn settle_open(duo: &mut Duo, mut open: Pending<'_, Message, Message>, desk: &mut Desk) -> Check {
    let deadline = Instant::now() + PATIENCE;
    let end = loop {
        if let Some(end) = open.wait_timeout(Duration::from_millis(10)) {
            break end;
        }
        ensure(Instant::now() < deadline, || "the survivor's call does not end".to_string())?;
        desk.serve(Duration::from_millis(10))?;
    };
    duo.saw("the survivor's call", &end);
    let times = desk.served.iter().filter(|&&number| number == OPEN).count();
    let mut takers = duo.dead().filter(|(who, _)| duo.pair.operations[*who] == "accept");
    let may_be_told = takers.any(|(_, dead)| extent(dead) != Extent::Nothing);
    let is_right = match end {
        Ok(reply) => reply == message(OPEN + REPLY) && times <= 1,
        Err(CallError::ServerDied(None, _)) => may_be_told && times == 0,
        Err(_) => false,
    };
    ensure(is_right, || format!("the survivor's call, served {times} times, has ended so"))
}

/// No request is served twice, and the first one's call ends as it should.
fn settle(duo: &Duo, served: &[u64], ends: &[u64]) -> Check {
    for (who, request) in VICTIMS.into_iter().enumerate() {
        let times = served.iter().filter(|&&number| number == request).count();
        let most = usize::from(duo.pair.operations[who] == "submit");
        ensure(times <= most, || format!("request {request} came {times} times"))?;
    }
    if !duo.goes_on() {
        return Ok(());
    }
    let (reply, times) = (VICTIMS[0] + REPLY, served.iter().filter(|&&number| number == VICTIMS[0]).count());
    let is_right = match (duo.pair.operations, extent(&duo.second)) {
        (["submit", "accept"], Extent::Some | Extent::All) => {
            ends == [VICTIMS[0], reply] && times == 1 || ends == [VICTIMS[0], DIED] && times == 0
        }
        (["submit", _], _) => ends == [VICTIMS[0], reply] && times == 1,
        (["take", _], Extent::Nothing) => ends == [DIED],
        (["take", _], Extent::All) => ends == [reply],
        (["take", _], _) => ends == [reply] || ends == [DIED],
        (["accept", _], _) => ends.len() <= 1,
        _ => ends.is_empty(),
    };
    ensure(is_right, || format!("the first's call, served {times} times, has ended as {ends:?}"))
}
