//! Words that no correct program has left there.

use super::*;

#[test]
fn a_damaged_ring_is_told_from_a_busy_one() {
    let memory = Memory::new(2, None, 5);
    let parts = memory.parts();
    let mut publisher = Publisher::attach(parts, 0, Company::Others);
    let mut subscriber = lossy::Subscriber::attach(parts, 0).unwrap();
    let later = Stamp::new(State::Full, 6, 1).word();
    let long_ago = full(1);
    let of_a_queue = Stamp::new(State::Held, 5, 1).word();
    for found in [later, long_ago, of_a_queue] {
        // Relaxed, here and below: one thread.
        memory.words[STRIDE - 1].store(found, Ordering::Relaxed);
        let broken = Evidence { slot: 0, found, expected: full(5) };
        assert_eq!(subscriber.look(), Sight::Broken(broken));
        assert_eq!(publisher.claim(|_| None), Turn::Broken(broken));
    }
    // Relaxed: as above.
    memory.counter[0].store(u64::MAX, Ordering::Relaxed);
    assert!(matches!(publisher.claim(|_| None), Turn::Broken(_)));
    assert!(lossy::Subscriber::attach(parts, 0).is_err());
}

/// Words that may mean something, and words that do not.
fn wild() -> impl Strategy<Value = u64> {
    let stamp = (0..8u64, 0..3u64, 0..4u64).prop_map(|(state, units, lap)| lap << 31 | units << 15 | state);
    prop_oneof![stamp, 0..20u64, any::<u64>(), Just(u64::MAX), (0..20u64).prop_map(|at| at << 2 | 1)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words_can_be_worked_with(
        cells in 1u64..6,
        is_lossless in any::<bool>(),
        words in prop::collection::vec(wild(), 6 + LINES * RECORD_WORDS),
        steps in prop::collection::vec((0..8usize, wild()), 0..60)
    ) {
        let memory = Memory::new(cells, is_lossless.then_some(cells / 2), 0);
        let parts = memory.parts();
        let ends = || {
            let lossless = lossless::Subscriber::attach(parts, FIRST_SUBSCRIBER, 2, 1).and_then(Result::ok);
            (lossy::Subscriber::attach(parts, 1), lossless)
        };
        let mut publisher = Publisher::attach(parts, 0, Company::Others);
        let mut subscribers = ends();
        let scramble = |from: usize, words: &[u64]| {
            let stamps = memory.words.iter().skip(STRIDE - 1).step_by(STRIDE);
            let shared = stamps.chain(&memory.records).chain(&memory.counter).chain([&memory.horizon]);
            // Relaxed: one thread.
            shared.skip(from).zip(words).for_each(|(word, &wild)| word.store(wild, Ordering::Relaxed));
        };
        scramble(0, &words);
        for (step, word) in steps {
            let life = |line| if line == 1 { Life::Dead { generation: 3 } } else { Life::Absent };
            match step {
                0 => { publisher.claim(|line| Some(line as u32)); }
                1 => publisher.pass(),
                2 => subscribers = ends(),
                3 => { subscribers.0.as_mut().ok().map(|end| (end.look(), end.accept())); }
                4 => { subscribers.1.as_mut().map(|end| (end.look(), end.accept(), end.pass())); }
                5 => { parts.repair(1, life); }
                6 => { parts.slowest(|line| Some(line as u32)); }
                _ => scramble((word % 20) as usize, &[word]),
            }
            prop_assert!(parts.evict(FIRST_SUBSCRIBER, 0) || !parts.evict(LINES, 9));
        }
    }
}
