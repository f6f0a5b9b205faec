//! Runs a loom model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The steps that loom lets one execution take before it gives up on it as endless.
const MAX_STEPS: usize = 10_000;

/// Explores every execution of `model`, or those with at most so many preemptions, and prints how many there were.
pub(crate) fn explore(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = MAX_STEPS;
    builder.check(move || {
        // Relaxed: loom runs one execution after the other.
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let bound = preemptions.map_or(String::new(), |most| format!(", at most {most} preemptions"));
    // Relaxed: as above.
    println!("{name}{bound}: {} executions explored", executions.load(Ordering::Relaxed));
}
