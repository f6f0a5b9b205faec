//! Whether the lookout ever misses a wake-up. Nothing is lost then, since the next tick finds it; so the ticks are counted
//! that have found what `send` had published, and had woken somebody for, before the tick was due. (A tick may well come
//! before `send` has returned, or find what was sent between the end of its sleep and its look.)

use crate::interest::Sealed;
use crate::lookout::late;
use crate::{AsyncReceiver, Queue};
use core::hint;
use core::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

const NUMBERS: u64 = 10_000;

/// Sends numbers, each a moment after the last one was taken, when the receiver is on its way to sleep or has got there.
/// Returns how many it should have been told of before the tick that told it.
fn stream(queue: &Queue<u64>) -> usize {
    let taken = AtomicU64::new(0);
    let mut tx = queue.sender().unwrap();
    let rx = queue.receiver().unwrap();
    let segment = rx.interest().path().to_owned();
    let mut rx: AsyncReceiver<u64> = rx.into_async().unwrap();
    thread::scope(|scope| {
        let taken = &taken;
        let sender = scope.spawn(move || {
            let mut random = 0x9E37_79B9_u64;
            let mut missed = 0;
            let mut sent_at = Instant::now();
            for number in 0..NUMBERS {
                // Acquire: pairs with the Release below.
                while taken.load(Ordering::Acquire) != number {
                    thread::yield_now();
                }
                missed += late::take(&segment).into_iter().filter(|tick| *tick > sent_at).count();
                // Enough is known, and every number may take a tick from here.
                if missed > 3 {
                    break;
                }
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Mostly a few steps, and up to 32,000, which covers all that the lookout does between two sleeps.
                (0..random >> 49 >> (random >> 40 & 15)).for_each(|step| {
                    hint::black_box(step);
                });
                tx.send(number).unwrap();
                sent_at = Instant::now();
            }
            missed
        });
        smol::block_on(async {
            while let Some(number) = rx.recv().await.unwrap() {
                // Release: as above.
                taken.store(number + 1, Ordering::Release);
            }
        });
        sender.join().unwrap()
    })
}

#[test]
#[cfg_attr(feature = "portable", ignore = "its threads are not woken: they look once in a millisecond")]
fn the_lookout_misses_no_wake_up() {
    let domain = format!("test-{}-lookout", std::process::id());
    for queue in [Queue::new("exclusive").spsc(), Queue::new("shared")] {
        let missed = stream(&queue.domain(&domain).capacity(2));
        assert_eq!(missed, 0, "wake-ups were missed");
    }
}
