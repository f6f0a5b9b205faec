//! The ledger under loom, with deaths before every store, of those who repair too.

use super::*;
use crate::atomics::explore::explore;
use crate::atomics::mortal::die_after;
use crate::lock::model::Memory;
use loom::sync::Arc;
use loom::thread;

const PREEMPTIONS: usize = 3;

/// Permits in all models.
const PERMITS: u32 = 2;

fn ledger(memory: &Memory) -> Ledger {
    // SAFETY: the words live as long as the memory, which every thread keeps.
    unsafe { Ledger::new(memory.word(0), memory.lines()) }
}

fn new(lines: usize) -> Arc<Memory> {
    let memory = Arc::new(Memory::new(lines));
    ledger(&memory).init(PERMITS);
    memory
}

fn take(memory: &Memory, line: usize) -> bool {
    let take = |free: u32, held: u32| free.checked_sub(1).map(|free| (free, held + 1)).ok_or(());
    ledger(memory).change(line, take) == Change::Made
}

fn put_back(memory: &Memory, line: usize) {
    assert_eq!(ledger(memory).change(line, |free, held| Ok::<_, ()>((free + 1, held - 1))), Change::Made);
}

fn bring_back(memory: &Memory, line: usize) {
    ledger(memory).give_back(line, || memory.is_dead(line));
}

/// Every permit is free, or held by one who lives.
fn check(memory: &Memory) {
    (0..memory.lines().all()).filter(|&line| memory.is_dead(line)).for_each(|line| bring_back(memory, line));
    let held: u32 = (0..memory.lines().all()).map(|line| ledger(memory).held(line)).sum();
    assert_eq!(ledger(memory).free() + held, PERMITS);
}

#[test]
fn loom_two_change_at_once() {
    explore("ledger, two who take and give back", Some(PREEMPTIONS), || {
        let memory = new(2);
        let other = memory.clone();
        let other = thread::spawn(move || {
            assert!(take(&other, 1));
            put_back(&other, 1);
        });
        assert!(take(&memory, 0));
        other.join().unwrap();
        assert_eq!((ledger(&memory).free(), ledger(&memory).held(0), ledger(&memory).held(1)), (1, 1, 0));
        put_back(&memory, 0);
        check(&memory);
    });
}

#[test]
fn loom_a_death_before_every_store() {
    for stores in 0..7 {
        explore(
            &format!("ledger, a death before store {stores}, one beside it who looks for the dead"),
            Some(PREEMPTIONS),
            move || {
                let memory = new(2);
                let victim = memory.clone();
                let victim = thread::spawn(move || {
                    die_after(stores, || {
                        assert!(take(&victim, 0));
                        put_back(&victim, 0);
                        take(&victim, 0);
                    });
                    victim.bury(0);
                });
                let has = take(&memory, 1);
                bring_back(&memory, 0);
                if has {
                    put_back(&memory, 1);
                }
                victim.join().unwrap();
                check(&memory);
                assert_eq!(ledger(&memory).free(), PERMITS);
            },
        );
    }
}

#[test]
fn loom_two_bring_back_and_one_of_them_dies() {
    for stores in 0..5 {
        for dies in 0..4 {
            explore(
                &format!("ledger, a death before store {stores}, then two repairers, one dies before store {dies}"),
                Some(PREEMPTIONS),
                move || {
                    let memory = new(3);
                    die_after(stores, || (take(&memory, 0), take(&memory, 0)));
                    memory.bury(0);
                    let other = memory.clone();
                    let other = thread::spawn(move || {
                        die_after(dies, || bring_back(&other, 0));
                    });
                    bring_back(&memory, 0);
                    let has = take(&memory, 1);
                    other.join().unwrap();
                    check(&memory);
                    assert_eq!(ledger(&memory).free(), PERMITS - u32::from(has));
                },
            );
        }
    }
}

#[test]
fn loom_a_successor_keeps_what_it_takes() {
    for stores in 1..5 {
        explore(
            &format!("ledger, a death before store {stores}, a late repairer, and a successor on the line"),
            Some(PREEMPTIONS),
            move || {
                let memory = new(2);
                die_after(stores, || (take(&memory, 0), take(&memory, 0)));
                memory.bury(0);
                let late = memory.clone();
                let late = thread::spawn(move || bring_back(&late, 0));
                // As whoever joins does, who has the line's lock: the one before is given back for, and the record begins anew.
                ledger(&memory).give_back(0, || true);
                memory.lines().claim(0).store(0, Ordering::Relaxed);
                memory.raise(0);
                assert!(take(&memory, 0));
                late.join().unwrap();
                assert_eq!((ledger(&memory).held(0), ledger(&memory).free()), (1, PERMITS - 1));
            },
        );
    }
}
