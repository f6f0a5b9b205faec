//! What the derive accepts and refuses. Every wrong declaration gives one error, at the place of the mistake, that says
//! what to write instead.
//!
//! The texts next to the cases are those of the current stable compiler; most are the derive's own and do not change
//! with it. `TRYBUILD=overwrite cargo test -p ipc-core --test ui` writes them anew.

use std::fs;
use std::path::Path;

/// Cases with more errors than one: that with two mistakes, and those in which a type of no fixed length stands where the
/// language itself refuses it, in its own words and besides the derive.
const SEVERAL_ERRORS: [(&str, usize); 6] = [
    ("field_two_wrong", 2),
    ("tail_in_array", 2),
    ("tail_in_enum", 2),
    ("tail_nested_in_array", 3),
    ("tail_not_last", 2),
    ("tail_of_tails", 2),
];

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
        let several = SEVERAL_ERRORS.iter().find(|(several, _)| *several == case);
        let expected = several.map_or(1, |(_, errors)| *errors);
        assert_eq!(errors, expected, "{case} gives:\n{text}");
        cases += 1;
    }
    assert!(cases >= 30, "only {cases} cases have a text");
}
