//! Ends of queues whose message type this program does not know, against ends that do know it.

mod support;

use ipc_core::dynamic::{Channel, Kind, RecvValueError, SendValueError, TryRecvValueError, TrySendValueError};
use ipc_core::schema::Value;
use ipc_core::{Latest, List, OpenError, Opt, Queue, Str};
use ipc_macros::IpcMessage;
use std::os::unix::fs::FileExt;
use support::{Child, Domain, Part, play, recv};

const PARTS: &[(&str, Part)] = &[("send_three", send_three)];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

#[derive(IpcMessage, Clone, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Order {
    id: u64,
    symbol: Str<8>,
    limit: Opt<f64>,
    legs: List<Leg, 2>,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C, u8)]
enum Leg {
    Buy { quantity: u32 },
    Hold,
}

#[derive(IpcMessage)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Note {
    at: u32,
    text: str,
}

fn orders(domain: &str) -> Queue<Order> {
    Queue::new("orders").domain(domain).capacity(4)
}

fn order(id: u64) -> Order {
    let legs = List::from_slice(&[Leg::Buy { quantity: 7 }, Leg::Hold]).unwrap();
    Order { id, symbol: "ACME".parse().unwrap(), limit: Opt::Some(2.5), legs }
}

/// The same, as a value.
fn value(id: u64) -> Value {
    let buy = Value::Union { variant: "Buy".into(), fields: vec![("quantity".into(), Value::Uint(7))] };
    let hold = Value::Union { variant: "Hold".into(), fields: vec![] };
    Value::from([
        ("id", Value::Uint(id.into())),
        ("symbol", Value::Str("ACME".into())),
        ("limit", Value::Opt(Some(Box::new(Value::F64(2.5))))),
        ("legs", Value::List(vec![buy, hold])),
    ])
}

fn send_three(domain: &str) {
    let mut tx = orders(domain).sender().unwrap();
    (1..=3).for_each(|id| tx.send(order(id)).unwrap());
}

#[test]
fn values_are_what_was_sent() {
    let domain = Domain::new("received");
    let keeper = orders(domain.name()).receiver().unwrap();
    Child::start("send_three", &domain).finish();
    let channel = Channel::open_in(domain.name(), "orders").unwrap();
    assert_eq!(channel.kind(), Kind::SharedQueue);
    assert_eq!(format!("{:>13}", channel.kind()), " shared queue");
    assert!(channel.schema().to_string().contains("symbol"), "{}", channel.schema());
    let mut rx = channel.receiver().unwrap();
    drop(keeper);
    for id in 1..=3 {
        assert_eq!(rx.recv(), Ok(Some(value(id))));
    }
    assert_eq!(rx.recv(), Ok(None));
}

#[test]
fn what_is_sent_as_a_value_is_a_message() {
    for is_exclusive in [false, true] {
        let domain = Domain::new("sent");
        let queue = if is_exclusive { orders(domain.name()).spsc() } else { orders(domain.name()) };
        let mut rx = queue.receiver().unwrap();
        let channel = Channel::open_in(domain.name(), "orders").unwrap();
        let mut tx = channel.sender().unwrap();
        assert_eq!(tx.info().capacity, 4);
        for id in 1..=4 {
            tx.try_send(&value(id)).unwrap();
        }
        assert_eq!(tx.try_send(&value(5)), Err(TrySendValueError::Full));
        for id in 1..=4 {
            assert_eq!(recv(&mut rx), Ok(Some(order(id))));
        }
        let refused = tx.send(&Value::from([("id", Value::Int(-1))])).unwrap_err();
        assert!(matches!(refused, SendValueError::Value(_)), "{refused:?}");
        assert!(refused.to_string().contains("`id`"), "{refused}");
        drop(tx);
        assert_eq!(recv(&mut rx), Ok(None), "and nothing of it has reached the channel");
    }
}

#[test]
fn messages_of_any_length_are_values_too() {
    for is_exclusive in [false, true] {
        let domain = Domain::new("lengths");
        let queue = Queue::<Note>::new("notes").domain(domain.name()).capacity(4096);
        let queue = if is_exclusive { queue.spsc() } else { queue };
        let (mut typed_tx, mut keeper) = (queue.sender().unwrap(), queue.receiver().unwrap());
        let note = |at: u32, text: &str| Value::from([("at", at.into()), ("text", Value::Str(text.into()))]);
        let channel = Channel::open_in(domain.name(), "notes").unwrap();
        let mut loan = typed_tx.loan_len(20).unwrap();
        loan.at = 1;
        loan.set_text("größer").unwrap();
        loan.send();
        drop(typed_tx);
        let mut tx = channel.sender().unwrap();
        tx.send(&note(2, "")).unwrap();
        let long = "x".repeat(1000);
        tx.send(&note(3, &long)).unwrap();
        let refused = tx.send(&note(4, &"x".repeat(4096))).unwrap_err();
        assert!(matches!(refused, SendValueError::TooLarge(_)), "{refused:?}");
        for (at, text) in [(1, "größer"), (2, ""), (3, long.as_str())] {
            let received = keeper.recv_ref().unwrap().unwrap();
            assert_eq!((received.at, &received.text), (at, text));
        }
        if !is_exclusive {
            let mut rx = channel.receiver().unwrap();
            tx.send(&note(5, "the last")).unwrap();
            assert_eq!(rx.recv(), Ok(Some(note(5, "the last"))));
            assert_eq!(rx.try_recv(), Err(TryRecvValueError::Empty));
        }
    }
}

#[test]
fn an_invalid_message_is_an_error_and_skipped() {
    let domain = Domain::new("invalid");
    let queue = Queue::<[bool; 8]>::new("flags").domain(domain.name()).spsc();
    let mut tx = queue.sender().unwrap();
    let channel = Channel::open_in(domain.name(), "flags").unwrap();
    let mut rx = channel.receiver().unwrap();
    tx.send([true; 8]).unwrap();
    tx.send([false; 8]).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(domain.memory("flags")).unwrap();
    // Slot 0 lies at the third page, and its third byte is to be no `bool`.
    file.write_all_at(&[2], 8192 + 2).unwrap();
    let error = rx.recv().unwrap_err();
    assert!(matches!(error, RecvValueError::Invalid(_)), "{error:?}");
    assert!(error.to_string().contains("`[2]`: 2 is not a `bool`"), "{error}");
    assert_eq!(rx.recv(), Ok(Some(Value::List(vec![Value::Bool(false); 8]))));
}

#[test]
fn what_is_not_there_or_of_another_kind_is_refused() {
    let domain = Domain::new("refused");
    let error = Channel::open_in(domain.name(), "nothing").unwrap_err();
    assert!(matches!(error, OpenError::NoChannel { .. }), "{error:?}");
    assert!(error.to_string().contains("there is no channel \"nothing\""), "{error}");
    let latest = Latest::<u64>::new("level").domain(domain.name());
    let _writer = latest.writer().unwrap();
    let channel = Channel::open_in(domain.name(), "level").unwrap();
    assert_eq!((channel.kind(), channel.kind().to_string().as_str()), (Kind::Latest, "latest value"));
    let error = channel.receiver().unwrap_err();
    assert!(error.to_string().contains("is a latest value"), "{error}");
}

#[test]
fn a_latest_value_is_read_and_written_as_a_value() {
    let domain = Domain::new("latest");
    let latest = Latest::<Order>::new("order").domain(domain.name());
    let mut typed = latest.reader().unwrap();
    let channel = Channel::open_in(domain.name(), "order").unwrap();
    let mut reader = channel.reader().unwrap();
    assert_eq!(reader.read(), Ok(None));
    let mut writer = channel.writer().unwrap();
    assert_eq!(writer.write(&value(1)), Ok(1));
    assert_eq!(writer.write(&value(2)), Ok(2));
    assert!(writer.write(&Value::Bool(true)).is_err());
    assert_eq!(typed.read(), Ok(Some(order(2))));
    assert_eq!((reader.read_if_newer(), reader.version()), (Ok(Some(value(2))), 2));
    assert_eq!(reader.read_if_newer(), Ok(None));
    drop(writer);
    latest.writer().unwrap().write(order(3)).unwrap();
    assert_eq!(reader.wait_newer(support::PATIENCE), Ok(Some(value(3))));
}
