//! Who may take part in a channel, and whether they are trusted.
//!
//! A segment is its creator's alone (mode 0600), unless its creator says otherwise. As soon as another user may write to it,
//! its ends are *hardened* unless somebody says otherwise: they exchange messages by value only, since whoever is given a
//! reference into the segment relies on the others to leave the message alone (`docs/trust.md`).
//!
//! A *private* channel has no name, and is whoever's who was handed its segment; that comes with the description of the channel.
//!
//! A program takes part in the segment of another user only if it has asked for that, by a mode or a group; otherwise whoever
//! is faster in making a file of that name would have it as a peer.

use super::PrivateSegment;
use crate::error::OpenError;
use crate::name::SegmentName;
use crate::os::{self, Attachment, Cause, Facts};
use std::io;
use std::path::Path;

/// Bits of a mode that say who may read and write.
const READ_AND_WRITE: u32 = 0o666;

/// Bits that the owner has whatever is asked for.
const OWNERS: u32 = 0o600;

/// Bits of others than the owner.
const GROUPS: u32 = 0o060;
const EVERYBODYS: u32 = 0o006;

/// What a program says about who may take part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// The mode of a segment that this program creates.
    pub(crate) mode: Option<u32>,
    /// The group of such a segment.
    pub(crate) group: Option<String>,
    /// Whether this program's ends are to be hardened.
    pub(crate) hardened: Option<bool>,
    /// Whether the file was handed to this process, so that it does not matter whose it is.
    pub(super) is_given: bool,
    /// The segment, if it has no name.
    pub(crate) private: Option<PrivateSegment>,
}

impl Access {
    /// Whether the channel has no name, and this process was handed it for nothing but reading.
    pub(crate) fn is_read_only(&self) -> bool {
        self.private.as_ref().is_some_and(PrivateSegment::is_read_only)
    }

    /// The mode of a segment that this program creates.
    pub(super) fn effective_mode(&self) -> u32 {
        self.mode.unwrap_or(if self.group.is_some() { OWNERS | GROUPS } else { OWNERS })
    }

    /// Whether others than this user may take part, as far as this program has its way.
    pub(super) fn lets_others_in(&self) -> bool {
        lets_others_in(self.effective_mode())
    }

    /// Whether this program's ends are hardened in a segment that it creates.
    pub(crate) fn is_hardened(&self) -> bool {
        self.hardened.unwrap_or(self.lets_others_in())
    }

    /// Refuses a mode that makes no sense, or a group that does not exist.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let refuse = |mode, rule| Err(OpenError::Mode { mode, rule });
        match self.mode {
            Some(mode) if mode & !READ_AND_WRITE != 0 => {
                refuse(mode, "it says who may read and write, and nothing else: 0o600, 0o660, 0o640 or 0o666, say")
            }
            Some(mode) if mode & OWNERS != OWNERS => refuse(mode, "the owner reads and writes: add 0o600"),
            Some(mode) if self.group.is_some() && mode & GROUPS == 0 => {
                refuse(mode, "a group is given that may do nothing: add 0o060, or leave the group out")
            }
            _ => self.group_id().map(|_| ()),
        }
    }

    /// Has a new segment's file be as this program says.
    pub(super) fn apply(&self, memory: &Attachment, name: &SegmentName) -> Result<(), OpenError> {
        let group = self.group_id()?;
        memory.set_access(self.effective_mode(), group).map_err(|source| match (&self.group, os::cause(&source)) {
            (Some(group), Cause::NotPermitted) => OpenError::Group {
                group: group.clone(),
                rule: "this process is not in it; `id` lists the groups that it is in",
            },
            _ if source.kind() == io::ErrorKind::Unsupported => {
                OpenError::Unsupported("on this system a channel is its user's alone: leave `mode` and `group` out")
            }
            _ => OpenError::Os { action: "set the mode of", path: name.path(), source },
        })
    }

    /// Refuses the segment of another user that this program has not asked for.
    pub(super) fn admit(&self, file: &Facts, path: &Path) -> Result<(), OpenError> {
        if self.is_given {
            return Ok(());
        }
        let mode = self.effective_mode();
        let is_of_group = || match self.group_id() {
            Ok(Some(group)) => file.group == group,
            _ => os::is_in_group(file.group),
        };
        let is_asked_for = mode & EVERYBODYS != 0 || mode & GROUPS != 0 && is_of_group();
        if file.owner == os::effective_user() || is_asked_for && lets_others_in(file.mode) {
            return Ok(());
        }
        Err(OpenError::Permission { path: path.into(), owner: file.owner })
    }

    /// The number of the group, if one is given.
    fn group_id(&self) -> Result<Option<u32>, OpenError> {
        let Some(group) = &self.group else { return Ok(None) };
        match os::group_id(group) {
            Ok(Some(id)) => Ok(Some(id)),
            Ok(None) | Err(_) => Err(OpenError::Group {
                group: group.clone(),
                rule: "there is no such group; `getent group` lists those there are",
            }),
        }
    }
}

/// Whether a file of this mode is one that others than its owner may open.
pub(super) fn lets_others_in(mode: u32) -> bool {
    mode & (GROUPS | EVERYBODYS) != 0
}
