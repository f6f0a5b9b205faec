//! What one writes by hand with `shared_memory` and `raw_sync`: a ring in a named mapping, a process-shared mutex around it,
//! and an event for each side to sleep on.

use crate::harness::plan::Failure;
use crate::loops::{Rx, Tx};
use crate::peer::Seat;
use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shared_memory::{Shmem, ShmemConf, ShmemError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// An end of a ring.
pub(crate) struct End<const N: usize> {
    mutex: Box<dyn LockImpl>,
    /// That there is a message.
    filled: Box<dyn EventImpl>,
    /// That there is room.
    emptied: Box<dyn EventImpl>,
    capacity: u64,
    _memory: Shmem,
}

/// Where what is in the memory: whether it is ready, the mutex and the events with room to spare, and what the mutex guards.
const MUTEX: usize = 64;
const FILLED: usize = 256;
const EMPTIED: usize = 512;
const RING: usize = 1024;

/// What the mutex guards: how many messages were sent and received. The slots follow.
#[repr(C)]
struct Ring {
    sent: u64,
    received: u64,
}

/// This seat's ends of two rings.
pub(crate) fn both<const N: usize>(seat: &Seat) -> Result<(End<N>, End<N>), Failure> {
    let first = seat.index == 0;
    let (there, back) = (End::open(seat, "there", first)?, End::open(seat, "back", first)?);
    Ok(if first { (there, back) } else { (back, there) })
}

impl<const N: usize> End<N> {
    /// Opens the end: the process that `creates` makes the ring, and the other one waits for it.
    pub(crate) fn open(seat: &Seat, part: &str, creates: bool) -> Result<Self, Failure> {
        let name = format!("{}-{}", seat.domain, seat.channel(part));
        let bytes = RING + size_of::<Ring>() + seat.capacity * N * 8;
        let memory = if creates { ShmemConf::new().os_id(&name).size(bytes).create()? } else { join(&name)? };
        let at = |offset: usize| {
            // SAFETY: the memory is larger than what is before the ring.
            unsafe { memory.as_ptr().add(offset) }
        };
        // SAFETY: the memory starts with an aligned word that is only ever used as this atomic.
        let ready = unsafe { AtomicU64::from_ptr(memory.as_ptr().cast()) };
        let (mutex, filled, emptied) = if creates {
            // SAFETY: there is room for a mutex, and nobody uses the memory before it is ready.
            let mutex = unsafe { Mutex::new(at(MUTEX), at(RING))? };
            // SAFETY: as above, for an event.
            let filled = unsafe { Event::new(at(FILLED), true)? };
            // SAFETY: as above.
            let emptied = unsafe { Event::new(at(EMPTIED), true)? };
            // Release: publishes all of them; pairs with the Acquire below.
            ready.store(1, Ordering::Release);
            (mutex.0, filled.0, emptied.0)
        } else {
            // Acquire: pairs with the Release above.
            while ready.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
            // SAFETY: the other process has made a mutex there.
            let mutex = unsafe { Mutex::from_existing(at(MUTEX), at(RING))? };
            // SAFETY: the other process has made an event there.
            let filled = unsafe { Event::from_existing(at(FILLED))? };
            // SAFETY: as above.
            let emptied = unsafe { Event::from_existing(at(EMPTIED))? };
            (mutex.0, filled.0, emptied.0)
        };
        Ok(End { mutex, filled, emptied, capacity: seat.capacity as u64, _memory: memory })
    }

    /// Does something under the lock, if `can` allows it.
    fn locked<T>(
        &self,
        can: impl FnOnce(&Ring) -> bool,
        act: impl FnOnce(&mut Ring, *mut [u64; N]) -> T,
    ) -> Result<Option<T>, Failure> {
        let guard = self.mutex.lock().map_err(|error| error.to_string())?;
        let ring = (*guard).cast::<Ring>();
        // SAFETY: the slots follow what is before them, in the same memory.
        let slots = unsafe { ring.add(1) }.cast();
        // SAFETY: aligned, mapped, zero at first, and nobody else's while the lock is held.
        let ring = unsafe { &mut *ring };
        Ok(can(ring).then(|| act(ring, slots)))
    }
}

/// Waits until the other process has made the memory.
fn join(name: &str) -> Result<Shmem, Failure> {
    loop {
        match ShmemConf::new().os_id(name).open() {
            Ok(memory) => return Ok(memory),
            // It is there with a length of zero for a moment.
            Err(ShmemError::MapOpenFailed(_) | ShmemError::UnknownOsError(_)) => thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
}

fn wait(event: &dyn EventImpl) -> Result<(), Failure> {
    Ok(event.wait(Timeout::Infinite).map_err(|error| error.to_string())?)
}

fn set(event: &dyn EventImpl) -> Result<(), Failure> {
    Ok(event.set(EventState::Signaled).map_err(|error| error.to_string())?)
}

impl<const N: usize> Tx<N> for End<N> {
    fn send(&mut self, message: [u64; N]) -> Result<(), Failure> {
        let capacity = self.capacity;
        let has_room = |ring: &Ring| ring.sent - ring.received < capacity;
        let fill = |ring: &mut Ring, slots: *mut [u64; N]| {
            // SAFETY: the index is below the capacity.
            let slot = unsafe { slots.add((ring.sent % capacity) as usize) };
            // SAFETY: aligned, mapped, and nobody else's while the lock is held.
            unsafe { slot.write(message) };
            ring.sent += 1;
        };
        while self.locked(has_room, fill)?.is_none() {
            wait(&*self.emptied)?;
        }
        set(&*self.filled)
    }
}

impl<const N: usize> Rx<N> for End<N> {
    fn recv(&mut self) -> Result<[u64; N], Failure> {
        let capacity = self.capacity;
        let has_message = |ring: &Ring| ring.sent > ring.received;
        let take = |ring: &mut Ring, slots: *mut [u64; N]| {
            // SAFETY: the index is below the capacity.
            let slot = unsafe { slots.add((ring.received % capacity) as usize) };
            ring.received += 1;
            // SAFETY: aligned, mapped, filled, and nobody else's while the lock is held.
            unsafe { slot.read() }
        };
        loop {
            if let Some(message) = self.locked(has_message, take)? {
                set(&*self.emptied)?;
                return Ok(message);
            }
            wait(&*self.filled)?;
        }
    }
}
