//! Whether the lookout ever misses a wake-up. Nothing is lost then, since the next tick finds it; so the ticks are counted
//! that have found something.

use crate::lookout::late;
use crate::{AsyncReceiver, Queue};
use core::hint;
use core::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A tick that comes between the other side's publishing and its waking looks like a lost wake-up and is none.
const FALSE_ALARMS: u64 = 3;

const NUMBERS: u64 = 10_000;

/// Sends numbers, each a moment after the last one was taken, when the receiver is on its way to sleep or has got there.
/// Returns how many it was told of too late.
fn stream(queue: &Queue<u64>) -> u64 {
    let before = late::load();
    let taken = AtomicU64::new(0);
    let mut tx = queue.sender().unwrap();
    let mut rx: AsyncReceiver<u64> = queue.receiver().unwrap().into_async().unwrap();
    thread::scope(|scope| {
        let taken = &taken;
        scope.spawn(move || {
            let mut random = 0x9E37_79B9_u64;
            for number in 0..NUMBERS {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Acquire: pairs with the Release below.
                while taken.load(Ordering::Acquire) != number {
                    thread::yield_now();
                }
                // Mostly a few steps, and up to 32,000, which covers all that the lookout does between two sleeps.
                (0..random >> 49 >> (random >> 40 & 15)).for_each(|step| {
                    hint::black_box(step);
                });
                tx.send(number).unwrap();
                // Enough is known, and every number takes a tick from here.
                if late::load() - before > FALSE_ALARMS {
                    return;
                }
            }
        });
        smol::block_on(async {
            while let Some(number) = rx.recv().await.unwrap() {
                // Release: as above.
                taken.store(number + 1, Ordering::Release);
            }
        });
    });
    late::load() - before
}

/// One after the other, since the count is of all.
#[test]
fn the_lookout_misses_no_wake_up() {
    let domain = format!("test-{}-lookout", std::process::id());
    for queue in [Queue::new("exclusive").spsc(), Queue::new("shared")] {
        let late = stream(&queue.domain(&domain).capacity(2));
        assert!(late <= FALSE_ALARMS, "{late} wake-ups were missed");
    }
}
