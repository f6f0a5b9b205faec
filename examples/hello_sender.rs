//! Sends three greetings. Start it before or after `hello_receiver`:
//!
//! ```text
//! cargo run --example hello_sender
//! cargo run --example hello_receiver
//! ```

#[path = "hello/message.rs"]
mod message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut tx = message::Hello::sender()?;
    for number in 1..=3 {
        tx.send(message::Hello { number, text: "hello from another process".parse()? })?;
    }
    Ok(())
}
