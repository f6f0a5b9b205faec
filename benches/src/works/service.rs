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
        contestants: vec![
            Contestant::new("slipring", 30_000),
            Contestant::new("pipe", 1_000).files(Files::Pipes(2)),
            #[cfg(feature = "peers")]
            Contestant::new("iceoryx2", 10_000),
        ],
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
        #[cfg(feature = "peers")]
        ("iceoryx2", _) => iceoryx::<N>(seat),
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

/// A client or a server of iceoryx2, as its documentation shows them.
#[cfg(feature = "peers")]
fn iceoryx<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    use crate::ways::iceoryx::{meet, node};
    use iceoryx2::service::port_factory::PortFactory;
    use std::hint::spin_loop;
    let (node, name) = node(seat, "calls")?;
    let service = node.service_builder(&name).request_response::<[u64; N], [u64; N]>().open_or_create()?;
    if seat.index == 0 {
        let client = service.client_builder().create()?;
        meet(|| service.dynamic_config().number_of_servers() >= 1)?;
        let calls = move |count: u64| {
            for sequence in 0..count {
                let pending = client.loan_uninit()?.write_payload(message(sequence)).send()?;
                let reply = loop {
                    if let Some(reply) = pending.receive()? {
                        break reply;
                    }
                    spin_loop();
                };
                verify(reply.payload(), !sequence)?;
            }
            Ok::<(), Failure>(())
        };
        return Ok(Box::new(move |count| {
            let _open = (&node, &service);
            calls(WARM_UP_TRIPS)?;
            let from = now_ns();
            calls(count)?;
            Ok(Report::since(from, count))
        }));
    }
    let server = service.server_builder().create()?;
    meet(|| service.dynamic_config().number_of_clients() >= 1)?;
    if server.receive()?.is_some() {
        return Err("there is a request before any was made".into());
    }
    Ok(Box::new(move |count| {
        let _open = (&node, &service);
        for trips in [WARM_UP_TRIPS, count] {
            for sequence in 0..trips {
                let request = loop {
                    if let Some(request) = server.receive()? {
                        break request;
                    }
                    spin_loop();
                };
                verify(request.payload(), sequence)?;
                request.loan_uninit()?.write_payload(message(!sequence)).send()?;
            }
        }
        Ok(Report::default())
    }))
}
