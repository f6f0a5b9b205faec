//! The models: every interleaving of a few steps of each ring, explored by loom, with deaths and repairers among them.

use crate::cargo::{self, End, Harness, Workshop};
use crate::check::Check;
use crate::report::{Failure, Figure, Tally};
use std::time::Instant;

/// The campaign's name.
pub(crate) const NAME: &str = "loom";

/// What is modelled, and how the models' names begin.
const MODELS: &[(&str, &str)] = &[
    ("exclusive-ring", "ring::exclusive::loom"),
    ("frames-ring", "ring::frames::loom"),
    ("shared-ring", "ring::shared::loom"),
    ("broadcast-ring", "ring::broadcast::loom"),
    ("broadcast-frames-ring", "ring::broadcast_frames::loom"),
    ("latest-ring", "ring::latest::loom"),
    ("calls-table", "ring::calls::loom"),
    ("gate", "lock::gate::loom"),
    ("ledger", "lock::ledger::loom"),
    ("rendezvous", "lock::rendezvous::loom"),
    ("waiting-word", "waiting::word::loom"),
];

/// After so long a model comes to no end.
const LIMIT_S: u32 = 1_800;

/// The names of all kinds.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|(name, _)| *name)
}

/// Explores the models. A case is an execution.
pub(crate) fn run(kind: Option<&str>, tally: &mut Tally) -> Check {
    let root = cargo::root()?;
    let shop = Workshop { target: root.join("target"), tree: root, is_enclosed: false, variables: Vec::new() };
    for &(kind, filter) in MODELS.iter().filter(|(name, _)| kind.is_none_or(|only| only == *name)) {
        let harness = Harness::Loom(filter.to_string());
        harness.build(&shop)?;
        let began = Instant::now();
        let (end, said) = harness.run(&shop, LIMIT_S)?;
        let mut figure = Figure::new(NAME, kind, None);
        figure.cases = said.lines().filter_map(executions).sum();
        figure.seconds = began.elapsed().as_secs_f64();
        if end != End::Passed || figure.cases == 0 {
            figure.failures = 1;
            let (what, saw) = (filter.to_string(), said.lines().map(str::to_string).collect());
            let wrong = format!("the models of {kind} ended with {end:?}, after {} executions", figure.cases);
            tally.fail(Failure { campaign: NAME, what, wrong, saw, case: None });
        }
        tally.add(figure);
    }
    Ok(())
}

/// How many executions a model says that it has explored.
fn executions(line: &str) -> Option<u64> {
    line.strip_suffix(" executions explored")?.rsplit(' ').next()?.parse().ok()
}
