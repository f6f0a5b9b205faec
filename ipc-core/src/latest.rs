//! Latest values: the newest value only, for state rather than events. One writes, and any number read.
//!
//! A pose, a price, a setting: what counts is how it is now, not how it got there. A reader that looks rarely misses
//! what came between, a reader that looks often gets the same value again, and the writer notices neither: it never
//! waits, and what a write costs does not depend on who reads. The algorithm, and the proof that no reader gets half of
//! a value, are in `ring/latest.rs`.
//!
//! # Readers are participants
//!
//! Reading takes no place in the table: it stores nothing, and nobody has to know. All the same a reader takes one of
//! [`READERS`] lines, for two reasons: the last to leave removes the segment, and a writer that is restarted has to find
//! the readers of its predecessor in the segment that it opens; and tools can show who reads. Whoever needs more readers
//! than that shares one of them between threads.

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

/// Readers that a latest value has places for.
pub const READERS: u32 = 64;

/// Describes a latest value, and opens its ends.
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
    access: Access,
    message: PhantomData<fn() -> T>,
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        let (name, domain, access) = (self.name.clone(), self.domain.clone(), self.access.clone());
        Latest { name, domain, access, message: PhantomData, ..*self }
    }
}

impl<T: IpcMessage> Latest<T> {
    /// A latest value with this name, for which the rules are those of [`Queue::new`](crate::Queue::new).
    pub fn new(name: impl Into<String>) -> Self {
        let (lifetime, pages) = (Lifetime::default(), Pages::default());
        let (name, access, message) = (name.into(), Access::default(), PhantomData);
        Latest { name, domain: None, lifetime, pages, timestamps: false, access, message }
    }

    /// What becomes of the value when the last participant leaves.
    ///
    /// A value is state and not a message, so it is delivered to nobody and never undelivered: with
    /// [`Lifetime::Drained`], as with [`Lifetime::Attached`], it goes when nobody writes or reads it any more, and who
    /// comes afterwards finds none rather than an old one. Choose [`Lifetime::Persistent`] for a setting that is to
    /// outlive the programs that set it and use it.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Whether all pages are faulted in when the channel is opened: as [`Queue::prefault`](crate::Queue::prefault).
    pub fn prefault(mut self, prefault: bool) -> Self {
        self.pages.prefault = Some(prefault);
        self
    }

    /// Whether to ask for huge pages: as [`Queue::huge_pages`](crate::Queue::huge_pages).
    pub fn huge_pages(mut self, huge_pages: bool) -> Self {
        self.pages.huge = huge_pages;
        self
    }

    /// Whether to measure how old values are when they are read. Each gets the time beside it when it is written; a reader
    /// that reads it for the first time counts its age in a histogram in the segment, which tools read without taking
    /// part: see [`Observer::latency`](crate::inspect::Observer::latency). Like everything about the segment it is for the
    /// creator to say.
    ///
    /// So a value is counted once by every reader that reads it, also if the reader then finds it invalid; reading it again
    /// counts nothing, and a value that nobody reads is not counted. For readers that wait for new values it is the latency
    /// of the channel, and for readers that look now and then it is how stale that is on which they act.
    ///
    /// What it costs: a reading of the clock, about 25 ns, for each value that is written and each that is read for the first
    /// time, and then two atomic additions; 8 bytes more for each of the four slots, and 37 KiB for the histogram. The clock
    /// is that of [`Queue::timestamps`](crate::Queue::timestamps).
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

    /// Who may open the channel: as [`Queue::mode`](crate::Queue::mode).
    pub fn mode(mut self, mode: u32) -> Self {
        self.access.mode = Some(mode);
        self
    }

    /// Gives the channel to a group: as [`Queue::group`](crate::Queue::group).
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.access.group = Some(group.into());
        self
    }

    /// Whether ends exchange messages by value only: as [`Queue::hardened`](crate::Queue::hardened).
    pub fn hardened(mut self, hardened: bool) -> Self {
        self.access.hardened = Some(hardened);
        self
    }

    /// Separates this channel from those of the same name in other domains: as [`Queue::domain`](crate::Queue::domain).
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Opens the writing end, of which there is one. Nobody needs to read yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if there is a writer that lives (a dead one is succeeded at once, and the versions go on),
    /// [`OpenError::Mismatch`] if the channel carries another message, and the other [`OpenError`]s as they say.
    pub fn writer(&self) -> Result<Writer<T>, OpenError> {
        Ok(Writer::new(open_writer(&self.spec()?)?))
    }

    /// Opens a reading end. Nobody needs to write yet.
    ///
    /// # Errors
    ///
    /// [`OpenError::TableFull`] if there are [`READERS`] readers that live; otherwise as for [`writer`](Latest::writer).
    pub fn reader(&self) -> Result<Reader<T>, OpenError> {
        Ok(Reader::new(open_reader(&self.spec()?)?))
    }

    /// Removes the channel, with its value. `Ok(false)` if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`] if somebody who lives takes part in it.
    pub fn remove(&self) -> Result<bool, OpenError> {
        let roles = [Role::Writer, Role::Reader];
        segment::remove(&self.segment_name()?, &self.access, |segment| station::check_unused(segment, roles))
    }

    fn segment_name(&self) -> Result<SegmentName, OpenError> {
        SegmentName::new(self.domain.as_deref(), &self.name)
    }

    fn spec(&self) -> Result<Spec, OpenError> {
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
    let spec = &Spec { reads_only: spec.access.is_hardened(), ..spec.clone() };
    let joined = station::join(spec, Side::Second, Role::Reader, |_, _| true)?;
    let attach = |joined: &station::Joined| ring::Reader::attach(joined.segment().latest_ring());
    // That the author of a value has gone concerns also those who come to read it afterwards.
    let has_value = |ring: &mut ring::Reader| ring.version() != 0;
    Ok(Station::new(spec, joined, Sleepers::Many, attach, has_value))
}
