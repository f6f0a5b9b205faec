//! One case: the contestants take turns, between two looks at where the processors are.

use super::figure::Figure;
use super::group::Group;
use super::plan::{Case, Failure, Filing, Plan};
use super::sample::Report;
use indicatif::ProgressBar;

/// What the limit is called, be it the line or a contestant.
const LIMIT: &str = "limit";

/// Round trips of one line below this are near, in nanoseconds, and others are far: between cores of one processor they take 55 to
/// 160 on an AMD EPYC, 100 to 205 on an Intel Xeon, and 240 or more between those that are far from each other.
const NEAR_BELOW_NS: f64 = 220.0;

/// Where the processors were in two places around a sample.
const MIXED: &str = "mixed";

/// Lets the contestants of a case take turns, and files what they did. What the line took is added to `lines`.
pub(crate) fn run(
    plan: &Plan,
    case: &Case,
    line: &mut Group,
    lines: &mut Vec<f64>,
    bar: &ProgressBar,
) -> Result<Vec<Figure>, Failure> {
    let start = |contestant| Group::start(plan, case, contestant);
    let mut groups = case.contestants.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let mut rounds = Vec::new();
    for round in 0..plan.rounds {
        let (mut before, _) = line.sample()?;
        let mut samples = Vec::new();
        for turn in 0..groups.len() {
            let index = (turn + round) % groups.len();
            let (taken, report) = groups[index].sample().map_err(|failure| format!("{}: {failure}", case.title()))?;
            let (after, _) = line.sample()?;
            lines.push(after);
            let place = placement(case.filing, before, after);
            let contestant = groups[index].name();
            samples.push(Sample { contestant, taken, report, line: (before + after) / 2.0, place });
            before = after;
            bar.inc(1);
        }
        rounds.push(samples);
    }
    let mixed = rounds.iter().flatten().filter(|sample| sample.place == MIXED).count();
    if mixed > 0 {
        let of = plan.rounds * groups.len();
        bar.suspend(|| eprintln!("{}: the processors moved during {mixed} of {of} samples", case.title()));
    }
    Ok(file(case, &rounds))
}

/// One sample, and the line as it was around it.
struct Sample {
    contestant: &'static str,
    taken: f64,
    /// What the processes said beside it.
    report: Report,
    line: f64,
    place: &'static str,
}

fn placement(filing: Filing, before: f64, after: f64) -> &'static str {
    match filing {
        Filing::As(name) => name,
        _ if before.max(after) < NEAR_BELOW_NS => "near",
        _ if before.min(after) >= NEAR_BELOW_NS => "far",
        _ => MIXED,
    }
}

/// Makes a figure for every contestant and placement. Mixed samples are dropped, unless some contestant has no others:
/// then they are figures too, and say what they are.
fn file(case: &Case, rounds: &[Vec<Sample>]) -> Vec<Figure> {
    let mut names: Vec<_> = case.contestants.iter().map(|contestant| contestant.name).collect();
    if case.filing == Filing::AgainstLine {
        names.push(LIMIT);
    }
    let places = match case.filing {
        Filing::As(name) => vec![name],
        _ => vec!["near", "far"],
    };
    let names = &names;
    let at = |place| names.iter().map(move |&name| figure(case, rounds, place, name, names));
    let taken = |figure: &Figure| !figure.samples.is_empty();
    let mut figures: Vec<_> = places.into_iter().flat_map(at).filter(taken).collect();
    if names.iter().any(|&name| figures.iter().all(|figure| figure.contestant != name)) {
        figures.extend(at(MIXED).filter(taken));
    }
    figures
}

fn figure(
    case: &Case,
    rounds: &[Vec<Sample>],
    place: &'static str,
    name: &'static str,
    names: &[&'static str],
) -> Figure {
    let mut figure = Figure::new(case, name, place);
    figure.ratios = names.iter().filter(|&&other| other != name).map(|&other| (other, Vec::new())).collect();
    for round in rounds {
        let Some((taken, report)) = of(case, round, place, name) else { continue };
        figure.samples.push(taken);
        if let Some(report) = report {
            figure.take(report);
        }
        for (other, ratios) in &mut figure.ratios {
            // A contestant is compared with the line as it was around its own sample.
            let line = if is_line(case, other) { around(round, place, name) } else { None };
            ratios.extend(
                line.or_else(|| of(case, round, place, other).map(|(other, _)| other)).map(|other| taken / other),
            );
        }
    }
    figure.ratios.retain(|(_, ratios)| !ratios.is_empty());
    figure
}

/// What a contestant did in a round in which it was filed under `place`, and what it said. The line, where it stands for
/// the limit, says nothing, and is the mean of what it was around all samples there.
fn of<'a>(case: &Case, round: &'a [Sample], place: &str, name: &str) -> Option<(f64, Option<&'a Report>)> {
    let mut there = round.iter().filter(|sample| sample.place == place);
    if is_line(case, name) {
        let lines: Vec<f64> = there.map(|sample| sample.line).collect();
        return (!lines.is_empty()).then(|| (lines.iter().sum::<f64>() / lines.len() as f64, None));
    }
    there.find(|sample| sample.contestant == name).map(|sample| (sample.taken, Some(&sample.report)))
}

/// Whether this is the line, standing for the limit.
fn is_line(case: &Case, name: &str) -> bool {
    name == LIMIT && case.filing == Filing::AgainstLine
}

/// The line around the sample of a contestant, if that is filed under `place`.
fn around(round: &[Sample], place: &str, name: &str) -> Option<f64> {
    round.iter().find(|sample| sample.contestant == name && sample.place == place).map(|sample| sample.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::plan::{Contestant, Metric};

    fn case(filing: Filing) -> Case {
        let contestants = vec![Contestant::new("slipring", 1), Contestant::new("pipe", 1)];
        let (work, variant) = ("test", String::new());
        Case { work, variant, size_bytes: 8, capacity: 2, metric: Metric::Mean, filing, contestants }
    }

    fn sample(contestant: &'static str, taken: f64, around: (f64, f64)) -> Sample {
        let place = placement(Filing::AgainstLine, around.0, around.1);
        let report = Report { notes: 1, ..Report::default() };
        Sample { contestant, taken, report, line: (around.0 + around.1) / 2.0, place }
    }

    #[test]
    fn samples_are_filed_by_where_the_processors_were() {
        let rounds = [
            vec![sample("slipring", 100.0, (50.0, 70.0)), sample("pipe", 300.0, (70.0, 90.0))],
            vec![sample("slipring", 900.0, (300.0, 300.0)), sample("pipe", 200.0, (70.0, 300.0))],
            vec![sample("slipring", 200.0, (50.0, 150.0)), sample("pipe", 100.0, (180.0, 230.0))],
        ];
        let figures = file(&case(Filing::AgainstLine), &rounds);
        let [ours, pipe, line, ours_far, line_far] = figures.as_slice() else { panic!("{}", figures.len()) };
        assert_eq!((ours.place, &ours.samples[..], ours.notes), ("near", &[100.0, 200.0][..], 2));
        assert_eq!((pipe.place, &pipe.samples[..]), ("near", &[300.0][..]));
        assert_eq!(line.samples, [70.0, 100.0]);
        assert_eq!(pipe.ratios, [("slipring", vec![3.0]), ("limit", vec![300.0 / 80.0])]);
        assert_eq!(ours.ratios, [("pipe", vec![1.0 / 3.0]), ("limit", vec![100.0 / 60.0, 2.0])]);
        assert_eq!((ours_far.place, &ours_far.samples[..], &line_far.samples[..]), ("far", &[900.0][..], &[300.0][..]));
        assert_eq!(ours_far.ratios, [("limit", vec![3.0])]);
    }

    #[test]
    fn a_case_to_which_it_does_not_matter_takes_every_sample() {
        let filing = Filing::As("one-core");
        assert_eq!(placement(filing, 70.0, 300.0), "one-core");
        assert_eq!(placement(Filing::ByLine, 70.0, 300.0), "mixed");
    }

    #[test]
    fn who_has_nothing_but_mixed_samples_has_a_figure_that_says_so() {
        let rounds = [vec![sample("slipring", 100.0, (70.0, 300.0)), sample("pipe", 300.0, (70.0, 90.0))]];
        let figures = file(&case(Filing::AgainstLine), &rounds);
        let ours: Vec<_> = figures.iter().filter(|figure| figure.contestant == "slipring").collect();
        let [ours] = ours.as_slice() else { panic!("{}", ours.len()) };
        assert_eq!((ours.place, &ours.samples[..]), ("mixed", &[100.0][..]));
        assert!(figures.iter().any(|figure| (figure.contestant, figure.place) == ("pipe", "near")));
    }
}
