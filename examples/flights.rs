//! Statistics of 27,004 flights out of New York City, computed by separate processes that exchange typed messages.
//!
//! ```sh
//! cargo run --release --example flights
//! ```
//!
//! The program starts itself three times: *ingest* reads a CSV file and sends a message for every row, *enrich* adds
//! the airline's name and a delay class, *aggregate* counts. They are processes of their own and know of each other
//! nothing but the channels in `flights/messages.rs`, so each can also be started by hand, in any order:
//!
//! ```sh
//! cargo run --release --example flights aggregate     # in one terminal
//! cargo run --release --example flights enrich        # in another
//! cargo run --release --example flights ingest        # in a third
//! ```
//!
//! Where to look: `messages.rs` declares what is sent, `roles.rs` sends and receives it, `transport.rs` holds the two
//! calls that do (`send_timeout` and `recv_timeout`), `run.rs` is the parent that starts the roles and compares them
//! with pipes.

#[path = "flights/cli.rs"]
mod cli;
#[path = "flights/clock.rs"]
mod clock;
#[path = "flights/crew.rs"]
mod crew;
#[path = "flights/data.rs"]
mod data;
#[path = "flights/enrich.rs"]
mod enrich;
#[path = "flights/messages.rs"]
mod messages;
#[path = "flights/pipe.rs"]
mod pipe;
#[path = "flights/report.rs"]
mod report;
#[path = "flights/roles.rs"]
mod roles;
#[path = "flights/run.rs"]
mod run;
#[path = "flights/stats.rs"]
mod stats;
#[path = "flights/stop.rs"]
mod stop;
#[path = "flights/transport.rs"]
mod transport;

use clap::Parser as _;
use cli::Cli;
use std::process::ExitCode;

/// How a process exits that was asked to end: as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (name, outcome) = match &cli.role {
        None => ("flights", run::run(&cli.run)),
        Some(role) => (role.name(), roles::play(role)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stop::say(format_args!("{name}: {error}"));
            if error.is::<stop::Interrupted>() { INTERRUPTED.into() } else { ExitCode::FAILURE }
        }
    }
}
