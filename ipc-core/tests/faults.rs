//! What happens when somebody dies, is stopped, scribbles, or runs out of something: `docs/faults.md`, row by row.
//!
//! The last column of each row is the name of a test in here, and each test in here is a row.

#[path = "faults/broadcast.rs"]
mod broadcast;
#[path = "faults/broadcast_tails.rs"]
mod broadcast_tails;
#[path = "faults/eviction.rs"]
mod eviction;
#[path = "faults/fork.rs"]
mod fork;
#[path = "faults/latest.rs"]
mod latest;
#[path = "faults/pipe.rs"]
mod pipe;
#[path = "faults/queue.rs"]
mod queue;
#[path = "faults/queue_tails.rs"]
mod queue_tails;
#[path = "faults/scribbles.rs"]
mod scribbles;
#[path = "faults/segment.rs"]
mod segment;
#[path = "faults/service.rs"]
mod service;
#[path = "faults/shared_queue.rs"]
mod shared_queue;
#[path = "faults/space.rs"]
mod space;
mod support;
#[path = "faults/sync.rs"]
mod sync;
#[path = "faults/waiting.rs"]
mod waiting;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    let parts = [
        queue::PARTS,
        queue_tails::PARTS,
        shared_queue::PARTS,
        broadcast::PARTS,
        broadcast_tails::PARTS,
        latest::PARTS,
        service::PARTS,
        pipe::PARTS,
        sync::PARTS,
        segment::PARTS,
        eviction::PARTS,
        fork::PARTS,
        space::PARTS,
        waiting::PARTS,
    ];
    support::play(&parts.concat());
}

/// A file of the repository; none if this is a package without one.
fn document(path: &str) -> Option<String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    repository.join("docs").is_dir().then(|| fs::read_to_string(repository.join(path)).expect("the document is there"))
}

/// The cells of the rows of the tables of a document that come after the line `after`.
fn rows<'a>(document: &'a str, after: &str) -> Vec<Vec<&'a str>> {
    let lines = document.lines().skip_while(|line| *line != after).skip(1).take_while(|line| *line != "## Messages");
    let rows = lines.filter_map(|line| line.strip_prefix("| ")).filter(|row| !row.starts_with("who, when"));
    rows.map(|row| row.trim_end_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn rows_and_tests_are_the_same() {
    let Some(document) = document("docs/faults.md") else { return };
    let rows = rows(&document, "# What happens when");
    let in_document: BTreeSet<_> = rows.iter().map(|row| row[3].trim_matches('`').to_owned()).collect();
    assert_eq!(in_document.len(), rows.len(), "a test stands for two rows");
    let list = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format", "terse"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let names = list.lines().filter_map(|line| line.strip_suffix(": test")).filter(|name| name.contains("::"));
    let in_tests: BTreeSet<_> = names.map(str::to_owned).collect();
    let missing: Vec<_> = in_tests.symmetric_difference(&in_document).collect();
    assert!(missing.is_empty(), "only a row, or only a test: {missing:#?}");
}

#[test]
fn the_short_table_is_a_part_of_the_whole() {
    let (Some(readme), Some(whole)) = (document("README.md"), document("docs/faults.md")) else { return };
    let (short, whole) = (rows(&readme, "## What happens when"), rows(&whole, "# What happens when"));
    assert!((8..=12).contains(&short.len()), "{} rows are the most important ones", short.len());
    for row in short {
        assert!(whole.iter().any(|other| other[..3] == row[..]), "{row:?} is no row of docs/faults.md");
    }
}
