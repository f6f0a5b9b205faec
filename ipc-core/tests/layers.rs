//! The layers of the core go one way: a module may name only those above it in the list of `lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top, which depends on nothing, to the bottom. Modules on one line may use each other.
const LAYERS: [&[&str]; 19] = [
    &["atomics", "crash", "error", "message", "schema", "words"],
    &["layout"],
    &["histogram"],
    &["ring"],
    &["hostile"],
    &["lock"],
    &["os"],
    &["name"],
    &["segment"],
    &["liveness", "waiting"],
    &["interest", "lookout"],
    &["info", "station", "timing"],
    &["broadcast", "latest", "queue", "service"],
    &["sync"],
    &["pipe"],
    &["private"],
    &["task", "wait_set"],
    &["dynamic"],
    &["inspect"],
];

/// The Rust files under `directory`.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(directory).expect("the sources can be listed").map(|entry| entry.expect("and read").path());
    let (directories, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.chain(directories.iter().flat_map(|directory| sources(directory))).collect()
}

/// The module at the crate's root that a file belongs to.
fn module(root: &Path, file: &Path) -> String {
    let first = file.strip_prefix(root).expect("the file is under the root").iter().next().expect("it has a name");
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The code of a file, without comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source can be read");
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules that the code names by `crate::`, one by one or in braces.
fn named(code: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = group.split(';').next().unwrap_or_default();
                names.extend(
                    group.split([',', '{', '}']).map(|item| item.trim().split("::").next().unwrap_or_default().into()),
                );
            }
            None => names.push(rest.chars().take_while(|&c| is_name(c)).collect()),
        }
    }
    names
}

#[test]
fn every_module_uses_only_the_layers_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for file in sources(&root) {
        let module = module(&root, &file);
        if module == "lib" {
            continue;
        }
        let own = layer(&module).unwrap_or_else(|| panic!("{module} is in no layer: add it to the list"));
        for name in named(&code(&file)) {
            if let Some(used) = layer(&name) {
                assert!(used <= own, "{} uses `{name}`, which is below it", file.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked} uses were found: does the search still work?");
}

#[test]
fn rings_know_nothing_of_the_system() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in ["ring", "lock"].iter().flat_map(|layer| sources(&root.join(layer))) {
        let is_test = file.ends_with("tests.rs")
            || file.ends_with("loom_tests.rs")
            || file.ends_with("model.rs")
            || file.parent().is_some_and(|directory| directory.ends_with("tests"));
        for word in ["std::", "libc", "memmap2", "File", "Path"] {
            assert!(is_test || !code(&file).contains(word), "{} names {word}", file.display());
        }
    }
}

#[test]
fn system_calls_are_made_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&root) {
        let calls = code(&file).matches("libc::").count() - code(&file).matches("libc::E").count();
        assert!(calls == 0 || module(&root, &file) == "os", "{} makes system calls", file.display());
    }
}
