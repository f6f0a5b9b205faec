//! Deaths of clients and servers, at every step of a call.

use super::support::desk::{
    SHORT, answer, beside_a_server, call_persistently, child, hold, peer, question, serve, service,
};
use super::support::sums::{Numbers, Sums, add_up, ask, check, serve_sums, sums};
use super::support::{Child, Domain, PATIENCE, Part, listen, say};
use ipc_core::{CallError, Client};
use std::thread;
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("serve", serve),
    ("service_hold", hold),
    ("service_hold_a_stream", hold_a_stream),
    ("service_call_until_killed", call_until_killed),
    ("service_leave_calls", leave_calls),
    ("service_serve_sums", serve_sums_in),
    ("service_stop_at_a_step", stop_at_a_step),
    ("service_ask_until_killed", ask_until_killed),
];

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

/// Answers calls of any length until it is told no more.
fn serve_sums_in(domain: &str) {
    let server = sums(domain).server().unwrap();
    let stopper = server.stopper();
    say("ready");
    thread::scope(|scope| {
        scope.spawn(move || {
            while listen().is_some() {}
            stopper.stop();
        });
        serve_sums(&server);
    });
}

/// Goes as far with a call as it is told, on either side, says so, and waits to be killed.
fn stop_at_a_step(domain: &str) {
    let step = listen().unwrap();
    let pause = || {
        say(&step);
        listen();
    };
    let (client, server);
    match &step[..] {
        "loaned" => {
            client = sums(domain).client().unwrap();
            let mut loan = client.loan_len(400).unwrap();
            loan.numbers.fill(7);
            pause();
        }
        "submitted" => {
            client = sums(domain).client().unwrap();
            let _call = ask(&client, 1, 400);
            pause();
        }
        "reading" => {
            client = sums(domain).client().unwrap();
            let mut call = ask(&client, 1, 400);
            let reply = call.wait_ref().unwrap();
            check(&reply, 1, 400);
            pause();
        }
        "accepted" | "replying" => {
            server = sums(domain).server().unwrap();
            let request = server.accept_ref().unwrap().unwrap();
            let len = request.numbers.len();
            match &step[..] {
                "replying" => {
                    let mut loan = request.loan_len(len).unwrap();
                    loan.sums.fill(1);
                    pause();
                }
                _ => pause(),
            }
        }
        step => panic!("there is no step {step}"),
    }
}

/// Calls with lengths that differ, checks every reply, and never ends.
fn ask_until_killed(domain: &str) {
    let client = sums(domain).client().unwrap();
    say("ready");
    for number in 0.. {
        ask_persistently(&client, number);
    }
}

/// Calls until a server answers.
fn ask_persistently(client: &Client<Numbers, Sums>, number: u64) {
    let len = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize % 495;
    for _ in 0..1000 {
        let mut call = ask(client, number, len);
        match call.wait_ref_timeout(PATIENCE).expect("somebody answers") {
            Ok(reply) => return check(&reply, number, len),
            Err(CallError::ServerDied(..)) => {}
            Err(error) => panic!("{error}"),
        };
    }
    panic!("no server lives long enough");
}

#[test]
fn a_client_may_die_at_any_step_of_a_call_of_any_length() {
    let domain = Domain::new("service-steps-client");
    let server = sums(domain.name()).server().unwrap();
    for step in ["loaned", "submitted", "reading", "loaned", "submitted"] {
        let mut dying = Child::start("service_stop_at_a_step", &domain);
        dying.tell(step);
        if step == "reading" {
            let request = server.accept_ref().unwrap().unwrap();
            let len = request.numbers.len();
            let mut loan = request.loan_len(len).unwrap();
            let (request, reply) = loan.parts();
            add_up(request, reply);
            loan.send();
        }
        assert_eq!(dying.hear(), step);
        dying.kill();
        // All four slots come back, whoever had them, and nothing of the dead one's is in them.
        let client = sums(domain.name()).client().unwrap();
        let stopper = sums(domain.name()).server().unwrap();
        let stop = stopper.stopper();
        thread::scope(|scope| {
            scope.spawn(move || serve_sums(&stopper));
            let calls: Vec<_> = (0..4).map(|number| ask(&client, number, 100)).collect();
            for (number, call) in calls.into_iter().enumerate() {
                check(&call.wait_boxed().unwrap(), number as u64, 100);
            }
            stop.stop();
        });
    }
}

#[test]
fn a_server_may_die_at_any_step_of_a_call_of_any_length() {
    let domain = Domain::new("service-steps-server");
    let client = sums(domain.name()).client().unwrap();
    for step in ["accepted", "replying", "accepted"] {
        let mut dying = Child::start("service_stop_at_a_step", &domain);
        let pid = dying.pid();
        dying.tell(step);
        let mut call = ask(&client, 5, 300);
        assert_eq!(dying.hear(), step);
        dying.kill();
        assert_eq!(call.wait_ref().unwrap_err(), CallError::ServerDied(None, peer(pid)));
    }
    // And one that nobody takes comes back as it was made.
    let dying = child("service_serve_sums", &domain);
    let pid = dying.pid();
    ask_persistently(&client, 1);
    dying.kill();
    let error = ask(&client, 6, 77).wait_boxed().unwrap_err();
    assert!(matches!(&error, CallError::ServerDied(Some(_), died) if *died == peer(pid)), "{error}");
    let request = error.into_request().unwrap();
    assert_eq!((request.seed, request.numbers.len()), (6, 77));
    let server = child("service_serve_sums", &domain);
    check(&client.submit_copy(&request).unwrap().wait_boxed().unwrap(), 6, 77);
    server.finish();
}

#[test]
fn calls_of_any_length_go_on_while_servers_and_clients_are_killed() {
    const KILLS: u64 = 20;
    let domain = Domain::new("service-var-kills");
    let client = sums(domain.name()).client().unwrap();
    let mut servers = vec![child("service_serve_sums", &domain), child("service_serve_sums", &domain)];
    let mut clients = vec![child("service_ask_until_killed", &domain)];
    for number in 0..KILLS {
        for more in 0..number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57 {
            ask_persistently(&client, number << 32 | more);
        }
        if number % 3 == 2 {
            clients.remove(0).kill();
            clients.push(child("service_ask_until_killed", &domain));
        } else {
            servers.remove(0).kill();
            servers.push(child("service_serve_sums", &domain));
        }
    }
    ask_persistently(&client, 1);
    drop(clients);
    drop(client);
    servers.into_iter().for_each(Child::finish);
}

#[test]
fn a_call_learns_of_the_death_of_the_server_that_took_it() {
    let domain = Domain::new("service-taken");
    let client = service(domain.name()).client().unwrap();
    let mut server = child("service_hold", &domain);
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
    let domain = Domain::new("service-untaken");
    let client = service(domain.name()).client().unwrap();
    let server = child("serve", &domain);
    assert_eq!(client.call(question(1)), Ok(answer(question(1))));
    let pid = server.pid();
    server.kill();
    assert_eq!(client.call(question(2)), Err(CallError::ServerDied(Some(Box::new(question(2))), peer(pid))));
    // Once; then the wait is for a successor.
    assert_eq!(client.call_timeout(question(3), SHORT), Err(CallError::Timeout(Some(Box::new(question(3))))));
    let server = child("serve", &domain);
    assert_eq!(client.call(question(4)), Ok(answer(question(4))));
    server.finish();
}

#[test]
fn a_successor_on_the_same_line_does_not_hide_a_death() {
    let domain = Domain::new("service-hidden");
    let client = service(domain.name()).client().unwrap();
    let mut server = child("service_hold", &domain);
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
fn clients_that_die_cost_the_server_nothing() {
    let domain = Domain::new("service-dead-clients");
    let server = service(domain.name()).server().unwrap();
    // Each of them leaves the table full, half of it taken.
    for _ in 0..3 {
        let mut client = Child::start("service_leave_calls", &domain);
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
    let domain = Domain::new("service-swept");
    let client = service(domain.name()).client().unwrap();
    let mut other = Child::start("service_leave_calls", &domain);
    other.tell("8");
    assert_eq!(other.hear(), "made");
    assert_eq!(client.call_timeout(question(1), SHORT), Err(CallError::Timeout(Some(Box::new(question(1))))));
    other.kill();
    beside_a_server(&service(domain.name()), || assert_eq!(client.call(question(2)), Ok(answer(question(2)))));
}

#[test]
fn everything_goes_on_while_servers_and_clients_are_killed() {
    const KILLS: u64 = 30;
    let domain = Domain::new("service-kills");
    let client = service(domain.name()).client().unwrap();
    let mut servers = vec![child("serve", &domain), child("serve", &domain)];
    let mut clients = vec![child("service_call_until_killed", &domain)];
    let mut random = 0x9E37_79B9_u64;
    for number in 0..KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Some calls, so that the kill comes at another moment each time.
        for more in 0..random >> 56 {
            call_persistently(&client, number << 32 | more);
        }
        if number % 3 == 2 {
            clients.remove(0).kill();
            clients.push(child("service_call_until_killed", &domain));
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

#[test]
fn what_a_dead_server_had_streamed_is_read() {
    let domain = Domain::new("service-streamed");
    let client = service(domain.name()).client().unwrap();
    let mut server = child("service_hold_a_stream", &domain);
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
fn a_stopped_server_keeps_the_call_that_it_has_taken() {
    let domain = Domain::new("service-stopped");
    let client = service(domain.name()).client().unwrap();
    let mut server = child("service_hold", &domain);
    let pid = server.pid();
    let mut call = client.submit(question(7)).unwrap();
    assert_eq!(server.hear(), "7");
    server.stop();
    // Several looks at its lock; another server answers what comes meanwhile.
    let other = child("serve", &domain);
    assert_eq!(client.call(question(8)), Ok(answer(question(8))));
    assert_eq!(call.wait_timeout(Duration::from_millis(300)), None);
    server.resume();
    server.kill();
    assert_eq!(call.wait(), Err(CallError::ServerDied(None, peer(pid))));
    other.finish();
}
