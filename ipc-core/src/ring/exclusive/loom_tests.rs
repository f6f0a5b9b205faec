//! The exclusive ring under loom, which tries every interleaving and every value that the orderings allow a load to
//! see. Run with `RUSTFLAGS="--cfg loom" cargo test --release -p ipc-core --lib loom`.

use super::*;
use loom::sync::Arc;
use loom::thread;
use std::sync::atomic::AtomicUsize;

/// Words of a slot: one of payload and the stamp.
const STRIDE: usize = 2;

/// Counts the executions that loom explores, and prints the number in the end.
fn explore(name: &str, model: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    loom::model(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{name}: {} executions explored", executions.load(Ordering::Relaxed));
}

/// An empty ring of loom's atomics; the last word is the consumer's place.
fn memory(capacity: usize) -> Arc<Vec<AtomicU64>> {
    Arc::new((0..=capacity * STRIDE).map(|_| AtomicU64::new(0)).collect())
}

fn parts(memory: &Arc<Vec<AtomicU64>>) -> Parts {
    let (taken, words) = memory.split_last().unwrap();
    // SAFETY: there is a whole number of slots, and every thread of the models keeps the vector alive.
    let slots = unsafe { Slots::new(NonNull::from(&words[0]), STRIDE, words.len() / STRIDE) };
    // SAFETY: as above.
    unsafe { Parts::new(slots, NonNull::from(taken)) }
}

fn payload(end: &impl End) -> &AtomicU64 {
    // SAFETY: the first word of a slot in memory that the models keep alive.
    unsafe { end.payload().as_ref() }
}

fn await_turn(end: &mut impl End) {
    while !end.is_ready() && end.look() != Turn::Ours {
        thread::yield_now();
    }
}

fn send(end: &mut Producer, value: u64) {
    await_turn(end);
    payload(end).store(value, Ordering::Relaxed);
    end.pass();
}

fn receive(end: &mut Consumer) -> u64 {
    await_turn(end);
    let value = payload(end).load(Ordering::Relaxed);
    end.pass();
    value
}

#[test]
fn loom_messages_arrive_whole_and_in_order() {
    for capacity in [1, 2] {
        explore("exchange", move || {
            let memory = memory(capacity);
            let shared = memory.clone();
            let sender = thread::spawn(move || {
                let mut end = Producer::attach(parts(&shared));
                for value in 1..=3 {
                    send(&mut end, value);
                }
            });
            let mut end = Consumer::attach(parts(&memory));
            for value in 1..=3 {
                assert_eq!(receive(&mut end), value);
            }
            sender.join().unwrap();
        });
    }
}

#[test]
fn loom_a_successor_goes_on_where_the_dead_sender_stopped() {
    explore("sender succeeded", || {
        let memory = memory(2);
        let shared = memory.clone();
        let sender = thread::spawn(move || {
            let mut end = Producer::attach(parts(&shared));
            send(&mut end, 1);
            // Dies after the payload of the second message, before its stamp.
            await_turn(&mut end);
            payload(&end).store(99, Ordering::Relaxed);
            // The successor begins after the death, as the lock of the participant ensures, while the receiver goes on.
            let mut end = Producer::attach(parts(&shared));
            send(&mut end, 2);
            send(&mut end, 3);
        });
        let mut end = Consumer::attach(parts(&memory));
        for value in 1..=3 {
            assert_eq!(receive(&mut end), value);
        }
        sender.join().unwrap();
    });
}

#[test]
fn loom_a_successor_goes_on_where_the_dead_receiver_stopped() {
    explore("receiver succeeded", || {
        let memory = memory(2);
        let shared = memory.clone();
        let receiver = thread::spawn(move || {
            let mut end = Consumer::attach(parts(&shared));
            assert_eq!(receive(&mut end), 1);
            let mut end = Consumer::attach(parts(&shared));
            assert_eq!(receive(&mut end), 2);
            assert_eq!(receive(&mut end), 3);
        });
        let mut end = Producer::attach(parts(&memory));
        for value in 1..=3 {
            send(&mut end, value);
        }
        receiver.join().unwrap();
    });
}
