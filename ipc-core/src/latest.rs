//! Latest values: the newest value only, for state rather than events. There is one writer and up to 64 readers.
//!
//! Examples are a pose, a price or a setting: what counts is the current value, not its history. A reader that reads
//! rarely misses the values in between. A reader that reads often gets the same value again. The writer never waits,
//! and the cost of a write does not depend on the readers. The algorithm is a seqlock with several slots;
//! `ring/latest.rs` has it, with the proof that no reader returns a torn value.
//!
//! # Readers are participants
//!
//! Reading stores nothing to the segment, so the algorithm does not need to know the readers. A reader still takes one
//! of [`READERS`] lines of the participant table, for two reasons. The last participant to leave removes the segment,
//! so a writer that is restarted finds the readers of its predecessor in the same segment. And tools can show who
//! reads. Threads that need more readers than that can share one.

mod reader;
mod writer;

pub use reader::Reader;
pub(crate) use reader::{fetch, wait_newer};
pub(crate) use writer::publish;
pub use writer::{Draft, Writer};

use crate::error::{OpenError, Role};
use crate::layout::{FLAG_TIMESTAMPS, KIND_LATEST, Side};
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::ring::latest as ring;
use crate::segment::{self, Access, Lifetime, Pages, Spec};
use crate::station::{self, Station};
use crate::waiting::Sleepers;
use core::marker::PhantomData;

/// The most readers that a latest value can have at a time.
pub const READERS: u32 = 64;

/// A builder for the ends of a latest value.
///
/// `#[ipc(latest = "...")]` on a [derived message](crate::message::IpcMessage) declares one, which `T::channel()`
/// returns. The first end to be opened creates the channel with this builder's options. Every later end joins the
/// channel as it is.
///
/// ```
/// use ipc_core::Latest;
/// # let domain = format!("doc-{}", std::process::id());
/// let position = Latest::<[f64; 2]>::new("position");
/// # let position = position.domain(&domain);
/// let mut reader = position.reader()?;
/// assert_eq!(reader.read()?, None);
/// let mut writer = position.writer()?;
/// writer.write([1.0, 2.0])?;
/// writer.write([1.5, 2.5])?;
/// assert_eq!(reader.read()?, Some([1.5, 2.5]));
/// assert_eq!(reader.version(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Latest<T> {
    name: String,
    domain: Option<String>,
    lifetime: Lifetime,
    pages: Pages,
    timestamps: bool,
    pub(crate) access: Access,
    message: PhantomData<fn() -> T>,
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        let (name, domain, access) = (self.name.clone(), self.domain.clone(), self.access.clone());
        Latest { name, domain, access, message: PhantomData, ..*self }
    }
}

impl<T> Latest<T> {
    /// A latest value with this name and the default options. The rules for the name are those of
    /// [`Queue::new`](crate::Queue::new).
    pub fn new(name: impl Into<String>) -> Self
    where
        T: IpcMessage,
    {
        let (lifetime, pages) = (Lifetime::default(), Pages::default());
        let (name, access, message) = (name.into(), Access::default(), PhantomData);
        Latest { name, domain: None, lifetime, pages, timestamps: false, access, message }
    }

    /// Sets what happens to the value when the last participant leaves.
    ///
    /// A value is never "undelivered", so [`Lifetime::Drained`] and [`Lifetime::Attached`] are the same: the value is
    /// removed with the last participant, and later readers find none rather than an old one. Choose
    /// [`Lifetime::Persistent`] for a setting that is to outlive the programs that use it.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets whether opening the channel faults in all of its pages: see [`Queue::prefault`](crate::Queue::prefault).
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.pages.prefault = Some(prefault);
        self
    }

    /// Sets whether to ask for huge pages: see [`Queue::huge_pages`](crate::Queue::huge_pages).
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.pages.huge = huge_pages;
        self
    }

    /// Sets whether to measure the age of values when they are read. The default is `false`; the creator decides.
    ///
    /// The writer writes the time beside each value. A reader that reads a value for the first time records its age in
    /// a histogram in the segment, which [`Observer::latency`](crate::inspect::Observer::latency) reads from outside.
    /// Each reader records each value once, even if the value is invalid. For readers that wait for new values, the age
    /// is the latency of the channel. For readers that poll, it is the staleness of the values that they use.
    ///
    /// Cost: one clock reading (about 25 ns) for each write and each first read, and two atomic additions for each
    /// first read. Memory: 8 bytes for each of the four slots, and 37 KiB for the histogram. The clock is that of
    /// [`Queue::timestamps`](crate::Queue::timestamps).
    ///
    /// ```
    /// use ipc_core::Latest;
    /// use ipc_core::inspect::Observer;
    /// # let domain = format!("doc-{}", std::process::id());
    /// let level = Latest::<u32>::new("level").timestamps(true);
    /// # let level = level.domain(&domain);
    /// let (mut writer, mut reader) = (level.writer()?, level.reader()?);
    /// writer.write(6)?;
    /// writer.write(7)?;
    /// assert_eq!((reader.read()?, reader.read()?), (Some(7), Some(7)));
    /// # let level = Observer::open_in(&domain, "level")?;
    /// # /*
    /// let level = Observer::open("level")?;
    /// # */
    /// assert_eq!(level.latency().expect("it has timestamps").count(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Sets who may open the channel: see [`Queue::mode`](crate::Queue::mode).
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// Gives a group access to the channel: see [`Queue::group`](crate::Queue::group).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.access.group = Some(group.into());
        self
    }

    /// Sets whether ends exchange messages by value only: see [`Queue::hardened`](crate::Queue::hardened).
    pub fn hardened(mut self, hardened: bool) -> Self {
        self.access.hardened = Some(hardened);
        self
    }

    /// Sets another name, and keeps the options: see [`Queue::name`](crate::Queue::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the domain: see [`Queue::domain`](crate::Queue::domain).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opens the writing end. It does not need a reader to exist yet.
    ///
    /// There is one writer at a time. A new writer takes over from one that closed or died, and continues its versions.
    ///
    /// # Errors
    ///
    /// - [`OpenError::InUse`] if there is a live writer.
    /// - [`OpenError::Mismatch`] if the channel carries another message type.
    /// - Any other [`OpenError`], as documented there.
    pub fn writer(&self) -> Result<Writer<T>, OpenError>
    where
        T: IpcMessage,
    {
        Ok(Writer::new(open_writer(&self.spec()?)?))
    }

    /// Opens a reading end. It does not need a writer to exist yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::TableFull`] if there are [`READERS`] live readers; otherwise as for [`writer`](Latest::writer).
    pub fn reader(&self) -> Result<Reader<T>, OpenError>
    where
        T: IpcMessage,
    {
        Ok(Reader::new(open_reader(&self.spec()?)?))
    }

    /// Removes the channel and its value. Returns `Ok(false)` if it does not exist.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if the channel has a live participant.
    pub fn remove(&self) -> Result<bool, OpenError> {
        let roles = [Role::Writer, Role::Reader];
        segment::remove(&self.segment_name()?, &self.access, |segment| station::check_unused(segment, roles))
    }

    fn segment_name(&self) -> Result<SegmentName, OpenError> {
        SegmentName::new(self.domain.as_deref(), &self.name)
    }

    pub(crate) fn spec(&self) -> Result<Spec, OpenError>
    where
        T: IpcMessage,
    {
        let spec = Spec::new::<T>(self.segment_name()?, KIND_LATEST, [1, READERS])?;
        // One value can be read at a time. That there are four slots for it is the ring's affair.
        let flags = spec.flags | if self.timestamps { FLAG_TIMESTAMPS } else { 0 };
        let access = self.access.clone();
        Ok(Spec { capacity: Some(1), lifetime: self.lifetime, pages: self.pages, flags, access, ..spec })
    }
}

/// Takes the writer's place in the channel that `spec` describes.
pub(crate) fn open_writer(spec: &Spec) -> Result<(Station, ring::Writer), OpenError> {
    let joined = station::join(spec, Side::First, Role::Writer, |_, _| true)?;
    let attach = |joined: &station::Joined| ring::Writer::attach(joined.segment().latest_ring());
    Ok(Station::new(spec, joined, Sleepers::One, attach, |_| false))
}

/// Takes a reader's place in the channel that `spec` describes.
pub(crate) fn open_reader(spec: &Spec) -> Result<(Station, ring::Reader), OpenError> {
    // One that does not trust the others does not trust itself to write, either.
    let reads_only = spec.access.is_hardened() || spec.access.is_read_only();
    let spec = &Spec { reads_only, ..spec.clone() };
    let joined = station::join(spec, Side::Second, Role::Reader, |_, _| true)?;
    let attach = |joined: &station::Joined| ring::Reader::attach(joined.segment().latest_ring());
    // That the author of a value has gone concerns also those who come to read it afterwards.
    let has_value = |ring: &mut ring::Reader| ring.version() != 0;
    Ok(Station::new(spec, joined, Sleepers::Many, attach, has_value))
}
