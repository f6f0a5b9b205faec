//! A copy of the tracked sources that can be changed and put right again.

use crate::check::{Check, Context, ensure};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The copy.
pub(crate) struct Tree {
    root: PathBuf,
    path: PathBuf,
    /// What files were before they were changed.
    changed: Vec<(PathBuf, String)>,
    number: u32,
}

impl Tree {
    /// Copies what git tracks at `root`, as it is there now. What is the same already keeps its time, so that it is not built
    /// again.
    pub(crate) fn copy(root: &Path) -> Check<Self> {
        let path = root.join("target/seeded-bugs/tree");
        let listed = git(root, ["ls-files", "-z"])?;
        let files = String::from_utf8_lossy(&listed.stdout);
        for file in files.split('\0').filter(|file| !file.is_empty()) {
            // One that is tracked and was removed since is none.
            let Ok(bytes) = fs::read(root.join(file)) else { continue };
            let copy = path.join(file);
            if fs::read(&copy).is_ok_and(|old| old == bytes) {
                continue;
            }
            fs::create_dir_all(copy.parent().unwrap_or(&path)).at("a directory of the copy")?;
            fs::write(&copy, bytes).at("a file of the copy")?;
        }
        let count = git(root, ["rev-list", "--count", "HEAD"])?;
        let number = String::from_utf8_lossy(&count.stdout).trim().parse().unwrap_or(0);
        Ok(Tree { root: root.to_path_buf(), path, changed: Vec::new(), number })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many commits have led to it.
    pub(crate) fn number(&self) -> u32 {
        self.number
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

    /// Writes a file anew.
    pub(crate) fn write(&mut self, file: &str, text: &str) -> Check {
        let before = self.read(Path::new(file))?;
        self.changed.push((file.into(), before));
        fs::write(self.path.join(file), text).at(file)
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
        command.env("GIT_CEILING_DIRECTORIES", self.root.join("target/seeded-bugs")).current_dir(&self.path);
        command.arg("apply").args(is_check.then_some("--check")).arg(patch);
        let output = command.output().at("git is run")?;
        ensure(output.status.success(), || format!("it does not apply: {}", String::from_utf8_lossy(&output.stderr)))
    }
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
