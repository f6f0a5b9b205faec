//! What a program wants of something with a name.

use crate::error::{OpenError, Role};
use crate::name::SegmentName;
use crate::segment::{self, Access, Lifetime};
use crate::station;

/// The name of a primitive, with options that few programs need. Functions that take `Options` also take a plain name.
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
    /// A primitive with this name and the default options. The rules for the name are those of
    /// [`Queue::new`](crate::Queue::new).
    pub fn new(name: impl Into<String>) -> Self {
        Options { name: name.into(), domain: None, lifetime: Lifetime::default() }
    }

    /// Sets the domain: see [`Queue::domain`](crate::Queue::domain).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets what happens to the primitive when its last handle is closed.
    ///
    /// [`Lifetime::Drained`] and [`Lifetime::Attached`] are the same here: it is removed, and the next process creates
    /// it anew. [`Lifetime::Persistent`] keeps it with its value.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Removes the primitive with this name, of any kind. Returns `Ok(false)` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if a live process has it open.
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
