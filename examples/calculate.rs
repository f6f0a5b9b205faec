//! Gives every line of standard input to `calculator`, at the other end of a pipe, and prints what it says. Start it
//! before or after:
//!
//! ```text
//! cargo run --example calculator
//! cargo run --example calculate        # then type: 2 3 + 4 *
//! ```

#[path = "calculator/message.rs"]
mod message;

use message::{Answer, Line, pipe};
use std::io;
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut left = pipe().left()?;
    for line in io::stdin().lines() {
        left.send(Line { text: line?.parse()? })?;
        if !left.poll(Duration::from_secs(1))? {
            println!("(waiting for `calculator`)");
        }
        match left.recv()? {
            Some(Answer::Top(number)) => println!("{number}"),
            Some(Answer::Empty) => println!("(nothing)"),
            Some(Answer::Misunderstood(word)) => println!("what is {word:?}? I know numbers, + - * / ^ and clear"),
            None => break,
        }
    }
    Ok(())
}
