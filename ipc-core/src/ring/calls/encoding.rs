//! The words of a slot and the ticket of a call, taken apart: how the fields of control, stamp and ticket are packed. What
//! they mean, and who may change them, is in the documentation of the module above.

pub(super) const PHASE_BITS: u32 = 3;
pub(super) const LINE_BITS: u32 = 12;
const SERIAL_BITS: u32 = u64::BITS - PHASE_BITS - 2 * LINE_BITS;
const INDEX_BITS: u32 = u64::BITS - SERIAL_BITS - LINE_BITS;
pub(super) const SERIAL_MASK: u64 = (1 << SERIAL_BITS) - 1;
const LINE_MASK: u64 = (1 << LINE_BITS) - 1;

/// The largest number of slots: what the index of a ticket can tell apart.
pub(crate) const MAX_CALLS: usize = 1 << INDEX_BITS;

/// The largest number of participants that control can tell apart.
pub(crate) const MAX_LINES: u32 = 1 << LINE_BITS;

/// Whose a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody's.
    Free = 0,
    /// The client's, who writes the request.
    Filling = 1,
    /// For the server that takes it first; the client may withdraw it.
    Ready = 2,
    /// The server's and the client's, as the stamp says.
    Taken = 3,
    /// The client's again, who reads the request back.
    Withdrawn = 4,
}

/// Control's word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) phase: Phase,
    pub(super) client: u16,
    pub(super) server: u16,
    pub(super) serial: u64,
}

impl Control {
    /// The word of a slot that belongs to nobody.
    pub(super) fn free(serial: u64) -> Self {
        Control { phase: Phase::Free, client: 0, server: 0, serial }
    }

    #[inline(always)]
    pub(super) fn word(self) -> u64 {
        let lines = u64::from(self.client) & LINE_MASK | (u64::from(self.server) & LINE_MASK) << LINE_BITS;
        (self.serial & SERIAL_MASK) << (PHASE_BITS + 2 * LINE_BITS) | lines << PHASE_BITS | self.phase as u64
    }

    /// `None` if no slot can have such a word.
    #[inline(always)]
    pub(super) fn from_word(word: u64) -> Option<Self> {
        let phase = match word & ((1 << PHASE_BITS) - 1) {
            0 => Phase::Free,
            1 => Phase::Filling,
            2 => Phase::Ready,
            3 => Phase::Taken,
            4 => Phase::Withdrawn,
            _ => return None,
        };
        let client = (word >> PHASE_BITS & LINE_MASK) as u16;
        let server = (word >> (PHASE_BITS + LINE_BITS) & LINE_MASK) as u16;
        Some(Control { phase, client, server, serial: word >> (PHASE_BITS + 2 * LINE_BITS) })
    }
}

/// Whether, and how, a call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// More is to come.
    Open = 0,
    /// The server has said all that it had to say.
    Finished = 1,
    /// The server dropped the request without having finished.
    Dropped = 2,
    /// The server died.
    Died = 3,
    /// The client did not want to wait any longer, or died.
    Abandoned = 4,
}

/// How far the answer to a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Whether there is a reply that the client has not read.
    pub(crate) has_reply: bool,
    pub(crate) end: End,
}

impl Progress {
    /// No reply, and the call goes on.
    pub(crate) const NONE: Progress = Progress { has_reply: false, end: End::Open };

    /// An ordinary answer.
    pub(crate) const ANSWERED: Progress = Progress { has_reply: true, end: End::Finished };

    /// The stamp that says this of call number `serial`.
    #[inline(always)]
    pub(super) fn stamp(self, serial: u64) -> u64 {
        (self.end as u64) << 61 | u64::from(self.has_reply) << 60 | serial & SERIAL_MASK
    }

    /// What a stamp says of call number `serial`: nothing if it is of another one.
    #[inline(always)]
    pub(super) fn from_stamp(stamp: u64, serial: u64) -> Self {
        let end = match stamp >> 61 {
            0 => End::Open,
            1 => End::Finished,
            2 => End::Dropped,
            3 => End::Died,
            _ => End::Abandoned,
        };
        let is_of_call = stamp & SERIAL_MASK == serial & SERIAL_MASK;
        if is_of_call { Progress { has_reply: stamp >> 60 & 1 == 1, end } } else { Progress::NONE }
    }
}

/// Whether a stamp is of call number `serial` or of an earlier one.
pub(super) fn is_up_to(stamp: u64, serial: u64) -> bool {
    serial.wrapping_sub(stamp) & SERIAL_MASK < 1 << (SERIAL_BITS - 1)
}

/// A call, as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(super) index: u32,
    pub(super) client: u16,
    pub(super) serial: u64,
}

impl Call {
    /// The slot.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    #[inline(always)]
    pub(super) fn control(self, phase: Phase) -> Control {
        Control { phase, client: self.client, server: 0, serial: self.serial }
    }

    #[inline(always)]
    pub(super) fn ticket(self) -> u64 {
        u64::from(self.index) << (SERIAL_BITS + LINE_BITS) | self.serial << LINE_BITS | u64::from(self.client)
    }

    #[inline(always)]
    pub(super) fn from_ticket(ticket: u64) -> Self {
        Call {
            index: (ticket >> (SERIAL_BITS + LINE_BITS)) as u32,
            client: (ticket & LINE_MASK) as u16,
            serial: ticket >> LINE_BITS & SERIAL_MASK,
        }
    }
}

/// A call, as the server that took it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(super) call: Call,
    pub(super) server: u16,
}

impl Taken {
    /// The slot.
    #[inline(always)]
    pub(crate) fn index(self) -> usize {
        self.call.index()
    }

    /// The line of the client.
    pub(crate) fn client(self) -> u32 {
        u32::from(self.call.client)
    }

    pub(super) fn control(self) -> Control {
        Control { server: self.server, ..self.call.control(Phase::Taken) }
    }
}
