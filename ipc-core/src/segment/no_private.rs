//! Private segments, on systems that have none: nobody can have one.

use super::{Opened, Spec};
use crate::error::OpenError;

/// A private segment, of which there is none.
#[derive(Clone, Debug)]
pub(crate) enum PrivateSegment {}

impl PrivateSegment {
    /// As for those that there are.
    pub(super) fn is_read_only(&self) -> bool {
        match *self {}
    }

    /// As for those that there are.
    pub(super) fn enter(&self, _spec: &Spec) -> Result<Opened, OpenError> {
        match *self {}
    }
}
