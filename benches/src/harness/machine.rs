//! Where and how measurements are taken: what a figure means nothing without.

use super::plan::Failure;
use serde::{Deserialize, Serialize};
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// One run of this program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The day, as `2026-01-31`.
    pub(crate) date: String,
    /// What was typed.
    pub(crate) command: String,
    /// Model of the processors, how many there are, and caches.
    pub(crate) machine: String,
    /// Name and version of the kernel.
    pub(crate) kernel: String,
    /// The compiler.
    pub(crate) rust: String,
    /// The processors that the contestants were pinned to, and what the system says of them.
    pub(crate) topology: String,
    /// Round trips of one cache line between them, in nanoseconds: smallest, median and largest of all that were measured.
    pub(crate) line_ns: [f64; 3],
}

impl Run {
    /// This run, as far as it is known before anything is measured.
    pub(crate) fn here(pins: [usize; 2]) -> Run {
        Run {
            date: today(),
            command: std::env::args().skip(1).fold("slipring-benches".into(), |line, word| line + " " + &word),
            machine: machine(),
            kernel: kernel(),
            rust: first_line("rustc", "--version"),
            topology: topology(pins),
            line_ns: [0.0; 3],
        }
    }
}

fn machine() -> String {
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let virtual_one = field("/proc/cpuinfo", "flags").is_some_and(|flags| flags.contains("hypervisor"));
    let cache = |index: usize| {
        let read = |name| fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}"));
        let (level, kind, size) = (read("level").ok()?, read("type").ok()?, read("size").ok()?);
        (kind.trim() != "Instruction").then(|| format!("L{} {}", level.trim(), size.trim()))
    };
    let caches: Vec<_> = (0..4).filter_map(cache).collect();
    let kind = if virtual_one { "virtual processors" } else { "processors" };
    format!("{processors} {kind}, {model}, caches {}", caches.join(", "))
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

/// What the system says of the two processors.
fn topology(pins: [usize; 2]) -> String {
    let [first, second] = pins.map(|processor| {
        let read = |name| fs::read_to_string(format!("/sys/devices/system/cpu/cpu{processor}/topology/{name}"));
        let said = |name| read(name).map_or_else(|_| "?".into(), |text| text.trim().to_string());
        format!("processor {processor}: package {}, core {}", said("physical_package_id"), said("core_id"))
    });
    format!("{first}; {second}")
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn first_line(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    text.unwrap_or_else(|_| "unknown".into())
}

/// The day by the calendar, in UTC.
fn today() -> String {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    let (year, month, day) = civil(days as i64);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of a number of days since 1970. Years begin in March here, so that a leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Which versions of what is measured this program was built with.
pub(crate) fn versions(packages: &[&str]) -> Result<Vec<(String, String)>, Failure> {
    let lock = include_str!("../../../Cargo.lock");
    let version = |package: &&str| {
        let start = lock.find(&format!("name = \"{package}\"\n"))?;
        let line = lock[start..].lines().nth(1)?;
        Some((package.to_string(), line.split('"').nth(1)?.to_string()))
    };
    Ok(packages.iter().filter_map(version).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_782), (2026, 11, 25));
    }
}
