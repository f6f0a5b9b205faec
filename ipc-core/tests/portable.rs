//! What the portable backend leaves in the system, and what it makes of what others have left.

#![cfg(feature = "portable")]

mod support;

use ipc_core::{Lifetime, OpenError, inspect};
use std::fs;
use std::path::Path;
use support::{Child, Domain, SHM, listen, lock_lifecycle, memory, queue, recv, say};

#[test]
#[ignore = "the children of the other tests"]
fn child_main() {
    support::play(&[("create", create), ("take-part", take_part)]);
}

/// Makes a channel of its own, upon which its process sweeps.
fn create(domain: &str) {
    drop(queue::<u64>(domain, "sweeps").sender().unwrap());
}

/// Sends a message, and stays.
fn take_part(domain: &str) {
    let mut tx = queue::<u64>(domain, "kept").sender().unwrap();
    tx.send(7).unwrap();
    say("sent");
    listen();
}

/// All files that have to do with a segment, by the name of its memory.
fn files(id: &str) -> usize {
    fs::read_dir(SHM).unwrap().flatten().filter(|entry| entry.file_name().to_string_lossy().contains(id)).count()
}

#[test]
fn nothing_is_left_of_a_channel_that_is_done_with() {
    let domain = Domain::new("tidy");
    let queue = domain.queue::<u64>("channel");
    let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    tx.send(1).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(1)));
    let [id] = domain.remains().try_into().expect("one segment");
    assert_eq!(memory(&domain.path("channel")), Path::new(SHM).join(&id));
    assert_eq!(files(&id), 4, "the memory, and the locks of the lifecycle and of two participants");
    drop((tx, rx));
    assert_eq!(files(&id), 0);
    assert!(!domain.path("channel").exists());
    // What is made in vain leaves nothing either.
    let kept = queue.lifetime(Lifetime::Persistent);
    drop(kept.sender().unwrap());
    assert!(kept.remove().unwrap());
    assert_eq!(domain.remains(), Vec::<String>::new());
}

#[test]
fn the_next_process_removes_what_has_lost_its_entry() {
    let domain = Domain::new("swept");
    let queue = domain.queue::<u64>("lost").lifetime(Lifetime::Persistent);
    drop(queue.sender().unwrap());
    let [lost] = domain.remains().try_into().expect("one segment");
    fs::remove_file(domain.path("lost")).unwrap();
    // As a creator leaves it that is killed before the memory is there.
    let half_made = format!("sr-{}", "0".repeat(26));
    fs::write(Path::new(SHM).join(format!(".{half_made}.0")), format!("slipring.{}.half", domain.name())).unwrap();
    // And as one that is killed before the memory has its size.
    let empty = format!("sr-{}", "1".repeat(26));
    fs::write(Path::new(SHM).join(format!(".{empty}.0")), format!("slipring.{}.empty", domain.name())).unwrap();
    fs::write(Path::new(SHM).join(&empty), "").unwrap();
    Child::start("create", &domain).finish();
    assert_eq!([files(&lost), files(&half_made), files(&empty)], [0, 0, 0]);
}

#[test]
fn the_next_process_removes_what_a_killed_remover_has_left() {
    let domain = Domain::new("half-removed");
    drop(domain.queue::<u64>("gone").lifetime(Lifetime::Persistent).sender().unwrap());
    let [id] = domain.remains().try_into().expect("one segment");
    assert_eq!(files(&id), 3, "the memory, the first lock, and another one");
    // The entry and the memory go first.
    fs::remove_file(domain.memory("gone")).unwrap();
    fs::remove_file(domain.path("gone")).unwrap();
    Child::start("create", &domain).finish();
    assert_eq!(files(&id), 0);
}

#[test]
fn what_has_lost_its_first_lock_is_not_swept() {
    let domain = Domain::new("unlocked");
    let queue = domain.queue::<u64>("unlocked").lifetime(Lifetime::Persistent);
    let mut tx = queue.sender().unwrap();
    tx.send(3).unwrap();
    drop(tx);
    let [id] = domain.remains().try_into().expect("one segment");
    let first = Path::new(SHM).join(format!(".{id}.0"));
    fs::remove_file(&first).unwrap();
    Child::start("create", &domain).finish();
    // As whoever joins leaves it if it is killed before it notes whose it is.
    fs::write(&first, "").unwrap();
    Child::start("create", &domain).finish();
    assert_eq!(recv(&mut queue.receiver().unwrap()), Ok(Some(3)));
    assert!(first.exists(), "it is made anew");
    assert!(queue.remove().unwrap());
    assert_eq!(files(&id), 0);
}

#[test]
fn what_is_in_use_is_not_swept() {
    let domain = Domain::new("in-use");
    let mut user = Child::start("take-part", &domain);
    assert_eq!(user.hear(), "sent");
    let mut rx = domain.queue::<u64>("kept").receiver().unwrap();
    let [id] = domain.remains().try_into().expect("one segment");
    let before = files(&id);
    let kept = domain.path("elsewhere");
    fs::rename(domain.path("kept"), &kept).unwrap();
    Child::start("create", &domain).finish();
    assert_eq!(files(&id), before, "its participants live");
    fs::rename(kept, domain.path("kept")).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(7)));
    user.kill();
    assert!(rx.recv().is_err(), "its death is seen as before");
}

#[test]
fn what_somebody_is_making_is_not_swept() {
    let domain = Domain::new("being-made");
    drop(domain.queue::<u64>("made").lifetime(Lifetime::Persistent).sender().unwrap());
    let [id] = domain.remains().try_into().expect("one segment");
    let lock = lock_lifecycle(&domain.path("made"));
    fs::remove_file(domain.path("made")).unwrap();
    let before = files(&id);
    Child::start("create", &domain).finish();
    assert_eq!(files(&id), before);
    drop(lock);
    Child::start("create", &domain).finish();
    assert_eq!(files(&id), 0);
}

#[test]
fn an_entry_that_leads_nowhere_is_replaced() {
    let domain = Domain::new("stale");
    let queue = domain.queue::<u64>("stale").lifetime(Lifetime::Persistent);
    drop(queue.sender().unwrap());
    // As after the system was started anew, where memory is not kept and files are.
    fs::remove_file(domain.memory("stale")).unwrap();
    let mut tx = queue.sender().unwrap();
    assert!(tx.info().created);
    tx.send(5).unwrap();
    assert_eq!(recv(&mut queue.receiver().unwrap()), Ok(Some(5)));
    drop(tx);
    assert!(queue.remove().unwrap());
    assert_eq!(domain.remains(), Vec::<String>::new());
}

#[test]
fn an_entry_and_no_lock_is_listed_and_listing_leaves_nothing() {
    let domain = Domain::new("listed");
    let _tx = domain.queue::<u64>("listed").sender().unwrap();
    let mine: Vec<_> = inspect::list().unwrap().into_iter().filter(|found| found.domain == domain.name()).collect();
    assert_eq!(mine.len(), 1, "{mine:?}");
}

#[test]
fn a_segment_of_the_linux_backend_is_refused_and_left_as_it_is() {
    let domain = Domain::new("linux");
    let queue = domain.queue::<u64>("linux").lifetime(Lifetime::Persistent);
    drop(queue.sender().unwrap());
    let mut header = fs::read(domain.path("linux")).unwrap();
    header[16] ^= 3;
    fs::write(domain.path("linux"), &header).unwrap();
    for error in [queue.sender().unwrap_err(), queue.receiver().unwrap_err(), queue.remove().unwrap_err()] {
        let OpenError::Backend { found, expected, .. } = &error else { panic!("{error:?}") };
        assert_eq!((*found, *expected), ("the Linux backend", "the portable backend"));
    }
    assert_eq!(fs::read(domain.path("linux")).unwrap(), header);
    header[16] ^= 3;
    fs::write(domain.path("linux"), &header).unwrap();
    assert!(queue.remove().unwrap());
}
