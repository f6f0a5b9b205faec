//! Replies of many parts.

use super::*;

#[test]
fn replies_stream() {
    let domain = Domain::new("stream");
    let (client, server) = (service(domain.name()).client().unwrap(), service(domain.name()).server().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || {
            // All of them, none, some and then an end that is none, and some that nobody wants.
            let replies = |count: u64| {
                let mut replies = server.accept().unwrap().unwrap().reply_stream();
                let first = replies[0];
                (0..count).for_each(|number| replies.send(answer(question(first + number))).unwrap());
                replies
            };
            assert!(replies(1000).finish());
            assert!(replies(0).finish());
            drop(replies(2));
            let mut unwanted = replies(1);
            while unwanted.send(answer(question(0))).is_ok() {}
            assert_eq!(unwanted.send(answer(question(0))), Err(ReplyError::ClientGone));
            assert!(!unwanted.finish());
            let request = server.accept().unwrap().unwrap();
            request.reply(answer(question(5)));
        });
        let all: Result<Vec<_>, _> = client.call_stream(question(10)).unwrap().collect();
        assert_eq!(all.unwrap(), (10..1010).map(|number| answer(question(number))).collect::<Vec<_>>());
        assert_eq!(client.call_stream(question(1)).unwrap().count(), 0);
        let broken: Vec<_> = client.call_stream(question(1)).unwrap().collect();
        assert_eq!(broken, [Ok(answer(question(1))), Ok(answer(question(2))), Err(CallError::Dropped)]);
        let mut some = client.call_stream(question(1)).unwrap();
        assert_eq!(some.next(), Some(Ok(answer(question(1)))));
        drop(some);
        let one: Vec<_> = client.call_stream(question(5)).unwrap().collect();
        assert_eq!(one, [Ok(answer(question(5)))], "an ordinary reply is a stream of one");
    });
}
