//! Samples how busy this machine is, a hundred times a second, until it is interrupted. Whoever wants to know looks at
//! the latest value; start any number of `load_viewer`s before or after:
//!
//! ```text
//! cargo run --example load_sampler
//! cargo run --example load_viewer
//! ```

#[path = "load/message.rs"]
mod message;

use message::Load;
use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    // Relaxed, here and below: a flag that nothing else hangs on.
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
    let mut writer = message::channel().writer()?;
    let mut before = Ticks::now()?;
    while !interrupted.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
        let ticks = Ticks::now()?;
        let (busy, all) = (ticks.busy - before.busy, ticks.all - before.all);
        // The kernel counts a hundred ticks a second, so now and then there is none between two looks.
        if all > 0 {
            let busy = busy as f64 / all as f64;
            writer.write(Load { busy, runnable: ticks.runnable, available_kib: available_kib()? })?;
            before = ticks;
        }
    }
    println!("{} samples were written", writer.version());
    Ok(())
}

/// What the kernel has counted since it started.
struct Ticks {
    busy: u64,
    all: u64,
    runnable: u64,
}

impl Ticks {
    /// Reads them from /proc/stat.
    fn now() -> Result<Ticks, Box<dyn Error>> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = |name| text.lines().find_map(|line| line.strip_prefix(name)).ok_or("/proc/stat has another form");
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in user already.
        let spent = line("cpu ")?.split_whitespace().take(8).map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        let all = spent.iter().sum();
        let idle: u64 = spent.iter().skip(3).take(2).sum();
        Ok(Ticks { busy: all - idle, all, runnable: line("procs_running ")?.trim().parse()? })
    }
}

fn available_kib() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).ok_or("/proc/meminfo has another form")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}
