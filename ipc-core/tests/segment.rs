//! The life of a segment: who creates it, who may remove it, what is left of it by those who leave, die, or find its
//! name taken away.

mod support;

use ipc_core::{IpcMessage, Lifetime, OpenError, Peer, Queue, Role, TryRecvError};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use support::{Child, Domain, listen, program, queue, recv, recv_all, say};

/// How often two processes race to create a channel.
const RACES: u64 = 200;

#[test]
#[ignore = "the children of the other tests"]
fn child_main() {
    support::play(&[
        ("receive-all", |domain| {
            let mut rx = queue::<u64>(domain, "channel").receiver().unwrap();
            assert!(!rx.info().created);
            say(format!("{:?}", recv_all(&mut rx)));
        }),
        ("hold-receiver", |domain| {
            let _rx = queue::<u64>(domain, "channel").receiver().unwrap();
            say("held");
            listen();
        }),
        ("race", |domain| {
            let pace = pacemaker(domain, false);
            say(race(domain, false, pace));
        }),
    ]);
}

#[test]
fn a_drained_channel_goes_with_its_last_participant() {
    let domain = Domain::new("drained");
    let (mut tx, mut rx) = both::<u64>(&domain.queue("channel"));
    assert_eq!(tx.info().lifetime, Lifetime::Drained, "it is the default");
    tx.send(1).unwrap();
    drop(tx);
    assert!(domain.path("channel").exists(), "somebody is there");
    assert_eq!(recv(&mut rx), Ok(Some(1)));
    assert_eq!(recv(&mut rx), Ok(None));
    assert!(domain.path("channel").exists(), "somebody is there still");
    drop(rx);
    assert!(!domain.path("channel").exists());

    drop(domain.queue::<u64>("channel").receiver().unwrap());
    assert!(!domain.path("channel").exists(), "a channel that nobody ever sent on is drained as well");
    let (tx, rx) = both::<u64>(&domain.queue("channel"));
    drop(rx);
    drop(tx);
    assert!(!domain.path("channel").exists(), "whoever leaves last");
}

#[test]
fn undelivered_messages_wait_for_another_process() {
    let domain = Domain::new("undelivered");
    let (mut tx, mut rx) = both::<u64>(&domain.queue("channel"));
    tx.send_batch(1..=5).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(1)));
    drop((tx, rx));
    assert!(domain.path("channel").exists());

    let mut rx = domain.queue::<u64>("channel").receiver().unwrap();
    assert!(!rx.info().created && rx.info().predecessor.is_none());
    assert_eq!(recv(&mut rx), Ok(Some(2)), "another handle goes on where the last one stopped");
    drop(rx);
    assert!(domain.path("channel").exists());

    let mut child = Child::start("receive-all", &domain);
    assert_eq!(child.hear(), "[3, 4, 5]");
    child.finish();
    assert!(!domain.path("channel").exists(), "now they are delivered");
}

#[test]
fn an_attached_channel_goes_even_with_undelivered_messages() {
    let domain = Domain::new("attached");
    let mut tx = domain.queue::<u64>("channel").lifetime(Lifetime::Attached).sender().unwrap();
    // The creator's word counts, not that of whoever joins.
    let rx = domain.queue::<u64>("channel").lifetime(Lifetime::Persistent).receiver().unwrap();
    assert_eq!(rx.info().lifetime, Lifetime::Attached);
    tx.send_batch(1..=3).unwrap();
    drop(rx);
    assert!(domain.path("channel").exists());
    drop(tx);
    assert!(!domain.path("channel").exists());

    let mut rx = domain.queue::<u64>("channel").receiver().unwrap();
    assert!(rx.info().created);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "it is a new channel");
}

#[test]
fn a_persistent_channel_stays_until_it_is_removed() {
    let domain = Domain::new("persistent");
    let queue = domain.queue::<u64>("channel").lifetime(Lifetime::Persistent);
    assert!(!queue.remove().unwrap(), "there is none");
    let (mut tx, mut rx) = both(&queue);
    tx.send(1).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(1)));
    drop((tx, rx));
    assert!(domain.path("channel").exists(), "though drained");
    drop(both(&queue));
    queue.sender().unwrap().send(2).unwrap();
    assert_eq!(recv(&mut queue.receiver().unwrap()), Ok(Some(2)));

    assert!(queue.remove().unwrap());
    assert!(!domain.path("channel").exists());
    assert!(!queue.remove().unwrap());
    let (mut tx, rx) = both(&queue);
    assert!(tx.info().created);
    tx.send(3).unwrap();
    drop((tx, rx));
    assert!(queue.remove().unwrap(), "with the messages that are in it");
}

#[test]
fn a_channel_that_somebody_uses_is_not_removed() {
    let domain = Domain::new("used");
    let queue = domain.queue::<u64>("channel");
    let me = Peer { pid: std::process::id(), program: program().into() };
    let mut tx = queue.sender().unwrap();
    assert_refused(queue.remove(), Role::Sender, &me);
    tx.send(1).unwrap();
    drop(tx);

    let mut holder = Child::start("hold-receiver", &domain);
    assert_eq!(holder.hear(), "held");
    let peer = Peer { pid: holder.pid(), program: program().into() };
    assert_refused(queue.remove(), Role::Receiver, &peer);
    // Whoever is stopped lives.
    holder.stop();
    assert_refused(queue.remove(), Role::Receiver, &peer);
    holder.resume();
    holder.finish();
    assert!(domain.path("channel").exists(), "the message is still there");
    assert!(queue.remove().unwrap());
    assert!(!domain.path("channel").exists());
}

#[test]
fn a_race_to_create_ends_in_one_channel() {
    let domain = Domain::new("race");
    let pace = pacemaker(domain.name(), true);
    let mut child = Child::start("race", &domain);
    let mine = race(domain.name(), true, pace);
    let theirs = child.hear();
    child.finish();
    assert_eq!((mine.len() as u64, theirs.len() as u64), (RACES, RACES));
    for (at, (mine, theirs)) in mine.chars().zip(theirs.chars()).enumerate() {
        assert!(matches!((mine, theirs), ('c', 'j') | ('j', 'c')), "race {at}: {mine} and {theirs}");
    }
}

/// The two channels over which the two who race keep in step, so closely that either may be the first.
type Pace = (ipc_core::Sender<u64>, ipc_core::Receiver<u64>);

fn pacemaker(domain: &str, is_parent: bool) -> Pace {
    let (mine, theirs) = if is_parent { ("to-child", "to-parent") } else { ("to-parent", "to-child") };
    (queue(domain, mine).sender().unwrap(), queue(domain, theirs).receiver().unwrap())
}

/// Opens one end of each contested channel, and passes a message, which only arrives if both ends are of one channel.
/// Returns a letter for each: `c` for created, `j` for joined.
fn race(domain: &str, is_parent: bool, (mut go, mut ready): Pace) -> String {
    let mut outcome = String::new();
    for at in 0..RACES {
        go.send(at).unwrap();
        assert_eq!(recv(&mut ready), Ok(Some(at)));
        let queue = queue::<u64>(domain, &format!("race-{at}")).capacity(4);
        let created = if is_parent == (at % 2 == 0) {
            let mut tx = queue.sender().unwrap();
            tx.send(at).unwrap();
            tx.info().created
        } else {
            let mut rx = queue.receiver().unwrap();
            assert_eq!(recv(&mut rx), Ok(Some(at)));
            assert_eq!(recv(&mut rx), Ok(None));
            rx.info().created
        };
        outcome.push(if created { 'c' } else { 'j' });
    }
    outcome
}

#[test]
fn threads_that_race_for_one_end_get_it_once() {
    let domain = Domain::new("threads");
    let queue = domain.queue::<u64>("channel").capacity(4);
    for _ in 0..RACES {
        let start = std::sync::Barrier::new(4);
        let opened = std::thread::scope(|scope| {
            let openers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        queue.sender()
                    })
                })
                .collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).collect::<Vec<_>>()
        });
        let (won, lost): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.iter().all(|lost| matches!(lost, Err(OpenError::InUse { role: Role::Sender, .. }))), "{lost:?}");
    }
}

#[test]
fn a_name_that_is_taken_away_is_free_for_the_same_process() {
    let domain = Domain::new("rm-same");
    let queue = domain.queue::<u64>("channel");
    let (mut old_tx, mut old_rx) = both(&queue);
    fs::remove_file(domain.path("channel")).unwrap();
    let (mut tx, mut rx) = both(&queue);
    assert!(tx.info().created && !rx.info().created);
    old_tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!((recv(&mut old_rx), recv(&mut rx)), (Ok(Some(1)), Ok(Some(2))));
    drop((old_tx, old_rx));
    assert!(domain.path("channel").exists());
    tx.send(3).unwrap();
    assert_eq!(recv(&mut rx), Ok(Some(3)));
}

#[test]
#[cfg_attr(feature = "portable", ignore = "the memory takes a descriptor, and each participant another one")]
fn a_process_has_one_descriptor_for_each_segment() {
    let domain = Domain::new("descriptors");
    let (first, second) = (domain.queue::<u64>("first"), domain.queue::<u64>("second"));
    let tx = first.sender().unwrap();
    let others = both(&second);
    let files = ["first", "second"].map(|channel| identity(&domain.path(channel)).unwrap());
    let open = || files.map(descriptors);
    assert_eq!(open(), [1, 1], "however many handles");
    let rx = first.receiver().unwrap();
    assert_eq!(open(), [1, 1]);
    // Openings that are refused leave nothing open.
    assert!(first.sender().is_err() && first.receiver().is_err());
    assert!(domain.queue::<i64>("first").receiver().is_err());
    assert_eq!(open(), [1, 1]);
    drop(tx);
    let tx = first.sender().unwrap();
    assert_eq!(open(), [1, 1]);
    drop((tx, rx));
    assert_eq!(open(), [0, 1]);
    drop(others);
    assert_eq!(open(), [0, 0]);
}

#[test]
fn a_segment_belongs_to_its_user_alone_and_has_all_of_its_memory() {
    let domain = Domain::new("file");
    let tx = domain.queue::<u64>("channel").sender().unwrap();
    assert_eq!(fs::metadata(domain.path("channel")).unwrap().mode() & 0o7777, 0o600);
    let metadata = fs::metadata(domain.memory("channel")).unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!(metadata.len(), tx.info().segment_bytes);
    assert_eq!(metadata.blocks() * 512, metadata.len(), "no page of it can be missing later");
}

/// Both ends of a queue.
fn both<T: IpcMessage>(queue: &Queue<T>) -> (ipc_core::Sender<T>, ipc_core::Receiver<T>) {
    (queue.sender().unwrap(), queue.receiver().unwrap())
}

/// What tells a file from all others, whatever its name. An error if it has just been closed by another test.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// How many of this process's descriptors lead to a file.
fn descriptors(file: (u64, u64)) -> usize {
    // Not by what the links say: a segment is created without a name, and goes on being shown as such.
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    descriptors.filter(|path| identity(path).is_ok_and(|found| found == file)).count()
}

#[track_caller]
fn assert_refused(removed: Result<bool, OpenError>, expected: Role, who: &Peer) {
    let error = removed.expect_err("somebody lives");
    let OpenError::InUse { channel, role, peer } = &error else { panic!("{error:?}") };
    assert_eq!((channel.as_str(), *role, peer), ("channel", expected, who));
    let text = error.to_string();
    assert!(text.contains(&format!("has a {role} already: pid {} \"{}\"", who.pid, who.program)), "{text}");
}
