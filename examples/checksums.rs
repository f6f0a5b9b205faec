//! A work queue: the checksums of all files in a directory, computed by several processes that share the work.
//!
//! ```text
//! cargo run --release --example checksums                      # this project's own files, two workers
//! cargo run --release --example checksums -- --kill            # one worker is killed on the way
//! cargo run --release --example checksums -- --dir /usr/share/doc --workers 4
//! cargo run --release --example checksums -- work              # one more worker, in another terminal
//! ```
//!
//! Paths travel on one shared queue, results on another. A worker holds its job in place while it works on it, so that the
//! job of a worker that is killed goes to another one. It may then be done twice, and the results say which job they are
//! of, so the second one is left out.

use clap::{Args, Parser, Subcommand};
use serde_json::json;
use slipring::{IpcMessage, Lifetime};
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A file to be read.
#[derive(IpcMessage)]
#[repr(C)]
#[ipc(queue = "checksums.jobs", capacity = 65536)]
struct Job {
    number: u32,
    path: str,
}

/// What a worker has to say: that it is there, and what became of a job.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C, u8)]
#[ipc(queue = "checksums.outcomes", capacity = 1024)]
enum Outcome {
    Joined { pid: u32 },
    Done { job: u32, checksum: Checksum },
    Unreadable { job: u32, os_error: i32 },
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Checksum {
    bytes: u64,
    /// FNV-1a of 64 bits.
    hash: u64,
}

/// Computes the checksums of files in several processes.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Role {
    /// Works on whatever jobs there are in this domain (SLIPRING_DOMAIN), until nobody sends any more.
    Work,
}

#[derive(Args)]
struct Run {
    /// The directory whose files are read, with everything below it.
    #[arg(long, value_name = "DIRECTORY", default_value = env!("CARGO_MANIFEST_DIR"))]
    dir: PathBuf,
    /// How many processes share the work.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32))]
    workers: u32,
    /// Kill a worker when half of the files are done.
    #[arg(long)]
    kill: bool,
    /// Write the result as one JSON object to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.role {
        Some(Role::Work) => work(),
        None => run(&cli.run),
    }
}

/// Takes jobs until there are no more senders, and says what became of each.
fn work() -> Result<()> {
    let mut jobs = Job::receiver()?;
    let mut outcomes = Outcome::sender()?;
    outcomes.send(Outcome::Joined { pid: std::process::id() })?;
    while let Some(job) = jobs.recv_ref()? {
        let outcome = match checksum(Path::new(&job.path)) {
            Ok(checksum) => Outcome::Done { job: job.number, checksum },
            Err(error) => Outcome::Unreadable { job: job.number, os_error: error.raw_os_error().unwrap_or(0) },
        };
        outcomes.send(outcome)?;
        // Here the job is given back to the queue as done. Whoever is killed before has not done it.
        drop(job);
    }
    Ok(())
}

/// Starts the workers, hands out the jobs, and compares the outcomes with what this process computes itself.
fn run(args: &Run) -> Result<()> {
    let mut paths = Vec::new();
    list(&args.dir, &mut paths).map_err(|error| format!("cannot list {}: {error}", args.dir.display()))?;
    let domain = format!("checksums-{}", std::process::id());
    let mut jobs = Job::channel().domain(&domain).lifetime(Lifetime::Attached).sender()?;
    let mut outcomes = Outcome::channel().domain(&domain).lifetime(Lifetime::Attached).receiver()?;
    let worker = || Command::new(std::env::current_exe()?).arg("work").env("SLIPRING_DOMAIN", &domain).spawn();
    let mut workers = (0..args.workers).map(|_| worker()).collect::<io::Result<Vec<Child>>>()?;
    let (mut joined, mut done): (Vec<Outcome>, Vec<Option<Outcome>>) = (Vec::new(), vec![None; paths.len()]);
    let (mut next, mut left, mut doubled, mut killed) = (0, paths.len(), 0, 0);
    while left > 0 {
        // As many jobs as there is room for, and then whatever has come back.
        while next < paths.len() && offer(&mut jobs, next as u32, &paths[next])? {
            next += 1;
        }
        let Some(outcome) = outcomes.recv()? else { return Err("all workers have ended before the work".into()) };
        let (Outcome::Done { job, .. } | Outcome::Unreadable { job, .. }) = outcome else {
            joined.push(outcome);
            continue;
        };
        match done[job as usize].replace(outcome) {
            None => left -= 1,
            Some(_) => doubled += 1,
        }
        if args.kill && killed == 0 && left <= paths.len() / 2 {
            let mut unlucky = workers.remove(0);
            unlucky.kill().and_then(|()| unlucky.wait())?;
            killed += 1;
            workers.push(worker()?);
        }
    }
    // A worker that comes to the queue when all others have left would begin a new one, and wait for jobs there.
    for worker in &mut workers {
        while !joined.contains(&Outcome::Joined { pid: worker.id() }) && worker.try_wait()?.is_none() {
            joined.extend(outcomes.recv_timeout(Duration::from_millis(10)).ok().flatten());
        }
    }
    drop(jobs);
    for mut worker in workers {
        if !worker.wait()?.success() {
            return Err("a worker failed; what it said is above".into());
        }
    }
    let is_verified =
        paths.iter().zip(&done).enumerate().all(|(job, (path, outcome))| match (checksum(path), outcome) {
            (Ok(checksum), Some(outcome)) => *outcome == Outcome::Done { job: job as u32, checksum },
            (Err(_), Some(Outcome::Unreadable { .. })) => true,
            _ => false,
        });
    report(args, &done, (is_verified, doubled, killed))
}

/// Sends a job if there is room for it.
fn offer(jobs: &mut slipring::Sender<Job>, number: u32, path: &Path) -> Result<bool> {
    let path = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    let mut job = match jobs.try_loan_len(path.len()) {
        Ok(job) => job,
        Err(slipring::TrySendError::Full(())) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    job.number = number;
    job.set_text(path)?;
    job.send();
    Ok(true)
}

fn report(args: &Run, done: &[Option<Outcome>], (is_verified, doubled, killed): (bool, u64, u32)) -> Result<()> {
    let bytes: u64 = done
        .iter()
        .map(|outcome| match outcome {
            Some(Outcome::Done { checksum, .. }) => checksum.bytes,
            _ => 0,
        })
        .sum();
    let unreadable = done.iter().filter(|outcome| matches!(outcome, Some(Outcome::Unreadable { .. }))).count();
    let line = json!({
        "example": "checksums", "verified": is_verified, "records": done.len(), "bytes": bytes,
        "unreadable": unreadable, "doubled": doubled, "killed": killed,
    });
    match args.json.as_deref() {
        Some(path) if path.as_os_str() == "-" => println!("{line}"),
        path => {
            if let Some(path) = path {
                writeln!(File::create(path)?, "{line}")?;
            }
            println!("{} files, {bytes} bytes, {} workers, {unreadable} unreadable", done.len(), args.workers);
            println!("{killed} workers killed, {doubled} jobs done twice");
            println!("as one process computes them: {}", if is_verified { "yes" } else { "NO" });
        }
    }
    if is_verified { Ok(()) } else { Err("the checksums differ from those of a single process".into()) }
}

/// Every regular file below a directory, in order. What is made by builds changes while it is read, and is left out.
fn list(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let kind = entry.file_type()?;
        let is_made = ["target", ".git"].iter().any(|name| entry.file_name() == *name);
        if kind.is_dir() && !is_made {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn checksum(path: &Path) -> io::Result<Checksum> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    let mut checksum = Checksum { bytes: 0, hash: 0xcbf2_9ce4_8422_2325 };
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(checksum);
        }
        checksum.bytes += count as u64;
        for &byte in &buffer[..count] {
            checksum.hash = (checksum.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
