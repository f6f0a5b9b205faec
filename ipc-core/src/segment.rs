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
//! whose threads share the descriptor and so its locks, also under the process's registry. Three rules keep a name
//! from leading astray:
//!
//! L1. Whoever has taken the lock checks that the name still leads to the file it has open, and starts over if not.
//! L2. A segment is unlinked only under its lock, only after the same check, and only when no participant lives.
//! L3. A participant's byte is locked, and given back, only under the lock.
//!
//! By L3 nobody joins between the look for living participants and the unlinking, and by L1 nobody joins afterwards.
//! The kernel drops all of these locks with the process that held them, so a death leaves nothing locked. A process
//! that is *stopped* while it holds the lifecycle lock keeps others from joining and leaving (never from sending and
//! receiving); they wait for a few seconds and then say so.

mod geometry;
mod rings;

pub use geometry::Lifetime;
pub(crate) use geometry::{ReplySpec, Spec};

use crate::error::{Mismatch, OpenError, Peer};
use crate::layout::{
    self, GEOMETRY_BYTES, Geometry, LIFECYCLE_LOCK_BYTE, LINE_BYTES, ParticipantSlot, WaitLine, unpadded,
};
use crate::name::SegmentName;
use crate::os;
use crate::schema;
use core::ptr::NonNull;
use core::time::Duration;
use crossbeam_utils::Backoff;
use geometry::read_geometry;
use memmap2::{MmapOptions, MmapRaw};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Instant;

/// Segments up to this size are faulted in when they are mapped, so that the first messages are as fast as the rest.
const PREFAULT_LIMIT_BYTES: u64 = 64 << 20;

/// How long to wait for somebody else's joining or leaving, which takes microseconds unless they are stopped in it.
const LIFECYCLE_PATIENCE: Duration = Duration::from_secs(5);

/// How often to start over because the segment was created, or unlinked, under our eyes.
const OPEN_ATTEMPTS: usize = 1000;

/// A mapped segment. One per process and file, however many handles the process has.
pub(crate) struct Segment {
    file: File,
    map: MmapRaw,
    /// Private copy; shared memory is never consulted for where things are.
    geometry: Geometry,
    path: PathBuf,
    /// Participants of this process. Its own locks are invisible to its probes, so it has to remember them.
    held: Mutex<HashSet<u32>>,
}

/// A segment that has been opened, with the lifecycle lock still held so that the caller can join.
pub(crate) struct Opened {
    pub(crate) segment: Arc<Segment>,
    /// Whether this call created it.
    pub(crate) created: bool,
    pub(crate) lifecycle: Lifecycle,
}

/// The lifecycle lock of one segment, and the process's registry.
pub(crate) struct Lifecycle {
    segment: Arc<Segment>,
    registry: MutexGuard<'static, Registry>,
}

type Registry = HashMap<PathBuf, Weak<Segment>>;

/// Opens the segment that `spec` names, or creates it.
pub(crate) fn open(spec: &Spec) -> Result<Opened, OpenError> {
    spec.check_capacity()?;
    let path = spec.name.path();
    let mut registry = lock_registry();
    for _ in 0..OPEN_ATTEMPTS {
        let (segment, created) = match registry.get(&path).and_then(Weak::upgrade) {
            Some(segment) => (segment, false),
            None => match os::open_named(&path) {
                Ok(file) => (Arc::new(Segment::from_file(file, &path, spec)?), false),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    (Arc::new(Segment::create(&path, spec)?), true)
                }
                Err(error) => return Err(open_error(&path, error)),
            },
        };
        lock_lifecycle(&segment)?;
        if created && !segment.link().inspect_err(|_| unlock_lifecycle(&segment))? {
            continue;
        }
        if !segment.is_linked().inspect_err(|_| unlock_lifecycle(&segment))? {
            // Dropping the last handle closes the file and so gives the lock back; a handle of this process that is
            // still at work on the unlinked file keeps it.
            registry.remove(&path);
            unlock_lifecycle(&segment);
            continue;
        }
        segment.check_message(spec).inspect_err(|_| unlock_lifecycle(&segment))?;
        registry.insert(path, Arc::downgrade(&segment));
        return Ok(Opened { lifecycle: Lifecycle { segment: segment.clone(), registry }, segment, created });
    }
    Err(OpenError::Busy { path, seconds: 0 })
}

/// Removes the segment under `name`, with whatever it holds. `Ok(false)` if there is none.
///
/// `who_lives` is asked, under the lifecycle lock, whether somebody takes part, and removal fails with its answer.
pub(crate) fn remove(
    name: &SegmentName,
    who_lives: impl FnOnce(&Segment) -> Result<(), OpenError>,
) -> Result<bool, OpenError> {
    let path = name.path();
    let mut registry = lock_registry();
    let known = registry.get(&path).and_then(Weak::upgrade);
    let segment = match known {
        // The name may have been taken away from the segment that this process knows, and given to another.
        Some(segment) if segment.is_linked()? => segment,
        _ => match os::open_named(&path) {
            Ok(file) => Arc::new(Segment::map(file, &path)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(open_error(&path, error)),
        },
    };
    lock_lifecycle(&segment)?;
    let removed = who_lives(&segment).and_then(|()| segment.unlink());
    unlock_lifecycle(&segment);
    if removed.is_ok() {
        forget(&mut registry, &segment);
    }
    removed
}

/// Takes the lifecycle lock of a segment that this process has joined, to leave it.
pub(crate) fn lock_to_leave(segment: &Arc<Segment>) -> Result<Lifecycle, OpenError> {
    let registry = lock_registry();
    lock_lifecycle(segment)?;
    Ok(Lifecycle { segment: segment.clone(), registry })
}

impl Drop for Lifecycle {
    fn drop(&mut self) {
        unlock_lifecycle(&self.segment);
    }
}

impl Lifecycle {
    /// Removes the segment's name if it still leads to this segment.
    pub(crate) fn unlink(&mut self) -> Result<bool, OpenError> {
        forget(&mut self.registry, &self.segment);
        self.segment.unlink()
    }

    /// Takes the lock that says that participant `index` lives. `false` if somebody has it.
    pub(crate) fn try_hold(&self, index: u32) -> Result<bool, OpenError> {
        let segment = &self.segment;
        let mut held = segment.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&index) {
            return Ok(false);
        }
        let locked = os::try_lock(&segment.file, layout::lock_byte(index))
            .map_err(|source| segment.os_error("lock a byte of", source))?;
        if locked {
            held.insert(index);
        }
        Ok(locked)
    }

    /// Gives the lock of participant `index` back.
    pub(crate) fn let_go(&self, index: u32) {
        self.segment.let_go(index);
    }

    /// Whether any participant lives.
    pub(crate) fn is_anybody_there(&self) -> bool {
        let segment = &self.segment;
        let held = segment.held.lock().unwrap_or_else(PoisonError::into_inner);
        // An unlink too many would lose messages, so whoever cannot be asked counts as alive.
        !held.is_empty()
            || os::is_locked_elsewhere(&segment.file, layout::lock_byte(0), segment.geometry.participants.into())
                .unwrap_or(true)
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
        Peer { pid: self.geometry.creator_pid, program: unpadded(&self.geometry.creator_program).into() }
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
        held.contains(&index) || os::is_locked_elsewhere(&self.file, layout::lock_byte(index), 1).unwrap_or(true)
    }

    /// Gives the lock of participant `index` back. Ordinarily under the lifecycle lock; without it only where that
    /// cannot be had, in which case the segment is left to the next one who comes.
    pub(crate) fn let_go(&self, index: u32) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&index);
        // Unlocking fails only for a descriptor that is no longer open, and then there is no lock either.
        let _ = os::unlock(&self.file, layout::lock_byte(index));
    }

    /// Where the ring's control line `line`, behind the two wait lines, lies.
    fn ring_line(&self, line: u64) -> NonNull<u8> {
        debug_assert!(line < u64::from(self.geometry.ring_lines));
        self.at(self.geometry.waits_offset + (2 + line) * LINE_BYTES as u64)
    }

    fn at(&self, offset: u64) -> NonNull<u8> {
        debug_assert!(offset < self.geometry.total_bytes);
        // SAFETY: every offset passed in was checked to be within the mapping when the geometry was.
        let place = unsafe { self.map.as_mut_ptr().add(offset as usize) };
        // SAFETY: a mapping does not start at address zero.
        unsafe { NonNull::new_unchecked(place) }
    }

    /// Makes a segment that has no name yet.
    fn create(path: &Path, spec: &Spec) -> Result<Self, OpenError> {
        let geometry = Geometry::plan(spec)?;
        let directory = Path::new(os::SEGMENT_DIRECTORY);
        let no_space = |error: io::Error, action| match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EFBIG) => {
                OpenError::NoSpace { path: directory.into(), bytes: geometry.total_bytes }
            }
            _ => OpenError::Os { action, path: directory.into(), source: error },
        };
        let file = os::create_unnamed(directory).map_err(|error| no_space(error, "create a segment in"))?;
        os::reserve(&file, geometry.total_bytes).map_err(|error| no_space(error, "reserve memory in"))?;
        let mut header = geometry.as_bytes().to_vec();
        header.extend_from_slice(spec.schema);
        header.extend_from_slice(spec.reply.as_ref().map_or(&[], |reply| reply.schema));
        file.write_all_at(&header, 0).map_err(|source| OpenError::Os {
            action: "write the header of",
            path: path.into(),
            source,
        })?;
        Self::map_checked(file, path, geometry)
    }

    /// Opens a segment for `spec`.
    fn from_file(file: File, path: &Path, spec: &Spec) -> Result<Self, OpenError> {
        let segment = Self::map(file, path)?;
        let geometry = &segment.geometry;
        let named = unpadded(&geometry.domain) == spec.name.domain() && unpadded(&geometry.name) == spec.name.channel();
        if !named {
            return Err(not_a_segment(path, format!("it is the segment of channel \"{}\"", unpadded(&geometry.name))));
        }
        Ok(segment)
    }

    /// Maps a segment whose message need not be known.
    fn map(file: File, path: &Path) -> Result<Self, OpenError> {
        let geometry = read_geometry(&file, path)?;
        Self::map_checked(file, path, geometry)
    }

    /// Maps a segment whose geometry has been checked against the file's size.
    fn map_checked(file: File, path: &Path, geometry: Geometry) -> Result<Self, OpenError> {
        let os_error = |source| OpenError::Os { action: "map", path: path.into(), source };
        let bytes =
            usize::try_from(geometry.total_bytes).map_err(|_| os_error(io::Error::from_raw_os_error(libc::ENOMEM)))?;
        let mut options = MmapOptions::new();
        options.len(bytes);
        if geometry.total_bytes <= PREFAULT_LIMIT_BYTES {
            options.populate();
        }
        let map = options.map_raw(&file).map_err(os_error)?;
        Ok(Segment { file, map, geometry, path: path.into(), held: Mutex::default() })
    }

    /// Compares what the segment carries with what the program expects.
    fn check_message(&self, spec: &Spec) -> Result<(), OpenError> {
        let geometry = &self.geometry;
        if geometry.kind != spec.kind {
            let name = |kind| layout::kind_name(kind).unwrap_or("a channel of a kind that this version does not know");
            return Err(OpenError::Kind {
                channel: spec.name.channel().into(),
                found: name(geometry.kind),
                expected: name(spec.kind),
                creator: self.creator(),
            });
        }
        let roles = [geometry.first_role, geometry.participants - geometry.first_role];
        if roles != spec.roles {
            let reason = format!("it has places for {roles:?} participants where {:?} belong", spec.roles);
            return Err(not_a_segment(&self.path, reason));
        }
        let same_size = geometry.message_bytes == spec.message_bytes as u64
            && geometry.message_align as usize == spec.message_align;
        let same_header = same_size && geometry.fingerprint == spec.fingerprint.to_le_bytes();
        let at = GEOMETRY_BYTES as u64;
        self.check_schema(spec, (spec.message, spec.schema), (at, geometry.schema_bytes), same_header)?;
        let Some(reply) = &spec.reply else { return Ok(()) };
        let same_size = geometry.reply_bytes == reply.bytes as u64 && geometry.reply_align as usize == reply.align;
        let same_header = same_size && geometry.reply_fingerprint == reply.fingerprint.to_le_bytes();
        let at = at + u64::from(geometry.schema_bytes);
        self.check_schema(spec, (reply.message, reply.schema), (at, geometry.reply_schema_bytes), same_header)
    }

    /// Compares a schema of the segment, given by its place and length, with the program's own for the message.
    fn check_schema(
        &self,
        spec: &Spec,
        (message, ours): (&'static str, &'static [u8]),
        (at, bytes): (u64, u32),
        same_header: bool,
    ) -> Result<(), OpenError> {
        let mut theirs = vec![0; bytes as usize];
        self.file.read_exact_at(&mut theirs, at).map_err(|source| self.os_error("read the schema of", source))?;
        if theirs == ours && same_header {
            return Ok(());
        }
        if theirs == ours {
            return Err(not_a_segment(&self.path, "its header is damaged: it contradicts the schema beside it".into()));
        }
        Err(OpenError::Mismatch(Box::new(Mismatch {
            channel: spec.name.channel().into(),
            message,
            creator: self.creator(),
            differences: schema::diff(ours, &theirs),
        })))
    }

    /// Gives a new segment its name. `false` if the name is taken.
    fn link(&self) -> Result<bool, OpenError> {
        match os::link(&self.file, &self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.os_error("give a name to", error)),
        }
    }

    /// Whether the segment's name still leads to it.
    fn is_linked(&self) -> Result<bool, OpenError> {
        let ours = self.file.metadata().map_err(|source| self.os_error("look at", source))?;
        match fs::symlink_metadata(&self.path) {
            Ok(named) => Ok(named.dev() == ours.dev() && named.ino() == ours.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(self.os_error("look at", source)),
        }
    }

    fn unlink(&self) -> Result<bool, OpenError> {
        if !self.is_linked()? {
            return Ok(false);
        }
        fs::remove_file(&self.path).map_err(|source| self.os_error("remove", source))?;
        Ok(true)
    }

    fn os_error(&self, action: &'static str, source: io::Error) -> OpenError {
        OpenError::Os { action, path: self.path.clone(), source }
    }
}

/// The file name of this program, for people.
pub(crate) fn program_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let executable = std::env::current_exe().ok();
        let name = executable.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "?".into())
    })
}

fn not_a_segment(path: &Path, reason: String) -> OpenError {
    OpenError::NotASegment { path: path.into(), reason }
}

/// Says why a name that exists could not be opened.
fn open_error(path: &Path, error: io::Error) -> OpenError {
    match error.raw_os_error() {
        Some(libc::ELOOP) => not_a_segment(path, "it is a symbolic link".into()),
        Some(libc::EISDIR | libc::ENXIO | libc::ENODEV) => not_a_segment(path, "it is no regular file".into()),
        Some(libc::EACCES | libc::EPERM) => {
            let owner = fs::symlink_metadata(path).map_or(u32::MAX, |metadata| metadata.uid());
            OpenError::Permission { path: path.into(), owner }
        }
        _ => OpenError::Os { action: "open", path: path.into(), source: error },
    }
}

fn lock_registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes `segment` out of the registry, and leaves there what has come under its name since.
fn forget(registry: &mut Registry, segment: &Arc<Segment>) {
    if registry.get(&segment.path).is_some_and(|known| core::ptr::eq(known.as_ptr(), Arc::as_ptr(segment))) {
        registry.remove(&segment.path);
    }
}

fn lock_lifecycle(segment: &Segment) -> Result<(), OpenError> {
    let (backoff, started) = (Backoff::new(), Instant::now());
    loop {
        match os::try_lock(&segment.file, LIFECYCLE_LOCK_BYTE) {
            Ok(true) => return Ok(()),
            Ok(false) if started.elapsed() > LIFECYCLE_PATIENCE => {
                return Err(OpenError::Busy { path: segment.path.clone(), seconds: LIFECYCLE_PATIENCE.as_secs() });
            }
            Ok(false) if backoff.is_completed() => thread::sleep(Duration::from_micros(200)),
            Ok(false) => backoff.snooze(),
            Err(source) => return Err(segment.os_error("lock a byte of", source)),
        }
    }
}

fn unlock_lifecycle(segment: &Segment) {
    // Unlocking fails only for a descriptor that is no longer open, and then there is no lock either.
    let _ = os::unlock(&segment.file, LIFECYCLE_LOCK_BYTE);
}
