//! Lossy subscribers that can only read the segment, as they do unless their process publishes as well.

mod support;

use ipc_core::{BroadcastRecvTimeoutError, OpenError, Subscriber};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::time::Duration;
use support::news::{Message, TIMEOUT, lossy, message, recv};
use support::{Child, Domain, PATIENCE, Part, is_root, listen, play, say, skip};

const PARTS: &[(&str, Part)] =
    &[("publish_lossily", publish_lossily), ("hold_a_lossy_loan", hold_a_lossy_loan), ("read_and_say", read_and_say)];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// Publishes a message to a lossy channel for every line, and says that it has.
fn publish_lossily(domain: &str) {
    let mut publisher = lossy(domain).publisher().unwrap();
    say("ready");
    for number in 0.. {
        if listen().is_none() {
            return;
        }
        publisher.send(message(0, number)).unwrap();
        say("sent");
    }
}

fn hold_a_lossy_loan(domain: &str) {
    let mut publisher = lossy(domain).publisher().unwrap();
    let loan = publisher.loan().unwrap();
    say("held");
    listen();
    drop(loan);
}

/// Says how the segment is mapped, and then everything that it receives from it.
fn read_and_say(domain: &str) {
    let mut subscriber = lossy(domain).subscriber().unwrap();
    say(mapped_as(file_number(&subscriber)).join(" "));
    loop {
        match recv(&mut subscriber) {
            Ok(Some((publisher, number))) => say(format!("{publisher} {number}")),
            Ok(None) => return say("end"),
            Err(BroadcastRecvTimeoutError::PublisherDied(_)) => say("died"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The number of a segment's file. What is mapped goes by it, since whoever created it has mapped it without its name.
fn file_number(subscriber: &Subscriber<Message>) -> u64 {
    std::fs::metadata(&subscriber.info().path).unwrap().ino()
}

/// The permissions of this process's mappings of a file in shared memory.
fn mapped_as(file_number: u64) -> Vec<String> {
    let (maps, number) = (std::fs::read_to_string("/proc/self/maps").unwrap(), file_number.to_string());
    let is_of_file = |line: &&str| line.contains("/dev/shm/") && line.split_whitespace().nth(4) == Some(&*number);
    let lines = maps.lines().filter(is_of_file);
    lines.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect()
}

#[test]
#[cfg_attr(feature = "portable", ignore = "there are no read-only mappings")]
fn a_lossy_subscriber_maps_the_segment_read_only_unless_its_process_publishes() {
    let domain = Domain::new("read-only");
    let mut subscriber = lossy(domain.name()).subscriber().unwrap();
    let file = file_number(&subscriber);
    assert_eq!(mapped_as(file), ["r--s"]);
    // It takes part all the same, and gets everything, also what it has to sleep for.
    let mut child = Child::start("publish_lossily", &domain);
    assert_eq!(child.hear(), "ready");
    for number in 0..20 {
        assert_eq!(subscriber.recv_timeout(Duration::from_millis(number)).map(|_| None), TIMEOUT);
        child.tell("publish");
        assert_eq!(recv(&mut subscriber), Ok(Some((0, number))));
    }
    assert_eq!(mapped_as(file), ["r--s"]);
    assert!(matches!(lossy(domain.name()).remove(), Err(OpenError::InUse { .. })));
    child.finish();
    assert_eq!(recv(&mut subscriber), Ok(None));
    let mut publisher = lossy(domain.name()).publisher().unwrap();
    publisher.send(message(1, 0)).unwrap();
    assert_eq!(recv(&mut subscriber), Ok(Some((1, 0))));
    let mut ways = mapped_as(file);
    ways.sort();
    assert_eq!(ways, ["r--s", "rw-s"]);
    // Whoever comes now shares the one that is there.
    let mut second = lossy(domain.name()).subscriber().unwrap();
    drop(subscriber);
    assert_eq!(mapped_as(file), ["rw-s"]);
    publisher.send(message(1, 1)).unwrap();
    assert_eq!(recv(&mut second), Ok(Some((1, 1))));
    drop((publisher, second));
    assert_eq!(mapped_as(file), [""; 0]);
}

#[test]
#[cfg_attr(feature = "portable", ignore = "there are no read-only mappings")]
fn a_place_is_taken_over_from_a_read_only_subscriber_that_was_killed() {
    let domain = Domain::new("taken-over");
    let mut publisher = lossy(domain.name()).publisher().unwrap();
    for round in 0..3 {
        let mut child = Child::start("read_and_say", &domain);
        assert_eq!(child.hear(), "r--s");
        publisher.send(message(0, round)).unwrap();
        assert_eq!(child.hear(), format!("0 {round}"));
        child.kill();
    }
    let subscriber = lossy(domain.name()).subscriber().unwrap();
    assert!(subscriber.info().predecessor.is_some());
}

#[test]
#[cfg_attr(feature = "portable", ignore = "there are no read-only mappings")]
fn a_read_only_subscriber_steps_over_what_a_publisher_died_with() {
    let domain = Domain::new("step-over");
    let mut subscriber = lossy(domain.name()).subscriber().unwrap();
    for deaths in 1..=3 {
        let mut child = Child::start("hold_a_lossy_loan", &domain);
        assert_eq!(child.hear(), "held");
        // It is neither repaired by anybody else, since the publisher after the hole does not wait, nor robbed.
        let mut after = Child::start("publish_lossily", &domain);
        assert_eq!(after.hear(), "ready");
        after.tell("publish");
        assert_eq!(after.hear(), "sent");
        assert_eq!(subscriber.recv_timeout(Duration::from_millis(200)).map(|_| None), TIMEOUT);
        child.kill();
        assert_eq!(subscriber.recv_timeout(PATIENCE), Err(BroadcastRecvTimeoutError::Lagged { missed: 1 }));
        assert_eq!(recv(&mut subscriber), Ok(Some((0, 0))));
        after.finish();
        // The one that died is reported, now that nobody is left.
        assert!(matches!(recv(&mut subscriber), Err(BroadcastRecvTimeoutError::PublisherDied(_))), "{deaths}");
        assert_eq!(mapped_as(file_number(&subscriber)), ["r--s"]);
    }
}

#[test]
#[cfg_attr(feature = "portable", ignore = "there are no read-only mappings")]
fn a_file_that_can_only_be_read_is_enough() {
    const NOBODY: u32 = 65_534;
    let domain = Domain::new("only-read");
    let mut publisher = lossy(domain.name()).publisher().unwrap();
    let path = publisher.info().path.clone();
    std::fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    if is_root() {
        // What root may do does not depend on the mode.
        std::os::unix::fs::chown(&path, Some(NOBODY), None).unwrap();
    }
    let child = Child::try_start("read_and_say", &domain, |command| {
        if is_root() {
            command.uid(NOBODY);
        }
    });
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return skip("a file that can only be read", &format!("no child as another user: {error}")),
    };
    assert_eq!(child.hear(), "r--s");
    for number in 0..20 {
        publisher.send(message(0, number)).unwrap();
        assert_eq!(child.hear(), format!("0 {number}"));
    }
    drop(publisher);
    assert_eq!(child.hear(), "end");
    child.finish();
}
