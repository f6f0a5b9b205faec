//! Pipes: the victim has one end, and the survivor the other one.
//!
//! Both directions carry the same messages, so the two ends differ in their roles only. What is called right is the survivor's.

use super::case::Scene;
use super::play::{Play, Stage};
use super::queue::{Seen, send_through};
use crate::check::{Books, CAPACITY, Check, Context, Message, PATIENCE, PAUSE, ensure, in_order, message, number};
use crate::trace::act;
use slipring::{OpenError, Pipe, PipeEnd, RecvTimeoutError, TryRecvError};

/// The kind's name.
pub(crate) const KIND: &str = "pipe";

/// Numbers of messages: before the strike, to the victim, by the victim, by those who come after it.
const BEFORE: u64 = 100;
const TO_VICTIM: u64 = 150;
const VICTIMS: u64 = 200;
const AFTER: u64 = 500;

const OPERATIONS: &[&str] = &["send", "try-recv", "close", "attach"];

pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |role| move |&operation: &&'static str| Scene { kind: KIND, operation, role, has_company: false };
    ["left", "right"].into_iter().flat_map(|role| OPERATIONS.iter().map(scene(role))).collect()
}

fn channel(domain: &str) -> Pipe<Message, Message> {
    Pipe::new("talk").domain(domain).capacity(CAPACITY)
}

type End = PipeEnd<Message, Message>;

/// Opens the victim's end, or the other one.
fn open(pipe: &Pipe<Message, Message>, scene: Scene, is_victims: bool) -> Result<End, OpenError> {
    if (scene.role == "left") == is_victims { pipe.left() } else { pipe.right() }
}

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let pipe = channel(&stage.domain);
    if stage.scene().operation == "attach" {
        stage.join()?;
        let mut left = act(|| open(&pipe, stage.scene(), true))?.at("the victim attaches")?;
        stage.done(&[])?;
        return stage.rest(&take_all(&mut left)?);
    }
    let mut left = open(&pipe, stage.scene(), true).at("the victim attaches")?;
    stage.join()?;
    let done = match stage.scene().operation {
        "send" => {
            act(|| left.try_send(message(VICTIMS)))?.at("the victim sends")?;
            Vec::new()
        }
        "try-recv" => vec![number(act(|| left.try_recv())?.at("the victim receives")?.ok_or("an early end")?)?],
        _ => {
            act(|| drop(left))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    };
    stage.done(&done)?;
    stage.rest(&take_all(&mut left)?)
}

/// Receives what there is.
fn take_all(end: &mut End) -> Check<Vec<u64>> {
    let mut taken = Vec::new();
    loop {
        match end.try_recv() {
            Ok(Some(received)) => taken.push(number(received)?),
            Ok(None) | Err(TryRecvError::Empty) => return Ok(taken),
            Err(error) => return Err(format!("the victim goes on receiving: {error:?}")),
        }
    }
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let (scene, pipe) = (play.scene(), channel(play.domain.name()));
    let mut right = open(&pipe, scene, false).at("the right end attaches")?;
    let mut first = open(&pipe, scene, true).at("the first left end attaches")?;
    for at in 0..play.case.slot.position() {
        first.send(message(BEFORE + at)).at("the first left end sends")?;
        right.send(message(BEFORE + at)).at("the right end sends")?;
        let received = [right.recv_timeout(PATIENCE), first.recv_timeout(PATIENCE)];
        ensure(received == [(); 2].map(|()| Ok(Some(message(BEFORE + at)))), || {
            format!("{received:?} before the strike")
        })?;
    }
    drop(first);
    let (mut to_right, mut to_left) = (Books::default(), Books::default());
    let (mut on_right, mut on_left) = (Seen::default(), Seen::default());
    play.enter()?;
    for number in [TO_VICTIM, TO_VICTIM + 1] {
        right.send(message(number)).at("the right end sends")?;
    }
    play.strike()?;
    book(play, &mut to_right, &mut to_left);
    if play.is_stopped() {
        beside_stopped_end(play, &pipe, &mut right, &mut on_right, &mut on_left)?;
    } else if play.drains_first() {
        while on_right.deaths + on_right.ends == 0 {
            let came = on_right.take(right.halves().1, PATIENCE)?;
            ensure(came, || format!("nobody is told of the death: {on_right:?}"))?;
        }
        ensure(on_right.ends == 0 || scene.comes_or_goes(), || "a death is told as an end".to_string())?;
    }
    on_right.ends = 0;
    let mut left = open(&pipe, scene, true).at("a successor attaches")?;
    for number in AFTER..AFTER + 2 * CAPACITY as u64 {
        send_through(left.halves().0, right.halves().1, number, &mut to_right, &mut on_right)?;
        send_through(right.halves().0, left.halves().1, number, &mut to_left, &mut on_left)?;
    }
    drop(left);
    on_right.take_until_end(right.halves().1)?;
    drop(right);
    play.saw("on the right", &on_right);
    play.saw("on the left", &on_left);
    for (books, seen) in [(to_right, on_right), (to_left, on_left)] {
        books.settle(&seen.numbers)?;
        in_order(&seen.numbers)?;
        ensure(seen.deaths <= u32::from(!play.is_stopped()), || format!("{} deaths are told", seen.deaths))?;
    }
    play.end()
}

/// What has to come in each direction.
fn book(play: &Play, to_right: &mut Books, to_left: &mut Books) {
    let is_certain = play.is_stopped() || play.progress().is_finished;
    let has_received = play.scene().operation == "try-recv" && !play.is_untouched();
    to_left.must([TO_VICTIM + 1]);
    // What a victim that goes on has received is seen as well.
    if play.is_stopped() || !has_received {
        to_left.must([TO_VICTIM]);
    } else if !is_certain {
        to_left.may([TO_VICTIM]);
    }
    if play.scene().operation == "send" {
        if is_certain {
            to_right.must([VICTIMS]);
        } else if !play.is_untouched() {
            to_right.may([VICTIMS]);
        }
    }
}

fn beside_stopped_end(
    play: &mut Play,
    pipe: &Pipe<Message, Message>,
    right: &mut End,
    on_right: &mut Seen,
    on_left: &mut Seen,
) -> Check {
    let comes_or_goes = play.scene().comes_or_goes();
    if !comes_or_goes {
        let result = open(pipe, play.scene(), true);
        let is_refused = matches!(result, Err(OpenError::InUse { .. }));
        ensure(is_refused, || format!("another left end beside the stopped one: {result:?}"))?;
    }
    loop {
        match right.recv_timeout(PAUSE) {
            Ok(Some(received)) => on_right.numbers.push(number(received)?),
            Err(RecvTimeoutError::Timeout) => break,
            Ok(None) if comes_or_goes => break,
            other => return Err(format!("a stopped end is told as {other:?}")),
        }
    }
    on_left.numbers.extend(play.resume()?);
    on_left.numbers.extend(play.release()?);
    Ok(())
}
