//! What a program wants of something with a name.

use crate::error::{OpenError, Role};
use crate::name::SegmentName;
use crate::segment::{self, Access, Lifetime};
use crate::station;

/// The name of something of this module, and the options that most programs leave as they are. Where one of these is asked
/// for, a name alone will do.
///
/// ```
/// use ipc_core::sync::{Mutex, Options};
///
/// # let domain = format!("doc-{}", std::process::id());
/// let total = Mutex::<u64>::open(Options::new("total").domain(&domain), || 0)?;
/// assert_eq!(total.info().domain, domain);
/// # Ok::<(), ipc_core::OpenError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    name: String,
    domain: Option<String>,
    pub(super) lifetime: Lifetime,
}

impl Options {
    /// Something with this name, for which the rules are those of [`Queue::new`](crate::Queue::new).
    pub fn new(name: impl Into<String>) -> Self {
        Options { name: name.into(), domain: None, lifetime: Lifetime::default() }
    }

    /// Separates it from what has the same name in other domains: as [`Queue::domain`](crate::Queue::domain).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// What becomes of it when the last one who has it open leaves. There is nothing in it to be delivered, so with
    /// [`Lifetime::Drained`], as with [`Lifetime::Attached`], it goes, and who comes afterwards begins anew;
    /// [`Lifetime::Persistent`] keeps it, with the value that it has.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Removes what has this name, of whatever kind. `Ok(false)` if there is nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives has it open.
    pub fn remove(&self) -> Result<bool, OpenError> {
        segment::remove(&self.segment_name()?, &Access::default(), |segment| {
            station::check_unused(segment, [Role::User; 2])
        })
    }

    pub(super) fn segment_name(&self) -> Result<SegmentName, OpenError> {
        SegmentName::new(self.domain.as_deref(), &self.name)
    }
}

impl<N: Into<String>> From<N> for Options {
    fn from(name: N) -> Self {
        Options::new(name)
    }
}
