//! Queues, exclusive and shared: the victim sends or receives, alone or among others.
//!
//! The numbers of messages say who sent them, and rise in the order in which they are sent.

mod victim;

pub(crate) use victim::victim;

use super::case::{Scene, Slot};
use super::play::{Play, Stage};
use crate::check::{Books, CAPACITY, Check, Context, Message, PATIENCE, PAUSE, ensure, in_order, message, number};
use slipring::{OpenError, Queue, Receiver, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, TrySendError};
use std::time::{Duration, Instant};

/// The kind of one sender and one receiver.
pub(crate) const EXCLUSIVE: &str = "queue-exclusive";
/// The kind of many.
pub(crate) const SHARED: &str = "queue";

/// Numbers of messages: before the strike, by the victim, by others of its role, by those who come after it.
const BEFORE: u64 = 100;
const VICTIMS: u64 = 200;
const MATES: u64 = 300;
const OTHERS: u64 = 400;
const AFTER: u64 = 500;
const FILLING: u64 = 600;

/// To send over a channel that is full, in vain.
const ON_FULL: &str = "send-on-full";

/// To receive over a channel on which nothing is delivered twice.
const GIVEN_UP: &str = "recv-given-up";

/// To publish two messages together, in place.
const LOAN_BATCH: &str = "loan-batch";

/// To take two slots, publish one and give the other one back.
const LOAN_TOO_MANY: &str = "loan-batch-and-send-first";

/// To receive two messages together, in place.
const RECV_BATCH: &str = "recv-batch-in-place";

/// The same where nothing is delivered twice.
const BATCH_GIVEN_UP: &str = "recv-batch-given-up";

/// To send one message more. Who is alone claims in fewer steps from the second one on.
const SEND_AGAIN: &str = "send-again";

/// To receive one message more.
const RECV_AGAIN: &str = "recv-again";

const OPERATIONS: &[(&str, &[&str])] = &[
    ("sender", &["send", "send-in-place", "loan-and-drop", "send-batch", "close", "attach"]),
    ("sender", &[ON_FULL]),
    ("receiver", &["try-recv", "recv-in-place", "recv-batch", "recv-from-empty", "close", "attach"]),
    ("receiver", &[GIVEN_UP]),
    ("sender", BATCHES),
    ("receiver", BATCHES_TAKEN),
    ("sender", &[SEND_AGAIN]),
    ("receiver", &[RECV_AGAIN]),
    ("participant", &["create", "close-last"]),
];

/// Batches in place, which are claimed as one among others.
const BATCHES: &[&str] = &[LOAN_BATCH, LOAN_TOO_MANY];
const BATCHES_TAKEN: &[&str] = &[RECV_BATCH, BATCH_GIVEN_UP];

pub(crate) fn exclusive_scenes() -> Vec<Scene> {
    scenes(EXCLUSIVE, &[false])
}

pub(crate) fn shared_scenes() -> Vec<Scene> {
    scenes(SHARED, &[false, true])
}

fn scenes(kind: &'static str, companies: &[bool]) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for &has_company in companies {
        for &(role, operations) in OPERATIONS {
            let is_meant = match operations {
                // With others, the channel would not be full for long.
                [ON_FULL] => !has_company,
                [SEND_AGAIN] | [RECV_AGAIN] => kind == SHARED && !has_company,
                [GIVEN_UP] | BATCHES | BATCHES_TAKEN => kind == SHARED,
                _ => role != "participant" || !has_company,
            };
            let scene = |&operation| Scene { kind, operation, role, has_company };
            scenes.extend(operations.iter().filter(|_| is_meant).map(scene));
        }
    }
    scenes
}

fn channel(scene: Scene, domain: &str) -> Queue<Message> {
    let queue = Queue::new("work").domain(domain).capacity(CAPACITY);
    match scene {
        Scene { kind: EXCLUSIVE, .. } => queue.spsc(),
        Scene { operation: GIVEN_UP | BATCH_GIVEN_UP, .. } => queue.redeliver(false),
        _ => queue,
    }
}

/// The survivors' part.
pub(crate) fn survivors(play: &mut Play) -> Check {
    let queue = channel(play.scene(), play.domain.name());
    match play.scene().role {
        "sender" => survive_sender(play, &queue),
        "receiver" => survive_receiver(play, &queue),
        _ => survive_loner(play, &queue),
    }?;
    play.end()
}

/// What a survivor has received.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) numbers: Vec<u64>,
    pub(super) deaths: u32,
    pub(super) ends: u32,
}

impl Seen {
    /// Takes one message, or learns why there is none; `false` if nothing came in time.
    pub(super) fn take(&mut self, rx: &mut Receiver<Message>, limit: Duration) -> Check<bool> {
        match rx.recv_timeout(limit) {
            Ok(Some(received)) => self.numbers.push(number(received)?),
            Ok(None) => self.ends += 1,
            Err(RecvTimeoutError::SenderDied(_)) => self.deaths += 1,
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(error) => return Err(format!("a survivor receives: {error:?}")),
        }
        Ok(true)
    }

    /// Takes until everything that the books require is there.
    fn take_until_complete(&mut self, rx: &mut Receiver<Message>, books: &Books) -> Check {
        let deadline = Instant::now() + PATIENCE;
        while !books.are_complete(&self.numbers) {
            ensure(Instant::now() < deadline, || format!("of {books:?} came only {self:?}"))?;
            self.take(rx, Duration::from_millis(50))?;
            ensure(self.ends == 0, || format!("the end was told while a sender lives: {self:?}"))?;
        }
        Ok(())
    }

    /// Takes until nothing comes for a while.
    fn take_until_quiet(&mut self, rx: &mut Receiver<Message>) -> Check {
        while self.ends == 0 && self.take(rx, PAUSE)? {}
        Ok(())
    }

    /// Takes until the end, which has to be told.
    pub(super) fn take_until_end(&mut self, rx: &mut Receiver<Message>) -> Check {
        self.ends = 0;
        while self.ends == 0 {
            let came = self.take(rx, PATIENCE)?;
            ensure(came, || format!("every sender has closed, and nobody is told: {self:?}"))?;
        }
        Ok(())
    }
}

/// Opens the other ends, and sends so many messages that the victim's is at its slot.
fn advance(play: &mut Play, queue: &Queue<Message>, rx: &mut Receiver<Message>, unread: u64) -> Check {
    let mut tx = queue.sender().at("the first sender attaches")?;
    let count = play.case.slot.position();
    for at in 0..count {
        tx.try_send(message(BEFORE + at)).at("the first sender sends")?;
        if at + unread < count {
            let received = rx.recv_timeout(PATIENCE).at("the receiver receives")?;
            ensure(received == Some(message(BEFORE + at)), || format!("{received:?} came before the strike"))?;
        }
    }
    Ok(())
}

/// Sends until the channel is full: there has to be room for as many messages as it holds.
pub(super) fn fill(tx: &mut Sender<Message>, books: &mut Books, from: u64) -> Check {
    for at in 0..=CAPACITY as u64 {
        match tx.try_send(message(from + at)) {
            Ok(()) => books.must([from + at]),
            Err(TrySendError::Full(_)) => {
                return ensure(at == CAPACITY as u64, || format!("the channel holds only {at} messages now"));
            }
            Err(error) => return Err(format!("a survivor fills the channel: {error:?}")),
        }
    }
    Err("the channel holds more messages than its capacity".to_string())
}

/// What the victim's operation sends. A batch in place ends where the ring does.
fn effect(operation: &str, slot: Slot) -> &'static [u64] {
    match operation {
        "send" | "send-in-place" | LOAN_TOO_MANY => &[VICTIMS],
        LOAN_BATCH if slot == Slot::Last => &[VICTIMS],
        "send-batch" | LOAN_BATCH => &[VICTIMS, VICTIMS + 1],
        SEND_AGAIN => &[VICTIMS + 1],
        _ => &[],
    }
}

/// How many slots the victim's operation claims at a time, at most.
fn claimed(operation: &str, slot: Slot) -> u64 {
    match operation {
        "loan-and-drop" => 1,
        LOAN_TOO_MANY if slot == Slot::Last => 1,
        LOAN_TOO_MANY => 2,
        _ => effect(operation, slot).len() as u64,
    }
}

fn survive_sender(play: &mut Play, queue: &Queue<Message>) -> Check {
    let scene = play.scene();
    let mut rx = queue.receiver().at("the receiver attaches")?;
    advance(play, queue, &mut rx, 1)?;
    let (mut books, mut seen) = (Books::default(), Seen::default());
    books.must((play.case.slot.position() > 0).then(|| BEFORE + play.case.slot.position() - 1));
    books.must((scene.operation == SEND_AGAIN).then_some(VICTIMS));
    if scene.operation == ON_FULL {
        let mut first = queue.sender().at("the first sender attaches")?;
        for number in BEFORE + 50.. {
            match first.try_send(message(number)) {
                Ok(()) => books.must([number]),
                Err(TrySendError::Full(_)) => break,
                Err(error) => return Err(format!("the first sender fills the channel: {error:?}")),
            }
        }
    }
    let mut mate = scene.has_company.then(|| queue.sender()).transpose().at("another sender attaches")?;
    play.enter()?;
    play.strike()?;
    let mut tx = if play.is_stopped() {
        let other = beside_stopped_sender(play, queue, mate.as_mut(), &mut rx, &mut books, &mut seen)?;
        seen.take_until_complete(&mut rx, &books)?;
        play.release()?;
        other.map_or_else(|| queue.sender().at("a successor attaches"), Ok)?
    } else {
        play.book(&mut books, effect(scene.operation, play.case.slot));
        after_killed_sender(play, queue, &mut rx, &mut seen)?
    };
    if let Some(mate) = &mut mate {
        mate.send_timeout(message(MATES + 50), PATIENCE).at("another sender sends")?;
        books.must([MATES + 50]);
    }
    for number in AFTER..AFTER + 2 {
        send_through(&mut tx, &mut rx, number, &mut books, &mut seen)?;
    }
    fill(&mut tx, &mut books, FILLING)?;
    drop((tx, mate));
    seen.take_until_end(&mut rx)?;
    play.saw("the receiver", &seen);
    settle_sender(play, &books, &seen, rx.lost())
}

/// The survivors work while the victim is stopped, and then it goes on. Returns a sender that has joined meanwhile.
fn beside_stopped_sender(
    play: &mut Play,
    queue: &Queue<Message>,
    mate: Option<&mut Sender<Message>>,
    rx: &mut Receiver<Message>,
    books: &mut Books,
    seen: &mut Seen,
) -> Check<Option<Sender<Message>>> {
    let scene = play.scene();
    // Whoever is stopped on its way in or out may hold the lock that all who come need.
    let mut other = None;
    if !scene.comes_or_goes() {
        match queue.sender() {
            Err(OpenError::InUse { .. }) if scene.kind == EXCLUSIVE => {}
            Ok(sender) if scene.kind == SHARED => other = Some(sender),
            result => return Err(format!("another sender beside the stopped one: {result:?}")),
        }
    }
    for (sender, number) in mate.into_iter().map(|mate| (mate, MATES)).chain(other.iter_mut().map(|tx| (tx, OTHERS))) {
        match sender.send_timeout(message(number), PAUSE) {
            Ok(()) => books.must([number]),
            Err(SendTimeoutError::Timeout(_)) => {}
            Err(error) => return Err(format!("a sender beside the stopped one: {error:?}")),
        }
    }
    seen.take_until_quiet(rx)?;
    // A victim that has closed, or has not yet come, is no sender.
    let is_closed = seen.ends == 1 && scene.comes_or_goes() && !scene.has_company;
    ensure(seen.deaths == 0, || format!("a stopped sender is taken for dead: {seen:?}"))?;
    ensure(seen.ends == 0 || is_closed, || format!("the end was told while a sender lives: {seen:?}"))?;
    seen.ends = 0;
    books.must(play.resume()?);
    Ok(other)
}

/// What the receiver hears of the death, and the successor.
fn after_killed_sender(
    play: &mut Play,
    queue: &Queue<Message>,
    rx: &mut Receiver<Message>,
    seen: &mut Seen,
) -> Check<Sender<Message>> {
    let scene = play.scene();
    if play.drains_first() {
        if scene.has_company {
            seen.take_until_quiet(rx)?;
            ensure(seen.ends == 0, || format!("the end was told while a sender lives: {seen:?}"))?;
        } else {
            while seen.deaths + seen.ends == 0 {
                let came = seen.take(rx, PATIENCE)?;
                ensure(came, || format!("nobody is told of the death: {seen:?}"))?;
            }
            let is_certain = !scene.comes_or_goes();
            ensure(seen.ends == 0 || !is_certain, || format!("a death is told as an end: {seen:?}"))?;
        }
    }
    let tx = queue.sender().at("a successor attaches")?;
    let has_predecessor = tx.info().predecessor.is_some();
    let must_have = scene.kind == EXCLUSIVE && !scene.comes_or_goes();
    ensure(has_predecessor || !must_have, || "the successor does not know its predecessor".to_string())?;
    seen.ends = 0;
    Ok(tx)
}

fn settle_sender(play: &Play, books: &Books, seen: &Seen, lost: u64) -> Check {
    let scene = play.scene();
    books.settle(&seen.numbers)?;
    if !play.is_stopped() {
        in_order(
            &seen
                .numbers
                .iter()
                .map(|&number| if number == MATES + 50 { AFTER - 1 } else { number })
                .collect::<Vec<_>>(),
        )?;
    }
    let batch = [VICTIMS, VICTIMS + 1].map(|number| seen.numbers.contains(&number));
    // What is published together is so from the last message to the first.
    let may_be_alone = scene.operation == LOAN_BATCH;
    ensure(batch != [false, true] || may_be_alone, || "the second message of a batch came without the first".into())?;
    let arrived =
        effect(scene.operation, play.case.slot).iter().filter(|&number| seen.numbers.contains(number)).count() as u64;
    let is_certain = play.is_stopped() || play.progress().is_finished || play.is_untouched() || scene.kind == EXCLUSIVE;
    let most = if is_certain { 0 } else { claimed(scene.operation, play.case.slot) - arrived };
    ensure(lost <= most, || format!("{lost} messages are reported lost, and {most} can be"))?;
    let most = u32::from(!play.is_stopped());
    ensure(seen.deaths <= most, || format!("{} deaths were reported, not {most}", seen.deaths))
}

fn survive_receiver(play: &mut Play, queue: &Queue<Message>) -> Check {
    let scene = play.scene();
    let mut first = queue.receiver().at("the first receiver attaches")?;
    advance(play, queue, &mut first, 0)?;
    // Before that one leaves: an empty channel that nobody uses goes, and the next one begins at the first slot.
    let mut tx = queue.sender().at("the sender attaches")?;
    drop(first);
    let mut mate = scene.has_company.then(|| queue.receiver()).transpose().at("another receiver attaches")?;
    let preloaded = if scene.operation == "recv-from-empty" { 0 } else { 3 };
    let (mut books, mut seen) = (Books::default(), Seen::default());
    for number in BEFORE + 50..BEFORE + 50 + preloaded {
        tx.try_send(message(number)).at("the sender sends")?;
    }
    play.enter()?;
    play.strike()?;
    // What the victim had received before.
    let first = BEFORE + 50 + u64::from(scene.operation == RECV_AGAIN);
    let end = BEFORE + 50 + preloaded;
    if play.is_stopped() {
        books.must(first..end);
        beside_stopped_receiver(play, queue, &mut tx, mate.as_mut(), &mut books, &mut seen)?;
    } else {
        let taken = first + effect_of_receiving(scene.operation, play.case.slot).min(preloaded);
        books.must(taken..end);
        if play.is_untouched() {
            books.must(first..taken);
        } else if !play.progress().is_finished {
            books.may(first..taken);
        }
        after_killed_receiver(play, &mut tx, mate.as_mut(), &mut books, &mut seen)?;
    }
    let mut rx = queue.receiver().at("a successor attaches")?;
    send_through(&mut tx, &mut rx, AFTER, &mut books, &mut seen)?;
    drop(tx);
    seen.take_until_end(&mut rx)?;
    let mut tx = queue.sender().at("a new sender attaches")?;
    fill(&mut tx, &mut books, FILLING)?;
    drop(tx);
    seen.take_until_end(&mut rx)?;
    play.saw("the receivers", &seen);
    books.settle(&seen.numbers)?;
    if scene.kind == EXCLUSIVE && !play.is_stopped() {
        in_order(&seen.numbers)?;
    }
    ensure(seen.deaths == 0, || "the death of a sender is reported, and none has died".to_string())?;
    let may_be_lost = [GIVEN_UP, BATCH_GIVEN_UP].contains(&scene.operation);
    let taken = effect_of_receiving(scene.operation, play.case.slot);
    let given_up = if may_be_lost && !play.is_stopped() && !play.progress().is_finished {
        (BEFORE + 50..BEFORE + 50 + taken).filter(|number| !seen.numbers.contains(number)).count() as u64
    } else {
        0
    };
    // One that the dead had received, and not yet noted, is neither there nor lost.
    ensure(rx.lost() <= given_up, || format!("{} messages are reported lost, and {given_up} can be", rx.lost()))
}

/// How many messages the victim's operation takes. A batch in place ends where the ring does.
fn effect_of_receiving(operation: &str, slot: Slot) -> u64 {
    match operation {
        "try-recv" | "recv-in-place" | GIVEN_UP | RECV_AGAIN => 1,
        RECV_BATCH | BATCH_GIVEN_UP if slot == Slot::Last => 1,
        "recv-batch" | RECV_BATCH | BATCH_GIVEN_UP => 2,
        _ => 0,
    }
}

/// Nobody is robbed while the victim is stopped; what it receives when it goes on is seen as well.
fn beside_stopped_receiver(
    play: &mut Play,
    queue: &Queue<Message>,
    tx: &mut Sender<Message>,
    mate: Option<&mut Receiver<Message>>,
    books: &mut Books,
    seen: &mut Seen,
) -> Check {
    let scene = play.scene();
    if !scene.comes_or_goes() && scene.kind == EXCLUSIVE {
        let result = queue.receiver();
        let is_refused = matches!(result, Err(OpenError::InUse { .. }));
        ensure(is_refused, || format!("another receiver beside the stopped one: {result:?}"))?;
    }
    for number in OTHERS..OTHERS + CAPACITY as u64 {
        match tx.try_send(message(number)) {
            Ok(()) => books.must([number]),
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => break,
            Err(error) => return Err(format!("the sender beside a stopped receiver: {error:?}")),
        }
    }
    match tx.send_timeout(message(AFTER - 1), PAUSE) {
        Ok(()) => books.must([AFTER - 1]),
        Err(SendTimeoutError::Timeout(_)) => {}
        Err(SendTimeoutError::Closed(_)) if scene.comes_or_goes() => {}
        Err(error) => return Err(format!("the sender beside a stopped receiver: {error:?}")),
    }
    if let Some(mate) = mate {
        seen.take_until_quiet(mate)?;
        // The victim waits for a message if it has none in hand and the other one took them all.
        for number in AFTER - 3..AFTER - 1 {
            if tx.try_send(message(number)).is_ok() {
                books.must([number]);
            }
        }
    }
    seen.numbers.extend(play.resume()?);
    seen.numbers.extend(play.release()?);
    Ok(())
}

/// What the sender hears of the death, and what another receiver takes.
fn after_killed_receiver(
    play: &Play,
    tx: &mut Sender<Message>,
    mate: Option<&mut Receiver<Message>>,
    books: &mut Books,
    seen: &mut Seen,
) -> Check {
    if !play.drains_first() {
        return Ok(());
    }
    if let Some(mate) = mate {
        return seen.take_until_quiet(mate);
    }
    let comes_or_goes = play.scene().comes_or_goes();
    for number in OTHERS.. {
        match tx.send_timeout(message(number), if comes_or_goes { PAUSE } else { PATIENCE }) {
            Ok(()) => books.must([number]),
            Err(SendTimeoutError::ReceiverDied(..)) => return Ok(()),
            // It may have closed, or never have come.
            Err(SendTimeoutError::Closed(_) | SendTimeoutError::Timeout(_)) if comes_or_goes => return Ok(()),
            Err(error) => return Err(format!("the sender is to be told of the death: {error:?}")),
        }
        ensure(number < OTHERS + 2 * CAPACITY as u64, || "the channel never fills".to_string())?;
    }
    Ok(())
}

/// Sends one message while receiving whatever comes before it.
pub(super) fn send_through(
    tx: &mut Sender<Message>,
    rx: &mut Receiver<Message>,
    number: u64,
    books: &mut Books,
    seen: &mut Seen,
) -> Check {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match tx.try_send(message(number)) {
            Ok(()) => break,
            Err(TrySendError::Full(_) | TrySendError::ReceiverDied(..)) => {}
            Err(error) => return Err(format!("the sender sends to a successor: {error:?}")),
        }
        ensure(Instant::now() < deadline, || format!("the channel stays full: {seen:?}"))?;
        seen.take(rx, Duration::from_millis(50))?;
    }
    books.must([number]);
    seen.take_until_complete(rx, books)
}

/// Nobody else takes part when the victim creates the channel, or leaves it as the last.
fn survive_loner(play: &mut Play, queue: &Queue<Message>) -> Check {
    play.enter()?;
    play.strike()?;
    if play.is_stopped() {
        play.resume()?;
        play.release()?;
    }
    let mut rx = queue.receiver().at("a receiver attaches")?;
    let mut tx = queue.sender().at("a sender attaches")?;
    let (mut books, mut seen) = (Books::default(), Seen::default());
    tx.send_timeout(message(AFTER), PATIENCE).at("the successor sends")?;
    books.must([AFTER]);
    seen.take_until_complete(&mut rx, &books)?;
    fill(&mut tx, &mut books, FILLING)?;
    drop(tx);
    seen.take_until_end(&mut rx)?;
    play.saw("the receiver", &seen);
    books.settle(&seen.numbers)
}
