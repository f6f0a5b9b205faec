//! The part of `fork.rs` for systems where no process comes from another one by `fork`.

use std::fs::File;
use std::io;
use std::sync::OnceLock;

/// All time is one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch;

impl Epoch {
    /// The present one.
    pub(crate) fn now() -> Self {
        Epoch
    }

    /// Whether this process was forked since.
    #[inline(always)]
    pub(crate) fn is_past(self) -> bool {
        false
    }
}

/// A value that is made when it is first asked for.
pub(crate) struct Local<T>(OnceLock<T>);

impl<T: Default + Send + Sync + 'static> Local<T> {
    /// To be made later.
    pub(crate) const fn new() -> Self {
        Local(OnceLock::new())
    }

    /// The value.
    pub(crate) fn get(&'static self) -> &'static T {
        self.0.get_or_init(T::default)
    }
}

/// There is nothing to watch for.
pub(crate) fn watch() -> io::Result<()> {
    Ok(())
}

/// There is nothing to keep out.
pub(in crate::os) struct Inside;

/// As if a gate were entered.
pub(in crate::os) fn enter() -> Inside {
    Inside
}

impl Inside {
    /// Nobody inherits the file.
    pub(in crate::os) fn opened(&self, _file: &File) {}

    /// Nobody inherits the mapping.
    pub(in crate::os) fn mapped(&self, _start: *mut u8, _bytes: usize) {}

    /// Nobody has inherited the file.
    pub(in crate::os) fn closing(&self, _file: &File) {}

    /// Nobody has inherited the mapping.
    pub(in crate::os) fn unmapping(&self, _start: *mut u8) {}
}
