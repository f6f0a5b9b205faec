//! Services whose replies follow from their requests.

use super::{Child, Domain, PATIENCE, listen, program, say};
use ipc_core::{CallError, Client, Peer, Service};
use ipc_macros::IpcMessage;
use std::thread;
use std::time::Duration;

/// A request that shows whether it is whole.
pub(crate) type Question = [u64; 4];

/// A reply that shows whose it is.
pub(crate) type Answer = [u64; 6];

pub(crate) fn question(number: u64) -> Question {
    [number, number.wrapping_mul(3), number ^ 0x5555, !number]
}

pub(crate) fn answer(asked: Question) -> Answer {
    assert_eq!(asked, question(asked[0]), "the request is whole");
    [asked[0] + 1, !asked[0], asked[1], asked[2], asked[3], asked[0]]
}

pub(crate) fn service(domain: &str) -> Service<Question, Answer> {
    Service::new("questions").domain(domain).capacity(8)
}

pub(crate) const SHORT: Duration = Duration::from_millis(60);

/// Runs `client` beside a server that answers.
pub(crate) fn beside_a_server(service: &Service<Question, Answer>, client: impl FnOnce()) {
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
pub(crate) fn serve(domain: &str) {
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

pub(crate) fn child(part: &str, domain: &Domain) -> Child {
    let mut child = Child::start(part, domain);
    assert_eq!(child.hear(), "ready");
    child
}

pub(crate) fn peer(pid: u32) -> Peer {
    Peer { pid, program: program().into() }
}

/// Calls until a server answers: a death is reported once, and may be that of an earlier server.
pub(crate) fn call_persistently(client: &Client<Question, Answer>, number: u64) -> u32 {
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

/// What is declared of the service `resize`.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core", service = "resize", reply = Resized, capacity = 16)]
#[repr(C)]
pub(crate) struct Resize {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) is_square: bool,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
pub(crate) struct Resized {
    pub(crate) pixels: u64,
    pub(crate) is_large: bool,
}

/// A server that takes one request and says so, and does nothing more.
pub(crate) fn hold(domain: &str) {
    let server = service(domain).server().unwrap();
    say("ready");
    let request = server.accept().unwrap().unwrap();
    say(request[0].to_string());
    listen();
}
