//! Requests and replies that vary in length, each for itself.

use super::support::sums::{Numbers, Sums, add_up, ask, assert_whole, check, sums};
use super::*;
use ipc_core::{ReplyError, TooLarge};
use proptest::prelude::*;

#[test]
fn every_length_arrives_whole_and_so_does_its_answer() {
    let domain = Domain::new("lengths");
    let (client, server) = (sums(domain.name()).client().unwrap(), sums(domain.name()).server().unwrap());
    // 12 bytes are before the tail of a request, and 8 before that of a reply.
    assert_eq!((client.max_request_len(), client.max_reply_len(), server.max_reply_len()), (494, 748, 748));
    for len in 0..=client.max_request_len() {
        let seed = len as u64 * 77;
        let mut call = ask(&client, seed, len);
        match len % 3 {
            0 => {
                let request = server.accept_ref().unwrap().unwrap();
                assert_eq!((&raw const **request).cast::<u8>().align_offset(8), 0);
                let mut loan = request.loan_len(len).unwrap();
                let (request, reply) = loan.parts();
                add_up(request, reply);
                assert!(loan.send());
                check(&call.wait_ref().unwrap(), seed, len);
            }
            _ => {
                let request = server.accept_boxed().unwrap().unwrap();
                assert_whole(&request);
                // More than is needed at first.
                let mut loan = request.loan_len(len + 5).unwrap();
                loan.truncate(len);
                let (request, reply) = loan.parts();
                add_up(request, reply);
                assert!(loan.send());
                check(&call.wait_boxed().unwrap(), seed, len);
            }
        }
    }
    assert_eq!(client.len(), 0);
}

#[test]
fn each_side_varies_for_itself() {
    let domain = Domain::new("each");
    let count = Service::<str, u64>::new("count").domain(domain.name());
    let (client, server) = (count.client().unwrap(), count.server().unwrap());
    let call = client.submit_copy("größer").unwrap();
    let request = server.accept_ref().unwrap().unwrap();
    let letters = request.chars().count() as u64;
    request.reply(letters);
    assert_eq!(call.wait(), Ok(6));

    let spell = Service::<u32, str>::new("spell").domain(domain.name());
    let (client, server) = (spell.client().unwrap(), spell.server().unwrap());
    let mut call = client.submit(12).unwrap();
    let request = server.accept().unwrap().unwrap();
    let mut loan = request.loan_len(100).unwrap();
    assert_eq!(loan.set_text(&"x".repeat(101)).unwrap_err().capacity, 100);
    loan.set_text("zwölf").unwrap();
    loan.truncate(3);
    assert_eq!((*loan.request(), &*loan), (12, "zw"), "not half of a character");
    loan.send();
    assert_eq!(&*call.wait_ref().unwrap(), "zw");
    assert_eq!(call.wait_ref().unwrap_err(), CallError::Dropped, "once");
    assert!(call.try_take_ref().is_none());

    // One of one length is called by reference as well.
    let call = client.submit_copy(&13).unwrap();
    server.accept_boxed().unwrap().unwrap().reply_copy("dreizehn").unwrap();
    assert_eq!(&*call.wait_boxed().unwrap(), "dreizehn");
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "an f64 need not be aligned to 8 bytes here")]
fn what_is_too_long_is_told_the_limit() {
    let domain = Domain::new("limits");
    let (client, server) = (sums(domain.name()).client().unwrap(), sums(domain.name()).server().unwrap());
    // The creator's limits count.
    let other = sums(domain.name()).max_request(9_999).client().unwrap();
    assert_eq!(other.max_request_len(), 494);
    let too_large = TooLarge { bytes: 12 + 2 * 495, limit: 1000 };
    let said = CallError::<Numbers>::TooLarge(too_large).to_string();
    assert!(said.contains("1002 bytes") && said.contains("`max_request`") && !said.contains("capacity"), "{said}");
    let said = ReplyError::TooLarge(too_large).to_string();
    assert!(said.contains("1002 bytes") && said.contains("`max_reply`") && !said.contains("capacity"), "{said}");
    assert_eq!(client.loan_len(495).unwrap_err(), CallError::TooLarge(too_large));
    assert!(matches!(client.loan_len(usize::MAX), Err(CallError::TooLarge(TooLarge { limit: 1000, .. }))));
    let call = ask(&client, 1, 3);
    let request = server.accept_ref().unwrap().unwrap();
    assert_eq!(request.loan_len(749).unwrap_err(), ReplyError::TooLarge(TooLarge { bytes: 8 + 4 * 749, limit: 3000 }));
    assert_eq!(call.wait_boxed(), Err(CallError::Dropped));
    assert_eq!(client.len(), 0, "what was refused has no slot");

    // A limit below what a message with an empty tail takes is one for that.
    let tight = Service::<Numbers, Sums>::new("tight").domain(domain.name()).max_request(1).max_reply(0);
    let client = tight.client().unwrap();
    // A request with an empty tail has 16 bytes, the last four of which two numbers fit into.
    assert_eq!((client.max_request_len(), client.max_reply_len()), (2, 0));
    for (service, which) in [
        (Service::<u8, u8>::new("one").max_request(9), "`max_request`"),
        (Service::new("one").max_reply(9), "`max_reply`"),
    ] {
        let error = service.domain(domain.name()).client().unwrap_err().to_string();
        assert!(error.contains("have one length") && error.contains(which), "{error}");
    }
    let huge = Service::<str, str>::new("huge").domain(domain.name()).max_request(usize::MAX);
    assert!(matches!(huge.client(), Err(OpenError::Capacity { .. })));
    let default = Service::<str, [u64]>::new("default").domain(domain.name()).client().unwrap();
    assert_eq!((default.max_request_len(), default.max_reply_len(), default.capacity()), (8192, 1024, 256));
}

#[test]
fn a_request_that_nobody_took_comes_back_whatever_its_length() {
    let domain = Domain::new("back");
    let service = Service::<str, str>::new("echo").domain(domain.name()).capacity(2);
    let client = service.client().unwrap();
    let calls = [client.submit_copy("one").unwrap(), client.submit_copy("two").unwrap()];
    let error = client.submit_copy("three").unwrap_err();
    assert_eq!(error, CallError::Full("three".into()));
    assert_eq!(error.into_request().as_deref(), Some("three"));
    assert!(matches!(client.loan_len(1), Err(CallError::Full(_))));
    let other = service.client().unwrap();
    assert_eq!(other.submit_copy_timeout("", SHORT).unwrap_err(), CallError::Timeout(Some("".into())));
    drop(calls);
    // Dropped without being submitted, it is given back.
    (0..9).for_each(|len| drop(client.loan_len(len).unwrap()));
    assert_eq!(client.len(), 0);
}

#[test]
fn streams_vary_from_part_to_part() {
    let domain = Domain::new("parts");
    let service = Service::<u64, [u64]>::new("counts").domain(domain.name()).max_reply(800);
    let (client, server) = (service.client().unwrap(), service.server().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..3 {
                let mut parts = server.accept().unwrap().unwrap().reply_stream();
                let most = *parts;
                for len in 0..=most {
                    let sent = match len % 2 {
                        0 => parts.send_copy(&vec![len; len as usize]),
                        _ => parts.send_with(len as usize, |_, part| part.fill(len)),
                    };
                    match sent {
                        Ok(()) => {}
                        // It went on after what was too long, and ended with the client.
                        Err(ReplyError::TooLarge(too_large)) => assert_eq!(too_large.limit, 800),
                        Err(error) => assert_eq!(error, ReplyError::ClientGone),
                    }
                }
                parts.finish();
            }
        });
        let mut parts = client.submit(102).unwrap().into_replies();
        for len in 0..=100 {
            match len % 3 {
                0 => assert_eq!(*parts.next_boxed().unwrap().unwrap(), vec![len as u64; len]),
                _ => assert_eq!(*parts.next_ref().unwrap().unwrap(), vec![len as u64; len]),
            }
        }
        assert!(parts.next_ref().is_none());
        assert!(parts.next_boxed().is_none());
        // Of whoever waits for one reply, the rest is of no interest.
        assert_eq!(*client.submit(50).unwrap().wait_boxed().unwrap(), []);
        let mut call = client.submit(50).unwrap();
        assert_eq!(*call.wait_ref().unwrap(), []);
        assert!(call.try_take_ref().is_none());
    });
    assert_eq!(client.len(), 0);
}

/// A message of any length, in the way of the oracle: its bytes.
fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever lengths follow each other in a slot, nothing of one message is left in the next.
    #[test]
    fn slots_hold_one_message_after_the_other(words in words(), capacity in 1..4_usize) {
        let domain = Domain::new(&format!("slots-{capacity}"));
        let service = Service::<[u8], [u8]>::new("reverse").domain(domain.name()).capacity(capacity);
        let service = service.max_request(150).max_reply(120);
        let (client, server) = (service.client().unwrap(), service.server().unwrap());
        for batch in words.chunks(capacity) {
            let calls: Vec<_> = batch.iter().map(|word| client.submit_copy(word)).collect();
            for word in batch.iter().filter(|word| word.len() <= 150) {
                let request = server.try_accept_ref().unwrap().unwrap();
                prop_assert_eq!(&**request, &word[..]);
                let reply: Vec<u8> = request.iter().rev().copied().collect();
                prop_assert_eq!(request.reply_copy(&reply).is_ok(), reply.len() <= 120);
            }
            for (call, word) in calls.into_iter().zip(batch) {
                match call {
                    Err(error) => prop_assert_eq!(error, CallError::TooLarge(TooLarge { bytes: word.len(), limit: 150 })),
                    Ok(call) if word.len() > 120 => prop_assert_eq!(call.wait_boxed(), Err(CallError::Dropped)),
                    Ok(call) => prop_assert_eq!(call.wait_boxed().unwrap().into_vec(), word.iter().rev().copied().collect::<Vec<_>>()),
                }
            }
        }
        prop_assert_eq!(client.len(), 0);
    }
}
