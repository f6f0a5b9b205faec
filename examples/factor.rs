//! A service that factorises: some processes ask, some answer, and all of them may come, go and be killed.
//!
//! ```text
//! cargo run --release --example factor -- [--servers N] [--clients N] [--numbers N] [--json FILE]
//! ```
//!
//! starts them all. They can also be started one by one, in any order and as many as you like:
//!
//! ```text
//! cargo run --release --example factor -- serve
//! cargo run --release --example factor -- ask 600851475143 18446744073709551557
//! ```
//!
//! The servers factorise by Pollard's rho; they share the work, since each takes the next call when it is done with the
//! last. The clients have several calls under way at the same time and verify every answer: the factors are primes, and
//! their product is the number.

#[path = "factor/arithmetic.rs"]
mod arithmetic;
#[path = "factor/crew.rs"]
mod crew;
#[path = "factor/roles.rs"]
mod roles;

use clap::{Parser, Subcommand};
use slipring::{IpcMessage, List};
use std::error::Error;
use std::path::PathBuf;

/// What the parts of this program return.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A number to be factorised.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Number {
    value: u64,
}

/// The factorisation of a number. No number of 64 bits has more than 15 different prime factors.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Factors {
    powers: List<Power, 15>,
}

/// A prime factor, and how often it divides the number.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Power {
    prime: u64,
    exponent: u32,
}

/// Factorises numbers in several processes.
#[derive(Parser)]
struct Args {
    /// Processes that answer.
    #[arg(long, default_value_t = 2)]
    servers: usize,
    /// Processes that ask.
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// Numbers that each of them asks for.
    #[arg(long, default_value_t = 2_000)]
    numbers: u64,
    /// Calls that each of them has under way at the same time.
    #[arg(long, default_value_t = 4)]
    window: usize,
    /// Write the result as a JSON object to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Answers until standard input ends.
    Serve,
    /// Asks for these numbers.
    Ask {
        /// The numbers.
        numbers: Vec<u64>,
    },
    /// Asks for random numbers. Started by this program itself.
    #[command(hide = true)]
    AskMany {
        /// Where the random numbers start.
        seed: u64,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    match &args.role {
        Some(Role::Serve) => roles::serve(),
        Some(Role::Ask { numbers }) => roles::ask(numbers),
        Some(Role::AskMany { seed }) => roles::ask_many(*seed, args.numbers, args.window),
        None => crew::run(&args),
    }
}
