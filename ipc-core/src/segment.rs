//! Segments: creating, opening, checking, unlinking. The only place where bytes of a file become typed shared parts.
//!
//! # Creation is atomic
//!
//! A segment begins as a file without a name. It is sized, its memory is reserved, its geometry and schema are written,
//! and only then is it linked under its name, which fails if the name is taken. So nobody ever sees a half-made
//! segment, the loser of a race opens the winner's, and a creator that dies half-way leaves nothing behind. Everything
//! after the header starts as zeros, which are an empty participant table, words that nobody sleeps on, and an empty
//! ring.
//!
//! # The lifecycle lock
//!
//! Joining, leaving and unlinking happen under the write lock of one byte of the segment file; within one process,
//! whose threads share the attachment and so its locks, also under a flag of the segment's. Three rules keep a name
//! from leading astray:
//!
//! L1. Whoever has taken the lock checks that the name still leads to the file it has open, and starts over if not.
//! L2. A segment is unlinked only under its lock, only after the same check, and only when no participant lives.
//! L3. A participant's byte is locked, and given back, only under the lock.
//!
//! By L3 nobody joins between the look for living participants and the unlinking, and by L1 nobody joins afterwards.
//! The kernel drops all of these locks with the process that held them, so a death leaves nothing locked. A process
//! that is *stopped* while it holds the lifecycle lock keeps others from joining and leaving (never from sending and
//! receiving); they wait for a few seconds and then say so. Other channels are not held up by it.
//!
//! # After a fork
//!
//! A child that was forked has none of its parent's segments: their files are gone, and their memory is its own
//! (`os/fork.rs`). What asks for the file is refused, and nothing that the child does to the memory reaches anybody.

mod access;
mod agreement;
mod geometry;
mod lifecycle;
mod pages;
#[cfg_attr(any(not(target_os = "linux"), feature = "portable"), path = "segment/no_private.rs")]
mod private;
mod registry;
mod rings;
mod spec;
mod sync;

pub(crate) use access::Access;
pub(crate) use lifecycle::{Lifecycle, lock_to_leave};
pub use pages::HugePages;
pub(crate) use pages::Pages;
pub(crate) use private::PrivateSegment;
pub use spec::Lifetime;
pub(crate) use spec::Spec;

use crate::error::{OpenError, Peer};
use crate::histogram;
use crate::layout::{self, Geometry, LINE_BYTES, ParticipantSlot, WaitLine, unpadded};
use crate::name::SegmentName;
use crate::os::fork::{self, Epoch};
use crate::os::{self, Attachment, Cause};
use core::ptr::NonNull;
use core::sync::atomic::AtomicBool;
use geometry::read_geometry;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How often to start over because the segment was created, or unlinked, under our eyes.
const OPEN_ATTEMPTS: usize = 1000;

/// A mapped segment. One per process and file, however many handles the process has.
pub(crate) struct Segment {
    memory: Attachment,
    /// Private copy; shared memory is never consulted for where things are.
    geometry: Geometry,
    path: PathBuf,
    huge_pages: HugePages,
    /// Who may open the file, as it was when this process did.
    mode: u32,
    /// Whether it has no name, and never had one.
    is_private: bool,
    /// Participants of this process. Its own locks are invisible to its probes, so it has to remember them.
    held: Mutex<HashSet<u32>>,
    /// Whether a thread of this process has the lifecycle lock, which the kernel would grant to all of them.
    lifecycle: AtomicBool,
}

/// A segment that has been opened, with the lifecycle lock still held so that the caller can join.
pub(crate) struct Opened {
    pub(crate) segment: Arc<Segment>,
    /// Whether this call created it.
    pub(crate) created: bool,
    pub(crate) lifecycle: Lifecycle,
}

/// Opens the segment that `spec` names, or creates it.
///
/// `init` gives the memory of a new segment another beginning than zeros. It is called for each one that is created, before
/// that has a name, so that nobody sees it half done. If another process turns out to have been faster, what it did is thrown
/// away.
pub(crate) fn open(spec: &Spec, init: &mut dyn FnMut(&Segment)) -> Result<Opened, OpenError> {
    if let Some(private) = &spec.access.private {
        return private.enter(spec);
    }
    spec.check_capacity()?;
    spec.access.check()?;
    watch_forks()?;
    let path = spec.name.path();
    for _ in 0..OPEN_ATTEMPTS {
        let known = if spec.reads_only { registry::find_to_read(&path) } else { registry::find(&path) };
        let (segment, created) = match known {
            Some(segment) => (segment, false),
            None => match open_named(&path, spec.reads_only) {
                Ok(file) => (Arc::new(Segment::from_file(file, &path, spec)?), false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let segment = Segment::create(&path, spec)?;
                    init(&segment);
                    (Arc::new(segment), true)
                }
                Err(error) => return Err(open_error(&path, error)),
            },
        };
        let lifecycle = Lifecycle::lock(&segment)?;
        if created && !segment.link()? {
            continue;
        }
        if !segment.is_linked()? {
            // Handles of this process that are still at work on the unlinked file keep it.
            registry::forget(&segment);
            continue;
        }
        if !registry::list(&segment)? {
            continue;
        }
        segment.check_message(spec)?;
        return Ok(Opened { segment, created, lifecycle });
    }
    Err(OpenError::Busy { path, seconds: 0 })
}

/// Removes the segment under `name`, with whatever it holds. `Ok(false)` if there is none.
///
/// `who_lives` is asked, under the lifecycle lock, whether somebody takes part, and removal fails with its answer.
pub(crate) fn remove(
    name: &SegmentName,
    access: &Access,
    who_lives: impl Fn(&Segment) -> Result<(), OpenError>,
) -> Result<bool, OpenError> {
    watch_forks()?;
    let path = name.path();
    for _ in 0..OPEN_ATTEMPTS {
        let segment = match registry::find(&path) {
            Some(segment) => segment,
            None => match Attachment::open(&path) {
                Ok(file) => Arc::new(Segment::map(file, &path, Pages::UNTOUCHED, false, access)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(open_error(&path, error)),
            },
        };
        let mut lifecycle = Lifecycle::lock(&segment)?;
        if !segment.is_linked()? {
            // The name was given to another segment, or to none, which the next attempt finds out.
            registry::forget(&segment);
            continue;
        }
        who_lives(&segment)?;
        if lifecycle.unlink()? {
            return Ok(true);
        }
    }
    Err(OpenError::Busy { path, seconds: 0 })
}

/// Looks at the segment under `name` without taking part. `None` if there is none.
///
/// What was found may lose its name, or somebody may join it, as soon as this returns.
pub(crate) fn peek(name: &SegmentName, access: &Access) -> Result<Option<Arc<Segment>>, OpenError> {
    watch_forks()?;
    let path = name.path();
    if let Some(segment) = registry::find(&path) {
        // Otherwise the name was given to another segment, or to none.
        if segment.is_linked()? {
            return Ok(Some(segment));
        }
    }
    match Attachment::open(&path) {
        Ok(file) => Ok(Some(Arc::new(Segment::map(file, &path, Pages::UNTOUCHED, false, access)?))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(open_error(&path, error)),
    }
}

/// Takes the lifecycle lock of the segment under `name`, to have a say in who takes part without doing so. `None` if there is no
/// such segment.
pub(crate) fn administer(name: &SegmentName) -> Result<Option<(Arc<Segment>, Lifecycle)>, OpenError> {
    watch_forks()?;
    let path = name.path();
    for _ in 0..OPEN_ATTEMPTS {
        let segment = match registry::find(&path) {
            Some(segment) => segment,
            None => match Attachment::open(&path) {
                Ok(file) => Arc::new(Segment::map(file, &path, Pages::UNTOUCHED, true, &Access::default())?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(open_error(&path, error)),
            },
        };
        let lifecycle = Lifecycle::lock(&segment)?;
        if segment.is_linked()? {
            check_name(&segment.geometry, &path, name)?;
            return Ok(Some((segment, lifecycle)));
        }
        registry::forget(&segment);
    }
    Err(OpenError::Busy { path, seconds: 0 })
}

/// Opens the segment under `name` in order to look at it: a mapping and a descriptor for the caller alone, neither of which
/// can write. So nothing must be called on it that would. `None` if there is none.
pub(crate) fn observe(name: &SegmentName) -> Result<Option<Segment>, OpenError> {
    watch_forks()?;
    let path = name.path();
    match Attachment::open_to_read(&path) {
        Ok(file) => {
            let segment = Segment::map(file, &path, Pages::UNTOUCHED, false, &Access::default())?;
            check_name(&segment.geometry, &path, name)?;
            Ok(Some(segment))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(open_error(&path, error)),
    }
}

impl Segment {
    /// The private copy of the geometry.
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The segment's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Who created the segment.
    pub(crate) fn creator(&self) -> Peer {
        geometry::creator(&self.geometry)
    }

    /// Who may open the segment's file: the bits of its mode that say so.
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// Whether the ends of a program that says this are hardened here: as it says, or as the creator does, or because
    /// another user may have a part.
    pub(crate) fn hardens(&self, access: &Access) -> bool {
        access.hardened.unwrap_or(self.geometry.is_hardened() || access::lets_others_in(self.mode))
    }

    /// Whether the channel is one where ends are hardened unless somebody says otherwise.
    pub(crate) fn trusts_nobody(&self) -> bool {
        self.hardens(&Access::default())
    }

    /// Whether this process's mapping is one of huge pages.
    pub(crate) fn huge_pages(&self) -> &HugePages {
        &self.huge_pages
    }

    /// Line `index` of the participant table.
    pub(crate) fn participant(&self, index: u32) -> &ParticipantSlot {
        assert!(index < self.geometry.participants, "participant {index} is beyond the table");
        let slot = self.at(self.geometry.participants_offset + u64::from(index) * LINE_BYTES as u64);
        // SAFETY: the table lies in the segment (`Geometry::check`) at a multiple of its alignment, and consists of
        // atomics and of reserved words that nobody writes.
        unsafe { slot.cast().as_ref() }
    }

    /// One of the two wait lines, which stay mapped for as long as the segment lives.
    pub(crate) fn wait_line(&self, line: u32) -> &WaitLine {
        assert!(line < 2, "there is no wait line {line}");
        let line = self.at(self.geometry.waits_offset + u64::from(line) * LINE_BYTES as u64);
        // SAFETY: as in `participant`.
        unsafe { line.cast().as_ref() }
    }

    /// Whether the process that holds participant `index` lives. Whoever cannot be asked counts as alive: a live
    /// participant must never be robbed.
    pub(crate) fn is_alive(&self, index: u32) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.contains(&index) || self.is_locked_elsewhere(index, 1)
    }

    /// Whether participant `index` is one of this process.
    pub(crate) fn is_ours(&self, index: u32) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).contains(&index)
    }

    /// Gives the lock of participant `index` back. Ordinarily under the lifecycle lock; without it only where that
    /// cannot be had, in which case the segment is left to the next one who comes.
    pub(crate) fn let_go(&self, index: u32) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&index);
        self.memory.unlock(layout::lock_byte(index));
    }

    /// Whether this process can write to the segment's memory.
    pub(crate) fn is_writable(&self) -> bool {
        self.memory.is_writable()
    }

    /// Whether this process can take part: it is permitted to take the locks that say who lives. A process that is permitted
    /// to read and no more looks on.
    pub(crate) fn has_places(&self) -> bool {
        self.is_writable() || self.memory.can_lock()
    }

    /// Stores bytes `offset` bytes after `place`, which lies in the segment, by way of the file: for a process whose mapping
    /// is read-only. The file's pages and the mappings are the same memory, so everybody sees them as if they had been
    /// stored there, in the order of the calls.
    pub(crate) fn write_at(&self, place: *const u8, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let at = place.addr().wrapping_sub(self.memory.start().addr()).wrapping_add(offset);
        debug_assert!(at + bytes.len() <= self.geometry.total_bytes as usize);
        self.memory.write_at(bytes, at as u64)
    }

    /// When the segment was opened. In a child that was forked since, it leads nowhere.
    pub(crate) fn epoch(&self) -> Epoch {
        self.memory.epoch()
    }

    /// Whether another process holds one of `count` participants from `first`; so it is if it cannot be found out.
    fn is_locked_elsewhere(&self, first: u32, count: u32) -> bool {
        self.memory.is_locked_elsewhere(layout::lock_byte(first), count.into()).unwrap_or(true)
    }

    /// Where the ring's control line `line`, behind the two wait lines, lies.
    fn ring_line(&self, line: u64) -> NonNull<u8> {
        debug_assert!(line < u64::from(self.geometry.ring_lines));
        self.at(self.geometry.waits_offset + (2 + line) * LINE_BYTES as u64)
    }

    fn at(&self, offset: u64) -> NonNull<u8> {
        debug_assert!(offset < self.geometry.total_bytes);
        // SAFETY: every offset passed in was checked to be within the mapping when the geometry was.
        let place = unsafe { self.memory.start().add(offset as usize) };
        // SAFETY: a mapping does not start at address zero.
        unsafe { NonNull::new_unchecked(place) }
    }

    /// Makes a segment that has no name yet.
    fn create(path: &Path, spec: &Spec) -> Result<Self, OpenError> {
        let geometry = Geometry::plan(spec)?;
        let directory = os::segment_directory();
        let (bytes, limit) = (geometry.total_bytes, os::file_size_limit());
        if bytes > limit {
            return Err(OpenError::FileSize { bytes, limit });
        }
        let create_error = |source: io::Error| match os::cause(&source) {
            Cause::NoSpace => OpenError::NoSpace { path: directory.into(), bytes: geometry.total_bytes },
            Cause::NoDescriptor => no_descriptor(directory),
            _ => OpenError::Os { action: "create a segment in", path: directory.into(), source },
        };
        let header = header_of(&geometry, spec);
        let memory = Attachment::create(path, &header, geometry.total_bytes).map_err(create_error)?;
        for offset in geometry.histogram_offsets() {
            memory.write_at(&histogram::head(), offset).map_err(create_error)?;
        }
        spec.access.apply(&memory, &spec.name)?;
        let mode = spec.access.effective_mode();
        Self::map_checked(memory, path, (geometry, mode), spec.pages, wants_to_write(spec))
    }

    /// Opens a segment for `spec`.
    fn from_file(memory: Attachment, path: &Path, spec: &Spec) -> Result<Self, OpenError> {
        let segment = Self::map(memory, path, spec.pages, wants_to_write(spec), &spec.access)?;
        check_name(&segment.geometry, path, &spec.name)?;
        Ok(segment)
    }

    /// Maps a segment whose message need not be known.
    fn map(
        memory: Attachment,
        path: &Path,
        pages: Pages,
        is_writable: bool,
        access: &Access,
    ) -> Result<Self, OpenError> {
        let geometry = read_geometry(&memory, path, access)?;
        Self::map_checked(memory, path, geometry, pages, is_writable)
    }

    /// Maps a segment whose geometry has been checked against the file's size.
    fn map_checked(
        mut memory: Attachment,
        path: &Path,
        (geometry, mode): (Geometry, u32),
        pages: Pages,
        is_writable: bool,
    ) -> Result<Self, OpenError> {
        let os_error = |source| OpenError::Os { action: "map", path: path.into(), source };
        let bytes = usize::try_from(geometry.total_bytes).map_err(|_| os_error(io::ErrorKind::OutOfMemory.into()))?;
        let huge_pages = pages.map(&mut memory, bytes, is_writable).map_err(os_error)?;
        let (held, lifecycle) = (Mutex::default(), AtomicBool::new(false));
        Ok(Segment { memory, geometry, path: path.into(), huge_pages, mode, is_private: false, held, lifecycle })
    }

    /// Gives a new segment its name. `false` if the name is taken.
    fn link(&self) -> Result<bool, OpenError> {
        match self.memory.link(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.os_error("give a name to", error)),
        }
    }

    /// Whether the segment's name still leads to it.
    pub(crate) fn is_linked(&self) -> Result<bool, OpenError> {
        self.memory.is_named(&self.path).map_err(|source| self.os_error("look at", source))
    }

    fn unlink(&self) -> Result<bool, OpenError> {
        if self.is_private || !self.is_linked()? {
            return Ok(false);
        }
        self.memory.unlink(&self.path).map_err(|source| self.os_error("remove", source))?;
        Ok(true)
    }

    pub(crate) fn os_error(&self, action: &'static str, source: io::Error) -> OpenError {
        OpenError::Os { action, path: self.path.clone(), source }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.epoch().is_past() {
            registry::forget(self);
        }
    }
}

/// Has whoever opens the channel next do so as another process would: with a descriptor of its own, and locks that are not
/// those of `segment`.
#[cfg(all(test, not(loom)))]
pub(crate) fn estrange(segment: &Segment) {
    registry::forget(segment);
}

/// Opens what is under a segment's name. Who only reads is content if writing is not permitted.
fn open_named(path: &Path, reads_only: bool) -> io::Result<Attachment> {
    match Attachment::open(path) {
        Err(error) if reads_only && os::cause(&error) == Cause::NotPermitted => Attachment::open_to_read(path),
        opened => opened,
    }
}

/// Whether the segment is to be mapped so that it can be written.
fn wants_to_write(spec: &Spec) -> bool {
    !(spec.reads_only && os::MAPS_READ_ONLY)
}

/// Prepares this process for being forked.
fn watch_forks() -> Result<(), OpenError> {
    let path = os::segment_directory();
    fork::watch().map_err(|source| OpenError::Os { action: "watch for forks, to use", path: path.into(), source })
}

/// The file name of this program, for people.
pub(crate) fn program_name() -> &'static str {
    static NAME: fork::Local<OnceLock<String>> = fork::Local::new();
    NAME.get().get_or_init(|| {
        let executable = std::env::current_exe().ok();
        let name = executable.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "?".into())
    })
}

/// Refuses a segment whose header says that it belongs under another name.
fn check_name(geometry: &Geometry, path: &Path, name: &SegmentName) -> Result<(), OpenError> {
    let is_named = unpadded(&geometry.domain) == name.domain() && unpadded(&geometry.name) == name.channel();
    if is_named {
        return Ok(());
    }
    Err(not_a_segment(path, format!("it is the segment of channel \"{}\"", unpadded(&geometry.name))))
}

/// What a new segment begins with.
fn header_of(geometry: &Geometry, spec: &Spec) -> Vec<u8> {
    let mut header = geometry.as_bytes().to_vec();
    header.extend_from_slice(&spec.schema);
    header.extend_from_slice(spec.reply.as_ref().map_or(&[], |reply| &*reply.schema));
    header
}

/// What the system refused to do with a file.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
fn os_error_at(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Os { action, path, source }
}

fn not_a_segment(path: &Path, reason: String) -> OpenError {
    OpenError::NotASegment { path: path.into(), reason }
}

fn no_descriptor(path: &Path) -> OpenError {
    OpenError::Descriptors { path: path.into(), limit: os::descriptor_limit() }
}

/// Says why a name that exists could not be opened.
fn open_error(path: &Path, error: io::Error) -> OpenError {
    match os::cause(&error) {
        Cause::Link => not_a_segment(path, "it is a symbolic link".into()),
        Cause::NotRegular => not_a_segment(path, "it is no regular file".into()),
        Cause::NotPermitted => OpenError::Permission { path: path.into(), owner: os::owner(path).unwrap_or(u32::MAX) },
        Cause::NoDescriptor => no_descriptor(path),
        Cause::NoSpace | Cause::Other => OpenError::Os { action: "open", path: path.into(), source: error },
    }
}
