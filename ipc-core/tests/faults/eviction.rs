//! Those who live, and are sent away.

use super::support::{Child, Domain, PATIENCE, Part, listen, recv, say};
use ipc_core::inspect::{Eviction, Observer, Participant, State};
use ipc_core::{
    AcceptError, Broadcast, BroadcastRecvTimeoutError, BroadcastTryRecvError, CallError, Latest, OpenError, Queue,
    RecvTimeoutError, Role, SendError, SendTimeoutError, Service, TryRecvError, TrySendError, WaitNewerError, WaitSet,
    WriteError,
};
use std::thread;
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("evicted_sender", hold_a_place),
    ("evicted_receiver", hold_a_message),
    ("evicted_publisher", hold_a_place_of_a_broadcast),
    ("evicted_subscriber", subscribe),
];

fn work(domain: &str) -> Queue<u64> {
    Queue::new("work").domain(domain).capacity(4).hardened(true)
}

fn news(domain: &str) -> Broadcast<u64> {
    Broadcast::new("news").domain(domain).capacity(4).hardened(true)
}

/// The only participant of this role, or the one of this process id.
fn find(observer: &Observer, role: Role, pid: Option<u32>) -> Participant {
    let mut participants = observer.participants().into_iter();
    let is_meant = |other: &Participant| {
        other.role == role && other.state == State::Live && pid.is_none_or(|pid| other.pid == pid)
    };
    participants.find(is_meant).unwrap()
}

fn observe(domain: &Domain, channel: &str) -> Observer {
    Observer::open_in(domain.name(), channel).unwrap()
}

/// Takes the next place in the order, by asking whether it is there, and sends into it when it is told to.
fn hold_a_place(domain: &str) {
    let mut tx = work(domain).sender().unwrap();
    assert_eq!(WaitSet::new().wait_timeout([&mut tx], PATIENCE).len(), 1);
    say("held");
    listen();
    say(tx.send(1).unwrap_err().to_string());
}

/// Takes the next message for its own, by asking whether there is one, and takes it out when it is told to.
fn hold_a_message(domain: &str) {
    let mut rx = work(domain).receiver().unwrap();
    assert!(rx.poll(PATIENCE).unwrap());
    say("held");
    listen();
    say(rx.recv().unwrap_err().to_string());
}

fn hold_a_place_of_a_broadcast(domain: &str) {
    let mut publisher = news(domain).publisher().unwrap();
    assert_eq!(WaitSet::new().wait_timeout([&mut publisher], PATIENCE).len(), 1);
    say("held");
    listen();
    say(publisher.send(1).unwrap_err().to_string());
}

fn subscribe(domain: &str) {
    let mut subscriber = news(domain).subscriber().unwrap();
    say("held");
    listen();
    say(subscriber.recv().unwrap_err().to_string());
}

/// Lets the evicted go on, which finds out.
fn let_go_on(mut child: Child) {
    child.resume();
    child.tell("on");
    let refusal = child.hear();
    assert!(refusal.contains("evicted") || refusal.contains("sent away"), "{refusal}");
    child.finish();
}

#[test]
fn a_sender_that_holds_others_up_is_passed() {
    let domain = Domain::new("evict-sender");
    let (mut tx, mut rx) = (work(domain.name()).sender().unwrap(), work(domain.name()).receiver().unwrap());
    let mut child = Child::start("evicted_sender", &domain);
    assert_eq!(child.hear(), "held");
    child.stop();
    tx.send(7).unwrap();
    assert_eq!(rx.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout), "it is waited for");
    let observer = observe(&domain, "work");
    let evicted = find(&observer, Role::Sender, Some(child.pid()));
    assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Struck);
    assert_eq!(recv(&mut rx), Ok(Some(7)));
    assert_eq!(rx.lost(), 1);
    assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Struck, "it is evicted, and lives");
    let states = observer.participants().into_iter().map(|other| other.state);
    assert_eq!(states.filter(|state| *state == State::Evicted).count(), 1);
    let_go_on(child);
    assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Gone);
    for number in 0..10 {
        tx.send(number).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(number)));
    }
}

#[test]
fn room_that_the_evicted_had_is_not_given_back_a_second_time() {
    let domain = Domain::new("evict-room");
    let (short, long) = ("x".repeat(100), "x".repeat(1500));
    let texts = Queue::<str>::new("texts").domain(domain.name()).capacity(4096).hardened(true);
    let (mut away, mut tx, mut rx) = (texts.sender().unwrap(), texts.sender().unwrap(), texts.receiver().unwrap());
    assert_eq!(WaitSet::new().wait_timeout([&mut away], PATIENCE).len(), 1, "it has room for a short message");
    let observer = observe(&domain, "texts");
    assert_eq!(observer.evict(&find(&observer, Role::Sender, None)).unwrap(), Eviction::Struck);
    for round in 0..4 {
        let mut sent = 0;
        while tx.try_send_copy(&short).is_ok() {
            sent += 1;
        }
        if round == 2 {
            // Others have its cells by now, for the second time.
            assert!(matches!(away.try_send_copy(&long), Err(TrySendError::Evicted(()))));
        }
        (0..sent).for_each(|_| assert_eq!(&*rx.recv_boxed_timeout(PATIENCE).unwrap().unwrap(), short));
    }
    let posts = Broadcast::<str>::new("posts").domain(domain.name()).capacity(4096).hardened(true);
    let (mut away, mut publisher) = (posts.publisher().unwrap(), posts.publisher().unwrap());
    let mut subscriber = posts.subscriber().unwrap();
    assert_eq!(WaitSet::new().wait_timeout([&mut away], PATIENCE).len(), 1, "it has room for a short message");
    let observer = observe(&domain, "posts");
    assert_eq!(observer.evict(&find(&observer, Role::Publisher, None)).unwrap(), Eviction::Struck);
    for round in 0..4 {
        let mut sent = 0;
        while publisher.try_send_copy(&short).is_ok() {
            sent += 1;
        }
        if round == 2 {
            assert!(matches!(away.try_send_copy(&long), Err(TrySendError::Evicted(()))));
        }
        (0..sent).for_each(|_| assert_eq!(&*subscriber.recv_boxed_timeout(PATIENCE).unwrap().unwrap(), short));
    }
}

#[test]
fn a_receiver_s_message_goes_to_another() {
    let domain = Domain::new("evict-receiver");
    let mut tx = work(domain.name()).sender().unwrap();
    tx.send(7).unwrap();
    let mut child = Child::start("evicted_receiver", &domain);
    assert_eq!(child.hear(), "held");
    child.stop();
    let mut rx = work(domain.name()).receiver().unwrap();
    assert_eq!(rx.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout), "it is the other's");
    let observer = observe(&domain, "work");
    let evicted = find(&observer, Role::Receiver, Some(child.pid()));
    assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Struck);
    assert_eq!(recv(&mut rx), Ok(Some(7)));
    let_go_on(child);
    for number in 0..10 {
        tx.send(number).unwrap();
        assert_eq!(recv(&mut rx), Ok(Some(number)));
    }
}

#[test]
fn who_is_trusted_is_told_and_waited_for() {
    let domain = Domain::new("evict-trusted");
    let work = Queue::<u64>::new("work").domain(domain.name()).capacity(4);
    let (mut tx, mut other, mut rx) = (work.sender().unwrap(), work.sender().unwrap(), work.receiver().unwrap());
    let observer = observe(&domain, "work");
    // The first line is the first sender's.
    let evicted = find(&observer, Role::Sender, None);
    let mut loan = tx.loan().unwrap();
    *loan = 7;
    other.send(8).unwrap();
    assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Told);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "what it claimed is its own");
    loan.send();
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(Some(7)), Ok(Some(8))));
    assert_eq!(tx.send(9), Err(SendError::Evicted(9)));
    assert!(matches!(tx.loan(), Err(SendError::Evicted(()))));
    drop(tx);
    let mut back = work.sender().unwrap();
    back.send(10).unwrap();
    assert_eq!((rx.try_recv(), rx.lost()), (Ok(Some(10)), 0));
    // A receiver that refers to messages is never struck, in a hardened channel neither.
    let hardened = Queue::<u64>::new("guarded").domain(domain.name()).hardened(true);
    let mut tx = hardened.sender().unwrap();
    tx.send(1).unwrap();
    let mut trusting = hardened.hardened(false).receiver().unwrap();
    let message = trusting.recv_ref().unwrap().unwrap();
    let observer = observe(&domain, "guarded");
    assert_eq!(observer.evict(&find(&observer, Role::Receiver, None)).unwrap(), Eviction::Told);
    assert_eq!(*message, 1);
    drop(message);
    assert_eq!(trusting.try_recv(), Err(TryRecvError::Evicted));
}

#[test]
fn a_place_is_free_when_the_evicted_has_left() {
    let domain = Domain::new("evict-exclusive");
    let queue = work(domain.name()).spsc();
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    (0..4).for_each(|number| tx.send(number).unwrap());
    let observer = observe(&domain, "work");
    let evicted = find(&observer, Role::Sender, None);
    let waiting = thread::spawn(move || (tx.send_timeout(4, PATIENCE), tx));
    assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Struck);
    let (sent, tx) = waiting.join().unwrap();
    assert_eq!(sent, Err(SendTimeoutError::Evicted(4)));
    assert!(matches!(queue.sender(), Err(OpenError::InUse { .. })), "its lock is its own");
    assert!(matches!(queue.remove(), Err(OpenError::InUse { .. })));
    (0..4).for_each(|number| assert_eq!(recv(&mut rx), Ok(Some(number))));
    assert!(matches!(recv(&mut rx), Err(RecvTimeoutError::SenderDied(_))));
    drop(tx);
    let mut tx = queue.sender().unwrap();
    assert!(tx.info().predecessor.is_some());
    tx.send(5).unwrap();
    drop(tx);
    assert_eq!((recv(&mut rx), recv(&mut rx)), (Ok(Some(5)), Ok(None)), "one death is told once");
}

#[test]
fn a_publisher_that_holds_others_up_is_passed() {
    let domain = Domain::new("evict-publisher");
    let news = news(domain.name());
    let (mut publisher, mut subscriber) = (news.publisher().unwrap(), news.subscriber().unwrap());
    let mut child = Child::start("evicted_publisher", &domain);
    assert_eq!(child.hear(), "held");
    child.stop();
    publisher.send(7).unwrap();
    let waited = subscriber.recv_timeout(Duration::from_millis(200));
    assert_eq!(waited, Err(BroadcastRecvTimeoutError::Timeout), "it is waited for");
    let observer = observe(&domain, "news");
    let evicted = find(&observer, Role::Publisher, Some(child.pid()));
    assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Struck);
    assert_eq!(subscriber.recv_timeout(PATIENCE), Ok(Some(7)));
    let_go_on(child);
    for number in 0..10 {
        publisher.send(number).unwrap();
        assert_eq!(subscriber.recv_timeout(PATIENCE), Ok(Some(number)));
    }
}

#[test]
fn a_subscriber_is_waited_for_no_longer() {
    let domain = Domain::new("evict-subscriber");
    let mut publisher = news(domain.name()).publisher().unwrap();
    let mut child = Child::start("evicted_subscriber", &domain);
    assert_eq!(child.hear(), "held");
    child.stop();
    (0..4).for_each(|number| publisher.send(number).unwrap());
    let full = publisher.send_timeout(4, Duration::from_millis(200));
    assert_eq!(full, Err(SendTimeoutError::Timeout(4)), "it is waited for");
    let observer = observe(&domain, "news");
    let evicted = find(&observer, Role::Subscriber, None);
    assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Struck);
    (4..20).for_each(|number| publisher.send_timeout(number, PATIENCE).unwrap());
    let_go_on(child);
    // One that relies on being waited for is told, and waited for.
    let trusting = Broadcast::<u64>::new("trusting").domain(domain.name()).capacity(4);
    let (mut publisher, mut subscriber) = (trusting.publisher().unwrap(), trusting.subscriber().unwrap());
    publisher.send(1).unwrap();
    let message = subscriber.recv_ref().unwrap().unwrap();
    let observer = observe(&domain, "trusting");
    assert_eq!(observer.evict(&find(&observer, Role::Subscriber, None)).unwrap(), Eviction::Told);
    while publisher.try_send(2).is_ok() {}
    assert_eq!(*message, 1);
    drop(message);
    assert_eq!(subscriber.try_recv(), Err(BroadcastTryRecvError::Evicted), "though there is more to receive");
    drop(subscriber);
    publisher.try_send(3).unwrap();
    // One that nobody waits for is told as well.
    let lossy = Broadcast::<u64>::new("lossy").lossy().domain(domain.name()).capacity(4);
    let (mut publisher, mut subscriber) = (lossy.publisher().unwrap(), lossy.subscriber().unwrap());
    publisher.send(1).unwrap();
    let observer = observe(&domain, "lossy");
    assert_eq!(observer.evict(&find(&observer, Role::Subscriber, None)).unwrap(), Eviction::Told);
    assert_eq!(subscriber.try_recv(), Err(BroadcastTryRecvError::Evicted));
}

#[test]
fn a_writer_is_sent_away() {
    let domain = Domain::new("evict-writer");
    let level = Latest::<u64>::new("level").domain(domain.name()).hardened(true);
    let (mut writer, mut reader) = (level.writer().unwrap(), level.reader().unwrap());
    writer.write(1).unwrap();
    let observer = observe(&domain, "level");
    assert_eq!(observer.evict(&find(&observer, Role::Writer, None)).unwrap(), Eviction::Struck);
    assert_eq!(writer.write(2), Err(WriteError::Evicted(2)));
    assert_eq!(reader.wait_newer(PATIENCE), Ok(Some(1)));
    assert!(matches!(reader.wait_newer(PATIENCE), Err(WaitNewerError::WriterDied(_))));
    assert!(matches!(level.writer(), Err(OpenError::InUse { .. })));
    drop(writer);
    assert_eq!(level.writer().unwrap().write(3), Ok(2));
    assert_eq!(reader.wait_newer(PATIENCE), Ok(Some(3)));
    // A reader holds nobody up.
    assert_eq!(observer.evict(&find(&observer, Role::Reader, None)).unwrap(), Eviction::Told);
}

#[test]
fn a_server_s_calls_end() {
    let domain = Domain::new("evict-server");
    let service = Service::<u64, u64>::new("double").domain(domain.name()).hardened(true);
    let (client, server) = (service.client().unwrap(), service.server().unwrap());
    let call = client.submit(4).unwrap();
    let request = server.accept().unwrap().unwrap();
    let observer = observe(&domain, "double");
    assert_eq!(observer.evict(&find(&observer, Role::Server, None)).unwrap(), Eviction::Struck);
    let died = call.wait().unwrap_err();
    assert!(matches!(died, CallError::ServerDied(None, _)), "{died:?}");
    assert!(!request.reply(8), "nobody hears it");
    assert!(matches!(server.accept(), Err(AcceptError::Evicted)));
    drop(server);
    let server = service.server().unwrap();
    let call = client.submit(5).unwrap();
    let request = server.accept().unwrap().unwrap();
    assert_eq!((*request, request.reply(10)), (5, true));
    assert_eq!(call.wait().unwrap(), 10);
}

#[test]
fn a_client_s_calls_end() {
    let domain = Domain::new("evict-client");
    let service = Service::<u64, u64>::new("double").domain(domain.name()).hardened(true);
    let (client, server) = (service.client().unwrap(), service.server().unwrap());
    let observer = observe(&domain, "double");
    let evicted = find(&observer, Role::Client, None);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| client.call_timeout(4, PATIENCE).unwrap_err());
        let request = server.accept().unwrap().unwrap();
        assert_eq!(observer.evict(&evicted).unwrap(), Eviction::Struck);
        let refusal = waiting.join().unwrap();
        assert!(matches!(refusal, CallError::Evicted(None)), "{refusal:?}");
        assert!(!request.reply(8), "nobody waits for it");
    });
    assert!(matches!(client.call(5), Err(CallError::Evicted(_))));
    drop(client);
    let client = service.client().unwrap();
    let call = client.submit(5).unwrap();
    assert!(server.accept().unwrap().unwrap().reply(10));
    assert_eq!(call.wait().unwrap(), 10);
}

#[test]
fn nobody_else_is_hit() {
    let domain = Domain::new("evict-nobody");
    let queue = work(domain.name()).spsc();
    let observer = {
        let _tx = queue.sender().unwrap();
        observe(&domain, "work")
    };
    // The name leads nowhere, and then to another channel.
    let gone = observer.participants()[0].clone();
    assert_eq!(observer.evict(&gone).unwrap(), Eviction::Gone);
    let mut rx = queue.receiver().unwrap();
    let mut tx = queue.sender().unwrap();
    assert_eq!(observer.evict(&gone).unwrap(), Eviction::Gone);
    // Its place is another one's.
    let observer = observe(&domain, "work");
    let before = find(&observer, Role::Sender, None);
    drop(tx);
    assert_eq!(observer.evict(&before).unwrap(), Eviction::Gone);
    tx = queue.sender().unwrap();
    let successor = find(&observer, Role::Sender, None);
    assert_eq!(before.line, successor.line);
    assert_ne!(before, successor);
    assert_eq!(observer.evict(&before).unwrap(), Eviction::Gone);
    tx.send(1).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(1)));
}
