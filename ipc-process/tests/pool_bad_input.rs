//! Pools of workers that are none, of too many, and of tasks that do not fit.

mod support;

use ipc_core::error::OpenError;
use ipc_process::{Exit, Pool, PoolError, ServeError, SpawnError, SubmitError, TaskError};
use std::process::Command;
use std::time::Duration;
use support::{Onlooker, PATIENCE, Part, Talker, part, play, pool, say, segments_of};

const PARTS: &[(&str, Part)] = &[
    ("echo", echo),
    ("other_schema", other_schema),
    ("talkative", talkative),
    ("twice", twice),
    ("recursive", recursive),
    ("parent", parent),
];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// A worker that answers with what it is given, as often as that says.
fn echo() {
    Pool::<str, str>::work("echo", |text| match text.strip_prefix("repeat ") {
        Some(times) => "x".repeat(times.parse().unwrap()),
        None => text.to_owned(),
    })
    .unwrap();
}

/// A worker for other tasks.
fn other_schema() {
    let error = Pool::<[u16; 2], u64>::work("echo", |_| 1).unwrap_err();
    assert!(matches!(error, ServeError::Refused { .. }), "{error}");
    say(error.to_string());
}

/// A worker that writes a lot to its standard output.
fn talkative() {
    Pool::<str, str>::work("echo", |text| {
        (0..1000).for_each(|line| println!("{line}: {text}"));
        text.to_owned()
    })
    .unwrap();
}

/// A pool of the name "echo", while there is one.
fn twice() {
    match Pool::<str, str>::builder("echo").workers(0).start() {
        Err(PoolError::Open { source: OpenError::InUse { peer, .. }, .. }) => say(peer.pid.to_string()),
        other => panic!("{other:?}"),
    }
}

/// A worker that would start its own pool.
fn recursive() {
    match Pool::<str, str>::builder("echo").workers(1).start() {
        Err(PoolError::InWorker { name }) => assert_eq!(name, "echo"),
        other => panic!("{other:?}"),
    }
}

/// A process that has a pool, and tells who works for it.
fn parent() {
    let pool = Pool::<str, str>::builder("echo").workers(3).program(part("echo")).start().unwrap();
    assert!(pool.wait_for_workers(3, PATIENCE));
    pool.workers().iter().for_each(|worker| say(worker.pid.to_string()));
    let job = pool.submit("repeat 1").unwrap();
    job.wait_boxed().unwrap();
    std::thread::sleep(PATIENCE);
}

/// What a task comes to in a pool whose workers are this, and have so long to join.
fn outcome_with(program: Command, join_timeout: Duration) -> String {
    let pool = pool::<str, str>("echo", 2).program(program).join_timeout(join_timeout).start().unwrap();
    let outcome = pool.submit("a task").unwrap().wait_boxed();
    let Err(TaskError::NotTaken(SubmitError::NoWorkers(reason))) = outcome else { panic!("{outcome:?}") };
    let refused = pool.submit("another one").unwrap_err();
    assert!(matches!(&refused, SubmitError::NoWorkers(_)), "{refused}");
    reason.to_string()
}

#[test]
fn a_program_that_does_not_exist_is_told_at_once() {
    let error = pool::<str, str>("echo", 2).program(Command::new("/does/not/exist")).start().unwrap_err();
    assert!(matches!(error, PoolError::Spawn { source: SpawnError::NotFound { .. }, .. }), "{error}");
}

#[test]
fn a_program_that_exits_at_once_is_told() {
    assert!(outcome_with(Command::new("true"), PATIENCE).ends_with("it ended before it joined (exit code 0)"));
}

#[test]
fn a_program_that_never_joins_is_told() {
    let mut endless = Command::new("sleep");
    endless.arg("1000");
    assert!(outcome_with(endless, Duration::from_millis(50)).ends_with("it did not join within 50ms"));
}

#[test]
fn a_program_of_another_schema_is_told_how_they_differ() {
    let reason = outcome_with(part("other_schema"), PATIENCE);
    assert!(reason.contains("its tasks are others") && reason.contains("[u16; 2]"), "{reason}");
    assert!(reason.contains("its outputs are others") && reason.contains("u64"), "{reason}");
}

#[test]
fn a_program_that_writes_to_standard_output_does_no_harm() {
    let pool = pool::<str, str>("echo", 1).program(part("talkative")).start().unwrap();
    assert_eq!(&*pool.submit("hello").unwrap().wait_boxed().unwrap(), "hello");
}

#[test]
fn a_name_that_is_wrong_is_refused_as_the_name_of_a_pool() {
    for name in ["", ".hidden", "dot.", "a b", "a..b", &"x".repeat(117)] {
        let error = Pool::<str, str>::builder(name).workers(0).start().unwrap_err();
        assert!(matches!(&error, PoolError::Open { source: OpenError::Name { name: found, .. }, .. } if found == name));
        assert!(error.to_string().contains("the pool name \"") && !error.to_string().contains(".bell"), "{error}");
    }
}

#[test]
fn outputs_of_no_bytes_are_refused_before_a_worker_is_started() {
    let error = pool::<u64, [u8; 0]>("nothing", 1).start().unwrap_err();
    assert!(matches!(error, PoolError::Open { source: OpenError::Message { .. }, .. }), "{error}");
    assert!(error.to_string().contains("return a u8"), "{error}");
}

#[test]
fn a_thousand_workers_are_refused() {
    let error = pool::<str, str>("echo", 1000).start().unwrap_err();
    assert!(matches!(error, PoolError::TooManyWorkers { asked: 1000, limit: 64 }), "{error}");
}

#[test]
fn what_is_too_large_is_told_and_costs_nothing_else() {
    let pool = pool::<str, str>("echo", 1).max_task(1000).max_output(200_000).start().unwrap();
    let error = pool.submit("x".repeat(1001)).unwrap_err();
    let SubmitError::TooLarge(too_large) = error else { panic!("{error}") };
    assert_eq!((too_large.bytes, too_large.limit), (1001, 1000));
    assert_eq!(pool.submit("x".repeat(1000)).unwrap().wait_boxed().unwrap().len(), 1000);
    assert_eq!(pool.submit("repeat 200000").unwrap().wait_boxed().unwrap().len(), 200_000);
    let error = pool.submit("repeat 1000000").unwrap().wait_boxed().unwrap_err();
    let TaskError::OutputTooLarge(too_large) = error else { panic!("{error}") };
    assert_eq!(too_large.bytes, 1_000_000);
    assert_eq!(&*pool.submit("still there").unwrap().wait_boxed().unwrap(), "still there");
    assert_eq!(pool.map(["x".repeat(2000)]).boxed().count(), 1);
}

#[test]
fn closing_twice_is_closing_once() {
    let pool = pool::<str, str>("echo", 1).start().unwrap();
    let job = pool.submit("last").unwrap();
    pool.close();
    pool.close();
    assert_eq!(pool.submit("too late").unwrap_err(), SubmitError::Closed);
    assert_eq!(pool.map(["too late"]).next_boxed(), Some(Err(TaskError::NotTaken(SubmitError::Closed))));
    pool.join();
    assert_eq!(&*job.wait_boxed().unwrap(), "last");
}

#[test]
fn dropping_a_pool_leaves_nothing() {
    let domain = format!("dropped-{}", std::process::id());
    let pool = pool::<str, str>("echo", 3).domain(&domain).start().unwrap();
    assert!(pool.wait_for_workers(3, PATIENCE));
    let workers: Vec<_> = pool.workers().iter().map(|worker| Onlooker::of(worker.pid)).collect();
    let jobs: Vec<_> = (0..1000).map(|_| pool.submit("repeat 60000").unwrap()).collect();
    drop(pool);
    assert!(workers.iter().all(|worker| !worker.is_alive()));
    assert_eq!(segments_of(&domain), Vec::<String>::new());
    let outcomes: Vec<_> = jobs.into_iter().map(|job| job.wait_boxed()).collect();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(TaskError::PoolEnded))));
    assert!(outcomes.iter().any(|outcome| outcome.is_err()), "some were still to be done");
}

#[test]
fn a_second_pool_of_the_name_is_refused() {
    let domain = format!("second-{}", std::process::id());
    let first = pool::<str, str>("echo", 0).domain(&domain).start().unwrap();
    let mut command = part("twice");
    command.env("SLIPRING_DOMAIN", &domain);
    let mut second = Talker::start(command);
    assert_eq!(second.hear_number(), std::process::id());
    assert!(second.worker.join().is_success());
    drop(first);
    pool::<str, str>("echo", 0).domain(&domain).start().expect("the name is free again");
}

#[test]
fn a_worker_that_starts_its_own_pool_is_stopped() {
    let pool = pool::<str, str>("echo", 1).program(part("recursive")).start().unwrap();
    let Err(TaskError::NotTaken(SubmitError::NoWorkers(_))) = pool.submit("a task").unwrap().wait_boxed() else {
        // `recursive` has not been refused, and so has failed with another exit code.
        panic!("it works");
    };
}

#[test]
fn workers_end_with_the_process_that_has_the_pool() {
    let domain = format!("orphans-{}", std::process::id());
    let mut command = part("parent");
    command.env("SLIPRING_DOMAIN", &domain);
    let mut talker = Talker::start(command);
    let workers: Vec<_> = (0..3).map(|_| Onlooker::of(talker.hear_number())).collect();
    talker.worker.kill().unwrap();
    assert_eq!(talker.worker.join(), Exit::Signal { signal: libc::SIGKILL, core_dumped: false });
    assert!(workers.iter().all(|worker| worker.ends_within(PATIENCE)));
    // The name, and what the dead have left, is taken over by the next pool, which cleans up when it ends.
    let next = pool::<str, str>("echo", 3).domain(&domain).start().unwrap();
    assert!(next.wait_for_workers(3, PATIENCE));
    assert_eq!(&*next.submit("after").unwrap().wait_boxed().unwrap(), "after");
    next.join();
    assert_eq!(segments_of(&domain), Vec::<String>::new());
}
