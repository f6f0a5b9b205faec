//! A publisher that is alone, and claims by two stores.

use super::*;
use crate::atomics::mortal::die_after;

impl Memory {
    /// Publishes by the short way if that is open, and by the other one if not.
    fn send(&self, publisher: &mut Publisher, value: u64) {
        match publisher.begin() {
            Some(begun) => {
                self.store_at(begun.payload, value);
                publisher.complete(begun);
            }
            None => self.publish(publisher, value),
        }
    }
}

/// The heavy side of the barrier, as the tests have it.
fn barrier() {
    // SeqCst: pairs with the light fence of whoever is alone.
    fence(Ordering::SeqCst);
}

#[test]
fn loom_the_only_publisher_gets_company() {
    explore("lossless, a second publisher joins one that is alone", Some(3), || {
        let memory = Memory::new(4, Some(0));
        let mut only = Publisher::attach(memory.parts(), 0, Company::Alone);
        let mut subscriber = memory.subscribe(SUBSCRIBER, 0);
        memory.publish(&mut only, 0);
        let shared = memory.clone();
        let newcomer = thread::spawn(move || {
            shared.parts().counter().announce();
            barrier();
            shared.publish(&mut Publisher::attach(shared.parts(), 1, Company::Others), 11);
        });
        (1..=2).for_each(|number| memory.send(&mut only, number));
        newcomer.join().unwrap();
        let mut received: Vec<_> = (0..4).map(|_| memory.receive(&mut subscriber)).collect();
        received.retain(|&number| number != 11);
        assert_eq!(received, [0, 1, 2]);
    });
}

#[test]
fn loom_what_the_only_publisher_overwrites_is_not_accepted() {
    for (cells, bound) in [(1, Some(4)), (2, Some(3))] {
        explore("lossy, a publisher that is alone, 1 subscriber", bound, move || {
            let memory = Memory::new(cells, None);
            let mut publisher = Publisher::attach(memory.parts(), 0, Company::Alone);
            let first = cells as u64 + 1;
            (0..first).for_each(|number| memory.publish(&mut publisher, number));
            let mut subscriber = lossy::Subscriber::attach(memory.parts(), 1).unwrap();
            let reader = thread::spawn(move || {
                let begun = subscriber.number();
                let seen: u64 = (0..2).map(|_| look_once(&mut subscriber)).sum();
                (subscriber, begun + seen)
            });
            (first..first + 2).for_each(|number| memory.send(&mut publisher, number));
            let (mut subscriber, mut seen) = reader.join().unwrap();
            loop {
                match look_once(&mut subscriber) {
                    0 => break,
                    more => seen += more,
                }
            }
            assert_eq!(seen, first + 2, "every number once");
        });
    }
}

#[test]
fn loom_the_only_publisher_is_killed_at_every_store() {
    // Its stores are the record, the counter, two of payload, and the stamp.
    for death in 0..=5 {
        explore(&format!("lossless, one that is alone dies before store {death}"), Some(3), move || {
            let memory = Memory::new(3, Some(0));
            let parts = memory.parts();
            let mut dead = Publisher::attach(parts, 0, Company::Alone);
            let mut subscriber = memory.subscribe(SUBSCRIBER, 0);
            memory.publish(&mut dead, 0);
            die_after(death, || memory.send(&mut dead, 1));
            let life = |line| match line {
                0 => Life::Dead { generation: 1 },
                1 => Life::Live,
                _ => Life::Absent,
            };
            let repairer = thread::spawn(move || {
                while parts.repair(0, life) != Repair::Resolved {
                    thread::yield_now();
                }
            });
            let shared = memory.clone();
            let successor = thread::spawn(move || {
                shared.parts().counter().announce();
                barrier();
                let mut publisher = Publisher::attach(shared.parts(), 1, Company::Others);
                assert!(publisher.settle(life), "the dead stand in nobody's way");
                shared.publish(&mut publisher, 2);
            });
            assert_eq!(memory.receive(&mut subscriber), 0);
            if death == 5 {
                assert_eq!(memory.receive(&mut subscriber), 1);
            }
            repairer.join().unwrap();
            successor.join().unwrap();
            while subscriber.look() != Sight::Message {
                thread::yield_now();
            }
            assert_eq!(memory.read(&subscriber), 2);
            assert_eq!(
                parts.losses(),
                u64::from((2..5).contains(&death)),
                "what was claimed, and only that, is counted"
            );
        });
    }
}
