//! The slots of a service's table of calls, and the cells of its queue.
//!
//! ```text
//! 0          8         12     16                                  a line of its own
//! | control  | replies | room | length | time | request ... |     | reply ...           | stamp |    or
//!                              '- if any -----'                    | stamp | length | reply ...   |
//! ```
//!
//! A request that varies in length has its length before it; with timestamps, the time of the call follows. A reply of one
//! length is followed by the stamp, as the last word of its last line: whoever polls the stamp gets the line with it. One
//! that varies has stamp and length before it, in its first line, since that is the line that short ones end in.

use super::{LINE_BYTES, SLOT_LINE_BYTES, WORD_BYTES};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// Bytes of a cell of a service's queue of calls: a ticket and its stamp, in a line of their own, since the clients that
/// fill neighbouring cells and the servers that empty them are at work at the same time.
pub(crate) const CALL_CELL_BYTES: u64 = SLOT_LINE_BYTES as u64;

/// Cells of the queue of calls for each slot of the table. A ticket whose call was withdrawn stays in its cell until a
/// server comes by, so there are more cells than calls.
pub(crate) const CALL_CELLS_PER_SLOT: u64 = 2;

/// The beginning of a service's slot.
///
/// ```text
///   0  control  u64
///   8  replies  u32   the client sleeps on it
///  12  room     u32   a server that has more replies sleeps on it
///  16  request, and what goes before it
/// ```
///
/// `control` is the affair of `ring/calls.rs`. The two words are written by whoever goes to sleep or wakes a sleeper, and
/// read by the other one, who has the line in its cache at that moment: see [`waiting`](crate::waiting).
#[repr(C)]
pub(crate) struct CallHead {
    pub(crate) control: AtomicU64,
    pub(crate) replies: AtomicU32,
    pub(crate) room: AtomicU32,
}

const _: () = {
    assert!(size_of::<CallHead>() == 16);
    assert!(offset_of!(CallHead, replies) == 8);
    assert!(offset_of!(CallHead, room) == 12);
};

/// What a slot has to have room for: a request or a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Of the message, or of the longest one if it varies in length.
    pub(crate) bytes: usize,
    pub(crate) align: usize,
    pub(crate) varies: bool,
}

/// Where the parts of a service's slot lie, in bytes from its beginning, which is a [`CallHead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallLayout {
    /// From one slot to the next.
    pub(crate) slot_bytes: usize,
    /// The word with the length of the request, if it varies.
    pub(crate) request_length: Option<usize>,
    /// The word with the time of the call, if there are timestamps.
    pub(crate) time: Option<usize>,
    pub(crate) request: usize,
    /// The word with the length of the reply, if it varies.
    pub(crate) reply_length: Option<usize>,
    pub(crate) reply: usize,
    pub(crate) stamp: usize,
}

impl CallLayout {
    /// Lays out the slot for a request and a reply. `None` if that overflows, or if an alignment is none that they can have.
    ///
    /// The reply has lines of its own: the server writes them while the client polls the stamp. The client writes the lines
    /// before, and then only reads them.
    pub(crate) fn new(request: Room, reply: Room, has_time: bool) -> Option<Self> {
        let is_aligned = |room: Room| room.align.is_power_of_two() && room.align <= LINE_BYTES;
        if !is_aligned(request) || !is_aligned(reply) {
            return None;
        }
        let mut at = size_of::<CallHead>();
        let mut word_if = |is_there: bool| {
            let word = is_there.then_some(at);
            at += if is_there { WORD_BYTES } else { 0 };
            word
        };
        let (request_length, time) = (word_if(request.varies), word_if(has_time));
        let request_at = at.next_multiple_of(request.align.max(WORD_BYTES));
        let line_align = reply.align.max(SLOT_LINE_BYTES);
        // Readers read whole words.
        let request_end = request_at.checked_add(request.bytes)?.checked_next_multiple_of(WORD_BYTES)?;
        let line = request_end.checked_next_multiple_of(line_align)?;
        let reply_at =
            if reply.varies { line.checked_add((2 * WORD_BYTES).next_multiple_of(reply.align))? } else { line };
        let reply_end = reply_at.checked_add(reply.bytes)?.checked_next_multiple_of(WORD_BYTES)?;
        let end = reply_end.checked_add(if reply.varies { 0 } else { WORD_BYTES })?;
        let end = end.checked_next_multiple_of(SLOT_LINE_BYTES)?;
        Some(CallLayout {
            slot_bytes: end.checked_next_multiple_of(request.align.max(line_align))?,
            request_length,
            time,
            request: request_at,
            reply_length: reply.varies.then_some(line.wrapping_add(WORD_BYTES)),
            reply: reply_at,
            stamp: if reply.varies { line } else { end - WORD_BYTES },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(bytes: usize, align: usize) -> Room {
        Room { bytes, align, varies: false }
    }

    fn varying(bytes: usize, align: usize) -> Room {
        Room { varies: true, ..fixed(bytes, align) }
    }

    #[test]
    fn a_call_of_up_to_48_bytes_with_a_reply_of_up_to_56_takes_two_lines() {
        let places = |request, reply| {
            let layout = CallLayout::new(request, reply, false)?;
            assert_eq!((layout.request_length, layout.reply_length, layout.time), (None, None, None));
            Some([layout.slot_bytes, layout.request, layout.reply, layout.stamp])
        };
        assert_eq!(places(fixed(48, 8), fixed(56, 8)), Some([128, 16, 64, 120]));
        assert_eq!(places(fixed(1, 1), fixed(1, 1)), Some([128, 16, 64, 120]));
        assert_eq!(places(fixed(49, 1), fixed(57, 1)), Some([256, 16, 128, 248]));
        assert_eq!(places(fixed(32, 32), fixed(8, 128)), Some([256, 32, 128, 184]));
        for unlikely in [fixed(usize::MAX, 1), fixed(usize::MAX - 8, 8), fixed(8, 256), fixed(8, 3)] {
            assert_eq!((places(unlikely, fixed(8, 8)), places(fixed(8, 8), unlikely)), (None, None));
        }
    }

    #[test]
    fn lengths_and_times_go_before_what_they_are_of() {
        let layout = CallLayout::new(varying(32, 1), varying(48, 1), false).unwrap();
        assert_eq!((layout.request_length, layout.request), (Some(16), 24));
        assert_eq!((layout.stamp, layout.reply_length, layout.reply, layout.slot_bytes), (64, Some(72), 80, 128));
        let layout = CallLayout::new(varying(32, 64), varying(48, 128), true).unwrap();
        assert_eq!((layout.request_length, layout.time, layout.request), (Some(16), Some(24), 64));
        assert_eq!((layout.stamp, layout.reply_length, layout.reply, layout.slot_bytes), (128, Some(136), 256, 384));
        let layout = CallLayout::new(fixed(48, 8), fixed(56, 8), true).unwrap();
        assert_eq!((layout.time, layout.request, layout.reply, layout.stamp), (Some(16), 24, 128, 184));
        assert_eq!(CallLayout::new(varying(8, 8), varying(usize::MAX - 64, 8), false), None);
    }
}
