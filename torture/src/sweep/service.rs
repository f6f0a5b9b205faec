//! Services: the victim calls, or answers, among others that do.

use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{CAPACITY, Check, Context, Message, PATIENCE, PAUSE, ensure, message, number};
use crate::trace::act;
use slipring::{CallError, Client, Pending, Request, Server, Service};
use std::time::{Duration, Instant};

/// The kind's name.
pub(crate) const KIND: &str = "service";

/// Numbers of requests: before the strike, for the victim or by it, by those who come after it.
const BEFORE: u64 = 100;
const OPEN: u64 = 150;
const VICTIMS: u64 = 200;
const AFTER: u64 = 500;

/// By how much a reply's number is greater than its request's.
const REPLY: u64 = 1_000;

const CALLING: &[&str] = &["submit", "take", "cancel-waiting", "cancel-taken", "close", "attach"];
const ANSWERING: &[&str] = &["accept", "reply", "drop-request", "close", "attach"];

pub(super) type TheService = Service<Message, Message>;
pub(super) type TheClient = Client<Message, Message>;
pub(super) type TheServer = Server<Message, Message>;
type Call<'c> = Pending<'c, Message, Message>;
type Result = std::result::Result<Message, CallError<Message>>;

pub(crate) fn scenes() -> Vec<Scene> {
    let client = |&operation| Scene { kind: KIND, operation, role: "client", has_company: true };
    let server =
        |has_company| move |&operation: &&'static str| Scene { kind: KIND, operation, role: "server", has_company };
    let answering = ANSWERING.iter().map(server(false)).chain(ANSWERING.iter().map(server(true)));
    CALLING.iter().map(client).chain(answering).collect()
}

pub(super) fn channel(domain: &str) -> TheService {
    Service::new("desk").domain(domain).capacity(CAPACITY)
}

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let service = channel(&stage.domain);
    match (stage.scene().role, stage.scene().operation) {
        ("client", "attach") => {
            stage.join()?;
            let _client = act(|| service.client())?.at("the victim attaches")?;
            stage.done(&[])?;
            stage.rest(&[])
        }
        ("client", "close") => {
            let client = service.client().at("the victim attaches")?;
            stage.join()?;
            act(|| drop(client))?;
            stage.done(&[])?;
            stage.rest(&[])
        }
        ("client", _) => victim_calls(stage, &service.client().at("the victim attaches")?),
        (_, "attach") => {
            stage.join()?;
            let _server = act(|| service.server())?.at("the victim attaches")?;
            stage.done(&[])?;
            stage.rest(&[])
        }
        (_, "close") => {
            let server = service.server().at("the victim attaches")?;
            stage.join()?;
            act(|| drop(server))?;
            stage.done(&[])?;
            stage.rest(&[])
        }
        _ => victim_answers(stage, &service.server().at("the victim attaches")?),
    }
}

fn victim_calls(stage: &Stage, client: &TheClient) -> Check {
    if stage.scene().operation == "submit" {
        stage.join()?;
        let call = act(|| client.submit(message(VICTIMS)))?.at("the victim submits")?;
        stage.done(&[VICTIMS])?;
        let reply = number(call.wait().at("the victim waits")?)?;
        return stage.rest(&[reply]);
    }
    let mut call = client.submit(message(VICTIMS)).at("the victim submits")?;
    stage.join()?;
    let done = if stage.scene().operation == "take" {
        let reply = act(|| call.try_take())?.ok_or("the reply is not there")?;
        vec![number(reply.at("the victim takes the reply")?)?]
    } else {
        act(|| drop(call))?;
        Vec::new()
    };
    stage.done(&done)?;
    stage.rest(&[])
}

fn victim_answers(stage: &Stage, server: &TheServer) -> Check {
    if stage.scene().operation == "accept" {
        stage.join()?;
        let request = act(|| server.try_accept())?.at("the victim accepts")?;
        let taken: Vec<u64> = request.iter().map(|request| request[0]).collect();
        stage.done(&taken)?;
        if let Some(request) = request {
            answer(request)?;
        }
        return stage.rest(&[]);
    }
    let request = server.accept_timeout(PATIENCE).at("the victim accepts")?.ok_or("no request came")?;
    let reply = message(number(*request)? + REPLY);
    stage.join()?;
    if stage.scene().operation == "reply" {
        act(|| request.reply(reply))?;
    } else {
        act(|| drop(request))?;
    }
    stage.done(&[])?;
    stage.rest(&[])
}

fn answer(request: Request<'_, Message, Message>) -> Check<u64> {
    let number = number(*request)?;
    request.reply(message(number + REPLY));
    Ok(number)
}

/// Answers a request, if one comes in time.
fn serve(server: &TheServer, limit: Duration, served: &mut Vec<u64>) -> Check<bool> {
    let Some(request) = server.accept_timeout(limit).at("a survivor accepts")? else { return Ok(false) };
    served.push(answer(request)?);
    Ok(true)
}

/// Answers what there is.
fn serve_until_quiet(server: &TheServer, served: &mut Vec<u64>) -> Check {
    while serve(server, PAUSE, served)? {}
    Ok(())
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let service = channel(play.domain.name());
    match play.scene().role {
        "client" => survive_client(play, &service),
        _ => survive_server(play, &service),
    }?;
    play.end()
}

/// As many calls at once as there is room for, several times over: no slot has gone.
pub(super) fn fill(client: &TheClient, server: &TheServer, served: &mut Vec<u64>) -> Check {
    for round in 0..3 {
        let mut calls = Vec::new();
        let numbers: Vec<u64> = (0..CAPACITY as u64).map(|at| AFTER + round * 10 + at).collect();
        for &number in &numbers {
            let call = client.submit_timeout(message(number), PATIENCE);
            calls.push(call.at("not all calls that the service has room for can be made")?);
        }
        let deadline = Instant::now() + PATIENCE;
        while !numbers.iter().all(|number| served.contains(number)) {
            ensure(Instant::now() < deadline, || format!("of {numbers:?} only {served:?} came to the server"))?;
            serve(server, Duration::from_millis(50), served)?;
        }
        for (call, number) in calls.into_iter().zip(numbers) {
            let reply = call.wait();
            ensure(reply == Ok(message(number + REPLY)), || format!("the reply to {number} is {reply:?}"))?;
        }
    }
    Ok(())
}

/// That no call has a slot any more, when the dead's have been swept.
pub(super) fn check_unused(client: &TheClient, server: &TheServer) -> Check {
    ensure(client.len() == 0, || format!("{} calls have a slot still", client.len()))?;
    let request = server.try_accept().at("a survivor accepts")?;
    ensure(request.is_none(), || format!("a request is left: {request:?}"))
}

/// Makes so many calls that the next one has its slot in the queue.
fn advance(play: &Play, client: &TheClient, server: &TheServer) -> Check {
    for number in BEFORE..BEFORE + play.case.slot.position() {
        let call = client.submit(message(number)).at("the first client submits")?;
        serve(server, PATIENCE, &mut Vec::new())?;
        let reply = call.wait();
        ensure(reply == Ok(message(number + REPLY)), || format!("the reply to {number} is {reply:?}"))?;
    }
    Ok(())
}

fn survive_client(play: &mut Play, service: &TheService) -> Check {
    let scene = play.scene();
    let (client, server) = (service.client().at("a client attaches")?, service.server().at("a server attaches")?);
    advance(play, &client, &server)?;
    let mut served = Vec::new();
    play.enter()?;
    let held = match scene.operation {
        "take" => {
            serve(&server, PATIENCE, &mut served)?;
            None
        }
        "cancel-taken" => server.accept_timeout(PATIENCE).at("a survivor accepts")?,
        _ => None,
    };
    play.strike()?;
    if play.is_stopped() {
        beside_stopped_client(play, &client, &server, &mut served)?;
    } else if play.drains_first() {
        serve_until_quiet(&server, &mut served)?;
    }
    if let Some(request) = held {
        answer(request)?;
    }
    let successor = service.client().at("a successor attaches")?;
    fill(&client, &server, &mut served)?;
    fill(&successor, &server, &mut Vec::new())?;
    play.saw("the server", &served);
    let times = served.iter().filter(|&&number| number == VICTIMS).count();
    let (has_gone_on, is_finished) = (play.is_stopped(), play.progress().is_finished);
    let (least, most) = match scene.operation {
        // The calls of the dead are swept up, so even one that was submitted need not come.
        "submit" => (usize::from(has_gone_on), usize::from(has_gone_on || !play.is_untouched())),
        "take" => (1, 1),
        "cancel-waiting" => (0, usize::from(has_gone_on || !is_finished)),
        _ => (0, 0),
    };
    ensure((least..=most).contains(&times), || format!("the victim's request came {times} times"))?;
    check_unused(&client, &server)
}

/// Another client's calls are answered while the victim is stopped; then its own ends as it should.
fn beside_stopped_client(play: &mut Play, client: &TheClient, server: &TheServer, served: &mut Vec<u64>) -> Check {
    let operation = play.scene().operation;
    let mut calls = Vec::new();
    // The victim has one of the slots.
    for number in AFTER + 50..AFTER + 50 + CAPACITY as u64 - 1 {
        let call = client.submit_timeout(message(number), PATIENCE);
        calls.push((number, call.at("a client beside the stopped one submits")?));
    }
    serve_until_quiet(server, served)?;
    // A client that is stopped while it puts its call into the queue holds up those behind it, as every sender does.
    let mut replies: Vec<_> = calls.iter_mut().map(|(_, call)| call.wait_timeout(PAUSE)).collect();
    let may_be_held_up = operation == "submit" && !play.progress().is_finished && !play.is_untouched();
    let is_served = replies.iter().all(Option::is_some);
    ensure(is_served || may_be_held_up, || format!("a stopped client holds others up: {replies:?}"))?;
    let done = play.resume()?;
    let expected: &[u64] = if operation == "take" { &[VICTIMS + REPLY] } else { &done };
    ensure(done == expected, || format!("the victim got {done:?}"))?;
    serve_until_quiet(server, served)?;
    for ((number, call), reply) in calls.iter_mut().zip(&mut replies) {
        let reply = reply.take().or_else(|| call.wait_timeout(PATIENCE));
        let is_right = reply == Some(Ok(message(*number + REPLY)));
        ensure(is_right, || format!("beside the stopped client, {number}: {reply:?}"))?;
    }
    drop(calls);
    let rest = play.release()?;
    let expected: &[u64] = if operation == "submit" { &[VICTIMS + REPLY] } else { &[] };
    ensure(rest == expected, || format!("the victim got {rest:?}"))
}

fn survive_server(play: &mut Play, service: &TheService) -> Check {
    let scene = play.scene();
    let client = service.client().at("a client attaches")?;
    let first = service.server().at("the first server attaches")?;
    advance(play, &client, &first)?;
    drop(first);
    // Before the victim comes, so that it finds a request to answer.
    let has_taken = matches!(scene.operation, "reply" | "drop-request");
    let mut one = client.submit(message(OPEN)).at("a client submits")?;
    play.enter()?;
    let mut two = client.submit(message(OPEN + 1)).at("a client submits")?;
    let mate = scene.has_company.then(|| service.server()).transpose().at("another server attaches")?;
    play.strike()?;
    let mut served = Vec::new();
    let mut results = [None, None];
    if play.is_stopped() {
        beside_stopped_server(play, service, mate.as_ref(), &mut served, &mut [&mut one, &mut two], &mut results)?;
    } else if play.drains_first() && !scene.comes_or_goes() && mate.is_none() {
        // Nobody is left to take the calls, and the client is told.
        for (call, result) in [&mut one, &mut two].into_iter().zip(&mut results) {
            *result = call.wait_timeout(PATIENCE);
        }
    }
    let server = service.server().at("a successor attaches")?;
    let deadline = Instant::now() + PATIENCE;
    while results.iter().any(Option::is_none) {
        ensure(Instant::now() < deadline, || format!("calls are never answered: {results:?}, served {served:?}"))?;
        serve(&server, Duration::from_millis(20), &mut served)?;
        take(&mut [&mut one, &mut two], &mut results, Duration::from_millis(20));
    }
    play.saw("the client", &results);
    play.saw("the servers", &served);
    settle(play, has_taken, &results, &served)?;
    drop((one, two));
    fill(&client, &server, &mut served)?;
    drop(mate);
    fill(&service.client().at("another client attaches")?, &server, &mut Vec::new())?;
    check_unused(&client, &server)
}

/// Takes the results that have come.
fn take(calls: &mut [&mut Call<'_>; 2], results: &mut [Option<Result>; 2], limit: Duration) {
    for (call, result) in calls.iter_mut().zip(results) {
        if result.is_none() {
            *result = call.wait_timeout(limit);
        }
    }
}

fn beside_stopped_server(
    play: &mut Play,
    service: &TheService,
    mate: Option<&TheServer>,
    served: &mut Vec<u64>,
    calls: &mut [&mut Call<'_>; 2],
    results: &mut [Option<Result>; 2],
) -> Check {
    let comes_or_goes = play.scene().comes_or_goes();
    let other = (!comes_or_goes).then(|| service.server()).transpose().at("another server attaches")?;
    for server in mate.into_iter().chain(&other) {
        serve_until_quiet(server, served)?;
    }
    take(calls, results, PAUSE);
    let is_robbed = results.iter().any(|result| matches!(result, Some(Err(_))));
    let is_robbed = is_robbed && play.scene().operation != "drop-request";
    ensure(!is_robbed, || format!("beside a stopped server the calls end as {results:?}"))?;
    play.resume()?;
    play.release().map(drop)
}

fn settle(play: &Play, has_taken: bool, results: &[Option<Result>; 2], served: &[u64]) -> Check {
    let operation = play.scene().operation;
    for (at, result) in (0..).zip(results.iter().flatten()) {
        let number = OPEN + at;
        let times = served.iter().filter(|&&other| other == number).count();
        ensure(times <= 1, || format!("request {number} came {times} times"))?;
        let is_answer = *result == Ok(message(number + REPLY));
        let is_told = match result {
            Ok(_) => is_answer,
            Err(CallError::ServerDied(request, _)) => {
                ensure(request.is_none() || times == 0, || format!("request {number} is given back, and was served"))?;
                !play.is_stopped() && (at == 0 || operation != "accept" || play.drains_first())
            }
            Err(CallError::Dropped) => operation == "drop-request" && at == 0,
            Err(_) => false,
        };
        ensure(is_told, || format!("the call {number} ended as {result:?}"))?;
        let must_be_answered = at == 0 && operation == "reply" && (play.is_stopped() || play.progress().is_finished);
        ensure(is_answer || !must_be_answered, || format!("the reply to {number} was sent, and {result:?} came"))?;
        ensure(at == 1 || !has_taken || times == 0, || {
            format!("request {number} was taken, and came to another server")
        })?;
    }
    Ok(())
}
