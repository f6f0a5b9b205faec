//! The victim's side, and the campaign.

use super::{NAME, Pass, VARIABLE, expected};
use crate::check::{Check, ensure};
use crate::child;
use crate::report::{Figure, Tally};
use crate::sweep;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::env;
use std::panic::Location;
use std::sync::OnceLock;
use std::time::Instant;

/// Whether this process is a victim of this campaign.
pub(crate) fn is_victim() -> bool {
    env::var_os(VARIABLE).is_some()
}

thread_local! {
    /// What this thread has passed.
    static PASSED: RefCell<Vec<&'static Location<'static>>> = const { RefCell::new(Vec::new()) };
}

/// Where to die: a point, and the pass.
static END: OnceLock<Option<(String, usize)>> = OnceLock::new();

/// In the victim: does `operation`, and dies where it was told to. Otherwise tells what it has passed, and waits.
pub(crate) fn act<R>(operation: impl FnOnce() -> R) -> Check<R> {
    END.get_or_init(|| {
        let told = env::var(VARIABLE).ok()?;
        let (point, pass) = told.rsplit_once('#')?;
        Some((point.to_string(), pass.parse().ok()?))
    });
    ipc_core::crash::watch(Some(pass));
    let result = operation();
    ipc_core::crash::watch(None);
    let passed = PASSED.with_borrow(|passed| passed.iter().map(|place| name_of(place)).collect::<Vec<_>>());
    child::say(&format!("passed {}", passed.join(" ")))?;
    ensure(child::listen()?.as_deref() == Some("on"), || "the parent has gone".to_string())?;
    Ok(result)
}

fn name_of(place: &Location<'_>) -> String {
    format!("{}:{}:{}", place.file(), place.line(), place.column())
}

/// A point is passed.
fn pass(place: &'static Location<'static>) {
    let passes = PASSED.with_borrow_mut(|passed| {
        passed.push(place);
        passed.iter().filter(|other| **other == place).count()
    });
    if let Some(Some((point, pass))) = END.get() {
        if *pass == passes && *point == name_of(place) {
            // SAFETY: takes an integer, and ends this process.
            unsafe { libc::raise(libc::SIGKILL) };
        }
    }
}

/// Reads what a victim says that it has passed.
pub(crate) fn passes(said: &str) -> Vec<Pass> {
    let mut counts = HashMap::new();
    said.split_whitespace()
        .map(|point| {
            let point = intern(point);
            let count = counts.entry(point).or_insert(0);
            *count += 1;
            Pass { point, count: *count }
        })
        .collect()
}

/// One text for each point, which there are some hundreds of.
fn intern(point: &str) -> &'static str {
    static POINTS: std::sync::Mutex<BTreeSet<&'static str>> = std::sync::Mutex::new(BTreeSet::new());
    let mut points = POINTS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(known) = points.get(point) {
        return known;
    }
    let point: &'static str = Box::leak(point.to_string().into_boxed_str());
    points.insert(point);
    point
}

/// Runs the campaign.
pub(crate) fn run(plan: &sweep::Plan<'_>, tally: &mut Tally) -> Check {
    let expected = expected::points()?;
    let mut reached: BTreeMap<&'static str, u64> = BTreeMap::new();
    sweep::points(plan, &expected, &mut reached, tally)?;
    if plan.kind.is_some() || plan.part.is_some() {
        return Ok(());
    }
    let began = Instant::now();
    let mut figure = Figure::new(NAME, crate::POINTS, None);
    let is_reached = |point: &expected::Point| reached.contains_key(point.place.as_str());
    for point in &expected {
        figure.cases += 1;
        // A reason may be that of one of several points of a function.
        let is_stale = || expected.iter().filter(|other| other.excuse == point.excuse).all(is_reached);
        let wrong = match (is_reached(point), &point.excuse) {
            (false, None) => "no scene comes to it",
            (true, Some(_)) if is_stale() => "it is reached, and explained as one that is not",
            _ => continue,
        };
        figure.failures += 1;
        let what = format!("{} ({})", point.place, point.function);
        let (wrong, saw) = (wrong.to_string(), Vec::new());
        tally.fail(crate::report::Failure { campaign: NAME, what, wrong, saw, case: None });
    }
    figure.seconds = began.elapsed().as_secs_f64();
    tally.add(figure);
    Ok(())
}
