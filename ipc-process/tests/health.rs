//! Supervised programs that are well as long as they take part in their channels.

mod support;

use ipc_core::error::OpenError;
use ipc_core::{Queue, Sender};
use ipc_process::{Event, Exit, Health, Program, Restart, State, SuperviseError, Supervisor, SupervisorBuilder};
use std::fs;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use support::{Onlooker, PATIENCE, Part, endless, part, play, segments_of, wait_until};

const PARTS: &[(&str, Part)] = &[
    ("leave_when_told", leave_when_told),
    ("leave_and_end_when_asked", leave_and_end_when_asked),
    ("leave_and_ignore_signals", leave_and_ignore_signals),
];

/// The channel that is to be taken part in.
const CHANNEL: &str = "watched";

/// A time that is up soon.
const SOON: Duration = Duration::from_millis(20);

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// Takes part in the channel until a message comes, and then lives on without.
fn leave_when_told() {
    let mut receiver = Queue::<u8>::new(CHANNEL).receiver().unwrap();
    receiver.recv().unwrap();
    drop(receiver);
    loop {
        std::thread::park();
    }
}

/// The same, but SIGTERM ends it with the exit code 0.
fn leave_and_end_when_asked() {
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: allowed in a signal handler.
        unsafe { libc::_exit(0) }
    }
    // SAFETY: the handler does only what a handler may.
    unsafe { libc::signal(libc::SIGTERM, end as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    leave_when_told();
}

/// The same, but SIGTERM does not end it.
fn leave_and_ignore_signals() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    leave_when_told();
}

/// A domain of the test's own.
fn domain_of(test: &str) -> String {
    format!("health-{}-{test}", std::process::id())
}

/// A part of this file, in a domain, that has all the time that it may need to get ready.
fn member(name: &str, part_name: &str, domain: &str, grace: Duration) -> Program {
    let mut command = part(part_name);
    command.env("SLIPRING_DOMAIN", domain);
    Program::new(name, command)
        .restart(Restart::on_failure().backoff(SOON, SOON))
        .health(Health::channels([CHANNEL]).ready_within(PATIENCE).grace(grace))
}

/// A program that never takes part in any channel.
fn stranger(name: &str, command: Command, domain: &str) -> Program {
    Program::new(name, command).health(Health::channels([CHANNEL]).domain(domain).ready_within(SOON))
}

/// The sending end of the channel. Whoever has it to the end takes the segment away, which those who are killed leave.
fn sender(domain: &str) -> Sender<u8> {
    Queue::new(CHANNEL).domain(domain).sender().unwrap()
}

/// Has events sent to a channel, and lines to nobody.
fn observed(builder: SupervisorBuilder) -> (SupervisorBuilder, Receiver<Event>) {
    let (seen, events) = channel();
    (builder.on_event(move |event| seen.send(event).unwrap()).on_line(|_| {}), events)
}

fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).expect("something happens")
}

/// Waits for a start, and for the program to get ready. Returns its process id.
fn ready(events: &Receiver<Event>) -> u32 {
    let started = match next(events) {
        Event::Started { pid, .. } | Event::Restarted { pid, .. } => pid,
        other => panic!("{other}"),
    };
    match next(events) {
        Event::Ready { pid, .. } if pid == started => pid,
        other => panic!("{other}"),
    }
}

/// Waits for the program to be found unhealthy after it was ready.
fn lost(events: &Receiver<Event>, lost_pid: u32) {
    match next(events) {
        Event::Unhealthy { pid, channel, was_ready: true, absent_for, .. } => {
            assert_eq!((pid, &*channel), (lost_pid, CHANNEL));
            assert!(absent_for >= SOON);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn one_that_loses_its_channel_is_started_again() {
    let cases = [
        ("leave_when_told", PATIENCE, "killed by SIGTERM"),
        ("leave_and_end_when_asked", PATIENCE, "exit code 0"),
        ("leave_and_ignore_signals", SOON, "killed by SIGKILL"),
    ];
    for (part, grace, end) in cases {
        let domain = domain_of(part);
        let (builder, events) = observed(Supervisor::builder().program(member("p", part, &domain, SOON)).grace(grace));
        let supervisor = builder.start().unwrap();
        let first = ready(&events);
        assert_eq!(supervisor.status()[0].state, State::Running { pid: first });

        let mut sender = sender(&domain);
        sender.send(0).unwrap();
        lost(&events, first);
        match next(&events) {
            Event::Exited { pid, exit, restart_in: Some(SOON), .. } => {
                assert_eq!((pid, exit.to_string().as_str()), (first, end));
            }
            other => panic!("{other}"),
        }
        let second = ready(&events);
        assert_ne!(first, second);
        assert_eq!(supervisor.status()[0].state, State::Running { pid: second });
        assert_eq!(supervisor.status()[0].restarts, 1);
        drop((supervisor, sender));
        assert_eq!(segments_of(&domain), [""; 0]);
    }
}

#[test]
fn one_that_never_gets_ready_is_restarted_until_it_is_given_up() {
    let restart = Restart::on_failure().at_most(2, PATIENCE).backoff(SOON, PATIENCE);
    let program = stranger("p", endless(), &domain_of("never")).restart(restart);
    let (builder, events) = observed(Supervisor::builder().program(program));
    let statuses = builder.start().unwrap().wait();
    assert_eq!((statuses[0].state, statuses[0].restarts), (State::GivenUp, 2));
    assert_eq!(statuses[0].last_exit.and_then(Exit::signal), Some(libc::SIGTERM));
    let kind = |event| match event {
        Event::Started { .. } | Event::Restarted { .. } => "started".to_owned(),
        Event::Unhealthy { was_ready: false, absent_for, .. } if absent_for >= SOON => "unhealthy".to_owned(),
        Event::Exited { restart_in, .. } => {
            format!("exited, again in {:?} ms", restart_in.map(|delay| delay.as_millis()))
        }
        Event::GaveUp { restarts: 2, .. } => "given up".to_owned(),
        other => other.to_string(),
    };
    let kinds: Vec<_> = events.iter().map(kind).collect();
    let run = |end| ["started", "unhealthy", end];
    let runs =
        [run("exited, again in Some(20) ms"), run("exited, again in Some(40) ms"), run("exited, again in None ms")];
    assert_eq!(kinds, [&runs.concat()[..], &["given up"]].concat());
}

#[test]
fn others_are_left_alone() {
    let (domain, damaged) = (domain_of("healthy"), domain_of("damaged"));
    let damage = format!("/dev/shm/slipring.{damaged}.{CHANNEL}");
    fs::write(&damage, "no segment").unwrap();
    let restart = Restart::on_failure().at_most(2, PATIENCE).backoff(SOON, SOON);
    let _sender = sender(&domain);
    let well = member("well", "leave_when_told", &domain, Duration::ZERO);
    let unseen = stranger("unseen", endless(), &damaged);
    // It is given time enough for several looks at the others.
    let health = Health::channels([CHANNEL]).domain(&domain).ready_within(Duration::from_millis(200));
    let ill = Program::new("ill", endless()).restart(restart).health(health);
    let (builder, events) = observed(Supervisor::builder().program(well).program(unseen).program(ill));
    let supervisor = builder.start().unwrap();
    let (mut stopped, mut happened) = (None, Vec::new());
    while !matches!(happened.last(), Some(Event::GaveUp { .. })) {
        let event = next(&events);
        if let Event::Ready { pid, .. } = event {
            // One that is stopped takes part.
            let process = Onlooker::of(pid);
            process.stop();
            stopped = Some(process);
        }
        happened.push(event);
    }
    fs::remove_file(damage).unwrap();
    assert!(stopped.as_ref().is_some_and(Onlooker::is_alive));
    let of = |name| happened.iter().filter(move |event| event.program() == name).collect::<Vec<_>>();
    assert!(matches!(of("well")[..], [Event::Started { .. }, Event::Ready { .. }]), "{happened:?}");
    assert!(matches!(of("unseen")[..], [Event::Started { .. }]), "{happened:?}");
    let states: Vec<_> = supervisor.status().iter().map(|status| status.state).collect();
    assert!(matches!(states[..], [State::Running { .. }, State::Starting { .. }, State::GivenUp]), "{states:?}");
}

#[test]
fn an_unhealthy_one_that_is_ended_by_hand_stays_so() {
    let domain = domain_of("by-hand");
    let program = member("p", "leave_and_ignore_signals", &domain, SOON);
    let (builder, events) = observed(Supervisor::builder().program(program).grace(PATIENCE));
    let supervisor = builder.start().unwrap();
    let pid = ready(&events);
    sender(&domain).send(0).unwrap();
    lost(&events, pid);
    assert_eq!(supervisor.status()[0].state, State::Ending { pid });
    assert!(supervisor.end_program("p"));
    drop(Onlooker::of(pid));
    assert!(matches!(next(&events), Event::Exited { restart_in: None, .. }));
    assert_eq!(supervisor.wait()[0].state, State::Ended);
}

#[test]
fn nobody_is_restarted_during_the_shutdown() {
    let (domain, other_domain) = (domain_of("shutdown"), domain_of("shutdown-2"));
    let (mut sender, _other_sender) = (sender(&domain), sender(&other_domain));
    let builder = Supervisor::builder()
        .program(member("first", "leave_when_told", &domain, Duration::ZERO))
        .program(member("last", "leave_and_ignore_signals", &other_domain, PATIENCE))
        // Time enough for several looks at the first while the last is ending.
        .grace(Duration::from_millis(500));
    let (builder, events) = observed(builder);
    let supervisor = builder.start().unwrap();
    for _ in 0..4 {
        assert!(matches!(next(&events), Event::Started { .. } | Event::Ready { .. }));
    }
    supervisor.stop();
    wait_until(|| matches!(supervisor.status()[1].state, State::Ending { .. }));
    sender.send(0).unwrap();
    let statuses = supervisor.wait();
    assert!(statuses.iter().all(|status| status.state == State::Ended && status.restarts == 0), "{statuses:?}");
    assert!(events.iter().all(|event| matches!(event, Event::Exited { restart_in: None, .. })));
}

#[test]
fn a_channel_that_cannot_be_is_an_error() {
    let program = Program::new("p", endless()).health(Health::channels(["fine", "not/fine"]));
    let error = Supervisor::builder().program(program).start().unwrap_err();
    assert!(matches!(&error, SuperviseError::Channel { source: OpenError::Name { .. }, .. }), "{error}");
    assert!(error.to_string().starts_with(r#"p: the channel name "not/fine" cannot be used"#), "{error}");
}
