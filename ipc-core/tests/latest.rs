//! Latest values: between processes that are started in any order, stopped and killed, with small and large values; and
//! what each verb promises, in one process.

mod support;

use ipc_core::{Latest, Lifetime, OpenError, Queue, ReadError, Reader, Role, WaitNewerError, WriteError, Writer};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;
use support::{Child, Domain, PATIENCE, Part, listen, play, say};

const PARTS: &[(&str, Part)] = &[
    ("write_on_request", write_on_request),
    ("echo_versions", echo_versions),
    ("read_on_request", read_on_request),
    ("fork_with_handles", fork_with_handles),
];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// A value that is larger than a line, so that it can be torn.
type Small = [u64; 40];

/// The value that is written as version `version`: it shows whether it is whole, and whether its version is its own.
fn small(version: u64) -> Small {
    std::array::from_fn(|at| word(version, at))
}

fn word(version: u64, at: usize) -> u64 {
    version.wrapping_add(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn value(domain: &str) -> Latest<Small> {
    Latest::new("value").domain(domain)
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

/// Writes every version of `there` that it sees to `back`.
fn echo_versions(domain: &str) {
    let mut there = Latest::<u64>::new("there").domain(domain).reader().unwrap();
    let mut back = Latest::<u64>::new("back").domain(domain).writer().unwrap();
    say("ready");
    loop {
        match there.wait_newer(PATIENCE) {
            Ok(Some(number)) => drop(back.write(number).unwrap()),
            Ok(None) => panic!("nobody writes"),
            Err(error) => break assert_eq!(error, WaitNewerError::Closed),
        }
    }
}

/// Waits for a newer value for every line that it is told, and says the version.
fn read_on_request(domain: &str) {
    let mut reader = value(domain).reader().unwrap();
    say("ready");
    while listen().is_some() {
        assert_eq!(reader.wait_newer(PATIENCE).unwrap(), Some(small(reader.version())));
        say(reader.version().to_string());
    }
}

/// Forks with both ends open, and says what became of them on both sides.
fn fork_with_handles(domain: &str) {
    let (mut writer, mut reader) = (value(domain).writer().unwrap(), value(domain).reader().unwrap());
    let mut blank = value(domain).reader().unwrap();
    write_next(&mut writer);
    assert_eq!(reader.read_ref(), Ok(Some(&small(1))));
    // SAFETY: the child goes on in this thread alone, and needs no lock that another one of this process may hold.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let dead = WaitNewerError::Read(ReadError::Forked);
        let checks = [
            writer.write(small(2)) == Err(WriteError::Forked(small(2))),
            writer.loan().err() == Some(WriteError::Forked(())),
            reader.read() == Err(ReadError::Forked),
            reader.read_if_newer() == Err(ReadError::Forked),
            reader.read_ref() == Err(ReadError::Forked),
            reader.poll(PATIENCE) == Err(dead.clone()),
            blank.read_if_newer() == Err(ReadError::Forked),
            blank.wait_newer(PATIENCE) == Err(dead),
            reader.writer().is_none(),
        ];
        drop((writer, reader, blank));
        let failed = checks.iter().position(|&check| !check).map_or(0, |at| 1 + at as i32);
        // SAFETY: ends the process.
        unsafe { libc::_exit(failed) };
    }
    let mut status = -1;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "check {} failed in the child", libc::WEXITSTATUS(status));
    write_next(&mut writer);
    assert_eq!(reader.wait_newer(PATIENCE), Ok(Some(small(2))));
    assert_eq!(blank.read(), Ok(Some(small(2))));
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

#[test]
fn the_newest_value_crosses_whoever_starts_first() {
    let domain = Domain::new("order");
    let mut reader = value(domain.name()).reader().unwrap();
    assert_eq!(reader.read(), Ok(None));
    assert_eq!(reader.version(), 0);
    let mut child = ready("write_on_request", &domain);
    assert_eq!(reader.read(), Ok(None));
    for version in 1..=5 {
        assert_eq!(tell_to_write(&mut child), version);
    }
    assert_eq!(reader.read(), Ok(Some(small(5))));
    assert_eq!(reader.version(), 5);
    let mut late = value(domain.name()).reader().unwrap();
    assert_eq!(late.read_if_newer(), Ok(Some(small(5))), "new to this reader");
    assert_eq!(late.read_if_newer(), Ok(None));
    assert_eq!(late.writer().map(|peer| peer.pid), Some(child.pid()));
    child.finish();
    assert_eq!(late.writer(), None);
    assert_eq!(late.read(), Ok(Some(small(5))));
}

#[test]
fn a_waiting_reader_is_woken() {
    let domain = Domain::new("woken");
    let child = ready("echo_versions", &domain);
    let mut there = Latest::new("there").domain(domain.name()).writer().unwrap();
    let mut back = Latest::<u64>::new("back").domain(domain.name()).reader().unwrap();
    for number in 1..=20_000 {
        there.write(number).unwrap();
        assert_eq!(back.wait_newer(PATIENCE), Ok(Some(number)));
    }
    drop(there);
    child.finish();
}

#[test]
fn all_who_wait_are_woken() {
    const READERS: usize = 8;
    let domain = Domain::new("all-woken");
    let mut children: Vec<Child> = (0..READERS).map(|_| ready("read_on_request", &domain)).collect();
    let mut writer = value(domain.name()).writer().unwrap();
    for _ in 0..200 {
        children.iter_mut().for_each(|child| child.tell("wait"));
        let version = write_next(&mut writer);
        children.iter_mut().for_each(|child| assert_eq!(child.hear(), version.to_string()));
    }
    children.into_iter().for_each(Child::finish);
}

#[test]
fn many_readers_see_whole_values_that_never_go_back() {
    let domain = Domain::new("many");
    let mut writer = value(domain.name()).writer().unwrap();
    let start = Barrier::new(9);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut reader = value(domain.name()).reader().unwrap();
                start.wait();
                let mut last = 0;
                while let Ok(newer) = reader.wait_newer(PATIENCE) {
                    assert_eq!(newer, Some(small(reader.version())));
                    assert!(reader.version() > last);
                    last = reader.version();
                }
                assert_eq!(last, 50_000, "the last value is not missed, and then the writer has closed");
            });
        }
        start.wait();
        while write_next(&mut writer) < 50_000 {}
        drop(writer);
    });
}

#[test]
fn there_are_places_for_64_readers_and_one_writer() {
    let domain = Domain::new("places");
    let channel = value(domain.name());
    let mut readers: Vec<Reader<Small>> = (0..ipc_core::latest::READERS).map(|_| channel.reader().unwrap()).collect();
    assert!(readers.len() >= 64);
    match channel.reader() {
        Err(OpenError::TableFull { role: Role::Reader, places, .. }) => assert_eq!(places as usize, readers.len()),
        other => panic!("there was another place: {other:?}"),
    }
    readers.pop();
    readers.push(channel.reader().unwrap());
    let mut writer = channel.writer().unwrap();
    assert!(matches!(channel.writer(), Err(OpenError::InUse { role: Role::Writer, .. })));
    write_next(&mut writer);
    readers.iter_mut().for_each(|reader| assert_eq!(reader.read(), Ok(Some(small(1)))));
}

#[test]
fn a_draft_that_is_dropped_changes_nothing() {
    let domain = Domain::new("dropped");
    // Not every bit pattern is one of these, so a draft starts out blank.
    let channel = Latest::<[char; 3]>::new("dropped").domain(domain.name());
    let (mut writer, mut reader) = (channel.writer().unwrap(), channel.reader().unwrap());
    writer.write(['a', 'b', 'c']).unwrap();
    for _ in 0..6 {
        let mut draft = writer.loan().unwrap();
        assert_eq!(*draft, ['\0'; 3]);
        draft[0] = 'x';
        drop(draft);
        assert_eq!(reader.read(), Ok(Some(['a', 'b', 'c'])));
    }
    assert_eq!(writer.version(), 1);
    let mut draft = writer.loan().unwrap();
    draft[2] = 'z';
    assert_eq!(format!("{draft:?}"), "Draft(['\\0', '\\0', 'z'])");
    assert_eq!(draft.publish(), 2);
    assert_eq!(reader.read_if_newer(), Ok(Some(['\0', '\0', 'z'])));
}

#[test]
fn a_reference_is_to_the_readers_own_copy() {
    let domain = Domain::new("reference");
    let channel = value(domain.name());
    let mut reader = channel.reader().unwrap();
    assert_eq!(reader.read_ref(), Ok(None));
    let mut writer = channel.writer().unwrap();
    write_next(&mut writer);
    assert_eq!(reader.poll(Duration::ZERO), Ok(true));
    let reference = reader.read_ref().unwrap().unwrap();
    (1..=8).for_each(|written| assert_eq!(write_next(&mut writer), 1 + written));
    assert_eq!(*reference, small(1));
    assert_eq!(reader.version(), 1);
    assert_eq!(reader.read_ref(), Ok(Some(&small(9))));
    assert_eq!(reader.version(), 9);
    assert_eq!(reader.read_ref(), Ok(Some(&small(9))));
    assert_eq!(reader.poll(Duration::ZERO), Ok(false));
    // By value in between.
    write_next(&mut writer);
    assert_eq!(reader.read(), Ok(Some(small(10))));
    assert_eq!(reader.read_ref(), Ok(Some(&small(10))));
}

#[test]
fn a_value_goes_with_the_last_one_unless_it_is_persistent() {
    let domain = Domain::new("lifetime");
    let channel = value(domain.name());
    let mut writer = channel.writer().unwrap();
    write_next(&mut writer);
    let reader = channel.reader().unwrap();
    drop(writer);
    assert!(domain.path("value").exists(), "somebody reads it");
    drop(reader);
    assert!(!domain.path("value").exists());
    let mut reader = channel.reader().unwrap();
    assert_eq!(reader.read(), Ok(None));
    assert!(matches!(channel.remove(), Err(OpenError::InUse { role: Role::Reader, .. })));
    drop(reader);

    let channel = channel.lifetime(Lifetime::Persistent);
    write_next(&mut channel.writer().unwrap());
    assert_eq!(channel.reader().unwrap().read(), Ok(Some(small(1))));
    assert_eq!(channel.writer().unwrap().version(), 1);
    assert!(channel.remove().unwrap());
    assert!(!channel.remove().unwrap());
}

#[test]
fn other_kinds_and_other_messages_are_refused() {
    let domain = Domain::new("refused");
    let _writer = value(domain.name()).writer().unwrap();
    let other = Latest::<u64>::new("value").domain(domain.name());
    assert!(matches!(other.reader(), Err(OpenError::Mismatch(_))));
    let error = Queue::<Small>::new("value").spsc().domain(domain.name()).receiver().unwrap_err();
    assert!(error.to_string().starts_with("channel \"value\" is a latest value (created by pid "), "{error}");
}

#[test]
fn handles_are_dead_in_a_forked_child_and_alive_in_its_parent() {
    let domain = Domain::new("forked");
    Child::start("fork_with_handles", &domain).finish();
}

#[test]
fn handles_may_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Latest<Small>>();
    check::<Writer<Small>>();
    check::<Reader<Small>>();
    check::<ipc_core::Draft<'_, Small>>();
}
