//! The newest value under loom. The models have two slots, so that a writer overtakes a reader with two values; the
//! proof does not depend on the number. Payloads are pairs of atomics whose halves belong together.

use super::*;
use crate::atomics::explore::explore;
use loom::sync::Arc;
use loom::thread;

/// Words of a slot: two of payload and the stamp.
const STRIDE: usize = 3;

/// What makes the second word of a payload from the first.
const MIX: u64 = 0x5555;

/// A channel of loom's atomics, of which version 1 has been written.
struct Memory {
    words: Vec<AtomicU64>,
    version: AtomicU64,
}

impl Memory {
    fn new() -> Arc<Self> {
        let initial = [0, 0, 0, 1, 1 ^ MIX, 1];
        Arc::new(Memory { words: initial.map(AtomicU64::new).into(), version: AtomicU64::new(1) })
    }

    fn parts(&self) -> Parts {
        // SAFETY: there are two slots, and every thread of the models keeps the memory alive.
        let slots = unsafe { Slots::new(NonNull::from(&self.words[0]), STRIDE, 2) };
        // SAFETY: as above.
        unsafe { Parts::new(slots, NonNull::from(&self.version)) }
    }
}

/// The two words of a payload.
fn halves<'a>(payload: NonNull<AtomicU64>) -> (&'a AtomicU64, &'a AtomicU64) {
    // SAFETY: a payload has two words.
    let second = unsafe { payload.add(1) };
    // SAFETY: the memory outlives the ends, and what is made of them.
    let first = unsafe { payload.as_ref() };
    // SAFETY: as above.
    (first, unsafe { second.as_ref() })
}

fn fill(writer: &mut Writer, value: u64) {
    let (first, second) = halves(writer.open());
    // Relaxed: the version publishes them.
    first.store(value, Ordering::Relaxed);
    second.store(value ^ MIX, Ordering::Relaxed);
}

fn write(writer: &mut Writer, value: u64) {
    fill(writer, value);
    writer.publish();
}

/// One attempt at a value whose number is its version; false if the writer was faster.
fn read_once(reader: Reader, seen: &mut u64) -> bool {
    let snapshot = reader.begin().expect("there is a value from the start");
    let (first, second) = halves(snapshot.slot.payload());
    // Relaxed: `is_intact` has the fence.
    let (first, second) = (first.load(Ordering::Relaxed), second.load(Ordering::Relaxed));
    assert!(snapshot.version >= *seen, "versions go backwards");
    let is_intact = reader.is_intact(snapshot);
    if is_intact {
        assert_eq!((first, second), (snapshot.version, snapshot.version ^ MIX), "torn value");
    } else {
        let now = reader.begin().expect("the version never falls").version;
        assert_ne!(now, snapshot.version, "a slot in use, and a version that stands still");
    }
    *seen = snapshot.version;
    is_intact
}

fn write_from_2_to(memory: &Memory, last: u64) {
    let mut writer = Writer::attach(memory.parts());
    (2..=last).for_each(|value| write(&mut writer, value));
}

#[test]
fn loom_a_copy_is_whole_and_of_its_version() {
    explore("latest, 2 values, 1 reader", None, || {
        let memory = Memory::new();
        let shared = memory.clone();
        let writer = thread::spawn(move || write_from_2_to(&shared, 3));
        let (reader, mut seen) = (Reader::attach(memory.parts()), 1);
        read_once(reader, &mut seen);
        writer.join().unwrap();
        assert!(read_once(reader, &mut seen), "nobody writes");
        assert_eq!(seen, 3);
    });
}

#[test]
fn loom_versions_do_not_go_backwards() {
    explore("latest, 3 values, 1 reader twice", Some(3), || {
        let memory = Memory::new();
        let shared = memory.clone();
        let writer = thread::spawn(move || write_from_2_to(&shared, 4));
        let (reader, mut seen) = (Reader::attach(memory.parts()), 1);
        read_once(reader, &mut seen);
        read_once(reader, &mut seen);
        writer.join().unwrap();
    });
}

#[test]
fn loom_two_readers_do_not_disturb_each_other() {
    explore("latest, 2 values, 2 readers", Some(3), || {
        let memory = Memory::new();
        let threads = [(); 2].map(|()| {
            let shared = memory.clone();
            thread::spawn(move || {
                read_once(Reader::attach(shared.parts()), &mut 1);
            })
        });
        write_from_2_to(&memory, 3);
        threads.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn loom_a_successor_writes_over_what_the_dead_writer_left() {
    for is_stamped in [false, true] {
        explore("latest, writer succeeded", None, move || {
            let memory = Memory::new();
            let shared = memory.clone();
            let writer = thread::spawn(move || {
                let mut writer = Writer::attach(shared.parts());
                write(&mut writer, 2);
                fill(&mut writer, 99);
                if is_stamped {
                    // Dies after the stamp, before the version; otherwise before the stamp.
                    writer.stamp();
                }
                let mut writer = Writer::attach(shared.parts());
                write(&mut writer, 3);
            });
            let (reader, mut seen) = (Reader::attach(memory.parts()), 1);
            read_once(reader, &mut seen);
            writer.join().unwrap();
            assert!(read_once(reader, &mut seen), "nobody writes");
            assert_eq!(seen, 3);
        });
    }
}
