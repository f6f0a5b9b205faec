//! Services, with both ends in one process, and between processes that are started in any order and killed.

mod support;

use ipc_core::{
    AcceptError, CallError, Client, Corrupt, IpcMessage, OpenError, Peer, ReplyError, Server, Service, Str,
};
use ipc_macros::IpcMessage;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::{Child, Domain, PATIENCE, Part, listen, play, program, say};

const PARTS: &[(&str, Part)] = &[
    ("serve", serve),
    ("hold", hold),
    ("hold_a_stream", hold_a_stream),
    ("call_thousands", call_thousands),
    ("call_until_killed", call_until_killed),
    ("leave_calls", leave_calls),
];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// A request that shows whether it is whole.
type Question = [u64; 4];

/// A reply that shows whose it is.
type Answer = [u64; 6];

fn question(number: u64) -> Question {
    [number, number.wrapping_mul(3), number ^ 0x5555, !number]
}

fn answer(asked: Question) -> Answer {
    assert_eq!(asked, question(asked[0]), "the request is whole");
    [asked[0] + 1, !asked[0], asked[1], asked[2], asked[3], asked[0]]
}

fn service(domain: &str) -> Service<Question, Answer> {
    Service::new("questions").domain(domain).capacity(8)
}

const SHORT: Duration = Duration::from_millis(60);

/// Runs `client` beside a server that answers.
fn beside_a_server(service: &Service<Question, Answer>, client: impl FnOnce()) {
    let server = service.server().unwrap();
    let stopper = server.stopper();
    thread::scope(|scope| {
        let serving = scope.spawn(move || server.serve(answer));
        client();
        stopper.stop();
        serving.join().unwrap().unwrap();
    });
}

/// A server that answers until it is told no more.
fn serve(domain: &str) {
    let server = service(domain).server().unwrap();
    let stopper = server.stopper();
    say("ready");
    thread::scope(|scope| {
        scope.spawn(move || {
            while listen().is_some() {}
            stopper.stop();
        });
        server.serve(answer).unwrap();
    });
}

/// A server that takes one request and says so, and does nothing more.
fn hold(domain: &str) {
    let server = service(domain).server().unwrap();
    say("ready");
    let request = server.accept().unwrap().unwrap();
    say(request[0].to_string());
    listen();
}

/// A server that answers one request with two replies of a stream, and does nothing more.
fn hold_a_stream(domain: &str) {
    let server = service(domain).server().unwrap();
    say("ready");
    let mut replies = server.accept().unwrap().unwrap().reply_stream();
    for number in 0..2 {
        replies.send(answer(question(replies[0] + number))).unwrap();
    }
    say("sent");
    listen();
}

const THOUSANDS: u64 = 10_000;

/// Calls many times, with some calls under way at the same time, and checks every reply.
fn call_thousands(domain: &str) {
    let client = service(domain).client().unwrap();
    let first = u64::from(std::process::id()) << 32;
    let mut number = first;
    while number < first + THOUSANDS {
        let calls: Vec<_> = (0..2).map(|more| client.submit(question(number + more)).unwrap()).collect();
        for call in calls {
            assert_eq!(call.wait().unwrap(), answer(question(number)));
            number += 1;
        }
    }
    say("all came");
}

fn call_until_killed(domain: &str) {
    let client = service(domain).client().unwrap();
    say("ready");
    for number in 0.. {
        call_persistently(&client, number);
    }
}

/// Makes as many calls as it is told, waits for none, and says so.
fn leave_calls(domain: &str) {
    let client = service(domain).client().unwrap();
    let calls: u64 = listen().unwrap().parse().unwrap();
    let calls: Vec<_> = (0..calls).map(|number| client.submit(question(number)).unwrap()).collect();
    say("made");
    listen();
    drop(calls);
}

fn child(part: &str, domain: &Domain) -> Child {
    let mut child = Child::start(part, domain);
    assert_eq!(child.hear(), "ready");
    child
}

fn peer(pid: u32) -> Peer {
    Peer { pid, program: program().into() }
}

/// Calls until a server answers: a death is reported once, and may be that of an earlier server.
fn call_persistently(client: &Client<Question, Answer>, number: u64) -> u32 {
    for deaths in 0..1000 {
        match client.call_timeout(question(number), PATIENCE) {
            Ok(reply) => {
                assert_eq!(reply, answer(question(number)));
                return deaths;
            }
            Err(CallError::ServerDied(..)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("no server lives long enough");
}

#[test]
fn ends_can_be_moved_to_other_threads() {
    fn is_send<T: Send>() {}
    is_send::<Client<u8, u8>>();
    is_send::<Server<u8, u8>>();
}

#[test]
fn replies_match_their_requests() {
    let domain = Domain::new("match");
    let service = service(domain.name());
    beside_a_server(&service, || {
        thread::scope(|scope| {
            for client in 0..3 {
                let service = &service;
                scope.spawn(move || {
                    let end = service.client().unwrap();
                    for number in 0..2_000 {
                        let asked = question(client << 32 | number);
                        assert_eq!(end.call(asked).unwrap(), answer(asked));
                    }
                });
            }
        });
    });
}

#[test]
fn calls_are_pipelined_and_waited_for_in_any_order() {
    let domain = Domain::new("pipelined");
    let (client, server) = (service(domain.name()).client().unwrap(), service(domain.name()).server().unwrap());
    let mut calls: Vec<_> = (0..4).map(|number| client.submit(question(number)).unwrap()).collect();
    assert!(calls[2].try_take().is_none());
    assert!(calls[2].wait_timeout(Duration::from_millis(1)).is_none());
    // Answered in another order, and waited for in a third one.
    let requests: Vec<_> = (0..4).map(|_| server.try_accept().unwrap().unwrap()).collect();
    assert!(server.try_accept().unwrap().is_none());
    assert_eq!(requests.iter().map(|request| request[0]).collect::<Vec<_>>(), [0, 1, 2, 3], "first come, first served");
    for request in requests.into_iter().rev() {
        let reply = answer(*request);
        assert!(request.reply(reply));
    }
    assert_eq!(calls[2].try_take(), Some(Ok(answer(question(2)))));
    assert_eq!(calls[2].try_take(), None, "once");
    for number in [3, 1, 0] {
        assert_eq!(calls.remove(number).wait(), Ok(answer(question(number as u64))));
    }
}

#[test]
fn a_call_that_is_dropped_is_withdrawn_or_unheard() {
    let domain = Domain::new("dropped");
    let (client, server) = (service(domain.name()).client().unwrap(), service(domain.name()).server().unwrap());
    drop(client.submit(question(1)).unwrap());
    assert!(server.try_accept().unwrap().is_none(), "it was withdrawn");
    let call = client.submit(question(2)).unwrap();
    let request = server.accept().unwrap().unwrap();
    drop(call);
    assert!(!request.reply(answer(question(2))));
    let call = client.submit(question(3)).unwrap();
    drop(server.accept().unwrap().unwrap());
    assert_eq!(call.wait(), Err(CallError::Dropped));
    // All slots are there again.
    let calls: Vec<_> = (0..8).map(|number| client.submit(question(number)).unwrap()).collect();
    assert_eq!(client.submit(question(9)).unwrap_err(), CallError::Full(question(9)));
    drop(calls);
}

#[test]
fn a_panic_of_the_handler_is_a_dropped_request() {
    let domain = Domain::new("panic");
    let (client, server) = (service(domain.name()).client().unwrap(), service(domain.name()).server().unwrap());
    let call = client.submit(question(1)).unwrap();
    let died = thread::spawn(move || server.serve(|_| std::panic::resume_unwind(Box::new(())))).join();
    assert!(died.is_err());
    assert_eq!(call.wait(), Err(CallError::Dropped));
}

#[test]
fn time_runs_out_before_and_after_the_call_is_taken() {
    let domain = Domain::new("timeout");
    let client = service(domain.name()).client().unwrap();
    // Also when the queue is full of the tickets of calls that were withdrawn.
    for number in 0..40 {
        let late = client.call_timeout(question(number), Duration::from_millis(2));
        assert_eq!(late, Err(CallError::Timeout(Some(question(number)))), "{number}");
    }
    let server = service(domain.name()).server().unwrap();
    let (tell, hear) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let request = server.accept().unwrap().unwrap();
            assert_eq!(*request, question(100));
            hear.recv().unwrap();
            assert!(!request.reply(answer(question(100))), "nobody listened any more");
            server.accept().unwrap().unwrap().reply_stream().finish();
        });
        assert_eq!(client.call_timeout(question(100), SHORT), Err(CallError::Timeout(None)));
        tell.send(()).unwrap();
        assert_eq!(client.call(question(101)), Err(CallError::Dropped), "a reply was expected, and none came");
    });
}

#[test]
fn a_client_waits_for_the_first_server() {
    let domain = Domain::new("first-server");
    let client = service(domain.name()).client().unwrap();
    thread::scope(|scope| {
        let call = scope.spawn(move || client.call(question(1)));
        beside_a_server(&service(domain.name()), || assert_eq!(call.join().unwrap(), Ok(answer(question(1)))));
    });
}

#[test]
fn a_stopped_server_leaves_calls_to_the_next_one() {
    let domain = Domain::new("stopped");
    let client = service(domain.name()).client().unwrap();
    let server = service(domain.name()).server().unwrap();
    server.stopper().stop();
    let call = client.submit(question(1)).unwrap();
    assert!(server.accept().unwrap().is_none());
    assert_eq!(server.serve(answer), Ok(()));
    drop(server);
    beside_a_server(&service(domain.name()), || assert_eq!(call.wait(), Ok(answer(question(1)))));
}

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

#[test]
fn either_message_of_another_layout_is_explained() {
    #[derive(IpcMessage, Clone, Copy)]
    #[ipc(crate = "ipc_core")]
    #[repr(C)]
    struct Thumb {
        width: u32,
        pixels: [u8; 32],
    }
    mod later {
        #[derive(ipc_macros::IpcMessage, Clone, Copy)]
        #[ipc(crate = "ipc_core")]
        #[repr(C)]
        pub(super) struct Thumb {
            pub(super) width: u64,
            pub(super) pixels: [u8; 32],
        }
    }
    fn refusal<Req: IpcMessage, Rep: IpcMessage>(domain: &Domain) -> String {
        let service = Service::<Req, Rep>::new("resize").domain(domain.name());
        let Err(error @ OpenError::Mismatch(_)) = service.client() else { panic!("it has another layout") };
        error.to_string()
    }
    let domain = Domain::new("mismatch");
    let server = Service::<Str<40>, Thumb>::new("resize").domain(domain.name()).server().unwrap();
    let error = refusal::<Str<40>, later::Thumb>(&domain);
    assert!(error.contains("another `Thumb`"), "{error}");
    assert!(error.contains("field `width`: u64 at byte 0 here, u32 at byte 0 in the segment"), "{error}");
    let error = refusal::<Str<41>, Thumb>(&domain);
    assert!(error.contains("40") && error.contains("41"), "{error}");
    assert!(Service::<Str<40>, Thumb>::new("resize").domain(domain.name()).client().is_ok());
    drop(server);
}

/// What is declared of the service `resize`.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core", service = "resize", reply = Resized, capacity = 16)]
#[repr(C)]
struct Resize {
    width: u32,
    height: u32,
    is_square: bool,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
struct Resized {
    pixels: u64,
    is_large: bool,
}

#[test]
fn a_service_is_declared_at_its_request() {
    let domain = Domain::new("declared");
    let service: Service<Resize, Resized> = Resize::channel().domain(domain.name());
    let (client, server) = (service.client().unwrap(), service.server().unwrap());
    assert_eq!((client.capacity(), client.len()), (16, 0));
    let call = client.submit(Resize { width: 3, height: 4, is_square: false }).unwrap();
    assert_eq!(client.len(), 1);
    let request = server.accept().unwrap().unwrap();
    let pixels = u64::from(request.width * request.height);
    request.reply(Resized { pixels, is_large: false });
    assert_eq!(call.wait(), Ok(Resized { pixels: 12, is_large: false }));
}

/// Writes into a channel's segment, as somebody with a bug might.
fn damage(domain: &Domain, channel: &str, at: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(domain.path(channel)).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

/// A number of the segment's header.
fn header(domain: &Domain, channel: &str, at: u64) -> u64 {
    let mut bytes = [0; 8];
    std::fs::File::open(domain.path(channel)).unwrap().read_exact_at(&mut bytes, at).unwrap();
    u64::from_ne_bytes(bytes)
}

#[test]
fn what_is_no_value_is_dropped_on_either_side() {
    let domain = Domain::new("invalid");
    let service = Resize::channel().domain(domain.name());
    let (client, server) = (service.client().unwrap(), service.server().unwrap());
    let slots = header(&domain, "resize", 104);
    let asked = Resize { width: 3, height: 4, is_square: false };
    // The slot of the first client's first call is the table's first, and the flag is 8 bytes into the request.
    let call = client.submit(asked).unwrap();
    damage(&domain, "resize", slots + 16 + 8, &[2]);
    assert!(matches!(server.accept(), Err(AcceptError::Corrupt(Corrupt::Message(_)))));
    assert_eq!(call.wait(), Err(CallError::Dropped));
    let call = client.submit(asked).unwrap();
    server.accept().unwrap().unwrap().reply(Resized { pixels: 12, is_large: false });
    damage(&domain, "resize", slots + 64 + 8, &[2]);
    assert!(matches!(call.wait(), Err(CallError::Corrupt(None, Corrupt::Message(_)))));
    // And the service goes on.
    let call = client.submit(asked).unwrap();
    server.accept().unwrap().unwrap().reply(Resized { pixels: 12, is_large: true });
    assert_eq!(call.wait(), Ok(Resized { pixels: 12, is_large: true }));
}

#[test]
fn no_word_of_the_segment_brings_anybody_down() {
    let mut random = 0x9E37_79B9_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 20
    };
    for round in 0..40 {
        let domain = Domain::new(&format!("damage-{round}"));
        let service = Service::<Question, Answer>::new("questions").domain(domain.name()).capacity(2);
        let (client, server) = (service.client().unwrap(), service.server().unwrap());
        let (lines, total) = (header(&domain, "questions", 96), header(&domain, "questions", 112));
        for step in 0..50 {
            let patience = Duration::from_millis(1);
            // Damage may say that every slot is somebody's, and a slot is waited for as long as one asks.
            let call = client.submit_timeout(question(step), patience);
            // Any word behind the participants, or a likely value of one.
            let at = lines + next() % (total - lines) / 8 * 8;
            let value = if next() % 2 == 0 { next() % 8 } else { next() << 30 | next() };
            damage(&domain, "questions", at, &value.to_ne_bytes());
            while let Ok(Some(request)) = server.accept_timeout(patience) {
                let reply = [request[0]; 6];
                request.reply(reply);
            }
            let Ok(mut call) = call else { break };
            let _ = call.wait_timeout(patience);
        }
        drop((client, server));
        let _ = std::fs::remove_file(domain.path("questions"));
    }
}

#[test]
fn a_fork_leaves_the_child_dead_handles() {
    let domain = Domain::new("fork");
    let (client, server) = (service(domain.name()).client().unwrap(), service(domain.name()).server().unwrap());
    let mut call = client.submit(question(1)).unwrap();
    // SAFETY: the child does nothing but use memory of its own, and ends at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let is_dead = matches!(client.call(question(2)), Err(CallError::Forked(Some(_))))
            && matches!(server.try_accept(), Err(AcceptError::Forked))
            && matches!(call.try_take(), Some(Err(CallError::Forked(None))));
        drop(call);
        drop((client, server));
        // SAFETY: ends the process without running anything of the test harness.
        unsafe { libc::_exit(i32::from(!is_dead)) };
    }
    let mut status = 0;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child found its handles dead");
    let request = server.accept().unwrap().unwrap();
    request.reply(answer(question(1)));
    assert_eq!(call.wait(), Ok(answer(question(1))), "and the parent's live on");
}

#[test]
fn capacities_that_no_service_has_are_refused() {
    let domain = Domain::new("capacity");
    for capacity in [0, 32_769] {
        let error = service(domain.name()).capacity(capacity).client().unwrap_err();
        assert!(matches!(error, OpenError::Capacity { .. }), "{error}");
    }
    let client = Service::<[u64; 100], Str<9>>::new("large").domain(domain.name()).capacity(32_768).client().unwrap();
    assert_eq!(client.capacity(), 32_768);
}

#[test]
fn there_are_places_for_64_of_each() {
    let domain = Domain::new("places");
    let service = service(domain.name());
    let clients: Vec<_> = (0..64).map(|_| service.client().unwrap()).collect();
    assert!(matches!(service.client(), Err(OpenError::TableFull { places: 64, .. })));
    let servers: Vec<_> = (0..64).map(|_| service.server().unwrap()).collect();
    assert!(matches!(service.server(), Err(OpenError::TableFull { places: 64, .. })));
    let call = clients[63].submit(question(1)).unwrap();
    let request = servers[63].accept().unwrap().unwrap();
    request.reply(answer(question(1)));
    assert_eq!(call.wait(), Ok(answer(question(1))));
}

#[test]
fn processes_come_in_any_order() {
    for server_first in [true, false] {
        let domain = Domain::new(&format!("order-{server_first}"));
        let mut client = None;
        if !server_first {
            client = Some(Child::start("call_thousands", &domain));
        }
        let server = child("serve", &domain);
        let mut client = client.unwrap_or_else(|| Child::start("call_thousands", &domain));
        assert_eq!(client.hear(), "all came");
        client.finish();
        server.finish();
    }
}

#[test]
fn four_clients_and_two_servers_share_the_work() {
    let domain = Domain::new("four-two");
    let servers = [(); 2].map(|()| child("serve", &domain));
    let mut clients = [(); 4].map(|()| Child::start("call_thousands", &domain));
    clients.iter_mut().for_each(|client| assert_eq!(client.hear(), "all came"));
    clients.into_iter().for_each(Child::finish);
    servers.into_iter().for_each(Child::finish);
}

#[test]
fn a_call_learns_of_the_death_of_the_server_that_took_it() {
    let domain = Domain::new("taken");
    let client = service(domain.name()).client().unwrap();
    let mut server = child("hold", &domain);
    let pid = server.pid();
    let call = client.submit(question(7)).unwrap();
    assert_eq!(server.hear(), "7");
    // It is not that nobody is left.
    let other = child("serve", &domain);
    server.kill();
    assert_eq!(call.wait(), Err(CallError::ServerDied(None, peer(pid))));
    assert_eq!(client.call(question(8)), Ok(answer(question(8))));
    other.finish();
}

#[test]
fn a_call_that_nobody_took_comes_back_when_the_last_server_dies() {
    let domain = Domain::new("untaken");
    let client = service(domain.name()).client().unwrap();
    let server = child("serve", &domain);
    assert_eq!(client.call(question(1)), Ok(answer(question(1))));
    let pid = server.pid();
    server.kill();
    assert_eq!(client.call(question(2)), Err(CallError::ServerDied(Some(question(2)), peer(pid))));
    // Once; then the wait is for a successor.
    assert_eq!(client.call_timeout(question(3), SHORT), Err(CallError::Timeout(Some(question(3)))));
    let server = child("serve", &domain);
    assert_eq!(client.call(question(4)), Ok(answer(question(4))));
    server.finish();
}

#[test]
fn a_successor_on_the_same_line_does_not_hide_a_death() {
    let domain = Domain::new("hidden");
    let client = service(domain.name()).client().unwrap();
    let mut server = child("hold", &domain);
    let pid = server.pid();
    let call = client.submit(question(7)).unwrap();
    assert_eq!(server.hear(), "7");
    server.kill();
    let successor = child("serve", &domain);
    assert_eq!(call.wait(), Err(CallError::ServerDied(None, peer(pid))));
    assert_eq!(client.call(question(8)), Ok(answer(question(8))));
    successor.finish();
}

#[test]
fn what_a_dead_server_had_streamed_is_read() {
    let domain = Domain::new("streamed");
    let client = service(domain.name()).client().unwrap();
    let mut server = child("hold_a_stream", &domain);
    let pid = server.pid();
    let mut replies = client.call_stream(question(7)).unwrap();
    assert_eq!(replies.next(), Some(Ok(answer(question(7)))));
    assert_eq!(server.hear(), "sent");
    server.kill();
    assert_eq!(replies.next(), Some(Ok(answer(question(8)))));
    assert_eq!(replies.next(), Some(Err(CallError::ServerDied(None, peer(pid)))));
    assert_eq!(replies.next(), None);
}

#[test]
fn clients_that_die_cost_the_server_nothing() {
    let domain = Domain::new("dead-clients");
    let server = service(domain.name()).server().unwrap();
    // Each of them leaves the table full, half of it taken.
    for _ in 0..3 {
        let mut client = Child::start("leave_calls", &domain);
        client.tell("8");
        assert_eq!(client.hear(), "made");
        let requests: Vec<_> = (0..4).map(|_| server.accept().unwrap().unwrap()).collect();
        client.kill();
        for request in requests {
            let reply = answer(*request);
            request.reply(reply);
        }
    }
    // Whoever looks for a slot finds all of them again, without anybody taking over the dead one's line.
    let client = service(domain.name()).client().unwrap();
    let calls: Vec<_> = (0..8).map(|number| client.submit(question(number)).unwrap()).collect();
    thread::scope(|scope| {
        let stopper = server.stopper();
        let serving = scope.spawn(move || server.serve(answer));
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(call.wait(), Ok(answer(question(number as u64))));
        }
        stopper.stop();
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn slots_of_the_dead_come_back_to_those_who_wait_for_one() {
    let domain = Domain::new("swept");
    let client = service(domain.name()).client().unwrap();
    let mut other = Child::start("leave_calls", &domain);
    other.tell("8");
    assert_eq!(other.hear(), "made");
    assert_eq!(client.call_timeout(question(1), SHORT), Err(CallError::Timeout(Some(question(1)))));
    other.kill();
    beside_a_server(&service(domain.name()), || assert_eq!(client.call(question(2)), Ok(answer(question(2)))));
}

#[test]
fn everything_goes_on_while_servers_and_clients_are_killed() {
    const KILLS: u64 = 30;
    let domain = Domain::new("kills");
    let client = service(domain.name()).client().unwrap();
    let mut servers = vec![child("serve", &domain), child("serve", &domain)];
    let mut clients = vec![child("call_until_killed", &domain)];
    let mut random = 0x9E37_79B9_u64;
    for number in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Some calls, so that the kill comes at another moment each time.
        for more in 0..random >> 56 {
            call_persistently(&client, number << 32 | more);
        }
        if number % 3 == 2 {
            clients.remove(0).kill();
            clients.push(child("call_until_killed", &domain));
        } else {
            servers.remove(0).kill();
            servers.push(child("serve", &domain));
        }
    }
    call_persistently(&client, 1);
    drop(clients);
    drop(client);
    servers.into_iter().for_each(Child::finish);
}
