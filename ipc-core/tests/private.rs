//! Channels without names: handed over a socket, between processes and between users.

#![cfg(not(feature = "portable"))]

#[path = "private/kinds.rs"]
mod kinds;
mod support;

use ipc_core::{OpenError, Pipe, Queue, RecvError, SendTimeoutError, TryRecvError};
use std::fs::{self, File, Permissions};
use std::io::{Seek, Write};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::ptr;
use std::time::Duration;
use support::{Child, Domain, PATIENCE, is_root, play, say, skip};

/// Somebody who owns nothing here.
const NOBODY: u32 = 65_534;

#[test]
#[ignore = "the children of the other tests"]
fn child_main() {
    play(&[
        ("take-over", take_over),
        ("take-over-as-nobody", take_over_as_nobody),
        ("pipe", take_pipe),
        ("follow-news", kinds::follow_news),
        ("publish-news", kinds::publish_news),
        ("follow-ticks", kinds::follow_ticks),
        ("read-level", kinds::read_level),
        ("reopen-as-nobody", kinds::reopen_as_nobody),
        ("write-level", kinds::write_level),
        ("halve", kinds::halve),
        ("ask", kinds::ask),
    ]);
}

fn orders() -> Queue<u64> {
    Queue::new("orders").capacity(4).spsc()
}

fn talk() -> Pipe<u64, str> {
    Pipe::new("talk")
}

/// Where a test's processes meet.
fn meeting(domain: &str) -> PathBuf {
    std::env::temp_dir().join(format!("slipring-{domain}"))
}

/// Waits for the other process, which connects.
struct Door {
    path: PathBuf,
    listener: UnixListener,
}

impl Door {
    fn new(domain: &Domain) -> Self {
        let path = meeting(domain.name());
        let listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        Door { path, listener }
    }

    fn accept(&self) -> UnixStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Receives what it is given, and says so.
fn take_over(domain: &str) {
    let socket = UnixStream::connect(meeting(domain)).unwrap();
    let channel = orders().receive_from(&socket).unwrap();
    let mut rx = channel.receiver().unwrap();
    assert!(rx.info().hardened);
    say("joined");
    loop {
        match rx.recv_timeout(PATIENCE).unwrap() {
            Some(order) => say(order.to_string()),
            None => return say("end"),
        }
    }
}

/// Goes on as a user who owns nothing here.
fn become_nobody() {
    // SAFETY: takes an empty list, from which nothing is read.
    assert_eq!(unsafe { libc::setgroups(0, ptr::null()) }, 0);
    // SAFETY: takes three integers.
    assert_eq!(unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) }, 0);
    // SAFETY: takes three integers; the C library does it for all threads.
    assert_eq!(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }, 0);
}

fn take_over_as_nobody(domain: &str) {
    become_nobody();
    take_over(domain);
}

#[test]
fn a_private_queue_has_no_name_and_trusts_nobody() {
    let (here, there) = UnixStream::pair().unwrap();
    let given = orders().private().unwrap();
    given.send_over(&here).unwrap();
    let taken = orders().receive_from(&there).unwrap();
    let (mut tx, mut rx) = (given.sender().unwrap(), taken.receiver().unwrap());
    assert!(tx.info().hardened && rx.info().hardened);
    assert!(!tx.info().path.exists());
    tx.send(7).unwrap();
    assert!(matches!(rx.recv_ref(), Err(RecvError::Hardened)));
    assert_eq!(rx.try_recv(), Ok(Some(7)));
    assert!(matches!(taken.sender(), Err(OpenError::InUse { .. })), "the other descriptor's lock is seen");
    drop((given, tx));
    assert_eq!(rx.try_recv(), Ok(None));
    let mut tx = taken.sender().unwrap();
    tx.send(8).unwrap();
    assert_eq!(rx.try_recv(), Ok(Some(8)));
    let trusting = orders().hardened(false).private().unwrap();
    assert!(trusting.sender().unwrap().loan().is_ok(), "who says so is taken at his word");
}

#[test]
fn a_private_queue_between_processes_survives_the_death_of_either() {
    let domain = Domain::new("private");
    let door = Door::new(&domain);
    survive_deaths(&domain, &door, "take-over");
}

#[test]
fn a_private_queue_between_users() {
    if !is_root() {
        return skip("a private queue between users", "only root can become another user");
    }
    let domain = Domain::new("private-users");
    let door = Door::new(&domain);
    survive_deaths(&domain, &door, "take-over-as-nobody");
}

fn survive_deaths(domain: &Domain, door: &Door, part: &str) {
    let channel = orders().private().unwrap();
    let mut tx = channel.sender().unwrap();
    for round in 0..3 {
        let mut child = Child::start(part, domain);
        channel.send_over(&door.accept()).unwrap();
        assert_eq!(child.hear(), "joined");
        assert!(matches!(channel.receiver(), Err(OpenError::InUse { .. })), "it lives");
        tx.send(round).unwrap();
        assert_eq!(child.hear(), round.to_string());
        child.stop();
        assert!(matches!(channel.receiver(), Err(OpenError::InUse { .. })), "who is stopped lives");
        child.kill();
    }
    // Nobody makes room any more, which is noticed without a time-out of the user's.
    let error = (0..5).find_map(|order| tx.send_timeout(order, PATIENCE).err()).unwrap();
    assert!(matches!(error, SendTimeoutError::ReceiverDied(4, _)), "{error:?}");
    let mut rx = channel.receiver().unwrap();
    assert!(rx.info().predecessor.is_some());
    assert_eq!((0..4).map(|_| rx.try_recv().unwrap().unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    drop(rx);
    let mut child = Child::start(part, domain);
    channel.send_over(&door.accept()).unwrap();
    assert_eq!(child.hear(), "joined");
    drop((tx, channel));
    assert_eq!(child.hear(), "end");
    child.finish();
}

/// Answers what it is told.
fn take_pipe(domain: &str) {
    let socket = UnixStream::connect(meeting(domain)).unwrap();
    let mut end = talk().receive_from(&socket).unwrap().right().unwrap();
    while let Ok(Some(number)) = end.recv_timeout(PATIENCE) {
        end.send_copy(&format!("{number} it is")).unwrap();
    }
}

#[test]
fn a_private_pipe_talks_both_ways() {
    let domain = Domain::new("private-pipe");
    let door = Door::new(&domain);
    let child = Child::start("pipe", &domain);
    let pipe = talk().private().unwrap();
    pipe.send_over(&door.accept()).unwrap();
    let mut end = pipe.left().unwrap();
    for number in 0..100 {
        end.send(number).unwrap();
        assert_eq!(&*end.recv_boxed().unwrap().unwrap(), format!("{number} it is"));
    }
    drop(end);
    child.finish();
}

#[test]
fn what_is_no_private_channel_is_refused() {
    let (here, there) = UnixStream::pair().unwrap();
    there.set_read_timeout(Some(PATIENCE)).unwrap();
    let refusal = || orders().receive_from(&there).err().unwrap().to_string();
    // A named file, which whoever has it open can cut short.
    let path = std::env::temp_dir().join(format!("slipring-private-{}", std::process::id()));
    let file = File::create_new(&path).unwrap();
    send(&here, &file);
    assert!(refusal().contains("no memory that is sealed"));
    fs::remove_file(&path).unwrap();
    // Memory that is not sealed, and memory that is and has nothing in it.
    let memory = memory();
    send(&here, &memory);
    assert!(refusal().contains("no memory that is sealed"));
    seal(&memory);
    send(&here, &memory);
    assert!(refusal().contains("it does not start with the mark of a segment"));
    // Other channels.
    Queue::<u64>::new("others").spsc().private().unwrap().send_over(&here).unwrap();
    assert!(refusal().contains("it is the segment of channel \"others\""));
    Queue::<u32>::new("orders").spsc().private().unwrap().send_over(&here).unwrap();
    assert!(refusal().contains("u64 here, u32 in the segment"));
    Queue::<u64>::new("orders").private().unwrap().send_over(&here).unwrap();
    assert!(refusal().contains("opens it as an exclusive queue"));
    talk().private().unwrap().send_over(&here).unwrap();
    assert!(refusal().contains("is not a usable segment"), "two where one belongs");
    (&here).write_all(&[1]).unwrap();
    assert!(matches!(orders().receive_from(&there), Err(OpenError::Os { .. })));
    there.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(matches!(orders().receive_from(&there), Err(OpenError::Os { .. })), "the socket's limit holds");
}

#[test]
fn wild_words_in_a_private_segment_are_errors() {
    let (here, there) = UnixStream::pair().unwrap();
    let given = orders().private().unwrap();
    given.send_over(&here).unwrap();
    // The other side is no slipring program.
    let mut byte = [0_u8];
    let mut theirs = receive(&there, &mut byte);
    let mut tx = given.sender().unwrap();
    let mut rx = given.receiver().unwrap();
    tx.send(1).unwrap();
    let length = theirs.metadata().unwrap().len();
    assert!(theirs.set_len(0).is_err() && theirs.set_len(2 * length).is_err(), "it is sealed");
    theirs.seek(std::io::SeekFrom::Start(0)).unwrap();
    theirs.write_all(&vec![0xFF; length as usize]).unwrap();
    assert!(matches!(rx.try_recv(), Err(TryRecvError::Corrupt(_))));
    let sent = tx.try_send(2);
    assert!(sent.is_ok() || sent.unwrap_err().to_string().contains("damaged"));
}

/// Memory without a name, that can be sealed.
fn memory() -> File {
    // SAFETY: the name is NUL-terminated.
    let descriptor = unsafe { libc::memfd_create(c"test".as_ptr(), libc::MFD_ALLOW_SEALING | libc::MFD_CLOEXEC) };
    assert!(descriptor >= 0);
    // SAFETY: the descriptor is new, and nobody else's.
    let file = unsafe { File::from_raw_fd(descriptor) };
    file.set_len(8192).unwrap();
    file
}

fn seal(file: &File) {
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK) }, 0);
}

/// Room for a control message with one descriptor.
#[repr(C, align(16))]
struct Control([u8; 32]);

fn header(part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: `msghdr` is a C struct of integers and pointers, for which zero is a valid value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (part, 1);
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: takes a number.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    message
}

/// Sends any file.
fn send(socket: &UnixStream, file: &File) {
    let mut byte = 1_u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = Control([0; 32]);
    let message = header(&mut part, &mut control);
    let head = control.0.as_mut_ptr().cast::<libc::cmsghdr>();
    // SAFETY: takes a number.
    let length = unsafe { libc::CMSG_LEN(4) } as _;
    let fields = libc::cmsghdr { cmsg_len: length, cmsg_level: libc::SOL_SOCKET, cmsg_type: libc::SCM_RIGHTS };
    // SAFETY: the buffer has room for a head, and is aligned for one.
    unsafe { head.write(fields) };
    // SAFETY: the head is in the buffer.
    let data = unsafe { libc::CMSG_DATA(head) }.cast::<i32>();
    // SAFETY: the buffer has room for a descriptor behind the head.
    unsafe { data.write_unaligned(file.as_raw_fd()) };
    // SAFETY: the message describes buffers that outlive the call.
    assert_eq!(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) }, 1);
}

/// Receives one file.
fn receive(socket: &UnixStream, byte: &mut [u8; 1]) -> File {
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control = Control([0; 32]);
    let mut message = header(&mut part, &mut control);
    // SAFETY: the message describes buffers that outlive the call.
    assert_eq!(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) }, 1);
    // SAFETY: the kernel has filled the buffer in, with one descriptor behind the head.
    let data = unsafe { libc::CMSG_DATA(control.0.as_ptr().cast()) }.cast::<i32>();
    // SAFETY: as above.
    let descriptor = unsafe { data.read_unaligned() };
    // SAFETY: the kernel has just made it, for this process.
    unsafe { File::from_raw_fd(descriptor) }
}
