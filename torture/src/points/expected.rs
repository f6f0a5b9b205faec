//! Which points there are, as the sources say.

use crate::cargo;
use crate::check::{Check, Context};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A point that some scene has to come to.
pub(crate) struct Point {
    /// `FILE:LINE:COLUMN`.
    pub(crate) place: String,
    /// The function that it is in.
    pub(crate) function: String,
    /// Why no scene comes to it, if that is known.
    pub(crate) excuse: Option<String>,
}

/// What changes a word of a ring.
const CHANGES: [&str; 4] = [".store(", ".fetch_add(", ".fetch_max(", ".compare_exchange("];

/// A point that stands by itself.
const MARK: &str = "crash::point()";

/// All of them.
pub(super) fn points() -> Check<Vec<Point>> {
    let root = cargo::root()?;
    let excuses = fs::read_to_string(root.join("torture/bugs/points.txt")).at("the points that are not reached")?;
    let mut points = Vec::new();
    for file in files(&root, Path::new("ipc-core/src"))? {
        let text = fs::read_to_string(root.join(&file)).at("a source is read")?;
        let name = file.to_string_lossy().into_owned();
        let is_ring = name.starts_with("ipc-core/src/ring/");
        let mut function = String::new();
        for (at, line) in text.lines().enumerate() {
            // The tests of a file stand at its end.
            if line.starts_with("#[cfg(all(test") || line.starts_with("mod tests {") {
                break;
            }
            if let Some(name) = function_of(line) {
                function = name.to_string();
            }
            let code = line.split("//").next().unwrap_or_default();
            let marks = code.match_indices(MARK).map(|(column, _)| column + 1);
            // The name of a method is where its call is said to be.
            let changes = CHANGES.iter().filter(|_| is_ring).flat_map(|change| code.match_indices(change));
            let rest = |column: usize| text.lines().skip(at).take(8).collect::<Vec<_>>().join(" ").split_off(column);
            let changes = changes.filter(|(column, change)| names_ordering(&rest(column + change.len())));
            for column in marks.chain(changes.map(|(column, _)| column + 2)) {
                let place = format!("{name}:{}:{column}", at + 1);
                let excuse = excuse(&excuses, &name, &function, code.trim());
                points.push(Point { place, function: function.clone(), excuse });
            }
        }
    }
    Ok(points)
}

/// The last point of a function.
pub(crate) fn place(file: &str, function: &str) -> Check<String> {
    static POINTS: OnceLock<Check<Vec<Point>>> = OnceLock::new();
    let points = POINTS.get_or_init(points).as_ref().map_err(String::clone)?;
    let file = format!("ipc-core/src/{file}:");
    let is_meant = |point: &&Point| point.function == function && point.place.starts_with(&file);
    let last =
        points.iter().rfind(is_meant).ok_or_else(|| format!("there is no crash point in {function} of {file}"))?;
    Ok(last.place.clone())
}

/// Whether the arguments that begin here name an ordering, so that what takes them is an atomic word.
fn names_ordering(rest: &str) -> bool {
    let mut depth = 1;
    let end = rest.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    rest[..end.unwrap_or(0)].contains("Ordering::")
}

/// The reason that the list gives for a point: `FILE FUNCTION: reason`, or, where the function has several points,
/// `FILE FUNCTION [CODE]: reason`.
fn excuse(excuses: &str, file: &str, function: &str, code: &str) -> Option<String> {
    let short = file.strip_prefix("ipc-core/src/").unwrap_or(file);
    let heads = [format!("{short} {function}: "), format!("{short} {function} [{code}]: ")];
    excuses.lines().find_map(|line| heads.iter().find_map(|head| line.strip_prefix(head.as_str()))).map(str::to_string)
}

/// The name of the function that a line begins.
fn function_of(line: &str) -> Option<&str> {
    let rest = line.split_once("fn ")?.1;
    let before = line.split_once("fn ")?.0.trim();
    let is_head = before.is_empty() || before.ends_with("pub") || before.ends_with(')') || before.ends_with("unsafe");
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    is_head.then_some(&rest[..end])
}

/// The sources of the rings and of what is around them, without tests.
fn files(root: &Path, folder: &Path) -> Check<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(folder)).at("the sources are listed")? {
        let name = folder.join(entry.at("the sources are listed")?.file_name());
        let stem = name.file_stem().unwrap_or_default();
        if stem == "tests" || stem == "loom_tests" || stem == "crash" {
            continue;
        }
        if root.join(&name).is_dir() {
            files.extend(self::files(root, &name)?);
        } else {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}
