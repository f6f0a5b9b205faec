//! A segment as the scribbler has it: every word, writable, and what each is called.

use super::board::map;
use crate::check::{Check, Context};
use crate::domain::Domain;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

const WORD_BYTES: usize = 8;
const LINE_BYTES: usize = 128;

/// Where the fields of a segment's header lie that say where everything else is.
mod field {
    pub(super) const PARTICIPANTS: usize = 84;
    pub(super) const PARTICIPANTS_OFFSET: usize = 88;
    pub(super) const WAITS_OFFSET: usize = 96;
    pub(super) const SLOTS_OFFSET: usize = 104;
    pub(super) const SCHEMA_BYTES: usize = 120;
    pub(super) const FIRST_ROLE: usize = 364;
    pub(super) const RING_LINES: usize = 388;
    pub(super) const STAMPS_OFFSET: usize = 400;
    pub(super) const REPLY_SCHEMA_BYTES: usize = 420;
    pub(super) const HISTOGRAM_OFFSET: usize = 440;
}

/// Bytes of the header before the schema.
const HEADER_BYTES: usize = 512;

/// Lines of the participant table on either side that are scribbled on in the short form: the victim's own are among the
/// first.
const LINES_A_SIDE: usize = 3;

/// Words of a histogram that are scribbled on in the short form: its head, and the first counters.
const HISTOGRAM_WORDS: usize = 32;

/// Words of slots that are scribbled on in the short form.
const SLOT_WORDS: usize = 160;

/// A segment, mapped.
pub(super) struct Image {
    start: NonNull<u8>,
    bytes: usize,
}

/// A word of a segment.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) word: usize,
    pub(super) name: String,
}

impl Image {
    /// Maps the segment of a channel. `None` if there is none at the moment.
    pub(super) fn map(domain: &Domain, channel: &str) -> Check<Option<Self>> {
        let path = format!("/dev/shm/slipring.{}.{channel}", domain.name());
        let file = match File::options().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.at("the segment is opened")?,
        };
        let bytes = file.metadata().at("the segment is looked at")?.len() as usize;
        Ok(Some(Image { start: map(file.as_raw_fd(), bytes)?, bytes }))
    }

    /// Number of words.
    pub(super) fn words(&self) -> usize {
        self.bytes / WORD_BYTES
    }

    /// What a word holds.
    pub(super) fn load(&self, word: usize) -> u64 {
        self.word(word).load(Ordering::Relaxed) // Relaxed: nothing depends on it.
    }

    /// Has a word hold something else.
    pub(super) fn store(&self, word: usize, value: u64) {
        self.word(word).store(value, Ordering::Relaxed); // Relaxed: there is no order among those who do damage.
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        assert!(word < self.words(), "the segment has no word {word}");
        // SAFETY: the word is within the mapping.
        let at = unsafe { self.start.cast::<AtomicU64>().add(word) };
        // SAFETY: as above; the mapping lives as long as `self`, and all who touch the word here use atomics.
        unsafe { at.as_ref() }
    }

    fn number(&self, at: usize) -> usize {
        self.load(at / WORD_BYTES) as usize
    }

    fn half(&self, at: usize) -> usize {
        let word = self.load(at / WORD_BYTES);
        (if at % WORD_BYTES == 0 { word as u32 } else { (word >> 32) as u32 }) as usize
    }

    /// The words to scribble on: `all` of them, or those of a few participants, slots and counters. They are found by the
    /// header, which has to be whole.
    pub(super) fn places(&self, all: bool) -> Vec<Place> {
        let mut places = Vec::new();
        let mut add = |name: &str, from: usize, to: usize| {
            for at in (from..to.min(self.bytes)).step_by(WORD_BYTES) {
                places.push(Place { word: at / WORD_BYTES, name: format!("{name} + {}", at - from) });
            }
        };
        let schemas = self.half(field::SCHEMA_BYTES) + self.half(field::REPLY_SCHEMA_BYTES);
        add("the header", 0, HEADER_BYTES);
        add("the schema", HEADER_BYTES, HEADER_BYTES + if all { schemas } else { schemas.min(64) });
        let first = self.half(field::FIRST_ROLE);
        for line in 0..self.half(field::PARTICIPANTS) {
            let side = if line < first { line } else { line - first };
            if all || side < LINES_A_SIDE {
                let at = self.number(field::PARTICIPANTS_OFFSET) + line * LINE_BYTES;
                add(&format!("participant {line}"), at, at + LINE_BYTES);
            }
        }
        let lines = 2 + self.half(field::RING_LINES);
        for line in 0..lines {
            let at = self.number(field::WAITS_OFFSET) + line * LINE_BYTES;
            let name = if line < 2 { format!("wait line {line}") } else { format!("ring line {}", line - 2) };
            add(&name, at, at + if all { LINE_BYTES } else { LINE_BYTES / 2 });
        }
        let (slots, stamps) = (self.number(field::SLOTS_OFFSET), self.number(field::STAMPS_OFFSET));
        let limit = |from: usize, to: usize| if all { to } else { to.min(from + SLOT_WORDS * WORD_BYTES) };
        if stamps != 0 {
            add("the stamps", stamps, limit(stamps, slots));
        }
        let histogram = self.number(field::HISTOGRAM_OFFSET);
        add("the slots", slots, limit(slots, if histogram == 0 { self.bytes } else { histogram }));
        if histogram != 0 {
            let to = if all { self.bytes } else { histogram + HISTOGRAM_WORDS * WORD_BYTES };
            add("the histogram", histogram, to);
        }
        places
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
