//! What two processes have without any library: pipes, sockets, message queues. Every message is of the same length, which
//! both ends know.

use crate::harness::plan::{Failure, Link};
use crate::loops::{Rx, Tx};
use crate::peer::Seat;
use crate::ways::memory::{bytes_of, bytes_of_mut};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

/// An end that sends.
pub(crate) struct LinkTx {
    link: Link,
    file: File,
    /// A message on its way.
    words: Vec<u64>,
}

/// An end that receives.
pub(crate) struct LinkRx {
    link: Link,
    file: File,
    /// Where a message arrives.
    words: Vec<u64>,
}

/// The end that sends through a stream in one direction.
pub(crate) fn tx(seat: &Seat) -> Result<LinkTx, Failure> {
    tx_of(seat, 0)
}

/// The end that receives from a stream in one direction.
pub(crate) fn rx(seat: &Seat) -> Result<LinkRx, Failure> {
    rx_of(seat, 0)
}

/// This seat's ends for messages there and back: the first process sends what the second one receives, and the other way
/// round. A link that goes both ways does for both.
pub(crate) fn both(seat: &Seat) -> Result<(LinkTx, LinkRx), Failure> {
    let link = link_of(seat)?;
    if link.is_duplex() {
        let file = File::from(seat.file(seat.index)?);
        return Ok((LinkTx::new(link, file.try_clone()?), LinkRx::new(link, file)));
    }
    let (there, back) = if seat.index == 0 { (0, 1) } else { (1, 0) };
    Ok((tx_of(seat, there)?, rx_of(seat, back)?))
}

/// How many links it takes for messages there and back.
pub(crate) fn both_ways(link: Link) -> usize {
    if link.is_duplex() { 1 } else { 2 }
}

fn tx_of(seat: &Seat, index: usize) -> Result<LinkTx, Failure> {
    Ok(LinkTx::new(link_of(seat)?, seat.file(2 * index + 1)?.into()))
}

fn rx_of(seat: &Seat, index: usize) -> Result<LinkRx, Failure> {
    Ok(LinkRx::new(link_of(seat)?, seat.file(2 * index)?.into()))
}

fn link_of(seat: &Seat) -> Result<Link, Failure> {
    Link::named(&seat.contestant).map_or_else(|| seat.unknown(), Ok)
}

impl LinkTx {
    fn new(link: Link, file: File) -> Self {
        LinkTx { link, file, words: Vec::new() }
    }

    /// Sends one message of so many words, which `write` makes out of zeros or of the message before.
    pub(crate) fn send_with(&mut self, words: usize, write: impl FnOnce(&mut [u64])) -> Result<(), Failure> {
        self.words.resize(words, 0);
        write(&mut self.words);
        let bytes = bytes_of(&self.words);
        match self.link {
            Link::PosixMq => mq_send(&self.file, bytes)?,
            _ => self.file.write_all(bytes)?,
        }
        Ok(())
    }
}

impl LinkRx {
    fn new(link: Link, file: File) -> Self {
        LinkRx { link, file, words: Vec::new() }
    }

    /// Receives one message of so many words.
    pub(crate) fn recv(&mut self, words: usize) -> Result<&[u64], Failure> {
        // A message queue wants room for the longest message.
        let longest = if self.link == Link::PosixMq { self.link.longest().unwrap_or(0) / 8 } else { 0 };
        self.words.resize(words.max(longest), 0);
        let bytes = bytes_of_mut(&mut self.words);
        let arrived = match self.link {
            Link::PosixMq => mq_receive(&self.file, bytes)?,
            // Such a socket gives out one message at a time.
            Link::UnixSeqpacket => self.file.read(bytes)?,
            _ => {
                self.file.read_exact(bytes)?;
                bytes.len()
            }
        };
        if arrived != words * 8 {
            return Err(format!("a message of {} bytes arrived as {arrived}", words * 8).into());
        }
        Ok(&self.words[..words])
    }
}

impl<const N: usize> Tx<N> for LinkTx {
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        self.send_with(N, |words| words.copy_from_slice(&message))
    }
}

impl<const N: usize> Rx<N> for LinkRx {
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        Ok(LinkRx::recv(self, N)?.try_into()?)
    }
}

fn mq_send(file: &File, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `bytes`.
    match unsafe { libc::mq_send(file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn mq_receive(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let any_priority = std::ptr::null_mut();
    // SAFETY: the pointer and the length describe `bytes`, and the priority is not asked for.
    let len = unsafe { libc::mq_receive(file.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), any_priority) };
    usize::try_from(len).map_err(|_| io::Error::last_os_error())
}
