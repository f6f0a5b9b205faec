//! What can happen to whom: scenes, and the cases that are made of them.

#[cfg(feature = "crash-points")]
use super::{access, lengths, repair};
use super::{
    broadcast, evictions, feeds, latest, letters, locks, pairs, pipe, queue, service, signals, streams, tails,
};
use crate::check::{Check, Context};
use std::fmt;
use std::str::FromStr;

/// An operation of a role of a kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scene {
    /// The kind of channel, by its name.
    pub(crate) kind: &'static str,
    /// The operation, by its name.
    pub(crate) operation: &'static str,
    /// Who executes it.
    pub(crate) role: &'static str,
    /// Whether others of the same role take part.
    pub(crate) has_company: bool,
}

/// A kind's name, and what has scenes of it.
type Kind = (&'static str, fn() -> Vec<Scene>);

/// Every kind that is swept.
pub(crate) const KINDS: &[Kind] = &[
    (queue::EXCLUSIVE, queue::exclusive_scenes),
    (queue::SHARED, queue::shared_scenes),
    (tails::EXCLUSIVE, tails::exclusive_scenes),
    (tails::SHARED, tails::shared_scenes),
    (broadcast::LOSSLESS, broadcast::lossless_scenes),
    (broadcast::LOSSY, broadcast::lossy_scenes),
    (evictions::KIND, evictions::scenes),
    (feeds::LOSSLESS, feeds::lossless_scenes),
    (feeds::LOSSY, feeds::lossy_scenes),
    (latest::KIND, latest::scenes),
    (service::KIND, service::scenes),
    (letters::KIND, letters::scenes),
    (streams::KIND, streams::scenes),
    (pipe::KIND, pipe::scenes),
    (locks::MUTEX, locks::mutex_scenes),
    (locks::RW_LOCK, locks::rw_lock_scenes),
    (signals::SEMAPHORE, signals::semaphore_scenes),
    (signals::EVENT, signals::event_scenes),
    (signals::CONDVAR, signals::condvar_scenes),
    (signals::BARRIER, signals::barrier_scenes),
    #[cfg(feature = "crash-points")]
    (lengths::KIND, lengths::scenes),
    #[cfg(feature = "crash-points")]
    (access::KIND, access::scenes),
    #[cfg(feature = "crash-points")]
    (repair::KIND, repair::scenes),
];

impl Scene {
    /// Whether the operation opens or closes an end, so that it cannot be said from outside whether there is one.
    pub(crate) fn comes_or_goes(&self) -> bool {
        matches!(
            self.operation,
            "attach" | "create" | "create-for-group" | "hand-over" | "evict" | "close" | "close-last"
        )
    }

    /// Whether it happens at a place in a ring.
    pub(crate) fn has_slots(&self) -> bool {
        let without =
            [locks::MUTEX, locks::RW_LOCK, signals::SEMAPHORE, signals::EVENT, signals::CONDVAR, signals::BARRIER];
        !without.contains(&self.kind)
    }

    /// Whether it opens an end, which takes tens of thousands of instructions.
    pub(crate) fn is_long(&self) -> bool {
        self.comes_or_goes()
    }
}

/// Where in the ring the operation happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The first slot, before any message.
    First,
    /// The last slot of the first lap.
    Last,
    /// The first slot of the second lap.
    Wrap,
}

impl Slot {
    /// All of them.
    pub(crate) const ALL: [Slot; 3] = [Slot::First, Slot::Last, Slot::Wrap];

    /// Messages before the operation.
    pub(crate) fn position(self) -> u64 {
        match self {
            Slot::First => 0,
            Slot::Last => crate::check::CAPACITY as u64 - 1,
            Slot::Wrap => crate::check::CAPACITY as u64,
        }
    }
}

/// What befalls the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It is killed.
    Kill,
    /// It is stopped, and goes on when the others have done what they can.
    Stop,
}

/// When the successor comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// After the survivors have taken what there was, and have been told of the death.
    Drain,
    /// At once.
    Succeed,
}

/// One case. As text, it is what `--case` takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) scene: Scene,
    pub(crate) slot: Slot,
    pub(crate) signal: Signal,
    /// Instructions that the victim executes.
    pub(crate) steps: u64,
    pub(crate) order: Order,
}

/// Which words stand for what in the text of a case.
pub(super) const SLOTS: [(&str, Slot); 3] = [("first", Slot::First), ("last", Slot::Last), ("wrap", Slot::Wrap)];
pub(super) const SIGNALS: [(&str, Signal); 2] = [("kill", Signal::Kill), ("stop", Signal::Stop)];
pub(super) const ORDERS: [(&str, Order); 2] = [("drain", Order::Drain), ("succeed", Order::Succeed)];
const COMPANIES: [(&str, bool); 2] = [("alone", false), ("company", true)];

pub(super) fn word_of<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}

pub(super) fn value_of<T: Copy>(words: &[(&'static str, T)], word: Option<&str>) -> Check<T> {
    let found = words.iter().find(|(other, _)| Some(*other) == word).map(|(_, value)| *value);
    found.ok_or_else(|| format!("{word:?} is none of {:?}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>()))
}

impl Signal {
    /// The signal's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Signal::Kill => "SIGKILL",
            Signal::Stop => "SIGSTOP",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { scene, slot, signal, steps, order } = *self;
        let company = word_of(&COMPANIES, scene.has_company);
        let (slot, signal, order) = (word_of(&SLOTS, slot), word_of(&SIGNALS, signal), word_of(&ORDERS, order));
        write!(f, "{}/{}/{}/{company}/{slot}/{signal}/{steps}/{order}", scene.kind, scene.role, scene.operation)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Check<Self> {
        let mut words = text.split('/');
        let (kind, role, operation) = (words.next(), words.next(), words.next());
        let has_company = value_of(&COMPANIES, words.next())?;
        let mut scenes = KINDS.iter().flat_map(|(_, scenes)| scenes()).chain(pairs::scenes());
        let is_meant = |scene: &Scene| {
            Some(scene.kind) == kind
                && Some(scene.role) == role
                && Some(scene.operation) == operation
                && scene.has_company == has_company
        };
        let scene = scenes.find(is_meant).ok_or("there is no such kind, role, operation or company")?;
        let (slot, signal) = (value_of(&SLOTS, words.next())?, value_of(&SIGNALS, words.next())?);
        let steps = words.next().unwrap_or_default().parse().at("the number of instructions")?;
        Ok(Case { scene, slot, signal, steps, order: value_of(&ORDERS, words.next())? })
    }
}
