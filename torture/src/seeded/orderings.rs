//! Ordering mutants: every Acquire and Release of the rings, of the locks and of the word that is slept on is weakened in turn,
//! and the models of that file have to notice.
//!
//! The orderings are found by reading the sources, so a new one needs no new patch. In a copy of the tree each of them passes
//! through `torture/bugs/weakened.rs` with a number, so that one build serves them all. What the models cannot notice stands in
//! `torture/bugs/orderings.txt` with the reason; a survivor that does not stand there fails, and so does one that stands
//! there and is caught, since its reason is then wrong.

use super::tree::Tree;
use super::{Bench, NAME, ORDERINGS, Plan, Verdict, fail, key};
use crate::cargo::Harness;
use crate::check::{Check, Context};
use crate::report::{Figure, Tally};
use std::collections::HashMap;
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
    ("ring/claims", CLAIMS),
    ("ring/shared", SHARED),
    ("lock/gate", &["lock::gate::loom"]),
    // Those who read stand beside a gate.
    ("lock/readers", &["lock::gate::loom"]),
    ("lock/ledger", &["lock::ledger::loom"]),
    ("lock/rendezvous", &["lock::rendezvous::loom"]),
    ("waiting/word", &["waiting::word::loom"]),
];

/// Those of the shared queue, a few at a time, since all of them take minutes.
const SHARED: &[&str] = &[
    "ring::shared::loom_tests::loom_a_returned",
    "ring::shared::loom_tests::loom_a_consumer_watches",
    "ring::shared::loom_tests::loom_the_only",
    "ring::shared::loom_tests::loom_two_producers_and",
    "ring::shared::loom_tests::loom_a_producer_and",
    "ring::shared::loom_tests::loom_a_producer_is",
    "ring::shared::loom_tests::loom_a_consumer_is",
    "ring::shared::loom_tests::loom_repairers",
    "ring::shared::loom_tests::loom_two_producers_are",
    "ring::shared::loom_tests::batches",
];

const CLAIMS: &[&str] = &[
    "ring::broadcast::loom",
    SHARED[0],
    SHARED[1],
    SHARED[2],
    SHARED[3],
    SHARED[4],
    SHARED[5],
    SHARED[6],
    SHARED[7],
    SHARED[8],
    SHARED[9],
];

/// What an ordering is weakened to. A read-modify-write that does both loses one at a time.
const WEAKER: &[(&str, &[&str])] =
    &[("Acquire", &["Relaxed"]), ("Release", &["Relaxed"]), ("AcqRel", &["Acquire", "Release"])];

/// What passes orderings on.
const SWITCH: &str = include_str!("../../bugs/weakened.rs");

/// How the switch is told which.
const VARIABLE: &str = "SLIPRING_WEAKENED";

/// Has the switch there, and weakens nothing.
const NOTHING: &str = "4294967295 Relaxed";

/// What the switch says when a model comes to it.
const REACHED: &str = "the weakened ordering was reached";

/// One ordering, weakened.
struct Mutant {
    /// Of the ordering.
    number: usize,
    file: String,
    /// Counted from 1.
    line: usize,
    /// The line, and which of several that would be changed alike.
    code: String,
    change: String,
    /// What is left, in the switch's words.
    weaker: &'static str,
    models: &'static [&'static str],
}

/// A survivor that is explained.
struct Excuse {
    file: String,
    code: String,
}

pub(super) fn run(root: &Path, plan: &Plan<'_>, tally: &mut Tally) -> Check {
    let began = Instant::now();
    let mut figure = Figure::new(NAME, ORDERINGS, None);
    let (tree, mut mutants) = copy(root)?;
    // The models that take long come last, so that what there is time for is most of them.
    mutants.sort_by_key(|mutant| MODELS.iter().position(|(_, models)| *models == mutant.models));
    let excuses = excuses(tree.path())?;
    let mut bench = Bench::new(root, tree, plan.limit)?;
    let (mut left, mut explained) = (0, 0);
    for mutant in mutants {
        let name = mutant.name();
        if plan.part.is_some_and(|part| !name.contains(part)) {
            continue;
        }
        let is_caught = match try_out(&mut bench, &mutant) {
            Ok(Some(is_caught)) => is_caught,
            Ok(None) => {
                left += 1;
                continue;
            }
            Err(wrong) => {
                figure.cases += 1;
                fail(&mut figure, tally, &name, wrong);
                continue;
            }
        };
        figure.cases += 1;
        tally.note(&format!("{name}: {}", if is_caught { "caught" } else { "survived" }));
        let is_excused = excuses.iter().any(|excuse| excuse.is_for(&mutant));
        explained += u64::from(is_excused && !is_caught);
        match (is_caught, is_excused) {
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

/// Whether the models notice a mutant; `None` if there is no time left to find out.
fn try_out(bench: &mut Bench, mutant: &Mutant) -> Check<Option<bool>> {
    let mut left = Vec::new();
    for model in mutant.models {
        let key = mutant.key(&bench.tree, model)?;
        match bench.done.get(&key).filter(|_| bench.memory.is_some()) {
            Some(true) => return Ok(Some(true)),
            Some(false) => {}
            None => left.push((key, Harness::Loom(model.to_string()))),
        }
    }
    for (key, harness) in left {
        if bench.is_over() {
            return Ok(None);
        }
        bench.shop.variables = vec![(VARIABLE, NOTHING.to_string())];
        if !bench.is_sound(&harness)? {
            return Err(format!("the tree does not pass `{}` before anything is weakened", harness.text()));
        }
        bench.shop.variables = vec![(VARIABLE, format!("{} {}", mutant.number, mutant.weaker))];
        let verdict = bench.judge(&harness)?;
        let (is_caught, how) = match verdict {
            Verdict::Caught(_) => (true, ""),
            Verdict::Survived(said) if said.contains(REACHED) => (false, ""),
            Verdict::Survived(_) => (false, ", which does not come to it"),
        };
        bench.remember(key, is_caught, &format!("{} by `{}`{how}", mutant.name(), harness.text()))?;
        if is_caught {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

/// A copy of the tree in which every ordering passes through the switch, and every way to weaken one.
fn copy(root: &Path) -> Check<(Tree, Vec<Mutant>)> {
    let (mut mutants, mut number, mut alike) = (Vec::new(), 0, HashMap::new());
    let tree = Tree::copy_changed(root, "weakened", |file, bytes| {
        let Ok(text) = String::from_utf8(bytes.clone()) else { return bytes };
        if file == "ipc-core/src/lib.rs" {
            return (text + "\nmod weakened;\n").into_bytes();
        }
        let Some(models) = models(file) else { return bytes };
        let mut changed = String::new();
        // The tests of a file stand at its end.
        let mut is_code = true;
        for (line, code) in text.lines().enumerate() {
            is_code &= !code.starts_with("#[cfg(all(test") && !code.starts_with("#[cfg(test");
            if is_code && !code.trim_start().starts_with("//") {
                let found = passed_on(code, &mut number, |number, change, weaker| {
                    let (file, mut code) = (file.to_string(), code.trim().to_string());
                    let count = alike.entry((file.clone(), code.clone(), change.clone())).or_insert(0);
                    *count += 1;
                    if *count > 1 {
                        code.push_str(&format!(" ({count})"));
                    }
                    mutants.push(Mutant { number, file, line: line + 1, code, change, weaker, models });
                });
                changed.push_str(&found);
            } else {
                changed.push_str(code);
            }
            changed.push('\n');
        }
        changed.into_bytes()
    })?;
    let switch = tree.path().join("ipc-core/src/weakened.rs");
    if fs::read(&switch).map_or(true, |old| old != SWITCH.as_bytes()) {
        fs::write(&switch, SWITCH).at("the switch is added")?;
    }
    Ok((tree, mutants))
}

/// Which models are there for the orderings of a file; `None` if they are not weakened.
fn models(file: &str) -> Option<&'static [&'static str]> {
    let stem = file.strip_prefix("ipc-core/src/")?.strip_suffix(".rs")?;
    let is_inside = |part: &str| {
        let inside = stem.strip_prefix(part).and_then(|rest| rest.strip_prefix('/'));
        stem == part || inside.is_some_and(|name| !name.contains('/') && name != "tests" && name != "loom_tests")
    };
    MODELS.iter().find(|(part, _)| is_inside(part)).map(|&(_, models)| models)
}

/// A line whose orderings pass through the switch, and every way to weaken one of them.
fn passed_on(line: &str, number: &mut usize, mut mutant: impl FnMut(usize, String, &'static str)) -> String {
    const WORD: &str = "Ordering::";
    let (mut changed, mut rest) = (String::new(), line);
    while let Some(at) = rest.find(WORD) {
        let (before, after) = rest.split_at(at);
        let name: String = after[WORD.len()..].chars().take_while(char::is_ascii_alphanumeric).collect();
        let (this, after) = after.split_at(WORD.len() + name.len());
        rest = after;
        let Some((strong, weaker)) = WEAKER.iter().find(|(strong, _)| *strong == name) else {
            changed.push_str(before);
            changed.push_str(this);
            continue;
        };
        if let Some(before) = before.strip_suffix("fence(") {
            // No fence is relaxed, so it goes.
            mutant(*number, format!("without fence({strong})"), "none");
            changed.push_str(&format!("{before}crate::weakened::fence({number}, {this}"));
        } else {
            weaker.iter().for_each(|weak| mutant(*number, format!("{strong} -> {weak}"), weak));
            changed.push_str(&format!("{before}crate::weakened::ordering({number}, {this})"));
        }
        *number += 1;
    }
    changed + rest
}

/// Survivors that are explained: `file: code`, and the reason of one or several in the indented lines below.
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
        format!("{}:{} {}: {}", self.file, self.line, self.change, self.code)
    }

    /// What was tried: the change, in this file, with these models.
    fn key(&self, tree: &Tree, model: &str) -> Check<u64> {
        let module = model.split("::loom").next().unwrap_or(model).replace("::", "/");
        let mut models = tree.read(&PathBuf::from(format!("ipc-core/src/{module}/loom_tests.rs")))?;
        let parts = tree.path().join(format!("ipc-core/src/{module}/loom_tests"));
        // Most are in one file.
        let mut parts: Vec<_> = fs::read_dir(parts).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        parts.sort();
        for part in parts {
            models += &tree.read(&part)?;
        }
        Ok(key(&[&self.name(), &tree.read(Path::new(&self.file))?, &models, model]))
    }
}

impl Excuse {
    fn is_for(&self, mutant: &Mutant) -> bool {
        // A line with two of them says which is meant.
        let with_change = format!("{} [{}]", mutant.code, mutant.change);
        self.file == mutant.file && (self.code == mutant.code || self.code == with_change)
    }
}
