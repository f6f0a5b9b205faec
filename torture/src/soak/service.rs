//! Services: every call ends, with its reply or with the report of a death, and no request comes to two servers.

use super::{LAST, Life, Message, Name, Witness, message, name, note};
use crate::check::{CAPACITY, Check, Context, PATIENCE, ensure};
pub(super) use crate::sweep::SERVICE as KIND;
use slipring::{CallError, Service};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

fn channel(domain: &str) -> Service<Message, Message> {
    Service::new("desk").domain(domain).capacity(CAPACITY)
}

/// The part of a process.
pub(super) fn play(_: &str, role: &str, domain: &str, life: u64) -> Check {
    let service = channel(domain);
    if role == "client" {
        let client = service.client().at("a client attaches")?;
        for number in 0.. {
            note("intent", &[number])?;
            match client.call(message((life, number))) {
                Ok(reply) => {
                    let reply = name(reply)?;
                    ensure(reply == (life, number), || format!("{reply:?} is the reply to another call"))?;
                    note("answered", &[number])?;
                }
                Err(CallError::ServerDied(None, _)) => note("died", &[number])?,
                Err(CallError::ServerDied(Some(_), _)) => note("returned", &[number])?,
                Err(error) => return Err(format!("a client calls: {error:?}")),
            }
        }
    }
    let server = service.server().at("a server attaches")?;
    loop {
        let Some(request) = server.accept().at("a server accepts")? else { continue };
        let (life, number) = name(*request)?;
        note("got", &[life, number])?;
        request.reply(message((life, number)));
        note("replied", &[life, number])?;
    }
}

/// Knows only the service.
pub(super) fn witness(_: &str, domain: &str) -> Check<Box<dyn Witness>> {
    Ok(Box::new(Heir(channel(domain))))
}

/// Comes when everybody is dead.
struct Heir(Service<Message, Message>);

impl Witness for Heir {
    fn settle(self: Box<Self>, lives: &[Life]) -> Check<usize> {
        let mut servers = HashMap::new();
        for server in lives.iter().filter(|life| life.role == "server") {
            for got in server.lines("got") {
                let other = servers.insert((got[0], got[1]), server.number);
                ensure(other.is_none(), || format!("call {got:?} came to servers {other:?} and {}", server.number))?;
            }
        }
        let deaths = lives.iter().filter(|life| life.role == "server").count();
        let mut died = 0;
        let mut calls = HashSet::new();
        for client in lives.iter().filter(|life| life.role == "client") {
            calls.extend(client.firsts("intent").map(|number| (client.number, number)));
            for number in client.firsts("answered") {
                let is_known = servers.contains_key(&(client.number, number));
                ensure(is_known, || format!("call {number} of client {} was answered by nobody", client.number))?;
            }
            for number in client.firsts("returned") {
                let is_known = servers.contains_key(&(client.number, number));
                ensure(!is_known, || format!("call {number} of client {} was returned and taken", client.number))?;
            }
            died += client.firsts("died").count();
        }
        // One server has one call at a time.
        ensure(died <= deaths, || format!("{died} calls ended with the deaths of {deaths} servers"))?;
        let stray = servers.keys().find(|name| !calls.contains(*name));
        ensure(stray.is_none(), || format!("{stray:?} came, and was never sent"))?;
        self.use_all()?;
        Ok(servers.len())
    }
}

impl Heir {
    /// Makes as many calls at once as there is room for: the dead have taken no slot with them.
    fn use_all(&self) -> Check {
        let client = self.0.client().at("an heir attaches")?;
        let server = self.0.server().at("an heir attaches")?;
        // What the dead have called for is void. But it stays in the queue until a server passes it, and there it takes room.
        while let Some(request) = server.try_accept().at("an heir looks what is left")? {
            let name = name(*request)?;
            request.reply(message(name));
        }
        let names: Vec<Name> = (0..CAPACITY as u64).map(|number| (LAST.0, number)).collect();
        let submit = |name: &Name| client.submit_timeout(message(*name), PATIENCE).at("an heir submits");
        let calls = names.iter().map(submit).collect::<Check<Vec<_>>>()?;
        let deadline = Instant::now() + PATIENCE;
        let mut served = 0;
        while served < names.len() {
            ensure(Instant::now() < deadline, || "the heir's calls do not come".to_string())?;
            let Some(request) = server.accept_timeout(Duration::from_millis(20)).at("an heir accepts")? else {
                continue;
            };
            let name = name(*request)?;
            served += usize::from(names.contains(&name));
            request.reply(message(name));
        }
        for (call, name) in calls.into_iter().zip(names) {
            let reply = call.wait();
            ensure(reply == Ok(message(name)), || format!("the reply to the heir is {reply:?}"))?;
        }
        ensure(client.len() == 0, || format!("{} calls have a slot still", client.len()))
    }
}
