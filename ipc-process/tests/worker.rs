//! Workers: how they end, who ends them, and what is left of them.

mod support;

use ipc_process::{Exit, SpawnError, Worker};
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use support::{
    Onlooker, PATIENCE, Part, Talker, descriptors, endless, part, play, say, sh, skip, verdict, wait_until, zombies,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const PARTS: &[(&str, Part)] = &[
    ("start_three_and_wait", start_three_and_wait),
    ("start_one_and_return", start_one_and_return),
    ("keep_no_statuses", keep_no_statuses),
    ("collect_elsewhere", collect_elsewhere),
    ("recycle_an_id", recycle_an_id),
    ("leave_nothing", leave_nothing),
    ("fork_and_drop", fork_and_drop),
    ("fork_and_spawn", fork_and_spawn),
];

#[test]
#[ignore = "the other process of the tests in this file"]
fn child_main() {
    play(PARTS);
}

#[test]
fn an_exit_code_and_a_signal_are_told() {
    let worker = Worker::spawn(sh("exit 3")).unwrap();
    assert_eq!(worker.join(), Exit::Code(3));
    assert_eq!(worker.join(), Exit::Code(3), "it can be asked again");
    assert_eq!((worker.exit(), worker.is_alive()), (Some(Exit::Code(3)), false));

    let killed = Worker::spawn(sh("kill -USR1 $$; sleep 1000")).unwrap();
    assert_eq!(killed.join(), Exit::Signal { signal: libc::SIGUSR1, core_dumped: false });
}

#[test]
fn a_command_that_was_only_borrowed_can_be_started_again() {
    let mut command = sh("exit 3");
    let code = |worker: Result<Worker, SpawnError>| worker.unwrap().join().code();
    assert_eq!(code(Worker::spawn(command.arg("sh"))), Some(3));
    assert_eq!(code(Worker::spawn(&mut command)), Some(3));
    assert_eq!(command.status().unwrap().code(), Some(3), "it is no worker this time");
    // What any of them handed over twice, or unasked, would be taken for this one.
    assert_eq!(code(Worker::spawn(sh("exit 5"))), Some(5));
    assert_eq!(code(Worker::spawn(command)), Some(3));
}

#[test]
fn a_worker_is_alive_until_it_is_killed() {
    let worker = Worker::spawn(endless()).unwrap();
    assert!(worker.is_alive());
    assert_eq!(worker.join_timeout(Duration::ZERO), None);
    worker.kill().unwrap();
    assert_eq!(worker.join().signal(), Some(libc::SIGKILL));
    worker.kill().expect("it has ended, which is no error");
    assert_eq!(worker.signal(1000).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn joining_closes_standard_input() {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped());
    assert_eq!(Worker::spawn(command).unwrap().join(), Exit::Code(0));
}

#[test]
fn termination_lets_the_worker_end_by_itself() {
    let mut talker = Talker::start(sh("trap 'exit 7' TERM; echo '@ ready'; while :; do read line || exit 1; done"));
    assert_eq!(talker.hear(), "ready");
    assert_eq!(talker.worker.terminate(PATIENCE).unwrap(), Exit::Code(7));
}

#[test]
fn a_worker_that_ignores_termination_is_killed() {
    let mut talker = Talker::start(sh("trap '' TERM; echo '@ ready'; exec sleep 1000"));
    assert_eq!(talker.hear(), "ready");
    assert_eq!(talker.worker.terminate(Duration::from_millis(20)).unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn a_stopped_worker_hears_of_its_termination() {
    let worker = Worker::spawn(endless()).unwrap();
    worker.signal(libc::SIGSTOP).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", worker.id())).unwrap().contains(") T ");
    wait_until(state);
    assert_eq!(worker.terminate(PATIENCE).unwrap().signal(), Some(libc::SIGTERM));
}

#[test]
fn a_hundred_workers_at_once() {
    let start = |quarter: i32| (quarter * 25..quarter * 25 + 25).map(start_held).collect::<Vec<_>>();
    let starters: Vec<_> = (0..4).map(|quarter| thread::spawn(move || start(quarter))).collect();
    let workers: Vec<_> = starters.into_iter().flat_map(|starter| starter.join().unwrap()).collect();
    assert!(workers.iter().all(Worker::is_alive));
    for (code, worker) in workers.iter().enumerate() {
        assert_eq!(worker.join().code().map(usize::try_from), Some(Ok(code)));
    }
}

/// A worker that ends with this code as soon as its standard input is closed.
fn start_held(code: i32) -> Worker {
    let mut command = sh(&format!("read line; exit {code}"));
    command.stdin(Stdio::piped());
    Worker::spawn(command).unwrap()
}

#[test]
fn several_threads_may_wait_for_one_worker() {
    let worker = start_held(5);
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..4).map(|_| scope.spawn(|| worker.join())).collect();
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == Exit::Code(5)));
    });
}

#[test]
fn a_worker_outlives_the_thread_that_started_it() {
    let starter = thread::spawn(|| {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: has no preconditions and cannot fail.
        (Worker::spawn(command).unwrap(), unsafe { libc::gettid() })
    });
    let (worker, thread) = starter.join().unwrap();
    // A thread is joined a little before the kernel is done with it.
    wait_until(|| !Path::new(&format!("/proc/self/task/{thread}")).exists());
    let (mut stdin, stdout) = (worker.take_stdin().unwrap(), worker.take_stdout().unwrap());
    stdin.write_all(b"still there\n").unwrap();
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "still there\n");
}

#[test]
fn workers_die_with_their_parent_when_it_is_killed() {
    let mut parent = Talker::start(part("start_three_and_wait"));
    let workers: Vec<_> = (0..3).map(|_| Onlooker::of(parent.hear_number())).collect();
    assert!(workers.iter().all(Onlooker::is_alive));
    parent.worker.kill().unwrap();
    assert_eq!(parent.worker.join().signal(), Some(libc::SIGKILL));
    assert!(workers.iter().all(|worker| worker.ends_within(PATIENCE)));
}

fn start_three_and_wait() {
    let workers: Vec<_> = (0..3).map(|_| Worker::spawn(endless()).unwrap()).collect();
    workers.iter().for_each(|worker| say(worker.id().to_string()));
    workers[0].join();
}

#[test]
fn workers_die_with_their_parent_when_it_returns() {
    let mut parent = Talker::start(part("start_one_and_return"));
    let worker = Onlooker::of(parent.hear_number());
    assert!(worker.is_alive());
    drop(parent.worker.take_stdin());
    assert!(parent.worker.join().is_success());
    assert!(worker.ends_within(PATIENCE));
}

/// Lets its worker run on, and ends when it is told.
fn start_one_and_return() {
    let worker = Worker::spawn(endless()).unwrap();
    say(worker.id().to_string());
    worker.detach();
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_dropped_worker_is_ended_and_collected() {
    let worker = Worker::spawn(endless()).unwrap();
    let onlooker = Onlooker::of(worker.id());
    drop(worker);
    onlooker.wait_collected();
}

#[test]
fn a_detached_worker_runs_on_and_is_collected() {
    let mut command = sh("read line; exit 1");
    command.stdin(Stdio::piped());
    let worker = Worker::spawn(command).unwrap();
    let stdin = worker.take_stdin();
    let onlooker = Onlooker::of(worker.id());
    worker.detach();
    // The thread that looks after it has been asked after that.
    assert!(Worker::spawn(sh("exit 0")).unwrap().join().is_success());
    assert!(onlooker.is_alive());
    drop(stdin);
    onlooker.wait_collected();
}

#[test]
fn where_no_statuses_are_kept_ends_are_noticed() {
    assert_eq!(verdict("keep_no_statuses"), "[Lost, Lost]");
}

fn keep_no_statuses() {
    // SAFETY: ignoring a signal runs no code when it comes.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let at_once = Worker::spawn(sh("exit 3")).unwrap().join();
    let worker = Worker::spawn(endless()).unwrap();
    assert!(worker.is_alive());
    let later = worker.terminate(PATIENCE).unwrap();
    worker.kill().expect("it has ended, which is no error");
    say(format!("{:?}", [at_once, later]));
}

#[test]
fn where_statuses_are_collected_elsewhere_ends_are_noticed() {
    assert_eq!(verdict("collect_elsewhere"), "Lost");
}

fn collect_elsewhere() {
    let worker = Worker::spawn(sh("exit 3")).unwrap();
    assert_eq!(collect_any(), worker.id());
    say(format!("{:?}", worker.join()));
}

/// Collects the exit status of any child, and returns its id.
fn collect_any() -> u32 {
    // SAFETY: a null pointer says that the status is not wanted.
    let pid = unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
    pid.try_into().expect("there is a child")
}

#[test]
fn a_stranger_with_a_workers_id_is_not_signalled() {
    match verdict("recycle_an_id").as_str() {
        "spared" => {}
        reason => skip("a process id used again", reason),
    }
}

/// Has the kernel give the id of a worker that has ended to another process, and kills the worker.
fn recycle_an_id() {
    const NEXT: &str = "/proc/sys/kernel/ns_last_pid";
    for _ in 0..100 {
        let worker = Worker::spawn(sh("exit 0")).unwrap();
        assert_eq!(collect_any(), worker.id());
        if let Err(error) = fs::write(NEXT, (worker.id() - 1).to_string()) {
            return say(format!("{NEXT}: {error}"));
        }
        let stranger = Worker::spawn(endless()).unwrap();
        if stranger.id() == worker.id() {
            worker.kill().unwrap();
            assert_eq!(worker.join(), Exit::Lost);
            drop(worker);
            // SIGTERM is the first that it gets.
            assert_eq!(stranger.terminate(PATIENCE).unwrap().signal(), Some(libc::SIGTERM));
            return say("spared");
        }
        stranger.terminate(PATIENCE).unwrap();
    }
    say("another process was faster, a hundred times");
}

#[test]
fn nothing_is_left_of_many_workers() {
    assert_eq!(verdict("leave_nothing"), "nothing");
}

fn leave_nothing() {
    let one_of_each = || {
        assert!(Worker::spawn(sh("exit 0")).unwrap().join().is_success());
        assert!(Worker::spawn(Command::new("/nowhere/to/be/found")).is_err());
        let mut talkative = sh("echo a; exit 0");
        talkative.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Worker::spawn(talkative).unwrap().detach();
        let dropped = Worker::spawn(endless()).unwrap();
        let onlooker = Onlooker::of(dropped.id());
        drop(dropped);
        onlooker.wait_collected();
    };
    one_of_each();
    wait_until(|| zombies() == 0);
    let before = descriptors();
    (0..50).for_each(|_| one_of_each());
    // Those that were let go are collected in the background.
    wait_until(|| zombies() == 0 && descriptors() == before);
    say("nothing");
}

#[test]
fn a_forked_childs_copy_ends_nobody() {
    assert_eq!(verdict("fork_and_drop"), "alive");
}

fn fork_and_drop() {
    let mut worker = Some(Worker::spawn(endless()).unwrap());
    let in_child = || {
        drop(worker.take());
        0
    };
    assert_eq!(in_a_fork(in_child), 0);
    let worker = worker.expect("this is not the child");
    say(if worker.join_timeout(Duration::from_millis(200)).is_none() { "alive" } else { "ended" });
}

#[test]
fn a_forked_child_can_have_workers() {
    assert_eq!(verdict("fork_and_spawn"), "7");
}

fn fork_and_spawn() {
    assert!(Worker::spawn(sh("exit 0")).unwrap().join().is_success());
    let code = in_a_fork(|| Worker::spawn(sh("exit 7")).unwrap().join().code().unwrap());
    say(code.to_string());
}

/// Forks, does something in the child, and returns the exit code that results.
fn in_a_fork(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child uses locks and the heap, which glibc keeps usable in it.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = child();
        // SAFETY: has no preconditions.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the status is written to a place that lives on.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status));
    libc::WEXITSTATUS(status)
}

#[test]
fn errors_name_what_is_wrong() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("errors-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let file = |name: &str, mode, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    };
    let error = |command: Command| Worker::spawn(command).unwrap_err();

    let nowhere = error(Command::new("no-such-program-anywhere"));
    assert!(matches!(nowhere, SpawnError::NotFound { .. }));
    assert_eq!(
        nowhere.to_string(),
        r#"there is no program "no-such-program-anywhere" in the directories that PATH names"#
    );
    assert!(matches!(error(Command::new("/no/such")), SpawnError::NotFound { .. }));
    assert!(matches!(error(Command::new(file("plain", 0o644, "text"))), SpawnError::NotExecutable { .. }));
    assert!(matches!(error(Command::new(&directory)), SpawnError::NotExecutable { .. }));
    let script = file("script", 0o755, "#!/no/such/interpreter\n");
    assert!(matches!(error(Command::new(script)), SpawnError::Interpreter { .. }));

    let mut elsewhere = sh("exit 0");
    elsewhere.current_dir("/no/such/directory");
    assert!(matches!(error(elsewhere), SpawnError::Directory { .. }));
    let mut long = sh("exit 0");
    long.arg("x".repeat(1 << 20));
    assert!(matches!(error(long), SpawnError::System { .. }));
    fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_waits_for_a_worker_without_a_thread() {
    let worker = tokio::task::spawn_blocking(|| start_held(4)).await.unwrap();
    let stdin = worker.take_stdin();
    // SAFETY: a worker's descriptor is open as long as it exists, and it exists as long as what it is moved into.
    let ended = unsafe { AsyncFd::register_with_interest(worker, Interest::READABLE) }.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, ended.readable()).await.is_err());
    drop(stdin);
    let _ = tokio::time::timeout(PATIENCE, ended.readable()).await.expect("it ends").unwrap();
    assert_eq!(ended.get_ref().exit(), Some(Exit::Code(4)));
}

#[test]
fn the_blocking_threads_of_a_runtime_may_end() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_keep_alive(Duration::ZERO)
        .build()
        .unwrap();
    let start = || {
        // SAFETY: has no preconditions and cannot fail.
        (Worker::spawn(endless()).unwrap(), unsafe { libc::gettid() })
    };
    let (worker, thread) = runtime.block_on(async { tokio::task::spawn_blocking(start).await.unwrap() });
    wait_until(|| !Path::new(&format!("/proc/self/task/{thread}")).exists());
    assert_eq!(worker.terminate(PATIENCE).unwrap().signal(), Some(libc::SIGTERM), "and not the kernel's SIGKILL");
}
