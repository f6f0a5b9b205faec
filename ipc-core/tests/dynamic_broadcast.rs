//! Ends of broadcasts whose message type this program does not know, against ends that do know it.

mod support;

use ipc_core::dynamic::{
    BroadcastRecvValueError, BroadcastRecvValueTimeoutError, BroadcastTryRecvValueError, Channel, Kind, SendValueError,
    TrySendValueError,
};
use ipc_core::schema::Value;
use ipc_core::{Broadcast, BroadcastRecvError, OpenError, Opt, Queue, Str};
use ipc_macros::IpcMessage;
use std::time::Duration;
use support::packet::damage;
use support::{Child, Domain, PATIENCE, Part, listen, play, program, say};

const PARTS: &[(&str, Part)] = &[("publish_one", publish_one)];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

#[derive(IpcMessage, Clone, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Tick {
    symbol: Str<8>,
    price: Opt<f64>,
    up: bool,
}

#[derive(IpcMessage, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Note {
    at: u32,
    text: str,
}

fn ticks(domain: &Domain, is_lossy: bool) -> Broadcast<Tick> {
    let ticks = Broadcast::new("ticks").domain(domain.name()).capacity(4);
    if is_lossy { ticks.lossy() } else { ticks }
}

fn notes(domain: &str, is_lossy: bool) -> Broadcast<Note> {
    let notes = Broadcast::new("notes").domain(domain).capacity(4096);
    if is_lossy { notes.lossy() } else { notes }
}

fn tick(price: f64) -> Tick {
    Tick { symbol: "ACME".parse().unwrap(), price: Opt::Some(price), up: true }
}

/// The same, as a value.
fn value(price: f64) -> Value {
    Value::from([
        ("symbol", Value::Str("ACME".into())),
        ("price", Value::Opt(Some(Box::new(Value::F64(price))))),
        ("up", Value::Bool(true)),
    ])
}

fn note(at: u32, text: &str) -> Value {
    Value::from([("at", at.into()), ("text", Value::Str(text.into()))])
}

/// Publishes a note, and waits to be killed.
fn publish_one(domain: &str) {
    let mut publisher = notes(domain, false).publisher().unwrap();
    let mut loan = publisher.loan_len(5).unwrap();
    loan.at = 7;
    loan.set_text("final").unwrap();
    loan.send();
    say("published");
    listen();
}

#[test]
fn values_go_out_and_come_in() {
    for is_lossy in [false, true] {
        let domain = Domain::new("db-values");
        let (mut typed_publisher, mut typed_subscriber) =
            (ticks(&domain, is_lossy).publisher().unwrap(), ticks(&domain, is_lossy).subscriber().unwrap());
        let channel = Channel::open_in(domain.name(), "ticks").unwrap();
        assert_eq!(channel.kind(), if is_lossy { Kind::LossyBroadcast } else { Kind::LosslessBroadcast });
        assert!(channel.schema().to_string().contains("symbol"), "{}", channel.schema());
        let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
        assert_eq!(subscriber.try_recv(), Err(BroadcastTryRecvValueError::Empty));
        let waited = subscriber.recv_timeout(Duration::from_millis(1));
        assert_eq!(waited, Err(BroadcastRecvValueTimeoutError::Timeout));
        typed_publisher.send(tick(1.0)).unwrap();
        publisher.send(&value(2.0)).unwrap();
        publisher.try_send(&value(3.0)).unwrap();
        let refused = publisher.send(&Value::from([("symbol", Value::Int(-1))])).unwrap_err();
        assert!(matches!(refused, SendValueError::Value(_)) && refused.to_string().contains("`symbol`"), "{refused}");
        for price in [1.0, 2.0, 3.0] {
            assert_eq!(typed_subscriber.recv(), Ok(Some(tick(price))));
            assert_eq!(subscriber.recv_timeout(PATIENCE), Ok(Some(value(price))));
        }
        drop((typed_publisher, publisher));
        assert_eq!((typed_subscriber.recv(), subscriber.recv()), (Ok(None), Ok(None)));
    }
}

#[test]
fn messages_of_any_length_are_values_too() {
    for is_lossy in [false, true] {
        let domain = Domain::new("db-lengths");
        let notes = notes(domain.name(), is_lossy);
        let (mut typed_publisher, mut typed_subscriber) = (notes.publisher().unwrap(), notes.subscriber().unwrap());
        let channel = Channel::open_in(domain.name(), "notes").unwrap();
        let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
        let mut loan = typed_publisher.loan_len(20).unwrap();
        loan.at = 1;
        loan.set_text("größer").unwrap();
        loan.send();
        let long = "x".repeat(2000);
        publisher.send(&note(2, "")).unwrap();
        publisher.send(&note(3, &long)).unwrap();
        let refused = publisher.send(&note(4, &"x".repeat(4096))).unwrap_err();
        assert!(matches!(refused, SendValueError::TooLarge(_)), "{refused:?}");
        for (at, text) in [(1, "größer"), (2, ""), (3, &long)] {
            assert_eq!(subscriber.recv(), Ok(Some(note(at, text))));
            let received = typed_subscriber.recv_ref().unwrap().unwrap();
            assert_eq!((received.at, &received.text), (at, text));
        }
        assert_eq!((subscriber.lost(), publisher.lost()), (0, 0));
    }
}

#[test]
fn the_slowest_value_is_waited_for_and_a_lossy_one_is_told_what_it_missed() {
    let domain = Domain::new("db-slow");
    let typed = ticks(&domain, false).subscriber().unwrap();
    let channel = Channel::open_in(domain.name(), "ticks").unwrap();
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    drop(typed);
    (0..4).for_each(|price| publisher.send(&value(price.into())).unwrap());
    assert_eq!(publisher.try_send(&value(4.0)), Err(TrySendValueError::Full));
    let waited = publisher.send_timeout(&value(4.0), Duration::from_millis(1));
    assert_eq!(waited, Err(TrySendValueError::Full));
    assert_eq!(subscriber.recv(), Ok(Some(value(0.0))));
    publisher.try_send(&value(4.0)).unwrap();

    let domain = Domain::new("db-lag");
    let keeper = ticks(&domain, true).publisher().unwrap();
    let channel = Channel::open_in(domain.name(), "ticks").unwrap();
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    drop(keeper);
    (0..10).for_each(|price| publisher.send(&value(price.into())).unwrap());
    let lagged = BroadcastRecvError::Lagged { missed: 7 };
    assert_eq!(subscriber.recv(), Err(BroadcastRecvValueError::Recv(lagged)));
    assert_eq!(subscriber.recv(), Ok(Some(value(7.0))));
}

#[test]
fn an_invalid_message_is_an_error_and_skipped() {
    for is_lossy in [false, true] {
        let domain = Domain::new("db-invalid");
        let mut publisher = notes(domain.name(), is_lossy).publisher().unwrap();
        let channel = Channel::open_in(domain.name(), "notes").unwrap();
        let mut subscriber = channel.subscriber().unwrap();
        for text in ["letters", "more"] {
            let mut loan = publisher.loan_len(7).unwrap();
            loan.set_text(text).unwrap();
            loan.send();
        }
        damage(&publisher.info().path, b"letters", b"lett\xffrs");
        let error = subscriber.recv().unwrap_err();
        assert!(matches!(error, BroadcastRecvValueError::Invalid(_)), "{error:?}");
        assert_eq!(
            error.to_string(),
            "a message is invalid and was skipped: field `text`: the text is not UTF-8 from byte 4 on"
        );
        assert_eq!(subscriber.recv(), Ok(Some(note(0, "more"))));
    }
}

#[test]
fn a_death_is_told_in_the_words_of_the_typed_ends() {
    let domain = Domain::new("db-death");
    let _keeper = notes(domain.name(), false).subscriber().unwrap();
    let channel = Channel::open_in(domain.name(), "notes").unwrap();
    let mut subscriber = channel.subscriber().unwrap();
    let mut child = Child::start("publish_one", &domain);
    assert_eq!(child.hear(), "published");
    let pid = child.pid();
    child.kill();
    assert_eq!(subscriber.recv(), Ok(Some(note(7, "final"))));
    match subscriber.recv_timeout(PATIENCE) {
        Err(BroadcastRecvValueTimeoutError::Recv(BroadcastRecvValueError::Recv(error))) => {
            assert_eq!(error.to_string(), format!("the publisher (pid {pid} \"{}\") died without closing", program()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_channel_of_another_kind_has_no_such_ends() {
    let domain = Domain::new("db-kinds");
    let queue = Queue::<u64>::new("numbers").domain(domain.name());
    let _rx = queue.receiver().unwrap();
    let channel = Channel::open_in(domain.name(), "numbers").unwrap();
    for error in [channel.publisher().unwrap_err(), channel.subscriber().unwrap_err()] {
        assert!(matches!(error, OpenError::Kind { expected: "a broadcast", .. }), "{error:?}");
        assert!(error.to_string().contains("is a shared queue"), "{error}");
    }
    let _publisher = ticks(&domain, false).publisher().unwrap();
    let channel = Channel::open_in(domain.name(), "ticks").unwrap();
    let error = channel.sender().unwrap_err().to_string();
    assert!(error.contains("is a lossless broadcast"), "{error}");
}
