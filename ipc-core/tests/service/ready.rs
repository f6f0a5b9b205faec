//! Clients, servers and calls that are waited for together with others.

use super::*;
use ipc_core::{Queue, Source, WaitSet};
use std::time::Instant;

#[test]
fn all_three_say_when_they_are_ready() {
    let domain = Domain::new("ready");
    let service = service(domain.name()).capacity(2);
    let (mut client, mut server) = (service.client().unwrap(), service.server().unwrap());
    let mut set = WaitSet::new();
    assert_eq!(set.try_wait([&mut client]).len(), 1, "there are slots");
    assert_eq!(set.wait_timeout([&mut server], SHORT).len(), 0);
    let mut call = client.submit(question(1)).unwrap();
    assert_eq!(set.wait_timeout([&mut call], SHORT).len(), 0);
    assert_eq!(set.wait([&mut server]).len(), 1);
    assert_eq!(set.wait([&mut server]).len(), 1, "for as long as it is not accepted");
    let request = server.try_accept().unwrap().unwrap();
    assert!(server.try_accept().unwrap().is_none());
    request.reply(answer(question(1)));
    assert_eq!(set.wait([&mut call]).len(), 1);
    assert_eq!(call.try_take(), Some(Ok(answer(question(1)))));
    assert_eq!(set.wait([&mut call]).len(), 1, "there is nothing more to wait for");
    drop(call);
    // A full table, of which half is another client's.
    let other = service.client().unwrap();
    let (own, others) = (other.submit(question(2)).unwrap(), other.submit(question(3)).unwrap());
    assert_eq!(set.wait_timeout([&mut client], SHORT).len(), 0);
    drop((own, others));
    assert_eq!(set.wait([&mut client]).len(), 1);
    server.stopper().stop();
    assert_eq!(set.wait([&mut server]).len(), 1, "a server that has been stopped is ready to say so");
}

#[test]
fn a_set_wakes_for_whichever_comes() {
    const ROUNDS: u64 = 300;
    for ends in [1, 150] {
        let domain = Domain::new(&format!("set-{ends}"));
        let service = service(domain.name());
        let client = service.client().unwrap();
        let mut server = service.server().unwrap();
        // So many that threads of the library's own watch them, and idle ones.
        let idle = |number| Queue::<u64>::new(format!("idle.{number}")).domain(domain.name()).capacity(1).receiver();
        let mut idle: Vec<_> = (1..ends).map(|number| idle(number).unwrap()).collect();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut set = WaitSet::new();
                for number in 0..ROUNDS {
                    let mut call = client.submit(question(number)).unwrap();
                    assert_eq!(set.wait_timeout([&mut call], PATIENCE).len(), 1);
                    assert_eq!(call.try_take(), Some(Ok(answer(question(number)))));
                }
            });
            let mut set = WaitSet::new();
            let mut answered = 0;
            while answered < ROUNDS {
                let sources = idle.iter_mut().map(|idle| idle as &mut dyn Source);
                let ready: Vec<_> =
                    set.wait_timeout(sources.chain([&mut server as &mut dyn Source]), PATIENCE).collect();
                assert_eq!(ready, [ends - 1], "only the server");
                while let Some(request) = server.try_accept().unwrap() {
                    let reply = answer(*request);
                    request.reply(reply);
                    answered += 1;
                }
            }
        });
    }
}

#[test]
fn a_call_in_a_set_learns_of_deaths() {
    let domain = Domain::new("set-death");
    let client = service(domain.name()).client().unwrap();
    let mut server = child("hold", &domain);
    let pid = server.pid();
    let mut calls = [7, 8].map(|number| client.submit(question(number)).unwrap());
    assert_eq!(server.hear(), "7");
    let started = Instant::now();
    server.kill();
    let mut set = WaitSet::new();
    for (at, request) in [(0, None), (1, Some(Box::new(question(8))))] {
        assert!(set.wait_timeout(&mut calls, PATIENCE).any(|ready| ready == at));
        assert_eq!(calls[at].try_take(), Some(Err(CallError::ServerDied(request, peer(pid)))));
    }
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn threads_share_a_client() {
    let domain = Domain::new("shared");
    let service = service(domain.name());
    let client = &service.client().unwrap();
    beside_a_server(&service, || {
        thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..2_000 {
                        let asked = question(thread << 32 | number);
                        assert_eq!(client.call(asked), Ok(answer(asked)));
                    }
                });
            }
        });
    });
    assert_eq!(client.len(), 0);
}
