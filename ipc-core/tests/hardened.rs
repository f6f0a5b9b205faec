//! Channels that other users may open, and ends that do not trust the others: who gets in, and what is refused.

#![cfg(not(feature = "portable"))]

mod support;

use ipc_core::{
    AcceptError, Broadcast, CallError, Latest, Lifetime, OpenError, Pipe, Queue, RecvError, RecvTimeoutError,
    ReplyError, SendError, SendTimeoutError, Service, TryRecvError, TrySendError, WriteError,
};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use support::{Child, Domain, PATIENCE, is_root, listen, play, say, skip};

/// Somebody who owns nothing here, and that one's group.
const NOBODY: u32 = 65_534;

/// Not at all.
const NOW: Duration = Duration::ZERO;

#[test]
#[ignore = "the children of the other tests"]
fn child_main() {
    play(&[("visit", visit), ("visit-group", visit_group), ("look-on", look_on), ("stay-out", stay_out)]);
}

/// Becomes somebody else, in this group alone.
fn become_nobody(group: u32) {
    // SAFETY: takes an empty list, from which nothing is read.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: takes three integers.
    assert_eq!(unsafe { libc::setresgid(group, group, group) }, 0);
    // SAFETY: takes three integers; the C library does it for all threads.
    assert_eq!(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }, 0);
}

#[test]
fn a_hardened_queue_refuses_what_is_in_place() {
    let domain = Domain::new("queue");
    for queue in [Queue::<u64>::new("q").spsc(), Queue::new("q")] {
        let queue = queue.domain(domain.name()).hardened(true);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        assert!(tx.info().hardened && rx.info().hardened);
        assert!(matches!(tx.loan(), Err(SendError::Hardened(()))));
        assert!(matches!(tx.try_loan(), Err(TrySendError::Hardened(()))));
        assert!(matches!(tx.loan_batch(2), Err(SendError::Hardened(()))));
        assert!(matches!(tx.try_loan_batch(2), Err(TrySendError::Hardened(()))));
        assert!(matches!(tx.loan_len(0), Err(SendError::Hardened(()))));
        assert!(matches!(tx.loan_len_timeout(0, NOW), Err(SendTimeoutError::Hardened(()))));
        tx.send(7).unwrap();
        assert!(matches!(rx.recv_ref(), Err(RecvError::Hardened)));
        assert!(matches!(rx.try_recv_ref(), Err(TryRecvError::Hardened)));
        assert!(matches!(rx.recv_ref_timeout(PATIENCE), Err(RecvTimeoutError::Hardened)));
        assert!(matches!(rx.recv_batch_ref(2), Err(RecvError::Hardened)));
        assert!(matches!(rx.try_recv_batch_ref(2), Err(TryRecvError::Hardened)));
        let said = rx.recv_ref().unwrap_err().to_string();
        assert!(said.contains("send or receive by value, or open it with `hardened(false)`"), "{said}");
        assert_eq!(rx.try_recv(), Ok(Some(7)), "nothing was taken by those who were refused");
    }
    let texts = Queue::<str>::new("texts").domain(domain.name()).hardened(true);
    let (mut tx, mut rx) = (texts.sender().unwrap(), texts.receiver().unwrap());
    tx.send_copy("by value").unwrap();
    assert!(matches!(rx.recv_ref(), Err(RecvError::Hardened)));
    assert_eq!(&*rx.recv_boxed().unwrap().unwrap(), "by value");
    let (mut left, mut right) = {
        let pipe = Pipe::<u64, u64>::new("pipe").domain(domain.name()).hardened(true);
        (pipe.left().unwrap(), pipe.right().unwrap())
    };
    left.send(1).unwrap();
    assert!(matches!(right.recv_ref(), Err(RecvError::Hardened)));
    assert_eq!(right.recv(), Ok(Some(1)));
}

#[test]
fn a_hardened_subscriber_copies_where_another_one_refers() {
    let domain = Domain::new("broadcast");
    let broadcast = Broadcast::<u64>::new("b").domain(domain.name()).hardened(true);
    let (mut publisher, mut subscriber) = (broadcast.publisher().unwrap(), broadcast.subscriber().unwrap());
    let mut trusting = broadcast.clone().hardened(false).subscriber().unwrap();
    assert!(matches!(publisher.loan(), Err(SendError::Hardened(()))));
    publisher.send(7).unwrap();
    let path = publisher.info().path.clone();
    let file = fs::metadata(&path).unwrap().ino().to_string();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let is_in_segment = |message: &u64| {
        let at = std::ptr::from_ref(message).addr();
        maps.lines().filter(|line| line.split_whitespace().nth(4) == Some(&*file)).any(|line| {
            let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
            let bound = |text| usize::from_str_radix(text, 16).unwrap();
            (bound(from)..bound(to)).contains(&at)
        })
    };
    assert!(!is_in_segment(&subscriber.recv_ref().unwrap().unwrap()));
    assert!(is_in_segment(&trusting.recv_ref().unwrap().unwrap()), "who trusts the others is given the place itself");
}

#[test]
fn a_hardened_latest_value_and_service_refuse_what_is_in_place() {
    let domain = Domain::new("others");
    let latest = Latest::<u64>::new("l").domain(domain.name()).hardened(true).timestamps(true);
    // The reader comes before its process writes, and so has a mapping that cannot be written.
    let mut reader = latest.reader().unwrap();
    let file = fs::metadata(&reader.info().path).unwrap().ino().to_string();
    let mapped = || {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let of_file = maps.lines().filter(|line| line.split_whitespace().nth(4) == Some(&*file));
        of_file.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(mapped(), ["r--s"]);
    assert_eq!(reader.wait_newer(Duration::from_millis(2)).unwrap(), None);
    let mut writer = latest.writer().unwrap();
    assert!(matches!(writer.loan(), Err(WriteError::Hardened(()))));
    writer.write(7).unwrap();
    assert_eq!(reader.read_ref().unwrap(), Some(&7), "which is a copy in any case");

    let service = Service::<str, u64>::new("s").domain(domain.name()).hardened(true);
    let (client, server) = (service.client().unwrap(), service.server().unwrap());
    assert!(matches!(client.loan_len(3), Err(CallError::Hardened)));
    let mut call = client.submit_copy("by value").unwrap();
    assert!(matches!(server.try_accept_ref(), Err(AcceptError::Hardened)));
    let request = server.try_accept_boxed().unwrap().unwrap();
    assert_eq!(&**request, "by value");
    request.reply(8);
    assert!(matches!(call.try_take_ref(), Some(Err(CallError::Hardened))));
    assert_eq!(call.wait().unwrap(), 8);
    let _second = client.submit_copy("another").unwrap();
    let request = server.try_accept_boxed().unwrap().unwrap();
    assert!(matches!(request.loan_len(0), Err(ReplyError::Hardened)));
}

#[test]
fn ends_are_hardened_where_others_are_let_in_and_nobody_says_otherwise() {
    let domain = Domain::new("default");
    let queue = |name: &str| Queue::<u64>::new(name).domain(domain.name());
    let own = queue("own");
    assert!(!own.sender().unwrap().info().hardened);
    let open = queue("open").mode(0o660);
    let tx = open.sender().unwrap();
    assert!(tx.info().hardened);
    assert_eq!(tx.info().mode, 0o660);
    assert_eq!(fs::metadata(&tx.info().path).unwrap().mode() & 0o7777, 0o660, "whatever the mask of modes is");
    assert!(queue("open").receiver().unwrap().info().hardened, "who joins goes by the file");
    assert!(!open.hardened(false).receiver().unwrap().info().hardened, "and everybody decides for himself");
    let asked = queue("asked").hardened(true);
    let tx = asked.sender().unwrap();
    assert_eq!(tx.info().mode, 0o600);
    assert!(queue("asked").receiver().unwrap().info().hardened, "the creator has asked for it");
    let trusting = queue("trusting").mode(0o666).hardened(false);
    let tx = trusting.sender().unwrap();
    assert!(!tx.info().hardened);
}

#[test]
fn modes_and_groups_that_make_no_sense_are_refused() {
    let domain = Domain::new("wrong");
    let queue = Queue::<u64>::new("wrong").domain(domain.name());
    for (mode, word) in [(0o755, "nothing else"), (0o060, "add 0o600"), (0o4660, "nothing else")] {
        let error = queue.clone().mode(mode).sender().unwrap_err();
        assert!(matches!(error, OpenError::Mode { mode: found, .. } if found == mode), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = queue.clone().mode(0o606).group("root").sender().unwrap_err();
    assert!(error.to_string().contains("a group is given that may do nothing"), "{error}");
    let error = queue.group("no-such-group").sender().unwrap_err();
    let expected =
        "a segment cannot be given to the group \"no-such-group\": there is no such group; `getent group` lists";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(!domain.path("wrong").exists());
}

#[test]
fn users_who_were_let_in_exchange_messages() {
    if !is_root() {
        return skip("two users", "only root can become another user");
    }
    let domain = Domain::new("users");
    let queue = Queue::<u64>::new("shared").domain(domain.name()).mode(0o666);
    let latest = Latest::<u64>::new("level").domain(domain.name()).mode(0o644);
    let (mut tx, mut writer) = (queue.sender().unwrap(), latest.writer().unwrap());
    writer.write(40).unwrap();
    let mut visitor = Child::start("visit", &domain);
    assert_eq!(visitor.hear(), "joined");
    tx.send(1).unwrap();
    assert_eq!(visitor.hear(), "received Ok(Some(1))");
    writer.write(41).unwrap();
    visitor.tell("look");
    assert_eq!(visitor.hear(), "read Ok(Some(41))");
    // Its death is noticed across users as any other.
    visitor.kill();
    let mut visitor = Child::start("visit", &domain);
    assert_eq!(visitor.hear(), "joined");
    tx.send(2).unwrap();
    assert_eq!(visitor.hear(), "received Ok(Some(2))");
    visitor.tell("look");
    assert_eq!(visitor.hear(), "read Ok(Some(41))");
    visitor.finish();
}

/// Takes part in root's channels as somebody else.
fn visit(domain: &str) {
    become_nobody(NOBODY);
    let queue = Queue::<u64>::new("shared").domain(domain);
    assert!(matches!(queue.receiver(), Err(OpenError::Permission { owner: 0, .. })), "nobody has asked for root's");
    let mut rx = queue.mode(0o666).receiver().unwrap();
    assert!(rx.info().hardened && !rx.info().created);
    let mut reader = Latest::<u64>::new("level").domain(domain).mode(0o644).reader().unwrap();
    say("joined");
    say(format!("received {:?}", rx.recv_timeout(PATIENCE)));
    listen();
    say(format!("read {:?}", reader.read()));
    listen();
}

#[test]
fn a_group_is_let_in_and_nobody_else() {
    if !is_root() {
        return skip("a group of two users", "only root can become another user");
    }
    let domain = Domain::new("groups");
    let group = NOBODY.to_string();
    let queue = Queue::<u64>::new("team").domain(domain.name()).group(&group).lifetime(Lifetime::Attached);
    let mut tx = queue.sender().unwrap();
    let file = fs::metadata(&tx.info().path).unwrap();
    assert_eq!((file.gid(), file.mode() & 0o7777), (NOBODY, 0o660));
    tx.send(3).unwrap();
    let mut visitor = Child::start("visit-group", &domain);
    assert_eq!(visitor.hear(), "received Ok(Some(3))");
    visitor.finish();
    Child::start("stay-out", &domain).finish();
    let mut onlooker = Child::start("look-on", &domain);
    let news = Broadcast::<u64>::new("news").domain(domain.name()).lossy().mode(0o640).group(&group);
    let mut publisher = news.publisher().unwrap();
    onlooker.tell("there it is");
    assert_eq!(onlooker.hear(), "subscribed");
    publisher.send(9).unwrap();
    assert_eq!(onlooker.hear(), "received Ok(Some(9))");
    onlooker.finish();
}

/// Takes part in the channel of a group that it is in.
fn visit_group(domain: &str) {
    become_nobody(NOBODY);
    let queue = Queue::<u64>::new("team").domain(domain);
    // Whoever may not be trusted cannot make another group's segment pass for this one's.
    let other = queue.clone().group("0").receiver();
    assert!(matches!(other, Err(OpenError::Permission { owner: 0, .. })), "{other:?}");
    let mut rx = queue.group("65534").receiver().unwrap();
    say(format!("received {:?}", rx.recv_timeout(PATIENCE)));
    listen();
}

/// Receives what it may not write.
fn look_on(domain: &str) {
    become_nobody(NOBODY);
    listen();
    let news = Broadcast::<u64>::new("news").domain(domain).lossy().mode(0o640).group("65534");
    let mut subscriber = news.subscriber().unwrap();
    assert!(news.publisher().is_err());
    say("subscribed");
    say(format!("received {:?}", subscriber.recv_timeout(PATIENCE)));
    listen();
}

/// Is in another group.
fn stay_out(domain: &str) {
    become_nobody(4_711);
    let queue = Queue::<u64>::new("team").domain(domain).group("65534");
    let error = queue.receiver().unwrap_err();
    assert!(matches!(error, OpenError::Permission { owner: 0, .. }), "{error:?}");
    let error = Queue::<u64>::new("own").domain(domain).group("65534").sender().unwrap_err();
    let expected = "a segment cannot be given to the group \"65534\": this process is not in it; `id` lists";
    assert!(error.to_string().starts_with(expected), "{error}");
}
