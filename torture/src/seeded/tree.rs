//! A copy of the tracked sources that can be changed and put right again.

use crate::check::{Check, Context, ensure};
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The copy.
pub(crate) struct Tree {
    root: PathBuf,
    path: PathBuf,
    /// What files were before they were changed.
    changed: Vec<(PathBuf, String)>,
    number: u32,
    sources: u64,
    code: u64,
}

/// Where the copies are, below the root.
const COPIES: &str = "target/seeded-bugs";

/// Where what harnesses are built from is.
const SOURCES: [&str; 6] = ["Cargo", "src/", "ipc-core/", "ipc-macros/", "ipc-process/", "torture/src/"];

impl Tree {
    /// Copies what git tracks at `root`, as it is there now, to the copy of that name. What is the same already keeps its
    /// time, so that it is not built again.
    pub(crate) fn copy(root: &Path, name: &str) -> Check<Self> {
        Self::copy_changed(root, name, |_, bytes| bytes)
    }

    /// As [`copy`](Self::copy), with files that are `change`d on the way.
    pub(crate) fn copy_changed(
        root: &Path,
        name: &str,
        mut change: impl FnMut(&str, Vec<u8>) -> Vec<u8>,
    ) -> Check<Self> {
        let path = root.join(COPIES).join(name);
        let listed = git(root, ["ls-files", "-z"])?;
        let files = String::from_utf8_lossy(&listed.stdout);
        let (mut state, mut code) = (DefaultHasher::new(), DefaultHasher::new());
        for file in files.split('\0').filter(|file| !file.is_empty()) {
            // One that is tracked and was removed since is none.
            let Ok(bytes) = fs::read(root.join(file)) else { continue };
            let (bytes, copy) = (change(file, bytes), path.join(file));
            if SOURCES.iter().any(|part| file.starts_with(part)) {
                (file, &bytes).hash(&mut state);
                if !is_test(file) {
                    (file, &bytes).hash(&mut code);
                }
            }
            if fs::read(&copy).is_ok_and(|old| old == bytes) {
                continue;
            }
            fs::create_dir_all(copy.parent().unwrap_or(&path)).at("a directory of the copy")?;
            fs::write(&copy, bytes).at("a file of the copy")?;
        }
        let count = git(root, ["rev-list", "--count", "HEAD"])?;
        let number = String::from_utf8_lossy(&count.stdout).trim().parse().unwrap_or(0);
        Ok(Tree {
            root: root.to_path_buf(),
            path,
            changed: Vec::new(),
            number,
            sources: state.finish(),
            code: code.finish(),
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many commits have led to it.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// What the sources were when it was copied, as a number.
    pub(crate) fn sources(&self) -> u64 {
        self.sources
    }

    /// The same of what the models are built from, which is without the other tests.
    pub(crate) fn code(&self) -> u64 {
        self.code
    }

    /// Whether a patch applies.
    pub(crate) fn check(&self, patch: &Path) -> Check {
        self.git_apply(patch, true)
    }

    /// Applies a patch.
    pub(crate) fn apply(&mut self, patch: &Path) -> Check {
        for file in files_of(patch)? {
            let before = self.read(&file)?;
            self.changed.push((file, before));
        }
        self.git_apply(patch, false)
    }

    /// What a file of it says.
    pub(crate) fn read(&self, file: &Path) -> Check<String> {
        fs::read_to_string(self.path.join(file)).at(&file.to_string_lossy())
    }

    /// Takes back what was changed.
    pub(crate) fn restore(&mut self) -> Check {
        for (file, before) in self.changed.drain(..).rev() {
            fs::write(self.path.join(&file), before).at(&file.to_string_lossy())?;
        }
        Ok(())
    }

    /// What the files that a patch is for are like.
    pub(crate) fn state(&self, patch: &Path) -> Check<String> {
        files_of(patch)?.iter().map(|file| self.read(file)).collect()
    }

    fn git_apply(&self, patch: &Path, is_check: bool) -> Check {
        let mut command = Command::new("git");
        // Without a repository around it, git takes the patch's paths as they are.
        command.env("GIT_CEILING_DIRECTORIES", self.root.join(COPIES)).current_dir(&self.path);
        command.arg("apply").args(is_check.then_some("--check")).arg(patch);
        let output = command.output().at("git is run")?;
        ensure(output.status.success(), || format!("it does not apply: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Whether a file has tests that are no models.
fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs")
}

/// The files that a patch changes.
fn files_of(patch: &Path) -> Check<Vec<PathBuf>> {
    let text = fs::read_to_string(patch).at(&patch.to_string_lossy())?;
    Ok(text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(PathBuf::from).collect())
}

fn git(root: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Check<Output> {
    let output = Command::new("git").current_dir(root).args(arguments).output().at("git is run")?;
    ensure(output.status.success(), || format!("git: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(output)
}
