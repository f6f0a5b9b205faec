//! Broadcasts of messages that vary in length, lossless and lossy: the victim publishes, or is one of two subscribers.
//!
//! The ring and the messages are those of `tails`.

use super::case::Scene;
use super::play::{Play, Stage};
use super::tails::{CAPACITY, length, message, number, word};
use crate::check::{Books, Check, Context, PATIENCE, PAUSE, ensure, in_order};
use crate::trace::act;
use slipring::{Broadcast, BroadcastRecvTimeoutError, BroadcastTryRecvError, Publisher, Subscriber, TryLoanError};
use std::time::{Duration, Instant};

/// The kind that waits for its subscribers.
pub(crate) const LOSSLESS: &str = "broadcast-any-length";
/// The kind that does not.
pub(crate) const LOSSY: &str = "broadcast-any-length-lossy";

/// Numbers of messages: before the strike, there for the victim, by the victim, beside it, by those who come after it.
const BEFORE: u64 = 100;
const READY: u64 = 150;
const VICTIMS: u64 = 200;
const OTHERS: u64 = 400;
const AFTER: u64 = 500;

/// Messages that the receiving victim finds.
const PRELOADED: u64 = 3;

const PUBLISHING: &[&str] = &["publish", "publish-copy", "loan-and-drop"];
const SUBSCRIBING: &[&str] = &["recv-boxed", "recv-in-place"];

pub(crate) fn lossless_scenes() -> Vec<Scene> {
    scenes(LOSSLESS)
}

pub(crate) fn lossy_scenes() -> Vec<Scene> {
    scenes(LOSSY)
}

fn scenes(kind: &'static str) -> Vec<Scene> {
    let scene = |role, has_company| move |&operation: &&'static str| Scene { kind, operation, role, has_company };
    let publishing = PUBLISHING.iter().map(scene("publisher", false));
    publishing.chain(SUBSCRIBING.iter().map(scene("subscriber", true))).collect()
}

fn channel(scene: Scene, domain: &str) -> Broadcast<[u64]> {
    let broadcast = Broadcast::new("news").domain(domain).capacity(CAPACITY);
    if scene.kind == LOSSY { broadcast.lossy() } else { broadcast.lossless() }
}

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let broadcast = channel(stage.scene(), &stage.domain);
    match stage.scene().role {
        "publisher" => victim_publishes(stage, broadcast.publisher().at("the victim attaches")?),
        _ => victim_subscribes(stage, broadcast.subscriber().at("the victim attaches")?),
    }
}

fn victim_publishes(stage: &Stage, mut publisher: Publisher<[u64]>) -> Check {
    let copy = message(VICTIMS);
    stage.join()?;
    let sent: &[u64] = match stage.scene().operation {
        "publish" => {
            let publish = |publisher: &mut Publisher<[u64]>| {
                publisher.try_loan_len(length(VICTIMS)).map(|mut loan| {
                    loan.iter_mut().enumerate().for_each(|(at, to)| *to = word(VICTIMS, at));
                    loan.send();
                })
            };
            act(|| publish(&mut publisher))?.at("the victim publishes")?;
            &[VICTIMS]
        }
        "publish-copy" => act(|| publisher.try_send_copy(&copy))?.map(|()| &[VICTIMS]).at("the victim publishes")?,
        _ => act(|| publisher.try_loan_len(50).map(drop))?.map(|()| &[]).at("the victim takes room")?,
    };
    stage.done(sent)?;
    drop(publisher);
    stage.rest(&[])
}

fn victim_subscribes(stage: &Stage, mut subscriber: Subscriber<[u64]>) -> Check {
    stage.join()?;
    let received = match stage.scene().operation {
        "recv-boxed" => act(|| subscriber.try_recv_boxed())?,
        _ => act(|| subscriber.try_recv_ref().map(|received| received.map(|received| Box::from(&*received))))?,
    };
    stage.done(&numbers(received)?)?;
    let mut rest = Vec::new();
    loop {
        match numbers(subscriber.try_recv_boxed())? {
            came if came.is_empty() => return stage.rest(&rest),
            came => rest.extend(came),
        }
    }
}

/// The number of what was received, if it was something; or of the messages that were missed, beyond all others.
fn numbers(received: Result<Option<Box<[u64]>>, BroadcastTryRecvError>) -> Check<Vec<u64>> {
    match received {
        Ok(Some(received)) => Ok(vec![number(&received)?]),
        Ok(None) | Err(BroadcastTryRecvError::Empty) => Ok(Vec::new()),
        Err(BroadcastTryRecvError::Lagged { missed }) => Ok(vec![MISSED + missed]),
        Err(error) => Err(format!("the victim receives: {error:?}")),
    }
}

/// Said in place of a number: so many messages were missed.
const MISSED: u64 = 1_000_000;

/// A surviving subscriber, and what it has received.
struct Reader {
    subscriber: Subscriber<[u64]>,
    numbers: Vec<u64>,
    missed: u64,
    deaths: u32,
    ends: u32,
}

impl Reader {
    fn new(broadcast: &Broadcast<[u64]>) -> Check<Self> {
        let subscriber = broadcast.subscriber().at("a subscriber attaches")?;
        Ok(Reader { subscriber, numbers: Vec::new(), missed: 0, deaths: 0, ends: 0 })
    }

    /// Takes one message, or learns why there is none; `false` if nothing came in time.
    fn take(&mut self, limit: Duration) -> Check<bool> {
        match self.subscriber.recv_boxed_timeout(limit) {
            Ok(Some(received)) => self.numbers.push(number(&received)?),
            Ok(None) => self.ends += 1,
            Err(BroadcastRecvTimeoutError::PublisherDied(_)) => self.deaths += 1,
            Err(BroadcastRecvTimeoutError::Lagged { missed }) => self.missed += missed,
            Err(BroadcastRecvTimeoutError::Timeout) => return Ok(false),
            Err(error) => return Err(format!("a survivor receives: {error:?}")),
        }
        Ok(true)
    }

    /// Takes until it has this message.
    fn take_until(&mut self, number: u64) -> Check {
        let deadline = Instant::now() + PATIENCE;
        while self.numbers.last() != Some(&number) {
            ensure(Instant::now() < deadline, || format!("{number} does not come: {}", self.told()))?;
            self.take(Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn take_until_quiet(&mut self) -> Check {
        while self.ends == 0 && self.take(PAUSE)? {}
        Ok(())
    }

    fn take_until_end(&mut self) -> Check {
        self.ends = 0;
        while self.ends == 0 {
            let came = self.take(PATIENCE)?;
            ensure(came, || format!("every publisher has closed, and nobody is told: {}", self.told()))?;
        }
        Ok(())
    }

    fn told(&self) -> String {
        format!("{:?}, {} missed, {} deaths, {} ends", self.numbers, self.missed, self.deaths, self.ends)
    }
}

/// Publishes what the readers take, message by message.
fn publish(tx: &mut Publisher<[u64]>, readers: &mut [&mut Reader], numbers: impl IntoIterator<Item = u64>) -> Check {
    for number in numbers {
        tx.send_copy_timeout(&message(number), PATIENCE).at("a survivor publishes")?;
        readers.iter_mut().try_for_each(|reader| reader.take_until(number))?;
    }
    Ok(())
}

/// More than two laps of messages.
const LAPS: std::ops::Range<u64> = AFTER..AFTER + 12;

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let broadcast = channel(play.scene(), play.domain.name());
    let mut one = Reader::new(&broadcast)?;
    let mut books = Books::default();
    let before = BEFORE..BEFORE + play.case.slot.position();
    books.must(before.clone());
    let mut tx = broadcast.publisher().at("the first publisher attaches")?;
    publish(&mut tx, &mut [&mut one], before)?;
    let mut tx = if play.scene().role == "publisher" {
        drop(tx);
        survive_publisher(play, &broadcast, &mut one, &mut books)?
    } else {
        survive_subscriber(play, &mut tx, &mut one, &mut books)?;
        tx
    };
    let mut late = Reader::new(&broadcast)?;
    publish(&mut tx, &mut [&mut one, &mut late], LAPS)?;
    books.must(LAPS);
    drop(tx);
    for (who, reader) in [("one", &mut one), ("a late one", &mut late)] {
        reader.take_until_end()?;
        play.saw(who, reader.told());
    }
    books.settle(&one.numbers)?;
    in_order(&one.numbers)?;
    ensure(late.numbers.iter().copied().eq(LAPS), || format!("a late subscriber got {:?}", late.numbers))?;
    let is_dead_publisher = play.scene().role == "publisher" && !play.is_stopped();
    ensure(one.deaths <= u32::from(is_dead_publisher), || format!("{} deaths are told", one.deaths))?;
    let is_certain = !is_dead_publisher || play.progress().is_finished || play.is_untouched();
    let (lost, most) = (one.subscriber.lost(), u64::from(!is_certain && !one.numbers.contains(&VICTIMS)));
    ensure(lost <= most, || format!("{lost} messages are reported lost, and {most} can be"))?;
    let missed = if play.scene().kind == LOSSY { lost } else { 0 };
    ensure(one.missed == missed, || format!("{} were missed, and {missed} are to be reported", one.missed))?;
    drop((one, late));
    play.end()
}

/// Returns the publisher that goes on.
fn survive_publisher(
    play: &mut Play,
    broadcast: &Broadcast<[u64]>,
    one: &mut Reader,
    books: &mut Books,
) -> Check<Publisher<[u64]>> {
    play.enter()?;
    play.strike()?;
    let effect: &[u64] = if play.scene().operation.starts_with("publish") { &[VICTIMS] } else { &[] };
    if play.is_stopped() {
        one.take_until_quiet()?;
        ensure(one.deaths + one.ends == 0, || format!("a stopped publisher is taken for gone: {}", one.told()))?;
        books.must(play.resume()?);
        play.release()?;
    } else {
        play.book(books, effect);
        while play.drains_first() && one.deaths == 0 {
            let came = one.take(PATIENCE)?;
            ensure(came && one.ends == 0, || format!("the death is not told: {}", one.told()))?;
        }
    }
    let tx = broadcast.publisher().at("a successor attaches")?;
    one.ends = 0;
    Ok(tx)
}

/// The other subscriber gets everything, and the victim, if it goes on, what it has room for.
fn survive_subscriber(play: &mut Play, tx: &mut Publisher<[u64]>, one: &mut Reader, books: &mut Books) -> Check {
    play.enter()?;
    publish(tx, &mut [one], READY..READY + PRELOADED)?;
    play.strike()?;
    let is_lossless = play.scene().kind == LOSSLESS;
    let mut published: Vec<u64> = (READY..READY + PRELOADED).collect();
    if play.is_stopped() {
        for number in OTHERS..OTHERS + 8 {
            match tx.try_send_copy(&message(number)) {
                Ok(()) => published.push(number),
                Err(TryLoanError::Full(..)) if is_lossless => break,
                Err(error) => return Err(format!("a publisher beside the stopped subscriber: {error:?}")),
            }
            one.take_until(number)?;
        }
        let is_waited_for = published.len() < 8 + PRELOADED as usize;
        ensure(is_waited_for || !is_lossless, || "a stopped subscriber is robbed".to_string())?;
        let mut received = play.resume()?;
        received.extend(play.release()?);
        let missed: u64 = received.iter().filter(|number| **number >= MISSED).map(|number| number - MISSED).sum();
        received.retain(|number| *number < MISSED);
        let is_right = if is_lossless {
            missed == 0 && received == published
        } else {
            received.len() as u64 + missed == published.len() as u64 && received.is_sorted()
        };
        ensure(is_right, || format!("of {published:?} the stopped one got {received:?}, and {missed} missed"))?;
    }
    books.must(published);
    Ok(())
}
