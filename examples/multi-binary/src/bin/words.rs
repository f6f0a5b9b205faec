//! Sends every word of a text file: `words [FILE]`.

use multi_binary::Word;
use slipring::Str;
use std::{env, error::Error, fs};

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/slip-rings.txt");

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).unwrap_or_else(|| TEXT.to_owned());
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {path}: {error}; name a text file: words FILE"))?;

    let mut words = Word::sender()?;
    for (number, line) in (1..).zip(text.lines()) {
        for word in line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
            words.send(Word { text: Str::truncated(&word.to_lowercase()), line: number })?;
        }
    }
    Ok(())
}
