//! A page that the scribbler and its victim share beside the channel: how far the victim is, and what it is to do.

use crate::check::{Check, Context, ensure};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the page.
const BYTES: usize = 4096;

/// The calls that the victim makes, so that a number can say which.
pub(super) const CALLS: &[&str] = &[
    "nothing",
    "open",
    "close",
    "try_send",
    "send_timeout",
    "try_recv",
    "recv_timeout",
    "recv_batch",
    "poll",
    "len",
    "wait",
    "read",
    "wait_newer",
    "write",
    "submit",
    "try_accept",
    "reply",
    "try_take",
    "cancel",
    "observe",
];

/// The page's words.
#[repr(C)]
struct Words {
    /// Rounds of calls that the victim has done. Written by the victim, as the next four.
    rounds: AtomicU64,
    /// How often the victim has made the channel, times two; odd while it is at it.
    generation: AtomicU64,
    /// Which call it is in.
    call: AtomicU64,
    /// Which call took too much, plus 1.
    overspent: AtomicU64,
    /// Messages that it has received.
    messages: AtomicU64,
    /// The generation from which on the victim is to make another one. Written by the scribbler, as the next.
    wanted: AtomicU64,
    /// Whether the victim is to end.
    is_over: AtomicU64,
}

/// The page, mapped.
pub(super) struct Board {
    words: NonNull<Words>,
    file: File,
}

impl Board {
    /// A new page.
    pub(super) fn new() -> Check<Self> {
        // SAFETY: the name is NUL-terminated.
        let descriptor = unsafe { libc::memfd_create(c"torture".as_ptr(), libc::MFD_CLOEXEC) };
        ensure(descriptor >= 0, || "no memory can be shared with the victim".to_string())?;
        // SAFETY: the descriptor is new, and nobody else's.
        let file = unsafe { File::from_raw_fd(descriptor) };
        file.set_len(BYTES as u64).at("the board gets its size")?;
        Self::map(file)
    }

    /// The page of another process, by its path.
    pub(super) fn open(path: &str) -> Check<Self> {
        Self::map(File::options().read(true).write(true).open(path).at("the board is opened")?)
    }

    /// Where another process finds it.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    fn map(file: File) -> Check<Self> {
        let start = map(file.as_raw_fd(), BYTES)?;
        Ok(Board { words: start.cast(), file })
    }

    fn words(&self) -> &Words {
        // SAFETY: the page is mapped for as long as `self` lives, and larger than the words, which are atomics.
        unsafe { self.words.as_ref() }
    }

    /// The victim is in this call, one of [`CALLS`].
    pub(super) fn enter(&self, call: usize) {
        // Relaxed, here and below but for what the scribbler maps by: figures for reports.
        self.words().call.store(call as u64, Ordering::Relaxed);
    }

    /// The victim has come out of this call, which took so much processor time.
    pub(super) fn spent(&self, call: usize, ns: u64, budget_ns: u64) {
        if ns > budget_ns {
            self.words().overspent.store(call as u64 + 1, Ordering::Relaxed); // Relaxed: as above.
        }
    }

    /// The victim has received so many messages.
    pub(super) fn received(&self, count: usize) {
        self.words().messages.fetch_add(count as u64, Ordering::Relaxed); // Relaxed: as above.
    }

    /// The victim has done a round.
    pub(super) fn finish_round(&self) {
        self.words().rounds.fetch_add(1, Ordering::Relaxed); // Relaxed: as above.
    }

    /// The victim begins, or has ended, to make the channel anew.
    pub(super) fn turn_page(&self) {
        // Release: pairs with the Acquire in `generation`, so that the file is there.
        self.words().generation.fetch_add(1, Ordering::Release);
    }

    /// Whether the victim is to make the channel anew.
    pub(super) fn is_another_wanted(&self) -> bool {
        let words = self.words();
        // Relaxed, twice: advice.
        words.wanted.load(Ordering::Relaxed) > words.generation.load(Ordering::Relaxed)
    }

    /// Whether the victim is to end.
    pub(super) fn is_over(&self) -> bool {
        self.words().is_over.load(Ordering::Relaxed) != 0 // Relaxed: advice.
    }

    /// How often the victim has made the channel; `None` while it is at it.
    pub(super) fn generation(&self) -> Option<u64> {
        // Acquire: pairs with the Release in `turn_page`.
        let generation = self.words().generation.load(Ordering::Acquire);
        (generation != 0 && generation % 2 == 0).then_some(generation)
    }

    /// Has the victim make the channel anew.
    pub(super) fn want_another(&self) {
        let words = self.words();
        // Relaxed, twice: advice.
        words.wanted.store(words.generation.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Has the victim end.
    pub(super) fn want_end(&self) {
        self.words().is_over.store(1, Ordering::Relaxed); // Relaxed: advice.
    }

    /// Rounds that the victim has done.
    pub(super) fn rounds(&self) -> u64 {
        self.words().rounds.load(Ordering::Relaxed) // Relaxed: a figure.
    }

    /// Messages that the victim has received.
    pub(super) fn messages(&self) -> u64 {
        self.words().messages.load(Ordering::Relaxed) // Relaxed: a figure.
    }

    /// The call that the victim is in.
    pub(super) fn call(&self) -> &'static str {
        call(self.words().call.load(Ordering::Relaxed)) // Relaxed: a figure.
    }

    /// A call that has taken too much, told once.
    pub(super) fn overspent(&self) -> Option<&'static str> {
        let overspent = self.words().overspent.swap(0, Ordering::Relaxed); // Relaxed: a figure.
        overspent.checked_sub(1).map(call)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.words.as_ptr().cast(), BYTES) };
    }
}

fn call(number: u64) -> &'static str {
    CALLS.get(number as usize).copied().unwrap_or("a call without a name")
}

/// Maps the first bytes of a file, shared and writable.
pub(super) fn map(descriptor: RawFd, bytes: usize) -> Check<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: asks for a new mapping, which takes no memory from anybody.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, descriptor, 0) };
    ensure(start != libc::MAP_FAILED, || "a file cannot be mapped".to_string())?;
    NonNull::new(start.cast()).ok_or_else(|| "a file is mapped at nothing".to_string())
}
