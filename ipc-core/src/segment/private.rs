//! Segments without a name, for those who are given one.
//!
//! Such a segment is sealed memory: it has its size for good, so nobody can have another process touch pages that are gone.
//! It is opened by nobody who was not given a descriptor. Each process gets an open file description of its own, which the
//! one who hands it over makes and does not keep, since the locks that tell who lives belong to descriptions.

use super::{Access, Geometry, Lifecycle, Opened, Segment, Spec, header_of, not_a_segment, os_error_at, watch_forks};
use crate::error::OpenError;
use crate::histogram;
use crate::layout::unpadded;
use crate::os::{self, Attachment};
use core::fmt;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A private segment, as a program's wish for a channel has it.
#[derive(Clone)]
pub(crate) struct PrivateSegment(Arc<Segment>);

impl fmt::Debug for PrivateSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateSegment").field(&self.0.path).finish()
    }
}

impl PrivateSegment {
    /// Makes one.
    pub(crate) fn create(spec: &Spec) -> Result<Self, OpenError> {
        spec.check_capacity()?;
        watch_forks()?;
        let path = path_of(spec.name.channel());
        let geometry = Geometry::plan(spec)?;
        let header = header_of(&geometry, spec);
        let memory = Attachment::create_private(&header, geometry.total_bytes);
        let memory = memory.map_err(os_error_at(&path, "create"))?;
        for offset in geometry.histogram_offsets() {
            memory.write_at(&histogram::head(), offset).map_err(os_error_at(&path, "write the header of"))?;
        }
        memory.seal().map_err(os_error_at(&path, "seal"))?;
        let mut segment = Segment::map_checked(memory, &path, (geometry, 0o600), spec.pages, true)?;
        segment.is_private = true;
        Ok(PrivateSegment(Arc::new(segment)))
    }

    /// Takes one over that somebody has handed to this process, who need not be trusted.
    fn adopt(file: File, spec: &Spec) -> Result<Self, OpenError> {
        watch_forks()?;
        let path = path_of(spec.name.channel());
        let memory = Attachment::adopt(file).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => {
                not_a_segment(&path, "it is no memory that is sealed against being cut short".into())
            }
            _ => os_error_at(&path, "open")(error),
        })?;
        let given = Access { is_given: true, ..Access::default() };
        let is_writable = memory.can_lock();
        let mut segment = Segment::map(memory, &path, spec.pages, is_writable, &given)?;
        if unpadded(&segment.geometry.name) != spec.name.channel() {
            let name = unpadded(&segment.geometry.name);
            return Err(not_a_segment(&path, format!("it is the segment of channel \"{name}\"")));
        }
        segment.is_private = true;
        segment.check_message(spec)?;
        Ok(PrivateSegment(Arc::new(segment)))
    }

    /// Whether this process was handed it for nothing but reading.
    pub(super) fn is_read_only(&self) -> bool {
        !self.0.is_writable()
    }

    /// The segment itself.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.0
    }

    /// Takes the lifecycle lock, to have a say in who takes part.
    pub(crate) fn administer(&self) -> Result<Lifecycle, OpenError> {
        if self.is_read_only() {
            return Err(OpenError::Unsupported("this process was handed the channel for nothing but reading"));
        }
        Lifecycle::lock(&self.0)
    }

    /// Hands segments to the process at the other end of a socket: to take part, if this process can, or only to read.
    pub(crate) fn send_over(segments: &[Self], is_writable: bool, socket: &UnixStream) -> Result<(), OpenError> {
        let files = segments.iter().map(|segment| segment.open_for_another(is_writable));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        // The files are closed afterwards, so that the locks of whoever gets them are not this process's as well.
        os::send_files(socket, &files).map_err(os_error_at(Path::new("a private segment"), "hand over"))
    }

    /// Takes segments for these wishes over from a socket.
    pub(crate) fn receive_from<const N: usize>(socket: &UnixStream, specs: &[Spec; N]) -> Result<[Self; N], OpenError> {
        let path = Path::new("a private segment");
        let files = os::receive_files(socket).map_err(os_error_at(path, "receive"))?;
        let segments = files.into_iter().zip(specs).map(|(file, spec)| Self::adopt(file, spec));
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        let given = segments.len();
        let wrong = |_| not_a_segment(path, format!("{given} segments were handed over where {N} belong"));
        segments.try_into().map_err(wrong)
    }

    /// Opens its file for another process: with a description that is that one's alone when it has been handed over.
    fn open_for_another(&self, is_writable: bool) -> Result<File, OpenError> {
        let file = self.0.memory.open_again(is_writable && !self.is_read_only());
        file.map_err(|source| self.0.os_error("open for another process", source))
    }

    /// As [`open`](super::open) does with a segment that has a name.
    pub(super) fn enter(&self, spec: &Spec) -> Result<Opened, OpenError> {
        let segment = self.0.clone();
        if self.is_read_only() && !spec.reads_only {
            return Err(OpenError::Unsupported(
                "this process was handed the channel for nothing but reading: have it sent with `send_over`",
            ));
        }
        let lifecycle = Lifecycle::lock(&segment)?;
        segment.check_message(spec)?;
        Ok(Opened { segment, created: false, lifecycle })
    }
}

/// What stands for a name in errors.
fn path_of(channel: &str) -> PathBuf {
    format!("memfd:slipring.{channel}").into()
}
