//! The shared structs of a segment: what lies where, byte for byte.
//!
//! ```text
//! byte 0     GEOMETRY_BYTES   participants_offset   waits_offset                     slots_offset     total_bytes
//! | Geometry | schema ... |   | ParticipantSlot x n | WaitLine x 2 | ring's lines | | slots, or stamps and units |
//! '--- immutable once linked -'------------- 128-byte lines -----------------------'
//! ```
//!
//! Behind the slots of a channel with timestamps there is a [`Histogram`](crate::histogram::Histogram):
//!
//! ```text
//! slots_offset   histogram_offset            total_bytes
//! | slots ...    | line | counter x 4608 |   |
//! ```
//!
//! Everything is fixed-width and native-endian; a byte-order mark tells a reader of the other order so. There is no
//! pointer, no `usize` and no type of the C library in here, so a 32-bit and a 64-bit process can share a segment.
//! SPEC.md describes the same bytes in prose.

mod calls;
mod participant;
mod sync;

pub(crate) use calls::{CALL_CELL_BYTES, CALL_CELLS_PER_SLOT, CallHead, CallLayout, Room};
pub(crate) use participant::{ParticipantSlot, RECORD_OFFSET_BYTES, RECORD_STRIDE_WORDS};
pub(crate) use sync::*;

use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::AtomicU32;

/// First eight bytes of every segment.
pub(crate) const MAGIC: [u8; 8] = *b"SLIPRING";

/// Version of the segment format. Raised by any change that an older program would misread.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Reads as `0x0403_0201` to a process of the other byte order.
pub(crate) const BYTE_ORDER_MARK: u32 = 0x0102_0304;

/// The backend whose locks and futexes guard a segment: that of Linux. Processes of different backends must not meet in one.
pub(crate) const BACKEND_LINUX: u32 = 1;

/// The portable backend, with locked files and without futexes.
pub(crate) const BACKEND_PORTABLE: u32 = 2;

/// What a backend is called in errors.
pub(crate) const fn backend_name(backend: u32) -> &'static str {
    match backend {
        BACKEND_LINUX => "the Linux backend",
        BACKEND_PORTABLE => "the portable backend",
        _ => "a backend that this version does not know",
    }
}

/// Bytes of one line of control data. A constant of the format, since the cache line of the writing machine is not.
pub(crate) const LINE_BYTES: usize = 128;

/// Bytes of the line that a small slot has to itself: the cache line of nearly every processor.
pub(crate) const SLOT_LINE_BYTES: usize = 64;

/// Bytes of a word: the widest access that is atomic on every supported platform.
pub(crate) const WORD_BYTES: usize = 8;

/// Bytes of the header before the schema.
pub(crate) const GEOMETRY_BYTES: usize = 512;

/// Bytes to which the header, the slots and the whole segment are rounded.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Longest channel name in bytes.
pub(crate) const NAME_BYTES: usize = 128;

/// Longest domain in bytes.
pub(crate) const DOMAIN_BYTES: usize = 64;

/// Bytes kept of a program's name.
pub(crate) const PROGRAM_BYTES: usize = 40;

/// A queue with one sender and one receiver, over the ring of `ring/exclusive.rs`.
pub(crate) const KIND_EXCLUSIVE_QUEUE: u32 = 1;

/// A queue with any number of senders and receivers, over the ring of `ring/shared.rs`.
pub(crate) const KIND_SHARED_QUEUE: u32 = 2;

/// A broadcast that waits for its slowest subscriber, over the ring of `ring/broadcast.rs`.
pub(crate) const KIND_LOSSLESS_BROADCAST: u32 = 3;

/// A broadcast that waits for nobody, over the ring of `ring/broadcast.rs`.
pub(crate) const KIND_LOSSY_BROADCAST: u32 = 4;

/// The newest value, over the slots of `ring/latest.rs`.
pub(crate) const KIND_LATEST: u32 = 5;

/// Requests and replies, over the table of `ring/calls.rs` and, for their order, the ring of `ring/shared.rs`.
pub(crate) const KIND_SERVICE: u32 = 6;

/// Lines of control data that the ring of each kind has behind the two wait lines.
pub(crate) const fn ring_lines(kind: u32) -> u32 {
    match kind {
        KIND_EXCLUSIVE_QUEUE | KIND_LATEST => 1,
        _ => 2,
    }
}

/// What a kind is called in errors. `None` if this version does not know it.
pub(crate) const fn kind_name(kind: u32) -> Option<&'static str> {
    match kind {
        KIND_EXCLUSIVE_QUEUE => Some("an exclusive queue (`spsc`)"),
        KIND_SHARED_QUEUE => Some("a shared queue"),
        KIND_LOSSLESS_BROADCAST => Some("a lossless broadcast"),
        KIND_LOSSY_BROADCAST => Some("a lossy broadcast"),
        KIND_LATEST => Some("a latest value"),
        KIND_SERVICE => Some("a service"),
        _ => sync::kind_name(kind),
    }
}

/// Slots that a latest value has, so that readers are never starved by a writer.
pub(crate) const LATEST_SLOTS: u64 = 4;

/// Bit of [`Geometry::flags`]: a message held by a receiver that died is dropped and counted, not delivered again.
pub(crate) const FLAG_DROP_HELD: u32 = 1;

/// Bit of [`Geometry::flags`]: messages have a trailing part of variable length, `message_bytes` counts what is before
/// it, and slots are units of which a message takes several. An exclusive queue has headers in the units; other kinds have
/// their stamps in a table of their own.
pub(crate) const FLAG_VARIABLE: u32 = 2;

/// Bit of [`Geometry::flags`]: the replies of a service have a trailing part of variable length, and `reply_bytes` counts
/// what is before it. (Of its requests, [`FLAG_VARIABLE`] says the same.)
pub(crate) const FLAG_VARIABLE_REPLY: u32 = 8;

/// Bit of [`Geometry::flags`]: each message has the time at which it was sent beside it, and those who receive it count
/// how long it took in the histogram at the end of the segment.
pub(crate) const FLAG_TIMESTAMPS: u32 = 4;

/// Bit of [`Geometry::flags`]: every end is hardened that does not say otherwise: it exchanges messages by value only.
pub(crate) const FLAG_HARDENED: u32 = 16;

/// The immutable first bytes of a segment.
///
/// ```text
///   0  magic             "SLIPRING"            112  total_bytes       u64
///   8  format_version    u32                   120  schema_bytes      u32
///  12  byte_order        u32                   124  creator_pid       u32, shown to people only
///  16  backend           u32                   128  creator_program   40 bytes, zero-padded UTF-8
///  20  kind              u32                   168  domain            64 bytes, zero-padded ASCII
///  24  instance          16 random bytes       232  name              128 bytes, zero-padded ASCII
///  40  fingerprint       16 bytes              360  the options: see below
///  56  capacity          u64, slots            512  schema            schema_bytes
///  64  slot_bytes        u64
///  72  message_bytes     u64
///  80  message_align     u32
///  84  participants      u32
///  88  participants_offset u64
///  96  waits_offset      u64
/// 104  slots_offset      u64
///
/// 360  lifetime          u32
/// 364  first_role        u32, participant lines of the first role: senders, publishers, writers, clients
/// 368  history           u64, messages that a broadcast keeps for late subscribers
/// 376  evict_after_ns    u64, 0: never
/// 384  flags             u32
/// 388  ring_lines        u32, lines of control data behind the two wait lines
/// 392  slots             u64, slots that there is memory for
/// 400  stamps_offset     u64
/// 408  reply_bytes       u64, of a service; 0 elsewhere, as the three that follow
/// 416  reply_align       u32
/// 420  reply_schema_bytes u32
/// 424  reply_fingerprint 16 bytes
/// 440  histogram_offset  u64
/// 448  request_limit     u64, bytes of the longest request of a service whose requests vary in length; 0 elsewhere
/// 456  reply_limit       u64, the same of replies, then 48 zero bytes
/// ```
///
/// Written by the creator before the segment has a name; afterwards copied into private memory at attach, checked, and
/// never read again.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    /// [`MAGIC`].
    pub(crate) magic: [u8; 8],
    /// [`FORMAT_VERSION`] of the creator.
    pub(crate) format_version: u32,
    /// [`BYTE_ORDER_MARK`] in the creator's byte order.
    pub(crate) byte_order: u32,
    /// One of the `BACKEND_` constants.
    pub(crate) backend: u32,
    /// One of the `KIND_` constants.
    pub(crate) kind: u32,
    /// Tells this segment from every other that ever bore its name.
    pub(crate) instance: [u8; 16],
    /// Hash of the schema: [`IpcMessage::FINGERPRINT`](crate::message::IpcMessage::FINGERPRINT), little-endian.
    pub(crate) fingerprint: [u8; 16],
    /// Number of slots, 1 ..= 2^31.
    pub(crate) capacity: u64,
    /// Bytes from one slot to the next: see [`slot_bytes`]. The slot's last word is its stamp.
    pub(crate) slot_bytes: u64,
    /// Bytes of one message.
    pub(crate) message_bytes: u64,
    /// Alignment of one message, at most [`LINE_BYTES`].
    pub(crate) message_align: u32,
    /// Number of participant slots.
    pub(crate) participants: u32,
    /// Where the participant table starts.
    pub(crate) participants_offset: u64,
    /// Where the two wait lines start: data first, then space.
    pub(crate) waits_offset: u64,
    /// Where slot 0 starts.
    pub(crate) slots_offset: u64,
    /// Size of the whole segment.
    pub(crate) total_bytes: u64,
    /// Bytes of the schema, which starts at [`GEOMETRY_BYTES`].
    pub(crate) schema_bytes: u32,
    /// Process that created the segment, as it sees itself. For people.
    pub(crate) creator_pid: u32,
    /// Name of the program that created the segment. For people.
    pub(crate) creator_program: [u8; PROGRAM_BYTES],
    /// The domain, as in the segment's file name.
    pub(crate) domain: [u8; DOMAIN_BYTES],
    /// The channel's name, as in the segment's file name.
    pub(crate) name: [u8; NAME_BYTES],
    /// What becomes of the segment when the last participant leaves: a [`Lifetime`](crate::Lifetime).
    pub(crate) lifetime: u32,
    /// Lines of the participant table that belong to the first role, from line 0; the rest are the second role's.
    pub(crate) first_role: u32,
    /// Messages that a broadcast keeps for subscribers who come late.
    pub(crate) history: u64,
    /// How long a publisher waits for a subscriber before it evicts it, in nanoseconds; 0 never does.
    pub(crate) evict_after_ns: u64,
    /// The `FLAG_` bits.
    pub(crate) flags: u32,
    /// Lines of control data that the ring has behind the two wait lines: see [`ring_lines`].
    pub(crate) ring_lines: u32,
    /// Slots that there is memory for.
    pub(crate) slots: u64,
    /// Where the table of stamps starts, one word for each slot; 0 if each slot has its own in its last word. In a
    /// service, where the queue of calls starts, whose cells are [`CALL_CELL_BYTES`] long.
    pub(crate) stamps_offset: u64,
    /// Bytes of one reply of a service; 0 elsewhere, as the three that follow.
    pub(crate) reply_bytes: u64,
    /// Alignment of one reply, at most [`LINE_BYTES`].
    pub(crate) reply_align: u32,
    /// Bytes of the reply's schema, which follows that of the message (the request).
    pub(crate) reply_schema_bytes: u32,
    /// Hash of the reply's schema, little-endian.
    pub(crate) reply_fingerprint: [u8; 16],
    /// Where the histogram of latencies starts, a [`Histogram`](crate::histogram::Histogram); 0 without
    /// [`FLAG_TIMESTAMPS`].
    pub(crate) histogram_offset: u64,
    /// Bytes of the longest request of a service whose requests vary in length; 0 elsewhere.
    pub(crate) request_limit: u64,
    /// Bytes of the longest reply of a service whose replies vary in length; 0 elsewhere.
    pub(crate) reply_limit: u64,
    /// Zero. A later minor version may give it a meaning that older programs can ignore.
    pub(crate) reserved: [u8; 48],
}

const _: () = {
    assert!(size_of::<Geometry>() == GEOMETRY_BYTES);
    assert!(offset_of!(Geometry, format_version) == 8);
    assert!(offset_of!(Geometry, byte_order) == 12);
    assert!(offset_of!(Geometry, backend) == 16);
    assert!(offset_of!(Geometry, kind) == 20);
    assert!(offset_of!(Geometry, instance) == 24);
    assert!(offset_of!(Geometry, fingerprint) == 40);
    assert!(offset_of!(Geometry, capacity) == 56);
    assert!(offset_of!(Geometry, slot_bytes) == 64);
    assert!(offset_of!(Geometry, message_bytes) == 72);
    assert!(offset_of!(Geometry, message_align) == 80);
    assert!(offset_of!(Geometry, participants) == 84);
    assert!(offset_of!(Geometry, participants_offset) == 88);
    assert!(offset_of!(Geometry, waits_offset) == 96);
    assert!(offset_of!(Geometry, slots_offset) == 104);
    assert!(offset_of!(Geometry, total_bytes) == 112);
    assert!(offset_of!(Geometry, schema_bytes) == 120);
    assert!(offset_of!(Geometry, creator_pid) == 124);
    assert!(offset_of!(Geometry, creator_program) == 128);
    assert!(offset_of!(Geometry, domain) == 168);
    assert!(offset_of!(Geometry, name) == 232);
    assert!(offset_of!(Geometry, lifetime) == 360);
    assert!(offset_of!(Geometry, first_role) == 364);
    assert!(offset_of!(Geometry, history) == 368);
    assert!(offset_of!(Geometry, evict_after_ns) == 376);
    assert!(offset_of!(Geometry, flags) == 384);
    assert!(offset_of!(Geometry, ring_lines) == 388);
    assert!(offset_of!(Geometry, slots) == 392);
    assert!(offset_of!(Geometry, stamps_offset) == 400);
    assert!(offset_of!(Geometry, reply_bytes) == 408);
    assert!(offset_of!(Geometry, reply_align) == 416);
    assert!(offset_of!(Geometry, reply_schema_bytes) == 420);
    assert!(offset_of!(Geometry, reply_fingerprint) == 424);
    assert!(offset_of!(Geometry, histogram_offset) == 440);
    assert!(offset_of!(Geometry, request_limit) == 448);
    assert!(offset_of!(Geometry, reply_limit) == 456);
    assert!(offset_of!(Geometry, reserved) == 464);
};

impl Geometry {
    /// The header as bytes, to be written into a new segment.
    pub(crate) fn as_bytes(&self) -> &[u8; GEOMETRY_BYTES] {
        // SAFETY: `Geometry` is `repr(C)` and exactly `GEOMETRY_BYTES` long, and the asserted offsets leave no padding.
        unsafe { &*(&raw const *self).cast() }
    }

    /// A header from the bytes of a segment. Any bytes make one: it is for the caller to doubt every field.
    pub(crate) fn from_bytes(bytes: &[u8; GEOMETRY_BYTES]) -> Self {
        // SAFETY: the source is as long as `Geometry`, all of whose fields are integers or byte arrays.
        unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() }
    }
}

/// The word that one side of a ring sleeps on, in a line of its own.
///
/// ```text
///   0  word   u32   bit 0 SLEEPING, 7 zero bits, bit 8 FENCE, then a counter
///   4  roll   u32   of the first of the two lines: counts joins; zero in the second
///   8  (zero) 120 bytes
/// ```
///
/// `word` is written by whoever goes to sleep or wakes a sleeper, read (once for every message) by the other side, which
/// therefore keeps it in its cache for as long as nobody sleeps. The bits above FENCE count wake-ups, in words that
/// several may sleep on.
#[repr(C, align(128))]
pub(crate) struct WaitLine {
    /// See [`waiting`](crate::waiting) for the protocol.
    pub(crate) word: AtomicU32,
    /// Odd from before a participant says LIVE until after it, and raised by two by each; see
    /// [`liveness`](crate::liveness). Written by whoever joins, under the lifecycle lock, and read by those who watch.
    pub(crate) roll: AtomicU32,
    /// Zero.
    pub(crate) padding: [u32; 30],
}

const _: () = {
    assert!(size_of::<WaitLine>() == LINE_BYTES);
    assert!(offset_of!(WaitLine, roll) == 4);
};

/// How far the consumer of an exclusive ring has come, in a line of its own.
///
/// ```text
///   0  taken  u64   0 .. 2 * capacity
///   8  (zero) 120 bytes
/// ```
///
/// Written by the receiver after every message it took, read by the sender when the room that it knows of is used up.
#[repr(C, align(128))]
pub(crate) struct TakenLine {
    /// See [`ring::exclusive`](crate::ring::exclusive).
    pub(crate) taken: crate::atomics::AtomicU64,
    /// Zero.
    pub(crate) padding: [u64; 15],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<TakenLine>() == LINE_BYTES);

/// Which of the two sides of a channel a participant is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Those who fill the ring: senders, publishers, writers, clients.
    First,
    /// Those who empty it: receivers, subscribers, readers, servers.
    Second,
}

impl Side {
    /// The lines of the participant table that this side has.
    pub(crate) fn lines_of(self, geometry: &Geometry) -> Range<u32> {
        match self {
            Side::First => 0..geometry.first_role,
            Side::Second => geometry.first_role..geometry.participants,
        }
    }

    /// Those whom this side waits for.
    pub(crate) fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }
}

/// How far the writer of a latest value has come, in a line of its own.
///
/// ```text
///   0  version  u64   of the newest value, 0 if there is none
///   8  (zero)   120 bytes
/// ```
///
/// Written by the writer after every value, read by the readers before every one.
#[repr(C, align(128))]
pub(crate) struct VersionLine {
    /// See [`ring::latest`](crate::ring::latest).
    pub(crate) version: crate::atomics::AtomicU64,
    /// Zero.
    pub(crate) padding: [u64; 15],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<VersionLine>() == LINE_BYTES);

/// Byte of the segment file whose write lock serialises creation, joining, leaving and unlinking.
pub(crate) const LIFECYCLE_LOCK_BYTE: u64 = 0;

/// Byte of the segment file whose write lock says that participant `index` lives.
pub(crate) const fn lock_byte(index: u32) -> u64 {
    LIFECYCLE_LOCK_BYTE + 1 + index as u64
}

/// Bytes of a slot of a channel of `kind` for a message of `bytes` bytes and alignment `align`: the message in whole
/// words, then the stamp. `None` if that overflows.
///
/// What fits into a cache line gets one for itself. Larger slots are packed where mostly one process at a time stores to
/// neighbouring ones, in an exclusive queue and in broadcasts: measured on Zen 4, a slot of 72 bytes for a message of 64 is
/// faster than one of 128, since it moves fewer lines. Elsewhere each slot has its lines for itself.
pub(crate) fn slot_bytes(kind: u32, bytes: usize, align: usize) -> Option<usize> {
    let least = bytes.checked_next_multiple_of(WORD_BYTES)?.checked_add(WORD_BYTES)?;
    let has_one_writer = matches!(kind, KIND_EXCLUSIVE_QUEUE | KIND_LOSSLESS_BROADCAST | KIND_LOSSY_BROADCAST);
    let is_packed = has_one_writer && least > SLOT_LINE_BYTES;
    least.checked_next_multiple_of(align.max(if is_packed { WORD_BYTES } else { SLOT_LINE_BYTES }))
}

/// Bytes of a slot before its stamp, for a message of `bytes` bytes. With timestamps its time comes last, in a word of its
/// own. `None` if that overflows.
pub(crate) fn content_bytes(flags: u32, bytes: usize) -> Option<usize> {
    match flags & FLAG_TIMESTAMPS {
        0 => Some(bytes),
        _ => bytes.checked_next_multiple_of(WORD_BYTES)?.checked_add(WORD_BYTES),
    }
}

/// The alignment that the payloads of frames have, for messages that are aligned to `align`. A frame's header is one
/// word. With timestamps the payloads are aligned to two, so that there is one more before them, for their time.
pub(crate) fn frame_align(flags: u32, align: usize) -> usize {
    if flags & FLAG_TIMESTAMPS == 0 { align } else { align.max(2 * WORD_BYTES) }
}

/// Bytes of a unit of a channel whose messages vary in length and are aligned to `align`.
pub(crate) const fn unit_bytes(align: usize) -> usize {
    if align > SLOT_LINE_BYTES { align } else { SLOT_LINE_BYTES }
}

/// Text in a zero-padded field of `N` bytes, cut at a character boundary if it is too long.
pub(crate) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [0; N];
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    field
}

/// Text from a zero-padded field. Bytes that are not UTF-8 are replaced, since the text is for people.
pub(crate) fn unpadded(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_holds_56_bytes_and_the_stamp() {
        let exclusive = |bytes, align| slot_bytes(KIND_EXCLUSIVE_QUEUE, bytes, align);
        assert_eq!(exclusive(1, 1), Some(64));
        assert_eq!(exclusive(48, 8), Some(64));
        assert_eq!(exclusive(56, 8), Some(64));
        assert_eq!(exclusive(57, 1), Some(72));
        assert_eq!(exclusive(64, 8), Some(72));
        assert_eq!(exclusive(64, 64), Some(128));
        assert_eq!(exclusive(8, 128), Some(128));
        assert_eq!(exclusive(usize::MAX, 1), None);
    }

    #[test]
    fn slots_that_several_use_at_once_share_no_line() {
        let shared = |bytes, align| slot_bytes(KIND_SHARED_QUEUE, bytes, align);
        assert_eq!(shared(56, 8), Some(64));
        assert_eq!(shared(57, 1), Some(128));
        assert_eq!(shared(121, 1), Some(192));
        assert_eq!(shared(64, 128), Some(128));
    }

    #[test]
    fn a_time_takes_a_word_where_there_is_one() {
        for bytes in [0, 1, 8, 48, 57] {
            assert_eq!(content_bytes(FLAG_VARIABLE | FLAG_DROP_HELD, bytes), Some(bytes));
        }
        let exclusive = |bytes| slot_bytes(KIND_EXCLUSIVE_QUEUE, content_bytes(FLAG_TIMESTAMPS, bytes)?, 1);
        assert_eq!(exclusive(1), Some(64));
        assert_eq!(exclusive(48), Some(64));
        assert_eq!(exclusive(49), Some(72));
        assert_eq!(exclusive(64), Some(80));
        assert_eq!(exclusive(usize::MAX - 8), None);
        assert_eq!([1, 8, 16, 64].map(|align| frame_align(FLAG_TIMESTAMPS, align)), [16, 16, 16, 64]);
        assert_eq!(frame_align(0, 8), 8);
    }

    #[test]
    fn padded_text_is_cut_at_a_character() {
        assert_eq!(padded::<4>("abc"), *b"abc\0");
        assert_eq!(padded::<4>("abcé"), *b"abc\0");
        assert_eq!(unpadded(&padded::<4>("abcd")), "abcd");
        assert_eq!(unpadded(b"ab\0cd"), "ab");
    }

    #[test]
    fn geometry_survives_the_way_through_bytes() {
        let mut bytes = [0u8; GEOMETRY_BYTES];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = at as u8;
        }
        assert_eq!(Geometry::from_bytes(&bytes).as_bytes(), &bytes);
    }
}
