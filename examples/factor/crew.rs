//! A whole run: starts the servers and the clients, and adds up what they say.

use super::roles::service;
use super::{Args, Result};
use serde_json::json;
use std::env;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::time::Instant;

/// The processes of a run. Those that still run when it is dropped are ended.
struct Crew(Vec<Child>);

impl Drop for Crew {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Both fail only if it has been waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Crew {
    fn start(&mut self, domain: &str, args: &[String]) -> Result<()> {
        let mut command = Command::new(env::current_exe()?);
        command.args(args).env(slipring::DOMAIN_VARIABLE, domain).stdin(Stdio::piped()).stdout(Stdio::piped());
        self.0.push(command.spawn()?);
        Ok(())
    }

    /// Lets every process know that no more is wanted of it, waits for all, and returns what each has printed.
    fn finish(mut self) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for child in &mut self.0 {
            drop(child.stdin.take());
            let mut text = String::new();
            if let Some(out) = &mut child.stdout {
                out.read_to_string(&mut text)?;
            }
            let status = child.wait()?;
            if !status.success() {
                return Err(format!("process {} ended with {status}", child.id()).into());
            }
            said.push(text);
        }
        Ok(said)
    }
}

/// Does a run in a domain of its own, and leaves nothing behind there.
pub(super) fn run(args: &Args) -> Result<()> {
    let domain = format!("factor-{}", process::id());
    let outcome = run_in(&domain, args);
    // The last to leave has removed the service, unless that one was killed.
    let _ = service().domain(&domain).remove();
    outcome
}

/// Starts everybody, waits for the clients, then ends the servers.
fn run_in(domain: &str, args: &Args) -> Result<()> {
    let (mut servers, mut clients) = (Crew(Vec::new()), Crew(Vec::new()));
    for _ in 0..args.servers {
        servers.start(domain, &["serve".into()])?;
    }
    let started = Instant::now();
    for client in 0..args.clients {
        let numbers = [format!("--numbers={}", args.numbers), format!("--window={}", args.window)];
        let seed = client as u64 * args.numbers;
        clients.start(domain, &[&numbers[..], &["ask-many".into(), seed.to_string()]].concat())?;
    }
    let pids: Vec<_> = servers.0.iter().map(|server| server.id().to_string()).collect();
    eprintln!("factor: the servers are {}; kill one, and start another: SLIPRING_DOMAIN={domain}", pids.join(", "));
    let asked = clients.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    let repeated = asked.iter().filter_map(|said| said.split(' ').next()?.parse::<u64>().ok()).sum::<u64>();
    // A server may have been killed by the user, who then knows about it.
    let answered: Vec<_> = servers.0.drain(..).map(|server| shares(Crew(vec![server]))).collect();
    let numbers = args.numbers * args.clients as u64;
    let rate = numbers as f64 / seconds;
    let result = json!({
        "example": "factor", "verified": true, "records": numbers, "records_per_s": rate, "repeated": repeated,
        "servers": args.servers, "clients": args.clients, "answered": answered,
    });
    match args.json.as_deref() {
        Some(path) if path == Path::new("-") => writeln!(io::stdout(), "{result}")?,
        Some(path) => fs::write(path, format!("{result}\n"))?,
        None => println!("{numbers} numbers, {rate:.0} a second; verified; the servers answered {answered:?}"),
    }
    Ok(())
}

/// How many numbers a server says that it has answered; `None` if it does not say.
fn shares(server: Crew) -> Option<u64> {
    server.finish().ok()?.first()?.trim().parse().ok()
}
