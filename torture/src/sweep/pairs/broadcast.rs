//! Two victims on a lossless broadcast: two publishers, or a publisher and a subscriber.

use super::super::broadcast::{Reader, publish_through};
use super::super::play::Stage;
use super::Operations;
use super::duo::{Duo, Extent, extent};
use crate::check::{Books, CAPACITY, Check, Context, Message, PATIENCE, PAUSE, ensure, in_order, message, number};
use crate::trace::act;
use slipring::{Broadcast, BroadcastTryRecvError, SendTimeoutError, Subscriber, TrySendError};

/// The channel is full but for a slot when the second publishes to the first.
pub(super) const PAIRS: &[Operations] = &[["publish", "publish"], ["publish", "recv"], ["recv", "publish"]];

/// Numbers of messages: before the strike, there for the victims, by either victim, beside a stopped one, by those who come after.
const BEFORE: u64 = 100;
const READY: u64 = 150;
const VICTIMS: [u64; 2] = [200, 201];
const OTHERS: u64 = 400;
const AFTER: u64 = 500;

fn channel(domain: &str) -> Broadcast<Message> {
    Broadcast::new("news").domain(domain).capacity(CAPACITY).lossless()
}

/// The part of either victim.
pub(super) fn victim(stage: &Stage) -> Check {
    let (scene, broadcast) = (stage.scene(), channel(&stage.domain));
    if scene.operation == "publish" {
        let message = message(VICTIMS[usize::from(scene.role == "second")]);
        let mut publisher = broadcast.publisher().at("a victim attaches")?;
        stage.join()?;
        match act(|| publisher.try_send(message))? {
            Ok(()) => stage.done(&[message[0]])?,
            Err(TrySendError::Full(_)) => stage.done(&[])?,
            Err(error) => return Err(format!("a victim publishes: {error:?}")),
        }
        drop(publisher);
        return stage.rest(&[]);
    }
    let mut subscriber = broadcast.subscriber().at("a victim attaches")?;
    stage.join()?;
    let received = act(|| subscriber.try_recv())?;
    stage.done(&numbers(received)?)?;
    stage.rest(&take_all(&mut subscriber)?)
}

fn numbers(received: Result<Option<Message>, BroadcastTryRecvError>) -> Check<Vec<u64>> {
    match received {
        Ok(Some(received)) => Ok(vec![number(received)?]),
        Ok(None) | Err(BroadcastTryRecvError::Empty | BroadcastTryRecvError::PublisherDied(_)) => Ok(Vec::new()),
        Err(error) => Err(format!("a victim receives: {error:?}")),
    }
}

fn take_all(subscriber: &mut Subscriber<Message>) -> Check<Vec<u64>> {
    let mut taken = Vec::new();
    loop {
        let came = numbers(subscriber.try_recv())?;
        if came.is_empty() {
            return Ok(taken);
        }
        taken.extend(came);
    }
}

/// The survivors' part.
pub(super) fn survivors(duo: &mut Duo) -> Check {
    let broadcast = channel(duo.domain());
    let mut one = Reader::new(&broadcast)?;
    let mut tx = broadcast.publisher().at("a publisher attaches")?;
    let mut books = Books::default();
    for number in BEFORE..BEFORE + duo.position() {
        tx.try_send(message(number)).at("a publisher publishes")?;
        ensure(one.take(PATIENCE)?, || "nothing came before the strike".to_string())?;
    }
    duo.enter()?;
    let ready = if duo.pair.operations == ["recv", "publish"] { CAPACITY as u64 - 1 } else { 1 };
    for number in READY..READY + ready {
        tx.try_send(message(number)).at("a publisher publishes")?;
    }
    books.must((BEFORE..BEFORE + duo.position()).chain(READY..READY + ready));
    duo.strike()?;
    if duo.drains_first() {
        match tx.send_timeout(message(OTHERS), PAUSE) {
            Ok(()) => books.must([OTHERS]),
            Err(SendTimeoutError::Timeout(_)) => {}
            Err(error) => return Err(format!("a publisher beside a stopped victim: {error:?}")),
        }
        one.take_until_quiet()?;
    }
    let done = duo.decide()?;
    let rest = if done.is_some() { duo.first.release()? } else { Vec::new() };
    let receives = duo.pair.operations[0] == "recv";
    books.must(done.iter().flatten().copied().filter(|_| !receives));
    book_dead(duo, &mut books);
    let mut late = Reader::new(&broadcast)?;
    for number in AFTER..AFTER + 3 * CAPACITY as u64 {
        publish_through(&mut tx, &mut [&mut one, &mut late], number)?;
        books.must([number]);
    }
    drop(tx);
    for (who, reader) in [("one", &mut one), ("a late one", &mut late)] {
        reader.take_until_end()?;
        duo.saw(who, reader.told());
    }
    if receives {
        let received: Vec<u64> = done.into_iter().flatten().chain(rest).collect();
        check_first(duo, &received, &one.numbers[duo.position() as usize..])?;
    }
    let is_suffix = one.numbers.ends_with(&late.numbers) && late.numbers.len() as u64 >= 3 * CAPACITY as u64;
    ensure(is_suffix, || format!("of {:?} a late subscriber got {:?}", one.numbers, late.numbers))?;
    settle(duo, &books, &one)
}

fn book_dead(duo: &Duo, books: &mut Books) {
    for (who, dead) in duo.dead().filter(|(who, _)| duo.pair.operations[*who] == "publish") {
        match extent(dead) {
            Extent::Nothing => {}
            Extent::Some => books.may([VICTIMS[who]]),
            Extent::All => books.must([VICTIMS[who]]),
        }
    }
}

/// The first, which was stopped while it received, has got what the others got, from the beginning, or nothing if it died.
fn check_first(duo: &Duo, received: &[u64], came: &[u64]) -> Check {
    let is_right = came.starts_with(received) && (!duo.goes_on() || !received.is_empty());
    ensure(is_right, || format!("of {came:?} the stopped one got {received:?}"))
}

fn settle(duo: &Duo, books: &Books, one: &Reader) -> Check {
    books.settle(&one.numbers)?;
    if !duo.goes_on() {
        in_order(&one.numbers)?;
    }
    let dead = duo.dead().filter(|(who, _)| duo.pair.operations[*who] == "publish");
    let (mut deaths, mut unsent) = (0, 0);
    for (who, dead) in dead {
        deaths += 1;
        unsent += u64::from(extent(dead) == Extent::Some && !one.numbers.contains(&VICTIMS[who]));
    }
    let told = (one.missed, one.deaths, one.subscriber.lost());
    let is_right = one.missed == 0 && one.deaths <= deaths && one.subscriber.lost() <= unsent;
    ensure(is_right, || format!("missed, deaths and lost are {told:?}, of {deaths} deaths and {unsent} unsent"))
}
