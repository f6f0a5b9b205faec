//! The pages of a segment, as this process maps them: whether they are there from the start, and how large they are.

use crate::os::{self, Attachment};
use std::io;

/// Segments up to this size are faulted in when they are mapped, so that the first messages are as fast as the rest.
const PREFAULT_LIMIT_BYTES: u64 = 64 << 20;

/// How a program wants the pages of a channel's segment. Each process that opens the channel decides for itself, and the
/// first handle for all others of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    /// Whether to fault all pages in at once. `None` does it up to [`PREFAULT_LIMIT_BYTES`].
    pub(crate) prefault: Option<bool>,
    /// Whether to ask for huge pages.
    pub(crate) huge: bool,
}

/// What came of asking for huge pages, in [`ChannelInfo::huge_pages`](crate::ChannelInfo::huge_pages).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    /// Nobody asked for them in this process.
    #[default]
    Off,
    /// The segment consists of huge pages, but for a rest that is smaller than one.
    On,
    /// It consists of ordinary pages, for this reason, and works all the same.
    Unavailable(String),
}

impl Pages {
    /// For a segment that nothing will be done with.
    pub(super) const UNTOUCHED: Pages = Pages { prefault: Some(false), huge: false };

    /// Maps the first `bytes` of a file.
    pub(super) fn map(self, memory: &mut Attachment, bytes: usize, is_writable: bool) -> io::Result<HugePages> {
        let size = if self.huge { huge_page_bytes(bytes) } else { Ok(1) };
        memory.map(bytes, *size.as_ref().unwrap_or(&1), is_writable)?;
        let huge_pages = match size {
            _ if !self.huge => HugePages::Off,
            Err(reason) => HugePages::Unavailable(reason),
            Ok(size) => match memory.collapse(size) {
                Ok(()) => HugePages::On,
                Err(error) => HugePages::Unavailable(format!(
                    "the kernel made no huge pages of its memory (MADV_COLLAPSE, since Linux 6.1): {error}"
                )),
            },
        };
        // Only now, since what has been collapsed is there already.
        if self.prefault.unwrap_or(bytes as u64 <= PREFAULT_LIMIT_BYTES) {
            memory.prefault();
        }
        Ok(huge_pages)
    }
}

/// The size of a huge page; if a segment of so many bytes cannot have one, the reason.
fn huge_page_bytes(segment_bytes: usize) -> Result<usize, String> {
    match os::huge_page_bytes() {
        None => Err("the kernel has no transparent huge pages".into()),
        Some(size) if size > segment_bytes => {
            Err(format!("the segment has {segment_bytes} bytes, and a huge page {size}: a larger capacity fills one"))
        }
        Some(size) => Ok(size),
    }
}
