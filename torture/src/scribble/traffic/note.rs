//! Messages most of whose bytes cannot be anything, so that what is no message shows.

use slipring::{IpcMessage, List, Opt, Str};
use std::hint::black_box;

/// A message of one length.
#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(super) struct Note {
    number: u64,
    is_urgent: bool,
    mood: Mood,
    sign: char,
    name: Str<11>,
    marks: List<u16, 4>,
    shade: Opt<bool>,
}

#[derive(IpcMessage, Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Mood {
    Calm = 1,
    Cross = 7,
}

impl Note {
    /// The note that has this number.
    pub(super) fn new(number: u64) -> Self {
        Note {
            number,
            is_urgent: number % 2 == 0,
            mood: if number % 3 == 0 { Mood::Calm } else { Mood::Cross },
            sign: 'é',
            name: Str::new("scribbled").unwrap_or_default(),
            marks: List::from_slice(&[1, 2, number as u16]).unwrap_or_default(),
            shade: Opt::from((number % 5 == 0).then_some(true)),
        }
    }

    /// Ends the victim if this is no value of its type: whoever has received it would run into undefined behaviour.
    pub(super) fn check(&self) {
        // Read as bytes, which have no values that the compiler may rely on.
        // SAFETY: any byte may be read as one.
        let is_urgent = unsafe { black_box(&raw const self.is_urgent).cast::<u8>().read() };
        // SAFETY: as above.
        let mood = unsafe { black_box(&raw const self.mood).cast::<u8>().read() };
        // SAFETY: a `char` may be read as the number that it is.
        let sign = unsafe { black_box(&raw const self.sign).cast::<u32>().read() };
        assert!(is_urgent <= 1, "{is_urgent} was received as a truth value");
        assert!([1, 7].contains(&mood), "{mood} was received as a mood");
        assert!(char::from_u32(sign).is_some(), "{sign:#x} was received as a character");
        check_text(self.name.as_str());
        assert!(black_box(self.marks.len()) <= 4, "a list of four has {} items", self.marks.len());
        black_box((self.marks.iter().fold(0, |sum: u16, mark| sum.wrapping_add(*mark)), self.shade.into_option()));
    }
}

/// The text that has this number, of some length.
pub(super) fn text(number: u64) -> String {
    "é".repeat((number % 60) as usize)
}

/// Ends the victim if this is no text.
pub(super) fn check_text(text: &str) {
    let bytes = black_box(text.as_bytes()).to_vec();
    assert!(String::from_utf8(bytes).is_ok(), "bytes that are no UTF-8 were received as text");
}
