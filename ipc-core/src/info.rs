//! What there is to know about a channel that has been opened.

use crate::error::Peer;
use crate::layout::unpadded;
use crate::segment::{Access, HugePages, Lifetime, Segment, Spec};
use std::path::PathBuf;

/// The channel as it is, beside what was asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChannelInfo {
    /// The channel's name.
    pub name: String,
    /// The domain it lives in.
    pub domain: String,
    /// The segment's file.
    pub path: PathBuf,
    /// Size of the segment in bytes.
    pub segment_bytes: u64,
    /// Messages that fit; if they vary in length, the size of the ring in bytes.
    pub capacity: usize,
    /// What this program asked for in place of [`capacity`](ChannelInfo::capacity); bytes are rounded up to what a ring has.
    pub requested_capacity: Option<usize>,
    /// What becomes of the segment when the last participant leaves.
    pub lifetime: Lifetime,
    /// Whether messages have the time at which they were sent beside them, and their latencies are counted: see
    /// [`Queue::timestamps`](crate::Queue::timestamps), or of a [broadcast](crate::Broadcast::timestamps).
    pub timestamps: bool,
    /// Who may open the segment's file: the bits of its mode. See [`Queue::mode`](crate::Queue::mode).
    pub mode: u32,
    /// Whether this end exchanges messages by value only: see [`Queue::hardened`](crate::Queue::hardened).
    pub hardened: bool,
    /// Whether this process has the segment in huge pages, and if not, why not.
    pub huge_pages: HugePages,
    /// Whether this call created the channel; otherwise it joined one, and that one's options count.
    pub created: bool,
    /// Who created the channel.
    pub creator: Peer,
    /// Who had this end before and died without closing. A message that it held in place (with `recv_ref`) comes again.
    pub predecessor: Option<Peer>,
}

impl ChannelInfo {
    /// For somebody who takes part in the channel.
    pub(crate) fn new(segment: &Segment, spec: &Spec, created: bool, predecessor: Option<Peer>) -> Self {
        let requested_capacity = spec.requested_capacity();
        let hardened = segment.hardens(&spec.access);
        ChannelInfo { requested_capacity, created, predecessor, hardened, ..ChannelInfo::of_segment(segment) }
    }

    /// For somebody who takes no part in it, and asked for nothing.
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
            hardened: segment.hardens(&Access::default()),
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
    /// let queue = ipc_core::Queue::<u64>::new("desk").spsc();
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
