//! Prints what `async_ingest` takes in, and how much it has been, until all its clients have gone.

#[path = "ingest/line.rs"]
mod line;

use line::Line;
use std::error::Error;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut rx = Line::receiver()?.into_async()?;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut count = 0;
    loop {
        tokio::select! {
            // Whichever is first ends the other; a `recv` that is dropped has taken no message.
            line = rx.recv() => match line? {
                Some(Line { port, text }) => {
                    println!("{port}: {text}");
                    count += 1;
                }
                None => break,
            },
            _ = seconds.tick() => eprintln!("{count} lines"),
        }
    }
    println!("the end, after {count} lines");
    Ok(())
}
