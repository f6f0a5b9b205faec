//! Queues of messages that vary in length, exclusive and shared: the victim sends or receives.
//!
//! Four messages or so fit before the end of the ring, so that the one at the wrapping slot needs padding. The numbers of
//! messages rise in the order in which they are sent, and their lengths follow from them.

use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{Books, Check, Context, PATIENCE, PAUSE, ensure, in_order};
use crate::trace::act;
use slipring::{OpenError, Queue, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

/// The kind of one sender and one receiver.
pub(crate) const EXCLUSIVE: &str = "queue-any-length-exclusive";
/// The kind of many.
pub(crate) const SHARED: &str = "queue-any-length";

/// Numbers of messages: before the strike, by the victim, by those who come after it.
const BEFORE: u64 = 100;
const VICTIMS: u64 = 200;
const AFTER: u64 = 500;

/// Messages that the receiving victim finds.
const PRELOADED: u64 = 3;

/// Bytes of the ring, of which the longest message takes a fifth.
pub(super) const CAPACITY: usize = 4096;

const SENDING: &[&str] = &["send", "send-copy", "loan-and-drop", "close"];
const RECEIVING: &[&str] = &["recv-boxed", "recv-in-place", "close"];

pub(crate) fn exclusive_scenes() -> Vec<Scene> {
    scenes(EXCLUSIVE)
}

pub(crate) fn shared_scenes() -> Vec<Scene> {
    scenes(SHARED)
}

fn scenes(kind: &'static str) -> Vec<Scene> {
    let scene = |role| move |&operation: &&'static str| Scene { kind, operation, role, has_company: false };
    SENDING.iter().map(scene("sender")).chain(RECEIVING.iter().map(scene("receiver"))).collect()
}

fn channel(scene: Scene, domain: &str) -> Queue<[u64]> {
    let queue = Queue::new("work").domain(domain).capacity(CAPACITY);
    if scene.kind == EXCLUSIVE { queue.spsc() } else { queue }
}

/// Words of the message with this number.
pub(super) fn length(number: u64) -> usize {
    110 + (number % 3) as usize * 7
}

/// One word of it.
pub(super) fn word(number: u64, at: usize) -> u64 {
    number.wrapping_add(at as u64 * 0x9e37_79b9)
}

pub(super) fn message(number: u64) -> Vec<u64> {
    (0..length(number)).map(|at| word(number, at)).collect()
}

/// The number of a message that is whole.
pub(super) fn number(received: &[u64]) -> Check<u64> {
    let number = *received.first().ok_or("a message has no number")?;
    let is_whole =
        received.len() == length(number) && (0..).zip(received).all(|(at, &found)| found == word(number, at));
    if is_whole { Ok(number) } else { Err(format!("{number} is torn: {} words", received.len())) }
}

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let queue = channel(stage.scene(), &stage.domain);
    match stage.scene().role {
        "sender" => victim_sends(stage, queue.sender().at("the victim attaches")?),
        _ => victim_receives(stage, queue.receiver().at("the victim attaches")?),
    }
}

fn victim_sends(stage: &Stage, mut sender: Sender<[u64]>) -> Check {
    let copy = message(VICTIMS);
    stage.join()?;
    let sent: &[u64] = match stage.scene().operation {
        "send" => {
            let send = |sender: &mut Sender<[u64]>| {
                sender.try_loan_len(length(VICTIMS)).map(|mut loan| {
                    loan.iter_mut().enumerate().for_each(|(at, to)| *to = word(VICTIMS, at));
                    loan.send();
                })
            };
            act(|| send(&mut sender))?.at("the victim sends")?;
            &[VICTIMS]
        }
        "send-copy" => act(|| sender.try_send_copy(&copy))?.map(|()| &[VICTIMS][..]).at("the victim sends")?,
        "loan-and-drop" => {
            act(|| sender.try_loan_len(50).map(drop))?.map(|()| &[][..]).at("the victim takes a slot")?
        }
        _ => {
            act(|| drop(sender))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    };
    stage.done(sent)?;
    drop(sender);
    stage.rest(&[])
}

fn victim_receives(stage: &Stage, mut receiver: Receiver<[u64]>) -> Check {
    stage.join()?;
    let received = match stage.scene().operation {
        "recv-boxed" => {
            let received = act(|| receiver.try_recv_boxed())?.at("the victim receives")?.ok_or("an early end")?;
            vec![number(&received)?]
        }
        "recv-in-place" => {
            let look = |receiver: &mut Receiver<[u64]>| {
                receiver.try_recv_ref().map(|received| received.map(|received| received[0]))
            };
            act(|| look(&mut receiver))?.at("the victim receives")?.into_iter().collect()
        }
        _ => {
            act(|| drop(receiver))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    };
    stage.done(&received)?;
    let mut rest = Vec::new();
    loop {
        match receiver.try_recv_boxed() {
            Ok(Some(received)) => rest.push(number(&received)?),
            Ok(None) | Err(TryRecvError::Empty) => break,
            Err(error) => return Err(format!("the victim goes on receiving: {error:?}")),
        }
    }
    drop(receiver);
    stage.rest(&rest)
}

/// What a survivor has received.
#[derive(Debug, Default)]
struct Seen {
    numbers: Vec<u64>,
    deaths: u32,
    ends: u32,
}

impl Seen {
    /// Takes one message, or learns why there is none; `false` if nothing came in time.
    fn take(&mut self, rx: &mut Receiver<[u64]>, limit: Duration) -> Check<bool> {
        match rx.recv_ref_timeout(limit) {
            Ok(Some(received)) => self.numbers.push(number(&received)?),
            Ok(None) => self.ends += 1,
            Err(RecvTimeoutError::SenderDied(_)) => self.deaths += 1,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(error) => return Err(format!("a survivor receives: {error:?}")),
        }
        Ok(true)
    }

    fn take_until_quiet(&mut self, rx: &mut Receiver<[u64]>) -> Check {
        while self.ends == 0 && self.take(rx, PAUSE)? {}
        Ok(())
    }

    fn take_until_end(&mut self, rx: &mut Receiver<[u64]>) -> Check {
        self.ends = 0;
        while self.ends == 0 {
            let came = self.take(rx, PATIENCE)?;
            ensure(came, || format!("every sender has closed, and nobody is told: {self:?}"))?;
        }
        Ok(())
    }
}

/// Sends while receiving what is in the way. The ring is passed more than twice, so all of it can be used.
fn send_through(tx: &mut Sender<[u64]>, rx: &mut Receiver<[u64]>, books: &mut Books, seen: &mut Seen) -> Check {
    for number in AFTER..AFTER + 12 {
        let deadline = Instant::now() + PATIENCE;
        while tx.try_send_copy(&message(number)).is_err() {
            ensure(Instant::now() < deadline, || format!("the channel stays full: {seen:?}"))?;
            seen.take(rx, Duration::from_millis(50))?;
        }
        books.must([number]);
    }
    Ok(())
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let queue = channel(play.scene(), play.domain.name());
    match play.scene().role {
        "sender" => survive_sender(play, &queue),
        _ => survive_receiver(play, &queue),
    }?;
    play.end()
}

/// Sends and receives so many messages that the victim's is at its slot.
fn advance(play: &Play, queue: &Queue<[u64]>, rx: &mut Receiver<[u64]>) -> Check {
    let mut tx = queue.sender().at("the first sender attaches")?;
    for at in 0..play.case.slot.position() {
        tx.try_send_copy(&message(BEFORE + at)).at("the first sender sends")?;
        let received = rx.recv_ref_timeout(PATIENCE).at("the receiver receives")?.ok_or("an early end")?;
        ensure(number(&received)? == BEFORE + at, || "another message came before the strike".to_string())?;
    }
    Ok(())
}

fn survive_sender(play: &mut Play, queue: &Queue<[u64]>) -> Check {
    let scene = play.scene();
    let mut rx = queue.receiver().at("the receiver attaches")?;
    advance(play, queue, &mut rx)?;
    let (mut books, mut seen) = (Books::default(), Seen::default());
    play.enter()?;
    play.strike()?;
    let effect: &[u64] = if scene.operation.starts_with("send") { &[VICTIMS] } else { &[] };
    if play.is_stopped() {
        if !scene.comes_or_goes() && scene.kind == EXCLUSIVE {
            let result = queue.sender();
            let is_refused = matches!(result, Err(OpenError::InUse { .. }));
            ensure(is_refused, || format!("another sender beside the stopped one: {result:?}"))?;
        }
        seen.take_until_quiet(&mut rx)?;
        let is_robbed = seen.deaths > 0 || (seen.ends > 0 && !scene.comes_or_goes());
        ensure(!is_robbed, || format!("a stopped sender is taken for gone: {seen:?}"))?;
        books.must(play.resume()?);
        play.release()?;
    } else {
        play.book(&mut books, effect);
        while play.drains_first() && seen.deaths + seen.ends == 0 {
            let came = seen.take(&mut rx, PATIENCE)?;
            ensure(came, || format!("nobody is told of the death: {seen:?}"))?;
        }
        ensure(seen.ends == 0 || scene.comes_or_goes(), || format!("a death is told as an end: {seen:?}"))?;
    }
    let mut tx = queue.sender().at("a successor attaches")?;
    send_through(&mut tx, &mut rx, &mut books, &mut seen)?;
    drop(tx);
    seen.take_until_end(&mut rx)?;
    play.saw("the receiver", &seen);
    books.settle(&seen.numbers)?;
    in_order(&seen.numbers)?;
    let is_certain = play.is_stopped() || play.progress().is_finished || play.is_untouched() || scene.kind == EXCLUSIVE;
    let most = u64::from(!is_certain && !seen.numbers.contains(&VICTIMS));
    ensure(rx.lost() <= most, || format!("{} messages are reported lost, and {most} can be", rx.lost()))?;
    ensure(seen.deaths <= u32::from(!play.is_stopped()), || format!("{} deaths were reported", seen.deaths))
}

fn survive_receiver(play: &mut Play, queue: &Queue<[u64]>) -> Check {
    let scene = play.scene();
    let mut first = queue.receiver().at("the first receiver attaches")?;
    advance(play, queue, &mut first)?;
    // Before that one leaves: an empty channel that nobody uses goes, and the next one begins at the first slot.
    let mut tx = queue.sender().at("the sender attaches")?;
    drop(first);
    let (mut books, mut seen) = (Books::default(), Seen::default());
    for number in BEFORE + 50..BEFORE + 50 + PRELOADED {
        tx.try_send_copy(&message(number)).at("the sender sends")?;
    }
    play.enter()?;
    play.strike()?;
    let taken = u64::from(scene.operation.starts_with("recv"));
    books.must(BEFORE + 50 + taken..BEFORE + 50 + PRELOADED);
    let in_hand = BEFORE + 50..BEFORE + 50 + taken;
    if play.is_stopped() {
        books.must(in_hand);
        if !scene.comes_or_goes() && scene.kind == EXCLUSIVE {
            let result = queue.receiver();
            let is_refused = matches!(result, Err(OpenError::InUse { .. }));
            ensure(is_refused, || format!("another receiver beside the stopped one: {result:?}"))?;
        }
        seen.numbers.extend(play.resume()?);
        seen.numbers.extend(play.release()?);
    } else if play.is_untouched() {
        books.must(in_hand);
    } else if !play.progress().is_finished {
        books.may(in_hand);
    }
    let mut rx = queue.receiver().at("a successor attaches")?;
    send_through(&mut tx, &mut rx, &mut books, &mut seen)?;
    drop(tx);
    seen.take_until_end(&mut rx)?;
    play.saw("the receivers", &seen);
    books.settle(&seen.numbers)?;
    in_order(&seen.numbers)?;
    ensure(seen.deaths == 0, || "the death of a sender is reported, and none has died".to_string())?;
    ensure(rx.lost() == 0, || format!("{} messages are reported lost", rx.lost()))
}
