//! A calculator with a stack, like `dc`, at the right end of a pipe. It answers one line after the other until
//! `calculate` at the left end has closed, and then waits for the next one. Start it before or after:
//!
//! ```text
//! cargo run --example calculator
//! cargo run --example calculate        # then type: 2 3 + 4 *
//! ```
//!
//! The stack belongs to this process: it outlives a `calculate` that is closed, or killed.

#[path = "calculator/message.rs"]
mod message;

use message::{Answer, pipe};
use slipring::RecvError;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut stack = Vec::new();
    loop {
        let mut right = pipe().right()?;
        loop {
            match right.recv() {
                Ok(Some(line)) => right.send(answer(&mut stack, &line.text))?,
                Ok(None) => break,
                Err(RecvError::SenderDied(who)) => println!("{who} died; waiting for another one"),
                Err(error) => return Err(error.into()),
            }
        }
        println!("{} numbers are on the stack; waiting for another one", stack.len());
    }
}

/// Does what a line says: numbers go on the stack, and operators take two and leave one.
fn answer(stack: &mut Vec<f64>, line: &str) -> Answer {
    let before = stack.clone();
    for word in line.split_whitespace() {
        if step(stack, word).is_none() {
            *stack = before;
            // A word is no longer than the line that it is from.
            return Answer::Misunderstood(word.parse().unwrap_or_default());
        }
    }
    stack.last().map_or(Answer::Empty, |&top| Answer::Top(top))
}

/// Does what a word says. `None` if it says nothing, or too few numbers are there.
fn step(stack: &mut Vec<f64>, word: &str) -> Option<()> {
    let operate: fn(f64, f64) -> f64 = match word {
        "+" => |a, b| a + b,
        "-" => |a, b| a - b,
        "*" => |a, b| a * b,
        "/" => |a, b| a / b,
        "^" => f64::powf,
        "clear" => {
            stack.clear();
            return Some(());
        }
        number => {
            stack.push(number.parse().ok()?);
            return Some(());
        }
    };
    let (b, a) = (stack.pop()?, stack.pop()?);
    stack.push(operate(a, b));
    Some(())
}
