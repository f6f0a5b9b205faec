//! The ring of frames against a naive oracle, over memory full of what earlier laps may have left, through the wrap of its
//! laps, with deaths between any two stores, and between two threads.

use super::*;
use crate::ring::payload;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for what has to come. It never passes unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A ring on the heap. Its words hold rubbish, some of which looks like headers, wherever the invariants allow it.
struct Memory {
    words: Vec<AtomicU64>,
    taken: AtomicU64,
    shape: Shape,
}

impl Memory {
    /// An empty ring whose ends have come to `place`.
    fn new(shape: Shape, place: Place) -> Self {
        let words = shape.units as usize * shape.unit_words;
        // Headers of this lap and its neighbours, of short frames, long ones and padding: what a payload may contain.
        let rubbish = |at: usize| {
            let lap = place.lap.wrapping_add(at as u32 % 3).wrapping_sub(1);
            let low = [1, 60, 200, PADDING, 0, u32::MAX - 1][at / 3 % 6];
            Place { lap, unit: 0 }.header(low)
        };
        let memory = Memory {
            words: (0..words).map(|at| AtomicU64::new(rubbish(at))).collect(),
            taken: AtomicU64::new(place.word()),
            shape,
        };
        // Relaxed, here and below: whoever is handed the memory comes afterwards.
        memory.parts().header(place.unit).store(CLEAR, Ordering::Relaxed);
        memory
    }

    fn zeroed(units: usize) -> Self {
        let memory = Memory::new(shape(units, 8), Place { lap: 0, unit: 0 });
        // Relaxed: as in `new`.
        memory.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        memory
    }

    fn parts(&self) -> Parts {
        // SAFETY: the vector has the words of the shape, and the tests keep it for longer than its ends.
        unsafe { Parts::new(NonNull::from(&self.words[0]), self.shape, NonNull::from(&self.taken)) }
    }
}

fn shape(units: usize, align: usize) -> Shape {
    Shape::new(units, align.max(64), align).unwrap()
}

/// Word `word` of the payload at the end's place.
fn word(end: &impl End, word: usize) -> &AtomicU64 {
    // SAFETY: the callers stay within the frame.
    let word = unsafe { end.payload().add(word) };
    // SAFETY: as above; the memory outlives the ends.
    unsafe { word.as_ref() }
}

/// What word `word` of message `message` holds: numbers that differ, and that look like headers of these laps.
fn content(message: u64, word: usize) -> u64 {
    ((message >> 2) << 32) | ((message * 31 + word as u64 * 7) % 300)
}

/// Fills the first `words` words of the claimed frame.
fn fill(end: &Producer, message: u64, words: usize) {
    for at in 0..words {
        payload::store(word(end, at), content(message, at));
    }
}

/// Checks the message that the consumer has before it, and returns its length.
fn check(end: &Consumer, message: u64) -> usize {
    for at in 0..end.bytes().div_ceil(WORD_BYTES) {
        assert_eq!(payload::load(word(end, at)), content(message, at), "word {at} of {message}");
    }
    end.bytes()
}

fn send(end: &mut Producer, message: u64, bytes: usize) -> Turn {
    end.ask_for(bytes).unwrap();
    let turn = end.look();
    if turn == Turn::Ours {
        fill(end, message, bytes.div_ceil(WORD_BYTES));
        end.pass();
    }
    turn
}

/// Where a sender dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    BetweenMessages,
    InPayload,
    AfterPayload,
    AfterClear,
    AfterPreparing,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message of so many thousandths of the limit.
    Send(usize),
    /// The same, in a frame that was claimed for the first length and made shorter.
    SendShortened(usize, usize),
    /// A loan that is dropped.
    Abandon(usize),
    Receive,
    KillSender(usize, Death),
    ReplaceReceiver,
    /// The receiver dies with the message in its hands.
    KillReceiver,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = || prop_oneof![3 => 0usize..200, 2 => 0usize..=1000, 1 => Just(1000usize)];
    let death = prop::sample::select(vec![
        Death::BetweenMessages,
        Death::InPayload,
        Death::AfterPayload,
        Death::AfterClear,
        Death::AfterPreparing,
    ]);
    let step = prop_oneof![
        8 => length().prop_map(Step::Send),
        2 => (length(), length()).prop_map(|(claimed, sent)| Step::SendShortened(claimed, sent)),
        1 => length().prop_map(Step::Abandon),
        9 => Just(Step::Receive),
        2 => (length(), death).prop_map(|(length, death)| Step::KillSender(length, death)),
        1 => Just(Step::ReplaceReceiver),
        1 => Just(Step::KillReceiver),
    ];
    prop::collection::vec(step, 0..300)
}

/// Dies in the middle of sending a message, if there is room for it.
fn die(producer: &mut Producer, bytes: usize, death: Death) {
    producer.ask_for(bytes).unwrap();
    let (Turn::Ours, Some(claim)) = (producer.look(), producer.claim) else { return };
    let words = bytes.div_ceil(WORD_BYTES);
    match death {
        Death::BetweenMessages => {}
        Death::InPayload => fill(producer, u64::MAX / 64, words / 2),
        Death::AfterPayload => fill(producer, u64::MAX / 64, words),
        Death::AfterClear => {
            fill(producer, u64::MAX / 64, words);
            producer.clear_next(claim);
        }
        Death::AfterPreparing => {
            fill(producer, u64::MAX / 64, words);
            producer.clear_next(claim);
            producer.prepare(claim);
        }
    }
}

/// Laps at which the counter is about to wrap, alone or with the upper half of the word.
const LAPS: [u32; 6] = [0, 1, (1 << 31) - 1, u32::MAX - 2, u32::MAX - 1, u32::MAX];

/// What the ring should be doing.
struct Oracle {
    /// Messages in the ring, with their lengths.
    queue: VecDeque<(u64, usize)>,
    next: u64,
}

impl Oracle {
    /// Whether the ring must have room: by its promise an empty one has.
    fn must_have_room(&self) -> bool {
        self.queue.is_empty()
    }

    fn sent(&mut self, bytes: usize) {
        self.queue.push_back((self.next, bytes));
        self.next += 1;
    }
}

fn run(memory: &Memory, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let parts = memory.parts();
    let limit = memory.shape.limit_bytes();
    let bytes = |thousandths: usize| limit * thousandths / 1000;
    let (mut producer, mut consumer) = (Producer::attach(parts), Consumer::attach(parts));
    let mut oracle = Oracle { queue: VecDeque::new(), next: 0 };
    for step in steps {
        match step {
            Step::Send(length) => match send(&mut producer, oracle.next, bytes(length)) {
                Turn::Ours => oracle.sent(bytes(length)),
                turn => prop_assert!(turn == Turn::Theirs && !oracle.must_have_room(), "{turn:?}"),
            },
            Step::SendShortened(claimed, sent) => {
                let (claimed, sent) = (bytes(claimed), bytes(sent.min(claimed)));
                producer.ask_for(claimed).unwrap();
                if producer.look() == Turn::Ours {
                    producer.shorten(sent);
                    fill(&producer, oracle.next, sent.div_ceil(WORD_BYTES));
                    producer.pass();
                    oracle.sent(sent);
                }
            }
            Step::Abandon(length) => {
                producer.ask_for(bytes(length)).unwrap();
                if producer.look() == Turn::Ours {
                    fill(&producer, u64::MAX / 64, bytes(length).div_ceil(WORD_BYTES));
                }
            }
            Step::Receive if consumer.is_ready() => {
                let (message, bytes) = oracle.queue.pop_front().expect("nothing else is in the ring");
                prop_assert_eq!(check(&consumer, message), bytes);
                consumer.pass();
            }
            Step::Receive => prop_assert_eq!((consumer.look(), oracle.queue.len()), (Turn::Theirs, 0)),
            Step::KillSender(length, death) => {
                die(&mut producer, bytes(length), death);
                producer = Producer::attach(parts);
            }
            Step::ReplaceReceiver => consumer = Consumer::attach(parts),
            Step::KillReceiver => {
                let _ = consumer.is_ready();
                consumer = Consumer::attach(parts);
            }
        }
        prop_assert_eq!(parts.len(), oracle.queue.len());
        let place = producer.place;
        // Relaxed: one thread.
        prop_assert_eq!(parts.header(place.unit).load(Ordering::Relaxed), CLEAR, "F1 at {:?}", place);
    }
    Ok(())
}

proptest! {
    #[test]
    fn behaves_like_a_deque(
        units in 2usize..24,
        align in prop::sample::select(&[1, 8, 16, 64, 128][..]),
        lap in prop::sample::select(&LAPS[..]),
        start in 0u32..24,
        steps in steps(),
    ) {
        let place = Place { lap, unit: start % units as u32 };
        run(&Memory::new(shape(units, align), place), steps)?;
    }
}

#[test]
fn an_empty_ring_has_room_for_the_longest_message_wherever_it_is() {
    for align in [1, 8, 16, 64, 128] {
        for units in 2..40 {
            for unit in 0..units as u32 {
                let memory = Memory::new(shape(units, align), Place { lap: 7, unit });
                let limit = memory.shape.limit_bytes();
                let mut producer = Producer::attach(memory.parts());
                assert_eq!(producer.ask_for(limit + 1), Err(limit));
                assert_eq!(send(&mut producer, 1, limit), Turn::Ours, "{units} units of alignment {align} at {unit}");
                let mut consumer = Consumer::attach(memory.parts());
                assert!(consumer.is_ready());
                assert_eq!(check(&consumer, 1), limit);
            }
        }
    }
}

#[test]
fn payloads_are_aligned_and_small_ones_share_their_line_with_the_header() {
    for (align, units, bytes) in [(1, 1, 56), (1, 2, 57), (8, 1, 56), (16, 1, 48), (64, 2, 64), (128, 2, 128)] {
        let shape = shape(8, align);
        assert_eq!(shape.units_of(bytes), units, "{bytes} bytes aligned to {align}");
        assert_eq!(shape.header_words * WORD_BYTES % align, 0);
        assert_eq!(shape.unit_words * WORD_BYTES % align.max(64), 0);
    }
    assert_eq!(shape(65_536, 8).limit_bytes(), (2 << 20) - 8);
    assert_eq!(Shape::new(MAX_UNITS, 64, 8).unwrap().limit_bytes(), MAX_PAYLOAD_BYTES);
    assert_eq!((Shape::new(1, 64, 8), Shape::new(MAX_UNITS + 1, 64, 8)), (None, None));
}

#[test]
fn zeroed_memory_is_an_empty_ring() {
    let memory = Memory::zeroed(4);
    assert_eq!(Consumer::attach(memory.parts()).look(), Turn::Theirs);
    assert_eq!(memory.parts().len(), 0);
    assert_eq!(send(&mut Producer::attach(memory.parts()), 0, 0), Turn::Ours);
    assert_eq!(memory.parts().len(), 1);
    assert!(Consumer::attach(memory.parts()).is_ready());
}

#[test]
fn one_unit_stays_free() {
    let memory = Memory::zeroed(4);
    let mut producer = Producer::attach(memory.parts());
    for message in 0..3 {
        assert_eq!(send(&mut producer, message, 56), Turn::Ours);
    }
    assert_eq!(send(&mut producer, 3, 56), Turn::Theirs);
    let mut consumer = Consumer::attach(memory.parts());
    assert!(consumer.is_ready());
    consumer.pass();
    assert_eq!(send(&mut producer, 3, 56), Turn::Ours);
}

#[test]
fn a_header_of_no_state_is_broken() {
    let memory = Memory::zeroed(8);
    let place = Place { lap: 0, unit: 5 };
    // Relaxed: one thread.
    memory.taken.store(place.word(), Ordering::Relaxed);
    let limit = memory.shape.limit_bytes() as u32;
    let next = place.next_lap();
    // Another lap, no length, a frame beyond the end, a frame beyond the limit, and padding without a frame behind it.
    let wild =
        [next.header(1), 1 << 32, place.header(185 + 1), place.header(limit + 2), u64::MAX, place.header(PADDING)];
    for found in wild {
        memory.parts().header(5).store(found, Ordering::Relaxed);
        let mut consumer = Consumer::attach(memory.parts());
        assert!(matches!(consumer.look(), Turn::Broken(_)), "{found:#x}");
        assert!(!consumer.is_ready());
        assert!(matches!(Producer::attach(memory.parts()).look(), Turn::Broken(_)), "{found:#x}");
        assert_eq!(memory.parts().len(), 8, "and nobody takes it for drained");
    }
    // The longest that fits before the end.
    memory.parts().header(5).store(place.header(184 + 1), Ordering::Relaxed);
    assert!(Consumer::attach(memory.parts()).is_ready());
}

#[test]
fn frames_that_go_all_the_way_round_are_broken() {
    // Each is possible by itself, but together they leave no place for the producer.
    let memory = Memory::zeroed(4);
    for (unit, lap) in [(0, 1), (1, 0), (2, 0), (3, 0)] {
        // Relaxed, here and below: one thread.
        memory.parts().header(unit).store(Place { lap, unit }.header(1), Ordering::Relaxed);
    }
    // Relaxed: as above.
    memory.taken.store(Place { lap: 0, unit: 1 }.word(), Ordering::Relaxed);
    assert!(matches!(Producer::attach(memory.parts()).look(), Turn::Broken(_)));
    assert_eq!(memory.parts().len(), 4);
}

#[test]
fn a_place_of_no_state_is_broken() {
    let memory = Memory::zeroed(4);
    let mut producer = Producer::attach(memory.parts());
    producer.ask_for(0).unwrap();
    let ahead = [1, 4, u64::from(u32::MAX), 1 << 32, u64::MAX, 2 << 32, 1 << 63];
    for found in ahead {
        // Relaxed: one thread.
        memory.taken.store(found, Ordering::Relaxed);
        assert!(matches!(producer.look(), Turn::Broken(_)), "{found:#x}");
    }
    for found in [4, u64::from(u32::MAX), u64::MAX] {
        // Relaxed: one thread.
        memory.taken.store(found, Ordering::Relaxed);
        let mut consumer = Consumer::attach(memory.parts());
        assert!(matches!(consumer.look(), Turn::Broken(_)), "{found:#x}");
        assert!(!consumer.is_ready());
        assert_eq!(memory.parts().len(), 4);
    }
}

#[test]
fn a_consumer_that_overtakes_or_lags_a_lap_is_broken() {
    let memory = Memory::zeroed(4);
    let mut producer = Producer::attach(memory.parts());
    assert_eq!(send(&mut producer, 0, 0), Turn::Ours);
    producer.ask_for(0).unwrap();
    // The same unit a lap ago: as if all four units were in use.
    memory.taken.store(Place { lap: u32::MAX, unit: 1 }.word(), Ordering::Relaxed);
    assert!(matches!(producer.look(), Turn::Broken(_)));
    memory.taken.store(Place { lap: 0, unit: 2 }.word(), Ordering::Relaxed);
    assert!(matches!(producer.look(), Turn::Broken(_)));
}

proptest! {
    /// Whatever the shared words say, nothing panics, loops or leaves the memory; the addresses are checked by the
    /// accesses themselves, of which those to the payload are made here.
    #[test]
    fn any_words_can_be_attached_to(
        units in 2usize..6,
        words in prop::collection::vec(
            prop_oneof![
                (0u64..3, 0u64..400).prop_map(|(lap, low)| lap << 32 | low),
                (0u64..3).prop_map(|lap| lap << 32 | u64::from(PADDING)),
                any::<u64>(),
            ],
            6 * 8,
        ),
        taken in prop_oneof![(0u64..3, 0u64..7).prop_map(|(lap, unit)| lap << 32 | unit), any::<u64>()],
    ) {
        let memory = Memory::zeroed(units);
        for (word, value) in memory.words.iter().zip(words) {
            // Relaxed, here and below: one thread.
            word.store(value, Ordering::Relaxed);
        }
        memory.taken.store(taken, Ordering::Relaxed);
        prop_assert!(memory.parts().len() <= units);
        let mut consumer = Consumer::attach(memory.parts());
        for _ in 0..8 {
            if !consumer.is_ready() {
                break;
            }
            let first = NonNull::from(&memory.words[0]).addr().get();
            let end = first + memory.words.len() * WORD_BYTES;
            let start = consumer.payload().addr().get();
            prop_assert!(first < start && start + consumer.bytes().next_multiple_of(WORD_BYTES) <= end);
            consumer.pass();
        }
        let mut producer = Producer::attach(memory.parts());
        producer.ask_for(0).unwrap();
        if producer.look() == Turn::Ours {
            producer.pass();
        }
    }
}

/// Waits until it is this end's turn, for as long as the other end is there, and not for ever.
fn await_turn(end: &mut impl End, is_other_there: impl Fn() -> bool) {
    let started = Instant::now();
    while !end.is_ready() {
        let turn = end.look();
        assert!(!matches!(turn, Turn::Broken(_)), "{turn:?}");
        assert!(turn == Turn::Ours || is_other_there(), "the other end has given up");
        assert!(started.elapsed() < PATIENCE, "the turn never comes");
        thread::yield_now();
    }
}

#[test]
fn two_threads_exchange_everything_in_order() {
    const MESSAGES: u64 = 20_000;
    for (units, align) in [(2, 8), (3, 8), (7, 8), (64, 16), (1024, 8)] {
        let memory = Memory::new(shape(units, align), Place { lap: u32::MAX - 3, unit: 1 });
        let parts = memory.parts();
        let limit = memory.shape.limit_bytes() as u64;
        let length = move |message: u64| (message.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % (limit.min(2000) + 1);
        thread::scope(|scope| {
            let receiver = scope.spawn(move || {
                let mut consumer = Consumer::attach(parts);
                for message in 0..MESSAGES {
                    await_turn(&mut consumer, || true);
                    assert_eq!(check(&consumer, message) as u64, length(message));
                    consumer.pass();
                }
            });
            let mut producer = Producer::attach(parts);
            for message in 0..MESSAGES {
                let bytes = length(message) as usize;
                producer.ask_for(bytes).unwrap();
                await_turn(&mut producer, || !receiver.is_finished());
                fill(&producer, message, bytes.div_ceil(WORD_BYTES));
                producer.pass();
            }
        });
        assert_eq!(parts.len(), 0);
    }
}
