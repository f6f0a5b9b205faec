//! The kinds of [`sync`](crate::sync), and their control lines.
//!
//! All participants of such a kind have one role, so the whole table is the first role's. Behind the two wait lines there
//! are two lines of control data, of which each kind uses some words:
//!
//! ```text
//! line 0    0  word     the owner of a mutex, the count of a semaphore, the state of an event, ...
//!           8  wanted   of what one has at a time: whether somebody who waits wants to be handed it
//!          16  done     of a once: whether it is
//! line 1    0  top      lines of the participant table that have ever been used: no participant is on one beyond
//!           8  version  of a shared value, as that of a latest value
//! ```
//!
//! The value of a mutex, of a reader-writer lock and of an atomic lies in slot 0. A shared value has the slots of a latest
//! value.

/// A value that one has at a time.
pub(crate) const KIND_MUTEX: u32 = 7;

/// A value that one has at a time to change it, or any number to read it.
pub(crate) const KIND_RW_LOCK: u32 = 8;

/// A number of permits.
pub(crate) const KIND_SEMAPHORE: u32 = 9;

/// Something that has happened or not.
pub(crate) const KIND_EVENT: u32 = 10;

/// Where those wait who have found that a value is not as they need it.
pub(crate) const KIND_CONDVAR: u32 = 11;

/// Where a number of participants wait for each other.
pub(crate) const KIND_BARRIER: u32 = 12;

/// Something that is done once.
pub(crate) const KIND_ONCE: u32 = 13;

/// A word.
pub(crate) const KIND_ATOMIC: u32 = 14;

/// A value that is copied as a whole.
pub(crate) const KIND_SHARED_VALUE: u32 = 15;

/// Whether the kind is one of those above.
pub(crate) const fn is_sync(kind: u32) -> bool {
    KIND_MUTEX <= kind && kind <= KIND_SHARED_VALUE
}

/// What one of these kinds is called in errors.
pub(super) const fn kind_name(kind: u32) -> Option<&'static str> {
    match kind {
        KIND_MUTEX => Some("a mutex"),
        KIND_RW_LOCK => Some("a reader-writer lock"),
        KIND_SEMAPHORE => Some("a semaphore"),
        KIND_EVENT => Some("an event"),
        KIND_CONDVAR => Some("a condition variable"),
        KIND_BARRIER => Some("a barrier"),
        KIND_ONCE => Some("a once"),
        KIND_ATOMIC => Some("an atomic"),
        KIND_SHARED_VALUE => Some("a shared value"),
        _ => None,
    }
}
