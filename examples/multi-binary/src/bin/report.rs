//! Receives the totals, and prints the most frequent words: `report [HOW_MANY]`.

use multi_binary::Total;
use std::{env, error::Error, io, io::Write as _};

fn main() -> Result<(), Box<dyn Error>> {
    let how_many: usize = match env::args().nth(1) {
        None => 10,
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of words: report [HOW_MANY]"))?,
    };

    let (mut totals, mut out) = (Total::receiver()?, io::stdout());
    let mut rank = 0;
    // Received to the end whatever is printed, because the channel is removed once it is drained.
    while let Some(Total { text, occurrences, first_line }) = totals.recv()? {
        rank += 1;
        if rank <= how_many {
            writeln!(out, "{rank:3}. {text:12} {occurrences:4} times, first in line {first_line}")?;
        }
    }
    Ok(())
}
