//! Shows how busy this machine is, five times a second, from the samples that `load_sampler` takes a hundred times a
//! second. What it does not look at costs neither of them anything. Start it before or after:
//!
//! ```text
//! cargo run --example load_sampler
//! cargo run --example load_viewer
//! ```

#[path = "load/message.rs"]
mod message;

use slipring::WaitNewerError;
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut reader = message::channel().reader()?;
    loop {
        match reader.wait_newer(Duration::from_secs(1)) {
            Ok(Some(load)) => {
                let (percent, bar) = (load.busy * 100.0, "#".repeat((load.busy * 40.0) as usize));
                let (runnable, free) = (load.runnable, load.available_kib / 1024);
                println!(
                    "sample {:>6}  {percent:>5.1} % {bar:<40}  {runnable} to run, {free} MiB to have",
                    reader.version()
                );
            }
            Ok(None) => println!("(waiting for `load_sampler`)"),
            Err(WaitNewerError::Closed) => return Ok(()),
            Err(WaitNewerError::WriterDied(who)) => println!("{who} died; waiting for another one"),
            Err(error) => return Err(error.into()),
        }
        thread::sleep(Duration::from_millis(200));
    }
}
