//! Takes lines from any number of TCP connections and passes them on to `async_digest`, which may be started later, or
//! again. When that falls behind, the queue fills up, the tasks wait for room, and TCP slows the clients down.
//!
//! ```sh
//! cargo run --example async_digest &
//! cargo run --example async_ingest -- 127.0.0.1:7000 &
//! seq 100000 | nc -N 127.0.0.1 7000
//! ```

#[path = "ingest/line.rs"]
mod line;

use line::Line;
use slipring::Str;
use std::error::Error;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (client, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = ingest(client, peer.port()).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

/// Passes on what one client says. Each task has a sender of its own.
async fn ingest(client: TcpStream, port: u16) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut tx = Line::sender()?.into_async()?;
    let mut lines = BufReader::new(client).lines();
    while let Some(line) = lines.next_line().await? {
        tx.send(Line { port, text: Str::truncated(&line) }).await?;
    }
    Ok(())
}
