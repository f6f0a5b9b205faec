//! Services, with both ends in one process, and between processes that are started in any order and killed.

#[path = "service/outside.rs"]
mod outside;
#[path = "service/ready.rs"]
mod ready;
#[path = "service/streams.rs"]
mod streams;
mod support;
#[path = "service/tasks.rs"]
mod tasks;
#[path = "service/variable.rs"]
mod variable;

use ipc_core::{AcceptError, CallError, Client, IpcMessage, OpenError, ReplyError, Server, Service, Str};
use ipc_macros::IpcMessage;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use support::desk::{
    Answer, Question, Resize, Resized, SHORT, answer, beside_a_server, child, hold, peer, question, serve, service,
};
use support::{Child, Domain, PATIENCE, Part, play, say};

const PARTS: &[(&str, Part)] = &[("serve", serve), ("hold", hold), ("call_thousands", call_thousands)];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
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
    assert_eq!(client.submit(question(9)).unwrap_err(), CallError::Full(Box::new(question(9))));
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
        assert_eq!(late, Err(CallError::Timeout(Some(Box::new(question(number))))), "{number}");
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
    assert!(error.starts_with("service \"resize\" replies with another `Thumb` (created by pid "), "{error}");
    assert!(error.contains("field `width`: u64 at byte 0 here, u32 at byte 0 in the segment"), "{error}");
    let error = refusal::<Str<41>, Thumb>(&domain);
    assert!(error.starts_with("channel \"resize\" carries `Str<40>` (created by pid "), "{error}");
    assert!(error.contains("and this program opens it for `Str<41>`:"), "{error}");
    let error = refusal::<Str<40>, u64>(&domain);
    assert!(error.starts_with("service \"resize\" replies with `Thumb` (created by pid "), "{error}");
    assert!(error.contains("and this program expects `u64`:"), "{error}");
    assert!(Service::<Str<40>, Thumb>::new("resize").domain(domain.name()).client().is_ok());
    drop(server);
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
