//! Pipes: between processes that are started in any order, race for an end, and are killed; and by verb, in one process.

mod support;

use ipc_core::inspect::Observer;
use ipc_core::{Lifetime, OpenError, Pipe, PipeEnd, RecvTimeoutError, Role, SendError, TryRecvError, TrySendError};
use ipc_macros::IpcMessage;
use std::thread;
use std::time::Duration;
use support::{Child, Domain, PATIENCE, Part, listen, play, program, say};

const PARTS: &[(&str, Part)] = &[
    ("ask_thousands", ask_thousands),
    ("answer_all", answer_all),
    ("answer_on_request", answer_on_request),
    ("race_for_the_left_end", race_for_the_left_end),
    ("open_left_on_request", open_left_on_request),
    ("open_right_on_request", open_right_on_request),
];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

const THOUSANDS: u64 = 50_000;

/// A message that shows whether it is whole.
type Question = [u64; 2];

/// Another size than the question's, so that confusing the directions would not go unnoticed.
type Answer = [u64; 4];

fn question(number: u64) -> Question {
    [number, !number]
}

fn answer([number, inverse]: Question) -> Answer {
    assert_eq!(inverse, !number, "a question is whole");
    [number, number.wrapping_mul(3), number ^ 0x5555, !number]
}

fn pipe(domain: &str) -> Pipe<Question, Answer> {
    Pipe::new("talk").capacity(8).domain(domain)
}

fn ask_thousands(domain: &str) {
    let mut left = pipe(domain).left().unwrap();
    for number in 0..THOUSANDS {
        left.send(question(number)).unwrap();
        assert_eq!(left.recv(), Ok(Some(answer(question(number)))));
    }
    say("all were answered");
}

fn answer_all(domain: &str) {
    let mut right = pipe(domain).right().unwrap();
    say("ready");
    while let Some(question) = right.recv().unwrap() {
        right.send(answer(question)).unwrap();
    }
    say("the end");
}

/// Answers one question for every line that it is told.
fn answer_on_request(domain: &str) {
    let mut right = pipe(domain).right().unwrap();
    say("ready");
    while listen().is_some() {
        let question = right.recv().unwrap().unwrap();
        right.send(answer(question)).unwrap();
        say("answered");
    }
}

/// Tries to take the left end when told, says how it went, and lets it go when told.
fn race_for_the_left_end(domain: &str) {
    say("ready");
    while listen().is_some() {
        let taken = pipe(domain).left();
        match &taken {
            Ok(_) => say("taken"),
            Err(OpenError::InUse { role: Role::Left, .. }) => say("in use"),
            Err(error) => say(error.to_string()),
        }
        listen();
        drop(taken);
        say("let go");
    }
}

/// Takes an end when told, and lets it go after a message in each direction.
fn open_on_request<S, R>(mut open: impl FnMut() -> PipeEnd<S, R>, message: S)
where
    S: ipc_core::IpcMessage + Copy,
    R: ipc_core::IpcMessage,
{
    say("ready");
    while listen().is_some() {
        let mut end = open();
        end.send(message).unwrap();
        end.recv().unwrap().unwrap();
        say("both ways");
        listen();
        drop(end);
        say("let go");
    }
}

fn open_left_on_request(domain: &str) {
    open_on_request(|| pipe(domain).left().unwrap(), question(1));
}

fn open_right_on_request(domain: &str) {
    open_on_request(|| pipe(domain).right().unwrap(), answer(question(1)));
}

/// A child that has said that it is ready.
fn ready(part: &str, domain: &Domain) -> Child {
    let mut child = Child::start(part, domain);
    assert_eq!(child.hear(), "ready");
    child
}

#[test]
fn every_question_is_answered_whoever_starts_first() {
    for left_first in [true, false] {
        let domain = Domain::new(&format!("thousands-{left_first}"));
        let (mut left, mut right);
        if left_first {
            left = Child::start("ask_thousands", &domain);
            right = ready("answer_all", &domain);
        } else {
            right = ready("answer_all", &domain);
            left = Child::start("ask_thousands", &domain);
        }
        assert_eq!(left.hear(), "all were answered");
        left.finish();
        assert_eq!(right.hear(), "the end");
        right.finish();
    }
}

#[test]
fn one_of_those_who_race_for_an_end_gets_it() {
    let domain = Domain::new("race");
    let mut children: Vec<Child> = (0..4).map(|_| ready("race_for_the_left_end", &domain)).collect();
    // Somebody who listens at the right end keeps the pipe from being removed between the rounds, every other time.
    for round in 0..40 {
        let right = (round % 2 == 0).then(|| pipe(domain.name()).right().unwrap());
        children.iter_mut().for_each(|child| child.tell("go"));
        let mut outcomes: Vec<String> = children.iter_mut().map(Child::hear).collect();
        outcomes.sort();
        assert_eq!(outcomes, ["in use", "in use", "in use", "taken"]);
        children.iter_mut().for_each(|child| child.tell("let go"));
        children.iter_mut().for_each(|child| assert_eq!(child.hear(), "let go"));
        drop(right);
    }
    children.into_iter().for_each(Child::finish);
}

#[test]
fn both_ends_can_be_opened_at_the_same_moment() {
    let domain = Domain::new("opposite");
    let mut children = [ready("open_left_on_request", &domain), ready("open_right_on_request", &domain)];
    for _ in 0..40 {
        children.iter_mut().for_each(|child| child.tell("go"));
        children.iter_mut().for_each(|child| assert_eq!(child.hear(), "both ways"));
        children.iter_mut().for_each(|child| child.tell("let go"));
        children.iter_mut().for_each(|child| assert_eq!(child.hear(), "let go"));
    }
    children.into_iter().for_each(Child::finish);
}

#[test]
fn a_split_end_sends_and_receives_from_two_threads() {
    let domain = Domain::new("split");
    let child = ready("answer_all", &domain);
    let (mut tx, mut rx) = pipe(domain.name()).left().unwrap().split();
    // Many more than fit, so that each direction has to be kept going by its own thread.
    let asking = thread::spawn(move || (0..THOUSANDS).for_each(|number| tx.send(question(number)).unwrap()));
    for number in 0..THOUSANDS {
        assert_eq!(rx.recv_timeout(PATIENCE), Ok(Some(answer(question(number)))));
    }
    asking.join().unwrap();
    // The sender was dropped with its thread, so the other end closes too.
    assert_eq!(rx.recv_timeout(PATIENCE), Ok(None));
    child.finish();
}

#[test]
fn both_halves_can_be_used_at_once() {
    let domain = Domain::new("halves");
    let (mut left, mut right) = (pipe(domain.name()).left().unwrap(), pipe(domain.name()).right().unwrap());
    let (tx, rx) = left.halves();
    thread::scope(|scope| {
        scope.spawn(move || (0..100).for_each(|number| tx.send(question(number)).unwrap()));
        scope.spawn(move || {
            for _ in 0..100 {
                let question = right.recv().unwrap().unwrap();
                right.send(answer(question)).unwrap();
            }
        });
        (0..100).for_each(|number| assert_eq!(rx.recv(), Ok(Some(answer(question(number))))));
    });
    assert_eq!(left.recv(), Ok(None));
    assert_eq!(left.halves().0.info().name, "talk.lr");
    assert_eq!(left.halves().1.info().name, "talk.rl");
    assert_eq!(left.halves().0.capacity(), 8);
}

#[test]
fn the_verbs_do_what_those_of_queues_do() {
    let domain = Domain::new("verbs");
    let pipe = Pipe::<u64, u32>::new("verbs").capacity(2).domain(domain.name());
    let (mut left, mut right) = (pipe.left().unwrap(), pipe.right().unwrap());
    assert_eq!(right.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(right.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
    assert_eq!(right.poll(Duration::ZERO), Ok(false));
    assert_eq!(right.poll(Duration::from_millis(1)), Ok(false));
    left.try_send(1).unwrap();
    let mut loan = left.loan().unwrap();
    *loan = 2;
    loan.send();
    assert_eq!(left.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(left.try_loan().err(), Some(TrySendError::Full(())));
    assert!(left.send_timeout(3, Duration::from_millis(1)).is_err());
    assert_eq!(right.poll(Duration::ZERO), Ok(true));
    assert_eq!(right.recv_ref().unwrap().as_deref(), Some(&1));
    let mut batch = Vec::new();
    assert_eq!(right.recv_batch(&mut batch, 10), Ok(1));
    assert_eq!(batch, [2]);
    assert_eq!(right.send_batch([7, 8]), Ok(2));
    drop(right);
    assert_eq!(left.iter().collect::<Result<Vec<_>, _>>(), Ok(vec![7, 8]));
    // There is room for two more, for the next one at the right end; then the pipe is full and nobody is there.
    assert_eq!(left.send_batch([4, 5]), Ok(2));
    assert_eq!(left.send(6), Err(SendError::Closed(6)));
    drop(left);
    let mut right = pipe.right().unwrap();
    assert_eq!((&mut right).into_iter().collect::<Result<Vec<_>, _>>(), Ok(vec![4, 5]));
}

#[test]
fn an_end_that_is_taken_is_refused_and_the_other_side_hears_nothing_of_it() {
    let domain = Domain::new("refused");
    let pipe = pipe(domain.name());
    let mut right = pipe.right().unwrap();
    let left = pipe.left().unwrap();
    let refused = |error: Option<OpenError>, role| match error {
        Some(OpenError::InUse { channel, role: found, peer }) => {
            assert_eq!((channel.as_str(), found), ("talk", role));
            assert_eq!(peer.pid, std::process::id());
        }
        other => panic!("it was not refused for being in use: {other:?}"),
    };
    refused(pipe.left().err(), Role::Left);
    refused(pipe.right().err(), Role::Right);
    assert_eq!(right.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(pipe.right().unwrap_err().to_string(), {
        let (pid, program) = (std::process::id(), program());
        format!("channel \"talk\" has a right end already: pid {pid} \"{program}\"; it has room for one")
    });
    // A half of the end is in use, whichever it is.
    let (tx, rx) = left.split();
    drop(rx);
    refused(pipe.left().err(), Role::Left);
    assert_eq!(right.try_recv(), Err(TryRecvError::Empty));
    drop(tx);
    let (tx, rx) = pipe.left().unwrap().split();
    drop(tx);
    refused(pipe.left().err(), Role::Left);
    drop(rx);
    assert!(pipe.left().is_ok(), "nobody has any of it");
}

#[test]
fn another_message_in_either_direction_is_refused_and_the_other_side_hears_nothing_of_it() {
    let domain = Domain::new("mismatch");
    let mut right = pipe(domain.name()).right().unwrap();
    // Full, so that the right end would also notice somebody who takes the left end's receiver and gives it back.
    right.send_batch([answer(question(0)); 8]).unwrap();
    let mut refuse = |error: Option<OpenError>| {
        assert!(matches!(error, Some(OpenError::Mismatch(_))), "{error:?}");
        assert_eq!(right.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(right.try_send(answer(question(0))), Err(TrySendError::Full(answer(question(0)))));
    };
    refuse(Pipe::<u64, Answer>::new("talk").domain(domain.name()).left().err());
    refuse(Pipe::<Question, u64>::new("talk").domain(domain.name()).left().err());
    // The two messages exchanged.
    refuse(Pipe::<Answer, Question>::new("talk").domain(domain.name()).left().err());
    drop(right);
    assert_eq!(pipe(domain.name()).left().unwrap().iter().count(), 8);
}

#[test]
fn a_pipe_is_removed_as_a_whole_or_not_at_all() {
    let domain = Domain::new("remove");
    let pipe = pipe(domain.name()).lifetime(Lifetime::Persistent);
    assert!(!pipe.remove().unwrap());
    let mut left = pipe.left().unwrap();
    left.send(question(1)).unwrap();
    let (tx, rx) = left.split();
    drop(tx);
    // Nobody is at the direction that the message is in, and it stays all the same.
    assert!(matches!(pipe.remove(), Err(OpenError::InUse { .. })));
    assert!(domain.path("talk.lr").exists());
    drop(rx);
    assert_eq!(pipe.right().unwrap().recv(), Ok(Some(question(1))));
    assert!(pipe.remove().unwrap());
    assert!(!pipe.remove().unwrap());
}

#[test]
fn names_are_checked_with_what_is_appended_to_them() {
    let domain = Domain::new("names");
    let open = |name: &str| Pipe::<u64, u64>::new(name).domain(domain.name()).left();
    assert!(open(&"n".repeat(125)).is_ok());
    assert!(matches!(open(&"n".repeat(126)), Err(OpenError::Name { .. })));
    assert!(matches!(open(".hidden"), Err(OpenError::Name { .. })));
    assert!(matches!(open(""), Err(OpenError::Name { .. })));
}

/// Of any length, in one direction.
#[derive(IpcMessage, Debug)]
#[repr(C)]
#[ipc(crate = "ipc_core")]
struct Text {
    line: u32,
    text: str,
}

#[test]
fn either_direction_takes_messages_of_any_length() {
    let domain = Domain::new("pipe-lengths");
    let pipe = Pipe::<Text, [u8]>::new("lengths").capacity(4096).domain(domain.name());
    let (mut left, mut right) = (pipe.left().unwrap(), pipe.right().unwrap());
    for len in [0, 1, 59, 500] {
        assert!(!right.poll(Duration::ZERO).unwrap());
        let mut loan = left.loan_len(len).unwrap();
        loan.line = 7;
        loan.set_text(&"x".repeat(len)).unwrap();
        loan.send();
        assert!(right.poll(Duration::ZERO).unwrap());
        let received = right.recv_ref().unwrap().unwrap();
        assert_eq!((received.line, received.text.len()), (7, len));
        let bytes = received.text.as_bytes().to_vec();
        drop(received);
        right.send_copy(&bytes).unwrap();
        assert_eq!(left.recv_boxed().unwrap().as_deref(), Some(&bytes[..]));
    }
    right.try_send_copy(b"last").unwrap();
    assert_eq!(*left.recv_ref_timeout(PATIENCE).unwrap().unwrap(), *b"last");
    assert_eq!(left.try_recv_ref().unwrap_err(), TryRecvError::Empty);
    drop(left);
    assert!(right.recv_ref().unwrap().is_none());
}

#[test]
fn both_directions_get_the_options_of_the_pipe() {
    let domain = Domain::new("pipe-options");
    let pipe = Pipe::<u32, u64>::new("options").domain(domain.name()).prefault(true).timestamps(true);
    let (mut left, mut right) = (pipe.left().unwrap(), pipe.right().unwrap());
    left.send(1).unwrap();
    right.send(2).unwrap();
    assert_eq!((right.recv(), left.recv()), (Ok(Some(1)), Ok(Some(2))));
    for direction in ["options.lr", "options.rl"] {
        let observer = Observer::open_in(domain.name(), direction).unwrap();
        assert_eq!(observer.latency().map(|latency| latency.count()), Some(1), "{direction}");
    }
}
