//! The same of services: what a dead server, or a dead client, has left, and those whose side gives up.

use super::super::play::{Play, Stage};
use super::super::service::{TheService, channel, check_unused, fill};
use super::bury;
use crate::check::{Check, Context, PATIENCE, ensure, message};
use crate::trace::act;
use slipring::CallError;
use std::time::Duration;

/// Roles and operations.
pub(super) const SCENES: &[(&str, &str)] = &[
    // The server that took the victim's call is dead.
    ("client", "server-died"),
    // The victim comes to the line of a client that died with a call.
    ("client", "succeed-caller"),
    // Nobody takes the victim's call.
    ("client", "take-back"),
    // The victim reads one reply of several.
    ("client", "acknowledge"),
    // The victim answers a call that was given up.
    ("server", "late-reply"),
];

const CALL: u64 = 700;

/// The part of the one that dies first.
pub(super) fn corpse(role: &str, domain: &str, join: impl FnOnce() -> Check) -> Check {
    let service = channel(domain);
    if role == "server" {
        let server = service.server().at("the first one attaches")?;
        join()?;
        let request = server.accept_timeout(PATIENCE).at("the first one accepts")?.ok_or("no request came")?;
        act(|| request.reply(message(CALL)))?;
    } else {
        let client = service.client().at("the first one attaches")?;
        join()?;
        drop(act(|| client.submit(message(CALL)))?);
    }
    Ok(())
}

/// The victim's part.
pub(super) fn victim(stage: &Stage) -> Check {
    let service = channel(&stage.domain);
    if stage.scene().role == "server" {
        let server = service.server().at("the victim attaches")?;
        let request = server.accept_timeout(PATIENCE).at("the victim accepts")?.ok_or("no request came")?;
        stage.join()?;
        act(|| request.reply(message(CALL)))?;
    } else if stage.scene().operation == "succeed-caller" {
        stage.join()?;
        drop(act(|| service.client())?.at("the victim attaches")?);
    } else {
        victim_calls(stage, &service)?;
    }
    stage.done(&[])?;
    stage.rest(&[])
}

fn victim_calls(stage: &Stage, service: &TheService) -> Check {
    let client = service.client().at("the victim attaches")?;
    match stage.scene().operation {
        "take-back" => {
            stage.join()?;
            let end = act(|| client.call_timeout(message(CALL), Duration::from_millis(5)))?;
            ensure(end.is_err(), || format!("a call that nobody takes ends as {end:?}"))
        }
        "acknowledge" => {
            let mut replies = client.submit(message(CALL)).at("the victim submits")?.into_replies();
            stage.join()?;
            let reply = act(|| replies.next_timeout(PATIENCE))?;
            ensure(matches!(reply, Some(Some(Ok(_)))), || format!("the victim reads {reply:?}"))
        }
        _ => {
            let mut call = client.submit(message(CALL)).at("the victim submits")?;
            stage.join()?;
            let end = act(|| call.wait_timeout(PATIENCE))?;
            let is_told = matches!(end, Some(Err(CallError::ServerDied(..))));
            ensure(is_told, || format!("the call of a dead server ends as {end:?}"))
        }
    }
}

/// The survivors' part.
pub(super) fn survivors(play: &mut Play) -> Check {
    let service = channel(play.domain.name());
    let domain = play.domain.name().to_string();
    match play.scene().operation {
        "succeed-caller" => {
            let server = service.server().at("a server attaches")?;
            bury("client", "", &domain, "ring/calls.rs", "post")?;
            play.enter()?;
            play.strike()?;
            drop(server);
        }
        "server-died" => {
            play.enter()?;
            bury("server", "", &domain, "ring/calls.rs", "answer")?;
            play.strike()?;
        }
        "acknowledge" => {
            let server = service.server().at("a server attaches")?;
            play.enter()?;
            let request = server.accept_timeout(PATIENCE).at("a survivor accepts")?.ok_or("no request came")?;
            let mut stream = request.reply_stream();
            stream.send(message(CALL)).at("a survivor replies")?;
            play.strike()?;
            // The client may have gone by now.
            let _ = stream.send(message(CALL + 1));
            stream.finish();
        }
        "late-reply" => {
            let client = service.client().at("a client attaches")?;
            let call = client.submit(message(CALL)).at("a client submits")?;
            play.enter()?;
            drop(call);
            play.strike()?;
        }
        _ => {
            play.enter()?;
            play.strike()?;
        }
    }
    let (client, server) = (service.client().at("a client attaches")?, service.server().at("a server attaches")?);
    let mut served = Vec::new();
    fill(&client, &server, &mut served)?;
    fill(&service.client().at("another client attaches")?, &server, &mut Vec::new())?;
    play.saw("the server", &served);
    check_unused(&client, &server)
}
