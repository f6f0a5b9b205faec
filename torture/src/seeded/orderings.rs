//! Ordering mutants: every Acquire and Release of the rings and of the word that is slept on is weakened in turn, and the
//! models of that file have to notice.
//!
//! The orderings are found by reading the sources, so a new one needs no new patch. What the models cannot notice stands in
//! `torture/bugs/orderings.txt` with the reason; a survivor that does not stand there fails, and so does one that stands
//! there and is caught, since its reason is then wrong.

use super::{Bench, NAME, ORDERINGS, Plan, Verdict, fail, key};
use crate::cargo::Harness;
use crate::check::{Check, Context};
use crate::report::{Figure, Tally};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Which models are there for the orderings of which files; the first that matches.
const MODELS: &[(&str, &[&str])] = &[
    ("ring/exclusive", &["ring::exclusive::loom"]),
    ("ring/frames", &["ring::frames::loom"]),
    ("ring/latest", &["ring::latest::loom"]),
    ("ring/calls", &["ring::calls::loom"]),
    ("ring/broadcast_frames", &["ring::broadcast_frames::loom"]),
    ("ring/broadcast", &["ring::broadcast::loom"]),
    // Both rings claim in this way.
    ("ring/claims", &["ring::broadcast::loom", "ring::shared::loom"]),
    ("ring/shared", &["ring::shared::loom"]),
    ("waiting/word", &["waiting::word"]),
];

/// What an ordering is weakened to. A read-modify-write that does both loses one at a time.
const WEAKER: &[(&str, &[&str])] =
    &[("Acquire", &["Relaxed"]), ("Release", &["Relaxed"]), ("AcqRel", &["Acquire", "Release"])];

/// One ordering, weakened.
struct Mutant {
    file: PathBuf,
    /// Counted from 0.
    line: usize,
    /// The line as it is.
    code: String,
    /// The line as it becomes.
    weakened: String,
    change: String,
    models: &'static [&'static str],
}

/// A survivor that is explained.
struct Excuse {
    file: String,
    code: String,
}

pub(super) fn run(bench: &mut Bench, plan: &Plan<'_>, tally: &mut Tally) -> Check {
    let began = Instant::now();
    let mut figure = Figure::new(NAME, ORDERINGS, None);
    let excuses = excuses(bench.tree.path())?;
    let (mut left, mut explained) = (0, 0);
    for mutant in mutants(bench.tree.path())? {
        let name = mutant.name();
        if plan.part.is_some_and(|part| !name.contains(part)) {
            continue;
        }
        let key = key(&[&name, &bench.tree.read(&mutant.file)?]);
        let known = bench.done.get(&key).copied().filter(|_| bench.memory.is_some());
        if known.is_none() && bench.is_over() {
            left += 1;
            continue;
        }
        figure.cases += 1;
        let caught = match known {
            Some(caught) => caught,
            None => match try_out(bench, &mutant) {
                Ok(caught) => caught,
                Err(wrong) => {
                    fail(&mut figure, tally, &name, wrong);
                    continue;
                }
            },
        };
        if known.is_none() {
            bench.remember(key, caught, &name)?;
            tally.note(&format!("{name}: {}", if caught { "caught" } else { "survived" }));
        }
        let is_excused = excuses.iter().any(|excuse| excuse.is_for(&mutant));
        explained += u64::from(is_excused && !caught);
        match (caught, is_excused) {
            (false, false) => {
                fail(&mut figure, tally, &name, "the models do not notice, and nothing explains it".into())
            }
            (true, true) => fail(&mut figure, tally, &name, "it is caught, and explained as one that is not".into()),
            _ => {}
        }
    }
    tally.note(&format!("orderings: {explained} survivors, all of them explained; {left} left for the next time"));
    figure.seconds = began.elapsed().as_secs_f64();
    tally.add(figure);
    Ok(())
}

fn try_out(bench: &mut Bench, mutant: &Mutant) -> Check<bool> {
    let text = bench.tree.read(&mutant.file)?;
    let changed: Vec<_> =
        text.lines().enumerate().map(|(at, line)| if at == mutant.line { &mutant.weakened } else { line }).collect();
    for model in mutant.models {
        let harness = Harness::Loom(model.to_string());
        if !bench.is_sound(&harness)? {
            return Err(format!("the clean tree does not pass `{}`", harness.text()));
        }
        bench.tree.write(&mutant.file.to_string_lossy(), &(changed.join("\n") + "\n"))?;
        let verdict = bench.judge(&harness);
        bench.tree.restore()?;
        if let Verdict::Caught(_) = verdict? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every way to weaken an ordering.
fn mutants(tree: &Path) -> Check<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for &(part, models) in MODELS {
        for file in files(tree, part)? {
            let text = fs::read_to_string(tree.join(&file)).at(&file.to_string_lossy())?;
            // The tests of a file stand at its end.
            let code =
                text.lines().take_while(|line| !line.starts_with("#[cfg(all(test") && !line.starts_with("#[cfg(test"));
            for (line, code) in code.enumerate() {
                for (change, weakened) in weakened(code) {
                    mutants.push(Mutant { file: file.clone(), line, code: code.to_string(), weakened, change, models });
                }
            }
        }
    }
    Ok(mutants)
}

/// What a line becomes when one of its orderings is weakened, in each way.
fn weakened(line: &str) -> Vec<(String, String)> {
    let mut changes = Vec::new();
    if line.trim_start().starts_with("//") {
        return changes;
    }
    for &(strong, weaker) in WEAKER {
        let word = format!("Ordering::{strong}");
        for (at, _) in line.match_indices(&word) {
            let (before, after) = (&line[..at], &line[at + word.len()..]);
            if before.ends_with("fence(") {
                // No fence is relaxed, so it goes.
                changes.push((format!("without fence({strong})"), String::new()));
                continue;
            }
            for weak in weaker {
                changes.push((format!("{strong} -> {weak}"), format!("{before}Ordering::{weak}{after}")));
            }
        }
    }
    changes
}

/// The sources at `part`, which is a file without its ending and the folder of that name.
fn files(tree: &Path, part: &str) -> Check<Vec<PathBuf>> {
    let source = Path::new("ipc-core/src").join(part);
    let mut files = vec![source.with_extension("rs")];
    let mut inside: Vec<_> = fs::read_dir(tree.join(&source))
        .map(|entries| entries.flatten().map(|entry| source.join(entry.file_name())).collect())
        .unwrap_or_default();
    inside.sort();
    let is_code = |file: &PathBuf| {
        let stem = file.file_stem().unwrap_or_default();
        file.extension().is_some_and(|extension| extension == "rs") && stem != "tests" && stem != "loom_tests"
    };
    files.extend(inside.into_iter().filter(is_code));
    Ok(files)
}

/// Survivors that are explained: `file: code`, and the reason in the indented lines below.
fn excuses(tree: &Path) -> Check<Vec<Excuse>> {
    let text = fs::read_to_string(tree.join("torture/bugs/orderings.txt")).at("the explained survivors")?;
    let lines = text.lines().filter(|line| line.starts_with("ipc-core/"));
    Ok(lines
        .filter_map(|line| line.split_once(": "))
        .map(|(file, code)| Excuse { file: file.to_string(), code: code.trim().to_string() })
        .collect())
}

impl Mutant {
    fn name(&self) -> String {
        format!("{}:{} {}: {}", self.file.display(), self.line + 1, self.change, self.code.trim())
    }
}

impl Excuse {
    fn is_for(&self, mutant: &Mutant) -> bool {
        let code = mutant.code.trim();
        // A line with two of them says which is meant.
        let with_change = format!("{} [{}]", code, mutant.change);
        Path::new(&self.file) == mutant.file && (self.code == code || self.code == with_change)
    }
}
