//! The example `flights` as a user runs it: with good and bad input, interrupted, and with roles killed.

#[path = "flights/program.rs"]
mod program;

use program::{Ended, Program, segments_of, wait_until};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process;

const JANUARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/nycflights13/flights-2013-01.csv");

/// A row whose departure delay is no number.
const BAD_ROW: &str = "2013,1,1,517,515,soon,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z";

#[test]
fn january_is_verified_over_every_transport() {
    let ended = run(&["--json", "-"]).expect_code(0).expect_line("27,004 records, 0 rows rejected; verified");
    let figures = ended.figures();
    let transports: Vec<_> = figures.iter().map(|line| line["transport"].as_str().unwrap_or("none")).collect();
    assert_eq!(transports, ["slipring", "pipe", "pipe-64k"]);
    for line in &figures {
        assert_eq!(line["example"], "flights");
        assert_eq!(line["verified"], true);
        assert_eq!(line["records"], 27_004);
        assert_eq!(line["rejected"], 0);
        let percentiles = ["latency_p50_ns", "latency_p99_ns", "latency_p99_9_ns"].map(|name| line[name].as_u64());
        assert!(percentiles.is_sorted() && percentiles[0] > Some(0), "{line}");
        for name in ["records_per_s", "cpu_s", "ratio"] {
            assert!(line[name].as_f64() > Some(0.0), "{name} in {line}");
        }
    }
    assert_eq!(figures[0]["ratio"], 1.0);
}

#[test]
fn a_row_that_does_not_parse_is_shown_and_counted() {
    let mut lines = january(8);
    lines.insert(2, BAD_ROW.to_owned());
    lines.insert(5, "2013,1,1".to_owned());
    lines.insert(6, BAD_ROW.replace("soon", "NA").replace("EWR", "SFO"));
    let data = write("rejected.csv", &lines);
    let json = scratch("rejected.json");
    let ended = run(&["--data", &data, "--json", &json]).expect_code(0);
    let rejected: Vec<_> = ended.stderr.iter().filter(|line| line.starts_with("flights: line ")).collect();
    assert_eq!(
        rejected,
        [
            "flights: line 3: column `dep_delay` has \"soon\" where it should have a whole number of minutes or NA",
            "flights: line 6: it has 3 fields where the header has 19",
            "flights: line 7: column `origin` has \"SFO\" where it should have EWR, JFK or LGA",
        ]
    );
    assert!(ended.stdout.contains("8 records, 3 rows rejected; verified"), "{}", ended.stdout);
    let figures = fs::read_to_string(&json).expect("the figures were written");
    assert_eq!(figures.lines().filter(|line| line.contains(r#""records":8,"rejected":3"#)).count(), 3, "{figures}");
}

#[test]
fn a_zip_archive_is_unpacked() {
    let path = zip("one.zip", &[("data/flights.csv", &january(50).join("\n")), ("README.md", "50 flights")]);
    let ended = run(&["--no-pipes", "--data", &path]).expect_code(0);
    assert!(ended.stdout.contains("50 records, 0 rows rejected; verified"), "{}", ended.stdout);
}

#[test]
fn no_verify_says_so() {
    let data = write("unverified.csv", &january(5));
    let ended = run(&["--no-verify", "--no-pipes", "--data", &data, "--json", "-"]);
    let ended = ended.expect_code(0).expect_line("5 records, 0 rows rejected; not compared");
    let figures = ended.figures();
    assert_eq!(figures.len(), 1);
    assert!(figures[0]["verified"].is_null());
}

#[test]
fn data_that_cannot_be_used_is_an_error_that_says_what_to_do() {
    let two = zip("two.zip", &[("a.csv", "x"), ("b.csv", "y")]);
    let torn = scratch("torn.zip");
    fs::write(&torn, &fs::read(&two).expect("it was just written")[..40]).expect("the file can be written");
    let foreign = write("foreign.csv", &["carrier,name".to_owned(), "UA,United".to_owned()]);
    let empty = write("empty.csv", &[]);
    let cases = [
        ("/nowhere/flights.csv", "cannot read /nowhere/flights.csv: No such file"),
        ("/tmp", "cannot read /tmp: Is a directory"),
        (&two, "two.zip: it has 2 CSV files, not one; give --data a CSV file"),
        (&torn, "cannot unpack"),
        (&foreign, "the file has no column `dep_time`; it needs those of nycflights13's flights.csv"),
        (&empty, "the file has no column `dep_time`"),
    ];
    for (data, error) in cases {
        run(&["--data", data]).expect_code(1).expect_line(error);
    }
    run(&["--airlines", "/nowhere/airlines.csv"]).expect_code(1).expect_line("give --airlines a CSV file");
    run(&["--json", "/nowhere/figures.json"]).expect_code(1).expect_line("give --json a file");
}

#[test]
fn ctrl_c_ends_all_roles_and_leaves_nothing() {
    let data = write("ctrl-c.csv", &january_with_bad_row_at(20));
    let mut flights = Program::start("unused", &["--data", &data, "--rate", "50"]);
    let roles = flights.wait_for_roles("slipring");
    assert_eq!(roles.len(), 3);
    flights.wait_for_line("flights: line 20: ");
    flights.signal_group(libc::SIGINT);
    expect_interrupted(flights, &roles);
}

#[test]
fn an_end_of_the_parent_alone_ends_all_roles() {
    let data = write("sigterm.csv", &january_with_bad_row_at(20));
    let mut flights = Program::start("unused", &["--data", &data, "--rate", "50"]);
    let roles = flights.wait_for_roles("slipring");
    flights.wait_for_line("flights: line 20: ");
    flights.signal(libc::SIGTERM);
    expect_interrupted(flights, &roles);
}

#[test]
fn ctrl_c_ends_the_roles_of_a_pipe_too() {
    let data = write("ctrl-c-pipe.csv", &january(60));
    let mut flights = Program::start("unused", &["--data", &data, "--rate", "100"]);
    let roles = flights.wait_for_roles("pipe");
    flights.signal_group(libc::SIGINT);
    expect_interrupted(flights, &roles);
}

#[test]
fn a_killed_parent_leaves_no_role() {
    let data = write("orphans.csv", &january_with_bad_row_at(20));
    let mut flights = Program::start("unused", &["--data", &data, "--rate", "50"]);
    let roles = flights.wait_for_roles("slipring");
    flights.wait_for_line("flights: line 20: ");
    flights.signal(libc::SIGKILL);
    let domain = domain_of(&flights);
    roles.iter().for_each(program::Role::wait_for_end);
    wait_until("its channels are removed", || segments_of(&domain).is_empty());
    assert_eq!(flights.end().code, None);
}

#[test]
fn a_killed_role_ends_the_run() {
    let data = write("killed-role.csv", &january_with_bad_row_at(20));
    for victim in ["ingest", "enrich", "aggregate"] {
        let mut flights = Program::start("unused", &["--data", &data, "--rate", "50"]);
        let roles = flights.wait_for_roles("slipring");
        flights.wait_for_line("flights: line 20: ");
        let victim = roles.iter().find(|role| role.name == victim).expect("the roles are named");
        victim.kill();
        let domain = domain_of(&flights);
        let message = format!("{} (pid {}) ended early (signal: 9 (SIGKILL))", victim.name, victim.pid);
        flights.end().expect_code(1).expect_line(&message);
        roles.iter().for_each(program::Role::wait_for_end);
        assert_eq!(segments_of(&domain), Vec::<String>::new());
    }
}

#[test]
fn roles_by_hand_meet_in_either_order() {
    let data = write("by-hand.csv", &january(200));
    let expected = run(&["--no-pipes", "--data", &data]).expect_code(0);
    let roles: [&[&str]; 3] = [&["ingest", "--data", &data], &["enrich"], &["aggregate"]];
    for order in [[0, 1, 2], [2, 1, 0]] {
        let domain = domain(&format!("order-{}", order[0]));
        let programs = order.map(|role| Program::start(&domain, roles[role]));
        let [ingest, .., aggregate] = {
            let mut ended = programs.map(|program| program.end().expect_code(0));
            if order[0] != 0 {
                ended.reverse();
            }
            ended
        };
        ingest.expect_line("ingest: 200 rows sent, 0 rejected");
        assert_eq!(aggregate.groups(), expected.groups());
        assert_eq!(segments_of(&domain), Vec::<String>::new());
    }
}

#[test]
fn rows_wait_for_an_enrich_that_comes_later() {
    let data = write("later.csv", &january(50));
    let domain = domain("later");
    Program::start(&domain, &["ingest", "--data", &data]).end().expect_code(0);
    // An ingest that fails does not take the rows of another one with it.
    Program::start(&domain, &["ingest", "--data", "/nowhere/flights.csv"]).end().expect_code(1);
    Program::start(&domain, &["enrich"]).end().expect_code(0);
    let aggregate = Program::start(&domain, &["aggregate"]).end().expect_code(0);
    assert!(aggregate.stdout.contains("50 records"), "{}", aggregate.stdout);
    assert_eq!(segments_of(&domain), Vec::<String>::new());
}

#[test]
fn a_killed_ingest_is_reported_and_its_successor_goes_on() {
    let data = write("successor.csv", &january_with_bad_row_at(100));
    let expected = run(&["--no-pipes", "--data", &data]).expect_code(0);
    let domain = domain("successor");
    let aggregate = Program::start(&domain, &["aggregate"]);
    let mut enrich = Program::start(&domain, &["enrich"]);
    let mut ingest = Program::start(&domain, &["ingest", "--data", &data, "--rate", "200"]);

    ingest.wait_for_line("ingest: line 100: ");
    ingest.signal(libc::SIGKILL);
    let died = enrich.wait_for_line("died without closing; waiting for another one");
    assert!(died.contains(&format!("enrich: the sender (pid {} \"flights\")", ingest.pid())), "{died}");
    drop(ingest);

    let successor = Program::start(&domain, &["ingest", "--data", &data]);
    successor.end().expect_code(0).expect_line("ingest: 299 rows sent, 1 rejected");
    enrich.end().expect_code(0).expect_line("rows came twice, from an ingest that was started anew; they count once");
    let aggregate = aggregate.end().expect_code(0);
    assert_eq!(aggregate.groups(), expected.groups());
    assert!(aggregate.stdout.contains("299 records"), "{}", aggregate.stdout);
    assert_eq!(segments_of(&domain), Vec::<String>::new());
}

#[test]
fn a_role_by_hand_that_is_interrupted_leaves_nothing() {
    let data = write("alone.csv", &january(30));
    let domain = domain("alone");
    let mut ingest = Program::start(&domain, &["ingest", "--data", &data, "--rate", "1"]);
    ingest.wait_for_line("ingest: sending on channel");
    ingest.signal(libc::SIGINT);
    ingest.end().expect_code(130);
    assert_eq!(segments_of(&domain), Vec::<String>::new());
}

#[test]
fn a_second_ingest_is_told_who_has_the_channel() {
    let data = write("second.csv", &january_with_bad_row_at(3));
    let domain = domain("second");
    let mut first = Program::start(&domain, &["ingest", "--data", &data, "--rate", "1"]);
    first.wait_for_line("ingest: line 3: ");
    let second = Program::start(&domain, &["ingest", "--data", &data]);
    second.end().expect_code(1).expect_line(&format!("pid {} \"flights\"", first.pid()));
    first.signal(libc::SIGTERM);
    first.end().expect_code(130);
    assert_eq!(segments_of(&domain), Vec::<String>::new());
}

/// Runs `flights` to its end, and checks that it leaves nothing behind.
#[track_caller]
fn run(args: &[&str]) -> Ended {
    let flights = Program::start("unused", args);
    let domain = domain_of(&flights);
    let ended = flights.end();
    assert_eq!(segments_of(&domain), Vec::<String>::new());
    ended
}

/// Waits for the end of an interrupted run, of which nothing must be left.
#[track_caller]
fn expect_interrupted(flights: Program, roles: &[program::Role]) {
    let domain = domain_of(&flights);
    flights.end().expect_code(130).expect_line("flights: interrupted");
    roles.iter().for_each(program::Role::wait_for_end);
    assert_eq!(segments_of(&domain), Vec::<String>::new());
}

/// The domain that a run gives to its roles.
fn domain_of(flights: &Program) -> String {
    format!("flights-{}", flights.pid())
}

/// A domain for roles by hand.
fn domain(test: &str) -> String {
    format!("test-flights-{}-{test}", process::id())
}

/// The header and the first rows of January.
fn january(rows: usize) -> Vec<String> {
    let text = fs::read_to_string(JANUARY).expect("the data is part of the repository");
    text.lines().take(rows + 1).map(str::to_owned).collect()
}

/// 300 lines of data, of which ingest refuses the one with this number: a sign of how far it has come.
fn january_with_bad_row_at(line: usize) -> Vec<String> {
    let mut lines = january(299);
    lines.insert(line - 1, BAD_ROW.to_owned());
    lines
}

/// A path for a file of a test. No two tests use the same name.
fn scratch(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("flights-{name}"));
    path.to_str().expect("the target directory has a name in UTF-8").to_owned()
}

fn write(name: &str, lines: &[String]) -> String {
    let path = scratch(name);
    fs::write(&path, lines.join("\n")).expect("the target directory can be written");
    path
}

fn zip(name: &str, files: &[(&str, &str)]) -> String {
    let path = scratch(name);
    let mut archive = zip::ZipWriter::new(fs::File::create(&path).expect("the target directory can be written"));
    for (name, text) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).expect("the name is fit for an archive");
        archive.write_all(text.as_bytes()).expect("the archive can be written");
    }
    archive.finish().expect("the archive can be written");
    path
}
