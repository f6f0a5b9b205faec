//! Crash points: a process is killed right before each step that others can see, at every pass, in every scene of the sweep,
//! and the survivors account for everything as they do there.
//!
//! The points are those of `ipc-core`'s feature of the same name. A program without the feature, whose machine code is the
//! one that ships, builds another one with it and lets that run the campaign. Which points there have to be is read from
//! the sources: one that no scene comes to is a failure, unless `torture/bugs/points.txt` says why it cannot be.

#[cfg(feature = "crash-points")]
mod armed;
#[cfg(feature = "crash-points")]
mod expected;
#[cfg(feature = "crash-points")]
pub(crate) use armed::{act, is_victim, passes, run};
#[cfg(feature = "crash-points")]
pub(crate) use expected::{Point, place};

/// The campaign's name.
pub(crate) const NAME: &str = "crash-points";

/// The environment variable that tells a victim where to die, as a point and a number of passes: `FILE:LINE:COLUMN#PASS`. If
/// it says nothing of the kind, the victim only tells which points it passes.
#[cfg(feature = "crash-points")]
pub(crate) const VARIABLE: &str = "SLIPRING_CRASH_POINT";

/// A pass of a point.
#[cfg(feature = "crash-points")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pass {
    /// Its place: `FILE:LINE:COLUMN`.
    pub(crate) point: &'static str,
    /// Which of the passes by the victim it is, from 1.
    pub(crate) count: u32,
}

/// Has the campaign run by a program that has the points.
#[cfg(not(feature = "crash-points"))]
pub(crate) fn run(plan: &crate::sweep::Plan<'_>, tally: &mut crate::report::Tally) -> crate::check::Check {
    use crate::cargo;
    use crate::check::Context;
    use crate::report::Figure;
    use std::process::{Command, Stdio};

    let root = cargo::root()?;
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--locked", "--release", "-p", "torture", "--features", NAME, "--target-dir"]);
    // With artifacts of its own, so that this program stays what it is.
    command.arg(root.join("target").join(NAME)).args(["--", "--only", NAME, "--json", "-"]);
    command.args(plan.is_long.then_some("--long"));
    if plan.kind == Some(crate::refused::KIND) {
        return Ok(());
    }
    command.args(plan.kind.into_iter().flat_map(|kind| ["--kind", kind]));
    command.args(plan.part.into_iter().flat_map(|part| ["--part", part]));
    command.args(["--jobs", &plan.jobs.to_string()]).current_dir(&root).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().at("the program with crash points is run")?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let mut figures = 0;
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).at("a figure of the program with crash points")?;
        let kinds = crate::kinds().into_iter().chain(["access", "lengths", "repair"]);
        let kind = line["kind"].as_str().and_then(|kind| kinds.into_iter().find(|known| *known == kind));
        let mut figure = Figure::new(NAME, kind.ok_or("a kind that is not known")?, None);
        figure.cases = line["cases"].as_u64().unwrap_or(0);
        figure.failures = line["failures"].as_u64().unwrap_or(0);
        figure.seconds = line["seconds"].as_f64().unwrap_or(0.0);
        tally.add_told(figure);
        figures += 1;
    }
    crate::check::ensure(figures > 0, || format!("the program with crash points ended with {}", output.status))
}
