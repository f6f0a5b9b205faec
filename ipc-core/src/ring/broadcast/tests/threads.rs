//! The ring between threads, at full speed.

use super::*;
use std::thread;

/// A message that says who sent it, and how many it sent before.
fn message(publisher: usize, count: u64) -> u64 {
    (publisher as u64) << 40 | count
}

/// Checks that what came from each publisher comes in order, and is whole.
struct Checker {
    next: [u64; 2],
    received: u64,
}

impl Checker {
    fn new() -> Self {
        Checker { next: [0; 2], received: 0 }
    }

    fn check(&mut self, words: [u64; STRIDE - 1]) {
        let value = words[0];
        assert_eq!(words, words_of(value), "torn message");
        let (publisher, count) = ((value >> 40) as usize, value & ((1 << 40) - 1));
        assert!(count >= self.next[publisher], "{count} of {publisher}, and {} before", self.next[publisher]);
        self.next[publisher] = count + 1;
        self.received += 1;
    }
}

const MESSAGES: u64 = 40_000;

/// Publishes from two threads, while `subscribe` does what it does on two others.
fn publish_from_two_threads(parts: Parts, subscribe: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for who in 0..2 {
            scope.spawn(move || {
                let mut publisher = Publisher::attach(parts, who, Company::Others);
                for count in 0..MESSAGES {
                    while publisher.claim(|line| (line >= FIRST_SUBSCRIBER).then_some(1)) != Turn::Ours {
                        thread::yield_now();
                    }
                    fill(&publisher, message(who, count));
                    publisher.pass();
                }
            });
        }
        let subscribe = &subscribe;
        (0..2).for_each(|which| drop(scope.spawn(move || subscribe(which))));
    });
}

#[test]
fn lossy_subscribers_on_other_threads_count_what_they_miss() {
    for cells in [1, 3, 64] {
        let memory = Memory::new(cells, None, 0);
        let parts = memory.parts();
        publish_from_two_threads(parts, |_| {
            let mut subscriber = lossy::Subscriber::attach(parts, 0).unwrap();
            let (first, mut checker, mut missed) = (subscriber.number(), Checker::new(), 0);
            while first + checker.received + missed < 2 * MESSAGES {
                let begun = subscriber.begin().map(read);
                if let Some(words) = begun.filter(|_| subscriber.complete()) {
                    checker.check(words);
                    continue;
                }
                match subscriber.look() {
                    Sight::Message => {
                        let words = read(subscriber.payload());
                        if subscriber.accept() {
                            checker.check(words);
                        }
                    }
                    Sight::Missed(more) => missed += more,
                    Sight::Nothing => thread::yield_now(),
                    sight => panic!("{sight:?}"),
                }
                assert_eq!(subscriber.number(), first + checker.received + missed);
            }
        });
    }
}

#[test]
fn lossless_subscribers_on_other_threads_get_everything() {
    for (cells, history) in [(1, 0), (5, 2), (64, 16)] {
        let memory = Memory::new(cells, Some(history), 0);
        let parts = memory.parts();
        publish_from_two_threads(parts, |which| {
            let mut stay = 0;
            loop {
                let joined = lossless::Subscriber::attach(parts, FIRST_SUBSCRIBER + which, 1, history);
                let mut subscriber = joined.unwrap().unwrap();
                let (first, mut checker) = (subscriber.number(), Checker::new());
                // Leaves and joins again, ever more rarely.
                stay += 50;
                while checker.received < stay && subscriber.number() < 2 * MESSAGES {
                    if let Some(payload) = subscriber.begin() {
                        checker.check(read(payload));
                        assert!(subscriber.complete());
                        continue;
                    }
                    match subscriber.look() {
                        Sight::Message => {
                            checker.check(read(subscriber.payload()));
                            assert!(subscriber.accept());
                            subscriber.pass();
                        }
                        Sight::Nothing => thread::yield_now(),
                        sight => panic!("{sight:?}"),
                    }
                    assert_eq!(subscriber.number(), first + checker.received);
                }
                let is_over = subscriber.number() == 2 * MESSAGES;
                subscriber.detach();
                if is_over {
                    break;
                }
            }
        });
    }
}
