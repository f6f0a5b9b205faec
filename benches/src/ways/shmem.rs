//! shmem-ipc's ring buffer, over memory that both processes map. Whoever waits polls: its eventfds are not used.

use super::memory::Shared;
use crate::harness::plan::Failure;
use crate::loops::{Rx, Tx};
use crate::peer::Seat;
use shmem_ipc::ringbuf::{Receiver, Sender};
use std::hint::spin_loop;

/// Bytes of shared memory that two rings take.
pub(crate) fn bytes(size_bytes: usize, capacity: usize) -> usize {
    2 * ring_bytes(size_bytes, capacity)
}

/// A line for the library, and the slots.
fn ring_bytes(size_bytes: usize, capacity: usize) -> usize {
    (64 + size_bytes * capacity).next_multiple_of(128)
}

/// The end that sends.
pub(crate) struct ShmemTx {
    sender: Sender<u64>,
    _shared: Shared,
}

/// The end that receives.
pub(crate) struct ShmemRx {
    receiver: Receiver<u64>,
    _shared: Shared,
}

/// This seat's ends of two rings.
pub(crate) fn both<const N: usize>(seat: &Seat) -> Result<(ShmemTx, ShmemRx), Failure> {
    let (there, back) = if seat.index == 0 { (0, 1) } else { (1, 0) };
    Ok((tx::<N>(seat, there)?, rx::<N>(seat, back)?))
}

/// The end of ring number `ring` that sends.
pub(crate) fn tx<const N: usize>(seat: &Seat, ring: usize) -> Result<ShmemTx, Failure> {
    let (shared, start, len) = place::<N>(seat, ring)?;
    // SAFETY: `len` bytes from there on are mapped for as long as the memory, which the value keeps.
    let sender = unsafe { Sender::attach(start, len)? };
    Ok(ShmemTx { sender, _shared: shared })
}

/// The end of ring number `ring` that receives.
pub(crate) fn rx<const N: usize>(seat: &Seat, ring: usize) -> Result<ShmemRx, Failure> {
    let (shared, start, len) = place::<N>(seat, ring)?;
    // SAFETY: as in `tx`.
    let receiver = unsafe { Receiver::attach(start, len)? };
    Ok(ShmemRx { receiver, _shared: shared })
}

/// The memory, and where in it the ring is.
fn place<const N: usize>(seat: &Seat, ring: usize) -> Result<(Shared, *mut u8, usize), Failure> {
    let shared = seat.memory()?;
    let start = shared.at(ring * ring_bytes(N * 8, seat.capacity) / 8).cast();
    Ok((shared, start, 64 + N * 8 * seat.capacity))
}

impl ShmemTx {
    /// Sends one message of `N` words, which `write` makes in place.
    #[inline(always)]
    pub(crate) fn send_with<const N: usize>(&mut self, write: impl FnOnce(*mut u64)) -> Result<(), Failure> {
        let mut write = Some(write);
        while write.is_some() {
            self.sender.send(|slots, _| {
                // The ring is a whole number of messages long, so there is room for one if there is any.
                if let Some(write) = write.take() {
                    write(slots);
                }
                N
            })?;
            if write.is_some() {
                spin_loop();
            }
        }
        Ok(())
    }
}

impl ShmemRx {
    /// Receives one message of `N` words, and shows it to `read` in place.
    #[inline(always)]
    pub(crate) fn recv_with<const N: usize, T>(&mut self, read: impl FnOnce(*const u64) -> T) -> Result<T, Failure> {
        let (mut read, mut result) = (Some(read), None);
        loop {
            self.receiver.recv(|slots, _| {
                result = read.take().map(|read| read(slots));
                N
            })?;
            if let Some(result) = result.take() {
                return Ok(result);
            }
            spin_loop();
        }
    }
}

impl<const N: usize> Tx<N> for ShmemTx {
    #[inline(always)]
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        self.send_with::<N>(|slots| {
            // SAFETY: there are `N` words, this side's own until the closure has returned.
            unsafe { slots.cast::<[u64; N]>().write(message) }
        })
    }
}

impl<const N: usize> Rx<N> for ShmemRx {
    #[inline(always)]
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        self.recv_with::<N, _>(|slots| {
            // SAFETY: there are `N` words, filled, and this side's own until the closure has returned.
            unsafe { slots.cast::<[u64; N]>().read() }
        })
    }
}
