//! How much of a processor a process uses that waits for messages while nothing comes: in one channel, by `recv`, and in
//! many, by a `WaitSet`.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report};
use crate::loops::{message, verify};
use crate::peer::Seat;
use crate::ways::queue;
use slipring::{Queue, WaitSet};
use std::fs;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Waiting.
pub(crate) static WORK: Work = Work {
    name: "idle-cpu",
    about: "How much of a processor a process uses that waits for messages while nothing comes.",
    cases,
    play,
};

/// Words of a message.
const WORDS: usize = 6;

/// Channels, as a variant has them.
const CHANNELS: [(&str, usize); 3] = [("1 channel", 1), ("100 channels", 100), ("1000 channels", 1000)];

fn cases(_: &Plan) -> Vec<Case> {
    let case = |(variant, _): (&str, usize)| Case {
        work: WORK.name,
        variant: variant.to_string(),
        size_bytes: WORDS * 8,
        capacity: 64,
        metric: Metric::Percent,
        filing: Filing::As("any"),
        // The pieces of work are the nanoseconds in which the receiver waits.
        contestants: vec![Contestant::new("slipring", 1_000_000_000).files(Files::Memory(4096))],
    };
    CHANNELS.map(case).into()
}

/// Past the spinning that follows the last message.
const SETTLE: Duration = Duration::from_millis(200);

fn play(seat: &Seat) -> Result<Play, Failure> {
    let memory = seat.memory()?;
    let named = CHANNELS.iter().find(|(name, _)| *name == seat.variant);
    let channels = named.ok_or("there is no such number of channels")?.1;
    let queues: Vec<Queue<[u64; WORDS]>> =
        (0..channels).map(|channel| queue::exclusive(seat, &channel.to_string())).collect();
    let mut next = 0;
    if seat.index > 0 {
        let mut receivers = queues.iter().map(Queue::receiver).collect::<Result<Vec<_>, _>>()?;
        let mut set = WaitSet::new();
        // Release: pairs with the Acquire below, although the process number is all there is to see.
        memory.word(0).store(u64::from(std::process::id()), Ordering::Release);
        return Ok(Box::new(move |_| {
            let turn = next as usize % receivers.len();
            if receivers.len() > 1 && !set.wait(&mut receivers).any(|ready| ready == turn) {
                return Err("another channel is ready than has a message".into());
            }
            verify(&receivers[turn].recv()?.ok_or("the other end has closed the channel")?, next)?;
            next += 1;
            Ok(Report::default())
        }));
    }
    let mut senders = queues.iter().map(Queue::sender).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(move |period_ns| {
        // Acquire: pairs with the Release above. The first order comes after every process is ready.
        let receiver = memory.word(0).load(Ordering::Acquire);
        thread::sleep(SETTLE);
        let before = used_ns(receiver)?;
        thread::sleep(Duration::from_nanos(period_ns));
        let used = used_ns(receiver)? - before;
        let turn = next as usize % senders.len();
        senders[turn].send(message(next))?;
        next += 1;
        Ok(Report::spent(used, period_ns))
    }))
}

/// Nanoseconds that the threads of a process have run.
fn used_ns(pid: u64) -> Result<u64, Failure> {
    let mut used = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
        used += schedstat.split_whitespace().next().ok_or("there is no figure in schedstat")?.parse::<u64>()?;
    }
    Ok(used)
}
