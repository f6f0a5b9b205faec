//! Supervised programs: restarts, logs, shutdown, and what is left of them.

mod support;

use ipc_process::{Event, Exit, Line, Program, Restart, State, Status, Stream, SuperviseError, Supervisor};
use ipc_process::{SpawnError, SupervisorBuilder};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use support::{
    Onlooker, PATIENCE, Part, Talker, descriptors, endless, part, play, say, sh, verdict, wait_until, zombies,
};

const PARTS: &[(&str, Part)] = &[
    ("supervise_until_killed", supervise_until_killed),
    ("supervise_until_signalled", supervise_until_signalled),
    ("supervise_stubborn_ones", supervise_stubborn_ones),
    ("end_when_asked", end_when_asked),
    ("go_on_when_asked", go_on_when_asked),
    ("keep_own_handler", keep_own_handler),
    ("restart_many_times", restart_many_times),
    ("print_lines", print_lines),
];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// Restarts without waiting, without limit.
fn at_once(restart: Restart) -> Restart {
    restart.without_limit().backoff(Duration::ZERO, Duration::ZERO)
}

/// A program that is started once.
fn once(name: &str, command: Command) -> Program {
    Program::new(name, command).restart(Restart::never())
}

/// Has events sent to a channel, and lines to nobody.
fn observed(builder: SupervisorBuilder) -> (SupervisorBuilder, Receiver<Event>) {
    let (seen, events) = channel();
    (builder.on_event(move |event| seen.send(event).unwrap()).on_line(|_| {}), events)
}

/// Has lines sent to a channel.
fn listened(builder: SupervisorBuilder) -> (SupervisorBuilder, Receiver<(String, Stream, String)>) {
    let (seen, lines) = channel();
    let send = move |line: Line<'_>| seen.send((line.program.to_owned(), line.stream, line.text.to_owned())).unwrap();
    (builder.on_line(send), lines)
}

/// The next event.
fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).expect("something happens")
}

/// The program's process id, from the next event, which says that it was started.
fn started(events: &Receiver<Event>) -> u32 {
    match next(events) {
        Event::Started { pid, .. } | Event::Restarted { pid, .. } => pid,
        other => panic!("{other}"),
    }
}

#[test]
fn policies_decide_who_is_started_again() {
    let builder = Supervisor::builder()
        .program(once("never", sh("exit 1")))
        .program(Program::new("content", sh("exit 0")).restart(at_once(Restart::on_failure())))
        .program(Program::new("failing", sh("exit 2")).restart(at_once(Restart::on_failure()).at_most(3, PATIENCE)))
        .program(Program::new("always", sh("exit 0")).restart(at_once(Restart::always()).at_most(2, PATIENCE)));
    let (builder, events) = observed(builder);
    let statuses = builder.start().unwrap().wait();
    let summary = |status: &Status| (status.state, status.restarts, status.last_exit);
    let summaries: Vec<_> = statuses.iter().map(summary).collect();
    assert_eq!(
        summaries,
        [
            (State::Ended, 0, Some(Exit::Code(1))),
            (State::Ended, 0, Some(Exit::Code(0))),
            (State::GivenUp, 3, Some(Exit::Code(2))),
            (State::GivenUp, 2, Some(Exit::Code(0))),
        ]
    );
    let events: Vec<_> = events.iter().collect();
    let gave_up = |event: &&Event| matches!(event, Event::GaveUp { restarts: 2 | 3, .. });
    assert_eq!(events.iter().filter(gave_up).count(), 2);
    assert_eq!(events.len(), 4 + 5 + 9 + 2, "starts, restarts, an exit of each, and two given up");
}

#[test]
fn waits_before_restarts_grow() {
    let policy = Restart::always().at_most(5, PATIENCE).backoff(Duration::from_micros(100), Duration::from_micros(500));
    let (builder, events) = observed(Supervisor::builder().program(Program::new("p", sh("exit 1")).restart(policy)));
    builder.start().unwrap().wait();
    let wait = |event| match event {
        Event::Exited { restart_in, .. } => Some(restart_in.map(|delay| delay.as_micros())),
        _ => None,
    };
    let waits: Vec<_> = events.iter().filter_map(wait).collect();
    assert_eq!(waits, [Some(100), Some(200), Some(400), Some(500), Some(500), None]);
}

#[test]
fn a_killed_program_is_started_again() {
    let program = Program::new("p", endless()).restart(at_once(Restart::on_failure()));
    let (builder, events) = observed(Supervisor::builder().program(program));
    let supervisor = builder.start().unwrap();
    let first = started(&events);
    drop(Onlooker::of(first));
    match next(&events) {
        Event::Exited { pid, exit, restart_in, .. } => {
            assert_eq!((pid, exit.signal(), restart_in), (first, Some(libc::SIGKILL), Some(Duration::ZERO)));
        }
        other => panic!("{other}"),
    }
    let second = started(&events);
    assert_eq!(supervisor.status()[0].state, State::Running { pid: second });
    assert_eq!(supervisor.status()[0].restarts, 1);
    drop(supervisor);
    assert!(matches!(next(&events), Event::Exited { restart_in: None, .. }));
    assert!(events.recv().is_err(), "nothing happens after that");
}

#[test]
fn one_program_is_restarted_ended_and_started_while_the_others_go_on() {
    let [one, other] = ["one", "other"].map(|name| once(name, endless()));
    let (builder, events) = observed(Supervisor::builder().program(one).program(other));
    let supervisor = builder.start().unwrap();
    let (first, bystander) = (started(&events), started(&events));

    assert!(supervisor.restart_program("one"));
    match next(&events) {
        Event::Exited { program, pid, exit, restart_in: Some(Duration::ZERO) } => {
            assert_eq!((&*program, pid, exit.signal()), ("one", first, Some(libc::SIGTERM)));
        }
        other => panic!("{other}"),
    }
    let second = started(&events);
    assert_ne!(first, second);

    assert!(supervisor.end_program("one"));
    assert!(matches!(next(&events), Event::Exited { pid, restart_in: None, .. } if pid == second));
    assert_eq!(supervisor.status()[0].state, State::Ended);

    assert!(supervisor.start_program("one"));
    let third = started(&events);
    // What runs is left as it is, and so there is no event.
    assert!(supervisor.start_program("one"));
    assert!(!supervisor.restart_program("none of them"));
    assert_eq!(supervisor.status()[1].state, State::Running { pid: bystander });

    supervisor.stop();
    let pids = [(); 2].map(|()| match next(&events) {
        Event::Exited { pid, restart_in: None, .. } => pid,
        other => panic!("{other}"),
    });
    assert_eq!(pids, [bystander, third]);
    assert_eq!(supervisor.wait()[0].restarts, 2);
}

#[test]
fn a_program_that_was_given_up_can_be_started_by_hand() {
    let policy = Restart::always().at_most(0, Duration::from_secs(3600));
    let failing = Program::new("fails", sh("exit 1")).restart(policy);
    let (builder, events) = observed(Supervisor::builder().program(failing).program(once("stays", endless())));
    let supervisor = builder.start().unwrap();
    started(&events);
    started(&events);
    for _ in 0..2 {
        assert!(matches!(next(&events), Event::Exited { .. }));
        assert!(matches!(next(&events), Event::GaveUp { .. }));
        assert!(supervisor.start_program("fails"));
        started(&events);
    }
}

#[test]
fn a_wait_before_a_restart_is_cut_short_by_the_shutdown() {
    let policy = Restart::always().backoff(Duration::from_secs(3600), Duration::from_secs(3600));
    let (builder, events) = observed(Supervisor::builder().program(Program::new("p", sh("exit 0")).restart(policy)));
    let supervisor = builder.start().unwrap();
    started(&events);
    assert!(matches!(next(&events), Event::Exited { restart_in: Some(_), .. }));
    assert!(matches!(supervisor.status()[0].state, State::Waiting { .. }));
    supervisor.stop();
    assert_eq!(supervisor.wait()[0].state, State::Ended);
}

#[test]
fn every_line_is_handed_on_with_its_origin() {
    let builder = Supervisor::builder()
        .program(once("a", sh("echo one; echo two")))
        .program(once("b", sh("echo wrong >&2; printf 'no end'; kill -KILL $$")));
    let (builder, lines) = listened(builder);
    builder.start().unwrap().wait();
    let lines: Vec<_> = lines.iter().collect();
    let of = |program: &str, stream| {
        let is_of = move |line: &&(String, Stream, String)| line.0 == program && line.1 == stream;
        lines.iter().filter(is_of).map(|line| line.2.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("a", Stream::Stdout), ["one", "two"]);
    assert_eq!(of("b", Stream::Stdout), ["no end"]);
    assert_eq!(of("b", Stream::Stderr), ["wrong"]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn what_a_program_has_written_comes_before_its_end() {
    const LINES: usize = 20_000;
    let (seen, happened) = channel();
    let seen_too = seen.clone();
    let script = format!("i=0; while [ $i -lt {LINES} ]; do echo $i; i=$((i + 1)); done; exit 1");
    let supervisor = Supervisor::builder()
        .program(once("p", sh(&script)))
        .on_line(move |line| seen.send(line.text.to_owned()).unwrap())
        .on_event(move |event| seen_too.send(event.to_string()).unwrap())
        .start()
        .unwrap();
    supervisor.wait();
    let mut happened: Vec<_> = happened.iter().collect();
    assert!(happened.pop().is_some_and(|last| last.ends_with("exit code 1")));
    assert!(happened.remove(0).contains("started"));
    assert!(happened.into_iter().eq((0..LINES).map(|number| number.to_string())));
}

#[test]
fn a_grandchild_with_the_pipe_holds_nobody_up() {
    let (builder, lines) = listened(Supervisor::builder().program(once("p", sh("sleep 1000 & echo $!"))));
    builder.start().unwrap().wait();
    let (_, _, pid) = lines.recv().unwrap();
    drop(Onlooker::of(pid.parse().unwrap()));
}

#[test]
fn lines_go_to_standard_error_by_default() {
    use std::io::{BufRead, BufReader};
    let mut command = part("print_lines");
    command.stderr(std::process::Stdio::piped());
    let talker = Talker::start(command);
    let lines = BufReader::new(talker.worker.take_stderr().unwrap()).lines();
    assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), ["[p] hello"]);
}

fn print_lines() {
    Supervisor::builder().program(once("p", sh("echo hello"))).start().unwrap().wait();
}

#[test]
fn the_last_is_ended_first() {
    let polite = |name: &str| once(name, part("end_when_asked"));
    let builder = Supervisor::builder().program(polite("first")).program(polite("second")).program(polite("third"));
    let (builder, events) = observed(builder.grace(PATIENCE));
    let (builder, lines) = listened(builder);
    let supervisor = builder.start().unwrap();
    for _ in 0..3 {
        while lines.recv_timeout(PATIENCE).unwrap().2 != "@ ready" {}
        started(&events);
    }
    supervisor.stop();
    let statuses = supervisor.wait();
    assert!(statuses.iter().all(|status| status.last_exit == Some(Exit::Code(0)) && status.state == State::Ended));
    let ended: Vec<_> = events.iter().map(|event| event.program().to_owned()).collect();
    assert_eq!(ended, ["third", "second", "first"]);
}

#[test]
fn who_does_not_end_is_killed_after_the_grace() {
    let stubborn = once("p", sh("trap '' TERM; echo ready; exec sleep 1000"));
    let (builder, lines) = listened(Supervisor::builder().program(stubborn).grace(Duration::from_millis(20)));
    let supervisor = builder.start().unwrap();
    lines.recv_timeout(PATIENCE).unwrap();
    supervisor.stop();
    assert_eq!(supervisor.wait()[0].last_exit.and_then(Exit::signal), Some(libc::SIGKILL));
}

#[test]
fn programs_die_with_a_supervisor_that_is_killed() {
    let mut parent = Talker::start(part("supervise_until_killed"));
    let programs: Vec<_> = (0..2).map(|_| Onlooker::of(parent.hear_number())).collect();
    assert!(programs.iter().all(Onlooker::is_alive));
    parent.worker.kill().unwrap();
    assert!(programs.iter().all(|program| program.ends_within(PATIENCE)));
}

/// Two programs, whose ids are said.
fn supervise_until_killed() {
    let builder = Supervisor::builder().program(once("a", endless())).program(once("b", endless()));
    builder
        .on_event(|event| {
            if let Event::Started { pid, .. } = event {
                say(pid.to_string())
            }
        })
        .start()
        .unwrap()
        .wait();
}

#[test]
fn a_signal_ends_the_programs_in_order() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let mut parent = Talker::start(part("supervise_until_signalled"));
        assert_eq!((parent.hear(), parent.hear()), ("ready".to_owned(), "ready".to_owned()));
        parent.worker.signal(signal).unwrap();
        assert_eq!((parent.hear(), parent.hear()), ("b: exit code 0".to_owned(), "a: exit code 0".to_owned()));
        assert!(parent.worker.join().is_success());
    }
}

fn supervise_until_signalled() {
    let polite = |name: &str| once(name, part("end_when_asked"));
    Supervisor::builder()
        .program(polite("a"))
        .program(polite("b"))
        .grace(PATIENCE)
        .stop_on_signals()
        .on_line(|line| println!("{}", line.text))
        .on_event(|event| {
            if let Event::Exited { program, exit, .. } = event {
                say(format!("{program}: {exit}"))
            }
        })
        .start()
        .unwrap()
        .wait();
}

#[test]
fn a_second_signal_cuts_the_grace_short() {
    let mut parent = Talker::start(part("supervise_stubborn_ones"));
    assert_eq!((parent.hear(), parent.hear()), ("ready".to_owned(), "ready".to_owned()));
    parent.worker.signal(libc::SIGINT).unwrap();
    assert_eq!(parent.hear(), "asked");
    parent.worker.signal(libc::SIGINT).unwrap();
    assert_eq!((parent.hear(), parent.hear()), ("killed by SIGKILL".to_owned(), "killed by SIGKILL".to_owned()));
    assert!(parent.worker.join().is_success());
}

/// Two programs that say when they are asked to end, and go on.
fn supervise_stubborn_ones() {
    let stubborn = |name: &str| once(name, part("go_on_when_asked"));
    Supervisor::builder()
        .program(stubborn("a"))
        .program(stubborn("b"))
        .grace(Duration::from_secs(3600))
        .stop_on_signals()
        .on_line(|line| println!("{}", line.text))
        .on_event(|event| {
            if let Event::Exited { exit, .. } = event {
                say(exit.to_string())
            }
        })
        .start()
        .unwrap()
        .wait();
}

/// Ends with the exit code 0 when it is asked to.
fn end_when_asked() {
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: allowed in a signal handler.
        unsafe { libc::_exit(0) }
    }
    wait_for_signals(end);
}

/// Says so when it is asked to end, and goes on.
fn go_on_when_asked() {
    extern "C" fn answer(_: libc::c_int) {
        let line = "@ asked\n";
        // SAFETY: allowed in a signal handler, and the bytes are there.
        unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    }
    wait_for_signals(answer);
}

/// Says that it is ready, and does nothing but handle SIGTERM.
fn wait_for_signals(handler: extern "C" fn(libc::c_int)) {
    // SAFETY: both handlers do only what a handler may.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    say("ready");
    loop {
        // SAFETY: has no preconditions.
        unsafe { libc::pause() };
    }
}

#[test]
fn the_programs_own_handler_is_still_called() {
    assert_eq!(verdict("keep_own_handler"), "called");
}

fn keep_own_handler() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static CALLED: AtomicBool = AtomicBool::new(false);
    extern "C" fn handle(_: libc::c_int) {
        // Relaxed: only the flag itself is of interest.
        CALLED.store(true, Ordering::Relaxed);
    }
    let handler: extern "C" fn(libc::c_int) = handle;
    // SAFETY: the handler stores to an atomic, which is allowed at any time.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    let supervisor = Supervisor::builder().program(once("p", endless())).stop_on_signals().start().unwrap();
    // SAFETY: the handler above may run at any time.
    unsafe { libc::raise(libc::SIGTERM) };
    supervisor.wait();
    // Relaxed: as of the store.
    say(if CALLED.load(Ordering::Relaxed) { "called" } else { "forgotten" });
}

#[test]
fn many_restarts_leave_nothing() {
    assert_eq!(verdict("restart_many_times"), "nothing");
}

fn restart_many_times() {
    const RESTARTS: u64 = 300;
    let program = || Program::new("p", sh("echo a; exit 1")).restart(at_once(Restart::on_failure()));
    let run = |restarts: u32| {
        let limited = program().restart(at_once(Restart::on_failure()).at_most(restarts, PATIENCE));
        Supervisor::builder().program(limited).on_line(|_| {}).start().unwrap().wait()
    };
    run(1);
    let before = descriptors();
    let (seen, events) = channel();
    let supervisor = Supervisor::builder()
        .program(program())
        .on_line(|_| {})
        .on_event(move |event| seen.send((event, descriptors(), zombies())).unwrap())
        .start()
        .unwrap();
    let is_last = |event: &Event| matches!(event, Event::Restarted { restarts: RESTARTS, .. });
    let mut seen: Vec<(Event, usize, usize)> = Vec::new();
    while seen.last().is_none_or(|(event, ..)| !is_last(event)) {
        seen.push(events.recv_timeout(PATIENCE).expect("it goes on"));
    }
    drop(supervisor);
    // One run's pidfd and two pipes, the handle's eventfd, and the listing itself.
    let most = seen.iter().map(|(_, descriptors, _)| *descriptors).max();
    assert!(most.is_some_and(|most| most <= before + 4), "{most:?} of {before}");
    // It may have ended already when its start is told.
    assert!(seen.iter().all(|(event, _, zombies)| *zombies <= usize::from(!matches!(event, Event::Exited { .. }))));
    wait_until(|| descriptors() == before && zombies() == 0);
    say("nothing");
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_with_its_name() {
    let builder =
        Supervisor::builder().program(once("good", endless())).program(once("bad", Command::new("/no/such/program")));
    let error = builder.start().unwrap_err();
    assert_eq!(error.to_string(), r#"bad: there is no program "/no/such/program""#);
    assert!(matches!(error, SuperviseError::Program { source: SpawnError::NotFound { .. }, .. }));
    let twice = Supervisor::builder().program(once("p", endless())).program(once("p", endless())).start();
    assert!(matches!(twice, Err(SuperviseError::Twice(name)) if &*name == "p"));
}

#[test]
fn a_program_that_disappears_is_looked_for_again() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("disappears-{}", std::process::id()));
    // It takes itself away.
    fs::write(&path, "#!/bin/sh\nrm \"$0\"\nexit 1\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let restart = at_once(Restart::on_failure()).at_most(3, PATIENCE);
    let (builder, events) =
        observed(Supervisor::builder().program(Program::new("p", Command::new(&path)).restart(restart)));
    assert_eq!(builder.start().unwrap().wait()[0].state, State::GivenUp);
    let kind = |event| match event {
        Event::Started { .. } => "started",
        Event::Exited { .. } => "exited",
        Event::NotRestarted { error, .. } if matches!(*error, SpawnError::NotFound { .. }) => "not there",
        Event::GaveUp { .. } => "given up",
        _ => "something else",
    };
    let kinds: Vec<_> = events.iter().map(kind).collect();
    assert_eq!(kinds, ["started", "exited", "not there", "not there", "not there", "given up"]);
}

#[test]
fn a_panic_in_a_callback_ends_the_programs_and_comes_out() {
    let (seen, pids) = channel();
    let supervisor = Supervisor::builder()
        .program(once("p", endless()))
        .on_event(move |event| {
            if let Event::Started { pid, .. } = event {
                seen.send(Onlooker::of(pid)).unwrap();
            }
            panic!("a bug in a callback");
        })
        .start()
        .unwrap();
    let program = pids.recv().unwrap();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| supervisor.wait()));
    assert_eq!(waited.unwrap_err().downcast_ref(), Some(&"a bug in a callback"));
    program.wait_collected();
}
