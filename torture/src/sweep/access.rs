//! Channels that are not simply a user's own: the victim makes one for a group, or one without a name, which it hands over; or
//! it evicts somebody, or takes the place of somebody evicted.

use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{Check, Context, Message, PATIENCE, PAUSE, ensure, message, number};
use crate::trace::act;
use slipring::inspect::{Eviction, Observer, Participant};
use slipring::private::Private;
use slipring::{OpenError, Queue, Receiver, RecvTimeoutError, Role, SendError};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// The kind's name.
pub(super) const KIND: &str = "access";

/// To make a channel for a group.
const FOR_GROUP: &str = "create-for-group";

/// To make a channel without a name, to hand it over, and to send over it.
const HAND_OVER: &str = "hand-over";

/// To evict a sender.
const EVICT: &str = "evict";

/// To take the place of a sender that was evicted and has left.
const SUCCEED: &str = "succeed-evicted";

/// Messages that the victim sends.
const SENT: u64 = 2;

/// Numbers of messages: by the victim, by those who come after it.
const VICTIMS: u64 = 200;
const AFTER: u64 = 500;

pub(super) fn scenes() -> Vec<Scene> {
    let scene = |operation| Scene { kind: KIND, operation, role: "creator", has_company: false };
    [FOR_GROUP, HAND_OVER, EVICT, SUCCEED].map(scene).into()
}

fn queue(domain: &str) -> Queue<Message> {
    Queue::new("work").domain(domain).capacity(8).spsc()
}

fn group_queue(domain: &str) -> Queue<Message> {
    // SAFETY: takes nothing, and tells a number.
    let group = unsafe { libc::getegid() };
    queue(domain).group(group.to_string())
}

/// Where the two processes meet: a name that goes with the socket.
fn meeting(domain: &str) -> Check<SocketAddr> {
    SocketAddr::from_abstract_name(domain).at("the socket is named")
}

/// A queue on which the one who is evicted shares its side with another.
fn hardened_queue(domain: &str) -> Queue<Message> {
    Queue::new("work").domain(domain).capacity(8).hardened(true)
}

/// The sender on the first line, and somebody who may evict it.
fn first_sender(domain: &str) -> Check<(Observer, Participant)> {
    let observer = Observer::open_in(domain, "work").at("the channel is looked at")?;
    let sender = observer.participants().into_iter().find(|other| other.role == Role::Sender).ok_or("nobody sends")?;
    Ok((observer, sender))
}

/// The victim's part.
pub(super) fn victim(stage: &Stage) -> Check {
    match stage.scene().operation {
        FOR_GROUP => {
            stage.join()?;
            let sender = act(|| group_queue(&stage.domain).sender())?.at("the victim attaches")?;
            stage.done(&[])?;
            drop(sender);
        }
        EVICT => {
            let (observer, sender) = first_sender(&stage.domain)?;
            stage.join()?;
            let eviction = act(|| observer.evict(&sender))?.at("the victim evicts")?;
            ensure(eviction == Eviction::Struck, || format!("the sender is {eviction:?}"))?;
            stage.done(&[])?;
        }
        SUCCEED => {
            stage.join()?;
            let sender = act(|| hardened_queue(&stage.domain).sender())?.at("the victim attaches")?;
            stage.done(&[])?;
            drop(sender);
        }
        _ => {
            let socket = UnixStream::connect_addr(&meeting(&stage.domain)?).at("the victim connects")?;
            stage.join()?;
            let ends = act(|| hand_over(&queue(&stage.domain), &socket))??;
            stage.done(&[])?;
            drop(ends);
        }
    }
    stage.rest(&[])
}

fn hand_over(queue: &Queue<Message>, socket: &UnixStream) -> Check<impl Sized + use<>> {
    let channel = queue.private().at("the victim makes a channel")?;
    channel.send_over(socket).at("the victim hands it over")?;
    let mut sender = channel.sender().at("the victim attaches")?;
    for number in VICTIMS..VICTIMS + SENT {
        sender.send(message(number)).at("the victim sends")?;
    }
    Ok((channel, sender))
}

/// The survivors' part.
pub(super) fn survivors(play: &mut Play) -> Check {
    match play.scene().operation {
        FOR_GROUP => survive_in_group(play),
        EVICT => survive_eviction(play),
        SUCCEED => survive_succession(play),
        _ => survive_hand_over(play),
    }?;
    play.end()
}

/// Whoever comes first afterwards finds a whole channel, or none, and it is one for the group.
fn survive_in_group(play: &mut Play) -> Check {
    play.enter()?;
    play.strike()?;
    let queue = group_queue(play.domain.name());
    let receiver = queue.receiver().at("a receiver attaches")?;
    let info = receiver.info().clone();
    play.saw("the receiver", (info.created, info.mode, info.hardened));
    ensure(info.mode == 0o660 && info.hardened, || format!("the channel's mode is {:o}", info.mode))?;
    ensure(!(info.created && play.progress().is_finished), || "what was made is not there".to_string())?;
    exchange(queue.sender(), receiver)
}

/// The sender is evicted, or it is not; the others go on.
fn survive_eviction(play: &mut Play) -> Check {
    let queue = hardened_queue(play.domain.name());
    let mut evicted = queue.sender().at("the first sender attaches")?;
    let (other, mut receiver) =
        (queue.sender().at("another sender attaches")?, queue.receiver().at("a receiver attaches")?);
    play.enter()?;
    play.strike()?;
    let sent = evicted.send(message(VICTIMS));
    play.saw("the sender", sent.is_ok());
    match sent {
        Err(SendError::Evicted(_)) => {}
        Ok(()) if !play.progress().is_finished => {
            let received = receiver.recv_timeout(PATIENCE).at("a survivor receives")?.ok_or("an early end")?;
            ensure(number(received)? == VICTIMS, || "another message comes".to_string())?;
        }
        sent => return Err(format!("the evicted sends: {:?}", sent.is_ok())),
    }
    drop(evicted);
    exchange(Ok(other), receiver)
}

/// The place of one that was evicted is taken, or it is not; the others go on.
fn survive_succession(play: &mut Play) -> Check {
    let queue = hardened_queue(play.domain.name());
    let evicted = queue.sender().at("the first sender attaches")?;
    let (other, receiver) =
        (queue.sender().at("another sender attaches")?, queue.receiver().at("a receiver attaches")?);
    let (observer, sender) = first_sender(play.domain.name())?;
    let eviction = observer.evict(&sender).at("the first sender is evicted")?;
    ensure(eviction == Eviction::Struck, || format!("the sender is {eviction:?}"))?;
    drop((evicted, observer));
    play.enter()?;
    play.strike()?;
    exchange(Ok(other), receiver)
}

/// The channel comes whole or not at all; a survivor that has it goes on with it, and can hand it on.
fn survive_hand_over(play: &mut Play) -> Check {
    let listener = UnixListener::bind_addr(&meeting(play.domain.name())?).at("the socket is made")?;
    let (victim, queue) =
        (play.enter().and_then(|()| listener.accept().at("the victim comes"))?.0, queue(play.domain.name()));
    victim.set_read_timeout(Some(PATIENCE)).at("the socket gets a limit")?;
    play.strike()?;
    let channel = match queue.receive_from(&victim) {
        Ok(channel) => channel,
        Err(OpenError::Os { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
            return ensure(!play.progress().is_finished, || "what was handed over does not come".to_string());
        }
        Err(error) => return Err(format!("what was handed over is refused: {error}")),
    };
    let mut receiver = channel.receiver().at("a receiver attaches")?;
    let mut came = Vec::new();
    let end = loop {
        match receiver.recv_timeout(PAUSE) {
            Ok(Some(message)) => came.push(number(message)?),
            end => break end,
        }
    };
    play.saw("the receiver", (&came, &end));
    ensure(came.iter().copied().eq(VICTIMS..VICTIMS + came.len() as u64), || format!("{came:?} came"))?;
    let is_told = matches!(end, Err(RecvTimeoutError::SenderDied(_)));
    ensure(is_told || came.is_empty(), || format!("a death is told as {end:?}"))?;
    let is_whole = is_told && came.len() as u64 == SENT;
    ensure(is_whole || !play.progress().is_finished, || format!("of what was sent came {came:?}"))?;
    exchange(hand_on(&queue, &channel)?.sender(), receiver)
}

/// Hands a channel to this very process.
fn hand_on(queue: &Queue<Message>, channel: &Private<Queue<Message>>) -> Check<Private<Queue<Message>>> {
    let (here, there) = UnixStream::pair().at("a pair of sockets is made")?;
    channel.send_over(&here).at("the channel is handed on")?;
    queue.receive_from(&there).at("the channel is taken")
}

/// More than a lap of messages.
fn exchange(sender: Result<slipring::Sender<Message>, OpenError>, mut receiver: Receiver<Message>) -> Check {
    let mut sender = sender.at("a successor attaches")?;
    for sent in AFTER..AFTER + 10 {
        sender.send(message(sent)).at("a successor sends")?;
        let received = receiver.recv_timeout(PATIENCE).at("a survivor receives")?.ok_or("an early end")?;
        let received = number(received)?;
        ensure(received == sent, || format!("{received} comes in place of {sent}"))?;
    }
    Ok(())
}
