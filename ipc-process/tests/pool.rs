//! Pools: what becomes of tasks, whatever becomes of their workers.

mod support;

use ipc_process::{Pool, TaskError, TaskOptions};
use std::time::Duration;
use support::{PATIENCE, Part, play, pool};

const PARTS: &[(&str, Part)] = &[("numbers", numbers), ("words", words)];

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
