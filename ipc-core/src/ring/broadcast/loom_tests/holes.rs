//! Publishers that died, and those who close the holes that they left.

use super::*;
use crate::atomics::mortal::die_after;

/// Who lives, where the publisher on line 0 has died.
fn life(line: usize) -> Life {
    match line {
        0 => Life::Dead { generation: 1 },
        1 => Life::Live,
        _ => Life::Absent,
    }
}

#[test]
fn loom_a_hole_is_closed_beside_those_who_live() {
    explore("lossy, a dead publisher, 2 repairers", Some(2), || {
        let memory = Memory::new(2, None);
        let parts = memory.parts();
        // It dies after its claim, before it moves the horizon.
        assert_eq!(Publisher::attach(parts, 0, Company::Others).reserve(everyone, |_, _| 1), Turn::Ours);
        let mut subscriber = lossy::Subscriber::attach(parts, 2).unwrap();
        let shared = memory.clone();
        let publisher = thread::spawn(move || {
            let mut publisher = Publisher::attach(shared.parts(), 1, Company::Others);
            shared.publish(&mut publisher, 1);
            assert_eq!(shared.parts().repair(0, life), Repair::Resolved);
        });
        assert_eq!(parts.repair(0, life), Repair::Resolved);
        assert_eq!(subscriber.look(), Sight::Missed(1));
        publisher.join().unwrap();
        assert_eq!(look_once(&mut subscriber), 1);
        assert_eq!(parts.publishers.records.losses(), 1);
    });
}

#[test]
fn loom_who_misses_a_message_finds_it_counted() {
    explore("lossy, a dead publisher, 2 repairers, of whom one dies when it has counted", Some(3), || {
        let memory = Memory::new(2, None);
        let parts = memory.parts();
        assert_eq!(Publisher::attach(parts, 0, Company::Others).claim(everyone), Turn::Ours);
        let mut subscriber = lossy::Subscriber::attach(parts, 2).unwrap();
        // Its stores are LOST, the count and SKIP.
        let dying = thread::spawn(move || _ = die_after(2, || parts.repair(0, life)));
        let reader = thread::spawn(move || match subscriber.look() {
            Sight::Nothing => {}
            sight => {
                assert_eq!(sight, Sight::Missed(1));
                assert_eq!(parts.losses(), 1, "it is seen to be lost, and the count does not say so");
            }
        });
        assert_eq!(parts.repair(0, life), Repair::Resolved);
        [dying, reader].into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(parts.losses(), 1);
    });
}

#[test]
fn loom_a_hole_is_measured_beside_who_claims_after_it() {
    explore("lossy, two dead publishers of different batches, 1 publisher, 1 repairer", Some(3), || {
        let memory = Memory::new(5, None);
        let parts = memory.parts();
        let attach = |line| Publisher::attach(parts, line, Company::Others);
        let (mut loser, mut owner, mut publisher) = (attach(1), attach(0), attach(2));
        // Both say TRYING of the first cell. The one wants two and has not moved the counter, the other has, by one.
        assert_eq!(die_after(2, || loser.claim_many(2, everyone)), None);
        assert_eq!(die_after(3, || owner.claim(everyone)), None);
        let life = |line| match line {
            0 | 1 => Life::Dead { generation: 1 },
            2 => Life::Live,
            _ => Life::Absent,
        };
        let mut subscriber = lossy::Subscriber::attach(parts, 5).unwrap();
        let shared = memory.clone();
        // Where the hole ends is told by the counter at first, then by this one's record, and at last by what it publishes.
        let claims = thread::spawn(move || (1..=2).for_each(|number| shared.publish(&mut publisher, number)));
        assert_eq!(parts.repair(0, life), Repair::Resolved);
        claims.join().unwrap();
        assert_eq!(subscriber.look(), Sight::Missed(1));
        assert_eq!([look_once(&mut subscriber), look_once(&mut subscriber), parts.losses()], [1; 3]);
    });
}

#[test]
fn loom_a_batch_is_stepped_over_as_a_whole_beside_who_withdraws_it() {
    explore("lossy, two dead publishers of different batches, 1 repairer, 1 who steps over", Some(4), || {
        let memory = Memory::new(5, None);
        let parts = memory.parts();
        let [mut loser, mut owner] = [1, 0].map(|line| Publisher::attach(parts, line, Company::Others));
        // Both say TRYING of the first cell. The one wants one and has not moved the counter, the other has, by two.
        assert_eq!(die_after(2, || loser.claim(everyone)), None);
        assert_eq!(die_after(3, || owner.claim_many(2, everyone)), None);
        let life = |line| if line < 2 { Life::Dead { generation: 1 } } else { Life::Absent };
        let mut subscriber = lossy::Subscriber::attach(parts, 5).unwrap();
        let reader = thread::spawn(move || {
            subscriber.step_over_dead(life);
            assert_ne!(subscriber.number(), 1, "it has stopped in the middle");
            subscriber
        });
        assert_eq!(parts.repair(0, life), Repair::Resolved);
        let mut subscriber = reader.join().unwrap();
        assert_eq!((subscriber.look(), subscriber.number(), parts.losses()), (Sight::Missed(2), 2, 2));
    });
}

#[test]
fn loom_a_dead_publishers_batch_is_withdrawn_beside_those_who_live() {
    for (has_stored, repairs) in [(false, 9), (true, 9), (true, 2), (true, 3)] {
        let name =
            format!("lossless, a dead publisher's batch, stored: {has_stored}, a repairer that dies at {repairs}");
        explore(&name, Some(2), move || {
            let memory = Memory::new(2, Some(0));
            let parts = memory.parts();
            let mut subscriber = memory.subscribe(SUBSCRIBER, 0);
            let mut dead = Publisher::attach(parts, 0, Company::Others);
            memory.fill_two(&mut dead, 7);
            if has_stored {
                // All but the first stamp.
                dead.finish_rest(1, State::Full, 1);
            }
            let repairer = thread::spawn(move || {
                die_after(repairs, || parts.repair(0, life));
            });
            let shared = memory.clone();
            let publisher = thread::spawn(move || {
                let mut publisher = Publisher::attach(shared.parts(), 1, Company::Others);
                while shared.parts().repair(0, life) != Repair::Resolved {
                    thread::yield_now();
                }
                shared.publish(&mut publisher, 2);
            });
            while subscriber.look() == Sight::Nothing {
                thread::yield_now();
            }
            repairer.join().unwrap();
            publisher.join().unwrap();
            assert_eq!(memory.receive(&mut subscriber), 2, "nothing of the batch is left");
            assert_eq!((subscriber.number(), parts.losses()), (3, 2));
        });
    }
}
