//! The contestants: ways of getting an array of words from one process to the other and back.

use memmap2::{MmapOptions, MmapRaw};
use slipring::{Lifetime, Queue, Receiver, Sender};
use std::error::Error;
use std::fs::File;
use std::hint::spin_loop;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A duplex connection that carries messages of `N` words.
pub(crate) trait Link<const N: usize> {
    /// Sends one message, and waits while there is no room.
    fn send(&mut self, message: [u64; N]);
    /// Receives one message, and waits while there is none. `None` if the other side has gone.
    fn recv(&mut self) -> Option<[u64; N]>;
}

/// Which of the two processes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The one that measures.
    Parent,
    /// The one it started.
    Child,
}

/// Two exclusive queues.
pub(crate) struct Slipring<const N: usize> {
    tx: Sender<[u64; N]>,
    rx: Receiver<[u64; N]>,
}

impl<const N: usize> Slipring<N> {
    /// Joins the pair of channels that starts with `name`.
    pub(crate) fn open(name: &str, capacity: usize, end: End) -> Result<Self, Box<dyn Error>> {
        let queue =
            |way: &str| Queue::new(format!("{name}.{way}")).capacity(capacity).spsc().lifetime(Lifetime::Attached);
        let (there, back) = (queue("there"), queue("back"));
        Ok(match end {
            End::Parent => Slipring { tx: there.sender()?, rx: back.receiver()? },
            End::Child => Slipring { tx: back.sender()?, rx: there.receiver()? },
        })
    }
}

impl<const N: usize> Link<N> for Slipring<N> {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) {
        self.tx.send(message).expect("the receiver lives");
    }

    #[inline(always)]
    fn recv(&mut self) -> Option<[u64; N]> {
        self.rx.recv().expect("the sender lives")
    }
}

/// Two pipes.
pub(crate) struct Pipe {
    from: File,
    to: File,
}

impl Pipe {
    /// Talks over these two.
    pub(crate) fn new(from: File, to: File) -> Self {
        Pipe { from, to }
    }
}

impl<const N: usize> Link<N> for Pipe {
    fn send(&mut self, message: [u64; N]) {
        self.to.write_all(message.map(u64::to_ne_bytes).as_flattened()).expect("the reader lives");
    }

    fn recv(&mut self) -> Option<[u64; N]> {
        let mut bytes = [[0; 8]; N];
        self.from.read_exact(bytes.as_flattened_mut()).ok()?;
        Some(bytes.map(u64::from_ne_bytes))
    }
}

/// Memory that both processes map.
pub(crate) struct Shared {
    map: MmapRaw,
}

impl Shared {
    /// Maps the whole of `file`.
    pub(crate) fn map(file: &File) -> Result<Self, Box<dyn Error>> {
        Ok(Shared { map: MmapOptions::new().populate().map_raw(file)? })
    }

    /// Word `index` of the memory.
    #[inline(always)]
    fn word(&self, index: usize) -> &AtomicU64 {
        debug_assert!(index < self.map.len() / 8);
        // SAFETY: the index is within the mapping: the layouts below were sized by `CachedIndexRing::bytes`.
        let word = unsafe { self.map.as_mut_ptr().cast::<u64>().add(index) };
        // SAFETY: aligned, mapped for as long as `self`, and only ever accessed as an atomic.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

/// Words per line, with room for the neighbour that the processor prefetches.
const LINE: usize = 16;

/// The limit of round trips: one word in one cache line, written by both in turns.
pub(crate) struct Line(pub(crate) Shared);

impl Line {
    /// Bytes of shared memory that it takes.
    pub(crate) const BYTES: usize = 4096;

    /// The measuring side of `count` round trips.
    pub(crate) fn ping(&self, count: u64) {
        let word = self.0.word(0);
        for turn in 0..count {
            // Release and Acquire, here and in `pong`: what a message would need.
            word.store(2 * turn + 1, Ordering::Release);
            while word.load(Ordering::Acquire) != 2 * turn + 2 {}
        }
        word.store(0, Ordering::Relaxed);
    }

    /// The answering side.
    pub(crate) fn pong(&self, count: u64) {
        let word = self.0.word(0);
        for turn in 0..count {
            while word.load(Ordering::Acquire) != 2 * turn + 1 {}
            word.store(2 * turn + 2, Ordering::Release);
        }
    }
}

/// The limit of streams: a ring as one writes it by hand, with an index per side in a line of its own, and a private copy
/// of the other side's index that is refreshed when the ring seems full or empty.
pub(crate) struct CachedIndexRing<const N: usize> {
    shared: Shared,
    capacity: usize,
    /// Where the ring that this end fills starts, in words, and the one it empties.
    out: usize,
    inn: usize,
    sent: u64,
    sent_limit: u64,
    received: u64,
    received_limit: u64,
}

impl<const N: usize> CachedIndexRing<N> {
    /// Bytes of shared memory that the two rings take.
    pub(crate) fn bytes(capacity: usize) -> usize {
        2 * Self::ring_words(capacity) * 8
    }

    fn ring_words(capacity: usize) -> usize {
        (2 * LINE + capacity * N).next_multiple_of(LINE)
    }

    /// One end of the pair in `shared`.
    pub(crate) fn new(shared: Shared, capacity: usize, end: End) -> Self {
        assert!(capacity.is_power_of_two());
        let second = Self::ring_words(capacity);
        let (out, inn) = if end == End::Parent { (0, second) } else { (second, 0) };
        let sent_limit = capacity as u64;
        CachedIndexRing { shared, capacity, out, inn, sent: 0, sent_limit, received: 0, received_limit: 0 }
    }

    #[inline(always)]
    fn slot(&self, ring: usize, position: u64) -> usize {
        ring + 2 * LINE + (position as usize & (self.capacity - 1)) * N
    }
}

impl<const N: usize> Link<N> for CachedIndexRing<N> {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) {
        while self.sent == self.sent_limit {
            // Acquire: pairs with the Release in `recv`, so that a slot is empty before it is filled again.
            let received = self.shared.word(self.out + LINE).load(Ordering::Acquire);
            self.sent_limit = received + self.capacity as u64;
            if self.sent == self.sent_limit {
                spin_loop();
            }
        }
        let slot = self.slot(self.out, self.sent);
        for (at, word) in message.into_iter().enumerate() {
            // Relaxed: published by the index.
            self.shared.word(slot + at).store(word, Ordering::Relaxed);
        }
        self.sent += 1;
        // Release: publishes the slot; pairs with the Acquire in `recv`.
        self.shared.word(self.out).store(self.sent, Ordering::Release);
    }

    #[inline(always)]
    fn recv(&mut self) -> Option<[u64; N]> {
        while self.received == self.received_limit {
            // Acquire: pairs with the Release in `send`.
            self.received_limit = self.shared.word(self.inn).load(Ordering::Acquire);
            if self.received == self.received_limit {
                spin_loop();
            }
        }
        let slot = self.slot(self.inn, self.received);
        // Relaxed: ordered by the Acquire of the index.
        let message = std::array::from_fn(|at| self.shared.word(slot + at).load(Ordering::Relaxed));
        self.received += 1;
        // Release: frees the slot; pairs with the Acquire in `send`.
        self.shared.word(self.inn + LINE).store(self.received, Ordering::Release);
        Some(message)
    }
}

/// The limit of blocking: two futexes and nothing else.
pub(crate) struct Futex {
    shared: Shared,
    end: End,
    turn: u32,
}

impl Futex {
    /// Bytes of shared memory that it takes.
    pub(crate) const BYTES: usize = 4096;

    /// One end of the pair in `shared`.
    pub(crate) fn new(shared: Shared, end: End) -> Self {
        Futex { shared, end, turn: 0 }
    }

    /// Wakes the other side.
    pub(crate) fn send(&mut self) {
        self.turn += 1;
        let word = self.word(if self.end == End::Parent { 0 } else { LINE });
        // Release: pairs with the Acquire in `recv`.
        word.store(self.turn, Ordering::Release);
        // SAFETY: FUTEX_WAKE uses nothing but the word's address.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
    }

    /// Sleeps until the other side wakes this one, for whose message number `turn` it waits.
    pub(crate) fn recv(&self, turn: u32) {
        let word = self.word(if self.end == End::Parent { LINE } else { 0 });
        // Acquire: pairs with the Release in `send`.
        while word.load(Ordering::Acquire) != turn {
            let no_limit = std::ptr::null::<libc::timespec>();
            // SAFETY: FUTEX_WAIT reads the word, which is mapped; there is no time-out to read.
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, turn - 1, no_limit) };
        }
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        // SAFETY: an aligned half of a word that outlives the borrow and is only ever accessed as this atomic.
        unsafe { AtomicU32::from_ptr(self.shared.word(index).as_ptr().cast()) }
    }
}
