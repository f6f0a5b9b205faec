//! Broadcasts that give up on slow subscribers: the victim publishes over one that does not read, or is that one.

use super::broadcast::{Reader, publish_through};
use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{Books, CAPACITY, Check, Context, Message, PATIENCE, PAUSE, ensure, in_order, message, number};
use crate::trace::act;
use slipring::{Broadcast, BroadcastRecvTimeoutError, BroadcastTryRecvError, Publisher, Subscriber, TrySendError};
use std::thread;
use std::time::Duration;

/// The kind's name.
pub(crate) const KIND: &str = "broadcast-evicting";

/// Numbers of messages: before the strike, there for the slow one, by the victim, beside it, by those who come after it.
const BEFORE: u64 = 100;
const READY: u64 = 150;
const VICTIMS: u64 = 200;
const OTHERS: u64 = 400;
const AFTER: u64 = 500;

/// Said in place of a number: it was evicted.
const EVICTED: u64 = 1;

/// How long a publisher waits for one that does not read.
const LIMIT: Duration = Duration::from_millis(30);

const PUBLISHING: &[&str] = &["publish", "publish-in-place"];
const SUBSCRIBING: &[&str] = &["try-recv", "recv-in-place", "recv-batch"];

pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |role| move |&operation: &&'static str| Scene { kind: KIND, operation, role, has_company: true };
    PUBLISHING.iter().map(scene("publisher")).chain(SUBSCRIBING.iter().map(scene("subscriber"))).collect()
}

fn channel(domain: &str) -> Broadcast<Message> {
    Broadcast::new("news").domain(domain).capacity(CAPACITY).lossless().evict_after(LIMIT)
}

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let broadcast = channel(&stage.domain);
    match stage.scene().role {
        "publisher" => victim_publishes(stage, broadcast.publisher().at("the victim attaches")?),
        _ => victim_subscribes(stage, broadcast.subscriber().at("the victim attaches")?),
    }
}

fn victim_publishes(stage: &Stage, mut publisher: Publisher<Message>) -> Check {
    // It learns who holds it up, and is to give up on that one if it is held up again after the limit, for which publishers
    // look about every 50 ms.
    let refused = publisher.try_send(message(VICTIMS));
    ensure(matches!(refused, Err(TrySendError::Full(_))), || format!("nobody holds the victim up: {refused:?}"))?;
    thread::sleep(PAUSE);
    stage.join()?;
    if stage.scene().operation == "publish" {
        act(|| publisher.try_send(message(VICTIMS)))?.at("the victim publishes")?;
    } else {
        let publish = |publisher: &mut Publisher<Message>| {
            publisher.try_loan().map(|mut loan| {
                *loan = message(VICTIMS);
                loan.send();
            })
        };
        act(|| publish(&mut publisher))?.at("the victim publishes")?;
    }
    stage.done(&[VICTIMS])?;
    drop(publisher);
    stage.rest(&[])
}

fn victim_subscribes(stage: &Stage, mut subscriber: Subscriber<Message>) -> Check {
    stage.join()?;
    let received = match stage.scene().operation {
        "try-recv" => numbers(act(|| subscriber.try_recv())?.map(|received| received.into_iter().collect()))?,
        "recv-in-place" => {
            let received = act(|| subscriber.try_recv_ref().map(|received| received.map(|received| *received)))?;
            numbers(received.map(|received| received.into_iter().collect()))?
        }
        _ => {
            let mut batch = Vec::with_capacity(2);
            let result = act(|| subscriber.try_recv_batch(&mut batch, 2))?;
            numbers(result.map(|_| batch))?
        }
    };
    stage.done(&received)?;
    let mut rest = Vec::new();
    loop {
        let came = numbers(subscriber.try_recv().map(|received| received.into_iter().collect()))?;
        rest.extend(&came);
        if came.is_empty() || came == [EVICTED] {
            return stage.rest(&rest);
        }
    }
}

/// The numbers of what was received, or what stands for the report of an eviction.
fn numbers(received: Result<Vec<Message>, BroadcastTryRecvError>) -> Check<Vec<u64>> {
    match received {
        Ok(received) => received.into_iter().map(number).collect(),
        Err(BroadcastTryRecvError::Empty) => Ok(Vec::new()),
        Err(BroadcastTryRecvError::Evicted) => Ok(vec![EVICTED]),
        Err(error) => Err(format!("the victim receives: {error:?}")),
    }
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let broadcast = channel(play.domain.name());
    let mut swift = Reader::new(&broadcast)?;
    let mut tx = broadcast.publisher().at("a publisher attaches")?;
    let mut books = Books::default();
    publish(&mut tx, &mut [&mut swift], BEFORE..BEFORE + play.case.slot.position(), &mut books)?;
    if play.scene().role == "publisher" {
        survive_publisher(play, &broadcast, &mut tx, &mut swift, &mut books)?;
    } else {
        survive_subscriber(play, &mut tx, &mut swift, &mut books)?;
    }
    let mut late = Reader::new(&broadcast)?;
    let mut later = Books::default();
    for number in AFTER..AFTER + 3 * CAPACITY as u64 {
        publish_through(&mut tx, &mut [&mut swift, &mut late], number)?;
        books.must([number]);
        later.must([number]);
    }
    drop(tx);
    for (who, reader, books) in [("the swift one", &mut swift, &books), ("a late one", &mut late, &later)] {
        reader.take_until_end()?;
        play.saw(who, reader.told());
        books.settle(&reader.numbers)?;
    }
    if !play.is_stopped() {
        in_order(&swift.numbers)?;
    }
    let is_uncertain = play.scene().role == "publisher" && !play.is_stopped() && !swift.numbers.contains(&VICTIMS);
    let told = (swift.missed, u64::from(swift.deaths), swift.subscriber.lost());
    let most = (0, u64::from(!play.is_stopped()), u64::from(is_uncertain));
    let is_right = told.0 == 0 && told.1 <= most.1 && told.2 <= most.2;
    ensure(is_right, || format!("missed, deaths and lost are {told:?}, and {most:?} can be"))?;
    drop((swift, late));
    play.end()
}

/// Publishes what those who read take, message by message, whoever else does not.
fn publish(
    tx: &mut Publisher<Message>,
    readers: &mut [&mut Reader],
    numbers: impl IntoIterator<Item = u64>,
    books: &mut Books,
) -> Check {
    for number in numbers {
        tx.send_timeout(message(number), PATIENCE).at("a publisher is held up by one that does not read")?;
        books.must([number]);
        for reader in &mut *readers {
            reader.take(PATIENCE)?;
        }
    }
    Ok(())
}

/// Somebody does not read, and the victim gives up on him, or somebody else does.
fn survive_publisher(
    play: &mut Play,
    broadcast: &Broadcast<Message>,
    tx: &mut Publisher<Message>,
    swift: &mut Reader,
    books: &mut Books,
) -> Check {
    let mut slow = broadcast.subscriber().at("the slow subscriber attaches")?;
    publish(tx, &mut [swift], READY..READY + CAPACITY as u64, books)?;
    play.enter()?;
    play.strike()?;
    if play.is_stopped() {
        tx.send_timeout(message(OTHERS), PATIENCE).at("a publisher beside the stopped one")?;
        books.must([OTHERS]);
        swift.take_until_quiet()?;
        ensure(swift.deaths + swift.ends == 0, || format!("a stopped publisher is taken for gone: {}", swift.told()))?;
        books.must(play.resume()?);
        play.release()?;
    } else {
        play.book(books, &[VICTIMS]);
        if play.drains_first() {
            swift.take_until_quiet()?;
        }
    }
    publish_through(tx, &mut [swift], OTHERS + 1)?;
    books.must([OTHERS + 1]);
    // What it had not read may have been overwritten since.
    let told = slow.recv_timeout(PATIENCE);
    let is_told = matches!(told, Err(BroadcastRecvTimeoutError::Evicted));
    ensure(is_told, || format!("the subscriber that was given up on is told {told:?}"))
}

/// The victim is given up on, wherever in its operation it is: it gets whole messages from the first on, and is told then.
fn survive_subscriber(play: &mut Play, tx: &mut Publisher<Message>, swift: &mut Reader, books: &mut Books) -> Check {
    play.enter()?;
    publish(tx, &mut [swift], READY..READY + CAPACITY as u64, books)?;
    play.strike()?;
    publish(tx, &mut [swift], OTHERS..OTHERS + 2 * CAPACITY as u64, books)?;
    if !play.is_stopped() {
        return Ok(());
    }
    let mut received = play.resume()?;
    received.extend(play.release()?);
    let published = (READY..READY + CAPACITY as u64).chain(OTHERS..);
    let count = received.iter().take_while(|number| **number != EVICTED).count();
    let is_beginning = received.iter().copied().take(count).eq(published.take(count));
    let is_told = received.len() > count && received[count..].iter().all(|number| *number == EVICTED);
    ensure(is_beginning && is_told, || format!("the evicted one gets {received:?}"))
}
