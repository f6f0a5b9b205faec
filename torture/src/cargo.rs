//! Tests and models as programs: cargo is run on a tree of sources, for a limited time.

use crate::check::{Check, Context};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// After so long a build hangs.
const BUILD_LIMIT_S: u32 = 1_200;

/// Exit statuses of timeout(1): the time was over, and the program had to be killed.
const OVER: [i32; 2] = [124, 137];

/// The root of the workspace that this program was built from.
pub(crate) fn root() -> Check<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("there is no workspace around this package")?;
    root.canonicalize().at("the sources that this program was built from")
}

/// What is run, and has to pass as long as nothing is wrong with the sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Harness {
    /// Unit tests of `ipc-core`, by the beginning of their names.
    Unit(String),
    /// Tests of one file of `ipc-core/tests`, or of another package's (`package/file`), by a part of their names.
    Test(String, String),
    /// Models of `ipc-core`, by a part of their names.
    Loom(String),
    /// This program, with these arguments.
    Torture(Vec<String>),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Passed,
    Failed,
    /// It was ended when its time was over.
    Hung,
}

/// A tree of sources, and where its builds go.
pub(crate) struct Workshop {
    pub(crate) tree: PathBuf,
    pub(crate) target: PathBuf,
    /// Whether what runs has a /dev/shm of its own, in which nothing stays.
    pub(crate) is_enclosed: bool,
    /// Of the environment of what runs.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Harness {
    /// Reads a harness as it is named in a patch: `unit FILTER`, `test FILE FILTER`, `loom FILTER`, `torture ARGUMENTS`.
    pub(crate) fn parse(text: &str) -> Check<Self> {
        let mut words = text.split_whitespace().map(str::to_string);
        let kind = words.next().unwrap_or_default();
        let mut word = || words.next().ok_or_else(|| format!("`{text}` names no harness"));
        Ok(match kind.as_str() {
            "unit" => Harness::Unit(word()?),
            "test" => Harness::Test(word()?, word().unwrap_or_default()),
            "loom" => Harness::Loom(word()?),
            "torture" => Harness::Torture(words.collect()),
            _ => return Err(format!("`{text}` names no harness")),
        })
    }

    /// As it is named in a patch.
    pub(crate) fn text(&self) -> String {
        match self {
            Harness::Unit(filter) => format!("unit {filter}"),
            Harness::Test(file, filter) => format!("test {file} {filter}").trim_end().to_string(),
            Harness::Loom(filter) => format!("loom {filter}"),
            Harness::Torture(arguments) => format!("torture {}", arguments.join(" ")),
        }
    }

    fn arguments(&self) -> Vec<&str> {
        match self {
            Harness::Unit(_) => vec!["test", "--quiet", "--locked", "-p", "ipc-core", "--lib"],
            Harness::Test(file, _) => {
                let (package, file) = file.split_once('/').unwrap_or(("ipc-core", file));
                vec!["test", "--quiet", "--locked", "-p", package, "--test", file]
            }
            Harness::Loom(_) => vec!["test", "--quiet", "--locked", "--release", "-p", "ipc-core", "--lib"],
            Harness::Torture(_) => vec!["run", "--quiet", "--locked", "--release", "-p", "torture"],
        }
    }

    /// Runs the harness, after it was built, for at most so long. Also what it said.
    pub(crate) fn run(&self, shop: &Workshop, limit_s: u32) -> Check<(End, String)> {
        let mut arguments = self.arguments();
        match self {
            Harness::Unit(filter) | Harness::Test(_, filter) => arguments.push(filter),
            // One after the other, since each counts in its own lines.
            Harness::Loom(filter) => arguments.extend([filter, "--", "--nocapture", "--test-threads", "1"]),
            Harness::Torture(words) => {
                arguments.push("--");
                arguments.extend(words.iter().map(String::as_str));
            }
        }
        let output = shop.cargo(&arguments, self.is_model(), limit_s, shop.is_enclosed)?;
        let end = match output.status.code() {
            Some(0) => End::Passed,
            Some(code) if OVER.contains(&code) => End::Hung,
            None => End::Hung,
            Some(_) => End::Failed,
        };
        Ok((end, text_of(&output)))
    }

    /// Whether a run that said this has tested anything: a filter that fits no test passes as well.
    pub(crate) fn has_tested(&self, said: &str) -> bool {
        let passed = said.lines().filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next());
        matches!(self, Harness::Torture(_)) || passed.into_iter().any(|count| count != "0")
    }

    /// Builds the harness. An error if it does not compile.
    pub(crate) fn build(&self, shop: &Workshop) -> Check {
        let mut arguments = self.arguments();
        match self {
            Harness::Torture(_) => arguments[0] = "build",
            _ => arguments.push("--no-run"),
        }
        let output = shop.cargo(&arguments, self.is_model(), BUILD_LIMIT_S, false)?;
        if output.status.success() { Ok(()) } else { Err(format!("it does not build:\n{}", text_of(&output))) }
    }

    fn is_model(&self) -> bool {
        matches!(self, Harness::Loom(_))
    }
}

impl Workshop {
    /// Runs cargo in the tree. Its output is kept; whatever it has started ends with it, or when the time is over.
    fn cargo(&self, arguments: &[&str], is_model: bool, limit_s: u32, is_enclosed: bool) -> Check<Output> {
        let limit = limit_s.to_string();
        let mut words = vec!["timeout", "--kill-after=5", &limit];
        if is_enclosed {
            words.extend(ENCLOSE);
        }
        words.push("cargo");
        words.extend(arguments);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.tree).stdin(Stdio::null());
        // What changes is one crate, over and over.
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("CARGO_INCREMENTAL", "1").env("CARGO_TARGET_DIR", &self.target).env_remove("RUSTFLAGS");
        if is_model {
            command.env("CARGO_TARGET_DIR", self.target.join("loom")).env("RUSTFLAGS", "--cfg loom");
        }
        command.output().at("cargo is run")
    }
}

/// What gives a program a /dev/shm of its own.
const ENCLOSE: [&str; 7] = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-ec",
    "mount -t tmpfs tmpfs /dev/shm; exec \"$0\" \"$@\"",
];

/// Whether programs can be given a /dev/shm of their own here.
pub(crate) fn can_enclose() -> bool {
    let mut command = Command::new(ENCLOSE[0]);
    command.args(&ENCLOSE[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn text_of(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
