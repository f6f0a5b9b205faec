//! What it costs to lock and unlock a mutex that nobody else wants: one that processes share, beside those of threads.
//!
//! ```sh
//! cargo run --release --example lock_cost
//! ```

use slipring::sync::{Mutex, Options, RwLock, Semaphore};
use std::hint::black_box;
use std::time::Instant;

/// Rounds in which all take turns, and how often each locks in one.
const ROUNDS: usize = 31;
const TIMES: u32 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let domain = format!("lock-cost-{}", std::process::id());
    let named = |name: &str| Options::new(name).domain(&domain);
    let (shared, parked, std) =
        (Mutex::<u64>::open(named("mutex"), || 0)?, parking_lot::Mutex::new(0_u64), std::sync::Mutex::new(0_u64));
    let (table, permits) = (RwLock::<u64>::open(named("table"), || 0)?, Semaphore::open(named("permits"), 1)?);
    let contestants: [(&str, &dyn Fn()); 6] = [
        ("slipring Mutex", &|| *shared.lock().unwrap() += 1),
        ("parking_lot Mutex", &|| *parked.lock() += 1),
        ("std Mutex", &|| *std.lock().unwrap() += 1),
        ("slipring RwLock, read", &|| _ = black_box(*table.read().unwrap())),
        ("slipring RwLock, write", &|| *table.write().unwrap() += 1),
        ("slipring Semaphore", &|| drop(permits.acquire().unwrap())),
    ];
    let mut times = contestants.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, lock), times) in contestants.iter().zip(&mut times) {
            times.push(nanoseconds(*lock));
        }
    }
    let limit = median(&mut times[1]);
    println!("lock and unlock, nobody else wants it: median of {ROUNDS} rounds (least to most)");
    for ((name, _), times) in contestants.iter().zip(&mut times) {
        let median = median(times);
        let (least, most) = (times[0], times[ROUNDS - 1]);
        println!("{name:24} {median:6.1} ns ({least:.1} to {most:.1}), {:.2} times parking_lot's", median / limit);
    }
    Ok(())
}

/// Nanoseconds that one call takes, in the mean of many.
fn nanoseconds(lock: &dyn Fn()) -> f64 {
    let began = Instant::now();
    (0..TIMES).for_each(|_| lock());
    began.elapsed().as_nanos() as f64 / f64::from(TIMES)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
