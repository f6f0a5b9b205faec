//! Situations in which Python's multiprocessing hangs, loses what was sent or leaves processes behind, and what Slipring
//! does in them.
//!
//! ```text
//! cargo run --release --example gauntlet
//! cargo run --release --example gauntlet -- --only worker_killed --deadline-s 10
//! ```
//!
//! Every situation is played by both, by a process of its own each, which is killed when its time is over: then it hangs.
//! Where there is no python3, Slipring plays alone.

#[path = "gauntlet/situations.rs"]
mod situations;

use clap::{Parser, Subcommand};
use comfy_table::Table;
use serde_json::{Value, json};
use situations::{ALL, Situation, Verdict};
use slipring::process::Worker;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Plays the situations.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    /// Only this situation.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How long a situation may take until it counts as hanging.
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    deadline_s: u64,
    /// Write one JSON object per situation to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// One situation, as Slipring plays it. Started by this program itself.
    #[command(hide = true)]
    Play { name: String },
    /// What another process does in a situation. Started by this program itself.
    #[command(hide = true)]
    Part { name: String },
}

slipring::process::main! {
    "gauntlet": u64 => u64 = situations::work;

    fn main() -> Result<()> {
        situations::serve_without_beginning();
        let cli = Cli::parse();
        match &cli.role {
            None => run(&cli),
            Some(Role::Part { name }) => situations::play(name),
            Some(Role::Play { name }) => {
                let situation = ALL.iter().find(|situation| situation.name == name).ok_or("there is no such situation")?;
                println!("{}", match (situation.slipring)()? {
                    Verdict::Ok => "ok",
                    Verdict::Reported => "reported",
                });
                Ok(())
            }
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let deadline = Duration::from_secs(cli.deadline_s);
    let chosen: Vec<_> =
        ALL.iter().filter(|situation| cli.only.as_ref().is_none_or(|name| name == situation.name)).collect();
    // One after the other: those that start processes for ever would take the time from the others.
    let python: Vec<_> = chosen.iter().map(|situation| play_python(situation, deadline)).collect();
    let slipring =
        chosen.iter().map(|situation| play_slipring(situation, deadline)).collect::<Result<Vec<String>>>()?;
    let outcomes: Vec<_> = chosen.into_iter().zip(python).zip(slipring).collect();
    let is_passed = |slipring: &str| slipring == "ok" || slipring == "reported";
    let line = |((situation, python), slipring): &((&Situation, Option<String>), String)| -> Value {
        json!({
            "example": "gauntlet", "verified": is_passed(slipring), "situation": situation.name, "python": python,
            "slipring": slipring,
        })
    };
    match cli.json.as_deref() {
        Some(path) if path.as_os_str() == "-" => outcomes.iter().for_each(|outcome| println!("{}", line(outcome))),
        path => {
            if let Some(path) = path {
                let mut file = File::create(path)?;
                outcomes.iter().try_for_each(|outcome| writeln!(file, "{}", line(outcome)))?;
            }
            let mut table = Table::new();
            table.set_header(["situation", "python", "slipring"]);
            for ((situation, python), slipring) in &outcomes {
                table.add_row([situation.what, python.as_deref().unwrap_or("-"), slipring]);
            }
            println!("{table}");
        }
    }
    if outcomes.iter().all(|(_, slipring)| is_passed(slipring)) {
        Ok(())
    } else {
        Err("Slipring has not stood one of them".into())
    }
}

/// What Python does. `None` if there is no Python.
fn play_python(situation: &Situation, deadline: Duration) -> Option<String> {
    let mut command = Command::new("python3");
    // A group of its own, so that what it leaves behind can be ended.
    std::os::unix::process::CommandExt::process_group(command.args(["-c", situation.python]), 0);
    play(command, deadline).ok()
}

fn play_slipring(situation: &Situation, deadline: Duration) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["play", situation.name]);
    command.env("SLIPRING_DOMAIN", format!("gauntlet-{}", std::process::id()));
    play(command, deadline)
}

/// Runs one side of a situation, and returns the last line that it writes, or how it has come to no end.
fn play(mut command: Command, deadline: Duration) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let worker = Worker::spawn(command)?;
    let mut stdout = worker.take_stdout().ok_or_else(|| io::Error::other("its output is not piped"))?;
    let exit = worker.join_timeout(deadline);
    // SAFETY: has no preconditions. The group has been this process's own since before the program ran; where there is none,
    // nothing is killed.
    unsafe { libc::kill(-(worker.id() as i32), libc::SIGKILL) };
    worker.kill()?;
    worker.join();
    let Some(exit) = exit else { return Ok("hangs".to_owned()) };
    let mut said = String::new();
    stdout.read_to_string(&mut said)?;
    Ok(said.lines().last().map_or_else(|| format!("fails: {exit}"), str::to_owned))
}
