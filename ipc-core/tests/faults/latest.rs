//! Latest values whose writers are stopped and killed.

use super::support::{Child, Domain, PATIENCE, Part, listen, program, say};
use ipc_core::{Latest, OpenError, Peer, Role, WaitNewerError, Writer};
use std::thread;
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("latest_write_on_request", write_on_request),
    ("latest_write", write_until_killed),
    ("latest_write_large", write_large_until_killed),
    ("latest_hold_a_draft", hold_a_draft),
];

/// A value that is larger than a line, so that it can be torn.
type Small = [u64; 40];

/// 1 MiB.
type Large = [u64; 131_072];

/// The value that is written as version `version`: it shows whether it is whole, and whether its version is its own.
fn small(version: u64) -> Small {
    std::array::from_fn(|at| word(version, at))
}

fn word(version: u64, at: usize) -> u64 {
    version.wrapping_add(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The version as which a large value was written; `None` if it is not whole.
fn version_of(value: &Large) -> Option<u64> {
    let version = value[0];
    value.iter().enumerate().skip(1).all(|(at, &found)| found == word(version, at)).then_some(version)
}

fn fill_large(value: &mut Large, version: u64) {
    value.iter_mut().enumerate().for_each(|(at, place)| *place = word(version, at));
    value[0] = version;
}

fn value(domain: &str) -> Latest<Small> {
    Latest::new("value").domain(domain)
}

fn large_value(domain: &str) -> Latest<Large> {
    Latest::new("large").domain(domain)
}

/// Writes the next version.
fn write_next(writer: &mut Writer<Small>) -> u64 {
    let version = writer.version() + 1;
    assert_eq!(writer.write(small(version)), Ok(version));
    version
}

/// Writes one value for every line that it is told, and says its version.
fn write_on_request(domain: &str) {
    let mut writer = value(domain).writer().unwrap();
    say("ready");
    while listen().is_some() {
        say(write_next(&mut writer).to_string());
    }
}

fn write_until_killed(domain: &str) {
    let mut writer = value(domain).writer().unwrap();
    say(writer.version().to_string());
    loop {
        write_next(&mut writer);
    }
}

fn write_large_until_killed(domain: &str) {
    let mut writer = large_value(domain).writer().unwrap();
    say(writer.version().to_string());
    loop {
        let version = writer.version() + 1;
        let mut draft = writer.loan().unwrap();
        fill_large(&mut draft, version);
        assert_eq!(draft.publish(), version);
    }
}

fn hold_a_draft(domain: &str) {
    let mut writer = value(domain).writer().unwrap();
    let mut draft = writer.loan().unwrap();
    draft.fill(7);
    say("half a value");
    listen();
}

/// A child that has said that it is ready.
fn ready(part: &str, domain: &Domain) -> Child {
    let mut child = Child::start(part, domain);
    assert_eq!(child.hear(), "ready");
    child
}

fn tell_to_write(child: &mut Child) -> u64 {
    child.tell("write");
    child.hear().parse().unwrap()
}

fn died(child_pid: u32) -> WaitNewerError {
    WaitNewerError::WriterDied(Peer { pid: child_pid, program: program().into() })
}

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn whichever_writer_is_killed_no_value_is_torn_and_versions_go_on() {
    let domain = Domain::new("latest-killed");
    let mut reader = value(domain.name()).reader().unwrap();
    let (mut random, mut last, mut seen) = (0x2545_F491_u64, 0, 0);
    for _ in 0..30 {
        let mut child = Child::start("latest_write", &domain);
        let found: u64 = child.hear().parse().unwrap();
        assert!(found >= last, "the successor goes on at version {found}, and {last} has been read");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let until = seen + (random >> 58);
        while seen < until {
            if let Some(value) = reader.read().unwrap() {
                assert!(reader.version() >= last);
                assert!(value == small(reader.version()), "version {} is torn", reader.version());
                seen += u64::from(reader.version() != last);
                last = reader.version();
            }
            // The writer may have to wait for this one's processor.
            thread::yield_now();
        }
        let pid = child.pid();
        child.kill();
        // What it wrote since, if anything, and then the news.
        if let Ok(newer) = reader.wait_newer(PATIENCE) {
            assert_eq!(newer, Some(small(reader.version())));
            assert_eq!(reader.wait_newer(PATIENCE), Err(died(pid)));
        }
        assert_eq!(reader.poll(Duration::ZERO), Ok(false), "the death has been reported");
        last = reader.version();
    }
}

#[test]
fn a_large_value_is_never_torn_by_a_writer_at_full_speed() {
    let domain = Domain::new("latest-large");
    let mut reader = large_value(domain.name()).reader().unwrap();
    let mut last = 0;
    for _ in 0..5 {
        let mut child = Child::start("latest_write_large", &domain);
        assert!(child.hear().parse::<u64>().unwrap() >= last);
        for _ in 0..25 {
            assert_eq!(reader.poll(PATIENCE), Ok(true));
            let version = version_of(reader.read_ref().unwrap().unwrap()).expect("the value is whole");
            assert_eq!(reader.version(), version);
            assert!(reader.version() > last);
            last = reader.version();
        }
        let pid = child.pid();
        child.kill();
        while reader.poll(PATIENCE) == Ok(true) {
            last = version_of(reader.read_ref().unwrap().unwrap()).expect("the value is whole");
            assert_eq!(reader.version(), last);
        }
        // The loop ends with the news.
        assert_eq!(reader.writer(), None, "{pid} is dead");
    }
    assert_eq!(reader.info().capacity, 1);
}

#[test]
fn a_draft_that_dies_with_its_writer_changes_nothing() {
    let domain = Domain::new("latest-draft");
    let mut reader = value(domain.name()).reader().unwrap();
    let mut child = ready("latest_write_on_request", &domain);
    (1..=4).for_each(|version| assert_eq!(tell_to_write(&mut child), version));
    child.finish();
    let mut child = Child::start("latest_hold_a_draft", &domain);
    assert_eq!(child.hear(), "half a value");
    assert_eq!(reader.read(), Ok(Some(small(4))));
    let pid = child.pid();
    child.kill();
    assert_eq!(reader.read(), Ok(Some(small(4))));
    assert_eq!(reader.wait_newer(PATIENCE), Err(died(pid)));
    let mut writer = value(domain.name()).writer().unwrap();
    assert_eq!(writer.version(), 4);
    assert_eq!(writer.info().predecessor.as_ref().map(|peer| peer.pid), Some(pid));
    write_next(&mut writer);
    assert_eq!(reader.read(), Ok(Some(small(5))));
}

#[test]
fn a_killed_writer_is_reported_once_and_a_closed_one_for_as_long_as_it_is() {
    let domain = Domain::new("latest-gone");
    let mut reader = value(domain.name()).reader().unwrap();
    assert_eq!(reader.wait_newer(MOMENT), Ok(None), "nobody has come yet");
    let mut child = ready("latest_write_on_request", &domain);
    tell_to_write(&mut child);
    let pid = child.pid();
    child.kill();
    assert_eq!(reader.wait_newer(PATIENCE), Ok(Some(small(1))));
    assert_eq!(reader.wait_newer(PATIENCE), Err(died(pid)));
    assert_eq!(reader.wait_newer(MOMENT), Ok(None));
    // Who comes now is told too: the value that it reads has lost its author.
    let mut late = value(domain.name()).reader().unwrap();
    assert_eq!(late.wait_newer(PATIENCE), Ok(Some(small(1))));
    assert_eq!(late.wait_newer(PATIENCE), Err(died(pid)));

    let mut writer = value(domain.name()).writer().unwrap();
    write_next(&mut writer);
    drop(writer);
    assert_eq!(reader.wait_newer(PATIENCE), Ok(Some(small(2))));
    for _ in 0..2 {
        assert_eq!(reader.wait_newer(PATIENCE), Err(WaitNewerError::Closed));
        assert_eq!(reader.poll(Duration::ZERO), Err(WaitNewerError::Closed));
    }
    let mut late = value(domain.name()).reader().unwrap();
    assert_eq!(late.wait_newer(PATIENCE), Ok(Some(small(2))));
    assert_eq!(late.wait_newer(PATIENCE), Err(WaitNewerError::Closed));
    let mut writer = value(domain.name()).writer().unwrap();
    assert_eq!(reader.wait_newer(MOMENT), Ok(None), "there is a writer again");
    write_next(&mut writer);
    assert_eq!(reader.wait_newer(PATIENCE), Ok(Some(small(3))));
}

#[test]
fn a_stopped_writer_is_not_taken_for_dead() {
    let domain = Domain::new("latest-stopped");
    let mut reader = value(domain.name()).reader().unwrap();
    let mut child = ready("latest_write_on_request", &domain);
    tell_to_write(&mut child);
    child.stop();
    assert_eq!(reader.read(), Ok(Some(small(1))));
    assert_eq!(reader.wait_newer(Duration::from_millis(300)), Ok(None));
    assert_eq!(reader.writer().map(|peer| peer.pid), Some(child.pid()));
    match value(domain.name()).writer() {
        Err(OpenError::InUse { role: Role::Writer, peer, .. }) => assert_eq!(peer.pid, child.pid()),
        other => panic!("its place was given away: {other:?}"),
    }
    child.resume();
    tell_to_write(&mut child);
    assert_eq!(reader.wait_newer(PATIENCE), Ok(Some(small(2))));
    child.finish();
}

#[test]
fn after_everybody_was_killed_the_value_is_still_there() {
    let domain = Domain::new("latest-all-killed");
    let mut child = ready("latest_write_on_request", &domain);
    tell_to_write(&mut child);
    child.kill();
    assert_eq!(value(domain.name()).reader().unwrap().read(), Ok(Some(small(1))));
    assert!(!domain.path("value").exists());
}
