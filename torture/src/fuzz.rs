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
use std::time::{Duration, Instant};

/// The campaign's name.
pub(crate) const NAME: &str = "fuzz";

/// The kind that tries schemas, and values of them; the others are kinds of channels, whose segments are opened.
const SCHEMA: &str = "schema";

/// Cases that a child says in one go.
const STEP: u64 = 500;

/// How much is done.
pub(crate) struct Plan<'a> {
    /// Cases of each kind; of schemas a hundred times as many.
    pub(crate) cases: u64,
    /// At most so long for each kind.
    pub(crate) limit: Duration,
    /// Only this kind.
    pub(crate) kind: Option<&'a str>,
}

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

/// Runs the campaign, and goes on where the figures in `tally` that earlier runs have left say that they stopped.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) -> Check {
    for kind in kinds().filter(|kind| plan.kind.is_none_or(|only| only == *kind)) {
        let began = Instant::now();
        let mut figure = Figure::new(NAME, kind, None);
        let domain = Domain::new();
        // Opening a segment takes a hundred times as long as reading a schema.
        let all = if kind == SCHEMA { plan.cases * 100 } else { plan.cases };
        let earlier = tally.earlier(&figure);
        let cases = all.saturating_sub(earlier);
        let seed = (all + earlier).to_string();
        let mut child = Child::start(["fuzzed", kind, domain.name(), &seed, &cases.to_string()])?;
        let outcome = loop {
            if figure.cases == cases || began.elapsed() >= plan.limit {
                break child.finish();
            }
            match child.tell("on").and_then(|()| child.hear_word("tried")) {
                Ok(_) => figure.cases = cases.min(figure.cases + STEP),
                Err(wrong) => break Err(wrong),
            }
        };
        if let Err(wrong) = outcome {
            figure.failures += 1;
            let what = format!("{kind}: a case after the first {} from seed {seed}", figure.cases);
            tally.fail(Failure { campaign: NAME, what, wrong, saw: Vec::new(), case: None });
        }
        figure.seconds = began.elapsed().as_secs_f64();
        figure.leave(cases - figure.cases);
        tally.add(figure);
    }
    Ok(())
}

/// The child's part: some cases whenever it is told to go on, until it is told nothing more.
pub(crate) fn play(kind: &str, domain: &str, seed: u64, cases: u64) -> Check {
    child::settle_in()?;
    let mut dice = Dice::new(seed);
    let image = if kind == SCHEMA { Vec::new() } else { scribble::image(kind, domain)? };
    let mut left = cases;
    while child::listen()?.is_some() {
        for _ in 0..STEP.min(left) {
            if kind == SCHEMA {
                try_schema(&mut dice);
            } else {
                scribble::try_image(kind, domain, &damaged(&image, &mut dice))?;
            }
        }
        left = left.saturating_sub(STEP);
        child::rest_assured();
        child::say("tried")?;
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
