//! Seeded bugs: patches that each break a rule, and the harness that has to notice.
//!
//! Every patch in `torture/bugs` says in two lines above the diff which rule it breaks and what has to catch it. The
//! tracked tree is copied once; each patch is applied to the copy, the harness is built, which has to succeed, and run,
//! which has to fail. Then the patch is taken back. The clean copy has to pass every harness first, or its failures would
//! prove nothing.

mod orderings;
mod tree;

use crate::cargo::{self, End, Harness, Workshop};
use crate::check::{Check, Context, ensure};
use crate::report::{Failure, Figure, Tally};
use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tree::Tree;

/// The campaign's name.
pub(crate) const NAME: &str = "seeded-bugs";

/// The patches, and the orderings that are weakened.
pub(crate) const PATCHES: &str = "patches";
pub(crate) const ORDERINGS: &str = "orderings";

/// How many patches the short form takes.
const SHORT: usize = 6;

/// A harness that takes longer on the clean tree hangs.
const LIMIT_S: u32 = 600;

/// How much longer than on the clean tree a harness may take before it is found to hang: so many times, and so many seconds.
const GRACE: (f64, u32) = (4.0, 45);

/// How much of it is done.
pub(crate) struct Plan<'a> {
    /// Every patch, and every ordering, rather than some patches whose harnesses are quick.
    pub(crate) is_long: bool,
    /// Only `PATCHES` or `ORDERINGS`.
    pub(crate) kind: Option<&'a str>,
    /// Only what has this in its name.
    pub(crate) part: Option<&'a str>,
    /// Only the patches of these numbers.
    pub(crate) numbers: Option<RangeInclusive<u32>>,
    /// To begin no more after so long. What was done is remembered, and passed over the next time.
    pub(crate) limit: Option<Duration>,
}

/// A patch.
struct Bug {
    name: String,
    rule: String,
    harness: Harness,
    path: PathBuf,
    text: String,
    /// Whether its harness has been seen to notice.
    is_tried: bool,
}

/// What came of a change that breaks something.
enum Verdict {
    /// The harness failed, as it should.
    Caught(End),
    /// It passed, and said this.
    Survived(String),
}

/// Runs the campaign.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) -> Check {
    let root = cargo::root()?;
    let bugs = bugs(&root.join("torture/bugs"))?;
    if plan.kind.is_none_or(|only| only == PATCHES) {
        Bench::new(&root, Tree::copy(&root, "tree")?, plan.limit)?.patches(plan, &bugs, tally)?;
    }
    if plan.kind == Some(ORDERINGS) || plan.is_long && plan.kind.is_none() {
        orderings::run(&root, plan, tally)?;
    }
    Ok(())
}

/// The patches, in the order of their numbers.
fn bugs(directory: &Path) -> Check<Vec<Bug>> {
    let mut bugs = Vec::new();
    for entry in fs::read_dir(directory).at("the patches are listed")? {
        let path = entry.at("the patches are listed")?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            bugs.push(Bug::read(path)?);
        }
    }
    bugs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(bugs)
}

impl Bug {
    fn read(path: PathBuf) -> Check<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).at(&name)?;
        let head = |word: &str| {
            let line =
                text.lines().take_while(|line| !line.starts_with("--- ")).find_map(|line| line.strip_prefix(word));
            line.map(str::trim).ok_or_else(|| format!("{name} has no line that starts with `{word}`"))
        };
        let (rule, harness) = (head("Breaks:")?.to_string(), Harness::parse(head("Caught by:")?)?);
        let is_tried = !text.lines().any(|line| line.starts_with("Untried"));
        Ok(Bug { name, rule, harness, path, text, is_tried })
    }

    /// What its name begins with.
    fn number(&self) -> u32 {
        self.name.split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}

/// Where changes are tried.
struct Bench {
    tree: Tree,
    shop: Workshop,
    /// How long the harnesses took on the clean tree, in seconds; `None` for one that it does not pass.
    clean: HashMap<String, Option<f64>>,
    /// What came of changes that were tried before, by what they were and what they were made to.
    done: HashMap<u64, bool>,
    /// How long harnesses took on clean trees before, by what they were and how the tree was.
    known_clean: HashMap<u64, f64>,
    /// Where that is remembered, if it is.
    memory: Option<PathBuf>,
    until: Option<Instant>,
}

impl Bench {
    fn new(root: &Path, tree: Tree, limit: Option<Duration>) -> Check<Self> {
        // Each copy has its own, since cargo takes what was built from one for what would be built from the other.
        let target = tree.path().join("target");
        let is_enclosed = cargo::can_enclose();
        if !is_enclosed {
            eprintln!("SKIPPED: {NAME}: what needs a /dev/shm of its own, which this machine does not permit");
        }
        let memory = limit.map(|_| root.join("target/seeded-bugs/done"));
        let text = memory.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let (mut done, mut known_clean) = (HashMap::new(), HashMap::new());
        for line in text.lines() {
            let mut words = line.split(' ');
            let Some(key) = words.next().and_then(|key| key.parse().ok()) else { continue };
            match (words.next(), words.next().and_then(|seconds| seconds.parse().ok())) {
                (Some("clean"), Some(seconds)) => drop(known_clean.insert(key, seconds)),
                (verdict, _) => drop(done.insert(key, verdict == Some("caught"))),
            }
        }
        let clean = HashMap::new();
        let shop = Workshop { tree: tree.path().to_path_buf(), target, is_enclosed, variables: Vec::new() };
        let until = limit.map(|limit| Instant::now() + limit);
        Ok(Bench { tree, shop, clean, done, known_clean, memory, until })
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Whether a harness can be run here without leaving anything behind, and the clean tree passes it.
    fn is_sound(&mut self, harness: &Harness) -> Check<bool> {
        let text = harness.text();
        if let Some(passed) = self.clean.get(&text) {
            return Ok(passed.is_some());
        }
        let is_model = matches!(harness, Harness::Loom(_));
        let state = if is_model { self.tree.code() } else { self.tree.sources() };
        let key = key(&[&text, &state.to_string()]);
        if let (Some(&seconds), true) = (self.known_clean.get(&key), self.memory.is_some()) {
            self.clean.insert(text, Some(seconds));
            return Ok(true);
        }
        harness.build(&self.shop)?;
        let began = Instant::now();
        let (end, said) = harness.run(&self.shop, LIMIT_S)?;
        let is_passed = end == End::Passed && harness.has_tested(&said);
        if !is_passed {
            eprintln!("the clean tree does not pass `{text}`, or has no such tests:\n{said}");
        }
        let seconds = is_passed.then(|| began.elapsed().as_secs_f64());
        if let Some(seconds) = seconds {
            self.write_down(key, &format!("clean {seconds:.1} {text}"))?;
        }
        self.clean.insert(text, seconds);
        Ok(seconds.is_some())
    }

    /// Runs the harness of a tree that was changed.
    fn judge(&self, harness: &Harness) -> Check<Verdict> {
        harness.build(&self.shop)?;
        let clean_s = self.clean.get(&harness.text()).copied().flatten().unwrap_or(f64::from(LIMIT_S));
        let limit_s = (clean_s * GRACE.0) as u32 + GRACE.1;
        Ok(match harness.run(&self.shop, limit_s)? {
            (End::Passed, said) => Verdict::Survived(said),
            (end, _) => Verdict::Caught(end),
        })
    }

    fn remember(&mut self, key: u64, is_caught: bool, name: &str) -> Check {
        self.done.insert(key, is_caught);
        self.write_down(key, &format!("{} {name}", if is_caught { "caught" } else { "survived" }))
    }

    fn write_down(&self, key: u64, what: &str) -> Check {
        let Some(path) = &self.memory else { return Ok(()) };
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).at("what was done is remembered")?;
        std::io::Write::write_all(&mut file, format!("{key} {what}\n").as_bytes()).at("as well")
    }

    fn patches(&mut self, plan: &Plan<'_>, bugs: &[Bug], tally: &mut Tally) -> Check {
        let began = Instant::now();
        let mut figure = Figure::new(NAME, PATCHES, None);
        for bug in bugs {
            // All of them, since one that no longer applies is to be noticed at once.
            if let Err(wrong) = self.tree.check(&bug.path) {
                fail(&mut figure, tally, &bug.name, wrong);
            }
        }
        let mut left = 0;
        for bug in self.chosen(plan, bugs) {
            let key = key(&[&bug.text, &self.tree.state(&bug.path)?]);
            // What survived is tried again, since the harness may have become better.
            if self.memory.is_some() && self.done.get(&key) == Some(&true) {
                figure.cases += 1;
                continue;
            }
            if self.is_over() {
                left += 1;
                continue;
            }
            figure.cases += 1;
            match self.try_out(bug) {
                Ok(Verdict::Caught(end)) => {
                    tally.note(&format!("{}: caught by `{}`, which {}", bug.name, bug.harness.text(), how(end)));
                    self.remember(key, true, &bug.name)?;
                }
                Ok(Verdict::Survived(_)) => {
                    fail(&mut figure, tally, &bug.name, survived(bug));
                    self.remember(key, false, &bug.name)?;
                }
                Err(wrong) => fail(&mut figure, tally, &bug.name, wrong),
            }
        }
        if left > 0 {
            eprintln!("{left} patches are left for the next time");
        }
        figure.seconds = began.elapsed().as_secs_f64();
        tally.add(figure);
        Ok(())
    }

    /// The patches that are tried: all, or in the short form some that change with the sources.
    fn chosen<'b>(&self, plan: &Plan<'_>, bugs: &'b [Bug]) -> Vec<&'b Bug> {
        let is_possible =
            |bug: &&Bug| self.shop.is_enclosed || matches!(bug.harness, Harness::Unit(_) | Harness::Loom(_));
        let is_meant = |bug: &&Bug| {
            plan.part.is_none_or(|part| bug.name.contains(part))
                && plan.numbers.as_ref().is_none_or(|numbers| numbers.contains(&bug.number()))
        };
        let bugs = bugs.iter().filter(is_possible).filter(is_meant);
        if plan.is_long || plan.part.is_some() || plan.numbers.is_some() {
            return bugs.collect();
        }
        let quick: Vec<_> = bugs.filter(|bug| bug.is_tried && matches!(bug.harness, Harness::Unit(_))).collect();
        let first = self.tree.number() as usize % quick.len().max(1);
        // Not neighbours, which are of one kind.
        let stride = (quick.len() / SHORT).max(1);
        (0..SHORT.min(quick.len())).map(|at| quick[(first + at * stride) % quick.len()]).collect()
    }

    fn try_out(&mut self, bug: &Bug) -> Check<Verdict> {
        let is_sound = self.is_sound(&bug.harness)?;
        ensure(is_sound, || format!("the clean tree does not pass `{}`", bug.harness.text()))?;
        self.tree.apply(&bug.path)?;
        let verdict = self.judge(&bug.harness);
        self.tree.restore()?;
        verdict
    }
}

fn survived(bug: &Bug) -> String {
    format!("it survives `{}`, and breaks {}", bug.harness.text(), bug.rule)
}

fn fail(figure: &mut Figure, tally: &mut Tally, name: &str, wrong: String) {
    figure.failures += 1;
    tally.fail(Failure { campaign: NAME, what: name.to_string(), wrong, saw: Vec::new(), case: None });
}

fn how(end: End) -> &'static str {
    match end {
        End::Passed => "passed",
        End::Failed => "failed",
        End::Hung => "came to no end",
    }
}

/// What was tried: the change, and what it was made to.
fn key(texts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    hasher.finish()
}
