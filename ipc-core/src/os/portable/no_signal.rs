//! Systems without descriptors to wait for have nothing to signal either.

/// Cannot be made.
pub(crate) enum Signal {}

impl Signal {
    /// Never called.
    pub(crate) fn raise(&self) {
        match *self {}
    }

    /// Never called.
    pub(crate) fn clear(&self) {
        match *self {}
    }
}
