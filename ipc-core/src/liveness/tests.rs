//! What a participant's line says after deaths, found early, late or by a successor.

use super::*;
use crate::Queue;
use crate::name::SegmentName;
use crate::ring::Life;

/// A line that nobody has been on.
fn vacant() -> ParticipantSlot {
    // SAFETY: its fields are atomic integers, all of which may be zero.
    unsafe { core::mem::zeroed() }
}

#[test]
fn a_death_is_counted_once_whether_or_not_it_was_found_before_a_successor_came() {
    for is_found in [false, true] {
        let slot = vacant();
        assert_eq!(occupy(&slot, false), None);
        if is_found {
            assert_eq!(strike(&slot, State::load(&slot)).crashes, 1);
        }
        assert_eq!(occupy(&slot, false).map(|dead| dead.pid), Some(std::process::id()));
        assert_eq!(
            State::load(&slot),
            State { generation: 2, is_evicted: false, is_by_value: false, crashes: 1, phase: Phase::Live }
        );
    }
}

#[test]
fn of_two_finders_one_counts_a_death() {
    let slot = vacant();
    occupy(&slot, false);
    let seen = State::load(&slot);
    assert_eq!([strike(&slot, seen), strike(&slot, seen)], [seen.crashed(); 2]);
    assert_eq!(State::load(&slot).crashes, 1);
}

#[test]
fn a_late_finder_does_not_strike_down_a_successor() {
    for phase in [Phase::Live, Phase::Closed] {
        let slot = vacant();
        occupy(&slot, false);
        let seen = State::load(&slot);
        // It dies or closes, and the finder, who has loaded its state, finds the lock free; but a successor comes first.
        // Relaxed: one thread.
        slot.state.store(State { phase, ..seen }.word(), Ordering::Relaxed);
        occupy(&slot, false);
        assert_eq!(strike(&slot, seen).phase, Phase::Live);
        assert_eq!(State::load(&slot).phase, Phase::Live);
    }
}

#[test]
fn the_line_of_one_that_was_struck_is_found_alive_when_its_successor_resolves_what_it_left() {
    let domain = format!("unit-{}", std::process::id());
    let queue = Queue::<u64>::new("struck").domain(&domain).hardened(true);
    let (tx, _rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
    let name = SegmentName::new(Some(&domain), "struck").unwrap();
    let (segment, lifecycle) = segment::administer(&name).unwrap().unwrap();
    assert_eq!(evict(&segment, &lifecycle, 0, 1, true), Eviction::Struck);
    drop(lifecycle);
    drop(tx);
    let (segment, lifecycle) = segment::administer(&name).unwrap().unwrap();
    assert_eq!(life(&segment, 0), Life::Dead { generation: 1 });
    let sweep = |line| {
        assert_eq!(life(&segment, line), Life::Live);
        assert_eq!(afterlife(&segment, line), Life::Dead { generation: 1 });
        true
    };
    let Claim::Joined(mut successor, predecessor) = Participant::join(&segment, &lifecycle, 0..1, true, sweep).unwrap()
    else {
        panic!("the place is free")
    };
    assert!(predecessor.is_some());
    assert_eq!(State::load(segment.participant(0)).crashes, 1);
    successor.close();
    drop(lifecycle);
    successor.leave(|| true);
}
