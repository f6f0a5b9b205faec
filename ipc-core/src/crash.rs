//! Crash points: where a process can be made to die, to see what becomes of what it was doing (feature `crash-points`).
//!
//! Every step that others can see is a point: each store and each read-modify-write of a ring's words, which pass
//! through `atomics` and are points by themselves, and each system call and each store to a participant's line, before
//! which stands a call of `point`. A death anywhere else leaves the same as one at the next point, as far as the others
//! can tell. A point is named by its place in the sources, so none can be forgotten in a list, or named twice.
//!
//! Without the feature all of this is nothing at all.

#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub(crate) fn point() {}

#[cfg(all(feature = "crash-points", not(any(loom, test))))]
pub(crate) use armed::AtomicU64;
#[cfg(feature = "crash-points")]
pub(crate) use armed::point;
#[cfg(feature = "crash-points")]
pub use armed::watch;

#[cfg(feature = "crash-points")]
mod armed {
    use core::cell::Cell;
    use core::panic::Location;
    #[cfg(not(any(loom, test)))]
    use core::{
        ops::Deref,
        sync::atomic::{self, Ordering},
    };

    /// What is told of every point that is passed.
    type Watcher = fn(&'static Location<'static>);

    thread_local! {
        static WATCHER: Cell<Option<Watcher>> = const { Cell::new(None) };
    }

    /// Has `watcher` called at each point that this thread passes from now on, right before the step; `None` to have no
    /// one called. It must not use a channel, and may kill the process.
    pub fn watch(watcher: Option<Watcher>) {
        WATCHER.set(watcher);
    }

    /// A point, named by where this is called.
    #[track_caller]
    pub(crate) fn point() {
        // Not in a thread that is ending.
        if let Ok(Some(watcher)) = WATCHER.try_with(Cell::get) {
            watcher(Location::caller());
        }
    }

    /// A word of a ring, every change of which is a point.
    #[cfg(not(any(loom, test)))]
    #[derive(Debug)]
    #[repr(transparent)]
    pub(crate) struct AtomicU64(atomic::AtomicU64);

    #[cfg(not(any(loom, test)))]
    #[allow(dead_code, reason = "the rings and the locks decide which changes they make")]
    impl AtomicU64 {
        /// As for the real one.
        pub(crate) const fn new(value: u64) -> Self {
            AtomicU64(atomic::AtomicU64::new(value))
        }

        /// As for the real one.
        #[track_caller]
        pub(crate) fn store(&self, value: u64, order: Ordering) {
            point();
            // As the caller says, who names the partner; so it is below.
            self.0.store(value, order);
        }

        /// As for the real one.
        #[track_caller]
        pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            point();
            self.0.fetch_add(value, order)
        }

        /// As for the real one.
        #[track_caller]
        pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
            point();
            self.0.swap(value, order)
        }

        /// As for the real one.
        #[track_caller]
        pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
            point();
            self.0.fetch_or(value, order)
        }

        /// As for the real one.
        #[track_caller]
        pub(crate) fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
            point();
            self.0.fetch_and(value, order)
        }

        /// As for the real one.
        #[track_caller]
        pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
            point();
            self.0.fetch_max(value, order)
        }

        /// As for the real one.
        #[track_caller]
        pub(crate) fn compare_exchange(
            &self,
            current: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            point();
            self.0.compare_exchange(current, new, success, failure)
        }
    }

    #[cfg(not(any(loom, test)))]
    impl Deref for AtomicU64 {
        type Target = atomic::AtomicU64;

        /// Loads, which nobody else can see.
        fn deref(&self) -> &atomic::AtomicU64 {
            &self.0
        }
    }
}
