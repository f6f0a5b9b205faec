//! The limit of blocking: a mailbox for one message in shared memory, and what the receiver sleeps on, a futex or an eventfd.

use super::memory::{LINE, Shared};
use crate::harness::plan::{Failure, Files};
use crate::loops::{Rx, Tx};
use crate::peer::Seat;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the processes of a contestant with two mailboxes share.
pub(crate) fn files(contestant: &str, size_bytes: usize) -> Files {
    let bytes = 2 * mailbox_words(size_bytes / 8) * 8;
    if contestant == "eventfd" { Files::MemoryAndEvents(bytes, 2) } else { Files::Memory(bytes) }
}

const fn mailbox_words(message_words: usize) -> usize {
    (LINE + message_words).next_multiple_of(LINE)
}

/// This seat's ends of two mailboxes: the first process sends to the first one, the second process to the second one.
pub(crate) fn both<const N: usize>(seat: &Seat) -> Result<(MailboxTx<N>, MailboxRx<N>), Failure> {
    let (there, back) = if seat.index == 0 { (0, 1) } else { (1, 0) };
    Ok((MailboxTx(Mailbox::open(seat, there)?), MailboxRx(Mailbox::open(seat, back)?)))
}

/// A mailbox: the word that tells how many messages were sent, and a line further on the last one.
struct Mailbox<const N: usize> {
    shared: Shared,
    start: usize,
    turn: u32,
    bell: Bell,
}

/// What a receiver sleeps on.
enum Bell {
    /// The word of the mailbox itself.
    Futex,
    /// A counter of the system's.
    Eventfd(File),
}

impl<const N: usize> Mailbox<N> {
    fn open(seat: &Seat, index: usize) -> Result<Self, Failure> {
        let bell = match seat.contestant.as_str() {
            "futex" => Bell::Futex,
            "eventfd" => Bell::Eventfd(seat.file(1 + index)?.into()),
            _ => return seat.unknown(),
        };
        Ok(Mailbox { shared: seat.memory()?, start: index * mailbox_words(N), turn: 0, bell })
    }

    fn turn(&self) -> &AtomicU32 {
        // SAFETY: an aligned half of a word that outlives the borrow and is only ever accessed as this atomic.
        unsafe { AtomicU32::from_ptr(self.shared.at(self.start).cast()) }
    }

    fn ring(&mut self) -> Result<(), Failure> {
        if let Bell::Eventfd(file) = &mut self.bell {
            file.write_all(&1u64.to_ne_bytes())?;
            return Ok(());
        }
        // SAFETY: FUTEX_WAKE uses nothing but the word's address.
        unsafe { libc::syscall(libc::SYS_futex, self.turn().as_ptr(), libc::FUTEX_WAKE, 1) };
        Ok(())
    }

    /// Sleeps, unless the turn has changed since it was `seen`; it may wake up for nothing.
    fn sleep(&mut self, seen: u32) -> Result<(), Failure> {
        if let Bell::Eventfd(file) = &mut self.bell {
            file.read_exact(&mut [0; 8])?;
            return Ok(());
        }
        let no_limit = std::ptr::null::<libc::timespec>();
        // SAFETY: FUTEX_WAIT reads the word, which is mapped; there is no time-out to read.
        unsafe { libc::syscall(libc::SYS_futex, self.turn().as_ptr(), libc::FUTEX_WAIT, seen, no_limit) };
        Ok(())
    }
}

/// The end that fills a mailbox. There is room for the next message once the last one was answered.
pub(crate) struct MailboxTx<const N: usize>(Mailbox<N>);

impl<const N: usize> Tx<N> for MailboxTx<N> {
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        let mailbox = &mut self.0;
        for (at, word) in message.into_iter().enumerate() {
            // Relaxed: published by the turn.
            mailbox.shared.word(mailbox.start + LINE + at).store(word, Ordering::Relaxed);
        }
        mailbox.turn = mailbox.turn.wrapping_add(1);
        // Release: publishes the message; pairs with the Acquire in `MailboxRx::recv`.
        mailbox.turn().store(mailbox.turn, Ordering::Release);
        mailbox.ring()
    }
}

/// The end that empties a mailbox.
pub(crate) struct MailboxRx<const N: usize>(Mailbox<N>);

impl<const N: usize> Rx<N> for MailboxRx<N> {
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        let mailbox = &mut self.0;
        let seen = mailbox.turn;
        mailbox.turn = seen.wrapping_add(1);
        // Acquire: pairs with the Release in `MailboxTx::send`.
        while mailbox.turn().load(Ordering::Acquire) != mailbox.turn {
            mailbox.sleep(seen)?;
        }
        // Relaxed: ordered by the Acquire of the turn.
        Ok(std::array::from_fn(|at| mailbox.shared.word(mailbox.start + LINE + at).load(Ordering::Relaxed)))
    }
}
