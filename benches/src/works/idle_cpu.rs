//! How much of a processor a receiver uses while nothing comes.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report};
use crate::loops::{message, verify};
use crate::peer::Seat;
use crate::ways::queue;
use std::fs;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Waiting.
pub(crate) static WORK: Work = Work { name: "idle-cpu", cases, play };

/// Words of a message.
const WORDS: usize = 6;

fn cases(_: &Plan) -> Vec<Case> {
    vec![Case {
        work: WORK.name,
        variant: String::new(),
        size_bytes: WORDS * 8,
        capacity: 1024,
        metric: Metric::Percent,
        filing: Filing::As("any"),
        // The pieces of work are the nanoseconds in which the receiver waits.
        contestants: vec![Contestant::new("slipring", 1_000_000_000).files(Files::Memory(4096))],
    }]
}

/// Past the spinning that follows the last message.
const SETTLE: Duration = Duration::from_millis(200);

fn play(seat: &Seat) -> Result<Play, Failure> {
    let memory = seat.memory()?;
    let channel = queue::exclusive::<WORDS>(seat, "stream");
    let mut next = 0;
    if seat.index > 0 {
        let mut rx = channel.receiver()?;
        // Release: pairs with the Acquire below, although the process number is all there is to see.
        memory.word(0).store(u64::from(std::process::id()), Ordering::Release);
        return Ok(Box::new(move |_| {
            verify(&rx.recv()?.ok_or("the other end has closed the channel")?, next)?;
            next += 1;
            Ok(Report::default())
        }));
    }
    let mut tx = channel.sender()?;
    Ok(Box::new(move |period_ns| {
        // Acquire: pairs with the Release above. The first order comes after every process is ready.
        let receiver = memory.word(0).load(Ordering::Acquire);
        thread::sleep(SETTLE);
        let before = used_ns(receiver)?;
        thread::sleep(Duration::from_nanos(period_ns));
        let used = used_ns(receiver)? - before;
        tx.send(message(next))?;
        next += 1;
        Ok(Report::spent(used, period_ns))
    }))
}

/// Nanoseconds that a process has run.
fn used_ns(pid: u64) -> Result<u64, Failure> {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    Ok(schedstat.split_whitespace().next().ok_or("there is no figure in schedstat")?.parse()?)
}
