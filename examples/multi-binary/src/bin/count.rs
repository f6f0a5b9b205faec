//! Receives words until `words` is through, and sends how often each of them came.

use multi_binary::{Total, Word};
use std::{cmp::Reverse, collections::HashMap, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = Word::receiver()?;
    let mut totals = HashMap::new();
    while let Some(Word { text, line }) = words.recv()? {
        let total = totals.entry(text).or_insert(Total { text, occurrences: 0, first_line: line });
        total.occurrences += 1;
    }

    let mut ranking: Vec<Total> = totals.into_values().collect();
    ranking.sort_by_key(|total| (Reverse(total.occurrences), total.text));
    Total::sender()?.send_batch(ranking)?;
    Ok(())
}
