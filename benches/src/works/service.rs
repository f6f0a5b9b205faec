//! A request and its reply, beside one bare cache line.

use super::round_trip::pipes;
use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{WARM_UP_TRIPS, asking, echoing, message, sized, verify};
use crate::peer::Seat;
use slipring::{Client, Lifetime, Server, Service};

/// Services.
pub(crate) static WORK: Work = Work { name: "service", cases, play };

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |size_bytes| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity: 256,
        metric: Metric::Mean,
        filing: Filing::AgainstLine,
        contestants: vec![Contestant::new("slipring", 30_000), Contestant::new("pipe", 1_000).files(Files::Pipes(2))],
    };
    plan.sizes_or(&[64]).into_iter().map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let service = Service::<[u64; N], [u64; N]>::new(seat.channel("calls"))
        .domain(&seat.domain)
        .capacity(seat.capacity)
        .lifetime(Lifetime::Attached);
    match (seat.contestant.as_str(), seat.index) {
        ("slipring", 0) => Ok(calling(service.client()?)),
        ("slipring", 1) => Ok(serving(service.server()?)),
        ("pipe", 0) => {
            let (tx, rx) = pipes(seat)?;
            Ok(asking::<N>(tx, rx))
        }
        ("pipe", 1) => {
            let (tx, rx) = pipes(seat)?;
            Ok(echoing::<N>(tx, rx))
        }
        _ => seat.unknown(),
    }
}

/// The client, which holds the clock.
fn calling<const N: usize>(client: Client<[u64; N], [u64; N]>) -> Play {
    let calls = move |count: u64| {
        for sequence in 0..count {
            verify(&client.call(message(sequence))?, !sequence)?;
        }
        Ok::<(), Failure>(())
    };
    Box::new(move |count| {
        calls(WARM_UP_TRIPS)?;
        let from = now_ns();
        calls(count)?;
        Ok(Report::since(from, count))
    })
}

/// The server, which answers every number by its complement.
fn serving<const N: usize>(server: Server<[u64; N], [u64; N]>) -> Play {
    Box::new(move |count| {
        for trips in [WARM_UP_TRIPS, count] {
            for sequence in 0..trips {
                let request = server.accept()?.ok_or("the server was stopped")?;
                verify(&request, sequence)?;
                request.reply(message(!sequence));
            }
        }
        Ok(Report::default())
    })
}
