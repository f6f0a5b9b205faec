//! The soak: processes at work are killed at random moments and replaced, and every message is accounted for.
//!
//! Each process keeps a ledger outside the segment: it writes a line to a pipe before and after each operation, which the
//! kernel keeps when the process is killed. After some kills everybody is killed, and a *witness* in this process takes
//! what is left in the channel and compares it with the ledgers.

mod broadcast;
mod latest;
mod queue;
mod service;
mod sync;

use crate::check::{Check, Context, ensure};
use crate::child::{self, Child};
use crate::domain::Domain;
use crate::report::{Failure, Figure, Tally, bar_style};
use crate::surroundings;
use indicatif::ProgressBar;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// The campaign's name.
pub(crate) const NAME: &str = "soak";

/// Kills before everybody is killed and everything is accounted for.
const KILLS_A_ROUND: u64 = 50;

/// The longest time between two kills. With six processes, one lives for six times half of it.
const LONGEST_PAUSE_US: u64 = 3_000;

/// Surroundings that are as usual.
const PLAIN: &str = "plain";

/// The size of the pipe that a ledger is in.
const LEDGER_BYTES: libc::c_int = 1 << 20;

/// A kind of channel, and who takes part.
struct Kind {
    name: &'static str,
    roles: &'static [&'static str],
    play: fn(kind: &str, role: &str, domain: &str, life: u64) -> Check,
    witness: fn(kind: &str, domain: &str) -> Check<Box<dyn Witness>>,
}

const KINDS: &[Kind] = &[
    Kind { name: queue::EXCLUSIVE, roles: &["sender", "receiver"], play: queue::play, witness: queue::witness },
    Kind {
        name: queue::SHARED,
        roles: &["sender", "receiver", "sender", "receiver", "sender", "receiver"],
        play: queue::play,
        witness: queue::witness,
    },
    Kind {
        name: broadcast::KIND,
        roles: &["publisher", "subscriber", "publisher", "subscriber"],
        play: broadcast::play,
        witness: broadcast::witness,
    },
    Kind {
        name: service::KIND,
        roles: &["client", "server", "client", "server"],
        play: service::play,
        witness: service::witness,
    },
    Kind { name: latest::KIND, roles: &["writer", "reader", "reader"], play: latest::play, witness: latest::witness },
    Kind { name: sync::MUTEX, roles: &["owner"; 4], play: sync::play_mutex, witness: sync::witness_mutex },
    Kind { name: sync::SEMAPHORE, roles: &["owner"; 4], play: sync::play_semaphore, witness: sync::witness_semaphore },
];

/// One process's life, and the ledger that it has left.
struct Life {
    role: &'static str,
    /// Which life it was; they are numbered as they begin.
    number: u64,
    /// A word, and numbers.
    ledger: Vec<(String, Vec<u64>)>,
}

impl Life {
    /// The numbers of the lines that start with `word`.
    fn lines<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a [u64]> {
        self.ledger.iter().filter(move |(other, _)| other == word).map(|(_, numbers)| &numbers[..])
    }

    /// The first numbers of the lines that start with `word`.
    fn firsts<'a>(&'a self, word: &'a str) -> impl Iterator<Item = u64> + 'a {
        self.lines(word).filter_map(|numbers| numbers.first().copied())
    }
}

/// The life of whoever sends it, its number, and a check over both.
type Message = [u64; 3];

/// A message's name: the life of whoever sends it, and its number.
type Name = (u64, u64);

/// The name of a message that no life has.
const LAST: Name = (u64::MAX >> 32, 0);

fn message((life, number): Name) -> Message {
    [life, number, !(life << 32 | number)]
}

fn name([life, number, check]: Message) -> Check<Name> {
    ensure(check == !(life << 32 | number), || format!("{life} {number} {check:x} is a torn message"))?;
    Ok((life, number))
}

/// What this process sees of a channel.
trait Witness {
    /// Looks at the channel, while the others are at work.
    fn watch(&mut self) -> Check {
        Ok(())
    }

    /// Accounts for everything, when everybody has been killed; `lives` are in the order of the deaths. Returns how many
    /// messages were accounted for.
    fn settle(self: Box<Self>, lives: &[Life]) -> Check<usize>;
}

/// The names of all kinds.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// How long the campaign goes on.
pub(crate) struct Plan<'a> {
    /// Kills per kind.
    pub(crate) kills: u64,
    /// At most so long for each kind.
    pub(crate) limit: Duration,
    /// Only this kind.
    pub(crate) kind: Option<&'a str>,
}

/// Runs the campaign, and goes on where the figures in `tally` that earlier runs have left say that they stopped.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) {
    for kind in KINDS.iter().filter(|kind| plan.kind.is_none_or(|only| only == kind.name)) {
        let began = Instant::now();
        let mut figure = Figure::new(NAME, kind.name, None);
        let done = tally.earlier(&figure);
        let kills = plan.kills.saturating_sub(done);
        let bar = ProgressBar::new(kills);
        bar.set_message(format!("{}, soak", kind.name));
        bar.set_style(bar_style());
        let mut dice = Dice((plan.kills + done) | 1);
        while figure.cases < kills && began.elapsed() < plan.limit {
            let count = KILLS_A_ROUND.min(kills - figure.cases);
            match round(kind, count, PLAIN, &mut dice) {
                Ok(messages) => *figure.messages.get_or_insert(0) += messages as u64,
                Err(wrong) => {
                    figure.failures += 1;
                    let what = format!("{}: {count} kills after {}", kind.name, figure.cases);
                    tally.fail(Failure { campaign: NAME, what, wrong, saw: Vec::new(), case: None });
                }
            }
            figure.cases += count;
            bar.inc(count);
        }
        bar.finish_and_clear();
        figure.seconds = began.elapsed().as_secs_f64();
        figure.leave(kills - figure.cases);
        tally.add(figure);
    }
}

/// So many kills of a kind, whose processes are each in such surroundings. Returns how many messages were accounted for.
pub(crate) fn rounds(kind: &str, kills: u64, surroundings: &str) -> Check<u64> {
    let kind = KINDS.iter().find(|other| other.name == kind).ok_or("there is no such kind")?;
    let (mut dice, mut messages, mut left) = (Dice(kills | 1), 0, kills);
    while left > 0 {
        let count = KILLS_A_ROUND.min(left);
        messages += round(kind, count, surroundings, &mut dice)? as u64;
        left -= count;
    }
    Ok(messages)
}

/// The part of one of the processes.
pub(crate) fn play(kind: &str, role: &str, domain: &str, life: u64, surroundings: &str) -> Check {
    child::settle_in()?;
    surroundings::enter(surroundings, life)?;
    child::end_with_parent()?;
    // SAFETY: takes integers.
    unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_SETPIPE_SZ, LEDGER_BYTES) };
    let kind = KINDS.iter().find(|other| other.name == kind).ok_or("there is no such kind")?;
    (kind.play)(kind.name, role, domain, life)
}

/// Somebody at work.
struct Member {
    role: &'static str,
    number: u64,
    child: Child,
}

impl Member {
    fn start(kind: &Kind, role: &'static str, number: u64, domain: &Domain, surroundings: &str) -> Check<Self> {
        let child = Child::start(["soak", kind.name, role, domain.name(), &number.to_string(), surroundings])?;
        Ok(Member { role, number, child })
    }

    fn kill(mut self) -> Check<Life> {
        self.child.kill().map_err(|wrong| format!("{} number {}: {wrong}", self.role, self.number))?;
        let lines = self.child.last_words()?;
        let parse = |line: &String| {
            let mut words = line.split_whitespace();
            let word = words.next().unwrap_or_default().to_string();
            let numbers = words.map(|word| word.parse().at("a number of a ledger")).collect::<Check<_>>()?;
            Ok((word, numbers))
        };
        let ledger = lines.iter().map(parse).collect::<Check<_>>()?;
        Ok(Life { role: self.role, number: self.number, ledger })
    }
}

fn round(kind: &Kind, kills: u64, surroundings: &str, dice: &mut Dice) -> Check<usize> {
    let domain = Domain::new();
    let mut witness = (kind.witness)(kind.name, domain.name())?;
    let mut numbers = 0..;
    let mut start = |role| Member::start(kind, role, numbers.next().unwrap_or_default(), &domain, surroundings);
    let mut crew = kind.roles.iter().map(|role| start(role)).collect::<Check<Vec<_>>>()?;
    let mut lives = Vec::new();
    let last_ones = crew.len() as u64;
    for _ in 0..kills.saturating_sub(last_ones) {
        let until = Instant::now() + Duration::from_micros(dice.roll(LONGEST_PAUSE_US));
        while Instant::now() < until {
            witness.watch()?;
            thread::sleep(Duration::from_micros(50));
        }
        let victim = crew.swap_remove(dice.roll(crew.len() as u64) as usize);
        let role = victim.role;
        lives.push(victim.kill()?);
        crew.push(start(role)?);
    }
    for victim in crew {
        lives.push(victim.kill()?);
    }
    let messages = witness.settle(&lives)?;
    domain.check_empty()?;
    Ok(messages)
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides.max(1)
    }
}

/// Writes a line of the ledger, in one system call.
fn note(word: &str, numbers: &[u64]) -> Check {
    let mut line = word.to_string();
    numbers.iter().for_each(|number| line.push_str(&format!(" {number}")));
    line.push('\n');
    io::Write::write_all(&mut io::stdout().lock(), line.as_bytes()).at("the ledger is written")
}
