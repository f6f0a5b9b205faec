//! The description of an open channel.

use crate::error::Peer;
use crate::layout::unpadded;
use crate::segment::{HugePages, Lifetime, Segment, Spec};
use std::path::PathBuf;

/// A channel's actual options, which may differ from what this program asked for, and who created it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChannelInfo {
    /// The channel's name.
    pub name: String,
    /// The channel's domain.
    pub domain: String,
    /// The segment's file.
    pub path: PathBuf,
    /// Size of the segment in bytes.
    pub segment_bytes: u64,
    /// The number of messages that the channel holds; if messages vary in length, the size of the ring in bytes.
    pub capacity: usize,
    /// The capacity that this program asked for, in the same unit as [`capacity`](ChannelInfo::capacity) and rounded
    /// likewise.
    pub requested_capacity: Option<usize>,
    /// What happens to the segment when the last participant leaves.
    pub lifetime: Lifetime,
    /// Whether the channel measures the latencies of its messages: see
    /// [`Queue::timestamps`](crate::Queue::timestamps), or of a [broadcast](crate::Broadcast::timestamps).
    pub timestamps: bool,
    /// The mode of the segment's file: see [`Queue::mode`](crate::Queue::mode).
    pub mode: u32,
    /// Whether this end exchanges messages by value only: see [`Queue::hardened`](crate::Queue::hardened).
    pub hardened: bool,
    /// Whether this process maps the segment with huge pages, and if not, why.
    pub huge_pages: HugePages,
    /// Whether this call created the channel. If not, it joined an existing one, whose options hold.
    pub created: bool,
    /// Who created the channel.
    pub creator: Peer,
    /// The previous owner of this end, if it died without closing. A message that it held in place (with `recv_ref`) is
    /// delivered again.
    pub predecessor: Option<Peer>,
}

impl ChannelInfo {
    /// The information for a participant.
    pub(crate) fn new(segment: &Segment, spec: &Spec, created: bool, predecessor: Option<Peer>) -> Self {
        let requested_capacity = spec.requested_capacity();
        let hardened = segment.hardens(&spec.access);
        ChannelInfo { requested_capacity, created, predecessor, hardened, ..ChannelInfo::of_segment(segment) }
    }

    /// The information for an observer, which asked for no options.
    pub(crate) fn of_segment(segment: &Segment) -> Self {
        let geometry = segment.geometry();
        ChannelInfo {
            name: unpadded(&geometry.name),
            domain: unpadded(&geometry.domain),
            path: segment.path().into(),
            segment_bytes: geometry.total_bytes,
            capacity: geometry.user_capacity(),
            requested_capacity: None,
            lifetime: geometry.lifetime(),
            timestamps: geometry.has_timestamps(),
            mode: segment.mode() & 0o7777,
            hardened: segment.trusts_nobody(),
            huge_pages: segment.huge_pages().clone(),
            created: false,
            creator: segment.creator(),
            predecessor: None,
        }
    }

    /// Whether the channel existed with another capacity than this program asked for.
    ///
    /// ```
    /// # let domain = format!("doc-{}", std::process::id());
    /// let queue = ipc_core::Queue::<u64>::new("jobs").spsc();
    /// # let queue = queue.domain(&domain);
    /// let tx = queue.clone().capacity(64).sender()?;
    /// let rx = queue.capacity(1000).receiver()?;
    /// assert!(rx.info().capacity_differs());
    /// assert_eq!(rx.info().capacity, 64);
    /// # Ok::<(), ipc_core::OpenError>(())
    /// ```
    pub fn capacity_differs(&self) -> bool {
        self.requested_capacity.is_some_and(|requested| requested != self.capacity)
    }
}
