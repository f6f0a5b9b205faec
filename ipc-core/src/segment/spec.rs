//! What a program wants of a channel.

use super::geometry::{MAX_CAPACITY, MAX_SHARED_SLOTS, history_slots, margin_slots, room, slot_bytes};
use super::{Access, Pages, Segment};
use crate::error::OpenError;
use crate::layout::{
    CallLayout, FLAG_TIMESTAMPS, FLAG_VARIABLE, FLAG_VARIABLE_REPLY, KIND_EXCLUSIVE_QUEUE, KIND_SERVICE, LINE_BYTES,
};
use crate::message::IpcMessage;
use crate::name::SegmentName;
use crate::ring::calls::MAX_CALLS;
use core::time::Duration;
use std::borrow::Cow;

/// What becomes of a channel's segment when its last participant leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Lifetime {
    /// It is removed if every message was delivered; otherwise it stays for a later receiver. (A latest value is not
    /// delivered to anyone, and removed: see [`Latest::lifetime`](crate::Latest::lifetime).)
    #[default]
    Drained = 0,
    /// It is removed, and undelivered messages with it.
    Attached = 1,
    /// It stays until [`Queue::remove`](crate::Queue::remove).
    Persistent = 2,
}

/// Calls of a service that can be under way at the same time, unless somebody says otherwise.
const DEFAULT_CALLS: usize = 256;

/// Bytes of the longest request, and of the longest reply, of a service where they vary in length, unless somebody says
/// otherwise: with the default number of calls, a service has as much memory as a ring then.
const DEFAULT_CALL_MESSAGE_BYTES: usize = 8192;

/// Default size of a ring. Measured on Zen 4, rings of a few MiB carry several times the messages of small ones, whose
/// dirty lines travel from core to core instead of through the shared cache.
const DEFAULT_RING_BYTES: usize = 4 << 20;

/// Fewest slots of a ring whose capacity was left to the library.
const DEFAULT_MIN_CAPACITY: usize = 16;

/// What a service replies with.
#[derive(Clone, Debug)]
pub(crate) struct ReplySpec {
    pub(crate) message: Cow<'static, str>,
    pub(crate) bytes: usize,
    pub(crate) align: usize,
    pub(crate) schema: Cow<'static, [u8]>,
    pub(crate) fingerprint: u128,
    /// Bytes of the longest reply, if they vary in length. `None` leaves the choice to the library.
    pub(crate) limit: Option<usize>,
}

/// What a program wants of a channel.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: SegmentName,
    pub(crate) kind: u32,
    pub(crate) message: Cow<'static, str>,
    pub(crate) message_bytes: usize,
    pub(crate) message_align: usize,
    pub(crate) schema: Cow<'static, [u8]>,
    pub(crate) fingerprint: u128,
    /// `None` if the channel is no service.
    pub(crate) reply: Option<ReplySpec>,
    /// In messages, or in bytes if they vary in length. `None` leaves the choice to the library.
    pub(crate) capacity: Option<usize>,
    /// What the capacity counts, if it has to be the segment's. Otherwise whoever creates the segment chooses.
    pub(crate) agreed: Option<&'static str>,
    /// Participant lines of the first role, and of the second.
    pub(crate) roles: [u32; 2],
    pub(crate) lifetime: Lifetime,
    /// Messages that a broadcast keeps for late subscribers.
    pub(crate) history: usize,
    /// How long a publisher waits for a subscriber before it evicts it.
    pub(crate) evict_after: Option<Duration>,
    /// The `FLAG_` bits.
    pub(crate) flags: u32,
    /// Bytes of the longest request of a service, if they vary in length. `None` leaves the choice to the library.
    pub(crate) request_limit: Option<usize>,
    /// How this process wants the memory.
    pub(crate) pages: Pages,
    /// Whether this process only reads, so that its mapping is to be read-only.
    pub(crate) reads_only: bool,
    /// Who may take part.
    pub(crate) access: Access,
}

impl Spec {
    /// A channel for messages of type `T`, with the options as they are by default.
    pub(crate) fn new<T: IpcMessage + ?Sized>(
        name: SegmentName,
        kind: u32,
        roles: [u32; 2],
    ) -> Result<Self, OpenError> {
        check_sendable::<T>()?;
        Ok(Spec {
            name,
            kind,
            message: T::NAME.into(),
            message_bytes: T::TYPE.size,
            message_align: T::TYPE.align,
            schema: T::SCHEMA.into(),
            fingerprint: T::FINGERPRINT,
            reply: None,
            capacity: None,
            agreed: None,
            roles,
            lifetime: Lifetime::default(),
            history: 0,
            evict_after: None,
            flags: if T::TYPE.tail().is_some() { FLAG_VARIABLE } else { 0 },
            request_limit: None,
            pages: Pages::default(),
            reads_only: false,
            access: Access::default(),
        })
    }

    /// Makes it a service that replies with a `T`, of at most `limit` bytes if they vary in length.
    pub(crate) fn reply_with<T: IpcMessage + ?Sized>(&mut self, limit: Option<usize>) -> Result<(), OpenError> {
        check_sendable::<T>()?;
        self.flags |= if T::TYPE.tail().is_some() { FLAG_VARIABLE_REPLY } else { 0 };
        self.reply = Some(ReplySpec {
            message: T::NAME.into(),
            bytes: T::TYPE.size,
            align: T::TYPE.align,
            schema: T::SCHEMA.into(),
            fingerprint: T::FINGERPRINT,
            limit,
        });
        Ok(())
    }

    /// What to want of a channel in order to join it as it is. The messages, and the replies of a service, are given by
    /// their names and schemas.
    pub(crate) fn of_segment(
        segment: &Segment,
        name: SegmentName,
        (message, schema): (String, Vec<u8>),
        reply: Option<(String, Vec<u8>)>,
    ) -> Self {
        let geometry = segment.geometry();
        let reply = reply.map(|(message, schema)| ReplySpec {
            message: message.into(),
            bytes: geometry.reply_bytes as usize,
            align: geometry.reply_align as usize,
            schema: schema.into(),
            fingerprint: u128::from_le_bytes(geometry.reply_fingerprint),
            limit: Some(geometry.reply_limit as usize),
        });
        Spec {
            name,
            kind: geometry.kind,
            message: message.into(),
            message_bytes: geometry.message_bytes as usize,
            message_align: geometry.message_align as usize,
            fingerprint: u128::from_le_bytes(geometry.fingerprint),
            schema: schema.into(),
            reply,
            capacity: Some(geometry.user_capacity()),
            agreed: None,
            roles: [geometry.first_role, geometry.participants - geometry.first_role],
            lifetime: geometry.lifetime(),
            history: geometry.history as usize,
            evict_after: Some(Duration::from_nanos(geometry.evict_after_ns)).filter(|limit| !limit.is_zero()),
            flags: geometry.flags,
            request_limit: Some(geometry.request_limit as usize),
            pages: Pages::default(),
            reads_only: false,
            access: Access::default(),
        }
    }

    /// Refuses a capacity that no channel can have, whether or not this program would get to create it.
    pub(super) fn check_capacity(&self) -> Result<(), OpenError> {
        match self.capacity {
            Some(0) => Err(self.refuse_capacity(match self.kind {
                KIND_SERVICE => "a service has room for 1 call at least",
                _ if self.is_variable() => "it is counted in bytes where messages vary in length, and is 1 at least",
                _ => "a channel holds at least 1 message",
            })),
            Some(capacity) if self.kind == KIND_SERVICE && capacity > MAX_CALLS => {
                Err(self.refuse_capacity("a service holds at most 32,768 calls"))
            }
            _ if self.kind != KIND_EXCLUSIVE_QUEUE && self.slots_with_history() > MAX_SHARED_SLOTS => {
                Err(self.refuse_capacity("only an exclusive queue holds more than 2^29 messages, history included"))
            }
            Some(_) if self.slots() > MAX_CAPACITY => {
                Err(self.refuse_capacity("an exclusive queue holds at most 2^31 messages"))
            }
            _ => Ok(()),
        }
    }

    /// Whether messages vary in length.
    pub(crate) fn is_variable(&self) -> bool {
        self.flags & FLAG_VARIABLE != 0
    }

    /// Bytes of a slot, or of a unit if messages vary in length.
    pub(super) fn slot_bytes(&self) -> usize {
        let slot_bytes = match self.kind {
            KIND_SERVICE => self.call_layout().map(|layout| layout.slot_bytes),
            _ => slot_bytes(self.kind, self.flags, (self.message_bytes, self.message_align)),
        };
        slot_bytes.unwrap_or(usize::MAX)
    }

    /// How the slots of a service are laid out.
    pub(super) fn call_layout(&self) -> Option<CallLayout> {
        let reply = self.reply.as_ref()?;
        let request = room(self.message_bytes, self.message_align, self.request_limit());
        let reply = room(reply.bytes, reply.align, self.reply_limit());
        CallLayout::new(request, reply, self.flags & FLAG_TIMESTAMPS != 0)
    }

    /// Bytes of the longest request of a service, which has room for one with an empty tail at least. 0 if they do not vary
    /// in length.
    pub(super) fn request_limit(&self) -> usize {
        if self.kind != KIND_SERVICE || !self.is_variable() {
            return 0;
        }
        self.request_limit.unwrap_or(DEFAULT_CALL_MESSAGE_BYTES).max(self.message_bytes).max(1)
    }

    /// The same of its replies.
    pub(super) fn reply_limit(&self) -> usize {
        let varies = self.flags & FLAG_VARIABLE_REPLY != 0;
        let limit = |reply: &ReplySpec| reply.limit.unwrap_or(DEFAULT_CALL_MESSAGE_BYTES).max(reply.bytes).max(1);
        self.reply.as_ref().filter(|_| varies).map_or(0, limit)
    }

    /// The capacity in slots, or in units if messages vary in length.
    pub(super) fn slots(&self) -> usize {
        if self.kind == KIND_SERVICE {
            return self.capacity.unwrap_or(DEFAULT_CALLS);
        }
        let slot_bytes = self.slot_bytes();
        if self.is_variable() {
            // A message takes half of them at most: so many that one with an empty tail can be sent at least.
            let least = (self.message_bytes.div_ceil(slot_bytes) + 1).saturating_mul(2).max(DEFAULT_MIN_CAPACITY);
            return self.capacity.unwrap_or(DEFAULT_RING_BYTES).div_ceil(slot_bytes).max(least);
        }
        self.capacity.unwrap_or((DEFAULT_RING_BYTES / slot_bytes).max(DEFAULT_MIN_CAPACITY))
    }

    /// The capacity in slots or units, and what a broadcast has besides.
    pub(super) fn slots_with_history(&self) -> usize {
        let kept = history_slots(self.flags, self.slots() as u64, self.history as u64);
        let besides = kept.saturating_add(margin_slots(self.kind, self.flags, self.slots() as u64));
        self.slots().saturating_add(usize::try_from(besides).unwrap_or(usize::MAX))
    }

    /// The capacity that was asked for as the channel will have it: if messages vary in length, in whole units.
    pub(crate) fn requested_capacity(&self) -> Option<usize> {
        let is_in_units = self.is_variable() && self.kind != KIND_SERVICE;
        let unit_bytes = if is_in_units { self.slot_bytes() } else { 1 };
        self.capacity.map(|_| self.slots().saturating_mul(unit_bytes))
    }

    pub(super) fn refuse_capacity(&self, rule: &'static str) -> OpenError {
        // A capacity in bytes is one of messages of no certain size.
        let is_in_messages = self.kind == KIND_SERVICE || !self.is_variable();
        let message_bytes = if is_in_messages { self.message_bytes } else { 0 };
        OpenError::Capacity { capacity: self.capacity.unwrap_or_else(|| self.slots()), message_bytes, rule }
    }
}

/// Refuses what cannot be a message.
fn check_sendable<T: IpcMessage + ?Sized>() -> Result<(), OpenError> {
    let refuse = |rule| Err(OpenError::Message { message: T::NAME, rule });
    if T::TYPE.size == 0 && T::TYPE.tail().is_none() {
        return refuse("it has no bytes; give it a field, of type u8 if nothing else comes to mind");
    }
    if T::TYPE.align > LINE_BYTES {
        return refuse("it is aligned to more than 128 bytes; lower its `align`");
    }
    Ok(())
}
