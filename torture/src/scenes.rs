//! Campaigns that are lists of scenes: each has a name, plays once or a few times, and says what it has seen.

pub(crate) mod bugs;
pub(crate) mod environments;
pub(crate) mod notice;

use crate::check::Check;
use crate::report::{Failure, Figure, Tally};
use serde_json::{Value, json};
use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

/// What a scene has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often it was played, or how many kills it had.
    pub(crate) cases: u64,
    /// Messages that were accounted for.
    pub(crate) messages: Option<u64>,
    /// What else there is to say, as it stands in the figures.
    pub(crate) more: Vec<(&'static str, Value)>,
}

/// How a scene has ended.
pub(crate) enum End {
    /// Everything was as it should be.
    Fine(Seen),
    /// This machine does not allow it, and why.
    Skipped(String),
}

impl From<Seen> for End {
    fn from(seen: Seen) -> Self {
        End::Fine(seen)
    }
}

/// How much of a campaign of scenes is done.
pub(crate) struct Plan<'a> {
    /// Everything, rather than what fits into a minute or two.
    pub(crate) is_long: bool,
    /// Only scenes that have this in their name.
    pub(crate) part: Option<&'a str>,
}

impl Plan<'_> {
    /// Whether a scene is to be played.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.part.is_none_or(|part| name.contains(part))
    }
}

/// Plays a scene and tells of it: a figure, a failure, or why it was skipped.
pub(crate) fn run(campaign: &'static str, name: &'static str, tally: &mut Tally, play: impl FnOnce() -> Check<End>) {
    let began = Instant::now();
    let mut figure = Figure::new(campaign, name, None);
    let end = panic::catch_unwind(AssertUnwindSafe(play));
    match end.unwrap_or_else(|_| Err("the scene panicked".to_string())) {
        Ok(End::Fine(seen)) => {
            figure.cases = seen.cases;
            figure.messages = seen.messages;
            figure.more = seen.more;
        }
        Ok(End::Skipped(why)) => {
            eprintln!("SKIPPED: {campaign}, {name}: {why}");
            figure.more.push(("skipped", json!(why)));
        }
        Err(wrong) => {
            (figure.cases, figure.failures) = (1, 1);
            let what = name.to_string();
            tally.fail(Failure { campaign, what, wrong, saw: Vec::new(), case: None });
        }
    }
    figure.seconds = began.elapsed().as_secs_f64();
    tally.add(figure);
}

/// What a process of a scene does; its argument is the domain.
type Part = fn(&str) -> Check;

/// The part of a process of a scene.
pub(crate) fn play(part: &str, domain: &str) -> Check {
    crate::child::settle_in()?;
    let parts: [&[(&str, Part)]; 2] = [notice::PARTS, bugs::PARTS];
    let (_, play) = parts.iter().copied().flatten().find(|(name, _)| *name == part).ok_or("there is no such part")?;
    play(domain)
}
