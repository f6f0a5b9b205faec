//! Prints greetings until the sender has closed. Start it before or after `hello_sender`:
//!
//! ```text
//! cargo run --example hello_sender
//! cargo run --example hello_receiver
//! ```

#[path = "hello/message.rs"]
mod message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rx = message::Hello::receiver()?;
    while let Some(hello) = rx.recv()? {
        println!("{}: {}", hello.number, hello.text);
    }
    Ok(())
}
