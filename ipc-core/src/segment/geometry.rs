//! The geometry of a segment: planned by its creator, checked by everybody else.

use super::{Access, Lifetime, Spec, not_a_segment, program_name};
use crate::error::{OpenError, Peer};
use crate::histogram::Histogram;
use crate::layout::{
    self, BYTE_ORDER_MARK, CALL_CELL_BYTES, CALL_CELLS_PER_SLOT, CallLayout, FLAG_HARDENED, FLAG_TIMESTAMPS,
    FLAG_VARIABLE, FLAG_VARIABLE_REPLY, FORMAT_VERSION, GEOMETRY_BYTES, Geometry, KIND_EXCLUSIVE_QUEUE, KIND_LATEST,
    KIND_LOSSLESS_BROADCAST, KIND_LOSSY_BROADCAST, KIND_SERVICE, KIND_SHARED_QUEUE, KIND_SHARED_VALUE, LATEST_SLOTS,
    LINE_BYTES, MAGIC, PAGE_BYTES, Room, WORD_BYTES, padded, unpadded,
};
use crate::os::{self, Attachment};
use crate::ring::calls::MAX_CALLS;
use std::io;
use std::path::Path;

/// Largest number of slots.
pub(super) const MAX_CAPACITY: usize = 1 << 31;

/// Largest number of slots of a ring that several share, whose positions and stamps have other things to say as well.
pub(super) const MAX_SHARED_SLOTS: usize = 1 << 29;

/// Most lines of a participant table.
const MAX_PARTICIPANTS: u32 = 4096;

/// Most lines of control data of a ring.
const MAX_RING_LINES: u32 = 64;

/// Longest schema, which is what the derive can make.
const MAX_SCHEMA_BYTES: u32 = 16_384;

/// Largest segment: beyond the memory of any machine, and far from where offsets could overflow.
const MAX_SEGMENT_BYTES: u64 = 1 << 46;

impl Geometry {
    /// Lays out a new segment.
    pub(super) fn plan(spec: &Spec) -> Result<Self, OpenError> {
        let reply = spec.reply.as_ref();
        let evict_after_ns = spec.evict_after.map_or(0, |limit| limit.as_nanos().try_into().unwrap_or(u64::MAX));
        let mut geometry = Geometry {
            magic: MAGIC,
            format_version: FORMAT_VERSION,
            byte_order: BYTE_ORDER_MARK,
            backend: os::BACKEND,
            kind: spec.kind,
            instance: [0; 16],
            fingerprint: spec.fingerprint.to_le_bytes(),
            capacity: spec.slots() as u64,
            slot_bytes: spec.slot_bytes() as u64,
            message_bytes: spec.message_bytes as u64,
            message_align: spec.message_align as u32,
            participants: spec.roles[0] + spec.roles[1],
            participants_offset: 0,
            waits_offset: 0,
            slots_offset: 0,
            total_bytes: 0,
            schema_bytes: spec.schema.len() as u32,
            creator_pid: std::process::id(),
            creator_program: padded(program_name()),
            domain: padded(spec.name.domain()),
            name: padded(spec.name.channel()),
            lifetime: spec.lifetime as u32,
            first_role: spec.roles[0],
            history: spec.history as u64,
            evict_after_ns,
            flags: spec.flags | if spec.access.is_hardened() { FLAG_HARDENED } else { 0 },
            ring_lines: layout::ring_lines(spec.kind),
            slots: 0,
            stamps_offset: 0,
            reply_bytes: reply.map_or(0, |reply| reply.bytes as u64),
            reply_align: reply.map_or(0, |reply| reply.align as u32),
            reply_schema_bytes: reply.map_or(0, |reply| reply.schema.len() as u32),
            reply_fingerprint: reply.map_or([0; 16], |reply| reply.fingerprint.to_le_bytes()),
            histogram_offset: 0,
            request_limit: spec.request_limit() as u64,
            reply_limit: spec.reply_limit() as u64,
            reserved: [0; 48],
        };
        geometry.slots =
            geometry.slots_of_kind().ok_or(spec.refuse_capacity("the segment would be larger than 2^46 bytes"))?;
        geometry.place_parts().ok_or(spec.refuse_capacity("the segment would be larger than 2^46 bytes"))?;
        os::random(&mut geometry.instance).map_err(|source| OpenError::Os {
            action: "draw a random number for",
            path: spec.name.path(),
            source,
        })?;
        Ok(geometry)
    }

    /// Computes the offsets from the sizes. `None` if the segment would be absurdly large.
    fn place_parts(&mut self) -> Option<()> {
        let page = PAGE_BYTES as u64;
        let line = LINE_BYTES as u64;
        self.participants_offset = self.schemas_end().next_multiple_of(page);
        self.waits_offset = self.participants_offset + u64::from(self.participants) * line;
        let lines = 2 + u64::from(self.ring_lines);
        self.slots_offset = (self.waits_offset + lines * line).next_multiple_of(page);
        self.stamps_offset = 0;
        let table = match self.kind {
            KIND_SERVICE => Some(self.call_cells().checked_mul(CALL_CELL_BYTES)?),
            KIND_EXCLUSIVE_QUEUE => None,
            _ if self.is_variable() => Some(self.slots.checked_mul(self.table_words() * WORD_BYTES as u64)?),
            _ => None,
        };
        if let Some(table) = table {
            self.stamps_offset = self.slots_offset;
            self.slots_offset = self.stamps_offset.checked_add(table)?.checked_next_multiple_of(page)?;
        }
        let slots = self.slots.checked_mul(self.slot_bytes)?;
        let mut end = self.slots_offset.checked_add(slots)?;
        self.histogram_offset = 0;
        if self.has_histogram() {
            self.histogram_offset = end.checked_next_multiple_of(line)?;
            let bytes = self.histograms() as u64 * size_of::<Histogram>() as u64;
            end = self.histogram_offset.checked_add(bytes)?;
        }
        self.total_bytes = end.checked_next_multiple_of(page)?;
        (self.total_bytes <= MAX_SEGMENT_BYTES).then_some(())
    }

    /// Words that there are for each unit in the tables before the units, where messages vary in length: a stamp and, in a
    /// broadcast, a number.
    fn table_words(&self) -> u64 {
        if self.is_broadcast() { 2 } else { 1 }
    }

    /// Whether the channel is a broadcast.
    fn is_broadcast(&self) -> bool {
        matches!(self.kind, KIND_LOSSLESS_BROADCAST | KIND_LOSSY_BROADCAST)
    }

    /// Slots, or units, that a broadcast keeps for late subscribers besides its capacity.
    pub(super) fn history_slots(&self) -> u64 {
        history_slots(self.flags, self.capacity, self.history)
    }

    /// Slots that a lossy broadcast has besides: those that publishers may be overwriting.
    pub(super) fn margin_slots(&self) -> u64 {
        margin_slots(self.kind, self.flags, self.capacity)
    }

    /// Where the schemas end.
    fn schemas_end(&self) -> u64 {
        GEOMETRY_BYTES as u64 + u64::from(self.schema_bytes) + u64::from(self.reply_schema_bytes)
    }

    /// Cells of a service's queue of calls.
    pub(super) fn call_cells(&self) -> u64 {
        // At most 2^16: `check` bounds the slots.
        self.slots.saturating_mul(CALL_CELLS_PER_SLOT)
    }

    /// Where the parts of a service's slot lie. `None` if it has sizes that `check` refuses, or if this is no service.
    pub(super) fn call_layout(&self) -> Option<CallLayout> {
        if self.kind != KIND_SERVICE {
            return None;
        }
        let room = |bytes, align, limit| {
            let (bytes, limit) = (usize::try_from(bytes).ok()?, usize::try_from(limit).ok()?);
            Some(room(bytes, align, limit)).filter(|room| room.bytes >= bytes)
        };
        let varies = [self.is_variable(), self.has_variable_replies()];
        if varies != [self.request_limit, self.reply_limit].map(|limit| limit != 0) {
            return None;
        }
        let request = room(self.message_bytes, self.message_align as usize, self.request_limit)?;
        let reply = room(self.reply_bytes, self.reply_align as usize, self.reply_limit)?;
        CallLayout::new(request, reply, self.has_timestamps())
    }

    /// Bytes of a service's requests, or of the longest one, and the same of its replies.
    pub(crate) fn call_rooms(&self) -> [usize; 2] {
        let room = |bytes: u64, limit: u64| if limit == 0 { bytes as usize } else { limit as usize };
        [room(self.message_bytes, self.request_limit), room(self.reply_bytes, self.reply_limit)]
    }

    /// Number of slots that a channel of this kind, capacity and history has. `None` if it is absurdly large.
    fn slots_of_kind(&self) -> Option<u64> {
        match self.kind {
            KIND_LATEST | KIND_SHARED_VALUE => Some(LATEST_SLOTS),
            kind if layout::is_sync(kind) => Some(1),
            _ => self.capacity.checked_add(self.history_slots())?.checked_add(self.margin_slots()),
        }
    }

    /// Checks everything that addressing will rest on. The error says what is wrong.
    fn check(&self, file_bytes: u64) -> Result<(), String> {
        let mut expected = *self;
        let message = size(self.message_bytes, self.message_align);
        let is_known = layout::kind_name(self.kind).is_some();
        let fits = message.is_some_and(|message| {
            let slot_bytes = match self.kind {
                KIND_SERVICE => self.call_layout().map(|layout| layout.slot_bytes),
                _ => slot_bytes(self.kind, self.flags, message),
            };
            self.slot_bytes % WORD_BYTES as u64 == 0
                // A kind that is not known can be removed, and so has to be mapped, but nothing will touch its slots.
                && (!is_known || slot_bytes == usize::try_from(self.slot_bytes).ok())
        });
        let is_its_kind =
            !is_known || self.ring_lines == layout::ring_lines(self.kind) && Some(self.slots) == self.slots_of_kind();
        let least = if self.is_variable() && self.kind != KIND_SERVICE { 2 } else { 1 };
        let most_slots = if self.kind == KIND_EXCLUSIVE_QUEUE { MAX_CAPACITY } else { MAX_SHARED_SLOTS };
        let bounded = (least..=MAX_CAPACITY as u64).contains(&self.capacity)
            && self.history <= MAX_CAPACITY as u64
            && (1..=MAX_PARTICIPANTS).contains(&self.participants)
            && self.first_role <= self.participants
            && self.ring_lines <= MAX_RING_LINES
            && (self.kind != KIND_SERVICE || self.capacity <= MAX_CALLS as u64)
            && is_its_kind
            && self.slots <= most_slots as u64
            && self.has_roles_of_kind()
            && self.schema_bytes <= MAX_SCHEMA_BYTES
            && self.reply_schema_bytes <= MAX_SCHEMA_BYTES;
        if !fits || !bounded {
            return Err("its header is damaged: sizes that do not fit together".into());
        }
        if expected.place_parts().is_none() || expected.as_bytes() != self.as_bytes() {
            return Err("its header is damaged: offsets that do not follow from its sizes".into());
        }
        if file_bytes < self.total_bytes {
            return Err(format!("it is truncated: {file_bytes} bytes where {} belong", self.total_bytes));
        }
        Ok(())
    }

    /// Whether the participant lines are divided as a kind's are.
    fn has_roles_of_kind(&self) -> bool {
        match self.kind {
            KIND_EXCLUSIVE_QUEUE => true,
            kind if layout::is_sync(kind) => self.first_role == self.participants,
            _ => (1..self.participants).contains(&self.first_role),
        }
    }

    /// Whether messages vary in length.
    pub(crate) fn is_variable(&self) -> bool {
        self.flags & FLAG_VARIABLE != 0
    }

    /// Whether the replies of a service vary in length.
    pub(crate) fn has_variable_replies(&self) -> bool {
        self.flags & FLAG_VARIABLE_REPLY != 0
    }

    /// Whether ends are hardened that do not say otherwise.
    pub(crate) fn is_hardened(&self) -> bool {
        self.flags & FLAG_HARDENED != 0
    }

    /// Whether each message has the time at which it was sent beside it.
    pub(crate) fn has_timestamps(&self) -> bool {
        self.flags & FLAG_TIMESTAMPS != 0
    }

    /// Whether latencies are counted in the segment. Subscribers of a lossy broadcast count for themselves.
    fn has_histogram(&self) -> bool {
        self.has_timestamps() && self.kind != KIND_LOSSY_BROADCAST
    }

    /// How many histograms a channel of this kind has, if it has timestamps. That of a service's calls, from being made to
    /// being accepted, is followed by one of the whole round trips.
    fn histograms(&self) -> usize {
        if self.kind == KIND_SERVICE { 2 } else { 1 }
    }

    /// Where the histograms lie; none without timestamps.
    pub(super) fn histogram_offsets(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, bytes) = (self.histogram_offset, size_of::<Histogram>() as u64);
        let histograms = if self.has_histogram() { self.histograms() as u64 } else { 0 };
        (0..histograms).map(move |at| first + at * bytes)
    }

    /// How many bytes from where a message begins the word with its time lies: before the slot's stamp or, if messages vary
    /// in length, before the message. `None` without timestamps, and for services.
    pub(crate) fn time_offset(&self) -> Option<isize> {
        let word = WORD_BYTES as isize;
        let has_word = matches!(self.kind, KIND_EXCLUSIVE_QUEUE | KIND_SHARED_QUEUE | KIND_LATEST);
        let has_times = has_word || self.is_broadcast();
        let offset = if self.is_variable() { -word } else { self.slot_bytes as isize - 2 * word };
        (has_times && self.has_timestamps()).then_some(offset)
    }

    /// The capacity as users know it: in messages, or in bytes if they vary in length.
    pub(crate) fn user_capacity(&self) -> usize {
        let is_in_units = self.is_variable() && self.kind != KIND_SERVICE;
        let unit_bytes = if is_in_units { self.slot_bytes } else { 1 };
        self.capacity.saturating_mul(unit_bytes) as usize
    }

    /// What becomes of the segment; a value of a later version keeps it.
    pub(crate) fn lifetime(&self) -> Lifetime {
        match self.lifetime {
            0 => Lifetime::Drained,
            1 => Lifetime::Attached,
            _ => Lifetime::Persistent,
        }
    }
}

/// Slots that a broadcast keeps for late subscribers besides its capacity: one for each message of the history. Units, if
/// messages vary in length, are as many as the capacity once more, since nobody knows how many a message will take.
pub(super) fn history_slots(flags: u32, capacity: u64, history: u64) -> u64 {
    match history {
        0 => 0,
        _ if flags & FLAG_VARIABLE != 0 => capacity,
        history => history,
    }
}

/// Slots of a lossy broadcast that publishers may be overwriting: an eighth of the capacity, from 1 to 1,024. With messages that
/// vary in length there are none, as `oldest` does without.
pub(super) fn margin_slots(kind: u32, flags: u32, capacity: u64) -> u64 {
    let has_margin = kind == KIND_LOSSY_BROADCAST && flags & FLAG_VARIABLE == 0;
    if has_margin { (capacity / 8).clamp(1, 1024) } else { 0 }
}

/// Size and alignment as a header has them. `None` if no message has such.
fn size(bytes: u64, align: u32) -> Option<(usize, usize)> {
    let align = usize::try_from(align).ok().filter(|align| align.is_power_of_two() && *align <= LINE_BYTES)?;
    Some((usize::try_from(bytes).ok()?, align))
}

/// What a service's slot has to have room for: messages of this size and alignment, or, with a limit other than 0, of any
/// length up to that.
pub(super) fn room(bytes: usize, align: usize, limit: usize) -> Room {
    Room { bytes: if limit == 0 { bytes } else { limit }, align, varies: limit != 0 }
}

/// Bytes of a slot of any kind but a service, or of a unit if messages vary in length, for a message that is given by its
/// size and alignment. `None` if that overflows.
pub(super) fn slot_bytes(kind: u32, flags: u32, message: (usize, usize)) -> Option<usize> {
    if flags & FLAG_VARIABLE != 0 {
        return Some(layout::unit_bytes(message.1));
    }
    layout::slot_bytes(kind, layout::content_bytes(flags, message.0)?, message.1)
}

/// Reads and checks the header of a file that is supposed to be a segment, for a program that says this about who takes
/// part. Returns the file's mode as well.
pub(super) fn read_geometry(memory: &Attachment, path: &Path, access: &Access) -> Result<(Geometry, u32), OpenError> {
    let look_error = |source| OpenError::Os { action: "look at", path: path.into(), source };
    let facts = memory.facts().map_err(look_error)?;
    if !facts.is_regular {
        return Err(not_a_segment(path, "it is no regular file".into()));
    }
    access.admit(&facts, path)?;
    let mut bytes = [0; GEOMETRY_BYTES];
    if let Err(error) = memory.read_at(&mut bytes, 0) {
        return Err(match error.kind() {
            io::ErrorKind::UnexpectedEof => not_a_segment(path, format!("it has only {} bytes", facts.bytes)),
            _ => OpenError::Os { action: "read the header of", path: path.into(), source: error },
        });
    }
    let geometry = Geometry::from_bytes(&bytes);
    if geometry.magic != MAGIC {
        return Err(not_a_segment(path, "it does not start with the mark of a segment".into()));
    }
    if geometry.byte_order == BYTE_ORDER_MARK.swap_bytes() {
        return Err(OpenError::ByteOrder { path: path.into() });
    }
    if geometry.format_version != FORMAT_VERSION {
        let newer = geometry.format_version > FORMAT_VERSION;
        let advice =
            if newer { "rebuild this program" } else { "rebuild the program that made it, or remove the segment" };
        let found = geometry.format_version;
        return Err(OpenError::FormatVersion { path: path.into(), found, expected: FORMAT_VERSION, advice });
    }
    if geometry.byte_order != BYTE_ORDER_MARK {
        return Err(not_a_segment(path, "its header is damaged: no byte-order mark".into()));
    }
    if geometry.backend != os::BACKEND {
        return Err(OpenError::Backend {
            path: path.into(),
            found: layout::backend_name(geometry.backend),
            expected: layout::backend_name(os::BACKEND),
            creator: creator(&geometry),
        });
    }
    let bytes = memory.bytes(geometry.total_bytes).map_err(look_error)?;
    geometry.check(bytes).map_err(|reason| not_a_segment(path, reason))?;
    Ok((geometry, facts.mode))
}

/// Who created a segment, as its header says.
pub(super) fn creator(geometry: &Geometry) -> Peer {
    Peer { pid: geometry.creator_pid, program: unpadded(&geometry.creator_program).into() }
}
