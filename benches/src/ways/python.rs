//! Python's multiprocessing, as its documentation shows it: a script that starts the two processes itself, and does and
//! verifies the same things.

use crate::harness::plan::Failure;
use crate::harness::sample::{Play, Report};
use crate::peer::Seat;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// The contestants that are written in Python.
pub(crate) const NAMES: &[&str] = &["python-queue", "python-simple-queue", "python-pipe"];

/// What they run.
const SCRIPT: &str = include_str!("python.py");

/// Whether there is a Python to run it.
pub(crate) fn is_there() -> bool {
    let version = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// The script, which ends when its standard input does.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // There is nothing to be done about a script that cannot be waited for.
        let _ = self.0.wait();
    }
}

/// Has the script do what is ordered.
pub(crate) fn play(seat: &Seat) -> Result<Play, Failure> {
    let [first, second] = [seat.pins[0], seat.pins[1]].map(|processor| processor.to_string());
    let words = (seat.size_bytes / 8).to_string();
    let (contestant, work, capacity) = (seat.contestant.clone(), seat.work.clone(), seat.capacity.to_string());
    run(SCRIPT, [contestant, work, words, capacity, first, second])
}

/// Has a script do what is ordered, that is given these arguments.
pub(crate) fn run(script: &str, args: impl IntoIterator<Item = String>) -> Result<Play, Failure> {
    let mut command = Command::new("python3");
    command.args(["-c", script]).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = Script(command.spawn()?);
    Ok(Box::new(move |count| {
        let (Some(orders), Some(reports)) = (&mut script.0.stdin, &mut script.0.stdout) else {
            return Err("the script has no standard input or output".into());
        };
        orders.write_all(&count.to_ne_bytes())?;
        let mut words = [[0; 8]; 4];
        reports.read_exact(words.as_flattened_mut())?;
        let [from_ns, to_ns, pieces, cpu_ns] = words.map(u64::from_ne_bytes);
        Ok(Report { from_ns, to_ns, pieces, cpu_ns, ..Report::default() })
    }))
}
