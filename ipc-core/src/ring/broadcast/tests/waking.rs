//! Which subscriber it is that wakes a publisher.

use super::*;

#[test]
fn the_last_one_to_make_room_wakes_and_nobody_else() {
    let memory = Memory::new(4, Some(0), 0);
    let mut publisher = Publisher::attach(memory.parts(), 0, Company::Alone);
    let subscribe =
        |line| lossless::Subscriber::attach(memory.parts(), line, 1, 0).expect("it is lossless").expect("and whole");
    let counted = |line: usize| (line >= FIRST_SUBSCRIBER).then_some(1);
    let [mut first, mut second, mut last] = [0, 1, 2].map(|at| subscribe(FIRST_SUBSCRIBER + at));
    for lap in 0..3 {
        (0..4).for_each(|_| {
            assert_eq!(publisher.claim(counted), Turn::Ours);
            publisher.pass();
        });
        assert_eq!(publisher.claim(counted), Turn::Theirs, "lap {lap}: the ring is full");
        let step = |subscriber: &mut lossless::Subscriber| {
            subscriber.pass();
            subscriber.makes_room(counted)
        };
        assert_eq!(
            [step(&mut first), step(&mut first), step(&mut second)],
            [false; 3],
            "lap {lap}: the last keeps it full"
        );
        assert!(step(&mut last), "lap {lap}: there is room for one");
        assert!(step(&mut last), "lap {lap}: and still is, if the publisher has not taken it");
        (0..2).for_each(|_| first.pass());
        (0..3).for_each(|_| second.pass());
        (0..2).for_each(|_| last.pass());
    }
}
