//! Rubbish: schemas, values and whole segments with random bytes in them, as fast as they can be tried.
//!
//! Each kind is tried by a child, which says how far it has come; a child that ends by itself has failed, and says at which
//! case. The cases follow from the seed, so that the case can be tried again. What searches for such bytes instead of
//! rolling dice is in `fuzz/`.

use crate::check::{Check, Context};
use crate::child::{self, Child};
use crate::domain::Domain;
use crate::report::{Failure, Figure, Tally};
use crate::scribble::{self, Dice};
use slipring::schema;
use slipring::{IpcMessage, List, Opt, Str};
use std::time::Instant;

/// The campaign's name.
pub(crate) const NAME: &str = "fuzz";

/// The kind that tries schemas, and values of them; the others are kinds of channels, whose segments are opened.
const SCHEMA: &str = "schema";

/// Cases that a child says in one go.
const STEP: u64 = 500;

/// A message with a part of every kind.
#[allow(dead_code, reason = "only its schema matters")]
#[derive(IpcMessage, Clone, Copy)]
#[repr(C)]
struct Everything {
    number: f64,
    text: Str<12>,
    list: List<Opt<u16>, 3>,
    table: [[i8; 2]; 2],
    choice: Choice,
    sign: char,
}

#[allow(dead_code, reason = "as above")]
#[derive(IpcMessage, Clone, Copy)]
#[repr(C, u8)]
enum Choice {
    None,
    One(u32),
    Many { left: bool, right: u64 },
}

/// The names of all kinds.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    std::iter::once(SCHEMA).chain(scribble::kinds())
}

/// Runs the campaign: so many cases of each kind.
pub(crate) fn run(cases: u64, only: Option<&str>, tally: &mut Tally) -> Check {
    for kind in kinds().filter(|kind| only.is_none_or(|only| only == *kind)) {
        let began = Instant::now();
        let mut figure = Figure::new(NAME, kind, None);
        let domain = Domain::new();
        // Opening a segment takes a hundred times as long as reading a schema.
        let cases = if kind == SCHEMA { cases * 100 } else { cases };
        let mut child = Child::start(["fuzzed", kind, domain.name(), &cases.to_string()])?;
        let outcome = loop {
            match child.hear_word("tried") {
                Ok(_) if figure.cases + STEP >= cases => break child.finish(),
                Ok(_) => figure.cases += STEP,
                Err(wrong) => break Err(wrong),
            }
        };
        match outcome {
            Ok(()) => figure.cases = cases,
            Err(wrong) => {
                figure.failures += 1;
                let what = format!("{kind}: a case after the first {}", figure.cases);
                tally.fail(Failure { campaign: NAME, what, wrong, saw: Vec::new(), case: None });
            }
        }
        figure.seconds = began.elapsed().as_secs_f64();
        tally.add(figure);
    }
    Ok(())
}

/// The child's part.
pub(crate) fn play(kind: &str, domain: &str, cases: u64) -> Check {
    child::settle_in()?;
    let mut dice = Dice::new(cases);
    let image = if kind == SCHEMA { Vec::new() } else { scribble::image(kind, domain)? };
    for case in 1..=cases {
        if kind == SCHEMA {
            try_schema(&mut dice);
        } else {
            scribble::try_image(kind, domain, &damaged(&image, &mut dice))?;
        }
        if case % STEP == 0 || case == cases {
            child::rest_assured();
            child::say("tried")?;
        }
    }
    scribble::remove(domain).at("what is left is removed")
}

/// The bytes with some others in their place: near the beginning mostly, where there is a header.
fn damaged(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.roll(6) {
        let reach = if dice.roll(3) == 0 { bytes.len() } else { bytes.len().min(1024) };
        let (at, width) = (dice.roll(reach), 1 << dice.roll(4));
        let value = if dice.roll(2) == 0 { dice.next() } else { [0, 1, u64::MAX, 1 << 31, 1 << 63][dice.roll(5)] };
        for (byte, new) in bytes.iter_mut().skip(at / width * width).take(width).zip(value.to_ne_bytes()) {
            *byte = new;
        }
    }
    bytes
}

/// Decodes a schema that is nearly one, and reads a value that is nearly one of it.
fn try_schema(dice: &mut Dice) {
    let theirs = damaged(Everything::SCHEMA, dice);
    std::hint::black_box(schema::diff(Everything::SCHEMA, &theirs).iter().map(ToString::to_string).collect::<String>());
    let Ok(schema) = schema::decode(&theirs).or_else(|_| schema::decode(Everything::SCHEMA)) else { return };
    let len = usize::try_from(schema.size_bytes()).unwrap_or(0).min(4096);
    let bytes: Vec<u8> = (0..len).map(|_| if dice.roll(3) == 0 { dice.next() as u8 } else { 0 }).collect();
    if let Ok(value) = schema.read(&bytes) {
        let mut written = vec![0; len];
        std::hint::black_box((value.to_string(), schema.write(&value, &mut written).is_ok()));
    }
}
