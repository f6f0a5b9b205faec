//! Deaths of clients and servers, at every step of a call.

use super::*;

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
    assert_eq!(client.call(question(2)), Err(CallError::ServerDied(Some(Box::new(question(2))), peer(pid))));
    // Once; then the wait is for a successor.
    assert_eq!(client.call_timeout(question(3), SHORT), Err(CallError::Timeout(Some(Box::new(question(3))))));
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
    assert_eq!(client.call_timeout(question(1), SHORT), Err(CallError::Timeout(Some(Box::new(question(1))))));
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
