//! A *feed* is a subscriber's end of either broadcast ring, without the message type, together with the
//! [station](crate::station) that waits for it.

use super::parts::{Parts, sweep};
use crate::error::{Corrupt, OpenError, Role};
use crate::histogram::Latency;
use crate::info::ChannelInfo;
use crate::interest::Interest;
use crate::layout::{KIND_LOSSLESS_BROADCAST, KIND_LOSSY_BROADCAST, Side};
use crate::liveness;
use crate::ring::Evidence;
use crate::ring::broadcast::Sight;
use crate::segment::Spec;
use crate::station::{self, Blocked, Joined, Patience, Station};
use crate::timing::Timing;
use crate::waiting::Sleepers;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;

mod intake;

use intake::{End, Intake, MOST_LOOKS};

/// Why no message comes.
pub(crate) enum Hindrance {
    /// There is none, for one of the reasons that all channels have.
    Blocked(Blocked),
    /// So many were missed before the one that comes next.
    Lagged(u64),
    /// Publishers go on without this subscriber.
    Evicted,
}

impl From<Blocked> for Hindrance {
    fn from(blocked: Blocked) -> Self {
        Hindrance::Blocked(blocked)
    }
}

/// One subscriber's end, and its station.
pub(crate) struct Feed {
    intake: Intake,
    station: Station,
    /// Whether a message stays where it is for as long as this subscriber has not passed it, and this one relies on
    /// that.
    stays: bool,
    /// Of a channel with timestamps.
    timing: Option<Timing>,
    /// When the messages that have been copied and not passed were published, in a channel with timestamps.
    copied_ns: Vec<u64>,
}

/// Takes a subscriber's place. One that publishers do not wait for has no need to write.
pub(crate) fn open(spec: &Spec) -> Result<Feed, OpenError> {
    let spec = &Spec { reads_only: spec.kind == KIND_LOSSY_BROADCAST, ..spec.clone() };
    let joined = station::join(spec, Side::Second, Role::Subscriber, sweep)?;
    let attach = |joined: &Joined| Intake::attach(joined);
    let (station, intake) = Station::new(spec, joined, Sleepers::Many, attach, |intake| {
        // A publisher whose messages are still there concerns whoever reads them.
        intake.as_mut().is_ok_and(|intake| intake.sight() != Sight::Nothing)
    });
    let geometry = station.segment().geometry();
    let keeps = geometry.kind == KIND_LOSSLESS_BROADCAST && geometry.evict_after_ns == 0;
    let stays = keeps && !station.info().hardened;
    match intake {
        Ok(intake) => {
            let timing = Timing::new(station.segment(), Side::Second);
            if intake.end.is_lossless() {
                // While it joined, its cursor may have kept others from waking publishers that there is room for.
                station.wake();
            }
            Ok(Feed { intake, station, stays, timing, copied_ns: Vec::new() })
        }
        Err(Evidence { found, .. }) => {
            let path = station.segment().path().into();
            let mut station = station;
            station.close();
            station.leave(|| false);
            Err(OpenError::NotASegment { path, reason: format!("its ring is damaged: {found} is no position") })
        }
    }
}

impl Feed {
    /// What there is to know about the channel.
    pub(crate) fn info(&self) -> &ChannelInfo {
        self.station.info()
    }

    /// See [`stays`](Feed::stays).
    pub(crate) fn stays(&self) -> bool {
        self.stays
    }

    /// Whether this process was forked from the one that opened the channel.
    pub(crate) fn is_forked(&self) -> bool {
        self.station.is_forked()
    }

    /// Messages that were lost with publishers that died.
    pub(crate) fn losses(&self) -> u64 {
        Parts::of(self.station.segment()).losses()
    }

    /// Messages that have been published and that this subscriber has neither got nor been told to have missed.
    pub(crate) fn unread(&self) -> u64 {
        let next = match &self.intake.end {
            End::Lossless(end) => end.number(),
            End::Lossy(end) => end.number(),
            End::Frames(end) => return end.unread().saturating_add(self.intake.missed),
        };
        let newest = Parts::of(self.station.segment()).tail();
        newest.map_or(0, |newest| newest.saturating_sub(next.wrapping_sub(self.intake.missed)))
    }

    /// Whether there is a message to be taken at once.
    #[inline(always)]
    pub(crate) fn is_ready(&mut self) -> bool {
        let is_refused = self.station.is_forked() || self.station.is_evicted();
        !is_refused && self.intake.has_message()
    }

    /// The payload of the next message, if it can be taken with the fewest instructions. It is to be copied at once, and then
    /// [completed](Feed::complete). `None` says nothing: there is [`take_turn`](Feed::take_turn).
    #[inline(always)]
    pub(crate) fn begin(&mut self) -> Option<*mut u8> {
        if self.timing.is_some() || self.station.is_forked() || self.station.is_evicted() {
            return None;
        }
        let payload = match &self.intake.end {
            End::Lossy(end) => end.begin(),
            End::Lossless(end) if !self.intake.is_evicted => end.begin(),
            End::Lossless(_) | End::Frames(_) => None,
        };
        payload.map(|payload| payload.as_ptr().cast())
    }

    /// Steps on, if the copy that was made after [`begin`](Feed::begin) is the message that comes next, and wakes publishers. If
    /// it is not, [`take_turn`](Feed::take_turn) says why.
    #[inline(always)]
    pub(crate) fn complete(&mut self) -> bool {
        match &mut self.intake.end {
            End::Lossy(end) => end.complete(),
            End::Lossless(end) => {
                let is_accepted = end.complete();
                if is_accepted {
                    self.wake();
                }
                is_accepted
            }
            End::Frames(_) => false,
        }
    }

    /// Waits until there is a message to be taken. Without one, `patience` is asked how long.
    #[inline(always)]
    pub(crate) fn take_turn(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Hindrance> {
        if self.is_ready() { Ok(()) } else { self.wait(patience()) }
    }

    /// As [`take_turn`](Feed::take_turn), where that is not the common way.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_turn_at_length(&mut self, patience: impl FnOnce() -> Patience) -> Result<(), Hindrance> {
        self.take_turn(patience)
    }

    /// As [`accept`](Feed::accept), where that is not the common way, and wakes publishers.
    #[cold]
    #[inline(never)]
    pub(crate) fn accept_at_length(&mut self) -> bool {
        let is_accepted = self.accept();
        if is_accepted {
            self.wake();
        }
        is_accepted
    }

    /// The payload of the message that can be taken.
    #[inline(always)]
    pub(crate) fn payload(&self) -> *mut u8 {
        self.intake.payload().unwrap_or(NonNull::dangling()).as_ptr().cast()
    }

    /// Bytes of the message that can be taken, if messages vary in length. As for the payload, they count when it has
    /// been accepted.
    pub(crate) fn bytes(&self) -> Option<usize> {
        self.intake.bytes()
    }

    /// Steps on, if the copy that was made of the payload is the message. If it is not, the next look says why.
    #[inline(always)]
    pub(crate) fn accept(&mut self) -> bool {
        if self.timing.is_some() { self.accept_timed() } else { self.intake.accept() }
    }

    #[inline(never)]
    fn accept_timed(&mut self) -> bool {
        let Feed { intake, timing, .. } = self;
        let (Some(timing), Some(payload)) = (timing, intake.payload()) else { return intake.accept() };
        // SAFETY: the payload is that of a slot of the segment, which `station` keeps mapped. If it has been stored to
        // meanwhile, it is not accepted.
        unsafe { timing.receive(payload, || intake.accept()) }
    }

    /// Notes that the message that can be taken has been received, though it is not passed yet.
    pub(crate) fn note_arrival(&mut self) {
        if let Some(timing) = &mut self.timing {
            timing.note_arrival();
        }
    }

    /// How many messages the ring has room for, if each takes a slot.
    pub(crate) fn slots(&self) -> u64 {
        self.station.segment().geometry().slots
    }

    /// How many messages there are from the one on that can be taken, at most `max`.
    pub(crate) fn ready(&self, max: usize) -> usize {
        let most = max.min(self.slots() as usize);
        (0..most).take_while(|&ahead| ahead == 0 || self.intake.sees_ahead(ahead)).count()
    }

    /// The payload `ahead` slots on, of those with messages that are [ready](Feed::ready).
    #[inline(always)]
    pub(crate) fn payload_ahead(&self, ahead: usize) -> *mut u8 {
        self.intake.payload_ahead(ahead).as_ptr().cast()
    }

    /// Whether a copy that is made by `copy` of the payload `ahead` slots on is the message. It is called if there is one, for
    /// each slot from the first on.
    pub(crate) fn copy_ahead(&mut self, ahead: usize, copy: impl FnOnce(*mut u8)) -> bool {
        let Feed { intake, timing, copied_ns, .. } = self;
        if ahead != 0 && !intake.sees_ahead(ahead) {
            return false;
        }
        let payload = intake.payload_ahead(ahead);
        copy(payload.as_ptr().cast());
        if let Some(timing) = timing {
            copied_ns.truncate(ahead);
            // SAFETY: the payload is that of a slot of the segment, which `station` keeps mapped.
            copied_ns.push(unsafe { timing.time_ns(payload) });
        }
        intake.is_intact(ahead)
    }

    /// Steps over so many messages that have been [copied](Feed::copy_ahead).
    pub(crate) fn pass_copied(&mut self, count: usize) {
        self.intake.pass_many(count);
        let Feed { timing: Some(timing), copied_ns, .. } = self else { return };
        let arrival_ns = timing.arrival();
        for sent_ns in copied_ns.drain(..).take(count) {
            timing.note_arrival_again(arrival_ns);
            // SAFETY: `station` keeps the segment mapped.
            unsafe { timing.count_arrived(sent_ns) };
        }
    }

    /// Steps over so many messages that are [ready](Feed::ready), and stay where they are.
    pub(crate) fn pass_many(&mut self, count: usize) {
        let Feed { intake, timing, .. } = self;
        if let Some(timing) = timing {
            let arrival_ns = timing.arrival();
            for ahead in 0..count {
                timing.note_arrival_again(arrival_ns);
                // SAFETY: the payload is that of a slot of the segment, which `station` keeps mapped; nobody stores to it
                // before it is passed.
                unsafe { timing.receive(intake.payload_ahead(ahead), || true) };
            }
        }
        intake.pass_many(count);
    }

    /// How long messages took, as far as this subscriber knows.
    pub(crate) fn latency(&self) -> Option<Latency> {
        // SAFETY: `station` keeps the segment mapped.
        unsafe { self.timing.as_ref()?.latency() }
    }

    /// Wakes publishers that sleep until there is room, if there is any.
    #[inline(always)]
    pub(crate) fn wake(&mut self) {
        let Feed { intake, station, .. } = self;
        match &mut intake.end {
            End::Lossless(end) => station.wake_if(|segment| {
                let first = segment.geometry().first_role;
                end.makes_room(|line| liveness::registered(segment, first + line as u32))
            }),
            End::Frames(end) if end.is_waited_for() => station.wake(),
            End::Lossy(_) | End::Frames(_) => {}
        }
    }

    /// What this end sleeps on.
    pub(crate) fn interest(&self) -> Interest {
        self.station.interest(false)
    }

    /// Whether there is anything to return, as far as the ring says.
    pub(crate) fn look(&mut self) -> bool {
        self.intake.is_evicted || self.intake.sight() != Sight::Nothing
    }

    /// Whether there is anything to return.
    pub(crate) fn probe(&mut self) -> bool {
        let Feed { intake, station, .. } = self;
        let look = |intake: &mut Intake, theirs: &AtomicU32| {
            Ok(intake.is_evicted || intake.sight_awake(theirs) != Sight::Nothing)
        };
        station.probe(intake, look, Intake::tend)
    }

    #[cold]
    #[inline(never)]
    fn wait(&mut self, patience: Patience) -> Result<(), Hindrance> {
        if self.station.is_forked() {
            return Err(Blocked::Forked.into());
        }
        if self.station.is_evicted() {
            return Err(Blocked::Evicted.into());
        }
        let Feed { intake, station, .. } = self;
        // Between two looks the word may change once, or twice, and not over and over but by somebody who means it.
        for _ in 0..MOST_LOOKS {
            if intake.is_evicted {
                return Err(Hindrance::Evicted);
            }
            if intake.is_foiled() {
                intake.refused = 0;
                return Err(Blocked::Corrupt(Corrupt::Unsettled).into());
            }
            match intake.sight() {
                Sight::Message => return Ok(()),
                Sight::Missed(missed) => {
                    intake.missed = 0;
                    return Err(Hindrance::Lagged(missed));
                }
                Sight::Evicted => intake.is_evicted = true,
                Sight::Broken(Evidence { slot, found, expected }) => {
                    if let End::Frames(end) = &mut intake.end {
                        end.skip_damaged();
                    }
                    return Err(Blocked::Corrupt(Corrupt::Stamp { slot, found, expected }).into());
                }
                Sight::Nothing => {
                    let look =
                        |intake: &mut Intake, theirs: &AtomicU32| Ok(intake.sight_awake(theirs) != Sight::Nothing);
                    station.wait(patience, intake, look, Intake::tend)?;
                }
            }
        }
        Err(Blocked::Corrupt(Corrupt::Unsettled).into())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let Feed { intake, station, .. } = self;
        let has_history = station.segment().geometry().history != 0;
        let is_drained = !has_history || intake.sight() == Sight::Nothing;
        match &mut intake.end {
            End::Lossless(end) => end.detach(),
            End::Frames(end) => end.detach(),
            End::Lossy(_) => {}
        }
        station.close();
        station.leave(|| is_drained);
    }
}
