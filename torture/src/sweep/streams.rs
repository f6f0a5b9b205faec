//! Streams of replies: the victim sends one, or receives one, reply by reply.

use super::case::Scene;
use super::play::{Play, Stage};
use super::service::{TheClient, TheServer, channel, check_unused, fill};
use crate::check::{Check, Context, Message, PATIENCE, PAUSE, ensure, message, number};
use crate::trace::act;
use slipring::{CallError, Replies, ReplyError, ReplyStream};

/// The kind's name.
pub(crate) const KIND: &str = "service-streams";

/// The request, and the replies to it.
const CALL: u64 = 200;
const REPLIES: [u64; 2] = [1_200, 1_201];

const SENDING: &[&str] = &["send", "send-next", "finish", "drop-stream"];
const RECEIVING: &[&str] = &["next", "next-in-place", "drop-replies"];

pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |role| move |&operation: &&'static str| Scene { kind: KIND, operation, role, has_company: false };
    SENDING.iter().map(scene("server")).chain(RECEIVING.iter().map(scene("client"))).collect()
}

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let service = channel(&stage.domain);
    match stage.scene().role {
        "server" => victim_sends(stage, &service.server().at("the victim attaches")?),
        _ => victim_receives(stage, &service.client().at("the victim attaches")?),
    }
}

fn victim_sends(stage: &Stage, server: &TheServer) -> Check {
    let request = server.accept_timeout(PATIENCE).at("the victim accepts")?.ok_or("no request came")?;
    let mut stream = request.reply_stream();
    if stage.scene().operation != "send" {
        stream.send(message(REPLIES[0])).at("the victim replies")?;
    }
    stage.join()?;
    match stage.scene().operation {
        "send" => act(|| stream.send(message(REPLIES[0])))?.at("the victim replies")?,
        "send-next" => act(|| stream.send(message(REPLIES[1])))?.at("the victim replies again")?,
        "finish" => {
            act(|| stream.finish())?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
        _ => {
            act(|| drop(stream))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    }
    stage.done(&[])?;
    stream.finish();
    stage.rest(&[])
}

fn victim_receives(stage: &Stage, client: &TheClient) -> Check {
    let mut replies = client.call_stream(message(CALL)).at("the victim calls")?;
    stage.join()?;
    match stage.scene().operation {
        "next" => {
            let reply = act(|| replies.next_timeout(PATIENCE))?.flatten().ok_or("no reply came")?;
            stage.done(&[number(reply.at("the victim receives")?)?])?;
        }
        "next-in-place" => {
            let reply = act(|| replies.next_ref().map(|reply| reply.map(|reply| *reply)))?.ok_or("no reply came")?;
            stage.done(&[number(reply.at("the victim receives")?)?])?;
        }
        _ => {
            act(|| drop(replies))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    }
    let rest = replies.map(|reply| reply.at("the victim goes on receiving").and_then(number));
    stage.rest(&rest.collect::<Check<Vec<_>>>()?)
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let service = channel(play.domain.name());
    let client = service.client().at("a client attaches")?;
    let first = service.server().at("the first server attaches")?;
    for number in 0..play.case.slot.position() {
        let call = client.submit(message(number)).at("a client submits")?;
        first.accept_timeout(PATIENCE).at("the first server accepts")?.ok_or("no request came")?.reply(message(number));
        call.wait().at("a call before the strike")?;
    }
    let server = if play.scene().role == "server" {
        drop(first);
        survive_server(play, &client)?;
        service.server().at("a successor attaches")?
    } else {
        survive_client(play, &first)?;
        first
    };
    let mut served = Vec::new();
    fill(&client, &server, &mut served)?;
    fill(&service.client().at("another client attaches")?, &server, &mut Vec::new())?;
    check_unused(&client, &server)?;
    drop((client, server));
    play.end()
}

/// How a stream ends for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished,
    Dropped,
    Died,
}

/// Reads a stream to its end.
fn read(replies: &mut Replies<'_, Message, Message>) -> Check<(Vec<u64>, End)> {
    let mut came = Vec::new();
    loop {
        match replies.next_timeout(PATIENCE).ok_or_else(|| format!("the stream does not go on after {came:?}"))? {
            Some(Ok(reply)) => came.push(number(reply)?),
            None => return Ok((came, End::Finished)),
            Some(Err(CallError::Dropped)) => return Ok((came, End::Dropped)),
            Some(Err(CallError::ServerDied(None, _))) => return Ok((came, End::Died)),
            Some(Err(error)) => return Err(format!("the stream ends as {error:?} after {came:?}")),
        }
    }
}

/// Everything that was sent comes, and then the end that the victim has made, or its death.
fn survive_server(play: &mut Play, client: &TheClient) -> Check {
    let operation = play.scene().operation;
    let mut replies = client.call_stream(message(CALL)).at("a client calls")?;
    play.enter()?;
    let mut came = Vec::new();
    if operation == "send-next" {
        // There is room for one reply at a time.
        let reply = replies.next_timeout(PATIENCE).flatten().ok_or("no reply came")?;
        came.push(number(reply.at("the first reply")?)?);
    }
    play.strike()?;
    if play.is_stopped() {
        let early = replies.next_timeout(PAUSE);
        if let Some(Some(Ok(reply))) = early {
            came.push(number(reply)?);
        }
        let may_end = matches!(operation, "finish" | "drop-stream");
        ensure(may_end || !matches!(early, Some(None | Some(Err(_)))), || {
            format!("beside the stopped server: {early:?}")
        })?;
        play.resume()?;
        play.release()?;
        if matches!(early, Some(None | Some(Err(_)))) {
            return Err(format!("the stream ended before its first reply: {early:?}"));
        }
    }
    let (rest, end) = read(&mut replies)?;
    came.extend(rest);
    play.saw("the client", (&came, end));
    let (sent, made) = match operation {
        "send" => (&REPLIES[..1], End::Finished),
        "send-next" => (&REPLIES[..], End::Finished),
        "finish" => (&REPLIES[..1], End::Finished),
        _ => (&REPLIES[..1], End::Dropped),
    };
    let is_sending = operation.starts_with("send");
    let before = if is_sending { &sent[..sent.len() - 1] } else { sent };
    let is_right = match (play.is_stopped(), play.is_untouched(), play.progress().is_finished) {
        (true, ..) => came == sent && end == made,
        (_, true, _) => came == before && end == End::Died,
        (.., true) => came == sent && end == if is_sending { End::Died } else { made },
        _ if is_sending => (came == sent || came == before) && end == End::Died,
        _ => came == sent && (end == made || end == End::Died),
    };
    ensure(is_right, || format!("the client reads {came:?}, and the end as {end:?}"))
}

/// A server's stream goes on while the client reads, and ends when it has gone.
fn survive_client(play: &mut Play, server: &TheServer) -> Check {
    play.enter()?;
    let request = server.accept_timeout(PATIENCE).at("a survivor accepts")?.ok_or("no request came")?;
    let mut stream = request.reply_stream();
    stream.send(message(REPLIES[0])).at("a survivor replies")?;
    play.strike()?;
    if play.is_stopped() {
        return beside_stopped_client(play, stream);
    }
    // It waits for room, which the dead one may have made, and is told at the latest when there is none.
    let sent = [REPLIES[1], REPLIES[1] + 1].map(|number| stream.send(message(number)));
    play.saw("the server", &sent);
    let is_gone = matches!(sent[1], Err(ReplyError::ClientGone));
    ensure(is_gone, || format!("to a client that is dead is sent {sent:?}"))?;
    stream.finish();
    Ok(())
}

fn beside_stopped_client(play: &mut Play, mut stream: ReplyStream<'_, Message, Message>) -> Check {
    let done = play.resume()?;
    if play.scene().operation == "drop-replies" {
        let sent = stream.send(message(REPLIES[1]));
        ensure(sent == Err(ReplyError::ClientGone), || format!("to a client that has gone is sent {sent:?}"))?;
        play.release()?;
        return Ok(());
    }
    ensure(done == REPLIES[..1], || format!("the victim reads {done:?}"))?;
    stream.send(message(REPLIES[1])).at("a survivor goes on replying")?;
    ensure(stream.finish(), || "the client is told to have gone".to_string())?;
    let rest = play.release()?;
    ensure(rest == REPLIES[1..], || format!("the victim reads {rest:?}"))
}
