//! The three programs find each other in whatever order they are started, and leave nothing behind.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs;
use std::io::Read as _;
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long the three may take together before the test gives up on them: much longer than they need on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

const WORDS: &str = env!("CARGO_BIN_EXE_words");
const COUNT: &str = env!("CARGO_BIN_EXE_count");
const REPORT: &str = env!("CARGO_BIN_EXE_report");

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/slip-rings.txt");

#[test]
fn words_count_report() {
    run([WORDS, COUNT, REPORT]);
}

#[test]
fn words_report_count() {
    run([WORDS, REPORT, COUNT]);
}

#[test]
fn count_words_report() {
    run([COUNT, WORDS, REPORT]);
}

#[test]
fn count_report_words() {
    run([COUNT, REPORT, WORDS]);
}

#[test]
fn report_words_count() {
    run([REPORT, WORDS, COUNT]);
}

#[test]
fn report_count_words() {
    run([REPORT, COUNT, WORDS]);
}

#[test]
fn one_after_the_other() {
    let mut system = System::new("one-after-the-other");
    for path in [WORDS, COUNT, REPORT] {
        system.start(path);
        system.wait();
    }
    system.check();
}

/// Starts the programs in this order, and checks what `report` prints.
fn run(order: [&'static str; 3]) {
    let mut system = System::new(&order.map(name_of).join("-"));
    order.into_iter().for_each(|path| system.start(path));
    system.wait();
    system.check();
}

/// The same, computed here.
fn expected_report() -> String {
    let text = fs::read_to_string(TEXT).expect("the text is there").to_lowercase();
    let mut totals: HashMap<&str, (u32, usize)> = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        for word in line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
            totals.entry(word).or_insert((0, number)).0 += 1;
        }
    }
    let mut ranking: Vec<_> = totals.into_iter().collect();
    ranking.sort_by_key(|(word, (occurrences, _))| (Reverse(*occurrences), *word));
    let top = (1..).zip(&ranking).take(10);
    top.map(|(rank, (word, (occurrences, line)))| {
        format!("{rank:3}. {word:12} {occurrences:4} times, first in line {line}\n")
    })
    .collect()
}

/// The last part of a path.
fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Programs that a test started, in a domain of their own. Whatever happens to the test, they end with it.
struct System {
    domain: String,
    programs: Vec<(&'static str, Child)>,
}

impl System {
    fn new(test: &str) -> Self {
        System { domain: format!("orders-{}-{test}", process::id()), programs: Vec::new() }
    }

    fn start(&mut self, path: &'static str) {
        let mut command = Command::new(path);
        // The pipe has room for the whole report, so nobody has to read it before `report` can end.
        command.env("SLIPRING_DOMAIN", &self.domain).stdin(Stdio::null()).stdout(Stdio::piped());
        self.programs.push((path, command.spawn().expect("the program starts")));
    }

    /// Waits for all programs to end as they should.
    fn wait(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        for (path, child) in &mut self.programs {
            let status = loop {
                match child.try_wait().expect("the program can be waited for") {
                    Some(status) => break status,
                    None if Instant::now() > deadline => panic!("{path} still runs after {DEADLINE:?}"),
                    None => thread::sleep(Duration::from_millis(2)),
                }
            };
            assert!(status.success(), "{path} ended with {status}");
        }
    }

    /// Checks what `report` printed, and that no segment is left.
    fn check(&mut self) {
        let mut printed = String::new();
        for (_, child) in &mut self.programs {
            let stdout = child.stdout.as_mut().expect("standard output is a pipe");
            stdout.read_to_string(&mut printed).expect("it is text");
        }
        assert_eq!(printed, expected_report());

        let prefix = format!("slipring.{}.", self.domain);
        let files = fs::read_dir("/dev/shm").expect("there is shared memory");
        let names = files.filter_map(|file| Some(file.ok()?.file_name().to_string_lossy().into_owned()));
        assert_eq!(names.filter(|name| name.starts_with(&prefix)).collect::<Vec<_>>(), Vec::<String>::new());
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for (_, child) in &mut self.programs {
            // Fails for a program that has ended already, as it should.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
