//! A pool of worker processes: the SHA-256 of every file under a directory, in order, whoever is killed meanwhile.
//!
//! ```text
//! cargo run --release --example pool                                # this machine's Rust documentation, or its crates
//! cargo run --release --example pool -- --dir /usr/share/doc --workers 4
//! cargo run --release --example pool -- --kill-workers --verify     # a worker is killed every 200 ms; sha256sum agrees
//! ```
//!
//! A task is a path, of any length, and an output is a digest or the reason why there is none. The workers are this program
//! again: `main!` sees to it that they do nothing but hash. A file may be read twice, so tasks are idempotent, and a worker
//! that is killed costs a little time.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use slipring::IpcMessage;
use slipring::process::{Pool, TaskOptions};
use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How often a worker is killed.
const KILL_INTERVAL: Duration = Duration::from_millis(200);

/// Files that are named in one call of sha256sum.
const FILES_A_CALL: usize = 500;

/// What became of a file.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C, u8)]
enum Hashed {
    Done { bytes: u64, sha256: [u8; 32] },
    Unreadable { os_error: i32 },
}

/// Computes the SHA-256 of files in several processes.
#[derive(Parser)]
struct Args {
    /// The directory whose files are read, with everything below it.
    #[arg(long, value_name = "DIRECTORY", default_value_os_t = documentation())]
    dir: PathBuf,
    /// The most files that are read.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    limit: usize,
    /// How many processes share the work.
    #[arg(long, value_name = "N", default_value_t = 2)]
    workers: usize,
    /// Kill a worker, any of them, every 200 ms.
    #[arg(long)]
    kill_workers: bool,
    /// Have sha256sum compute the same, and compare.
    #[arg(long)]
    verify: bool,
    /// Write the result as one JSON object to this file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

slipring::process::main! {
    "hash": [u8] => Hashed = hash;

    fn main() -> Result<()> {
        let args = Args::parse();
        let mut paths = Vec::new();
        list(&args.dir, args.limit, &mut paths).map_err(|error| format!("cannot list {}: {error}", args.dir.display()))?;
        let from = Instant::now();
        let (hashes, workers_killed) = hash_all(&args, &paths)?;
        let elapsed = from.elapsed();
        let is_verified = if args.verify { Some(is_as_sha256sum_says(&paths, &hashes)?) } else { None };
        report(&args, &hashes, workers_killed, elapsed, is_verified)
    }
}

/// What a worker does with a path.
fn hash(path: &[u8]) -> Hashed {
    digest(Path::new(OsStr::from_bytes(path)))
        .unwrap_or_else(|error| Hashed::Unreadable { os_error: error.raw_os_error().unwrap_or(0) })
}

fn digest(path: &Path) -> io::Result<Hashed> {
    let (mut file, mut sha256, mut buffer, mut bytes) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Hashed::Done { bytes, sha256: sha256.finalize().into() }),
            count => {
                sha256.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

/// Has every file hashed. Returns the outcomes in order, and how many workers were killed.
fn hash_all(args: &Args, paths: &[PathBuf]) -> Result<(Vec<Hashed>, usize)> {
    // A file that is being read is hit once in a while, and a large one more than once.
    let options = TaskOptions::new().idempotent().max_attempts(100);
    let domain = format!("pool-{}", std::process::id());
    let pool = Pool::<[u8], Hashed>::builder("hash").domain(domain).workers(args.workers).options(options).start()?;
    let bar = ProgressBar::new(paths.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} files, {per_sec}, {eta} left")?);
    let (stop, stopped) = channel::<()>();
    let (hashes, killed) = thread::scope(|scope| {
        let pool = &pool;
        let killer = scope.spawn(move || if args.kill_workers { kill_now_and_then(pool, &stopped) } else { 0 });
        let tasks = paths.iter().map(|path| path.as_os_str().as_bytes());
        let hashes = pool.map(tasks).inspect(|_| bar.inc(1)).collect::<std::result::Result<Vec<_>, _>>();
        drop(stop);
        (hashes, killer.join())
    });
    bar.finish_and_clear();
    pool.join();
    Ok((hashes?, killed.map_err(|_| "the thread that kills workers has failed")?))
}

/// Kills a worker, and another one every 200 ms, until the other end of the channel is dropped.
fn kill_now_and_then(pool: &Pool<[u8], Hashed>, stopped: &Receiver<()>) -> usize {
    let mut killed = 0;
    pool.wait_for_workers(1, KILL_INTERVAL);
    loop {
        let workers = pool.workers();
        let chance = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos() as usize / 64);
        if let Some(worker) = workers.get(chance % workers.len().max(1)) {
            // SAFETY: has no preconditions. The worker is a child of this process that has not been waited for, or was a moment
            // ago, too short for another process to have its id.
            killed += usize::from(unsafe { libc::kill(worker.pid as i32, libc::SIGKILL) } == 0);
        }
        if stopped.recv_timeout(KILL_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return killed;
        }
    }
}

/// Whether sha256sum has the same digests.
fn is_as_sha256sum_says(paths: &[PathBuf], hashes: &[Hashed]) -> Result<bool> {
    let mut expected = HashMap::new();
    for some in paths.chunks(FILES_A_CALL) {
        // It complains of those that it cannot read, and says nothing of them where it counts.
        let output = Command::new("sha256sum").arg("--zero").arg("--").args(some).output();
        let output = output.map_err(|error| format!("cannot run sha256sum: {error}"))?;
        for line in output.stdout.split(|&byte| byte == 0).filter(|line| line.len() > 66) {
            expected.insert(line[66..].to_vec(), String::from_utf8_lossy(&line[..64]).into_owned());
        }
    }
    let hex = |sha256: &[u8]| sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let is_right = |(path, hashed): (&PathBuf, &Hashed)| match (expected.get(path.as_os_str().as_bytes()), hashed) {
        (Some(expected), Hashed::Done { sha256, .. }) => *expected == hex(sha256),
        (None, Hashed::Unreadable { .. }) => true,
        _ => false,
    };
    Ok(paths.len() == hashes.len() && paths.iter().zip(hashes).all(is_right))
}

fn report(
    args: &Args,
    hashes: &[Hashed],
    workers_killed: usize,
    elapsed: Duration,
    is_verified: Option<bool>,
) -> Result<()> {
    let bytes: u64 = hashes.iter().map(|hashed| if let Hashed::Done { bytes, .. } = hashed { *bytes } else { 0 }).sum();
    let line = json!({
        "example": "pool", "records": hashes.len(), "bytes": bytes, "workers_killed": workers_killed,
        "verified": is_verified, "seconds": elapsed.as_secs_f64(),
    });
    match args.json.as_deref() {
        Some(path) if path.as_os_str() == "-" => println!("{line}"),
        path => {
            if let Some(path) = path {
                writeln!(File::create(path)?, "{line}")?;
            }
            let megabytes = bytes as f64 / 1e6;
            println!("{} files of {megabytes:.1} MB in {:.2} s", hashes.len(), elapsed.as_secs_f64());
            println!("{} workers, {workers_killed} killed", args.workers);
            match is_verified {
                Some(is_verified) => println!("as sha256sum computes them: {}", if is_verified { "yes" } else { "NO" }),
                None => println!("not compared with anything; --verify does"),
            }
        }
    }
    if is_verified == Some(false) { Err("the digests differ from those of sha256sum".into()) } else { Ok(()) }
}

/// Every regular file below a directory, in order, up to `limit`.
fn list(directory: &Path, limit: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let kind = entry.file_type()?;
        if files.len() >= limit {
            break;
        } else if kind.is_dir() {
            list(&entry.path(), limit, files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Where this machine has the documentation of Rust; or the sources of crates, if it has none.
fn documentation() -> PathBuf {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok();
    let sysroot = sysroot.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let places = [sysroot.map(|at| at.join("share/doc/rust/html")), home.map(|at| at.join("registry/src"))];
    let found = places.into_iter().flatten().find(|place| place.is_dir());
    found.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
}
