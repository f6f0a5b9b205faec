//! The processes: those that answer, and those that ask.

use super::arithmetic::{factorise, verify};
use super::{Factors, Number, Result};
use slipring::{CallError, Client, Pending, Service};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::thread;
use std::time::Instant;

/// A number that may have to be asked for again, because a server died with it, has so many tries.
const TRIES: usize = 1_000;

/// The service. `SLIPRING_DOMAIN` keeps one run apart from another.
pub(super) fn service() -> Service<Number, Factors> {
    Service::new("factor")
}

/// Answers until standard input ends, and then says how many numbers that were.
pub(super) fn serve() -> Result<()> {
    let server = service().server()?;
    let stopper = server.stopper();
    thread::spawn(move || {
        // However it ends, there is nobody any more who wants this server to go on.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        stopper.stop();
    });
    let mut answered = 0u64;
    server.serve(|number| {
        answered += 1;
        factorise(number.value)
    })?;
    println!("{answered}");
    Ok(())
}

/// Asks for some numbers and prints their factors.
pub(super) fn ask(numbers: &[u64]) -> Result<()> {
    let client = service().client()?;
    let calls: Vec<_> =
        numbers.iter().map(|&value| client.submit(Number { value })).collect::<std::result::Result<_, _>>()?;
    for (&number, call) in numbers.iter().zip(calls) {
        println!("{number} = {}", show(&call.wait()?));
    }
    Ok(())
}

/// Asks for many numbers, with some calls under way at the same time, verifies the answers, and prints how many calls had
/// to be made again and how many seconds it took.
pub(super) fn ask_many(seed: u64, numbers: u64, window: usize) -> Result<()> {
    let client = service().client()?;
    let (mut repeated, started) = (0, Instant::now());
    let mut under_way: VecDeque<(u64, Pending<'_, Number, Factors>)> = VecDeque::new();
    for position in 0..numbers {
        if under_way.len() >= window.max(1) {
            if let Some((value, call)) = under_way.pop_front() {
                repeated += check(&client, value, call)?;
            }
        }
        let value = random(seed + position + 1);
        under_way.push_back((value, submit(&client, value, &mut repeated)?));
    }
    for (value, call) in under_way {
        repeated += check(&client, value, call)?;
    }
    println!("{repeated} {}", started.elapsed().as_secs_f64());
    Ok(())
}

fn submit<'c>(
    client: &'c Client<Number, Factors>,
    value: u64,
    repeated: &mut u64,
) -> Result<Pending<'c, Number, Factors>> {
    for _ in 0..TRIES {
        match client.submit(Number { value }) {
            Err(CallError::ServerDied(..)) => *repeated += 1,
            submitted => return Ok(submitted?),
        }
    }
    Err("no server lives long enough to take a call".into())
}

/// Waits for an answer and verifies it. A number with which a server died is asked for again: nothing is lost but the time.
/// Returns how often that was.
fn check(client: &Client<Number, Factors>, value: u64, call: Pending<'_, Number, Factors>) -> Result<u64> {
    let (mut answer, mut repeated) = (call.wait(), 0);
    while let Err(CallError::ServerDied(..)) = answer {
        repeated += 1;
        if repeated > TRIES as u64 {
            return Err("no server lives long enough to answer".into());
        }
        answer = client.call(Number { value });
    }
    let factors = answer?;
    if verify(value, &factors) { Ok(repeated) } else { Err(format!("{value} is not {}", show(&factors)).into()) }
}

fn show(factors: &Factors) -> String {
    let mut text = String::new();
    for (at, power) in factors.powers.as_slice().iter().enumerate() {
        let times = if at == 0 { "" } else { " * " };
        // Writing to a string does not fail.
        let _ = match power.exponent {
            1 => write!(text, "{times}{}", power.prime),
            exponent => write!(text, "{times}{}^{exponent}", power.prime),
        };
    }
    text
}

/// Number `position` of a sequence of random numbers (splitmix64).
fn random(position: u64) -> u64 {
    let mut z = position.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
