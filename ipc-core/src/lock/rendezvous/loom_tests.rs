//! The rendezvous under loom.

use super::*;
use crate::atomics::explore::explore;
use crate::lock::model::Memory;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

fn rendezvous(memory: &Memory, parties: u16) -> Rendezvous {
    // SAFETY: the words live as long as the memory, which every thread keeps.
    unsafe { Rendezvous::new(memory.word(0), memory.lines(), parties) }
}

/// What each party does before it arrives, the others see when they go on.
struct Work(Vec<UnsafeCell<u64>>);

// SAFETY: loom checks the accesses to the cells.
unsafe impl Sync for Work {}
// SAFETY: as for `Sync`.
unsafe impl Send for Work {}

#[test]
fn loom_all_go_on_together() {
    explore("rendezvous, three parties", Some(3), || {
        let memory = Arc::new(Memory::new(3));
        let work = Arc::new(Work((0..3).map(|_| UnsafeCell::new(0)).collect()));
        let arrive = |party: usize, memory: Arc<Memory>, work: Arc<Work>| {
            // SAFETY: loom checks that nobody else has access.
            work.0[party].with_mut(|cell| unsafe { *cell = 1 });
            let rendezvous = rendezvous(&memory, 3);
            let goes_on = match rendezvous.arrive() {
                Arrival::Last => true,
                Arrival::Waiting(phase) => rendezvous.standing(phase) == Standing::Passed,
                other => panic!("{other:?}"),
            };
            if goes_on {
                // SAFETY: loom checks that nobody writes.
                work.0.iter().for_each(|cell| cell.with(|cell| assert_eq!(unsafe { *cell }, 1)));
            }
            u32::from(goes_on)
        };
        let others: Vec<_> = (1..3)
            .map(|party| {
                let (memory, work) = (memory.clone(), work.clone());
                thread::spawn(move || arrive(party, memory, work))
            })
            .collect();
        let went = arrive(0, memory.clone(), work) + others.into_iter().map(|other| other.join().unwrap()).sum::<u32>();
        assert!(went >= 1);
        assert_eq!(rendezvous(&memory, 3).arrived(), 0);
    });
}

#[test]
fn loom_a_phase_ends_in_one_way_for_all() {
    explore("rendezvous, a death beside the last one who arrives, and a reset", Some(3), || {
        let memory = Arc::new(Memory::new(3));
        let Arrival::Waiting(phase) = rendezvous(&memory, 2).arrive() else { panic!("one of two") };
        let breaks = memory.clone();
        let breaks = thread::spawn(move || {
            rendezvous(&breaks, 2).break_for(2);
            rendezvous(&breaks, 2).reset()
        });
        let last = rendezvous(&memory, 2).arrive();
        let (early, is_reset) = (rendezvous(&memory, 2).standing(phase), breaks.join().unwrap());
        let late = rendezvous(&memory, 2).standing(phase);
        assert!(is_reset);
        match last {
            // The next phase was broken.
            Arrival::Last => assert_eq!((early, late), (Standing::Passed, Standing::Passed)),
            Arrival::Broken(2) => assert_eq!((early, late), (Standing::Broken(2), Standing::Broken(2))),
            // It came after the reset.
            Arrival::Waiting(next) => assert_eq!((next, late), (phase + 1, Standing::Broken(2))),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn loom_who_withdraws_is_not_counted_or_goes_on() {
    explore("rendezvous, one who withdraws beside the last one", Some(3), || {
        let memory = Arc::new(Memory::new(2));
        let other = memory.clone();
        let other = thread::spawn(move || rendezvous(&other, 2).arrive());
        let mine = rendezvous(&memory, 2).arrive();
        let withdrawn = match mine {
            Arrival::Waiting(phase) => {
                let withdrawn = rendezvous(&memory, 2).withdraw(phase);
                assert!(withdrawn || rendezvous(&memory, 2).standing(phase) == Standing::Passed);
                withdrawn
            }
            _ => false,
        };
        let others = other.join().unwrap();
        assert_eq!(withdrawn, mine != Arrival::Last && others != Arrival::Last);
        assert_eq!(rendezvous(&memory, 2).arrived(), u16::from(withdrawn));
    });
}
