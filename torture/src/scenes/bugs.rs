//! Other people's bugs: where other libraries hang, lose, leak or get slow, as scenes of ours.
//!
//! Where a test shows it, the scene runs that test; where it is a matter of every instruction, it is a part of the
//! instruction sweep; the rest is played here.

mod plays;
mod table;

pub(crate) use plays::PARTS;

use super::{End, Plan, Seen};
use crate::cargo::{self, Harness, Workshop};
use crate::check::{Check, Context, ensure};
use crate::report::Tally;
use crate::sweep;
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use table::{BUGS, Proof};

/// The campaign's name.
pub(crate) const NAME: &str = "other-peoples-bugs";

/// After so long a test hangs.
const TEST_LIMIT_S: u32 = 300;

/// Runs the campaign.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) {
    for bug in BUGS.iter().filter(|bug| plan.has(bug.name)) {
        super::run(NAME, bug.name, tally, || {
            let mut end = match bug.proof {
                Proof::Play(play) => play(),
                Proof::Test { file, names } => test(file, names),
                Proof::Sweep(places) => sweep_over(places, plan.is_long),
                Proof::Script(path) if plan.is_long => script(path),
                Proof::Script(path) => Ok(End::Skipped(format!("{path} is run before a change lands"))),
            }?;
            if let End::Fine(seen) = &mut end {
                seen.more.push(("theirs", json!(bug.theirs)));
            }
            Ok(end)
        });
    }
}

/// Runs tests of the workspace, each of which has to be there and to pass.
fn test(file: &str, names: &[&str]) -> Check<End> {
    let Ok(tree) = cargo::root() else { return Ok(End::Skipped("the sources are not here".to_string())) };
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tree.join("target"), PathBuf::from);
    let shop = Workshop { tree, target, is_enclosed: false, variables: Vec::new() };
    for name in names {
        let harness = Harness::Test(file.to_string(), name.to_string());
        let (end, said) = harness.run(&shop, TEST_LIMIT_S)?;
        let is_one = end == cargo::End::Passed && said.contains("ok. 1 passed");
        ensure(is_one, || format!("{name} of {file}: {end:?}\n{said}"))?;
    }
    Ok(Seen { cases: names.len() as u64, ..Seen::default() }.into())
}

/// Parts of the instruction sweep.
fn sweep_over(places: &[sweep::Place], is_long: bool) -> Check<End> {
    let mut cases = 0;
    for place in places {
        match sweep::at(place, is_long)? {
            Ok(more) => cases += more,
            Err(why) => return Ok(End::Skipped(why)),
        }
    }
    Ok(Seen { cases, ..Seen::default() }.into())
}

/// Runs a script of the workspace.
fn script(path: &str) -> Check<End> {
    let Ok(tree) = cargo::root() else { return Ok(End::Skipped("the sources are not here".to_string())) };
    let output = Command::new(tree.join(path)).current_dir(tree).output().at("a script is started")?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure(output.status.success(), || format!("{path} fails:\n{said}"))?;
    Ok(Seen { cases: 1, ..Seen::default() }.into())
}
