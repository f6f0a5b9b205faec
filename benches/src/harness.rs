//! Starts the contestants' processes, lets them take samples in turns, and files what they report.

pub(crate) mod figure;
mod group;
mod links;
pub(crate) mod machine;
pub(crate) mod plan;
mod race;
pub(crate) mod sample;

use crate::works;
use figure::Figure;
use group::Group;
use indicatif::{ProgressBar, ProgressStyle};
use plan::{Case, Failure, Plan};

/// Takes every measurement of the plan. With the figures comes what every look at the line has said, in nanoseconds.
pub(crate) fn run(plan: &Plan) -> Result<(Vec<Figure>, Vec<f64>), Failure> {
    let cases: Vec<Case> = works::ALL
        .iter()
        .filter(|work| plan.wants(work.name))
        .flat_map(|work| (work.cases)(plan))
        .filter(|case| plan.wants_variant(&case.variant))
        .filter_map(|case| case.only(&plan.contestants))
        .collect();
    if cases.is_empty() {
        return Err("none of these contestants takes part in any of these works and variants".into());
    }
    let bar = progress(cases.iter().map(|case| plan.rounds * case.contestants.len()).sum());
    let line_case = works::line::case();
    let mut line = Group::start(plan, &line_case, &line_case.contestants[0])?;
    let (mut figures, mut lines) = (Vec::new(), Vec::new());
    for case in &cases {
        bar.set_message(case.title());
        figures.extend(race::run(plan, case, &mut line, &mut lines, &bar)?);
    }
    bar.finish_and_clear();
    Ok((figures, lines))
}

/// A bar on standard error, if that is a terminal. It is drawn between samples only, so that it does not disturb them.
fn progress(samples: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(samples as u64).with_style(style)
}
