//! What becomes of segments in a child that was forked and has not called `exec`.
//!
//! # The problem
//!
//! The locks that say who lives belong to an open file description, and a forked child shares all of its parent's: by
//! its copies of the descriptors, and by its copies of the mappings, each of which holds the description as well. So
//! the parent's locks would outlive the parent for as long as the child lives, and its peers would wait for the dead.
//! To unlock is no way out: that would take the locks from the parent. And two processes would fill one ring from one
//! place, each thinking that it is alone.
//!
//! # What is done
//!
//! The child lets go of everything before `fork` returns in it: a handler (`pthread_atfork`) closes its copies of the
//! segments' descriptors, which leaves the parent's locks alone, and maps fresh private pages over its copies of the
//! mappings. What the child's handles still lead to is memory of its own. The handler also raises the process's
//! *epoch*; a handle remembers the epoch in which it was opened, and one of a past epoch is dead.
//!
//! # Invariants
//!
//! J1. *A descriptor or a mapping that a child could inherit is in the table.* Both come and go, together with their
//!     lines in the table, inside the gate's reading side ([`enter`]), and `fork` waits for its writing side.
//! J2. *Nobody blocks for long inside the gate*, and nobody enters it twice at once: a fork waits for all who are in.
//! J3. *No lock of this crate that another thread may hold at a fork is ever taken in the child.* The table's own is
//!     free then, by J1. All others live in objects of an epoch ([`Local`], and what leads to an [`Epoch`] that is
//!     past), and the child makes new ones.
//!
//! A fork costs the child two or three system calls for each open segment. A child of `vfork`, of `posix_spawn`, or one that goes
//! on to `exec` needs none of this, since the descriptors are closed there, and is not disturbed by it. A child made by
//! the system call itself (`syscall(SYS_clone)`, `_Fork`) runs no handlers: it must not touch a handle, and its parent's
//! locks live for as long as it does. A signal handler must not fork, which is true of any program whose libraries have
//! handlers for it.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

/// How many forks lie between this process and the one that was started by `exec`, as far as they matter here.
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// The time between two forks in the line of processes that leads to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u32);

impl Epoch {
    /// The present one.
    pub(crate) fn now() -> Self {
        // Relaxed: as in `is_past`.
        Epoch(EPOCH.load(Ordering::Relaxed))
    }

    /// Whether this process was forked from the one where this was the present.
    #[inline(always)]
    pub(crate) fn is_past(self) -> bool {
        // Relaxed: written only in a child that has one thread yet, and so before anything that its threads do.
        EPOCH.load(Ordering::Relaxed) != self.0
    }
}

/// A value of which every epoch has its own: a child that was forked starts with a fresh one, whatever its parent's
/// other threads were doing to theirs. The parent's is never looked at again, nor freed.
pub(crate) struct Local<T>(AtomicPtr<Dated<T>>);

/// A value and the epoch that it belongs to.
struct Dated<T> {
    epoch: Epoch,
    value: T,
}

impl<T: Default + Send + Sync + 'static> Local<T> {
    /// To be made when it is first asked for.
    pub(crate) const fn new() -> Self {
        Local(AtomicPtr::new(ptr::null_mut()))
    }

    /// The present epoch's value.
    pub(crate) fn get(&'static self) -> &'static T {
        loop {
            // Acquire: pairs with the Release of the swap below, so that the value is complete.
            let found = self.0.load(Ordering::Acquire);
            // SAFETY: the pointer is null or comes from `Box::into_raw`, and what was published is never freed.
            if let Some(dated) = unsafe { found.as_ref() } {
                if !dated.epoch.is_past() {
                    return &dated.value;
                }
            }
            let fresh = Box::into_raw(Box::new(Dated { epoch: Epoch::now(), value: T::default() }));
            // Release: publishes the value; pairs with the Acquire above. Relaxed: a failure leads to another load.
            if self.0.compare_exchange(found, fresh, Ordering::Release, Ordering::Relaxed).is_err() {
                // SAFETY: it was not published, so nobody else has the pointer.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}

/// What a child would inherit of a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inherited {
    Descriptor(c_int),
    /// Where a mapping starts, as an address, and its length.
    Mapping(usize, usize),
}

/// The table inside its gate. Whoever comes and goes takes both, so a fork, which takes the gate alone, finds the table
/// at rest.
static TABLE: RwLock<Mutex<Vec<Inherited>>> = RwLock::new(Mutex::new(Vec::new()));

/// The reading side of the gate: while it is held, no other thread's fork happens.
pub(in crate::os) struct Inside(RwLockReadGuard<'static, Mutex<Vec<Inherited>>>);

/// Enters the gate, to open, map, unmap or close something that a child could inherit.
pub(in crate::os) fn enter() -> Inside {
    Inside(TABLE.read().unwrap_or_else(PoisonError::into_inner))
}

impl Inside {
    /// Notes a file that has just been opened.
    pub(in crate::os) fn opened(&self, file: &File) {
        self.change(|table| table.push(Inherited::Descriptor(file.as_raw_fd())));
    }

    /// Notes what has just been mapped.
    pub(in crate::os) fn mapped(&self, start: *mut u8, bytes: usize) {
        self.change(|table| table.push(Inherited::Mapping(start.addr(), bytes)));
    }

    /// Forgets a file that is about to be closed.
    pub(in crate::os) fn closing(&self, file: &File) {
        self.change(|table| table.retain(|line| *line != Inherited::Descriptor(file.as_raw_fd())));
    }

    /// Forgets a mapping that is about to go, if there is one.
    pub(in crate::os) fn unmapping(&self, start: *mut u8) {
        self.change(|table| table.retain(|line| !matches!(line, Inherited::Mapping(at, _) if *at == start.addr())));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Inherited>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Nobody has asked for the handlers yet. Any other value but [`WATCHING`] is the id of the process that is at it.
const NOT_WATCHING: u32 = 0;

/// The handlers are in place.
const WATCHING: u32 = u32::MAX;

/// How far the handlers have come.
static WATCH: AtomicU32 = AtomicU32::new(NOT_WATCHING);

/// Puts the handlers in place, once. To be called before a lock is taken or anything is opened that a fork may concern.
///
/// Another thread may fork while this is under way, and its child then finds the id of another process here, not a lock
/// that nobody will ever give back.
pub(crate) fn watch() -> io::Result<()> {
    let me = std::process::id();
    loop {
        // Acquire: pairs with the Release below, so that the handlers are in place.
        let found = WATCH.load(Ordering::Acquire);
        if found == WATCHING {
            return Ok(());
        }
        if found == me {
            // Another thread of this process; it takes a microsecond.
            thread::yield_now();
            continue;
        }
        // Relaxed, twice: the word is all there is to agree on.
        if WATCH.compare_exchange(found, me, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // SAFETY: the handlers are functions of this library, which is not unloaded while it has segments open; they
            // use nothing but statics.
            let error = unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork_in_child)) };
            // Release: pairs with the Acquire above.
            WATCH.store(if error == 0 { WATCHING } else { NOT_WATCHING }, Ordering::Release);
            return if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) };
        }
    }
}

type Outside = RwLockWriteGuard<'static, Mutex<Vec<Inherited>>>;

/// The writing side of the gate, from before a fork until after it, in the parent and in the child.
struct Forking(UnsafeCell<Option<Outside>>);

// SAFETY: it is touched only by the thread that holds the writing side of the gate, in whichever process.
unsafe impl Sync for Forking {}

static FORKING: Forking = Forking(UnsafeCell::new(None));

extern "C" fn before_fork() {
    let outside = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    let place = FORKING.0.get();
    // SAFETY: this thread holds the writing side of the gate, so it is the only one here.
    unsafe { *place = Some(outside) };
}

extern "C" fn after_fork() {
    drop(take_outside());
}

/// Makes no call but those that are allowed between `fork` and `exec`, and allocates nothing: the parent's other
/// threads may have been in the middle of anything.
extern "C" fn after_fork_in_child() {
    // Relaxed: this is the child's only thread; see `Epoch::is_past`.
    EPOCH.fetch_add(1, Ordering::Relaxed);
    // Relaxed: as above. That this runs shows that the handlers are in place, whatever the parent had come to note.
    WATCH.store(WATCHING, Ordering::Relaxed);
    let Some(mut outside) = take_outside() else { return };
    let table = outside.get_mut().unwrap_or_else(PoisonError::into_inner);
    for line in table.iter() {
        let_go(*line);
    }
    table.clear();
}

/// What [`before_fork`] left. There is nothing if the handlers came in the middle of a fork; nothing was open then.
fn take_outside() -> Option<Outside> {
    let place = FORKING.0.get();
    // SAFETY: this thread has called `before_fork` and holds the writing side of the gate, or finds nothing.
    unsafe { (*place).take() }
}

/// Closes a copy of a descriptor, or replaces a copy of a mapping by memory of the child's own. Should that be refused,
/// it is replaced by pages that cost nothing and can only be read.
fn let_go(inherited: Inherited) {
    match inherited {
        Inherited::Descriptor(descriptor) => {
            // SAFETY: by J1 the descriptor is the child's copy of a segment's. Nobody closes it again: the attachments
            // forget the descriptors of an epoch that is past.
            unsafe { libc::close(descriptor) };
        }
        Inherited::Mapping(address, bytes) => {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | libc::MAP_NORESERVE;
            for protection in [libc::PROT_READ | libc::PROT_WRITE, libc::PROT_READ] {
                // SAFETY: by J1 the range is what the parent mapped, of which references may exist; it stays readable, and
                // what is behind it is this process's own from here on.
                let mapped = unsafe { libc::mmap(address as *mut _, bytes, protection, flags, -1, 0) };
                if mapped != libc::MAP_FAILED {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::OnceLock;

    #[test]
    fn a_local_value_is_made_once() {
        static VALUE: Local<OnceLock<u32>> = Local::new();
        let places: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| VALUE.get() as *const _ as usize)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(places.iter().all(|place| *place == places[0]));
        assert_eq!(VALUE.get().get_or_init(|| 7), &7);
        assert_eq!(VALUE.get().get(), Some(&7));
    }
}
