//! The newest value against a naive oracle, through deaths of the writer and the wraps of the version, and between
//! threads.

use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::thread;

/// Words of a slot: some of payload and the stamp.
const STRIDE: usize = 5;

/// A channel on the heap, whose writer has come to `version`.
struct Memory {
    words: Vec<AtomicU64>,
    version: AtomicU64,
}

impl Memory {
    fn new(slots: usize, version: u64) -> Self {
        let memory = Memory {
            words: (0..slots * STRIDE).map(|_| AtomicU64::new(0)).collect(),
            version: AtomicU64::new(version.saturating_sub(1)),
        };
        if version != 0 {
            write(&mut memory.writer(), version);
        }
        memory
    }

    fn parts(&self) -> Parts {
        // SAFETY: the vector has whole slots, and the tests keep it for longer than its ends.
        let slots = unsafe { Slots::new(NonNull::from(&self.words[0]), STRIDE, self.words.len() / STRIDE) };
        // SAFETY: the word lives as long as the slots.
        unsafe { Parts::new(slots, NonNull::from(&self.version)) }
    }

    fn writer(&self) -> Writer {
        Writer::attach(self.parts())
    }

    fn reader(&self) -> Reader {
        Reader::attach(self.parts())
    }
}

/// Payload word `word` of a slot.
fn word<'a>(payload: NonNull<AtomicU64>, word: usize) -> &'a AtomicU64 {
    assert!(word < STRIDE - 1);
    // SAFETY: every slot has `STRIDE - 1` payload words.
    let word = unsafe { payload.add(word) };
    // SAFETY: as above; the memory outlives the ends, and what is made of them.
    unsafe { word.as_ref() }
}

/// What word `at` of `value` is.
fn mixed(value: u64, at: usize) -> u64 {
    value.wrapping_add(at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn fill(writer: &mut Writer, value: u64) {
    let payload = writer.open();
    // Relaxed: the version publishes the payload, with the Release in `Writer::point`.
    (0..STRIDE - 1).for_each(|at| word(payload, at).store(mixed(value, at), Ordering::Relaxed));
}

fn write(writer: &mut Writer, value: u64) {
    fill(writer, value);
    writer.publish();
}

/// The outcome, and the value's words.
fn read(reader: Reader) -> (Outcome, [u64; STRIDE - 1]) {
    let mut words = [0; STRIDE - 1];
    let outcome = reader.read(|payload| {
        words.iter_mut().enumerate().for_each(|(at, copy)| *copy = word(payload, at).load(Ordering::Relaxed));
    });
    (outcome, words)
}

fn words_of(value: u64) -> [u64; STRIDE - 1] {
    core::array::from_fn(|at| mixed(value, at))
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    Read,
    /// The writer leaves or dies between two values, and a successor takes over.
    ReplaceWriter,
    /// The writer dies after so many payload words.
    KillWriterMidway(usize),
    /// The writer dies after the stamp, before the version.
    KillWriterAtTheEnd,
    /// The writer gives a value up, and starts over.
    Abandon,
    /// A reader begins, the writer writes so many values, and the reader goes on.
    Overtake(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Write),
        4 => Just(Step::Read),
        1 => Just(Step::ReplaceWriter),
        2 => (0..STRIDE).prop_map(Step::KillWriterMidway),
        2 => Just(Step::KillWriterAtTheEnd),
        1 => Just(Step::Abandon),
        3 => (0..7u64).prop_map(Step::Overtake),
    ];
    prop::collection::vec(step, 0..100)
}

/// Versions after which half of the word, and the word itself, are about to wrap.
const VERSIONS: [u64; 6] = [0, 1, (1 << 32) - 2, (1 << 32) - 1, u64::MAX - 1, u64::MAX];

proptest! {
    #[test]
    fn behaves_like_a_cell(slots in prop::sample::select(&[2usize, 4, 8][..]),
                           version in prop::sample::select(&VERSIONS[..]), steps in steps()) {
        let memory = Memory::new(slots, version);
        let (mut writer, reader) = (memory.writer(), memory.reader());
        let (mut value, mut version) = (version, version);
        let put = |writer: &mut Writer, version: &mut u64, value: &mut u64| {
            *version = version.wrapping_add(1);
            *value = version.wrapping_mul(7);
            write(writer, *value);
        };
        for step in steps {
            match step {
                Step::Write => put(&mut writer, &mut version, &mut value),
                Step::Read => {}
                Step::ReplaceWriter => writer = memory.writer(),
                Step::KillWriterMidway(words) => {
                    let payload = writer.open();
                    // Relaxed: one thread.
                    (0..words.min(STRIDE - 1)).for_each(|at| word(payload, at).store(u64::MAX, Ordering::Relaxed));
                    writer = memory.writer();
                }
                Step::KillWriterAtTheEnd => {
                    fill(&mut writer, u64::MAX);
                    writer.stamp();
                    writer = memory.writer();
                }
                Step::Abandon => fill(&mut writer, u64::MAX),
                Step::Overtake(values) => {
                    let begun = reader.begin();
                    (0..values).for_each(|_| put(&mut writer, &mut version, &mut value));
                    if let Some(snapshot) = begun {
                        prop_assert_eq!(reader.is_intact(snapshot), values < slots as u64);
                    }
                }
            }
            prop_assert_eq!(reader.version(), version);
            prop_assert_eq!(writer.version(), version);
            let (outcome, words) = read(reader);
            match version {
                0 => prop_assert_eq!(outcome, Outcome::Nothing),
                _ => prop_assert_eq!((outcome, words), (Outcome::Value(version), words_of(value))),
            }
        }
    }
}

#[test]
fn zeroed_memory_has_no_value() {
    let memory = Memory::new(SLOTS, 0);
    assert_eq!(read(memory.reader()).0, Outcome::Nothing);
    assert_eq!((memory.reader().version(), memory.writer().version()), (0, 0));
}

#[test]
fn a_reader_that_is_overtaken_each_time_is_told() {
    let memory = Memory::new(SLOTS, 5);
    let mut writer = memory.writer();
    let copies = Cell::new(0);
    let outcome = memory.reader().read(|_| {
        copies.set(copies.get() + 1);
        (0..SLOTS).for_each(|_| write(&mut writer, 1));
    });
    assert_eq!((outcome, copies.get()), (Outcome::Again, ATTEMPTS));
}

#[test]
fn a_writer_may_begin_as_many_values_as_there_are_other_slots_during_a_copy() {
    let memory = Memory::new(SLOTS, 5);
    let mut writer = memory.writer();
    let outcome = memory.reader().read(|_| {
        if writer.version() == 5 {
            (0..SLOTS - 2).for_each(|_| write(&mut writer, 1));
            fill(&mut writer, 1);
        }
    });
    assert_eq!(outcome, Outcome::Value(5));
}

#[test]
fn any_words_can_be_read_and_written() {
    let wild = [0, 1, 2, 3, 4, u64::MAX, u64::MAX - 1, 1 << 63, 12345];
    for version in wild {
        for stamp in wild {
            let memory = Memory::new(SLOTS, 0);
            // Relaxed, here and below: one thread.
            memory.version.store(version, Ordering::Relaxed);
            (0..SLOTS).for_each(|slot| memory.words[slot * STRIDE + STRIDE - 1].store(stamp, Ordering::Relaxed));
            let expected = match version {
                0 => Outcome::Nothing,
                _ if stamp == version => Outcome::Value(version),
                _ => {
                    let slot = (version % SLOTS as u64) as usize;
                    Outcome::Broken(Evidence { slot, found: stamp, expected: version })
                }
            };
            assert_eq!(read(memory.reader()).0, expected, "version {version}, stamp {stamp}");
            write(&mut memory.writer(), 3);
            match version {
                u64::MAX => assert_eq!(read(memory.reader()).0, Outcome::Nothing),
                _ => assert_eq!(read(memory.reader()), (Outcome::Value(version + 1), words_of(3))),
            }
        }
    }
}

#[test]
fn readers_on_other_threads_see_whole_values_that_never_go_back() {
    const VALUES: u64 = 300_000;
    let start = (1 << 32) - 1000;
    let memory = Memory::new(SLOTS, start);
    let (reader, is_done) = (memory.reader(), &AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || {
                let mut seen = start;
                // Acquire: whoever reads the flag reads the last version after it; pairs with the Release below.
                while seen < start + VALUES || !is_done.load(Ordering::Acquire) {
                    match read(reader) {
                        (Outcome::Value(version), words) => {
                            assert!(version >= seen, "{version} after {seen}");
                            assert_eq!(words, words_of(version), "torn value");
                            seen = version;
                        }
                        (Outcome::Again, _) => thread::yield_now(),
                        (outcome, _) => panic!("{outcome:?}"),
                    }
                }
                assert_eq!(seen, start + VALUES);
            });
        }
        let mut writer = memory.writer();
        for value in 1..=VALUES {
            write(&mut writer, start + value);
            if value % 64 == 0 {
                writer = memory.writer();
            }
        }
        // Release: comes after the last value; pairs with the Acquire above.
        is_done.store(true, Ordering::Release);
    });
}
