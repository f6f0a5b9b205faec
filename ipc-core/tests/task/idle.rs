//! What tasks cost that wait and have nothing to do.

use super::support::usage;
use super::*;
use std::os::unix::fs::FileExt;

const IDLE_RECEIVERS: usize = 1_000;

/// A process has a thousand descriptors by default, and every channel takes one.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is readable.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// Has 1,000 tasks wait, each for a sender in the parent process, and says what that costs in a second.
pub(super) fn wait(domain: &str) {
    raise_descriptor_limit();
    let receive = async |mut rx: AsyncReceiver<u64>| assert_eq!(rx.recv().await, Ok(None));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let rxs = (0..IDLE_RECEIVERS).map(|number| receiver(&small(domain, "idle", number)));
        let tasks = rxs.collect::<Vec<_>>().into_iter().map(|rx| tokio::spawn(receive(rx))).collect::<Vec<_>>();
        // All have come to wait.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before = usage();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = usage();
        say(format!("{} {}", (after.0 - before.0).as_micros(), after.1 - before.1));
        for task in tasks {
            task.await.unwrap();
        }
    });
}

fn hold_idle(domain: &Domain) -> Vec<Sender<u64>> {
    (0..IDLE_RECEIVERS).map(|number| small(domain.name(), "idle", number).sender().unwrap()).collect()
}

/// Has each of the senders say that it is of another process, at the place that SPEC.md tells.
fn scatter(txs: &[Sender<u64>]) {
    for (tx, process) in txs.iter().zip(1_u32..) {
        let file = fs::OpenOptions::new().write(true).open(memory(&tx.info().path)).unwrap();
        file.write_all_at(&process.to_ne_bytes(), 4096 + 100).unwrap();
    }
}

#[test]
#[cfg_attr(feature = "portable", ignore = "what is idle is looked at")]
fn a_thousand_idle_receivers_cost_next_to_nothing() {
    cost_of_idling("idle", "of senders in one process", |_| {});
}

#[test]
#[cfg_attr(feature = "portable", ignore = "what is idle is looked at")]
fn a_thousand_idle_receivers_of_a_thousand_processes_cost_little() {
    cost_of_idling("idle-scattered", "of senders that say that they are in a process each", scatter);
}

fn cost_of_idling(test: &str, senders: &str, prepare: impl Fn(&[Sender<u64>])) {
    raise_descriptor_limit();
    let domain = Domain::new(test);
    let txs = hold_idle(&domain);
    prepare(&txs);
    let mut child = Child::start("idle", &domain);
    let said = child.hear();
    drop(txs);
    child.finish();
    let (used, sleeps) = said.split_once(' ').unwrap();
    let (percent, sleeps): (f64, u64) = (used.parse::<f64>().unwrap() / 10_000.0, sleeps.parse().unwrap());
    println!("{IDLE_RECEIVERS} idle receivers {senders}: {percent:.2} % of a processor, {sleeps} sleeps a second");
    // Who spins does not sleep at all, and who polls each task sleeps for each.
    assert!((1..IDLE_RECEIVERS as u64).contains(&sleeps), "{sleeps} sleeps: the tasks are being polled");
}
