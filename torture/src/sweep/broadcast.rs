//! Broadcasts, lossless and lossy: the victim publishes, or is one of several subscribers.

use super::case::Scene;
use super::play::{Play, Stage};
use crate::check::{Books, CAPACITY, Check, Context, Message, PATIENCE, PAUSE, ensure, in_order, message, number};
use crate::trace::act;
use slipring::TrySendError;
use slipring::{Broadcast, BroadcastRecvTimeoutError, BroadcastTryRecvError, Publisher, SendTimeoutError, Subscriber};
use std::time::{Duration, Instant};

/// The kind that waits for its subscribers.
pub(crate) const LOSSLESS: &str = "broadcast-lossless";
/// The kind that does not.
pub(crate) const LOSSY: &str = "broadcast-lossy";

/// Numbers of messages: before the strike, by the victim, by others of its role, by those who come after it.
const BEFORE: u64 = 100;
const VICTIMS: u64 = 200;
const MATES: u64 = 300;
const OTHERS: u64 = 400;
const AFTER: u64 = 500;
const FILLING: u64 = 600;
/// Said in place of a number: so many messages were missed.
const MISSED: u64 = 1_000_000;

const PUBLISHING: &[&str] = &[
    "publish",
    "publish-in-place",
    "loan-and-drop",
    "publish-batch",
    "publish-batch-in-place",
    "loan-batch-and-drop",
    "close",
    "attach",
];
/// To publish one message more. Who is alone claims in fewer steps from the second one on.
const PUBLISH_AGAIN: &str = "publish-again";

const SUBSCRIBING: &[&str] =
    &["try-recv", "recv-in-place", "recv-batch", "recv-batch-in-place", "recv-from-empty", "close", "attach"];

pub(crate) fn lossless_scenes() -> Vec<Scene> {
    scenes(LOSSLESS)
}

pub(crate) fn lossy_scenes() -> Vec<Scene> {
    scenes(LOSSY)
}

fn scenes(kind: &'static str) -> Vec<Scene> {
    let publisher =
        |has_company| move |&operation: &&'static str| Scene { kind, operation, role: "publisher", has_company };
    let subscriber = |&operation| Scene { kind, operation, role: "subscriber", has_company: true };
    let publishing = PUBLISHING.iter().map(publisher(false)).chain(PUBLISHING.iter().map(publisher(true)));
    // In a lossy ring as small as this one, nobody knows of the next slot before it claims it.
    let again = (kind == LOSSLESS).then_some(&PUBLISH_AGAIN).into_iter().map(publisher(false));
    publishing.chain(again).chain(SUBSCRIBING.iter().map(subscriber)).collect()
}

fn channel(scene: Scene, domain: &str) -> Broadcast<Message> {
    let broadcast = Broadcast::new("news").domain(domain).capacity(CAPACITY);
    if scene.kind == LOSSY { broadcast.lossy() } else { broadcast }
}

/// The victim's part.
pub(crate) fn victim(stage: &Stage) -> Check {
    let scene = stage.scene();
    let broadcast = channel(scene, &stage.domain);
    match (scene.role, scene.operation) {
        ("publisher", "attach") => {
            stage.join()?;
            let publisher = act(|| broadcast.publisher())?.at("the victim attaches")?;
            stage.done(&[])?;
            drop(publisher);
            stage.rest(&[])
        }
        ("publisher", _) => victim_publishes(stage, broadcast.publisher().at("the victim attaches")?),
        (_, "attach") => {
            stage.join()?;
            let mut subscriber = act(|| broadcast.subscriber())?.at("the victim attaches")?;
            stage.done(&[])?;
            stage.rest(&take_all(&mut subscriber)?)
        }
        _ => victim_subscribes(stage, broadcast.subscriber().at("the victim attaches")?),
    }
}

fn victim_publishes(stage: &Stage, mut publisher: Publisher<Message>) -> Check {
    if stage.scene().operation == PUBLISH_AGAIN {
        publisher.try_send(message(VICTIMS)).at("the victim publishes its first")?;
    }
    stage.join()?;
    let sent: &[u64] = match stage.scene().operation {
        "publish" => act(|| publisher.try_send(message(VICTIMS)))?.map(|()| &[VICTIMS]).at("the victim publishes")?,
        PUBLISH_AGAIN => {
            act(|| publisher.try_send(message(VICTIMS + 1)))?.map(|()| &[VICTIMS + 1]).at("the victim publishes")?
        }
        "publish-in-place" => {
            let publish = |publisher: &mut Publisher<Message>| {
                publisher.try_loan().map(|mut loan| {
                    *loan = message(VICTIMS);
                    loan.send();
                })
            };
            act(|| publish(&mut publisher))?.map(|()| &[VICTIMS]).at("the victim publishes")?
        }
        "loan-and-drop" => act(|| publisher.try_loan().map(drop))?.map(|()| &[]).at("the victim takes a slot")?,
        "publish-batch" => {
            let batch = [VICTIMS, VICTIMS + 1];
            act(|| publisher.send_batch(batch.map(message)))?.at("the victim publishes")?;
            &[VICTIMS, VICTIMS + 1]
        }
        "publish-batch-in-place" => {
            act(|| publish_in_batches(&mut publisher))?.at("the victim publishes")?;
            &[VICTIMS, VICTIMS + 1]
        }
        "loan-batch-and-drop" => {
            act(|| publisher.try_loan_batch(2).map(drop))?.map(|()| &[]).at("the victim takes slots")?
        }
        _ => {
            act(|| drop(publisher))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    };
    stage.done(sent)?;
    drop(publisher);
    stage.rest(&[])
}

/// Publishes the victim's two messages in place: in one batch, or in two where the ring ends or a batch is not longer.
fn publish_in_batches(publisher: &mut Publisher<Message>) -> Result<(), TrySendError<()>> {
    let mut next = VICTIMS;
    while next < VICTIMS + 2 {
        let mut batch = publisher.try_loan_batch((VICTIMS + 2 - next) as usize)?;
        batch.iter_mut().zip(next..).for_each(|(slot, number)| *slot = message(number));
        next += batch.send() as u64;
    }
    Ok(())
}

fn victim_subscribes(stage: &Stage, mut subscriber: Subscriber<Message>) -> Check {
    stage.join()?;
    let none = BroadcastTryRecvError::Empty;
    let received = match stage.scene().operation {
        "try-recv" => match act(|| subscriber.try_recv())? {
            Ok(Some(received)) => vec![number(received)?],
            Err(BroadcastTryRecvError::Lagged { missed }) => vec![MISSED + missed],
            other => return Err(format!("the victim receives {other:?}")),
        },
        "recv-in-place" => {
            let received = act(|| subscriber.try_recv_ref().map(|guard| guard.map(|guard| *guard)))?;
            match received {
                Ok(Some(received)) => vec![number(received)?],
                Err(BroadcastTryRecvError::Lagged { missed }) => vec![MISSED + missed],
                other => return Err(format!("the victim receives {other:?}")),
            }
        }
        "recv-batch" => {
            let mut batch = Vec::with_capacity(2);
            let lagged = match act(|| subscriber.recv_batch(&mut batch, 2))?.map_err(BroadcastTryRecvError::from) {
                Ok(_) => None,
                Err(BroadcastTryRecvError::Lagged { missed }) => Some(MISSED + missed),
                Err(error) => return Err(format!("the victim receives {error:?}")),
            };
            let numbers = batch.into_iter().map(number).chain(lagged.map(Ok));
            numbers.collect::<Check<_>>()?
        }
        "recv-batch-in-place" => {
            let received = act(|| {
                let mut numbers = Vec::with_capacity(2);
                let batch = subscriber.try_recv_batch_ref(2)?;
                numbers.extend(batch.iter().flatten().map(|message| number(*message)));
                Ok::<_, BroadcastTryRecvError>(numbers)
            })?;
            match received {
                Ok(numbers) => numbers.into_iter().collect::<Check<_>>()?,
                Err(BroadcastTryRecvError::Lagged { missed }) => vec![MISSED + missed],
                Err(error) => return Err(format!("the victim receives {error:?}")),
            }
        }
        "recv-from-empty" => match act(|| subscriber.recv_timeout(Duration::from_millis(1)))? {
            Ok(Some(received)) => vec![number(received)?],
            Err(BroadcastRecvTimeoutError::Timeout) => Vec::new(),
            Err(BroadcastRecvTimeoutError::Lagged { missed }) => vec![MISSED + missed],
            other => return Err(format!("the victim receives {other:?}, not {none:?}")),
        },
        _ => {
            act(|| drop(subscriber))?;
            stage.done(&[])?;
            return stage.rest(&[]);
        }
    };
    stage.done(&received)?;
    stage.rest(&take_all(&mut subscriber)?)
}

/// Receives what there is.
fn take_all(subscriber: &mut Subscriber<Message>) -> Check<Vec<u64>> {
    let mut taken = Vec::new();
    loop {
        match subscriber.try_recv() {
            Ok(Some(received)) => taken.push(number(received)?),
            Ok(None) | Err(BroadcastTryRecvError::Empty) => return Ok(taken),
            Err(BroadcastTryRecvError::Lagged { missed }) => taken.push(MISSED + missed),
            Err(error) => return Err(format!("the victim goes on receiving: {error:?}")),
        }
    }
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let broadcast = channel(play.scene(), play.domain.name());
    match play.scene().role {
        "publisher" => survive_publisher(play, &broadcast),
        _ => survive_subscriber(play, &broadcast),
    }?;
    play.end()
}

/// A surviving subscriber, and what it has received.
pub(super) struct Reader {
    pub(super) subscriber: Subscriber<Message>,
    pub(super) numbers: Vec<u64>,
    pub(super) missed: u64,
    pub(super) deaths: u32,
    pub(super) ends: u32,
}

impl Reader {
    pub(super) fn new(broadcast: &Broadcast<Message>) -> Check<Self> {
        let subscriber = broadcast.subscriber().at("a subscriber attaches")?;
        Ok(Reader { subscriber, numbers: Vec::new(), missed: 0, deaths: 0, ends: 0 })
    }

    /// Takes one message, or learns why there is none; `false` if nothing came in time.
    pub(super) fn take(&mut self, limit: Duration) -> Check<bool> {
        match self.subscriber.recv_timeout(limit) {
            Ok(Some(received)) => self.numbers.push(number(received)?),
            Ok(None) => self.ends += 1,
            Err(BroadcastRecvTimeoutError::PublisherDied(_)) => self.deaths += 1,
            Err(BroadcastRecvTimeoutError::Lagged { missed }) => self.missed += missed,
            Err(BroadcastRecvTimeoutError::Timeout) => return Ok(false),
            Err(error) => return Err(format!("a survivor receives: {error:?}")),
        }
        Ok(true)
    }

    pub(super) fn take_until_complete(&mut self, books: &Books) -> Check {
        let deadline = Instant::now() + PATIENCE;
        while !books.are_complete(&self.numbers) {
            ensure(Instant::now() < deadline, || format!("of {books:?} came only {}", self.told()))?;
            self.take(Duration::from_millis(50))?;
            ensure(self.ends == 0, || format!("the end was told while a publisher lives: {}", self.told()))?;
        }
        Ok(())
    }

    pub(super) fn take_until_quiet(&mut self) -> Check {
        while self.ends == 0 && self.take(PAUSE)? {}
        Ok(())
    }

    pub(super) fn take_until_end(&mut self) -> Check {
        self.ends = 0;
        while self.ends == 0 {
            let came = self.take(PATIENCE)?;
            ensure(came, || format!("every publisher has closed, and nobody is told: {}", self.told()))?;
        }
        Ok(())
    }

    pub(super) fn told(&self) -> String {
        format!("{:?}, {} missed, {} deaths, {} ends", self.numbers, self.missed, self.deaths, self.ends)
    }
}

/// Publishes while the readers receive whatever comes before it.
pub(super) fn publish_through(tx: &mut Publisher<Message>, readers: &mut [&mut Reader], number: u64) -> Check {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match tx.try_send(message(number)) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(_)) => {}
            Err(error) => return Err(format!("a survivor publishes: {error:?}")),
        }
        ensure(Instant::now() < deadline, || "the channel stays full".to_string())?;
        for reader in &mut *readers {
            reader.take(Duration::from_millis(20))?;
        }
    }
}

/// What the victim's operation publishes.
fn effect(operation: &str) -> &'static [u64] {
    match operation {
        "publish" | "publish-in-place" => &[VICTIMS],
        PUBLISH_AGAIN => &[VICTIMS + 1],
        "publish-batch" | "publish-batch-in-place" => &[VICTIMS, VICTIMS + 1],
        _ => &[],
    }
}

fn survive_publisher(play: &mut Play, broadcast: &Broadcast<Message>) -> Check {
    let scene = play.scene();
    let (mut one, mut two) = (Reader::new(broadcast)?, Reader::new(broadcast)?);
    let mut books = Books::default();
    advance(play, broadcast, &mut [&mut one, &mut two], 1)?;
    books.must(BEFORE..BEFORE + play.case.slot.position());
    books.must((scene.operation == PUBLISH_AGAIN).then_some(VICTIMS));
    let mut mate = scene.has_company.then(|| broadcast.publisher()).transpose().at("another publisher attaches")?;
    play.enter()?;
    play.strike()?;
    let mut other = None;
    if play.is_stopped() {
        other = beside_stopped_publisher(play, broadcast, mate.as_mut(), &mut [&mut one, &mut two], &mut books)?;
        play.release()?;
    } else {
        play.book(&mut books, effect(scene.operation));
        if play.drains_first() {
            drain_after_death(play, &mut [&mut one, &mut two])?;
        }
    }
    let mut tx = other.map_or_else(|| broadcast.publisher().at("a successor attaches"), Ok)?;
    (one.ends, two.ends) = (0, 0);
    if let Some(mate) = &mut mate {
        publish_through(mate, &mut [&mut one, &mut two], MATES + 50)?;
        books.must([MATES + 50]);
    }
    if scene.kind == LOSSY {
        // Nobody waits for those who do not read.
        one.take_until_complete(&books)?;
        two.take_until_complete(&books)?;
    }
    let mut late = Reader::new(broadcast)?;
    let mut later = Books::default();
    for number in (AFTER..AFTER + 2).chain(FILLING..FILLING + 2 * CAPACITY as u64) {
        publish_through(&mut tx, &mut [&mut one, &mut two, &mut late], number)?;
        if scene.kind == LOSSY {
            [&mut one, &mut two, &mut late].into_iter().try_for_each(|reader| reader.take(PATIENCE).map(drop))?;
        }
        books.must([number]);
        later.must([number]);
    }
    one.take_until_complete(&books)?;
    two.take_until_complete(&books)?;
    late.take_until_complete(&later)?;
    drop((tx, mate));
    for (who, reader) in [("one", &mut one), ("two", &mut two), ("a late one", &mut late)] {
        reader.take_until_end()?;
        play.saw(who, reader.told());
    }
    later.settle(&late.numbers)?;
    ensure(one.numbers == two.numbers, || "two subscribers have not got the same messages".to_string())?;
    settle_publisher(play, &books, &one)?;
    settle_publisher(play, &books, &two)
}

/// Publishes so many messages that the victim's is at its slot.
fn advance(play: &Play, broadcast: &Broadcast<Message>, readers: &mut [&mut Reader], unread: u64) -> Check {
    let mut tx = broadcast.publisher().at("the first publisher attaches")?;
    let count = play.case.slot.position();
    for at in 0..count {
        tx.try_send(message(BEFORE + at)).at("the first publisher publishes")?;
        for reader in readers.iter_mut().filter(|_| at + unread < count) {
            let came = reader.take(PATIENCE)?;
            ensure(came, || "nothing came before the strike".to_string())?;
        }
    }
    Ok(())
}

/// The others publish and read while the victim is stopped, and then it goes on.
fn beside_stopped_publisher(
    play: &mut Play,
    broadcast: &Broadcast<Message>,
    mate: Option<&mut Publisher<Message>>,
    readers: &mut [&mut Reader],
    books: &mut Books,
) -> Check<Option<Publisher<Message>>> {
    let scene = play.scene();
    let comes_or_goes = scene.comes_or_goes();
    if scene.kind == LOSSY {
        // Nobody waits for those who do not read.
        readers.iter_mut().try_for_each(|reader| reader.take_until_quiet())?;
    }
    let mut other = (!comes_or_goes).then(|| broadcast.publisher()).transpose().at("another publisher attaches")?;
    for (tx, number) in mate.into_iter().map(|mate| (mate, MATES)).chain(other.iter_mut().map(|tx| (tx, OTHERS))) {
        match tx.send_timeout(message(number), PAUSE) {
            Ok(()) => books.must([number]),
            Err(SendTimeoutError::Timeout(_)) => {}
            Err(error) => return Err(format!("a publisher beside the stopped one: {error:?}")),
        }
    }
    for reader in &mut *readers {
        reader.take_until_quiet()?;
        let may_end = comes_or_goes && !scene.has_company;
        let is_robbed = reader.deaths > 0 || reader.missed > 0 || (reader.ends > 0 && !may_end);
        ensure(!is_robbed, || format!("a stopped publisher is taken for gone: {}", reader.told()))?;
        reader.ends = 0;
    }
    books.must(play.resume()?);
    readers.iter_mut().try_for_each(|reader| reader.take_until_complete(books))?;
    Ok(other)
}

/// What the subscribers hear of the death.
fn drain_after_death(play: &Play, readers: &mut [&mut Reader]) -> Check {
    let scene = play.scene();
    for reader in readers {
        if scene.has_company {
            reader.take_until_quiet()?;
            ensure(reader.ends == 0, || format!("the end was told while a publisher lives: {}", reader.told()))?;
        } else {
            while reader.deaths + reader.ends == 0 {
                let came = reader.take(PATIENCE)?;
                ensure(came, || format!("nobody is told of the death: {}", reader.told()))?;
            }
            let is_told = reader.ends == 0 || scene.comes_or_goes();
            ensure(is_told, || format!("a death is told as an end: {}", reader.told()))?;
        }
    }
    Ok(())
}

fn settle_publisher(play: &Play, books: &Books, reader: &Reader) -> Check {
    let scene = play.scene();
    books.settle(&reader.numbers)?;
    let batch = [VICTIMS, VICTIMS + 1].map(|number| reader.numbers.contains(&number));
    ensure(batch != [false, true], || "the second message of a batch came without the first".to_string())?;
    let arrived = effect(scene.operation).iter().filter(|&number| reader.numbers.contains(number)).count() as u64;
    // What one death can cost: the message that was begun, or the batch.
    let (claimed, at_once) = match scene.operation {
        "loan-and-drop" => (1, 1),
        "loan-batch-and-drop" => (2, 2),
        "publish-batch-in-place" => (2, 2),
        operation => (effect(operation).len() as u64, 1),
    };
    let is_certain = play.is_stopped() || play.progress().is_finished || play.is_untouched();
    let (lost, most) = (reader.subscriber.lost(), if is_certain { 0 } else { (claimed - arrived).min(at_once) });
    ensure(lost <= most, || format!("{lost} messages are reported lost, and {most} can be"))?;
    let missed = if scene.kind == LOSSY { lost } else { 0 };
    ensure(reader.missed == missed, || format!("{} were missed, and {missed} are to be reported", reader.missed))?;
    let most = u32::from(!play.is_stopped());
    ensure(reader.deaths <= most, || format!("{} deaths were reported, not {most}", reader.deaths))
}

fn survive_subscriber(play: &mut Play, broadcast: &Broadcast<Message>) -> Check {
    let mut one = Reader::new(broadcast)?;
    advance(play, broadcast, &mut [&mut one], 0)?;
    let mut books = Books::default();
    books.must(BEFORE..BEFORE + play.case.slot.position());
    let mut tx = broadcast.publisher().at("the publisher attaches")?;
    play.enter()?;
    let preloaded = if play.scene().operation == "recv-from-empty" { 0 } else { 3 };
    let mut published: Vec<u64> = (BEFORE + 50..BEFORE + 50 + preloaded).collect();
    for &number in &published {
        tx.try_send(message(number)).at("the publisher publishes")?;
    }
    play.strike()?;
    if play.is_stopped() {
        beside_stopped_subscriber(play, &mut tx, &mut one, &mut published)?;
    }
    books.must(published);
    if play.scene().kind == LOSSY {
        one.take_until_complete(&books)?;
    }
    let mut late = Reader::new(broadcast)?;
    let mut later = Books::default();
    for number in AFTER..AFTER + 3 * CAPACITY as u64 {
        publish_through(&mut tx, &mut [&mut one, &mut late], number)?;
        if play.scene().kind == LOSSY {
            one.take(PATIENCE)?;
            late.take(PATIENCE)?;
        }
        books.must([number]);
        later.must([number]);
    }
    drop(tx);
    for (who, reader, books) in [("one", &mut one, &books), ("a late one", &mut late, &later)] {
        reader.take_until_end()?;
        play.saw(who, reader.told());
        books.settle(&reader.numbers)?;
        in_order(&reader.numbers)?;
        let told = (reader.missed, reader.deaths, reader.subscriber.lost());
        ensure(told == (0, 0, 0), || format!("missed, deaths and lost are {told:?}, and nothing was"))?;
    }
    Ok(())
}

/// A publisher waits for the stopped subscriber of a lossless channel; when that goes on, it gets everything.
fn beside_stopped_subscriber(
    play: &mut Play,
    tx: &mut Publisher<Message>,
    one: &mut Reader,
    published: &mut Vec<u64>,
) -> Check {
    let scene = play.scene();
    let is_lossless = scene.kind == LOSSLESS;
    let most = OTHERS + 3 * CAPACITY as u64;
    for number in OTHERS..most {
        match tx.try_send(message(number)) {
            Ok(()) => published.push(number),
            Err(TrySendError::Full(_)) if is_lossless => {
                one.take_until_quiet()?;
                match tx.send_timeout(message(number), PAUSE) {
                    Ok(()) => published.push(number),
                    Err(SendTimeoutError::Timeout(_)) => break,
                    Err(error) => return Err(format!("the publisher beside a stopped subscriber: {error:?}")),
                }
            }
            Err(error) => return Err(format!("the publisher beside a stopped subscriber: {error:?}")),
        }
        if !is_lossless {
            one.take(PATIENCE)?;
        }
    }
    let is_waited_for = published.last() != Some(&(most - 1));
    ensure(is_waited_for || !is_lossless || scene.comes_or_goes(), || "a stopped subscriber is robbed".to_string())?;
    let mut received = play.resume()?;
    received.extend(play.release()?);
    let missed: u64 = received.iter().filter(|&&number| number >= MISSED).map(|number| number - MISSED).sum();
    received.retain(|number| *number < MISSED);
    let count = received.len() as u64 + missed;
    let is_exact = scene.comes_or_goes() || count == published.len() as u64;
    ensure(is_exact, || format!("of {published:?} the stopped one got {received:?}, and {missed} missed"))?;
    ensure(missed == 0 || !is_lossless, || format!("{missed} messages were missed"))?;
    let first = published.len() - received.len();
    let is_suffix = published[first..] == received[..] || !is_lossless;
    ensure(is_suffix, || format!("of {published:?} the stopped one got {received:?}"))?;
    in_order(&received)
}
