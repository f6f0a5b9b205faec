//! Two victims on the same channel: the first is stopped after i instructions of its operation, and then the second begins
//! its own and is killed after j. The first goes on to its end, or is killed as well.
//!
//! The second finds what the first has left half done, and leaves something half done itself; the first, when it goes on,
//! finds that. Survivors work while the first one is stopped and a dead one's affairs are unsettled, or come when all is over.

mod broadcast;
mod duo;
mod latest;
mod locks;
mod queue;
mod service;

use super::case::{Order, Scene, Signal, Slot};
use super::play::Stage;
use super::{NAME, Plan, pool};
use crate::check::Check;
use crate::report::{Failure, Figure, Tally};
use crate::trace::{Goal, Progress, Way};
use duo::{Duo, Pair, ROLES};
use indicatif::ProgressBar;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

/// The kinds' names.
const QUEUE: &str = "queue-pairs";
const EXCLUSIVE: &str = "queue-exclusive-pairs";
const BROADCAST: &str = "broadcast-pairs";
const LATEST: &str = "latest-pairs";
const SERVICE: &str = "service-pairs";
const MUTEX: &str = "mutex-pairs";
const SEMAPHORE: &str = "semaphore-pairs";

/// What the first victim does, and what the second.
type Operations = [&'static str; 2];

/// Every kind, and its pairs of operations.
const KINDS: &[(&str, &[Operations])] = &[
    (QUEUE, queue::SHARED),
    (EXCLUSIVE, queue::EXCLUSIVE),
    (BROADCAST, broadcast::PAIRS),
    (LATEST, latest::PAIRS),
    (SERVICE, service::PAIRS),
    (MUTEX, locks::MUTEX),
    (SEMAPHORE, locks::SEMAPHORE),
];

/// Passes of an instruction that are taken: the first ones. A loop over all participants has dozens.
const PASSES: u64 = 2;

/// The names of all kinds.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(kind, _)| *kind)
}

/// Whether a case, given as text, is of two victims.
pub(super) fn is_meant(case: &str) -> bool {
    case.split('/').next().is_some_and(is_kind)
}

/// Whether two victims are at work on a kind.
pub(super) fn is_kind(kind: &str) -> bool {
    kinds().any(|other| other == kind)
}

/// What a victim may do, as the first or as the second one.
pub(super) fn scenes() -> impl Iterator<Item = Scene> {
    KINDS.iter().flat_map(|(kind, pairs)| {
        pairs.iter().flat_map(move |operations| {
            [0, 1].map(|who| Scene { kind, role: ROLES[who], operation: operations[who], has_company: true })
        })
    })
}

/// The part of either victim.
pub(super) fn victim(stage: &Stage) -> Check {
    match stage.scene().kind {
        QUEUE | EXCLUSIVE => queue::victim(stage),
        BROADCAST => broadcast::victim(stage),
        LATEST => latest::victim(stage),
        SERVICE => service::victim(stage),
        MUTEX => locks::mutex_victim(stage),
        _ => locks::semaphore_victim(stage),
    }
}

fn survivors(duo: &mut Duo) -> Check {
    match duo.pair.kind {
        QUEUE | EXCLUSIVE => queue::survivors(duo),
        BROADCAST => broadcast::survivors(duo),
        LATEST => latest::survivors(duo),
        SERVICE => service::survivors(duo),
        MUTEX => locks::mutex_survivors(duo),
        _ => locks::semaphore_survivors(duo),
    }?;
    duo.end()
}

/// What has come of one case.
struct Outcome {
    pair: Pair,
    goals: [Goal; 2],
    verdict: Check,
    progress: [Progress; 2],
    ways: [Way; 2],
    saw: Vec<String>,
}

/// Runs the part of the campaign that has two victims.
pub(super) fn run(plan: &Plan<'_>, tally: &mut Tally) {
    for (kind, pairs) in KINDS.iter().filter(|(kind, _)| plan.kind.is_none_or(|only| only == *kind)) {
        let began = Instant::now();
        let pairs = pairs.iter().filter(|operations| plan.has_part(**operations));
        let measure =
            |operations, slot| Pair { kind, operations, slot, fate: Signal::Kill, steps: [0; 2], order: Order::Drain };
        let measures = pairs.flat_map(|&operations| Slot::ALL.map(|slot| measure(operations, slot)));
        let measures = measures.filter(|pair| plan.has_slot(pair)).map(|pair| (pair, [Goal::End, START])).collect();
        // How the first goes, then how the second goes beside each stop of the first, and then all of it.
        let firsts = play_all(measures, plan.jobs, &format!("{kind}, measuring the first"));
        let cases = firsts.iter().flat_map(|outcome| plan.firsts(outcome)).collect();
        let seconds = play_all(cases, plan.jobs, &format!("{kind}, measuring the second"));
        let cases = (0..).zip(&seconds).flat_map(|(turn, outcome)| plan.seconds(outcome, turn)).collect();
        let outcomes = play_all(cases, plan.jobs, kind);
        let mut figures = [Signal::Kill, Signal::Stop].map(|fate| Figure::new(NAME, kind, Some(fate.name())));
        for outcome in firsts.into_iter().chain(seconds).chain(outcomes) {
            let figure = &mut figures[usize::from(outcome.pair.fate == Signal::Stop)];
            outcome.count(figure, tally);
        }
        for mut figure in figures {
            // Both are played at the same time.
            figure.seconds = began.elapsed().as_secs_f64() / 2.0;
            tally.add(figure);
        }
    }
}

/// Plays a single case, given as text.
pub(super) fn replay(pair: &str, tally: &mut Tally) -> Check {
    let pair: Pair = pair.parse()?;
    let began = Instant::now();
    let mut figure = Figure::new(NAME, pair.kind, Some(pair.fate.name()));
    let outcome = play_one(pair, pair.steps.map(Goal::Steps));
    for (role, Progress { steps, is_finished }) in ROLES.iter().zip(&outcome.progress) {
        eprintln!("{pair}: {steps} instructions executed by the {role}, finished: {is_finished}");
    }
    outcome.saw.iter().for_each(|line| eprintln!("  {line}"));
    outcome.count(&mut figure, tally);
    figure.seconds = began.elapsed().as_secs_f64();
    tally.add(figure);
    Ok(())
}

/// A victim that does not begin.
const START: Goal = Goal::Steps(0);

fn play_all(cases: Vec<(Pair, [Goal; 2])>, jobs: usize, what: &str) -> Vec<Outcome> {
    let bar = ProgressBar::new(cases.len() as u64);
    bar.set_message(what.to_string());
    bar.set_style(crate::report::bar_style());
    let name = |(pair, _): &(Pair, _)| pair.to_string();
    let outcomes = pool::run(cases, jobs, name, |(pair, goals)| play_one(pair, goals), || bar.inc(1));
    bar.finish_and_clear();
    outcomes
}

fn play_one(pair: Pair, goals: [Goal; 2]) -> Outcome {
    let mut duo = Duo::new(pair, goals);
    let verdict = panic::catch_unwind(AssertUnwindSafe(|| survivors(&mut duo)));
    let verdict = verdict.unwrap_or_else(|_| Err("a survivor panicked".to_string()));
    let (progress, ways, saw) = duo.into_parts();
    Outcome { pair, goals, verdict, progress, ways, saw }
}

impl Outcome {
    /// Adds this to a figure, and tells of it if it is a failure.
    fn count(self, figure: &mut Figure, tally: &mut Tally) {
        figure.cases += 1;
        let Outcome { pair, verdict: Err(wrong), progress: [first, second], saw, .. } = self else { return };
        figure.failures += 1;
        let what = format!(
            "{}: {} stopped after {} instructions (finished: {}), {} killed after {} (finished: {}), {:?} slot",
            pair.kind,
            pair.operations[0],
            first.steps,
            first.is_finished,
            pair.operations[1],
            second.steps,
            second.is_finished,
            pair.slot,
        );
        tally.fail(Failure { campaign: NAME, what, wrong, saw, case: Some(pair.to_string()) });
    }
}

impl Plan<'_> {
    fn has_part(&self, operations: Operations) -> bool {
        self.part.is_none_or(|part| operations.join("+").contains(part))
    }

    /// Whether a pair is played at its slot.
    fn has_slot(&self, pair: &Pair) -> bool {
        pair.slot == Slot::Wrap || self.is_long && !matches!(pair.kind, MUTEX | SEMAPHORE)
    }

    /// Where the first is stopped, given a case in which it has come to the end; the second is to come to its end then. In
    /// the long form after every instruction, in the short form at a few places and on both sides of what others may see.
    fn firsts(&self, outcome: &Outcome) -> Vec<(Pair, [Goal; 2])> {
        let way = &outcome.ways[0];
        let sides: BTreeSet<u64> = way.calls_and_atomics().flat_map(|step| [step, step + 1]).collect();
        let places = places(way);
        let stride = if self.is_long { 1 } else { (places.len() / 6).max(1) };
        let chosen = places.into_iter().enumerate().filter(|(at, (step, _))| at % stride == 0 || sides.contains(step));
        let cases = (0..).zip(chosen).map(|(turn, (_, (step, goal)))| {
            let pair = Pair { steps: [step, u64::MAX], ..outcome.pair.in_turn(turn) };
            (pair, [goal, Goal::End])
        });
        cases.collect()
    }

    /// Where the second is killed, given a case in which it has come to the end beside a stop of the first: at a few places,
    /// which are others beside each stop.
    fn seconds(&self, outcome: &Outcome, turn: u64) -> Vec<(Pair, [Goal; 2])> {
        let places = places(&outcome.ways[1]);
        let stride = (places.len() / if self.is_long { 12 } else { 5 }).max(1);
        let chosen = places.into_iter().skip(turn as usize * 7 % stride).step_by(stride);
        let cases = (turn..).zip(chosen).map(|(turn, (step, goal))| {
            let pair = Pair { steps: [outcome.pair.steps[0], step], ..outcome.pair.in_turn(turn) };
            (pair, [outcome.goals[0], goal])
        });
        cases.collect()
    }
}

/// Where a victim can be struck on its way, and after how many steps.
fn places(way: &Way) -> Vec<(u64, Goal)> {
    (0..).zip(way.places()).filter(|(_, goal)| goal.is_among_first(PASSES)).collect()
}
