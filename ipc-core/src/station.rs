//! A station is what every handle of every kind of channel has besides the end of its ring: its line in the participant
//! table, the watch that notices the deaths of its peers, the futex word it sleeps on and the one it wakes.
//!
//! So blocking is written once. The same code waits for messages and for room, and watches one peer or many.

use crate::error::{Corrupt, OpenError, Peer, Role};
use crate::info::ChannelInfo;
use crate::interest::{Interest, write_sleeping};
use crate::layout::{Side, unpadded};
use crate::liveness::{self, Claim, PROBE_INTERVAL, Participant, Sight, Watch};
use crate::os;
use crate::os::fork::Epoch;
use crate::ring::claims::Counter;
use crate::ring::{Company, Life};
use crate::segment::{self, Opened, Segment, Spec};
use crate::waiting::{self, Announced, Sleepers, Spin};
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use core::time::Duration;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

/// How long to wait for somebody who has closed to give the place back, which takes microseconds.
const LEAVING_PATIENCE: Duration = Duration::from_secs(2);

/// How long a participant that cannot issue the barrier waits instead, for the stores of others to become visible. That
/// takes less than a microsecond on every processor; it is far longer because nothing guarantees it.
const BARRIER_SUBSTITUTE: Duration = Duration::from_millis(10);

/// How long to wait.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// Until then.
    Until(Instant),
    /// Until it happens.
    Forever,
}

impl Patience {
    /// To wait for `limit` from now.
    pub(crate) fn from_timeout(limit: Duration) -> Self {
        if limit.is_zero() {
            // To announce a sleep that cannot come would cost a barrier on every processor.
            return Patience::None;
        }
        // A limit beyond what the clock can express is no limit.
        Instant::now().checked_add(limit).map_or(Patience::Forever, Patience::Until)
    }

    /// When it is over, if ever.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Patience::Until(deadline) => Some(deadline),
            _ => None,
        }
    }

    /// What is left; `None` if nothing is.
    pub(crate) fn left(self) -> Option<Duration> {
        match self {
            Patience::None => None,
            Patience::Until(deadline) => deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()),
            Patience::Forever => Some(Duration::MAX),
        }
    }
}

/// Why the turn did not come.
pub(crate) enum Blocked {
    /// The patience is over.
    Timeout,
    /// The other side left of its own will.
    Closed,
    /// The other side died; reported by this.
    Died(Peer),
    /// The ring is damaged.
    Corrupt(Corrupt),
    /// This process was forked from the one that opened the channel.
    Forked,
    /// The call refers to a place in the segment, and this end is hardened.
    Hardened,
    /// This participant was sent away.
    Evicted,
}

/// A place in a channel that has been taken, with the lifecycle lock still held so that the ring can be attached to.
pub(crate) struct Joined {
    opened: Opened,
    participant: Participant,
    predecessor: Option<Peer>,
    side: Side,
}

impl Joined {
    /// The channel's segment.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.opened.segment
    }

    /// The line of the participant table that has been taken, counted from the first one of its side.
    pub(crate) fn line(&self) -> usize {
        (self.participant.line() - self.side.lines_of(self.segment().geometry()).start) as usize
    }

    /// The place by itself, and what there is to know about the channel. The lifecycle lock goes.
    pub(crate) fn into_place(self, spec: &Spec) -> (Participant, Box<ChannelInfo>) {
        let Joined { opened, participant, predecessor, .. } = self;
        let info = Box::new(ChannelInfo::new(&opened.segment, spec, opened.created, predecessor));
        (participant, info)
    }

    /// Which of the owners that its line has had this participant is.
    pub(crate) fn generation(&self) -> u32 {
        liveness::registered(self.segment(), self.participant.line()).unwrap_or(0)
    }

    /// Tells those on its side, whose counter this is, that this participant joins them, if there are any.
    pub(crate) fn enter(&self, counter: &Counter) -> Company {
        let company = self.company();
        if company == Company::Others {
            counter.announce();
            if !os::barrier_everywhere() {
                thread::sleep(BARRIER_SUBSTITUTE);
            }
        }
        company
    }

    /// Whether this participant may take its side for its own until somebody else joins it, who tells it so by a
    /// barrier that reaches it.
    fn company(&self) -> Company {
        let segment = self.segment();
        let mut others = self.side.lines_of(segment.geometry()).filter(|&line| line != self.participant.line());
        let is_alone = !others.any(|line| liveness::life(segment, line) == Life::Live);
        if is_alone && os::joins_barriers() { Company::Alone } else { Company::Others }
    }
}

/// Whether nobody who lives takes part in the channel; the error says who does. `roles` names the two sides.
pub(crate) fn check_unused(segment: &Segment, roles: [Role; 2]) -> Result<(), OpenError> {
    let geometry = segment.geometry();
    match liveness::first_living(segment, 0..geometry.participants) {
        None => Ok(()),
        Some((index, peer)) => {
            let role = roles[usize::from(index >= geometry.first_role)];
            Err(OpenError::InUse { channel: unpadded(&geometry.name), role, peer })
        }
    }
}

/// Opens the channel and takes a place on `side`. Waits for a predecessor that has closed and is on its way out.
///
/// `sweep` resolves what the dead owner of a line has left undone in the ring; `false` if it cannot yet.
pub(crate) fn join(
    spec: &Spec,
    side: Side,
    role: Role,
    sweep: impl Fn(&Segment, u32) -> bool,
) -> Result<Joined, OpenError> {
    join_or_init(spec, side, role, sweep, &mut |_| {})
}

/// As [`join`], for a segment that `init` gives a beginning: see [`segment::open`].
pub(crate) fn join_or_init(
    spec: &Spec,
    side: Side,
    role: Role,
    sweep: impl Fn(&Segment, u32) -> bool,
    init: &mut dyn FnMut(&Segment),
) -> Result<Joined, OpenError> {
    let started = Instant::now();
    loop {
        let opened = segment::open(spec, init)?;
        let lines = side.lines_of(opened.segment.geometry());
        let places = lines.end - lines.start;
        if !opened.segment.has_places() {
            let participant = Participant::without_place(&opened.segment, lines.start);
            return Ok(Joined { opened, participant, predecessor: None, side });
        }
        let sweep = |line| sweep(&opened.segment, line);
        let is_by_value = opened.segment.hardens(&spec.access);
        let peer = match Participant::join(&opened.segment, &opened.lifecycle, lines, is_by_value, sweep)? {
            Claim::Joined(participant, predecessor) => return Ok(Joined { opened, participant, predecessor, side }),
            Claim::Leaving(_) if started.elapsed() < LEAVING_PATIENCE => {
                // Lets the lifecycle lock go, which the other one needs to leave.
                drop(opened);
                thread::sleep(Duration::from_micros(50));
                continue;
            }
            Claim::Leaving(peer) | Claim::Occupied(peer) => peer,
        };
        let channel = spec.name.channel().into();
        return Err(match places {
            1 => OpenError::InUse { channel, role, peer },
            _ => OpenError::TableFull { channel, role, places },
        });
    }
}

/// One participant's part in a channel.
pub(crate) struct Station {
    /// The word that the other side sleeps on. Mapped for as long as `participant` is.
    theirs: NonNull<AtomicU32>,
    /// The word that this side sleeps on. Mapped for as long as `participant` is.
    mine: NonNull<AtomicU32>,
    /// When the channel was opened. In a child that was forked since, nothing here leads to it any more.
    epoch: Epoch,
    /// Who sleeps on `mine`.
    sleepers: Sleepers,
    spin: Spin,
    watch: Watch,
    /// When the locks of the others were last looked at, by [`os::monotonic_ns`].
    last_probe_ns: Option<u64>,
    participant: Participant,
    info: Box<ChannelInfo>,
}

// SAFETY: the two words are atomics in a mapping that `participant` keeps alive and that any thread may use; everything
// else in here is `Send` by itself.
unsafe impl Send for Station {}
// SAFETY: as for `Send`; nothing is done through a shared reference but atomic loads and wake-ups.
unsafe impl Sync for Station {}

impl Station {
    /// Prepares to wait and to wake. The first message may be published after this, and not before.
    ///
    /// `attach` takes this participant's end of the ring, and `is_unfinished` tells whether the other side has left
    /// business there that makes its deaths this one's concern.
    pub(crate) fn new<E>(
        spec: &Spec,
        joined: Joined,
        sleepers: Sleepers,
        attach: impl FnOnce(&Joined) -> E,
        is_unfinished: impl FnOnce(&mut E) -> bool,
    ) -> (Self, E) {
        let lines = joined.side.other().lines_of(joined.segment().geometry());
        Self::watching(spec, joined, sleepers, lines, attach, is_unfinished)
    }

    /// As [`new`](Station::new), for a participant that goes on whatever becomes of the other side: waiting never ends
    /// with [`Blocked::Closed`] or [`Blocked::Died`].
    pub(crate) fn unconcerned<E>(
        spec: &Spec,
        joined: Joined,
        sleepers: Sleepers,
        attach: impl FnOnce(&Joined) -> E,
    ) -> (Self, E) {
        Self::watching(spec, joined, sleepers, 0..0, attach, |_| false)
    }

    fn watching<E>(
        spec: &Spec,
        joined: Joined,
        sleepers: Sleepers,
        lines: Range<u32>,
        attach: impl FnOnce(&Joined) -> E,
        is_unfinished: impl FnOnce(&mut E) -> bool,
    ) -> (Self, E) {
        let segment = joined.segment();
        let (data, space) = (&segment.wait_line(0).word, &segment.wait_line(1).word);
        if segment.is_writable() {
            waiting::register([data, space]);
        }
        let (mine, theirs) = if joined.side == Side::First { (space, data) } else { (data, space) };
        let (mine, theirs, epoch) = (NonNull::from(mine), NonNull::from(theirs), segment.epoch());
        let mut end = attach(&joined);
        let watch = Watch::new(segment, lines, || is_unfinished(&mut end));
        let Joined { opened, participant, predecessor, .. } = joined;
        let info = Box::new(ChannelInfo::new(&opened.segment, spec, opened.created, predecessor));
        let spin = Spin::for_messages_of(participant.segment().geometry().slot_bytes as usize);
        (Station { theirs, mine, epoch, sleepers, spin, watch, last_probe_ns: None, participant, info }, end)
    }

    /// What there is to know about the channel.
    pub(crate) fn info(&self) -> &ChannelInfo {
        &self.info
    }

    /// The channel's segment.
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        self.participant.segment()
    }

    /// Which side this participant is on.
    pub(crate) fn side(&self) -> Side {
        let is_first = Side::First.lines_of(self.segment().geometry()).contains(&self.participant.line());
        if is_first { Side::First } else { Side::Second }
    }

    /// Whether this process was forked from the one that opened the channel. To be asked before anything that should
    /// have an effect: all that would come of it otherwise is a change of memory that nobody shares.
    #[inline(always)]
    pub(crate) fn is_forked(&self) -> bool {
        self.epoch.is_past()
    }

    /// Whether this participant was sent away: to be asked before anything is claimed.
    #[inline(always)]
    pub(crate) fn is_evicted(&self) -> bool {
        self.participant.is_evicted()
    }

    /// Whether it was, and the others do as if it had died. Then it gives nothing back.
    pub(crate) fn is_struck(&self) -> bool {
        self.participant.is_struck()
    }

    /// Whether this participant takes part, and not another process or somebody else in its place.
    fn check_taking_part(&self) -> Result<(), Blocked> {
        if self.is_forked() {
            Err(Blocked::Forked)
        } else if self.is_evicted() {
            Err(Blocked::Evicted)
        } else {
            Ok(())
        }
    }

    /// Whether this end may refer to places in the segment, which a hardened one may not.
    pub(crate) fn check_in_place(&self) -> Result<(), Blocked> {
        if self.info.hardened { Err(Blocked::Hardened) } else { Ok(()) }
    }

    /// Wakes everybody on the other side who sleeps.
    #[inline(always)]
    pub(crate) fn wake(&self) {
        // SAFETY: the word is mapped for as long as `self.participant` is.
        waiting::wake(unsafe { self.theirs.as_ref() });
    }

    /// As [`wake`](Station::wake), if `is_due` says so, which is asked only when somebody sleeps. It is handed the segment.
    #[inline(always)]
    pub(crate) fn wake_if(&self, is_due: impl FnOnce(&Segment) -> bool) {
        // SAFETY: the word is mapped for as long as `self.participant` is.
        waiting::wake_if(unsafe { self.theirs.as_ref() }, || is_due(self.segment()));
    }

    /// Wakes everybody on this participant's own side who sleeps.
    #[inline(always)]
    pub(crate) fn wake_own_side(&self) {
        // SAFETY: the word is mapped for as long as `self.participant` is.
        waiting::wake(unsafe { self.mine.as_ref() });
    }

    /// Wakes up to `count` of those on the other side who sleep.
    #[inline(always)]
    pub(crate) fn wake_some(&self, count: u32) {
        // SAFETY: the word is mapped for as long as `self.participant` is.
        waiting::wake_some(unsafe { self.theirs.as_ref() }, count);
    }

    /// Waits until `look` says that it is the turn of `end`. It is handed the word that the other side sleeps on, to wake
    /// those for whom it has made room on the way.
    ///
    /// `tend` is called from time to time, also if no call waits for that long: to repair what a dead participant holds up. It
    /// says whether what `end` finds is to be believed.
    #[cold]
    #[inline(never)]
    pub(crate) fn wait<E>(
        &mut self,
        patience: Patience,
        end: &mut E,
        look: impl Fn(&mut E, &AtomicU32) -> Result<bool, Corrupt>,
        tend: impl Fn(&mut E, &Segment) -> bool,
    ) -> Result<(), Blocked> {
        self.check_taking_part()?;
        if let Patience::None = patience {
            let is_ours = self.look_around(os::recent_ns(), end, &look, &tend)?;
            return if is_ours { Ok(()) } else { Err(Blocked::Timeout) };
        }
        // SAFETY: the word is mapped for as long as `self.participant` is.
        let theirs = unsafe { self.theirs.as_ref() };
        let shares_processor = self.watch.only_line().is_some_and(|line| self.participant.shares_processor(line));
        let mut found = Ok(false);
        let ready = || {
            found = look(end, theirs);
            !matches!(found, Ok(false))
        };
        if self.spin.until(patience.deadline(), shares_processor, ready) {
            return found.map(|_| ()).map_err(Blocked::Corrupt);
        }
        self.participant.publish_processor();
        // SAFETY: as above.
        let mine = unsafe { self.mine.as_ref() };
        loop {
            let segment = self.participant.segment();
            let mut announced = patience.left().map(|_| match segment.is_writable() {
                true => Announced::new(mine, self.sleepers),
                false => Announced::by(mine, || write_sleeping(segment, mine)),
            });
            loop {
                if self.is_evicted() {
                    return Err(Blocked::Evicted);
                }
                // R2 of the waiting protocol.
                if self.look_around(os::monotonic_ns(), end, &look, &tend)? {
                    return Ok(());
                }
                let Some(left) = patience.left() else { return Err(Blocked::Timeout) };
                let Some(announced) = &mut announced else { return Err(Blocked::Timeout) };
                let is_still_announced = announced.sleep(left);
                if look(end, theirs).map_err(Blocked::Corrupt)? {
                    self.spin.note_woken();
                    return Ok(());
                }
                if !is_still_announced {
                    break;
                }
            }
        }
    }

    /// Whether it is the turn of `end`, after a look at the other side, which is what an error tells of.
    fn look_around<E>(
        &mut self,
        now_ns: u64,
        end: &mut E,
        look: &impl Fn(&mut E, &AtomicU32) -> Result<bool, Corrupt>,
        tend: &impl Fn(&mut E, &Segment) -> bool,
    ) -> Result<bool, Blocked> {
        let (sight, is_ours) = self.sight(now_ns, end, look, tend);
        match (is_ours.map_err(Blocked::Corrupt)?, sight) {
            (true, _) => Ok(true),
            (false, Sight::Present) => Ok(false),
            (false, Sight::Closed) => Err(Blocked::Closed),
            (false, Sight::Died(peer)) => {
                self.watch.acknowledge_death();
                Err(Blocked::Died(peer))
            }
        }
    }

    /// How the other side is doing, and whether it is the turn of `end`: looked at in this order, without which what is
    /// thought of the other side is not to be believed (P3). In between the ring is tended if that is due, or if nobody is
    /// waited for any more, who might then be thought to have left nothing. While `end` cannot tell what they have left, they
    /// count as present.
    fn sight<E>(
        &mut self,
        now_ns: u64,
        end: &mut E,
        look: &impl Fn(&mut E, &AtomicU32) -> Result<bool, Corrupt>,
        tend: &impl Fn(&mut E, &Segment) -> bool,
    ) -> (Sight, Result<bool, Corrupt>) {
        let interval_ns = PROBE_INTERVAL.as_nanos() as u64;
        let is_due = self.last_probe_ns.is_none_or(|last| now_ns.saturating_sub(last) >= interval_ns);
        if is_due {
            self.last_probe_ns = Some(now_ns);
        }
        let mut sight = self.watch.sight(is_due);
        if (is_due || sight != Sight::Present) && !tend(end, self.participant.segment()) {
            sight = Sight::Present;
        }
        // SAFETY: the word is mapped for as long as `self.participant` is.
        let theirs = unsafe { self.theirs.as_ref() };
        (sight, look(end, theirs))
    }

    /// Whether [`wait`](Station::wait) would end at once, for whatever reason. What it would report is left to it.
    pub(crate) fn probe<E>(
        &mut self,
        end: &mut E,
        look: impl Fn(&mut E, &AtomicU32) -> Result<bool, Corrupt>,
        tend: impl Fn(&mut E, &Segment) -> bool,
    ) -> bool {
        if self.is_forked() || self.is_evicted() {
            return true;
        }
        let (sight, is_ours) = self.sight(os::monotonic_ns(), end, &look, &tend);
        !matches!(is_ours, Ok(false)) || sight != Sight::Present
    }

    /// What somebody has to know who waits for this end on its behalf. `is_restless` says that it is to be looked at from time
    /// to time.
    pub(crate) fn interest(&self, is_restless: bool) -> Interest {
        let segment = self.segment();
        let lines = match self.sleepers {
            Sleepers::One => self.watch.lines(),
            // Those of this side matter as well: one who dies may leave work that it was woken for.
            Sleepers::Many => 0..segment.geometry().participants,
        };
        // SAFETY: `new` has taken the word from this segment.
        unsafe { Interest::new(segment.clone(), self.mine, self.sleepers, lines, self.side(), is_restless) }
    }

    /// Says that this participant leaves of its own will and has published everything, and wakes the other side.
    pub(crate) fn close(&self) {
        if self.is_forked() {
            return;
        }
        self.participant.close();
        if !self.segment().is_writable() {
            // Nobody waits for one who only reads.
            return;
        }
        // Everybody, by way of a count: among many, one who is about to sleep is kept from it by that alone.
        self.wake_some(u32::MAX);
    }

    /// Gives the place back, after [`close`](Station::close), and removes the segment if this was the last participant
    /// and its lifetime says so.
    pub(crate) fn leave(&mut self, is_drained: impl FnOnce() -> bool) {
        if !self.is_forked() {
            self.participant.leave(is_drained);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::interest::Sealed;
    use crate::os::BARRIERS;
    use crate::{Broadcast, Queue, RecvTimeoutError, Service};

    /// `taker` steps over what was given up, and has nothing to take. Somebody sleeps until there is room.
    fn assert_awake(room: &Interest, taker: &mut impl Sealed) {
        room.announce();
        assert!(!taker.probe(), "there is nothing to take");
        assert!(!waiting::is_asleep(room.word()), "whoever waits for the room is woken");
    }

    #[test]
    fn room_that_was_given_up_wakes_those_who_wait_for_it() {
        let domain = format!("unit-{}", std::process::id());
        let queue = Queue::<u64>::new("gap").domain(&domain);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        drop(tx.loan().unwrap());
        assert_awake(&tx.interest(), &mut rx);

        let queue = Queue::<str>::new("gap-tail").domain(&domain);
        let (mut tx, mut rx) = (queue.sender().unwrap(), queue.receiver().unwrap());
        drop(tx.loan_len(100).unwrap());
        assert_awake(&tx.interest(), &mut rx);

        let broadcast = Broadcast::<u64>::new("gap-all").capacity(1).domain(&domain);
        let (mut publisher, mut subscriber) = (broadcast.publisher().unwrap(), broadcast.subscriber().unwrap());
        drop(publisher.loan().unwrap());
        assert_awake(&publisher.interest(), &mut subscriber);

        let broadcast = Broadcast::<str>::new("gap-all-tail").domain(&domain);
        let (mut publisher, mut subscriber) = (broadcast.publisher().unwrap(), broadcast.subscriber().unwrap());
        drop(publisher.loan_len(100).unwrap());
        assert_awake(&publisher.interest(), &mut subscriber);
    }

    #[test]
    fn whoever_leaves_wakes_those_who_wait_for_what_it_had() {
        let domain = format!("unit-{}", std::process::id());
        let queue = Queue::<u64>::new("had").domain(&domain);
        let (mut tx, mut rx, mut other) =
            (queue.sender().unwrap(), queue.receiver().unwrap(), queue.receiver().unwrap());
        tx.send(1).unwrap();
        assert!(rx.probe(), "the message is its own");
        let waiting = other.interest();
        waiting.announce();
        drop(rx);
        assert!(!waiting::is_asleep(waiting.word()), "the message is there for another one");
        // A channel with messages in it stays.
        assert_eq!(other.try_recv(), Ok(Some(1)));

        let broadcast = Broadcast::<u64>::new("had-all").lossy().domain(&domain);
        let (mut publisher, other) = (broadcast.publisher().unwrap(), broadcast.publisher().unwrap());
        assert!(publisher.probe(), "the place is its own");
        let waiting = other.interest();
        waiting.announce();
        drop(publisher);
        assert!(!waiting::is_asleep(waiting.word()), "the place is given up");

        let service = Service::<u64, u64>::new("had-called").domain(&domain);
        let (client, mut server, other) =
            (service.client().unwrap(), service.server().unwrap(), service.server().unwrap());
        let _call = client.submit(1).unwrap();
        assert!(server.probe(), "the call is its own");
        let waiting = other.interest();
        waiting.announce();
        drop(server);
        assert!(!waiting::is_asleep(waiting.word()), "the call is there for another one");
    }

    #[test]
    fn a_timeout_of_zero_costs_no_barrier() {
        let queue = Queue::<u64>::new("zero").spsc().domain(format!("unit-{}", std::process::id()));
        let mut rx = queue.receiver().unwrap();
        let before = BARRIERS.get();
        assert_eq!(rx.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        assert_eq!(BARRIERS.get(), before);
        // On a busy machine a limit may pass before the sleep is announced.
        let sleeps = (0..100).any(|_| {
            assert_eq!(rx.recv_timeout(Duration::from_millis(20)), Err(RecvTimeoutError::Timeout));
            BARRIERS.get() > before
        });
        assert!(sleeps, "a limit that leaves time to sleep does");
    }
}
