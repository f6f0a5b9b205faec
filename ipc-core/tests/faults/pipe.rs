//! Pipes whose ends are killed.

use super::support::{Child, Domain, PATIENCE, Part, listen, program, say};
use ipc_core::{Peer, Pipe, RecvError, RecvTimeoutError};
use std::hint;
use std::time::Duration;

pub(super) const PARTS: &[(&str, Part)] = &[
    ("pipe_answer_all", answer_all),
    ("pipe_answer_on_request", answer_on_request),
    ("pipe_open_and_close", open_and_close_until_killed),
];

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

fn open_and_close_until_killed(domain: &str) {
    say("ready");
    loop {
        drop(pipe(domain).left().unwrap());
    }
}

/// A child that has said that it is ready.
fn ready(part: &str, domain: &Domain) -> Child {
    let mut child = Child::start(part, domain);
    assert_eq!(child.hear(), "ready");
    child
}

fn died(child_pid: u32) -> RecvError {
    RecvError::SenderDied(Peer { pid: child_pid, program: program().into() })
}

#[test]
fn a_killed_end_is_reported_once_and_succeeded() {
    let domain = Domain::new("pipe-killed");
    let mut left = pipe(domain.name()).left().unwrap();
    let mut child = ready("pipe_answer_on_request", &domain);
    let pid = child.pid();
    left.send_batch((0..3).map(question)).unwrap();
    child.tell("answer");
    assert_eq!(child.hear(), "answered");
    child.kill();
    // The answer comes first, then the news, and no second time.
    assert_eq!(left.recv(), Ok(Some(answer(question(0)))));
    assert_eq!(left.recv(), Err(died(pid)));
    assert_eq!(left.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
    // The successor answers what is still in the pipe.
    let mut child = ready("pipe_answer_on_request", &domain);
    for number in 1..3 {
        child.tell("answer");
        assert_eq!(child.hear(), "answered");
        assert_eq!(left.recv(), Ok(Some(answer(question(number)))));
    }
    drop(left);
    child.finish();
}

#[test]
fn an_end_that_is_killed_anywhere_costs_at_most_the_answer_it_was_about_to_give() {
    let domain = Domain::new("pipe-killed-anywhere");
    let (mut tx, mut rx) = pipe(domain.name()).left().unwrap().split();
    let (mut asked, mut next, mut random) = (0, 0, 0x2545_F491_u64);
    for _ in 0..30 {
        let child = ready("pipe_answer_all", &domain);
        let pid = child.pid();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let last = next + (random >> 40) % 2000;
        // A few are always on the way, so that it may be anywhere when it dies.
        while next < last {
            while asked < next + 4 {
                tx.send(question(asked)).unwrap();
                asked += 1;
            }
            let [number, ..] = rx.recv_timeout(PATIENCE).unwrap().unwrap();
            // The first may be one later: the predecessor took a question and died before it answered.
            assert!(number == next || number == next + 1, "{number} where {next} is due");
            next = number + 1;
        }
        child.kill();
        let mut lost = 0;
        loop {
            match rx.recv_timeout(PATIENCE) {
                Ok(Some(answered)) => {
                    lost += answered[0] - next;
                    next = answered[0] + 1;
                }
                Ok(None) => unreachable!("nobody closes"),
                Err(error) => {
                    assert_eq!(error, RecvTimeoutError::SenderDied(Peer { pid, program: program().into() }));
                    break;
                }
            }
        }
        assert!(lost <= 1, "{lost} questions were taken and not answered");
    }
    drop((tx, rx));
    pipe(domain.name()).remove().unwrap();
}

#[test]
fn an_end_that_is_killed_while_it_opens_or_closes_can_be_taken() {
    let domain = Domain::new("pipe-killed-opening");
    let mut random = 0xB5AD_4ECE_u64;
    for round in 0..40 {
        // With somebody at the other end, and without.
        let mut right = (round % 2 == 0).then(|| pipe(domain.name()).right().unwrap());
        let child = ready("pipe_open_and_close", &domain);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Up to a millisecond or so, in which it opens and closes some ten times.
        for step in 0..random >> 48 {
            hint::black_box(step);
        }
        child.kill();
        let mut left = pipe(domain.name()).left().unwrap();
        left.send(question(round)).unwrap();
        let right = right.get_or_insert_with(|| pipe(domain.name()).right().unwrap());
        assert_eq!(right.recv_timeout(PATIENCE), Ok(Some(question(round))));
    }
}

#[test]
fn a_blocked_poll_hears_of_a_message_of_the_end_and_of_a_death() {
    let domain = Domain::new("pipe-poll-blocked");
    let mut left = pipe(domain.name()).left().unwrap();
    let mut child = ready("pipe_answer_on_request", &domain);
    left.send(question(1)).unwrap();
    child.tell("answer");
    assert_eq!(left.poll(PATIENCE), Ok(true));
    assert_eq!(left.try_recv(), Ok(Some(answer(question(1)))));
    child.finish();
    assert_eq!(left.poll(PATIENCE), Ok(true));
    assert_eq!(left.poll(Duration::ZERO), Ok(true), "the end stays");
    assert_eq!(left.try_recv(), Ok(None));

    let child = ready("pipe_answer_on_request", &domain);
    let pid = child.pid();
    child.kill();
    assert_eq!(left.poll(PATIENCE), Err(died(pid)));
    assert_eq!(left.poll(Duration::ZERO), Ok(false), "the death was reported");
}
