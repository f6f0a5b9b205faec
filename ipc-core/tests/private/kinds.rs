//! Broadcasts, latest values and services without names.

use super::{Door, PATIENCE, become_nobody, memory, receive, seal, send};
use crate::support::{Child, Domain, is_root, say, skip};
use ipc_core::inspect::{Eviction, State};
use ipc_core::{Broadcast, BroadcastRecvTimeoutError, CallError, Latest, OpenError, Queue, Service, WaitNewerError};
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::{io, ptr};

fn news() -> Broadcast<u64> {
    Broadcast::new("news").capacity(4)
}

fn ticks() -> Broadcast<u64> {
    Broadcast::new("ticks").capacity(64).lossy()
}

fn level() -> Latest<[u64; 9]> {
    Latest::new("level")
}

fn halves() -> Service<u64, u64> {
    Service::new("halves")
}

/// The socket that leads to the parent.
fn connect(domain: &str) -> UnixStream {
    let socket = UnixStream::connect(super::meeting(domain)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Says each message that comes, and how it ends.
fn follow(channel: Broadcast<u64>, domain: &str) {
    let channel = channel.receive_from(&connect(domain)).unwrap();
    let mut subscriber = channel.subscriber().unwrap();
    assert!(subscriber.info().hardened);
    say("joined");
    loop {
        match subscriber.recv_timeout(PATIENCE) {
            Ok(Some(message)) => say(message.to_string()),
            Ok(None) => return say("end"),
            Err(error) => say(error.to_string()),
        }
    }
}

pub(super) fn follow_news(domain: &str) {
    follow(news(), domain);
}

pub(super) fn follow_ticks(domain: &str) {
    follow(ticks(), domain);
}

/// Publishes one message, and stays.
pub(super) fn publish_news(domain: &str) {
    let channel = news().receive_from(&connect(domain)).unwrap();
    let mut publisher = channel.publisher().unwrap();
    publisher.send(77).unwrap();
    say("published");
    std::thread::park();
}

#[test]
fn a_private_broadcast_survives_the_death_of_either_side() {
    let domain = Domain::new("private-news");
    let door = Door::new(&domain);
    let channel = news().private().unwrap();
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), channel.subscriber().unwrap());
    let mut child = Child::start("follow-news", &domain);
    channel.send_over(&door.accept()).unwrap();
    assert_eq!(child.hear(), "joined");
    publisher.send(1).unwrap();
    assert_eq!(child.hear(), "1");
    child.stop();
    child.kill();
    // It passes nothing any more, and is waited for until its lock is found to be free.
    for message in 2..20 {
        publisher.send_timeout(message, PATIENCE).unwrap();
        assert_eq!(subscriber.recv_timeout(PATIENCE), Ok(Some(message - 1)));
    }
    assert_eq!(subscriber.recv_timeout(PATIENCE), Ok(Some(19)));
    drop(publisher);
    let mut child = Child::start("publish-news", &domain);
    channel.send_over(&door.accept()).unwrap();
    assert_eq!(child.hear(), "published");
    child.kill();
    assert_eq!(subscriber.recv_timeout(PATIENCE), Ok(Some(77)));
    let died = subscriber.recv_timeout(PATIENCE).unwrap_err();
    assert!(matches!(died, BroadcastRecvTimeoutError::PublisherDied(_)), "{died:?}");
}

#[test]
fn a_lossy_broadcast_is_handed_over_for_nothing_but_reading() {
    let domain = Domain::new("private-ticks");
    let door = Door::new(&domain);
    let channel = ticks().private().unwrap();
    let mut publisher = channel.publisher().unwrap();
    for round in 0..2 {
        let mut child = Child::start("follow-ticks", &domain);
        channel.send_read_only_over(&door.accept()).unwrap();
        assert_eq!(child.hear(), "joined");
        publisher.send(round).unwrap();
        assert_eq!(child.hear(), round.to_string());
        if round == 0 {
            child.kill();
            // Nobody waits for one who only reads, dead or not.
            (0..1000).for_each(|message| publisher.send(message).unwrap());
            continue;
        }
        drop(publisher);
        assert_eq!(child.hear(), "end");
        child.finish();
        break;
    }
    let refusal = news().private().unwrap().send_read_only_over(&UnixStream::pair().unwrap().0);
    assert!(matches!(refusal, Err(OpenError::Unsupported(_))), "a lossless subscriber writes");
}

#[test]
fn who_is_to_read_cannot_write() {
    let (here, there) = UnixStream::pair().unwrap();
    let channel = level().private().unwrap();
    let mut writer = channel.writer().unwrap();
    channel.send_read_only_over(&here).unwrap();
    // The other side is no slipring program.
    let theirs = receive(&there, &mut [0]);
    let map = |protection| {
        let (descriptor, null) = (theirs.as_raw_fd(), ptr::null_mut());
        // SAFETY: asks for a new mapping at a place of the kernel's choice.
        let map = unsafe { libc::mmap(null, 4096, protection, libc::MAP_SHARED, descriptor, 0) };
        if map == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(map) }
    };
    assert_eq!(map(libc::PROT_READ | libc::PROT_WRITE).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    let mapped = map(libc::PROT_READ).unwrap();
    // SAFETY: the mapping is this test's own, and nothing is in it that the test refers to.
    assert_eq!(unsafe { libc::mprotect(mapped, 4096, libc::PROT_READ | libc::PROT_WRITE) }, -1);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::munmap(mapped, 4096) }, 0);
    assert!(io::Write::write(&mut &theirs, &[0]).is_err());
    assert!(theirs.set_len(0).is_err());
    // Handed on, it is still for nothing but reading.
    channel.send_read_only_over(&here).unwrap();
    let taken = level().receive_from(&there).unwrap();
    taken.send_over(&here).unwrap();
    let taken = level().receive_from(&there).unwrap();
    assert!(matches!(taken.writer(), Err(OpenError::Unsupported(_))));
    let mut readers = [taken.reader().unwrap(), level().hardened(false).private().unwrap().reader().unwrap()];
    writer.write([5; 9]).unwrap();
    assert_eq!(readers[0].wait_newer(PATIENCE), Ok(Some([5; 9])));
    assert_eq!(readers[1].read(), Ok(None), "another channel");
}

/// Tries to get more than it was handed, as another user than the creator.
pub(super) fn reopen_as_nobody(domain: &str) {
    become_nobody();
    let theirs = receive(&connect(domain), &mut [0]);
    let again = |is_writable| {
        let path = format!("/proc/self/fd/{}", theirs.as_raw_fd());
        OpenOptions::new().read(true).write(is_writable).open(path).map_err(|error| error.kind())
    };
    assert_eq!(again(true).unwrap_err(), io::ErrorKind::PermissionDenied);
    assert_eq!(again(false).unwrap_err(), io::ErrorKind::PermissionDenied, "it is its creator's alone");
    say("refused");
}

#[test]
fn another_user_cannot_open_for_writing_what_it_is_to_read() {
    if !is_root() {
        return skip("opening for writing what was handed over to read", "only root can become another user");
    }
    let domain = Domain::new("private-reopen");
    let door = Door::new(&domain);
    let channel = level().private().unwrap();
    let mut child = Child::start("reopen-as-nobody", &domain);
    channel.send_read_only_over(&door.accept()).unwrap();
    assert_eq!(child.hear(), "refused");
    child.finish();
}

/// Says each value that comes.
pub(super) fn read_level(domain: &str) {
    let mut reader = level().receive_from(&connect(domain)).unwrap().reader().unwrap();
    say("joined");
    loop {
        match reader.wait_newer(PATIENCE) {
            Ok(value) => say(format!("{:?}", value.map(|value| value[8]))),
            Err(error @ WaitNewerError::WriterDied(_)) => say(error.to_string()),
            Err(WaitNewerError::Closed) => return say("closed"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Writes one value, and stays.
pub(super) fn write_level(domain: &str) {
    let mut writer = level().receive_from(&connect(domain)).unwrap().writer().unwrap();
    say(writer.write([2; 9]).unwrap().to_string());
    std::thread::park();
}

#[test]
fn a_private_latest_value_survives_the_death_of_either_side() {
    let domain = Domain::new("private-level");
    let door = Door::new(&domain);
    let channel = level().private().unwrap();
    let mut writer = channel.writer().unwrap();
    let mut reader = Child::start("read-level", &domain);
    channel.send_read_only_over(&door.accept()).unwrap();
    assert_eq!(reader.hear(), "joined");
    writer.write([1; 9]).unwrap();
    assert_eq!(reader.hear(), "Some(1)");
    // Who writes is succeeded by another process, which is killed.
    drop(writer);
    assert_eq!(reader.hear(), "closed");
    reader.finish();
    let mut ours = channel.reader().unwrap();
    let mut writer = Child::start("write-level", &domain);
    channel.send_over(&door.accept()).unwrap();
    assert_eq!(writer.hear(), "2", "the versions go on");
    assert!(matches!(channel.writer(), Err(OpenError::InUse { .. })));
    writer.kill();
    assert_eq!(ours.wait_newer(PATIENCE), Ok(Some([2; 9])));
    let died = ours.wait_newer(PATIENCE).unwrap_err();
    assert!(matches!(died, WaitNewerError::WriterDied(_)), "{died:?}");
    let mut writer = channel.writer().unwrap();
    assert!(writer.info().predecessor.is_some());
    // A reader that is killed takes nothing with it.
    let mut reader = Child::start("read-level", &domain);
    channel.send_over(&door.accept()).unwrap();
    assert_eq!(reader.hear(), "joined");
    reader.kill();
    assert_eq!(writer.write([3; 9]).unwrap(), 3);
    assert_eq!(ours.wait_newer(PATIENCE), Ok(Some([3; 9])));
}

/// Halves numbers, and takes one that it does not answer: 13.
pub(super) fn halve(domain: &str) {
    let server = halves().receive_from(&connect(domain)).unwrap().server().unwrap();
    say("joined");
    while let Ok(Some(request)) = server.accept() {
        match *request {
            13 => {
                say("taken");
                std::thread::park();
            }
            number => drop(request.reply(number / 2)),
        }
    }
}

/// Makes a call that nobody answers.
pub(super) fn ask(domain: &str) {
    let client = halves().receive_from(&connect(domain)).unwrap().client().unwrap();
    let _call = client.submit(8).unwrap();
    say("asked");
    std::thread::park();
}

#[test]
fn a_private_service_survives_the_death_of_either_side() {
    let domain = Domain::new("private-halves");
    let door = Door::new(&domain);
    let channel = halves().private().unwrap();
    let client = channel.client().unwrap();
    let mut server = Child::start("halve", &domain);
    channel.send_over(&door.accept()).unwrap();
    assert_eq!(server.hear(), "joined");
    assert_eq!(client.call(12).unwrap(), 6);
    let call = client.submit(13).unwrap();
    assert_eq!(server.hear(), "taken");
    server.kill();
    let died = call.wait().unwrap_err();
    assert!(matches!(died, CallError::ServerDied(None, _)), "{died:?}");
    let mut asker = Child::start("ask", &domain);
    channel.send_over(&door.accept()).unwrap();
    assert_eq!(asker.hear(), "asked");
    asker.kill();
    let mut server = Child::start("halve", &domain);
    channel.send_over(&door.accept()).unwrap();
    assert_eq!(server.hear(), "joined");
    assert_eq!(client.call(14).unwrap(), 7);
    drop(client);
    server.kill();
}

#[test]
fn a_participant_of_a_private_channel_is_evicted() {
    let (here, there) = UnixStream::pair().unwrap();
    let channel = news().private().unwrap();
    channel.send_over(&here).unwrap();
    // The other side takes part in the same segment, with locks of its own.
    let taken = news().receive_from(&there).unwrap();
    let (mut publisher, mut subscriber) = (channel.publisher().unwrap(), taken.subscriber().unwrap());
    while publisher.try_send(1).is_ok() {}
    let participants = channel.participants();
    assert_eq!(participants.len(), 2);
    assert_eq!(participants, taken.participants());
    assert_eq!(channel.evict(&participants[1]).unwrap(), Eviction::Struck);
    assert_eq!(channel.participants()[1].state, State::Evicted);
    (0..20).for_each(|message| publisher.send_timeout(message, PATIENCE).unwrap());
    assert_eq!(subscriber.recv_timeout(PATIENCE), Err(BroadcastRecvTimeoutError::Evicted));
    drop(subscriber);
    assert_eq!(channel.evict(&participants[1]).unwrap(), Eviction::Gone);
    // Of another channel, and by one who may only read.
    let other = level().private().unwrap();
    let _writer = other.writer().unwrap();
    assert_eq!(channel.evict(&other.participants()[0]).unwrap(), Eviction::Gone);
    other.send_read_only_over(&here).unwrap();
    let reading = level().receive_from(&there).unwrap();
    assert!(matches!(reading.evict(&reading.participants()[0]), Err(OpenError::Unsupported(_))));
}

#[test]
fn what_is_no_such_channel_is_refused() {
    let (here, there) = UnixStream::pair().unwrap();
    there.set_read_timeout(Some(PATIENCE)).unwrap();
    // No segment, not sealed, and sealed with nothing in it.
    let file = memory();
    let assert_refused = |why: &str| {
        (0..3).for_each(|_| send(&here, &file));
        let refusals = [
            news().receive_from(&there).err(),
            level().receive_from(&there).err(),
            halves().receive_from(&there).err(),
        ];
        for refusal in refusals.map(|refusal| refusal.unwrap().to_string()) {
            assert!(refusal.contains(why), "{refusal}");
        }
    };
    assert_refused("no memory that is sealed");
    seal(&file);
    assert_refused("does not start with the mark of a segment");
    // Channels of other kinds.
    Queue::<u64>::new("news").private().unwrap().send_over(&here).unwrap();
    assert!(matches!(news().receive_from(&there), Err(OpenError::Kind { .. })));
    news().lossy().private().unwrap().send_read_only_over(&here).unwrap();
    assert!(matches!(news().receive_from(&there), Err(OpenError::Kind { .. })));
    Broadcast::<[u64; 9]>::new("level").private().unwrap().send_over(&here).unwrap();
    assert!(matches!(level().receive_from(&there), Err(OpenError::Kind { .. })));
    Latest::<u64>::new("halves").private().unwrap().send_read_only_over(&here).unwrap();
    assert!(matches!(halves().receive_from(&there), Err(OpenError::Kind { .. })));
    // Of other messages, where the error says how they differ.
    Broadcast::<i64>::new("news").private().unwrap().send_over(&here).unwrap();
    assert!(news().receive_from(&there).err().unwrap().to_string().contains("u64 here, i64 in the segment"));
    Latest::<[u64; 8]>::new("level").private().unwrap().send_read_only_over(&here).unwrap();
    assert!(level().receive_from(&there).err().unwrap().to_string().contains("[u64; 9] here, [u64; 8] in the segment"));
    Service::<u64, u32>::new("halves").private().unwrap().send_over(&here).unwrap();
    assert!(halves().receive_from(&there).err().unwrap().to_string().contains("u64 here, u32 in the segment"));
}
