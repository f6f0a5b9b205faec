//! Publishers that die at any store, and subscribers that can repair nothing: they step over what the dead have left, and
//! when somebody repairs it, sooner or later, everybody has counted the same.

use super::*;

/// A lossy ring with two publishers, one of which may be dead, and two subscribers.
struct Scene {
    parts: Parts,
    publishers: [Option<Publisher>; 2],
    generations: [u32; 2],
    seats: [Watcher; 2],
    sent: u64,
}

/// A subscriber, and what it has come to know.
struct Watcher {
    end: Subscriber,
    /// Messages and holes that it has got or was told to have missed.
    counted: u64,
    /// The message after the last one that it has got.
    next: u64,
}

impl Scene {
    fn new(memory: &Memory) -> Self {
        let parts = memory.parts();
        let publisher = |line| Some(Publisher::attach(parts, line, Company::Others));
        let watcher = |_| Watcher { end: Subscriber::attach_lossy(parts, 0).unwrap(), counted: 0, next: 0 };
        Scene { parts, publishers: [0, 1].map(publisher), generations: [1; 2], seats: [0, 1].map(watcher), sent: 0 }
    }

    fn life(&self) -> impl Fn(usize) -> Life + use<> {
        let lives = [0, 1].map(|line| match self.publishers[line] {
            Some(_) => Life::Live,
            None => Life::Dead { generation: self.generations[line] },
        });
        move |line| lives.get(line).copied().unwrap_or(Life::Absent)
    }

    /// Publishes a message, and dies after so many stores. `None` if it is dead already, or has to wait.
    fn publish(&mut self, who: usize, units: u16, stores: u32) -> Option<()> {
        let (units, sent) = (units.min(self.parts.most_units()), self.sent);
        let publisher = self.publishers[who].as_mut()?;
        let finished = die_after(stores, || {
            let turn = publisher.claim(units, |_| None);
            if turn == Turn::Ours {
                fill(publisher, units, sent);
                publisher.pass();
            }
            turn
        });
        match finished {
            Some(turn) => {
                assert!(matches!(turn, Turn::Ours | Turn::Theirs), "{turn:?}");
                self.sent += u64::from(turn == Turn::Ours);
            }
            None => self.publishers[who] = None,
        }
        Some(())
    }

    /// Repairs what a dead publisher has left, and lets another one have its line.
    fn succeed(&mut self, who: usize) {
        if self.publishers[who].is_none() {
            // The other one is not in the middle of anything.
            assert_eq!(self.parts.repair(who, self.life()), Repair::Resolved);
            self.generations[who] += 1;
            self.publishers[who] = Some(Publisher::attach(self.parts, who, Company::Others));
        }
    }

    /// One look. Whether there was anything.
    fn look(&mut self, seat: usize) -> bool {
        let (lost, seat) = (self.parts.losses(), &mut self.seats[seat]);
        match seat.end.look() {
            Sight::Message => {
                let words = read(&seat.end);
                if !seat.end.accept() {
                    // It had been freed before the look, and its stamp was still there.
                    return true;
                }
                assert_eq!(words, words_of(words[0], words.len()), "torn message");
                assert!(words[0] >= seat.next, "doubled, or late");
                // One hole of each publisher may be there that nobody has counted.
                assert!((words[0]..=words[0] + lost + 2).contains(&seat.counted), "left out, or counted twice");
                seat.end.pass();
                seat.counted += 1;
                seat.next = words[0] + 1;
                true
            }
            Sight::Missed(missed) => {
                assert!(missed > 0);
                seat.counted += missed;
                true
            }
            Sight::Nothing => false,
            sight => panic!("{sight:?}"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish(usize, u16, u32),
    Succeed(usize),
    Look(usize),
    Over(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stores = prop_oneof![3 => Just(u32::MAX), 1 => 0..16u32];
    let step = prop_oneof![
        10 => (0..2usize, 1..5u16, stores).prop_map(|(who, units, stores)| Step::Publish(who, units, stores)),
        2 => (0..2usize).prop_map(Step::Succeed),
        10 => (0..2usize).prop_map(Step::Look),
        4 => (0..2usize).prop_map(Step::Over),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn read_only_subscribers_step_over_the_dead_and_count_what_others_repair(
        cells in 2usize..20, which in 0usize..4, steps in steps()
    ) {
        let one_lap = cells.next_power_of_two() as u64;
        let lap = [0, 1, (1 << 32) / one_lap - 1, (1 << 62) / one_lap - 1][which];
        let memory = Memory::new(cells, None, lap);
        let mut scene = Scene::new(&memory);
        for step in steps {
            match step {
                Step::Publish(who, units, stores) => {
                    scene.publish(who, units, stores);
                }
                Step::Succeed(who) => scene.succeed(who),
                Step::Look(seat) => {
                    scene.look(seat);
                }
                Step::Over(seat) => {
                    let life = scene.life();
                    scene.seats[seat].end.step_over_dead(life);
                }
            }
        }
        (0..2).for_each(|who| scene.succeed(who));
        for seat in 0..2 {
            while scene.look(seat) {}
            prop_assert_eq!(scene.seats[seat].counted, scene.sent + scene.parts.losses());
        }
    }
}
