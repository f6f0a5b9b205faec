//! Pools: what becomes of tasks, whatever becomes of their workers.

mod support;

use ipc_core::sync::{Atomic, Event, Options};
use ipc_process::{Exit, Pool, TaskError, TaskOptions, Worker};
use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use support::{PATIENCE, Part, part, play, pool, wait_until};

const PARTS: &[(&str, Part)] = &[("numbers", numbers), ("words", words), ("counted", counted), ("patient", patient)];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

/// A worker that can be made to do anything.
fn numbers() {
    Pool::<u64, u64>::work("numbers", |&task| match task {
        PANIC => panic!("this task cannot be done"),
        DIE => kill_self(),
        HANG => loop {
            std::thread::sleep(PATIENCE);
        },
        number => number * number,
    })
    .unwrap();
}

fn words() {
    Pool::<str, [u32]>::work("words", |text| text.split(' ').map(|word| word.len() as u32).collect::<Vec<_>>())
        .unwrap();
}

const PANIC: u64 = 1_000_000;
const DIE: u64 = 1_000_001;
const HANG: u64 = 1_000_002;

fn kill_self() -> u64 {
    // SAFETY: has no preconditions.
    unsafe { libc::raise(libc::SIGKILL) };
    unreachable!("it is not survived")
}

#[test]
fn tasks_are_done_in_order() {
    let pool = pool::<u64, u64>("numbers", 2).start().unwrap();
    let job = pool.submit(12).unwrap();
    assert_eq!(job.wait(), Ok(144));
    let squares = pool.map(0..10_000).collect::<Result<Vec<_>, _>>().unwrap();
    assert!(squares.into_iter().eq((0..10_000).map(|number| number * number)));
    pool.join();
}

#[test]
fn tasks_and_outputs_have_any_length() {
    let pool = pool::<str, [u32]>("words", 2).start().unwrap();
    assert_eq!(*pool.submit("how long are the words").unwrap().wait_boxed().unwrap(), [3, 4, 3, 3, 5]);
    let texts = (0..500).map(|words| vec!["word"; words].join(" "));
    for (words, lengths) in pool.map(texts).boxed().enumerate() {
        assert_eq!(lengths.unwrap().len(), words.max(1));
    }
}

#[test]
fn a_panic_is_reported_and_the_worker_goes_on() {
    let pool = pool::<u64, u64>("numbers", 1).start().unwrap();
    let pid = |pool: &Pool<u64, u64>| pool.workers()[0].pid;
    assert!(pool.wait_for_workers(1, PATIENCE));
    let before = pid(&pool);
    let error = pool.submit(PANIC).unwrap().wait().unwrap_err();
    assert_eq!(error, TaskError::Panicked { message: "this task cannot be done".to_owned() });
    assert_eq!(pool.submit(3).unwrap().wait(), Ok(9));
    assert_eq!(pid(&pool), before);
}

#[test]
fn a_death_costs_one_task() {
    let pool = pool::<u64, u64>("numbers", 2).start().unwrap();
    let tasks = (0..1000).map(|number| if number == 500 { DIE } else { number });
    let outcomes: Vec<_> = pool.map(tasks).collect();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Err(TaskError::WorkerDied { signal, attempts, .. }) => {
                assert_eq!((number, signal, attempts), (500, Some(9), 1))
            }
            outcome => assert_eq!(outcome, Ok((number * number) as u64)),
        }
    }
}

#[test]
fn a_poisonous_task_is_given_up() {
    let pool = pool::<u64, u64>("numbers", 1).start().unwrap();
    let options = TaskOptions::new().idempotent().max_attempts(4);
    let error = pool.submit_with(DIE, options).unwrap().wait().unwrap_err();
    assert!(matches!(error, TaskError::WorkerDied { signal: Some(9), attempts: 4, .. }), "{error}");
    assert_eq!(pool.submit(5).unwrap().wait(), Ok(25));
}

#[test]
fn a_task_that_takes_too_long_is_ended() {
    let pool = pool::<u64, u64>("numbers", 1).task_timeout(Duration::from_millis(100)).start().unwrap();
    let jobs = [HANG, 6].map(|task| pool.submit(task).unwrap());
    let [hangs, works] = jobs.map(|job| job.wait());
    assert_eq!(hangs, Err(TaskError::TimedOut { limit: Duration::from_millis(100) }));
    assert_eq!(works, Ok(36));
}

#[test]
fn a_running_task_can_be_cancelled_and_one_that_waits_too() {
    let pool = pool::<u64, u64>("numbers", 1).start().unwrap();
    let jobs = [HANG, 6, 7].map(|task| pool.submit(task).unwrap());
    assert!(pool.wait_for_workers(1, PATIENCE));
    assert!(jobs[1].cancel());
    assert!(jobs[0].cancel());
    assert!(!jobs[0].cancel());
    let [hangs, waits, works] = jobs.map(|job| job.wait());
    assert_eq!((hangs, waits, works), (Err(TaskError::Cancelled), Err(TaskError::Cancelled), Ok(49)));
}

#[test]
fn what_waits_behind_a_long_task_goes_to_others() {
    let pool = pool::<u64, u64>("numbers", 2).start().unwrap();
    assert!(pool.wait_for_workers(2, PATIENCE));
    // Windows are wide after this.
    assert!(pool.map(0..20_000).all(|outcome| outcome.is_ok()));
    let hangs = pool.submit(HANG).unwrap();
    let jobs: Vec<_> = (0..500).map(|number| pool.submit(number).unwrap()).collect();
    assert!(jobs.into_iter().all(|job| job.wait().is_ok()), "none of them waits for the one that hangs");
    assert!(hangs.cancel());
}

#[test]
fn killing_a_worker_that_has_nothing_to_do_costs_nothing() {
    let pool = pool::<u64, u64>("numbers", 1).start().unwrap();
    for number in 0..10 {
        assert_eq!(pool.submit(number).unwrap().wait(), Ok(number * number));
        kill(pool.workers()[0].pid);
    }
}

#[test]
fn every_task_has_one_report_however_many_workers_are_killed() {
    for is_idempotent in [true, false] {
        let builder = pool::<u64, u64>("numbers", 3);
        let options = TaskOptions::new().max_attempts(1000);
        let pool = builder.options(if is_idempotent { options.idempotent() } else { options }).start().unwrap();
        let (mut seen, mut died, mut killed) = (0, 0, 0);
        for (number, outcome) in pool.map(0..200_000).enumerate() {
            if number % 10_000 == 5_000 {
                killed += usize::from(pool.workers().first().is_some_and(|worker| kill(worker.pid)));
            }
            match outcome {
                Ok(square) => assert_eq!(square, (number * number) as u64),
                Err(TaskError::WorkerDied { .. }) => died += 1,
                Err(error) => panic!("{error}"),
            }
            seen += 1;
        }
        assert_eq!(seen, 200_000);
        assert!(died <= if is_idempotent { 0 } else { killed }, "{died} of {killed}");
        assert!(killed > 0);
    }
}

#[test]
fn outputs_come_as_they_are_ready_if_that_is_asked_for() {
    let pool = pool::<u64, u64>("numbers", 2).start().unwrap();
    let mut squares = pool.map_unordered(0..5_000).collect::<Result<Vec<_>, _>>().unwrap();
    squares.sort_unstable();
    assert!(squares.into_iter().eq((0..5_000).map(|number| number * number)));
}

#[test]
fn an_endless_iterator_is_read_no_further_than_the_buffer() {
    let pool = pool::<u64, u64>("numbers", 2).start().unwrap();
    let read = Cell::new(0);
    let tasks = (0..).inspect(|_| read.set(read.get() + 1));
    for (returned, outcome) in pool.imap(tasks, 10).take(1_000).enumerate() {
        assert_eq!(outcome, Ok((returned * returned) as u64));
        assert!(read.get() <= returned + 10, "{} read when {returned} were returned", read.get());
    }
}

#[test]
fn workers_are_replaced_after_so_many_tasks() {
    let pool = pool::<u64, u64>("numbers", 2).max_tasks_per_worker(10).start().unwrap();
    let mut pids = HashSet::new();
    for (number, outcome) in pool.map(0..100).enumerate() {
        assert_eq!(outcome, Ok((number * number) as u64));
        pids.extend(pool.workers().iter().map(|worker| worker.pid));
        assert!(pool.workers().iter().all(|worker| worker.done <= 10));
    }
    assert!(pids.len() >= 5, "{pids:?}");
}

#[test]
fn a_function_is_called_with_the_outcome_and_may_use_the_pool() {
    let pool = Arc::new(pool::<u64, u64>("numbers", 1).start().unwrap());
    let (seen, outcomes) = channel();
    let (again, job) = (Arc::clone(&pool), pool.submit(3).unwrap());
    job.on_done(move |outcome| seen.send(again.submit(outcome.unwrap()).unwrap().wait()).unwrap());
    assert_eq!(outcomes.recv_timeout(PATIENCE).unwrap(), Ok(81));
}

#[test]
fn many_threads_wait_for_outputs() {
    let pool = pool::<u64, u64>("numbers", 2).start().unwrap();
    thread::scope(|scope| {
        for thread in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                for number in 0..500 {
                    let number = 1_000 * thread + number;
                    assert_eq!(pool.submit(number).unwrap().wait(), Ok(number * number));
                }
            });
        }
    });
}

#[tokio::test]
async fn jobs_are_futures() {
    let pool = pool::<u64, u64>("numbers", 2).start().unwrap();
    let jobs: Vec<_> = (0..100).map(|number| pool.submit(number).unwrap()).collect();
    for (number, job) in (0..).zip(jobs) {
        assert_eq!(job.await, Ok(number * number));
    }
    let mut job = pool.submit(DIE).unwrap();
    job.ready().await;
    assert!(job.is_done());
    assert!(matches!(job.await, Err(TaskError::WorkerDied { .. })));
}

#[test]
fn workers_that_are_started_by_hand_join_by_name() {
    let domain = format!("by-hand-{}", std::process::id());
    let mut command = part("numbers");
    command.env("SLIPRING_DOMAIN", &domain);
    // Before the pool.
    let worker = Worker::spawn(command).unwrap();
    let pool = pool::<u64, u64>("numbers", 0).domain(&domain).start().unwrap();
    assert_eq!(pool.submit(9).unwrap().wait(), Ok(81));
    assert_eq!(pool.workers()[0].pid, worker.id());
    let hangs = pool.submit(HANG).unwrap();
    assert!(hangs.cancel());
    worker.kill().unwrap();
    assert_eq!(hangs.wait(), Err(TaskError::Cancelled));
    let lost = pool.submit(4).unwrap();
    let mut command = part("numbers");
    command.env("SLIPRING_DOMAIN", &domain);
    let worker = Worker::spawn(command).unwrap();
    assert_eq!(lost.wait(), Ok(16));
    pool.join();
    assert_eq!(worker.join(), Exit::Code(0));
}

#[test]
fn progress_and_state_are_the_workers_own() {
    let pool = pool::<u64, u64>("counted", 1).start().unwrap();
    let job = pool.submit(100).unwrap();
    wait_until(|| job.progress() == Some((50, 100)));
    fs::write(std::env::temp_dir().join(format!("slipring-go-{}", std::process::id())), "").unwrap();
    assert_eq!(job.wait(), Ok(1));
    assert_eq!(pool.submit(0).unwrap().wait(), Ok(2), "the state is kept");
    fs::remove_file(std::env::temp_dir().join(format!("slipring-go-{}", std::process::id()))).unwrap();
}

/// A worker that counts its tasks, and goes on when the test says so.
fn counted() {
    let parent = std::os::unix::process::parent_id();
    let go = std::env::temp_dir().join(format!("slipring-go-{parent}"));
    Pool::<u64, u64>::work_with(
        "counted",
        || 0,
        |count, &task, context| {
            context.progress(task / 2, task);
            wait_until(|| task == 0 || go.exists());
            *count += 1;
            *count
        },
    )
    .unwrap();
}

#[test]
fn what_was_taken_back_is_begun_by_one_worker_only() {
    let domain = format!("once-{}", std::process::id());
    let named = |name| Options::new(name).domain(&domain);
    let (begun, go) = (Atomic::<u64>::open(named("begun-tasks"), 0).unwrap(), Event::manual(named("go")).unwrap());
    let pool = pool::<u64, u64>("patient", 2).domain(&domain).start().unwrap();
    assert!(pool.wait_for_workers(2, PATIENCE));
    // Windows are wide after this.
    assert!(pool.map(0..20_000).all(|outcome| outcome.is_ok()));
    let waits = pool.submit(HANG).unwrap();
    // The other worker does those that were given to the one that waits.
    assert!(pool.map(0..1_000).all(|outcome| outcome.is_ok()));
    go.set().unwrap();
    assert_eq!(waits.wait(), Ok(HANG));
    assert!(pool.map(0..1_000).all(|outcome| outcome.is_ok()));
    pool.join();
    assert_eq!(begun.load(), Ok(22_001));
}

/// A worker that notes how many tasks are begun, and has one of them wait for the test.
fn patient() {
    let begun = Atomic::<u64>::open("begun-tasks", 0).unwrap();
    let go = Event::manual("go").unwrap();
    Pool::<u64, u64>::work("patient", |&task| {
        begun.fetch_add(1).unwrap();
        if task == HANG {
            go.wait().unwrap();
        }
        task
    })
    .unwrap();
}

/// Kills a process. `false` if there is none.
fn kill(pid: u32) -> bool {
    // SAFETY: has no preconditions.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) == 0 }
}
