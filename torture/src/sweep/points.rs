//! The sweep of crash points: the victim dies at each of them, at each pass, and the survivors do what they do in the sweep
//! of instructions.

use super::case::{Case, KINDS, Order, Signal, Slot};
use super::{Outcome, Plan, measure_of, play_all};
use crate::check::Check;
use crate::points::{NAME, Pass, Point};
use crate::report::{Failure, Figure, Tally};
use crate::trace::Goal;
use std::collections::BTreeMap;
use std::time::Instant;

/// Passes of one point in a scene that the short form takes: the first ones.
const PASSES: u32 = 8;

/// Plays all of it, and counts in `reached` how often each point was a victim's end.
pub(crate) fn run(
    plan: &Plan<'_>,
    known: &[Point],
    reached: &mut BTreeMap<&'static str, u64>,
    tally: &mut Tally,
) -> Check {
    for (kind, scenes) in KINDS.iter().filter(|(kind, _)| plan.kind.is_none_or(|only| only == *kind)) {
        let began = Instant::now();
        let places = scenes().into_iter().flat_map(|scene| Slot::ALL.map(|slot| (scene, slot)));
        let places = places.filter(|(scene, slot)| plan.has(*scene, *slot));
        let measures = places.map(|(scene, slot)| (measure_of(scene, slot), Goal::Point(None))).collect();
        let measured = play_all(measures, plan.jobs, &format!("{kind}, measuring"));
        let mut cases = Vec::new();
        for outcome in &measured {
            outcome.way.passes.iter().for_each(|pass| *reached.entry(pass.point).or_insert(0) += 1);
            cases.extend(plan.deaths(outcome, known));
        }
        let mut figure = Figure::new(NAME, kind, None);
        // Ways that depend on time differ from process to process.
        let is_alive =
            |outcome: &&Outcome| matches!(outcome.goal, Goal::Point(Some(_))) && outcome.progress.is_finished;
        let outcomes = play_all(cases, plan.jobs, &format!("{kind}, crash points"));
        let missed = outcomes.iter().filter(is_alive).count();
        tally.note(&format!("{kind}: {missed} of {} victims did not come by their point again", outcomes.len()));
        for outcome in measured.into_iter().chain(outcomes) {
            outcome.count_point(known, &mut figure, tally);
        }
        figure.seconds = began.elapsed().as_secs_f64();
        tally.add(figure);
    }
    Ok(())
}

impl Plan<'_> {
    /// The cases of a scene at a slot, given one that has come to the end.
    fn deaths(&self, outcome: &Outcome, known: &[Point]) -> Vec<(Case, Goal)> {
        let mut cases = Vec::new();
        for (at, &pass) in outcome.way.passes.iter().enumerate() {
            let is_meant = self.part.is_none_or(|part| name_of(pass, known).contains(part));
            if !is_meant || !self.is_long && pass.count > PASSES {
                continue;
            }
            for order in [Order::Drain, Order::Succeed] {
                if self.is_long || (order == Order::Drain) == (at % 2 == 0) {
                    let case = Case { signal: Signal::Kill, steps: at as u64, order, ..outcome.case };
                    cases.push((case, Goal::Point(Some(pass))));
                }
            }
        }
        cases
    }
}

/// What a point is called: its function, and where it is.
fn name_of(pass: Pass, known: &[Point]) -> String {
    let function = known.iter().find(|point| point.place == pass.point).map_or("", |point| &*point.function);
    format!("{function} at {}", pass.point)
}

impl Outcome {
    fn count_point(self, known: &[Point], figure: &mut Figure, tally: &mut Tally) {
        figure.cases += 1;
        let Outcome { case, verdict: Err(wrong), goal, saw, .. } = self else { return };
        figure.failures += 1;
        let Case { scene, slot, order, .. } = case;
        let company = if scene.has_company { " among others" } else { "" };
        let place = match goal {
            Goal::Point(Some(pass)) => format!("dies in {}, pass {}", name_of(pass, known), pass.count),
            _ => "comes to the end".to_string(),
        };
        let what = format!(
            "{}: {} of a {}{company}, {slot:?} slot, {order:?}: {place}",
            scene.kind, scene.operation, scene.role
        );
        tally.fail(Failure { campaign: NAME, what, wrong, saw, case: None });
    }
}
