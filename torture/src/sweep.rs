//! The instruction sweep: a victim executes exactly k instructions of an operation, for every k, and is killed or stopped.

#[cfg(feature = "crash-points")]
mod access;
mod broadcast;
mod case;
mod evictions;
mod feeds;
mod latest;
#[cfg(feature = "crash-points")]
mod lengths;
mod letters;
mod locks;
mod pairs;
mod pipe;
mod play;
#[cfg(feature = "crash-points")]
mod points;
mod pool;
mod queue;
#[cfg(feature = "crash-points")]
pub(crate) mod repair;
mod service;
mod signals;
mod streams;
mod tails;

pub(crate) use broadcast::LOSSLESS as LOSSLESS_BROADCAST;
pub(crate) use latest::KIND as LATEST;
pub(crate) use locks::MUTEX;
#[cfg(feature = "crash-points")]
pub(crate) use points::run as points;
pub(crate) use queue::{EXCLUSIVE as EXCLUSIVE_QUEUE, SHARED as QUEUE};
pub(crate) use service::KIND as SERVICE;
pub(crate) use signals::SEMAPHORE;

use crate::check::Check;
use crate::report::{Failure, Figure, Tally};
use crate::trace::{self, Goal, Progress, Way};
pub(crate) use case::Slot;
use case::{Case, KINDS, Order, Scene, Signal};
use indicatif::ProgressBar;
use play::{Play, Stage};
use std::collections::BTreeSet;
use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::Instant;

/// The campaign's name.
pub(crate) const NAME: &str = "instruction-sweep";

/// Cases at the same time; most of them wait for a death to be noticed.
pub(crate) const JOBS: usize = 64;

/// Passes of an instruction that the short form takes: the first ones. A loop over all participants has dozens.
const PASSES: u64 = 4;

/// How much of it is done.
pub(crate) struct Plan<'a> {
    /// Every instruction of everything, rather than what fits into three minutes.
    pub(crate) is_long: bool,
    /// Only this kind.
    pub(crate) kind: Option<&'a str>,
    /// Only crash points, and pairs of operations, that have this in their name.
    pub(crate) part: Option<&'a str>,
    /// Cases at the same time.
    pub(crate) jobs: usize,
}

/// What has come of one case.
struct Outcome {
    case: Case,
    #[cfg_attr(
        not(feature = "crash-points"),
        allow(dead_code, reason = "the case says it by its number of instructions")
    )]
    goal: Goal,
    verdict: Check,
    progress: Progress,
    way: Way,
    saw: Vec<String>,
}

/// The names of all kinds.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(name, _)| *name).chain(pairs::kinds())
}

/// Runs the campaign.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) -> Check {
    if !trace::IS_SUPPORTED {
        eprintln!("SKIPPED: {NAME}: single steps are counted on x86-64 only");
        return Ok(());
    }
    trace::fix_addresses()?;
    // To step keeps a processor busy.
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    for (kind, scenes) in KINDS.iter().filter(|(kind, _)| plan.kind.is_none_or(|only| only == *kind)) {
        let places: Vec<_> = scenes().into_iter().flat_map(|scene| Slot::ALL.map(|slot| (scene, slot))).collect();
        let places: Vec<_> = places.into_iter().filter(|(scene, slot)| plan.has(*scene, *slot)).collect();
        let measures = places.iter().map(|&(scene, slot)| (measure_of(scene, slot), Goal::End)).collect();
        let measured = play_all(measures, plan.jobs.min(processors), &format!("{kind}, measuring"));
        if let Some(outcome) = measured.iter().find(|outcome| outcome.is_untraceable()) {
            eprintln!("SKIPPED: {NAME}: {}", outcome.verdict.clone().err().unwrap_or_default());
            return Ok(());
        }
        for signal in [Signal::Kill, Signal::Stop] {
            let began = Instant::now();
            let cases = measured.iter().flat_map(|outcome| plan.cases(outcome, signal)).collect();
            let outcomes = play_all(cases, plan.jobs, &format!("{kind}, {}", signal.name()));
            let mut figure = Figure::new(NAME, kind, Some(signal.name()));
            outcomes.into_iter().for_each(|outcome| outcome.count(&mut figure, tally));
            figure.seconds = began.elapsed().as_secs_f64();
            tally.add(figure);
        }
        let mut figure = Figure::new(NAME, kind, None);
        measured.into_iter().for_each(|outcome| outcome.count(&mut figure, tally));
        if figure.failures > 0 {
            tally.add(figure);
        }
    }
    pairs::run(plan, tally);
    Ok(())
}

/// A scene at one slot.
pub(crate) struct Place {
    pub(crate) kind: &'static str,
    pub(crate) role: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) has_company: bool,
    pub(crate) slot: Slot,
}

/// Kills the victim of one scene at one slot after every few instructions, and in the long form after each. Returns how many
/// cases there were; or why they cannot be played here.
pub(crate) fn at(place: &Place, is_long: bool) -> Check<Result<u64, String>> {
    if !trace::IS_SUPPORTED {
        return Ok(Err("single steps are counted on x86-64 only".to_string()));
    }
    trace::fix_addresses()?;
    let Place { kind, role, operation, has_company, slot } = *place;
    let scene = Scene { kind, role, operation, has_company };
    let measured = play_one(measure_of(scene, slot), Goal::End);
    if measured.is_untraceable() {
        return Ok(Err(measured.verdict.err().unwrap_or_default()));
    }
    let plan = Plan { is_long, kind: Some(kind), part: None, jobs: JOBS };
    let mut outcomes = play_all(plan.cases(&measured, Signal::Kill), plan.jobs, place.operation);
    outcomes.push(measured);
    let count = outcomes.len() as u64;
    for Outcome { case, verdict, .. } in outcomes {
        verdict.map_err(|wrong| format!("{case}: {wrong}"))?;
    }
    Ok(Ok(count))
}

/// Plays a single case, given as text.
pub(crate) fn replay(case: &str, tally: &mut Tally) -> Check {
    if pairs::is_meant(case) {
        return pairs::replay(case, tally);
    }
    let case: Case = case.parse()?;
    let began = Instant::now();
    let mut figure = Figure::new(NAME, case.scene.kind, Some(case.signal.name()));
    let outcome = play_one(case, Goal::Steps(case.steps));
    let Progress { steps, is_finished } = outcome.progress;
    eprintln!("{case}: {steps} instructions executed, finished: {is_finished}");
    outcome.saw.iter().for_each(|line| eprintln!("  {line}"));
    outcome.count(&mut figure, tally);
    figure.seconds = began.elapsed().as_secs_f64();
    tally.add(figure);
    Ok(())
}

/// The victim's process.
pub(crate) fn victim(case: &str, domain: &str) -> Check {
    crate::child::settle_in()?;
    let stage = Stage { case: case.parse()?, domain: domain.to_string() };
    match stage.scene().kind {
        queue::EXCLUSIVE | queue::SHARED => queue::victim(&stage),
        tails::EXCLUSIVE | tails::SHARED => tails::victim(&stage),
        broadcast::LOSSLESS | broadcast::LOSSY => broadcast::victim(&stage),
        evictions::KIND => evictions::victim(&stage),
        feeds::LOSSLESS | feeds::LOSSY => feeds::victim(&stage),
        latest::KIND => latest::victim(&stage),
        service::KIND => service::victim(&stage),
        letters::KIND => letters::victim(&stage),
        streams::KIND => streams::victim(&stage),
        locks::MUTEX => locks::mutex_victim(&stage),
        locks::RW_LOCK => locks::rw_lock_victim(&stage),
        signals::SEMAPHORE => signals::semaphore_victim(&stage),
        signals::EVENT => signals::event_victim(&stage),
        signals::CONDVAR => signals::condvar_victim(&stage),
        signals::BARRIER => signals::barrier_victim(&stage),
        kind if pairs::is_kind(kind) => pairs::victim(&stage),
        #[cfg(feature = "crash-points")]
        repair::KIND => repair::victim(&stage),
        #[cfg(feature = "crash-points")]
        lengths::KIND => lengths::victim(&stage),
        #[cfg(feature = "crash-points")]
        access::KIND => access::victim(&stage),
        _ => pipe::victim(&stage),
    }
}

fn survivors(play: &mut Play) -> Check {
    match play.scene().kind {
        queue::EXCLUSIVE | queue::SHARED => queue::survivors(play),
        tails::EXCLUSIVE | tails::SHARED => tails::survivors(play),
        broadcast::LOSSLESS | broadcast::LOSSY => broadcast::survivors(play),
        evictions::KIND => evictions::survivors(play),
        feeds::LOSSLESS | feeds::LOSSY => feeds::survivors(play),
        latest::KIND => latest::survivors(play),
        service::KIND => service::survivors(play),
        letters::KIND => letters::survivors(play),
        streams::KIND => streams::survivors(play),
        locks::MUTEX => locks::mutex_survivors(play),
        locks::RW_LOCK => locks::rw_lock_survivors(play),
        signals::SEMAPHORE => signals::semaphore_survivors(play),
        signals::EVENT => signals::event_survivors(play),
        signals::CONDVAR => signals::condvar_survivors(play),
        signals::BARRIER => signals::barrier_survivors(play),
        #[cfg(feature = "crash-points")]
        repair::KIND => repair::survivors(play),
        #[cfg(feature = "crash-points")]
        lengths::KIND => lengths::survivors(play),
        #[cfg(feature = "crash-points")]
        access::KIND => access::survivors(play),
        _ => pipe::survivors(play),
    }
}

/// The case in which the victim comes to the end of its operation, which tells how long it is.
fn measure_of(scene: Scene, slot: Slot) -> Case {
    Case { scene, slot, signal: Signal::Kill, steps: u64::MAX, order: Order::Drain }
}

fn play_all(cases: Vec<(Case, Goal)>, jobs: usize, what: &str) -> Vec<Outcome> {
    let bar = ProgressBar::new(cases.len() as u64);
    bar.set_message(what.to_string());
    bar.set_style(crate::report::bar_style());
    let outcomes =
        pool::run(cases, jobs, |(case, _)| case.to_string(), |(case, goal)| play_one(case, goal), || bar.inc(1));
    bar.finish_and_clear();
    outcomes
}

fn play_one(case: Case, goal: Goal) -> Outcome {
    let mut play = Play::new(case, goal);
    let verdict = panic::catch_unwind(AssertUnwindSafe(|| survivors(&mut play)));
    let verdict = verdict.unwrap_or_else(|_| Err("a survivor panicked".to_string()));
    let (progress, way, saw) = (play.progress().clone(), play.take_way(), play.notes().to_vec());
    Outcome { case, goal, verdict, progress, way, saw }
}

impl Outcome {
    fn is_untraceable(&self) -> bool {
        self.verdict.as_ref().is_err_and(|wrong| wrong.contains(trace::UNTRACED))
    }

    /// Adds this to a figure, and tells of it if it is a failure.
    fn count(self, figure: &mut Figure, tally: &mut Tally) {
        figure.cases += 1;
        let Outcome { case, verdict: Err(wrong), progress, saw, .. } = self else { return };
        figure.failures += 1;
        let Case { scene, slot, signal, .. } = case;
        let company = if scene.has_company { " among others" } else { "" };
        let what = format!(
            "{}: {} of a {}{company}, {slot:?} slot, {} after {} instructions (finished: {})",
            scene.kind,
            scene.operation,
            scene.role,
            signal.name(),
            progress.steps,
            progress.is_finished,
        );
        tally.fail(Failure { campaign: NAME, what, wrong, saw, case: Some(case.to_string()) });
    }
}

impl Plan<'_> {
    /// Whether a scene is played at a slot. Coming and going does not depend on it, and some kinds have none.
    fn has(&self, scene: Scene, slot: Slot) -> bool {
        slot == Slot::Wrap || scene.has_slots() && (self.is_long || !scene.comes_or_goes())
    }

    /// The cases of a scene at a slot, given one that has come to the end.
    fn cases(&self, outcome: &Outcome, signal: Signal) -> Vec<(Case, Goal)> {
        let Outcome { case, way, .. } = outcome;
        let near_calls = way.calls().flat_map(|call| [call, call + 1]).filter(|_| signal == Signal::Kill);
        let near_calls: BTreeSet<u64> = near_calls.collect();
        let is_meant =
            |step: &u64, goal: Goal| self.is_long || goal.is_among_first(PASSES) || near_calls.contains(step);
        let places: Vec<_> = (0..).zip(way.places()).filter(|(step, goal)| is_meant(step, *goal)).collect();
        let stride = self.stride(*case, places.len() as u64, signal);
        let mut cases = Vec::new();
        for (at, (steps, goal)) in places.into_iter().enumerate() {
            if at % stride != 0 && !near_calls.contains(&steps) {
                continue;
            }
            for order in [Order::Drain, Order::Succeed] {
                if self.is_long || (order == Order::Drain) == (at % 2 == 0) {
                    cases.push((Case { signal, steps, order, ..*case }, goal));
                }
            }
        }
        cases
    }

    /// In the short form: every instruction of an operation of the fast path that is alone at the wrapping slot, at its
    /// first passes, and every few elsewhere.
    fn stride(&self, case: Case, length: u64, signal: Signal) -> usize {
        if self.is_long {
            return 1;
        }
        let (least, most) = match (case.slot, signal) {
            (Slot::Wrap, Signal::Kill) if !case.scene.has_company => (1, 1_000),
            (Slot::Wrap, Signal::Kill) => (5, 100),
            (_, Signal::Kill) => (13, 40),
            (Slot::Wrap, Signal::Stop) => (9, 40),
            (_, Signal::Stop) => (31, 15),
        };
        let most = match case.scene.kind {
            // Copying a long message is one instruction over and over.
            tails::EXCLUSIVE | tails::SHARED => 300.min(most),
            // They share most of what they do with the kinds of one length.
            feeds::LOSSLESS | feeds::LOSSY | letters::KIND | evictions::KIND => 80.min(most),
            _ => most,
        };
        let most = if case.scene.is_long() { 40.min(most) } else { most };
        // Odd, so that both orders take turns.
        ((length / most).max(least) | 1) as usize
    }
}
