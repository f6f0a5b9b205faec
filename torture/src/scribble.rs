//! The live scribbler: somebody who can write to a segment, and does, while a victim works over it.
//!
//! The *victim* is a process that has both ends of a channel and receives by value. The *scribbler* is this process, which
//! has the segment mapped as every participant has. It stores values to every word of it, one after the other, at moments
//! that the victim does not know, and sees to it that the victim goes on: that it is not killed by a signal, does not
//! panic, does not hang, and spends on no call more than its budget. What the victim receives may be anything of the right
//! type, and every error will do. When one says that the channel is damaged the victim makes it anew.
//!
//! A second part, the *storm*, stores random values to random words, as fast as it can, so that many are wrong at once.

mod board;
mod image;
mod traffic;
mod victim;

pub(crate) use victim::{image, play, remove, try_image};

use crate::check::{Check, Context};
use crate::child::Child;
use crate::domain::Domain;
use crate::report::{Failure, Figure, Tally, bar_style};
use board::Board;
use image::{Image, Place};
use indicatif::ProgressBar;
use std::hint;
use std::thread;
use std::time::{Duration, Instant};

/// The campaign's name.
pub(crate) const NAME: &str = "live-scribbler";

/// Values that each word gets.
const VALUES: usize = 16;

/// Rounds that the victim has to do after a word was stored, before the next one is.
const ROUNDS: u64 = 2;

/// Words after which the victim makes the channel anew, damaged or not.
const WORDS_AN_IMAGE: usize = 8;

/// After so long without progress the victim hangs. Its own calls take a few milliseconds at most, and opening a channel
/// waits for five seconds for others who open it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much is done.
pub(crate) struct Plan<'a> {
    /// Every word, and a longer storm, rather than what fits into a minute and a half.
    pub(crate) is_long: bool,
    /// At most so long for each kind.
    pub(crate) limit: Duration,
    /// Only this kind.
    pub(crate) kind: Option<&'a str>,
}

impl Plan<'_> {
    /// How many stores a storm is.
    fn storm(&self) -> u64 {
        if self.is_long { 10_000_000 } else { 100_000 }
    }
}

/// The names of all kinds.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    traffic::KINDS.iter().map(|kind| kind.name)
}

/// Runs the campaign, and goes on where the figures in `tally` that earlier runs have left say that they stopped.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) -> Check {
    for kind in kinds().filter(|kind| plan.kind.is_none_or(|only| only == *kind)) {
        let began = Instant::now();
        let mut figure = Figure::new(NAME, kind, None);
        let earlier = tally.earlier(&figure);
        let mut attack = Attack::begin(kind, plan.is_long, earlier)?;
        let is_over = || began.elapsed() >= plan.limit;
        // A kind's words come before its storm, in the order of the cases.
        let words = (attack.places.len() * VALUES) as u64;
        attack.every_word(earlier, is_over, tally)?;
        attack.storm(plan.storm().saturating_sub(earlier.saturating_sub(words)), is_over, tally)?;
        attack.end(tally)?;
        (figure.cases, figure.failures) = (attack.cases, attack.failures);
        figure.messages = Some(attack.messages);
        figure.seconds = began.elapsed().as_secs_f64();
        figure.leave((words + plan.storm()).saturating_sub(earlier + figure.cases));
        tally.add(figure);
    }
    Ok(())
}

/// A victim, and what has been done to it.
struct Attack {
    kind: &'static str,
    domain: Domain,
    board: Board,
    victim: Child,
    /// The words to scribble on, as the header of an undamaged segment has them.
    places: Vec<Place>,
    dice: Dice,
    cases: u64,
    failures: u64,
    /// Messages that victims have received.
    messages: u64,
}

impl Attack {
    /// Starts a victim. `earlier` cases were had before, and the dice fall as they have not then.
    fn begin(kind: &'static str, all: bool, earlier: u64) -> Check<Self> {
        let (domain, board) = (Domain::new(), Board::new()?);
        let victim = start(kind, &domain, &board)?;
        let (places, dice) = (Vec::new(), Dice::new(0x9E37_79B9_7F4A_7C15 ^ earlier << 1));
        let mut attack = Attack { kind, domain, board, victim, places, dice, cases: 0, failures: 0, messages: 0 };
        attack.places = attack.image()?.places(all);
        Ok(attack)
    }

    /// Stores every value to every word, but for those that `earlier` cases were about.
    fn every_word(&mut self, earlier: u64, is_over: impl Fn() -> bool, tally: &mut Tally) -> Check {
        let first = earlier as usize / VALUES;
        let bar = ProgressBar::new(self.places.len().saturating_sub(first) as u64);
        bar.set_message(format!("{}, {NAME}", self.kind));
        bar.set_style(bar_style());
        for (at, place) in self.places.clone().iter().enumerate().skip(first) {
            if is_over() {
                break;
            }
            if at % WORDS_AN_IMAGE == 0 {
                self.board.want_another();
            }
            for choice in 0..VALUES {
                self.cases += 1;
                let image = match self.image() {
                    Ok(image) => image,
                    Err(wrong) => {
                        self.fail(&place.name, wrong, tally)?;
                        continue;
                    }
                };
                let (before, other) = (image.load(place.word), image.load(self.dice.roll(image.words())));
                let value = value(choice, before, other, self.dice.next());
                self.dice.linger();
                image.store(place.word, value);
                if let Err(wrong) = self.see_it_go_on() {
                    self.fail(&format!("{} := {value:#x} (it was {before:#x})", place.name), wrong, tally)?;
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Stores random values to random words.
    fn storm(&mut self, stores: u64, is_over: impl Fn() -> bool, tally: &mut Tally) -> Check {
        const BURST: u64 = 50;
        let mut done = 0;
        while done < stores && !is_over() {
            self.board.want_another();
            let image = match self.image() {
                Ok(image) => image,
                Err(wrong) => {
                    self.fail("the storm", wrong, tally)?;
                    continue;
                }
            };
            for _ in 0..BURST {
                let word = self.places[self.dice.roll(self.places.len())].word;
                let (before, other) = (image.load(word), image.load(self.dice.roll(image.words())));
                let choice = self.dice.roll(VALUES);
                self.dice.linger();
                image.store(word, value(choice, before, other, self.dice.next()));
            }
            done += BURST;
            self.cases += BURST;
            if let Err(wrong) = self.see_it_go_on() {
                self.fail("the storm", wrong, tally)?;
            }
        }
        Ok(())
    }

    /// The segment as the victim has it now.
    fn image(&mut self) -> Check<Image> {
        let began = Instant::now();
        loop {
            let before = self.board.generation();
            if before.is_some() {
                if let Some(image) = Image::map(&self.domain, traffic::CHANNEL)? {
                    if self.board.generation() == before {
                        return Ok(image);
                    }
                }
            }
            self.look_after(began)?;
        }
    }

    /// That the victim does some rounds more, or makes the channel anew.
    fn see_it_go_on(&mut self) -> Check {
        let (began, rounds, generation) = (Instant::now(), self.board.rounds(), self.board.generation());
        while self.board.generation() == generation && self.board.rounds() < rounds + ROUNDS {
            self.look_after(began)?;
        }
        match self.board.overspent() {
            Some(call) => Err(format!("the victim has spent more than its budget on {call}")),
            None => Ok(()),
        }
    }

    /// Waits a little for a victim that is alive.
    fn look_after(&mut self, began: Instant) -> Check {
        if began.elapsed() < Duration::from_micros(100) {
            hint::spin_loop();
            return Ok(());
        }
        if let Some(status) = self.victim.try_wait()? {
            return Err(format!("the victim ended ({status}) in {}", self.board.call()));
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("the victim hangs in {}", self.board.call()));
        }
        thread::yield_now();
        Ok(())
    }

    /// Tells of a failure, and goes on with another victim.
    fn fail(&mut self, what: &str, wrong: String, tally: &mut Tally) -> Check {
        self.failures += 1;
        let what = format!("{}: {what}", self.kind);
        tally.fail(Failure { campaign: NAME, what, wrong, saw: Vec::new(), case: None });
        self.messages += self.board.messages();
        self.board = Board::new()?;
        self.domain = Domain::new();
        self.victim = start(self.kind, &self.domain, &self.board)?;
        Ok(())
    }

    /// Has the victim end, in order.
    fn end(&mut self, tally: &mut Tally) -> Check {
        self.board.want_end();
        let began = Instant::now();
        while self.victim.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                let wrong = format!("the victim hangs in {}", self.board.call());
                return self.fail("the end", wrong, tally);
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.messages += self.board.messages();
        if let Err(wrong) = self.victim.finish().and_then(|()| self.domain.check_empty()) {
            self.failures += 1;
            let what = format!("{}: the end", self.kind);
            tally.fail(Failure { campaign: NAME, what, wrong, saw: Vec::new(), case: None });
        }
        Ok(())
    }
}

fn start(kind: &str, domain: &Domain, board: &Board) -> Check<Child> {
    Child::start(["scribbled", kind, domain.name(), &board.path()]).at("a victim is started")
}

/// One of the values that a word gets, given what it holds, what another one does, and a random one.
fn value(choice: usize, before: u64, other: u64, random: u64) -> u64 {
    match choice {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => 1 << 63,
        4 => before.wrapping_add(1),
        5 => before.wrapping_sub(1),
        6 => before ^ 1 << (random % 64),
        7 => !before,
        8 => before << 32,
        9 => before >> 32,
        10 => before.wrapping_add(1 << 32),
        11 => other,
        12 => before & !0xFFFF | 0xFFFF,
        13 => random >> (random % 64),
        14 => u64::from(random as u32) << 32 | before & 0xFFFF_FFFF,
        _ => random,
    }
}

/// Numbers that look random.
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice that fall as the seed says.
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed | 1)
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        (self.next() % sides.max(1) as u64) as usize
    }

    /// Lets a moment pass, so that stores fall into any part of the victim's round.
    fn linger(&mut self) {
        (0..self.roll(256)).for_each(|_| hint::spin_loop());
    }
}
