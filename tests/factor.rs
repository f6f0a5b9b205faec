//! The example `factor` as a user runs it, and with a server that is killed on the way.

use std::env;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// The example, which cargo builds along with the tests, into a directory beside theirs.
fn example(domain: &str, args: &[&str]) -> Command {
    let test = env::current_exe().expect("a test knows its own file");
    let profile: PathBuf = test.ancestors().nth(2).expect("cargo runs it from target/<profile>/deps").into();
    let mut command = Command::new(profile.join("examples/factor"));
    command.args(args).env("SLIPRING_DOMAIN", format!("factor-test-{}-{domain}", std::process::id()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn start(domain: &str, args: &[&str]) -> Child {
    example(domain, args).spawn().expect("the example starts")
}

fn finish(child: Child) -> String {
    let Output { status, stdout, .. } = child.wait_with_output().expect("it ends");
    assert!(status.success(), "{status}");
    String::from_utf8(stdout).expect("it prints text")
}

#[test]
fn every_answer_is_verified() {
    let said = finish(start("all", &["--numbers", "50", "--json", "-"]));
    let result: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(result["example"], "factor");
    assert_eq!(result["verified"], true);
    assert_eq!(result["records"], 100);
    let answered: u64 = result["answered"].as_array().expect("of each server").iter().filter_map(|n| n.as_u64()).sum();
    assert_eq!(answered, 100);
}

#[test]
fn processes_start_in_any_order_and_survive_a_killed_server() {
    let client = start("killed", &["--numbers", "400", "ask-many", "7"]);
    let mut first = start("killed", &["serve"]);
    let second = start("killed", &["serve"]);
    first.kill().expect("it can be killed");
    first.wait().expect("and waited for");
    let said = finish(client);
    assert!(said.split(' ').next().is_some_and(|repeated| repeated.parse::<u64>().is_ok()), "{said}");
    assert!(finish(second).trim().parse::<u64>().expect("it says how many it answered") <= 400);
}

#[test]
fn numbers_are_factorised_by_hand() {
    let server = start("hand", &["serve"]);
    let said = finish(start("hand", &["ask", "600851475143", "18446744073709551615", "1048576"]));
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "600851475143 = 71 * 839 * 1471 * 6857",
            "18446744073709551615 = 3 * 5 * 17 * 257 * 641 * 65537 * 6700417",
            "1048576 = 2^20",
        ]
    );
    finish(server);
}
