//! Services seen by those who do not know their messages, or take no part.

use super::support::sums::{ask, check, serve_sums, sums};
use super::*;
use ipc_core::dynamic::{AcceptValueError, CallValueError, Channel, Kind, ReplyValueError};
use ipc_core::inspect::Observer;
use ipc_core::schema::Value;

fn request(seed: u64, numbers: &[u64]) -> Value {
    let numbers = Value::List(numbers.iter().map(|&number| Value::Uint(number.into())).collect());
    let scale = match &numbers {
        Value::List(items) => Value::Opt(Some(Box::new(Value::Uint(items.len() as u128)))),
        _ => Value::Opt(None),
    };
    Value::from([("seed", Value::Uint(seed.into())), ("scale", scale), ("numbers", numbers)])
}

#[test]
fn values_are_called_with_and_answered_with() {
    let domain = Domain::new("values");
    let typed = sums(domain.name()).server().unwrap();
    let channel = Channel::open_in(domain.name(), "sums").unwrap();
    assert_eq!(channel.kind(), Kind::Service);
    assert!(channel.schema().to_string().contains("numbers: [u16]"), "{}", channel.schema());
    assert!(channel.reply_schema().unwrap().to_string().contains("sums: [u32]"));
    let client = channel.client().unwrap();
    assert_eq!(client.info().capacity, 4);
    let stopper = typed.stopper();
    thread::scope(|scope| {
        scope.spawn(move || serve_sums(&typed));
        // `number(0, at)` is 7 * at.
        for len in [0_u64, 1, 3, 494] {
            let numbers: Vec<u64> = (0..len).map(|at| at * 7).collect();
            let sums = numbers.iter().scan(0_u128, |sum, &number| {
                *sum += u128::from(number);
                Some(Value::Uint(*sum))
            });
            let reply = Value::from([("seed", Value::Uint(u64::MAX.into())), ("sums", Value::List(sums.collect()))]);
            assert_eq!(client.call(&request(0, &numbers)), Ok(reply));
        }
        let refused = client.call(&request(0, &[0; 495])).unwrap_err();
        assert!(matches!(refused, CallValueError::TooLarge(too_large) if too_large.limit == 1000), "{refused:?}");
        let refused = client.call(&request(0, &[1 << 16])).unwrap_err();
        assert!(refused.to_string().contains("numbers"), "{refused}");
        stopper.stop();
    });

    let typed = sums(domain.name()).client().unwrap();
    let server = channel.server().unwrap();
    let call = ask(&typed, 0, 2);
    let asked = server.accept().unwrap().unwrap();
    assert_eq!(*asked.value(), request(0, &[0, 7]));
    let reply = |sums: &[u64]| {
        let sums = sums.iter().map(|&sum| Value::Uint(sum.into())).collect();
        Value::from([("seed", Value::Uint(u64::MAX.into())), ("sums", Value::List(sums))])
    };
    assert_eq!(asked.reply(&reply(&[0, 7])), Ok(true));
    check(&call.wait_boxed().unwrap(), 0, 2);
    // What is refused reaches nobody.
    for wrong in [Value::Bool(true), reply(&[0; 1000])] {
        let call = ask(&typed, 0, 2);
        let refused = server.accept().unwrap().unwrap().reply(&wrong).unwrap_err();
        assert!(matches!(refused, ReplyValueError::Value(_) | ReplyValueError::TooLarge(_)));
        assert_eq!(call.wait_boxed(), Err(CallError::Dropped));
    }
    assert!(server.try_accept().unwrap().is_none());
}

#[test]
fn values_stream_and_time_out() {
    let domain = Domain::new("value-stream");
    let service = Service::<u32, [bool]>::new("bits").domain(domain.name()).capacity(2);
    let keeper = service.client().unwrap();
    let channel = Channel::open_in(domain.name(), "bits").unwrap();
    let (client, server) = (channel.client().unwrap(), channel.server().unwrap());
    let call = client.submit(&Value::Uint(3)).unwrap();
    let server = thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let mut asked = server.accept().unwrap().unwrap();
            for len in 0..3 {
                assert_eq!(asked.reply_part(&Value::List(vec![Value::Bool(true); len])), Ok(true));
            }
            assert!(asked.reply_part(&Value::Uint(0)).is_err());
            assert!(asked.finish());
            server
        });
        let parts: Result<Vec<_>, _> = call.collect();
        assert_eq!(parts.unwrap(), [0, 1, 2].map(|len| Value::List(vec![Value::Bool(true); len])));
        serving.join().unwrap()
    });
    let late = client.call_timeout(&Value::Uint(1), SHORT);
    assert_eq!(late, Err(CallValueError::Timeout { is_untaken: true }));
    assert!(server.try_accept().unwrap().is_none(), "it was withdrawn");
    let call = keeper.submit(4).unwrap();
    drop(server.accept().unwrap());
    assert_eq!(call.wait_boxed(), Err(CallError::Dropped));
    assert_eq!(keeper.len(), 0);
}

#[test]
fn what_is_no_service_is_refused() {
    let domain = Domain::new("no-service");
    let queue = ipc_core::Queue::<u32>::new("queue").domain(domain.name());
    let _rx = queue.receiver().unwrap();
    let channel = Channel::open_in(domain.name(), "queue").unwrap();
    assert!(channel.reply_schema().is_none());
    assert!(channel.client().unwrap_err().to_string().contains("as a service"));
    let service = service(domain.name());
    let _server = service.server().unwrap();
    let channel = Channel::open_in(domain.name(), "questions").unwrap();
    assert!(channel.sender().unwrap_err().to_string().contains("is a service"));
    let wrong = channel.client().unwrap().call(&Value::Uint(0)).unwrap_err();
    assert!(matches!(wrong, CallValueError::Value(_)), "{wrong}");
    let server = channel.server().unwrap();
    assert!(matches!(server.try_accept(), Ok(None)));
    let _: fn(AcceptError) -> AcceptValueError = AcceptValueError::from;
}

#[test]
fn calls_are_timed_on_either_side() {
    let domain = Domain::new("timed");
    let timed = service(domain.name()).timestamps(true);
    let (client, server) = (timed.client().unwrap(), timed.server().unwrap());
    assert!(client.info().timestamps);
    let observer = Observer::open_in(domain.name(), "questions").unwrap();
    let counts = || [observer.latency().unwrap().count(), observer.round_trips().unwrap().count()];
    let call = client.submit(question(1)).unwrap();
    assert_eq!(counts(), [0, 0]);
    let request = server.accept().unwrap().unwrap();
    assert_eq!(counts(), [1, 0]);
    thread::sleep(Duration::from_millis(2));
    request.reply(answer(question(1)));
    assert_eq!(counts(), [1, 0]);
    assert_eq!(call.wait(), Ok(answer(question(1))));
    assert_eq!(counts(), [1, 1]);
    let (arrival, whole) = (observer.latency().unwrap(), observer.round_trips().unwrap());
    assert!(whole.min_ns() >= arrival.max_ns() + 2_000_000, "{arrival:?} {whole:?}");
    // Withdrawn, dropped, and many replies.
    drop(client.submit(question(2)).unwrap());
    assert!(server.try_accept().unwrap().is_none());
    assert_eq!(counts(), [1, 1]);
    let call = client.submit(question(3)).unwrap();
    drop(server.accept().unwrap());
    assert_eq!(call.wait(), Err(CallError::Dropped));
    assert_eq!(counts(), [2, 1]);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut replies = server.accept().unwrap().unwrap().reply_stream();
            (0..5).for_each(|number| replies.send(answer(question(number))).unwrap());
            replies.finish();
        });
        assert_eq!(client.call_stream(question(0)).unwrap().count(), 5);
    });
    assert_eq!(counts(), [3, 2], "a stream is one call");
    drop((client, observer));

    let timed = sums(domain.name()).timestamps(true);
    let (client, server) = (timed.client().unwrap(), timed.server().unwrap());
    let stopper = server.stopper();
    thread::scope(|scope| {
        scope.spawn(move || serve_sums(&server));
        (0..40).for_each(|len| check(&ask(&client, 9, len).wait_boxed().unwrap(), 9, len));
        stopper.stop();
    });
    let observer = Observer::open_in(domain.name(), "sums").unwrap();
    assert_eq!([observer.latency().unwrap().count(), observer.round_trips().unwrap().count()], [40, 40]);
    assert_eq!(observer.received(), Some(40));
}
