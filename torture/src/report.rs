//! Figures and failures, for people and for programs.

use crate::check::{Check, Context};
use indicatif::ProgressStyle;
use serde_json::json;
use std::fs::File;
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
}

impl Figure {
    /// Nothing yet.
    pub(crate) fn new(campaign: &'static str, kind: &'static str, signal: Option<&'static str>) -> Self {
        Figure { campaign, kind, signal, cases: 0, failures: 0, messages: None, seconds: 0.0 }
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
    failures: u64,
    is_quiet: bool,
}

impl Tally {
    /// Nothing yet. If `is_quiet`, nothing but failures is said.
    pub(crate) fn new(is_quiet: bool) -> Self {
        Tally { figures: Vec::new(), failures: 0, is_quiet }
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
            let Figure { campaign, kind, signal, cases, failures, messages, seconds } = &figure;
            let signal = signal.unwrap_or_default();
            let messages = messages.map_or(String::new(), |messages| format!(", {messages} messages"));
            println!(
                "{campaign:18} {kind:18} {signal:8} {cases:8} cases {failures:4} failures {seconds:7.1} s{messages}"
            );
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

    /// One JSON object per line for every figure.
    pub(crate) fn write_json(&self, path: &Path) -> Check {
        let file = || File::create(path).at("the file for the figures is created");
        let mut out: Box<dyn Write> = if path.as_os_str() == "-" { Box::new(io::stdout()) } else { Box::new(file()?) };
        for Figure { campaign, kind, signal, cases, failures, messages, seconds } in &self.figures {
            let seconds = (seconds * 10.0).round() / 10.0;
            let mut line = json!({
                "campaign": campaign, "kind": kind, "cases": cases, "failures": failures, "seconds": seconds,
            });
            if let Some(line) = line.as_object_mut() {
                line.extend(signal.map(|signal| ("signal".to_string(), json!(signal))));
                line.extend(messages.map(|messages| ("messages".to_string(), json!(messages))));
            }
            writeln!(out, "{line}").at("the figures are written")?;
        }
        Ok(())
    }
}

/// How a progress bar looks.
pub(crate) fn bar_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{msg:40} {bar:40} {pos}/{len} {eta}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}
