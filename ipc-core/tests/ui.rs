//! What the derive accepts and refuses. Every wrong declaration gives one error, at the place of the mistake, that says
//! what to write instead.
//!
//! The texts next to the cases are those of the current stable compiler; most are the derive's own and do not change
//! with it. `TRYBUILD=overwrite cargo test -p ipc-core --test ui` writes them anew.

use std::fs;
use std::path::Path;

/// Cases that contain two mistakes on purpose.
const TWO_MISTAKES: [&str; 1] = ["field_two_wrong"];

#[test]
fn declarations() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}

#[test]
fn one_mistake_is_one_error() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui/fail");
    let mut cases = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "stderr") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let errors = text.lines().filter(|line| line.starts_with("error")).count();
        let case = path.file_stem().unwrap().to_str().unwrap();
        let expected = if TWO_MISTAKES.contains(&case) { 2 } else { 1 };
        assert_eq!(errors, expected, "{case} gives:\n{text}");
        cases += 1;
    }
    assert!(cases >= 30, "only {cases} cases have a text");
}
