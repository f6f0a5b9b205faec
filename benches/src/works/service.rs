//! A request and its reply, beside one bare cache line.

use crate::harness::plan::{Case, Contestant, Failure, Filing, Metric, Plan, Work};
use crate::harness::sample::Play;
use crate::loops::{RoundTrips, SIZES, answer_trips, message, sized, time_trips, verify};
use crate::peer::Seat;
use crate::ways;
use slipring::{Client, Lifetime, Server, Service};

/// Services.
pub(crate) static WORK: Work = Work {
    name: "service",
    about: "A request and its reply. The limit is one bare cache line, there and back.",
    cases,
    play,
};

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |size_bytes| Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes,
        capacity: 256,
        metric: Metric::Mean,
        filing: Filing::AgainstLine,
        contestants: [Contestant::new("slipring", 30_000)]
            .into_iter()
            .chain(ways::links_both(size_bytes, 1_000).filter(|link| ["pipe", "unix-stream"].contains(&link.name)))
            .chain(ways::peers(size_bytes, 256, true).into_iter().filter(|peer| peer.name == "iceoryx2"))
            .collect(),
    };
    plan.sizes_or(&[64], &SIZES).into_iter().map(case).collect()
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
        #[cfg(feature = "peers")]
        ("iceoryx2", _) => iceoryx::<N>(seat),
        _ => ways::both::<N>(seat, RoundTrips),
    }
}

/// The client, which holds the clock.
fn calling<const N: usize>(client: Client<[u64; N], [u64; N]>) -> Play {
    Box::new(move |count| time_trips(count, |sequence| verify(&client.call(message(sequence))?, !sequence)))
}

/// The server, which answers every number by its complement.
fn serving<const N: usize>(server: Server<[u64; N], [u64; N]>) -> Play {
    Box::new(move |count| {
        answer_trips(count, |sequence| {
            let request = server.accept()?.ok_or("the server was stopped")?;
            verify(&request, sequence)?;
            request.reply(message(!sequence));
            Ok(())
        })
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
        return Ok(Box::new(move |count| {
            let _open = (&node, &service);
            time_trips(count, |sequence| {
                let pending = client.loan_uninit()?.write_payload(message(sequence)).send()?;
                let reply = loop {
                    if let Some(reply) = pending.receive()? {
                        break reply;
                    }
                    spin_loop();
                };
                verify(reply.payload(), !sequence)
            })
        }));
    }
    let server = service.server_builder().create()?;
    meet(|| service.dynamic_config().number_of_clients() >= 1)?;
    if server.receive()?.is_some() {
        return Err("there is a request before any was made".into());
    }
    Ok(Box::new(move |count| {
        let _open = (&node, &service);
        answer_trips(count, |sequence| {
            let request = loop {
                if let Some(request) = server.receive()? {
                    break request;
                }
                spin_loop();
            };
            verify(request.payload(), sequence)?;
            request.loan_uninit()?.write_payload(message(!sequence)).send()?;
            Ok(())
        })
    }))
}
