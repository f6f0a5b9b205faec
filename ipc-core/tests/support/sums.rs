//! A service whose requests and replies vary in length.

use ipc_core::{Client, Opt, Server, Service};
use ipc_macros::IpcMessage;

/// A request of any length that shows whether it is whole.
#[derive(IpcMessage, Debug, PartialEq)]
#[ipc(crate = "ipc_core", service = "sums", reply = Sums, capacity = 4, max_request = 1000, max_reply = 3000)]
#[repr(C)]
pub(crate) struct Numbers {
    pub(crate) seed: u64,
    scale: Opt<u16>,
    pub(crate) numbers: [u16],
}

/// What comes of it: as many items.
#[derive(IpcMessage, Debug, PartialEq)]
#[ipc(crate = "ipc_core")]
#[repr(C)]
pub(crate) struct Sums {
    pub(crate) seed: u64,
    pub(crate) sums: [u32],
}

pub(crate) fn sums(domain: &str) -> Service<Numbers, Sums> {
    Numbers::channel().domain(domain)
}

pub(crate) fn number(seed: u64, at: usize) -> u16 {
    (seed as usize).wrapping_mul(31).wrapping_add(at * 7) as u16
}

/// Makes the call with this seed, for so many numbers.
pub(crate) fn ask(client: &Client<Numbers, Sums>, seed: u64, len: usize) -> ipc_core::Pending<'_, Numbers, Sums> {
    let mut loan = client.loan_len(len).unwrap();
    loan.seed = seed;
    loan.scale = Opt::Some(len as u16);
    loan.numbers.iter_mut().enumerate().for_each(|(at, to)| *to = number(seed, at));
    loan.submit().unwrap()
}

pub(crate) fn assert_whole(request: &Numbers) {
    assert_eq!(request.scale, Opt::Some(request.numbers.len() as u16));
    assert!(request.numbers.iter().enumerate().all(|(at, &found)| found == number(request.seed, at)), "{request:?}");
}

/// Answers a request in its place.
pub(crate) fn add_up(request: &Numbers, reply: &mut Sums) {
    assert_whole(request);
    reply.seed = !request.seed;
    let mut sum = 0;
    for (to, &number) in reply.sums.iter_mut().zip(&request.numbers) {
        sum += u32::from(number);
        *to = sum;
    }
}

/// Answers until it is stopped.
pub(crate) fn serve_sums(server: &Server<Numbers, Sums>) {
    while let Some(request) = server.accept_ref().unwrap() {
        let len = request.numbers.len();
        let mut loan = request.loan_len(len).unwrap();
        let (request, reply) = loan.parts();
        add_up(request, reply);
        loan.send();
    }
}

pub(crate) fn check(reply: &Sums, seed: u64, len: usize) {
    assert_eq!((reply.seed, reply.sums.len()), (!seed, len));
    let mut sum = 0;
    for (at, &found) in reply.sums.iter().enumerate() {
        sum += u32::from(number(seed, at));
        assert_eq!(found, sum);
    }
}
