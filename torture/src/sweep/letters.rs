//! Services whose requests and replies vary in length: the victim calls, or answers.
//!
//! The messages are those of `tails`.

use super::case::Scene;
use super::play::{Play, Stage};
use super::tails::{length, message, number, word};
use crate::check::{CAPACITY, Check, Context, PATIENCE, PAUSE, ensure};
use crate::trace::act;
use slipring::{CallError, Client, Pending, Server, Service};
use std::time::{Duration, Instant};

/// The kind's name.
pub(crate) const KIND: &str = "service-any-length";

/// Numbers of requests: before the strike, for the victim or by it, by those who come after it.
const BEFORE: u64 = 100;
const CALL: u64 = 200;
const AFTER: u64 = 500;

/// By how much a reply's number is greater than its request's, so that its length is another.
const REPLY: u64 = 1_000;

/// Bytes of a request, and of a reply.
const ROOM: usize = 1024;

const CALLING: &[&str] = &["submit", "submit-in-place", "take", "take-in-place", "cancel"];
const ANSWERING: &[&str] = &["accept", "accept-in-place", "reply", "reply-in-place", "drop-request"];

pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |role| move |&operation: &&'static str| Scene { kind: KIND, operation, role, has_company: true };
    CALLING.iter().map(scene("client")).chain(ANSWERING.iter().map(scene("server"))).collect()
}

type TheClient = Client<[u64], [u64]>;
type TheServer = Server<[u64], [u64]>;
type Call<'c> = Pending<'c, [u64], [u64]>;
type Result = std::result::Result<Box<[u64]>, CallError<[u64]>>;

fn channel(domain: &str) -> Service<[u64], [u64]> {
    Service::new("desk").domain(domain).capacity(CAPACITY).max_request(ROOM).max_reply(ROOM)
}

/// Writes the message of this number in place.
fn fill_in(place: &mut [u64], number: u64) {
    place.iter_mut().enumerate().for_each(|(at, to)| *to = word(number, at));
}

/// The part of the victim.
pub(crate) fn victim(stage: &Stage) -> Check {
    let service = channel(&stage.domain);
    match stage.scene().role {
        "client" => victim_calls(stage, &service.client().at("the victim attaches")?),
        _ => victim_answers(stage, &service.server().at("the victim attaches")?),
    }
}

fn victim_calls(stage: &Stage, client: &TheClient) -> Check {
    let request = message(CALL);
    if stage.scene().operation.starts_with("submit") {
        let is_in_place = stage.scene().operation == "submit-in-place";
        stage.join()?;
        let call = act(|| match is_in_place {
            true => client.loan_len(length(CALL)).and_then(|mut loan| {
                fill_in(&mut loan, CALL);
                loan.submit().map_err(|_| CallError::Dropped)
            }),
            false => client.submit_copy(&request).map_err(|_| CallError::Dropped),
        })?;
        let call = call.at("the victim submits")?;
        stage.done(&[CALL])?;
        let reply = call.wait_boxed().at("the victim waits")?;
        return stage.rest(&[number(&reply)?]);
    }
    let mut call = client.submit_copy(&request).at("the victim submits")?;
    stage.join()?;
    let reply = match stage.scene().operation {
        "take" => Some(act(|| call.try_take_boxed())?.ok_or("the reply is not there")?),
        "take-in-place" => {
            let look = |call: &mut Call<'_>| call.try_take_ref().map(|reply| reply.map(|reply| Box::from(&*reply)));
            Some(act(|| look(&mut call))?.ok_or("the reply is not there")?)
        }
        _ => {
            act(|| drop(call))?;
            None
        }
    };
    let numbers =
        reply.into_iter().map(|reply| reply.at("the victim takes the reply").and_then(|reply| number(&reply)));
    stage.done(&numbers.collect::<Check<Vec<_>>>()?)?;
    stage.rest(&[])
}

fn victim_answers(stage: &Stage, server: &TheServer) -> Check {
    let operation = stage.scene().operation;
    if operation == "accept" {
        stage.join()?;
        let request = act(|| server.try_accept_boxed())?.at("the victim accepts")?.ok_or("no request came")?;
        stage.done(&[number(&request)?])?;
        let answered = request.reply_copy(&message(CALL + REPLY));
        answered.at("the victim replies")?;
        return stage.rest(&[]);
    }
    if operation == "accept-in-place" {
        stage.join()?;
        let request = act(|| server.try_accept_ref())?.at("the victim accepts")?.ok_or("no request came")?;
        stage.done(&[number(&request)?])?;
        request.reply_copy(&message(CALL + REPLY)).at("the victim replies")?;
        return stage.rest(&[]);
    }
    let request = server.accept_boxed_timeout(PATIENCE).at("the victim accepts")?.ok_or("no request came")?;
    let reply = message(number(&request)? + REPLY);
    stage.join()?;
    match operation {
        "reply" => act(|| request.reply_copy(&reply).map(drop))?.at("the victim replies")?,
        "reply-in-place" => {
            let fill = |mut loan: slipring::ReplyLoan<'_, _, [u64]>| {
                fill_in(&mut loan, CALL + REPLY);
                loan.send();
            };
            act(|| request.loan_len(length(CALL + REPLY)).map(fill))?.at("the victim replies")?;
        }
        _ => act(|| drop(request))?,
    }
    stage.done(&[])?;
    stage.rest(&[])
}

/// Answers a request, if one comes in time.
fn serve(server: &TheServer, limit: Duration, served: &mut Vec<u64>) -> Check<bool> {
    let Some(request) = server.accept_boxed_timeout(limit).at("a survivor accepts")? else { return Ok(false) };
    let number = number(&request)?;
    served.push(number);
    request.reply_copy(&message(number + REPLY)).at("a survivor replies")?;
    Ok(true)
}

fn is_reply(result: &Result, request: u64) -> bool {
    result.as_ref().is_ok_and(|reply| **reply == *message(request + REPLY))
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let service = channel(play.domain.name());
    let client = service.client().at("a client attaches")?;
    let server = service.server().at("a server attaches")?;
    for number in BEFORE..BEFORE + play.case.slot.position() {
        call(&client, &server, number)?;
    }
    let server = if play.scene().role == "client" {
        survive_client(play, &server)?;
        server
    } else {
        drop(server);
        survive_server(play, &service, &client)?
    };
    // No slot has gone.
    for round in 0..3 {
        fill(&client, &server, AFTER + round * 10)?;
    }
    ensure(client.len() == 0, || format!("{} calls have a slot still", client.len()))?;
    drop((client, server));
    play.end()
}

fn call(client: &TheClient, server: &TheServer, request: u64) -> Check {
    let call = client.submit_copy(&message(request)).at("a client submits")?;
    serve(server, PATIENCE, &mut Vec::new())?;
    let result = call.wait_boxed();
    ensure(is_reply(&result, request), || format!("the reply to {request} is {result:?}"))
}

/// As many calls at once as there is room for.
fn fill(client: &TheClient, server: &TheServer, from: u64) -> Check {
    let mut calls = Vec::new();
    for number in from..from + CAPACITY as u64 {
        let call = client.submit_copy_timeout(&message(number), PATIENCE);
        calls.push((number, call.at("not all calls that the service has room for can be made")?));
    }
    let (mut served, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    while served.len() < calls.len() {
        ensure(Instant::now() < deadline, || format!("of {calls:?} only {served:?} came"))?;
        serve(server, Duration::from_millis(50), &mut served)?;
    }
    calls.into_iter().try_for_each(|(number, call)| {
        let result = call.wait_boxed();
        ensure(is_reply(&result, number), || format!("the reply to {number} is {result:?}"))
    })
}

/// The request comes to the server at most once, and the reply to the victim, if it goes on.
fn survive_client(play: &mut Play, server: &TheServer) -> Check {
    let operation = play.scene().operation;
    let mut served = Vec::new();
    play.enter()?;
    if operation.starts_with("take") {
        serve(server, PATIENCE, &mut served)?;
    }
    play.strike()?;
    if play.is_stopped() || play.drains_first() {
        while serve(server, PAUSE, &mut served)? {}
    }
    if play.is_stopped() {
        let mut ends = play.resume()?;
        while serve(server, PAUSE, &mut served)? {}
        ends.extend(play.release()?);
        let expected: &[u64] = match operation {
            "cancel" => &[],
            _ if operation.starts_with("submit") => &[CALL, CALL + REPLY],
            _ => &[CALL + REPLY],
        };
        ensure(ends == expected, || format!("the victim's call ends as {ends:?}"))?;
    }
    while serve(server, Duration::ZERO, &mut served)? {}
    play.saw("the server", &served);
    let (is_whole, is_begun) = (play.is_stopped(), play.is_stopped() || !play.is_untouched());
    let (least, most) = match operation {
        "cancel" => (0, 1),
        _ if operation.starts_with("take") => (1, 1),
        _ => (usize::from(is_whole), usize::from(is_begun)),
    };
    let is_right = (least..=most).contains(&served.len()) && served.iter().all(|&number| number == CALL);
    ensure(is_right, || format!("the victim's request came as {served:?}"))
}

/// The call is answered by the victim or by its successor, or the client is told that the victim died with it.
fn survive_server(play: &mut Play, service: &Service<[u64], [u64]>, client: &TheClient) -> Check<TheServer> {
    let operation = play.scene().operation;
    let mut call = client.submit_copy(&message(CALL)).at("a client submits")?;
    play.enter()?;
    play.strike()?;
    let mut early = None;
    if play.is_stopped() {
        early = wait(&mut call, PAUSE);
        let is_robbed = matches!(early, Some(Err(_))) && operation != "drop-request";
        ensure(!is_robbed, || format!("beside a stopped server the call ends as {early:?}"))?;
        play.resume()?;
        play.release()?;
    } else if play.drains_first() {
        early = wait(&mut call, PATIENCE);
        ensure(early.is_some(), || "nobody is left to take the call, and the client is not told".to_string())?;
    }
    let server = service.server().at("a successor attaches")?;
    let (mut served, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    let result = loop {
        if let Some(result) = early.take().or_else(|| wait(&mut call, Duration::from_millis(20))) {
            break result;
        }
        ensure(Instant::now() < deadline, || format!("the call does not end, served as {served:?}"))?;
        serve(&server, Duration::from_millis(20), &mut served)?;
    };
    play.saw("the client", &result);
    play.saw("the successor", &served);
    let (is_ended, takes) = (play.is_stopped() || play.progress().is_finished, operation.starts_with("accept"));
    let is_right = match &result {
        Ok(_) => is_reply(&result, CALL) && (operation != "drop-request" || !served.is_empty()),
        Err(CallError::ServerDied(request, _)) => {
            let is_back = request.as_ref().is_some_and(|request| **request == *message(CALL));
            !play.is_stopped() && served.is_empty() && (request.is_none() || is_back && takes)
        }
        Err(CallError::Dropped) => operation == "drop-request" && served.is_empty(),
        Err(_) => false,
    };
    ensure(is_right, || "the call has ended so".to_string())?;
    let must_be_answered = is_ended && operation.starts_with("reply") || play.is_stopped() && takes;
    ensure(!must_be_answered || result.is_ok() && served.is_empty(), || {
        "the reply was sent, and did not come".to_string()
    })?;
    ensure(takes || served.is_empty(), || "a request that was taken came to another server".to_string())?;
    Ok(server)
}

/// Waits for the result.
fn wait(call: &mut Call<'_>, limit: Duration) -> Option<Result> {
    call.wait_ref_timeout(limit).map(|reply| reply.map(|reply| Box::from(&*reply)))
}
