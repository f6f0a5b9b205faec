//! When a program that has ended is started again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// When a program that has ended is started again, how soon, and how often at most.
///
/// Each time it waits twice as long as before, from a tenth of a second up to ten seconds, and if it would have to be
/// restarted more than five times within a minute, it is given up. A program that has run for that minute begins
/// again with the shortest wait.
///
/// ```
/// use ipc_process::Restart;
/// use std::time::Duration;
///
/// let patient = Restart::always()
///     .at_most(100, Duration::from_secs(3600))
///     .backoff(Duration::from_millis(10), Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    when: When,
    /// How many restarts there may be within `window`.
    most: Option<u32>,
    window: Duration,
    first_delay: Duration,
    longest_delay: Duration,
}

/// After which exits a program is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Never,
    OnFailure,
    Always,
}

impl Restart {
    /// It is not started again.
    pub fn never() -> Self {
        Restart::when(When::Never)
    }

    /// It is started again unless it ends with the exit code 0.
    pub fn on_failure() -> Self {
        Restart::when(When::OnFailure)
    }

    /// It is started again however it ends.
    pub fn always() -> Self {
        Restart::when(When::Always)
    }

    /// Gives it up when it would have to be restarted more than `times` within `window`.
    #[must_use]
    pub fn at_most(self, times: u32, window: Duration) -> Self {
        Restart { most: Some(times), window, ..self }
    }

    /// Never gives it up.
    #[must_use]
    pub fn without_limit(self) -> Self {
        Restart { most: None, ..self }
    }

    /// Waits for `first` before the first restart, and twice as long before each further one, but no longer than
    /// `longest`.
    #[must_use]
    pub fn backoff(self, first: Duration, longest: Duration) -> Self {
        Restart { first_delay: first, longest_delay: longest, ..self }
    }

    fn when(when: When) -> Self {
        Restart {
            when,
            most: Some(5),
            window: Duration::from_secs(60),
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(10),
        }
    }
}

/// What is to be done about a program that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: it was to end.
    Leave,
    /// Start it again after this time.
    RestartIn(Duration),
    /// Nothing, though it would have to be started again: it has been too often.
    GiveUp {
        /// How often it has been started again within `window`.
        restarts: u32,
        window: Duration,
    },
}

/// A policy, and what it needs to know of the past. It has no clock of its own.
#[derive(Debug)]
pub(crate) struct History {
    policy: Restart,
    /// When restarts were decided on that may still count. There are no more than the policy permits.
    recent: VecDeque<Instant>,
    /// How often the wait has been doubled.
    doublings: u32,
}

impl History {
    pub(crate) fn new(policy: Restart) -> Self {
        History { policy, recent: VecDeque::new(), doublings: 0 }
    }

    /// Forgets what has been: the program begins anew.
    pub(crate) fn forget(&mut self) {
        self.recent.clear();
        self.doublings = 0;
    }

    /// Decides what to do at `now` about a program that has ended after `ran_for`.
    pub(crate) fn decide(&mut self, now: Instant, ran_for: Duration, is_success: bool) -> Decision {
        let window = self.policy.window;
        match self.policy.when {
            When::Never => return Decision::Leave,
            When::OnFailure if is_success => return Decision::Leave,
            When::OnFailure | When::Always => {}
        }
        if let Some(most) = self.policy.most {
            while self.recent.front().is_some_and(|&then| now.saturating_duration_since(then) >= window) {
                self.recent.pop_front();
            }
            if self.recent.len() >= most as usize {
                return Decision::GiveUp { restarts: most, window };
            }
            self.recent.push_back(now);
        }
        if ran_for >= window {
            self.doublings = 0;
        }
        Decision::RestartIn(self.next_delay())
    }

    fn next_delay(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.doublings).unwrap_or(u32::MAX);
        self.doublings = self.doublings.saturating_add(1);
        self.policy.first_delay.saturating_mul(factor).min(self.policy.longest_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, History, Restart};
    use std::time::{Duration, Instant};

    const SECOND: Duration = Duration::from_secs(1);

    /// The waits of a program that ends as soon as it is started, in milliseconds, until it is given up.
    fn delays(policy: Restart, restarts: usize) -> Vec<u128> {
        let (mut history, mut now) = (History::new(policy), Instant::now());
        let next = || match history.decide(now, Duration::ZERO, false) {
            Decision::RestartIn(delay) => {
                now += delay;
                Some(delay.as_millis())
            }
            _ => None,
        };
        std::iter::from_fn(next).take(restarts).collect()
    }

    #[test]
    fn waits_are_doubled_up_to_the_longest() {
        let policy = Restart::always().without_limit().backoff(Duration::from_millis(100), SECOND);
        assert_eq!(delays(policy.clone(), 6), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(delays(policy, 100)[99], 1000, "however often");
    }

    #[test]
    fn a_program_that_ends_too_often_is_given_up() {
        assert_eq!(delays(Restart::on_failure(), 100), [100, 200, 400, 800, 1600]);
        assert_eq!(delays(Restart::always().at_most(0, SECOND), 100), []);

        let mut history = History::new(Restart::always().at_most(2, 10 * SECOND));
        let start = Instant::now();
        let mut decide = |at_s: u32| history.decide(start + at_s * SECOND, Duration::ZERO, false);
        assert!(matches!((decide(0), decide(9)), (Decision::RestartIn(_), Decision::RestartIn(_))));
        assert!(matches!(decide(10), Decision::RestartIn(_)), "the first has left the window");
        assert_eq!(decide(18), Decision::GiveUp { restarts: 2, window: 10 * SECOND });
    }

    #[test]
    fn a_long_run_is_a_new_beginning() {
        let mut history = History::new(Restart::always().at_most(5, 10 * SECOND));
        let now = Instant::now();
        let mut after = |ran_s: u32, at_s: u32| history.decide(now + at_s * SECOND, ran_s * SECOND, false);
        assert_eq!(after(0, 0), Decision::RestartIn(Duration::from_millis(100)));
        assert_eq!(after(9, 10), Decision::RestartIn(Duration::from_millis(200)));
        assert_eq!(after(10, 20), Decision::RestartIn(Duration::from_millis(100)));
    }

    #[test]
    fn the_exit_matters_as_the_policy_says() {
        let decide = |policy, is_success| {
            History::new(policy).decide(Instant::now(), Duration::ZERO, is_success) != Decision::Leave
        };
        assert_eq!([decide(Restart::never(), true), decide(Restart::never(), false)], [false, false]);
        assert_eq!([decide(Restart::on_failure(), true), decide(Restart::on_failure(), false)], [false, true]);
        assert_eq!([decide(Restart::always(), true), decide(Restart::always(), false)], [true, true]);
    }
}
