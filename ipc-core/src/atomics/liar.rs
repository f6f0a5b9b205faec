//! Memory that answers differently at every load, for tests of what somebody can do who writes to a segment as he likes.
//!
//! While a thread [listens to a liar](deceived), each of its loads of a shared word returns what the word holds, or something
//! else: a neighbour, another lap, anything. So a word that is read twice is two words, and whoever acts on the one after
//! having checked the other is found out. A swap may be made to succeed by storing what it expects first. Loads are
//! counted, and too many of them are a failure: work that has no bound.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is answered, and how often it was asked.
struct Liar {
    /// A byte for each answer; when they are used up, others are made of them.
    script: Vec<u8>,
    at: usize,
    random: u64,
    loads: usize,
    limit: usize,
}

thread_local! {
    static LIAR: RefCell<Option<Liar>> = const { RefCell::new(None) };
}

/// Runs `call` over memory that answers by `script`.
///
/// # Panics
///
/// If a call between two [`breathe`]s loads more than `limit` words.
pub(crate) fn deceived<R>(script: &[u8], limit: usize, call: impl FnOnce() -> R) -> R {
    /// Has the truth told again, also if the call panics.
    struct Honesty;
    impl Drop for Honesty {
        fn drop(&mut self) {
            LIAR.set(None);
        }
    }
    let seed = script
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    LIAR.set(Some(Liar { script: script.into(), at: 0, random: seed | 1, loads: 0, limit }));
    let _honesty = Honesty;
    call()
}

/// Begins to count loads anew: for the next call.
pub(crate) fn breathe() {
    LIAR.with_borrow_mut(|liar| {
        if let Some(liar) = liar {
            liar.loads = 0;
        }
    });
}

/// A number below `sides`, by the script, in place of a load's answer.
pub(crate) fn choose(sides: usize) -> usize {
    LIAR.with_borrow_mut(|liar| liar.as_mut().map_or(0, |liar| usize::from(liar.byte()) % sides.max(1)))
}

/// What a load of a word that holds `truth` returns.
pub(super) fn answer(truth: u64) -> u64 {
    LIAR.with_borrow_mut(|liar| liar.as_mut().map_or(truth, |liar| liar.answer(truth)))
}

/// Has a swap of `word` from `expected` succeed, perhaps.
pub(super) fn humour(word: &AtomicU64, expected: u64) {
    let is_humoured = LIAR.with_borrow_mut(|liar| liar.as_mut().is_some_and(|liar| liar.byte() % 2 == 0));
    if is_humoured {
        // Relaxed: there is one thread.
        word.store(expected, Ordering::Relaxed);
    }
}

impl Liar {
    fn byte(&mut self) -> u8 {
        let said = self.script.get(self.at).copied();
        self.at += 1;
        said.unwrap_or_else(|| self.number() as u8)
    }

    /// A number that looks random.
    fn number(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn answer(&mut self, truth: u64) -> u64 {
        self.loads += 1;
        assert!(self.loads <= self.limit, "a call has loaded more than {} words", self.limit);
        let how = self.byte();
        let bits = self.number();
        match how {
            // Mostly the truth, or nothing would get past the first check.
            0..144 => truth,
            144..150 => truth.wrapping_add(1),
            150..156 => truth.wrapping_sub(1),
            156..162 => truth ^ 1 << (bits % 64),
            // The next lap, or the last, of the words that have one.
            162..172 => truth.wrapping_add(1 << 31),
            172..178 => truth.wrapping_sub(1 << 31),
            178..184 => truth.wrapping_add(1 << 32),
            // Another length, or another state.
            184..196 => truth & !0x7F | bits & 0x7F,
            196..208 => truth & !0x3FF | bits & 0x3FF,
            // Another number of units.
            208..218 => truth ^ (bits & 0xF) << 15,
            218..224 => bits >> (bits % 64),
            224..230 => 0,
            230..236 => u64::MAX,
            236..242 => truth << 2 | 1,
            242..248 => !truth,
            _ => bits,
        }
    }
}
