//! The departures of an airport, from one process to all who want to know, each of whom makes something else of them.
//!
//! ```text
//! cargo run --release --example departures                   # starts all of them, and checks what they found
//! cargo run --release --example departures -- board delays   # or each in a terminal, in any order
//! cargo run --release --example departures -- board cancelled
//! cargo run --release --example departures -- board hours
//! cargo run --release --example departures -- tower
//! ```
//!
//! `tower` reads the flights and broadcasts every departure; each `board` gets all of them and keeps its own count. A board
//! that comes late first gets what it has missed, as far as the channel's history goes back.

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::json;
use slipring::{IpcMessage, Opt, Str};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/nycflights13/flights-2013-01.csv");

/// A flight that was to depart.
#[derive(IpcMessage, Clone, Copy, Debug)]
#[repr(C)]
#[ipc(broadcast = "departures", capacity = 1024, history = 32_768)]
struct Departure {
    carrier: Str<2>,
    origin: Str<3>,
    /// The hour in which it was to depart.
    hour: u8,
    /// Minutes after its time; none if it was cancelled.
    delay: Opt<i16>,
}

/// Broadcasts the flights of January 2013, and lets several processes count them.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    input: Input,
    /// Write the result as one JSON object to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// Reads the flights and broadcasts them.
    Tower(Input),
    /// Receives all of them, and shows one thing about them at the end.
    Board { subject: Subject },
}

#[derive(Args)]
struct Input {
    /// The flights: a CSV file with the columns of nycflights13's flights.csv.
    #[arg(long, value_name = "FILE", default_value = DATA)]
    data: PathBuf,
}

/// What a board is about.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    /// The mean delay of each airline.
    Delays,
    /// How many flights were cancelled at each airport.
    Cancelled,
    /// How many flights there were in each hour.
    Hours,
}

fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    match cli.role {
        Some(Role::Tower(input)) => tower(&input.data),
        Some(Role::Board { subject }) => board(subject),
        None => run(&cli.input.data, cli.json.as_deref()),
    }
}

/// Broadcasts every departure of the file.
fn tower(data: &Path) -> Result<(), Box<dyn Error>> {
    let mut publisher = Departure::publisher()?;
    for_each_departure(data, |departure| Ok(publisher.send(departure)?))
}

/// Receives until the tower has closed.
fn board(subject: Subject) -> Result<(), Box<dyn Error>> {
    let mut subscriber = Departure::subscriber()?;
    println!("ready");
    let mut board = Board::new(subject);
    while let Some(departure) = subscriber.recv()? {
        board.add(&departure);
    }
    println!("{board}");
    Ok(())
}

/// Plays all roles in processes of their own, and compares what each board shows with a count in this one.
fn run(data: &Path, json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let domain = format!("departures-{}", std::process::id());
    let program = std::env::current_exe()?;
    let command = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).env("SLIPRING_DOMAIN", &domain).stdout(Stdio::piped());
        command
    };
    let subjects = Subject::value_variants();
    let mut shown = Vec::new();
    for subject in subjects {
        let name = format!("{subject:?}").to_lowercase();
        shown.push(Shown::start(command(&["board", &name]))?);
    }
    let tower = command(&["tower", "--data"]).arg(data).spawn()?.wait()?;
    let shown = shown.into_iter().map(Shown::finish).collect::<Result<Vec<_>, _>>()?;
    if !tower.success() {
        return Err("the tower failed; what it said is above".into());
    }
    let mut expected: Vec<_> = subjects.iter().map(|&subject| Board::new(subject)).collect();
    for_each_departure(data, |departure| {
        expected.iter_mut().for_each(|board| board.add(&departure));
        Ok(())
    })?;
    let is_verified = shown.iter().zip(&expected).all(|(shown, expected)| shown.trim_end() == expected.to_string());
    let records = expected.first().map_or(0, |board| board.flights);
    let line = json!({
        "example": "departures", "verified": is_verified, "records": records, "subscribers": shown.len(),
    });
    match json {
        Some(path) if path.as_os_str() == "-" => println!("{line}"),
        Some(path) => writeln!(File::create(path)?, "{line}")?,
        None => {}
    }
    if json.is_none_or(|path| path.as_os_str() != "-") {
        shown.iter().for_each(|board| println!("{}\n", board.trim_end()));
        println!("as counted by one process: {}", if is_verified { "yes" } else { "NO" });
    }
    if is_verified { Ok(()) } else { Err("a board shows something else than the file says".into()) }
}

/// The process of a board, which has subscribed.
struct Shown {
    process: Child,
    says: BufReader<std::process::ChildStdout>,
}

impl Shown {
    fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        let mut process = command.spawn()?;
        let mut says = BufReader::new(process.stdout.take().ok_or("a board has no output")?);
        says.read_line(&mut String::new())?;
        Ok(Shown { process, says })
    }

    /// What it shows at the end.
    fn finish(mut self) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        self.says.read_to_string(&mut text)?;
        if self.process.wait()?.success() { Ok(text) } else { Err("a board failed; what it said is above".into()) }
    }
}

/// One thing about the departures so far.
struct Board {
    subject: Subject,
    flights: u64,
    /// For each airline, airport or hour: how many flights of those that matter, and the sum of their delays.
    counts: BTreeMap<String, (u64, i64)>,
}

impl Board {
    fn new(subject: Subject) -> Self {
        Board { subject, flights: 0, counts: BTreeMap::new() }
    }

    fn add(&mut self, departure: &Departure) {
        self.flights += 1;
        let delay = Option::from(departure.delay);
        let (key, delay) = match (self.subject, delay) {
            (Subject::Delays, Some(delay)) => (departure.carrier.to_string(), delay),
            (Subject::Cancelled, None) => (departure.origin.to_string(), 0),
            (Subject::Hours, _) => (format!("{:02} h", departure.hour), 0),
            _ => return,
        };
        let count = self.counts.entry(key).or_default();
        *count = (count.0 + 1, count.1 + i64::from(delay));
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.subject {
            Subject::Delays => "mean delay in minutes",
            Subject::Cancelled => "cancelled",
            Subject::Hours => "flights",
        };
        write!(f, "{what}, of {} flights:", self.flights)?;
        for (key, &(count, delay)) in &self.counts {
            match self.subject {
                Subject::Delays => write!(f, "\n  {key:<5} {:>7.1}", delay as f64 / count as f64)?,
                _ => write!(f, "\n  {key:<5} {count:>7}")?,
            }
        }
        Ok(())
    }
}

/// A row of the file, as far as it matters here.
#[derive(Deserialize)]
struct Row {
    carrier: String,
    origin: String,
    hour: u8,
    dep_delay: String,
}

/// Calls `each` for every flight of the file, in order.
fn for_each_departure(
    data: &Path,
    mut each: impl FnMut(Departure) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let file = File::open(data).map_err(|error| format!("cannot read {}: {error}", data.display()))?;
    for row in csv::Reader::from_reader(file).deserialize() {
        let row: Row = row.map_err(|error| format!("{} has a row without a departure: {error}", data.display()))?;
        let delay = if row.dep_delay == "NA" { Opt::None } else { Opt::Some(row.dep_delay.parse()?) };
        each(Departure { carrier: row.carrier.parse()?, origin: row.origin.parse()?, hour: row.hour, delay })?;
    }
    Ok(())
}
