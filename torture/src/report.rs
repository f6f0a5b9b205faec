//! Figures and failures, for people and for programs.

use crate::check::{Check, Context};
use indicatif::ProgressStyle;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// How much was checked, of one kind in one campaign.
pub(crate) struct Figure {
    pub(crate) campaign: &'static str,
    pub(crate) kind: &'static str,
    /// By which the victims were struck, where a campaign has several.
    pub(crate) signal: Option<&'static str>,
    pub(crate) cases: u64,
    pub(crate) failures: u64,
    /// Messages that were accounted for, where they are counted.
    pub(crate) messages: Option<u64>,
    pub(crate) seconds: f64,
    /// What else there is to say.
    pub(crate) more: Vec<(&'static str, Value)>,
}

impl Figure {
    /// Nothing yet.
    pub(crate) fn new(campaign: &'static str, kind: &'static str, signal: Option<&'static str>) -> Self {
        Figure { campaign, kind, signal, cases: 0, failures: 0, messages: None, seconds: 0.0, more: Vec::new() }
    }

    /// Says that so many cases are left for the next time, if any are.
    pub(crate) fn leave(&mut self, cases: u64) {
        if cases > 0 {
            self.more.push(("left", json!(cases)));
        }
    }
}

/// What went wrong in one case.
pub(crate) struct Failure {
    pub(crate) campaign: &'static str,
    /// Kind, operation, role, slot, instructions.
    pub(crate) what: String,
    /// What is wrong.
    pub(crate) wrong: String,
    /// What the survivors saw.
    pub(crate) saw: Vec<String>,
    /// For `--case`, if it can be played again.
    pub(crate) case: Option<String>,
}

/// How many failures are told in full.
const TOLD: u64 = 30;

/// Everything that was checked.
pub(crate) struct Tally {
    figures: Vec<Figure>,
    /// Lines that earlier runs have written.
    earlier: Vec<Value>,
    failures: u64,
    is_quiet: bool,
}

impl Tally {
    /// Nothing yet. If `is_quiet`, nothing but failures is said.
    pub(crate) fn new(is_quiet: bool) -> Self {
        Tally { figures: Vec::new(), earlier: Vec::new(), failures: 0, is_quiet }
    }

    /// Tells of a failure.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failures += 1;
        if self.failures > TOLD {
            return;
        }
        eprintln!("\nFAILED: {}, {}\n  {}", failure.campaign, failure.what, failure.wrong);
        failure.saw.iter().for_each(|line| eprintln!("  {line}"));
        if let Some(case) = failure.case {
            eprintln!("  again: cargo run --release -p torture -- --case {case}");
        }
    }

    /// Says what is neither a failure nor a figure.
    pub(crate) fn note(&self, line: &str) {
        if !self.is_quiet {
            println!("{line}");
        }
    }

    /// Tells a figure.
    pub(crate) fn add(&mut self, figure: Figure) {
        if !self.is_quiet {
            let Figure { campaign, kind, signal, cases, failures, messages, seconds, more } = &figure;
            let signal = signal.unwrap_or_default();
            let mut rest = messages.map_or(String::new(), |messages| format!(", {messages} messages"));
            more.iter().for_each(|(name, value)| rest.push_str(&format!(", {name} {value}")));
            println!("{campaign:18} {kind:40} {signal:8} {cases:8} cases {failures:4} failures {seconds:7.1} s{rest}");
        }
        self.figures.push(figure);
    }

    /// Adds a figure of which another program has told the failures.
    #[cfg(not(feature = "crash-points"))]
    pub(crate) fn add_told(&mut self, figure: Figure) {
        self.failures += figure.failures;
        self.add(figure);
    }

    /// Whether nothing has failed.
    pub(crate) fn is_clean(&self) -> bool {
        self.failures == 0
    }

    /// Reads what earlier runs have written to a file, if it is there, so that this one goes on where they stopped.
    pub(crate) fn resume(&mut self, path: &Path) -> Check {
        let Ok(text) = fs::read_to_string(path) else { return Ok(()) };
        self.earlier =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>().at("earlier figures are read")?;
        Ok(())
    }

    /// How many cases earlier runs have had of what a figure is about.
    pub(crate) fn earlier(&self, figure: &Figure) -> u64 {
        self.earlier_line(&figure.line()).and_then(|line| line["cases"].as_u64()).unwrap_or(0)
    }

    fn earlier_line(&self, line: &Value) -> Option<&Value> {
        self.earlier
            .iter()
            .find(|other| ["campaign", "kind", "signal"].iter().all(|key| other.get(key) == line.get(key)))
    }

    /// One JSON object per line for every figure, with what earlier runs have counted.
    pub(crate) fn write_json(&self, path: &Path) -> Check {
        let file = || File::create(path).at("the file for the figures is created");
        let mut out: Box<dyn Write> = if path.as_os_str() == "-" { Box::new(io::stdout()) } else { Box::new(file()?) };
        let mut lines: Vec<_> = self.figures.iter().map(Figure::line).collect();
        for line in &mut lines {
            for key in ["cases", "failures", "messages", "seconds"] {
                let sum = self.earlier_line(line).and_then(|earlier| sum(&line[key], &earlier[key]));
                if let Some(sum) = sum {
                    line[key] = sum;
                }
            }
        }
        for line in self
            .earlier
            .iter()
            .filter(|earlier| !self.figures.iter().any(|figure| self.earlier_line(&figure.line()) == Some(earlier)))
        {
            writeln!(out, "{line}").at("the figures are written")?;
        }
        lines.iter().try_for_each(|line| writeln!(out, "{line}")).at("the figures are written")
    }
}

/// The sum of two numbers, of whichever kind.
fn sum(one: &Value, two: &Value) -> Option<Value> {
    match (one.as_u64(), two.as_u64()) {
        (Some(one), Some(two)) => Some(json!(one + two)),
        _ => Some(json!(tenths(one.as_f64()? + two.as_f64()?))),
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

impl Figure {
    /// As it is written.
    fn line(&self) -> Value {
        let Figure { campaign, kind, signal, cases, failures, messages, seconds, more } = self;
        let mut line = json!({
            "campaign": campaign, "kind": kind, "cases": cases, "failures": failures, "seconds": tenths(*seconds),
        });
        let others = signal.map(|signal| ("signal", json!(signal))).into_iter();
        let others = others.chain(messages.map(|messages| ("messages", json!(messages)))).chain(more.iter().cloned());
        others.for_each(|(key, value)| line[key] = value);
        line
    }
}

/// How a progress bar looks.
pub(crate) fn bar_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{msg:40} {bar:40} {pos}/{len} {eta}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}
