//! Where a number of parties wait for each other. The algorithm is in `lock/rendezvous.rs`.

use super::Options;
use super::member::{Count, Member, Queue};
use crate::error::{BarrierError, BarrierTimeoutError, Forked, OpenError};
use crate::info::ChannelInfo;
use crate::layout::KIND_BARRIER;
use crate::liveness;
use crate::lock::{Arrival, MAX_PARTIES, Rendezvous, Standing};
use crate::segment::Segment;
use crate::station::Patience;
use core::fmt;
use core::time::Duration;

/// A barrier: a fixed number of parties, threads of several processes, wait for each other, phase after phase.
///
/// Every process that has the barrier open is a member. If a member dies, the current phase is *broken*: all threads
/// that wait, and all that arrive later, get [`BarrierError::Broken`], until [`reset`](Barrier::reset) is called.
/// Closing a handle breaks nothing, and another process may take the missing part.
///
/// ```
/// use ipc_core::sync::Barrier;
/// # use ipc_core::sync::Options;
///
/// # let domain = format!("doc-{}", std::process::id());
/// # let start = Barrier::open(Options::new("start").domain(&domain), 2)?;
/// # /*
/// let start = Barrier::open("start", 2)?;
/// # */
/// std::thread::scope(|scope| {
///     scope.spawn(|| start.wait().unwrap());
///     start.wait().unwrap();
/// });
/// # Ok::<(), ipc_core::OpenError>(())
/// ```
pub struct Barrier {
    rendezvous: Rendezvous,
    member: Member,
}

impl Barrier {
    /// Opens the barrier with this name, or creates it for `parties` parties.
    ///
    /// # Errors
    ///
    /// - [`OpenError::Count`] if `parties` is 0 or more than 65,535.
    /// - [`OpenError::OtherCount`] if the barrier was created for another number of parties.
    /// - [`OpenError::Kind`] if the name belongs to something else.
    /// - Any other [`OpenError`], as documented there.
    pub fn open(options: impl Into<Options>, parties: u32) -> Result<Self, OpenError> {
        if !(1..=MAX_PARTIES).contains(&parties) {
            let rule = "a barrier has 1 to 65,535 parties";
            return Err(OpenError::Count { count: parties, unit: "parties", rule });
        }
        // The line's lock is held, so its last owner is gone, and if it was a member, it died as one.
        let sweep = |segment: &Segment, line| {
            let (rendezvous, line) = (segment.rendezvous(), line as usize);
            if let Some(claim) = rendezvous.member(line) {
                rendezvous.break_for(line);
                rendezvous.forget(line, claim);
            }
        };
        let attach = |segment: &Segment, line, generation| segment.rendezvous().join(line, generation);
        // Whoever waits for more parties than there are would go on too early, or never.
        let count = Count { number: parties, agreed: Some("parties") };
        let member = Member::open::<u64>(&options.into(), KIND_BARRIER, count, &mut |_| {}, sweep, attach)?;
        Ok(Barrier { rendezvous: member.segment().rendezvous(), member })
    }

    /// Waits until all parties have arrived. Returns `true` to the last one, and `false` to the others.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`] if a member has died.
    pub fn wait(&self) -> Result<bool, BarrierError> {
        self.wait_within(Patience::Forever).map_err(|error| match error {
            BarrierTimeoutError::Barrier(error) => error,
            // Which takes longer than anybody lives.
            BarrierTimeoutError::Timeout => BarrierError::Forked(Forked),
        })
    }

    /// Waits for at most `limit`: see [`wait`](Barrier::wait).
    ///
    /// # Errors
    ///
    /// [`BarrierTimeoutError::Timeout`] if not all parties arrived in time. The arrival of this one is then withdrawn;
    /// the others keep waiting for it, or for another one.
    pub fn wait_timeout(&self, limit: Duration) -> Result<bool, BarrierTimeoutError> {
        self.wait_within(Patience::from_timeout(limit))
    }

    fn wait_within(&self, patience: Patience) -> Result<bool, BarrierTimeoutError> {
        self.member.check_forked().map_err(BarrierError::from)?;
        let phase = loop {
            match self.rendezvous.arrive() {
                Arrival::Waiting(phase) => break phase,
                Arrival::Last => {
                    self.member.wake(Queue::Turn, u32::MAX);
                    return Ok(true);
                }
                Arrival::Broken(line) => return Err(self.broken(line).into()),
                Arrival::Overtaken => std::thread::yield_now(),
            }
        };
        let ended = self.member.wait(Queue::Turn, patience, |round| {
            if round.probes {
                self.look_for_the_dead();
            }
            self.end_of(phase)
        });
        if let Some(ended) = ended {
            return ended;
        }
        if self.rendezvous.withdraw(phase) {
            return Err(BarrierTimeoutError::Timeout);
        }
        // It came to its end in the last moment.
        self.end_of(phase).unwrap_or(Err(BarrierTimeoutError::Timeout))
    }

    /// How a phase has ended, if it has.
    fn end_of(&self, phase: u32) -> Option<Result<bool, BarrierTimeoutError>> {
        match self.rendezvous.standing(phase) {
            Standing::Waiting => None,
            Standing::Passed => Some(Ok(false)),
            Standing::Broken(line) => Some(Err(self.broken(line).into())),
        }
    }

    /// Ends a broken phase, so that the next one can begin. Threads that still wait in it get [`BarrierError::Broken`].
    /// Returns `false` if the phase was not broken.
    ///
    /// # Errors
    ///
    /// [`Forked`] in a forked child.
    pub fn reset(&self) -> Result<bool, Forked> {
        self.member.check_forked()?;
        for (line, claim) in self.fallen() {
            // Its death has done what it could.
            self.rendezvous.break_for(line);
            self.rendezvous.forget(line, claim);
        }
        let is_reset = self.rendezvous.reset();
        self.member.wake(Queue::Turn, u32::MAX);
        Ok(is_reset)
    }

    /// Whether the current phase is broken. A death counts once a waiter has found it.
    ///
    /// # Errors
    ///
    /// As for [`reset`](Barrier::reset).
    pub fn is_broken(&self) -> Result<bool, Forked> {
        self.member.check_forked()?;
        Ok(self.rendezvous.is_broken())
    }

    /// The number of parties that the barrier was created for.
    pub fn parties(&self) -> u32 {
        self.rendezvous.parties().into()
    }

    /// The number of parties that have arrived and wait.
    ///
    /// # Errors
    ///
    /// As for [`reset`](Barrier::reset).
    pub fn waiting(&self) -> Result<u32, Forked> {
        self.member.check_forked()?;
        Ok(self.rendezvous.arrived().into())
    }

    /// The actual options of the barrier's segment, and who created it.
    pub fn info(&self) -> &ChannelInfo {
        self.member.info()
    }

    /// Breaks the phase if a member has died.
    fn look_for_the_dead(&self) {
        let fallen = self.fallen().next();
        if fallen.is_some_and(|(line, _)| self.rendezvous.break_for(line)) {
            self.member.wake(Queue::Turn, u32::MAX);
        }
    }

    /// The lines and claims of members that are dead, and whose deaths have not been dealt with.
    fn fallen(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let segment = self.member.segment();
        (0..self.rendezvous.lines()).filter_map(|line| {
            let claim = self.rendezvous.member(line)?;
            liveness::has_died(segment, line as u32).then_some((line, claim))
        })
    }

    fn broken(&self, line: usize) -> BarrierError {
        let line = (line as u32).min(super::PLACES - 1);
        BarrierError::Broken(liveness::last_dead(self.member.segment(), line))
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        let rendezvous = &self.rendezvous;
        self.member.leave(|member| rendezvous.leave(member.line()));
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("name", &self.member.info().name).finish_non_exhaustive()
    }
}
