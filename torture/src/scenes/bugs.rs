//! Other people's bugs: where other libraries hang, lose, leak or get slow, as scenes of ours.
//!
//! Where a test shows it, the scene runs that test; where it is a matter of every instruction, it is a part of the
//! instruction sweep; the rest is played here.

mod plays;
mod table;

pub(crate) use plays::PARTS;

use super::{End, Plan, Seen};
use crate::check::{Check, Context, ensure};
use crate::report::Tally;
use crate::sweep;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use table::{BUGS, Proof};

/// The campaign's name.
pub(crate) const NAME: &str = "other-peoples-bugs";

/// Runs the campaign.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) {
    for bug in BUGS.iter().filter(|bug| plan.has(bug.name)) {
        super::run(NAME, bug.name, tally, || {
            let mut end = match bug.proof {
                Proof::Play(play) => play(),
                Proof::Test { file, names } => test(file, names),
                Proof::Sweep(places) => sweep_over(places, plan.is_long),
                Proof::Script(path) => script(path),
            }?;
            if let End::Fine(seen) = &mut end {
                seen.more.push(("theirs", json!(bug.theirs)));
            }
            Ok(end)
        });
    }
}

/// Where the workspace is, if it still is where this was built.
fn workspace() -> Option<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|path| path.join("Cargo.toml").is_file())
}

/// Runs tests of the workspace, each of which has to be there and to pass.
fn test(file: &str, names: &[&str]) -> Check<End> {
    let Some(workspace) = workspace() else { return Ok(End::Skipped("the sources are not here".to_string())) };
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let mut command = Command::new(cargo);
    command.current_dir(workspace).args(["test", "--workspace", "--locked", "--quiet", "--test", file]);
    // What it runs must not think that it is a part of this program's build.
    let output = command.args(["--", "--exact"]).args(names).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return Ok(End::Skipped(format!("cargo cannot be started: {error}"))),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    ensure(output.status.success(), || format!("{file} fails:\n{said}{}", String::from_utf8_lossy(&output.stderr)))?;
    let is_all = said.contains(&format!("ok. {} passed", names.len()));
    ensure(is_all, || format!("not all of {names:?} are in {file}:\n{said}"))?;
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
    let Some(workspace) = workspace() else { return Ok(End::Skipped("the sources are not here".to_string())) };
    let output = Command::new(workspace.join(path)).current_dir(workspace).output().at("a script is started")?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure(output.status.success(), || format!("{path} fails:\n{said}"))?;
    Ok(Seen { cases: 1, ..Seen::default() }.into())
}
