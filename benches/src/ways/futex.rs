//! The limit of blocking: a mailbox for one message, and a futex.

use super::memory::{LINE, Shared};
use crate::harness::plan::Failure;
use crate::loops::{Rx, Tx};
use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of shared memory that two mailboxes with messages of `N` words take.
pub(crate) const fn bytes<const N: usize>() -> usize {
    2 * mailbox_words::<N>() * 8
}

const fn mailbox_words<const N: usize>() -> usize {
    (LINE + N).next_multiple_of(LINE)
}

/// A mailbox: the word that tells how many messages were sent, and a line further on the last one.
struct Mailbox<const N: usize> {
    shared: Shared,
    start: usize,
    turn: u32,
}

impl<const N: usize> Mailbox<N> {
    fn turn(&self) -> &AtomicU32 {
        // SAFETY: an aligned half of a word that outlives the borrow and is only ever accessed as this atomic.
        unsafe { AtomicU32::from_ptr(self.shared.at(self.start).cast()) }
    }
}

/// The end of mailbox number `index` that fills it. There is room for the next message once the last one was answered.
pub(crate) struct FutexTx<const N: usize>(Mailbox<N>);

impl<const N: usize> FutexTx<N> {
    /// The end of a new mailbox.
    pub(crate) fn new(shared: Shared, index: usize) -> Self {
        FutexTx(Mailbox { shared, start: index * mailbox_words::<N>(), turn: 0 })
    }
}

impl<const N: usize> Tx<N> for FutexTx<N> {
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        let mailbox = &mut self.0;
        for (at, word) in message.into_iter().enumerate() {
            // Relaxed: published by the turn.
            mailbox.shared.word(mailbox.start + LINE + at).store(word, Ordering::Relaxed);
        }
        mailbox.turn = mailbox.turn.wrapping_add(1);
        // Release: publishes the message; pairs with the Acquire in `FutexRx::recv`.
        mailbox.turn().store(mailbox.turn, Ordering::Release);
        // SAFETY: FUTEX_WAKE uses nothing but the word's address.
        unsafe { libc::syscall(libc::SYS_futex, mailbox.turn().as_ptr(), libc::FUTEX_WAKE, 1) };
        Ok(())
    }
}

/// The end of mailbox number `index` that empties it.
pub(crate) struct FutexRx<const N: usize>(Mailbox<N>);

impl<const N: usize> FutexRx<N> {
    /// The end of a new mailbox.
    pub(crate) fn new(shared: Shared, index: usize) -> Self {
        FutexRx(Mailbox { shared, start: index * mailbox_words::<N>(), turn: 0 })
    }
}

impl<const N: usize> Rx<N> for FutexRx<N> {
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        let mailbox = &mut self.0;
        let seen = mailbox.turn;
        mailbox.turn = seen.wrapping_add(1);
        // Acquire: pairs with the Release in `FutexTx::send`.
        while mailbox.turn().load(Ordering::Acquire) != mailbox.turn {
            let no_limit = std::ptr::null::<libc::timespec>();
            // SAFETY: FUTEX_WAIT reads the word, which is mapped; there is no time-out to read.
            unsafe { libc::syscall(libc::SYS_futex, mailbox.turn().as_ptr(), libc::FUTEX_WAIT, seen, no_limit) };
        }
        // Relaxed: ordered by the Acquire of the turn.
        Ok(std::array::from_fn(|at| mailbox.shared.word(mailbox.start + LINE + at).load(Ordering::Relaxed)))
    }
}
