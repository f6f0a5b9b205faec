//! Whether a program takes part in the channels that it is there for.

use super::program::later;
use ipc_core::error::OpenError;
use ipc_core::inspect::{self, Observer};
use ipc_core::{DEFAULT_DOMAIN, DOMAIN_VARIABLE};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a program's channels are looked at, unless something is due earlier.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The channels that a program takes part in when it is well, and how long it may be without.
///
/// A program is *ready* once it takes part in all of them, in whatever role. It is *unhealthy*, although its process
/// lives, if it is not ready in time (30 seconds after its start, unless [`ready_within`](Self::ready_within) says
/// otherwise), or if it has been ready and then misses one of them for some time (5 seconds, unless
/// [`grace`](Self::grace) says otherwise). An unhealthy program is ended, as by
/// [`Supervisor::end_program`](crate::Supervisor::end_program), and that counts as a failure, whatever its exit code
/// is: its [`Restart`](crate::Restart) decides about the rest.
///
/// ```
/// use ipc_process::{Health, Program};
/// use std::process::Command;
/// use std::time::Duration;
///
/// let feed = Program::new("feed", Command::new("./feed"))
///     .health(Health::channels(["orders", "prices"]).ready_within(Duration::from_secs(10)));
/// ```
///
/// The channels are looked at ten times a second, read-only, as by [`Observer`]. An absence between two looks is not
/// noticed. A look that fails, for lack of permission or of a descriptor, says nothing about the program, and nothing
/// follows from it.
///
/// # What it finds, and what it does not
///
/// It finds a program that never came to open its channels, has closed them, or was
/// [evicted](ipc_core::inspect::State::Evicted). A program that is stopped or stuck with its channels open takes part
/// in them.
///
/// Participants are recognised by the process id that they give themselves:
///
/// - It has to be the program's own. A shell that is the command of a [`Program`](crate::Program) has to `exec`; what
///   the program starts does not take part on its behalf.
/// - A program in another PID namespace (a container) gives itself an id that is not known here. It does not get
///   ready, or, if another process has that id, seems to. Such a program is better left without this.
/// - Nobody verifies it. Whoever may write to a channel can make a program look well or unhealthy. What can come of it
///   is that this program is left alone, or ended and restarted: no id is ever sent a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    channels: Vec<Arc<str>>,
    domain: Option<String>,
    ready_within: Duration,
    grace: Duration,
}

impl Health {
    /// By the names of the channels, which have to be in one domain.
    pub fn channels(names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Self {
        Health {
            channels: names.into_iter().map(Into::into).collect(),
            domain: None,
            ready_within: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }

    /// The domain of the channels. Unless given, it is the one that the program's command sets as `SLIPRING_DOMAIN`,
    /// or else this process's.
    #[must_use]
    pub fn domain(self, domain: impl Into<String>) -> Self {
        Health { domain: Some(domain.into()), ..self }
    }

    /// How long after its start the program has to be ready.
    #[must_use]
    pub fn ready_within(self, ready_within: Duration) -> Self {
        Health { ready_within, ..self }
    }

    /// How long a program that has been ready may miss a channel. As a process leaves its channels a moment before it
    /// has ended, a grace of zero takes some exits for losses.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Health { grace, ..self }
    }

    /// Unless a domain was given, takes the one that `command` sets.
    pub(super) fn of_command(self, command: &Command) -> Self {
        let set = command.get_envs().find(|(key, _)| *key == DOMAIN_VARIABLE);
        let domain = set.map(|(_, domain)| match domain {
            Some(domain) => domain.to_string_lossy().into_owned(),
            None => DEFAULT_DOMAIN.to_owned(),
        });
        Health { domain: self.domain.or(domain), ..self }
    }

    /// Whether there can be such channels.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        self.channels.iter().try_for_each(|channel| match self.observe(channel) {
            Err(error @ OpenError::Name { .. }) => Err(error),
            _ => Ok(()),
        })
    }

    fn observe(&self, channel: &str) -> Result<Observer, OpenError> {
        match &self.domain {
            Some(domain) => Observer::open_in(domain, channel),
            None => Observer::open(channel),
        }
    }

    /// Looks at the channels for the process. Nothing is kept open until the next look, so that a channel that has been
    /// removed and created again is found.
    fn look(&self, pid: u32) -> Sight {
        let mut sight = Sight::Present;
        for channel in &self.channels {
            match self.observe(channel).map(|observer| takes_part(&observer, pid)) {
                Ok(true) => {}
                Ok(false) | Err(OpenError::NoChannel { .. }) => return Sight::Absent(Arc::clone(channel)),
                Err(_) => sight = Sight::Unknown,
            }
        }
        sight
    }
}

fn takes_part(observer: &Observer, pid: u32) -> bool {
    observer.participants().iter().any(|one| one.pid == pid && one.state == inspect::State::Live)
}

/// What a look at a program's channels has shown.
#[derive(Debug)]
enum Sight {
    /// It takes part in all of them.
    Present,
    /// It does not in this one.
    Absent(Arc<str>),
    /// One of them could not be looked at.
    Unknown,
}

/// What is new about a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Ready,
    Unhealthy { channel: Arc<str>, absent_for: Duration, was_ready: bool },
}

/// What is known of the health of a run.
#[derive(Debug)]
pub(super) struct Checkup {
    health: Arc<Health>,
    pub(super) is_ready: bool,
    /// Since when it does not take part, if it does not.
    absent_since: Option<Instant>,
    /// When to look at it again, if at all.
    pub(super) next_look: Option<Instant>,
}

impl Checkup {
    /// Of a run that starts at `now`.
    pub(super) fn new(health: Arc<Health>, now: Instant) -> Self {
        Checkup { health, is_ready: false, absent_since: Some(now), next_look: Some(now) }
    }

    /// Looks at the run, which has this process id, if that is due at `now`.
    pub(super) fn look(&mut self, pid: u32, now: Instant) -> Option<Finding> {
        self.next_look.filter(|due| *due <= now)?;
        let finding = self.judge(self.health.look(pid), now);
        let (soon, end) = (later(now, LOOK_INTERVAL), self.end_of_patience());
        self.next_look = Some(end.filter(|end| *end > now).map_or(soon, |end| end.min(soon)));
        finding
    }

    fn judge(&mut self, sight: Sight, now: Instant) -> Option<Finding> {
        match sight {
            Sight::Present => {
                self.absent_since = None;
                let was_ready = std::mem::replace(&mut self.is_ready, true);
                (!was_ready).then_some(Finding::Ready)
            }
            Sight::Absent(channel) => {
                let since = *self.absent_since.get_or_insert(now);
                let is_over = self.end_of_patience().is_some_and(|end| end <= now);
                let absent_for = now.saturating_duration_since(since);
                is_over.then_some(Finding::Unhealthy { channel, absent_for, was_ready: self.is_ready })
            }
            Sight::Unknown => None,
        }
    }

    /// From when on it is unhealthy if it still does not take part.
    fn end_of_patience(&self) -> Option<Instant> {
        let patience = if self.is_ready { self.health.grace } else { self.health.ready_within };
        self.absent_since.map(|since| later(since, patience))
    }
}

#[cfg(test)]
mod tests {
    use super::{Checkup, Finding, Health, Sight};
    use std::process::Command;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    const SECOND: Duration = Duration::from_secs(1);

    /// How a sight of a run so many seconds after its start is judged. It has 10 s to get ready, and 3 s of grace.
    fn run() -> impl FnMut(u32, Sight) -> Option<Finding> {
        let health = Health::channels(["a"]).ready_within(10 * SECOND).grace(3 * SECOND);
        let start = Instant::now();
        let mut checkup = Checkup::new(Arc::new(health), start);
        move |at_s, sight| checkup.judge(sight, start + at_s * SECOND)
    }

    fn absent() -> Sight {
        Sight::Absent("a".into())
    }

    fn unhealthy(absent_for_s: u32, was_ready: bool) -> Option<Finding> {
        Some(Finding::Unhealthy { channel: "a".into(), absent_for: absent_for_s * SECOND, was_ready })
    }

    #[test]
    fn it_has_its_time_to_get_ready() {
        let mut judge = run();
        assert_eq!(judge(9, absent()), None);
        assert_eq!(judge(10, absent()), unhealthy(10, false));
        let mut judge = run();
        assert_eq!(judge(9, Sight::Present), Some(Finding::Ready));
        assert_eq!(judge(11, Sight::Present), None, "that is said once");
    }

    #[test]
    fn it_has_its_grace_each_time_that_it_is_absent() {
        let mut judge = run();
        judge(1, Sight::Present);
        assert_eq!([judge(20, absent()), judge(22, absent())], [None, None]);
        assert_eq!(judge(23, Sight::Present), None, "it is ready still");
        assert_eq!([judge(24, absent()), judge(26, absent())], [None, None]);
        assert_eq!(judge(27, absent()), unhealthy(3, true));
    }

    #[test]
    fn what_cannot_be_seen_is_not_held_against_it() {
        let mut judge = run();
        assert_eq!(judge(10, Sight::Unknown), None);
        assert_eq!(judge(11, Sight::Present), Some(Finding::Ready));
        assert_eq!(judge(99, Sight::Unknown), None);
        assert_eq!(judge(100, absent()), None, "it may have been there until now");
    }

    #[test]
    fn the_domain_is_the_commands_unless_given() {
        let mut command = Command::new("true");
        let domain = |health: Health, command: &Command| health.of_command(command).domain;
        let health = Health::channels(["a"]);
        assert_eq!(domain(health.clone(), &command), None);
        command.env("SLIPRING_DOMAIN", "lab");
        assert_eq!(domain(health.clone(), &command).as_deref(), Some("lab"));
        assert_eq!(domain(health.clone().domain("desk"), &command).as_deref(), Some("desk"));
        command.env_remove("SLIPRING_DOMAIN");
        assert_eq!(domain(health, &command).as_deref(), Some("default"));
    }
}
