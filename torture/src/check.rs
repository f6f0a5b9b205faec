//! What is checked: numbered messages, and the books that say which of them had to come.

use std::fmt::Debug;
use std::time::Duration;

/// The result of a step of a case: what is wrong, in a sentence.
pub(crate) type Check<T = ()> = Result<T, String>;

/// How long to wait for what has to come. It passes only if something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait for what must not come: longer than a death takes to be noticed, which is 100 ms.
pub(crate) const PAUSE: Duration = Duration::from_millis(130);

/// Messages that a channel holds.
pub(crate) const CAPACITY: usize = 4;

/// A message that shows whether it is whole.
pub(crate) type Message = [u64; 4];

/// The message that has this number.
pub(crate) fn message(number: u64) -> Message {
    [number, number.wrapping_mul(3), number ^ 0x5555, !number]
}

/// The number of a message.
pub(crate) fn number(received: Message) -> Check<u64> {
    if received == message(received[0]) { Ok(received[0]) } else { Err(format!("{received:x?} is a torn message")) }
}

/// Says what was being done when something went wrong.
pub(crate) trait Context<T> {
    /// The value, or `what` failed and why.
    fn at(self, what: &str) -> Check<T>;
}

impl<T, E: Debug> Context<T> for Result<T, E> {
    fn at(self, what: &str) -> Check<T> {
        self.map_err(|error| format!("{what}: {error:?}"))
    }
}

/// That `condition` holds; otherwise `what` is wrong.
pub(crate) fn ensure(condition: bool, what: impl FnOnce() -> String) -> Check {
    if condition { Ok(()) } else { Err(what()) }
}

/// Which messages have to come.
#[derive(Debug, Default)]
pub(crate) struct Books {
    must: Vec<u64>,
    may: Vec<u64>,
}

impl Books {
    /// These have to come, each once.
    pub(crate) fn must(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.must.extend(numbers);
    }

    /// These are in doubt: each may come, and only once.
    pub(crate) fn may(&mut self, numbers: impl IntoIterator<Item = u64>) {
        self.may.extend(numbers);
    }

    /// Whether everything that has to come is among `seen`.
    pub(crate) fn are_complete(&self, seen: &[u64]) -> bool {
        self.must.iter().all(|number| seen.contains(number))
    }

    /// Compares the books with what was seen.
    pub(crate) fn settle(&self, seen: &[u64]) -> Check {
        for number in &self.must {
            let times = seen.iter().filter(|other| *other == number).count();
            ensure(times == 1, || format!("message {number} came {times} times, and had to come once"))?;
        }
        for number in seen.iter().filter(|number| !self.must.contains(number)) {
            let times = seen.iter().filter(|other| *other == number).count();
            ensure(self.may.contains(number), || format!("message {number} came, which was never sent"))?;
            ensure(times == 1, || format!("message {number} came {times} times"))?;
        }
        Ok(())
    }
}

/// That messages came in the order of their numbers.
pub(crate) fn in_order(seen: &[u64]) -> Check {
    ensure(seen.is_sorted(), || format!("the messages came out of order: {seen:?}"))
}
