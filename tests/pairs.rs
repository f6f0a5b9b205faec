//! The examples that are two programs each, run as such: by a user who starts them in any order, and kills them.

use slipring::{Latest, Pipe};
use std::collections::HashMap;
use std::env;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{self, Child, ChildStdin, ChildStdout, Command, Stdio};

/// After so long a program is stuck, and is ended so that the test fails instead of hanging.
const LIMIT_S: u32 = 60;

/// A program that a test started, and what it prints. It ends with the test, whatever happens to that.
struct Program {
    child: Child,
    prints: Lines<BufReader<ChildStdout>>,
    types: Option<ChildStdin>,
}

impl Program {
    fn start(example: &str, domain: &str) -> Self {
        let mut command = Command::new(path(example));
        command.env("SLIPRING_DOMAIN", domain).stdin(Stdio::piped()).stdout(Stdio::piped());
        let limit = || {
            // SAFETY: takes an integer and cannot fail. What it sets outlives the exec.
            unsafe { libc::alarm(LIMIT_S) };
            Ok(())
        };
        // SAFETY: the closure makes one system call, which is allowed between fork and exec.
        unsafe { command.pre_exec(limit) };
        let mut child = command.spawn().expect("the example starts");
        let prints = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let types = child.stdin.take();
        Program { child, prints, types }
    }

    fn types(&mut self, line: &str) {
        let types = self.types.as_mut().expect("nothing has ended it");
        writeln!(types, "{line}").expect("the program reads");
    }

    /// Waits for the next line that begins with `start`.
    fn prints(&mut self, start: &str) -> String {
        let lines = self.prints.by_ref().map(|line| line.expect("the program prints text"));
        lines.into_iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("it never printed {start:?}"))
    }

    /// Ends its standard input, and waits for it to end.
    fn finish(mut self) {
        self.types = None;
        assert!(self.child.wait().expect("it can be waited for").success());
    }

    fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path(example: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows its own file");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("cargo runs it from target/<profile>/deps");
    let path = profile.join("examples").join(example);
    assert!(path.exists(), "{} is not there: run cargo build --examples", path.display());
    path
}

#[test]
fn a_calculator_keeps_its_stack_whatever_becomes_of_those_who_ask_it() {
    let domain = format!("pairs-{}-calculator", process::id());
    let mut calculate = Program::start("calculate", &domain);
    calculate.types("2 3 +");
    let mut calculator = Program::start("calculator", &domain);
    calculate.prints("5");
    calculate.types("4 *");
    calculate.prints("20");
    calculate.types("1 2 three +");
    calculate.prints("what is \"three\"?");
    calculate.kill();
    calculator.prints("pid ");
    let mut calculate = Program::start("calculate", &domain);
    calculate.types("0.5 ^ clear +");
    calculate.prints("what is \"+\"?");
    calculate.types("5 /");
    calculate.prints("4");
    calculate.finish();
    calculator.prints("1 numbers are on the stack");
    calculator.kill();
    // Killed on its way from one pipe to the next, it may have left none.
    Pipe::<u8, u8>::new("calculator").domain(&domain).remove().expect("nobody uses it");
    assert!(!Pipe::<u8, u8>::new("calculator").domain(domain).remove().expect("nobody uses it"));
}

#[test]
fn a_viewer_shows_new_samples_and_outlives_the_sampler() {
    let domain = format!("pairs-{}-load", process::id());
    let mut viewer = Program::start("load_viewer", &domain);
    viewer.prints("(waiting");
    let sampler = Program::start("load_sampler", &domain);
    let versions = [(); 3].map(|()| {
        let line = viewer.prints("sample ");
        line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a version")
    });
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    sampler.kill();
    viewer.prints("pid ");
    let sampler = Program::start("load_sampler", &domain);
    viewer.prints("sample ");
    viewer.kill();
    sampler.kill();
    assert!(Latest::<u8>::new("load").domain(domain).remove().expect("nobody uses it"));
}

#[test]
fn lines_of_many_connections_arrive_in_order() {
    let domain = format!("pairs-{}-ingest", process::id());
    let mut digest = Program::start("async_digest", &domain);
    let mut ingest = Program::start("async_ingest", &domain);
    let address = ingest.prints("listening on ").split_off("listening on ".len());
    // Nothing is received from one connection before there is another, so that the digest does not end in between.
    let clients = [(); 3].map(|()| TcpStream::connect(&address).expect("somebody listens"));
    for mut client in &clients {
        writeln!(client, "first").expect("the program reads");
        let port = client.local_addr().expect("it is connected").port();
        digest.prints(&format!("{port}: first"));
    }
    for mut client in &clients {
        (0..1000).for_each(|number| writeln!(client, "{number}").expect("the program reads"));
    }
    drop(clients);
    let mut next = HashMap::new();
    for line in digest.prints.by_ref().map(|line| line.expect("the program prints text")) {
        let Some((port, number)) = line.split_once(": ") else {
            assert_eq!(line, "the end, after 3003 lines");
            break;
        };
        let expected = next.entry(port.to_owned()).or_insert(0);
        assert_eq!(number, expected.to_string());
        *expected += 1;
    }
    digest.finish();
    ingest.kill();
}

#[test]
fn every_board_shows_what_one_process_counts() {
    let domain = format!("pairs-{}-departures", process::id());
    let output = Command::new(path("departures")).args(["--json", "-"]).env("SLIPRING_DOMAIN", domain).output();
    let output = output.expect("the example starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(r#""verified":true"#) && said.contains(r#""records":27004"#), "{said}");
}
