//! A case of two victims, and how it is played.

use super::super::case::{Case, ORDERS, Order, SIGNALS, SLOTS, Scene, Signal, Slot, value_of, word_of};
use super::super::play::Play;
use super::{KINDS, Operations};
use crate::check::{Check, Context};
use crate::trace::{Goal, Progress, Way};
use std::fmt::{self, Debug};
use std::str::FromStr;

/// What the two are called, as roles of a scene.
pub(super) const ROLES: [&str; 2] = ["first", "second"];

/// One case. As text, it is what `--case` takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) kind: &'static str,
    pub(super) operations: Operations,
    pub(super) slot: Slot,
    /// What befalls the first when the second is dead: it is killed, too, or goes on.
    pub(super) fate: Signal,
    /// Instructions that either executes.
    pub(super) steps: [u64; 2],
    /// Whether survivors take what there is before that.
    pub(super) order: Order,
}

impl Pair {
    /// One of the four ways that the first's fate and the order make.
    pub(super) fn in_turn(self, turn: u64) -> Self {
        let fate = if turn % 2 == 0 { Signal::Kill } else { Signal::Stop };
        let order = if turn / 2 % 2 == 0 { Order::Drain } else { Order::Succeed };
        Pair { fate, order, ..self }
    }

    /// The case of either victim. The first is stopped in any case.
    fn case(&self, who: usize) -> Case {
        let Pair { kind, operations, slot, steps, order, .. } = *self;
        let scene = Scene { kind, role: ROLES[who], operation: operations[who], has_company: true };
        Case { scene, slot, signal: [Signal::Stop, Signal::Kill][who], steps: steps[who], order }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pair { kind, operations: [first, second], slot, fate, steps: [i, j], order } = *self;
        let (slot, fate, order) = (word_of(&SLOTS, slot), word_of(&SIGNALS, fate), word_of(&ORDERS, order));
        write!(f, "{kind}/{first}+{second}/{slot}/{fate}/{i}+{j}/{order}")
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Check<Self> {
        let mut words = text.split('/');
        let kind = words.next();
        let (kind, pairs) =
            KINDS.iter().find(|(name, _)| Some(*name) == kind).ok_or("there is no such kind with pairs")?;
        let name = words.next().unwrap_or_default();
        let operations = pairs.iter().find(|operations| operations.join("+") == name);
        let operations = *operations.ok_or("there is no such pair of operations")?;
        let (slot, fate) = (value_of(&SLOTS, words.next())?, value_of(&SIGNALS, words.next())?);
        let steps = words.next().unwrap_or_default();
        let (i, j) = steps.split_once('+').ok_or_else(|| format!("`{steps}` is not two numbers of instructions"))?;
        let steps = [i.parse().at("the first's instructions")?, j.parse().at("the second's instructions")?];
        Ok(Pair { kind, operations, slot, fate, steps, order: value_of(&ORDERS, words.next())? })
    }
}

/// The survivors' view of a case.
pub(super) struct Duo {
    pub(super) pair: Pair,
    pub(super) first: Play,
    pub(super) second: Play,
}

impl Duo {
    /// A case that is about to begin.
    pub(super) fn new(pair: Pair, goals: [Goal; 2]) -> Self {
        let first = Play::new(pair.case(0), goals[0]);
        let second = first.beside(pair.case(1), goals[1]);
        Duo { pair, first, second }
    }

    /// The domain that both are in.
    pub(super) fn domain(&self) -> &str {
        self.first.domain.name()
    }

    /// Messages before the operations.
    pub(super) fn position(&self) -> u64 {
        self.pair.slot.position()
    }

    /// Starts both, the first one before the other.
    pub(super) fn enter(&mut self) -> Check {
        self.first.enter()?;
        self.second.enter()
    }

    /// Stops the first on its way, and then kills the second on its own.
    pub(super) fn strike(&mut self) -> Check {
        self.first.strike()?;
        self.second.strike()
    }

    /// Whether survivors take what there is while the first is stopped.
    pub(super) fn drains_first(&self) -> bool {
        self.first.drains_first()
    }

    /// Whether the first goes on.
    pub(super) fn goes_on(&self) -> bool {
        self.pair.fate == Signal::Stop
    }

    /// Those who are killed in the end, with their numbers.
    pub(super) fn dead(&self) -> impl Iterator<Item = (usize, &Play)> {
        let first = (!self.goes_on()).then_some((0, &self.first));
        first.into_iter().chain([(1, &self.second)])
    }

    /// Has the first meet its fate. Returns what it says of its operation if it goes on; it stays until [`release`].
    ///
    /// [`release`]: Play::release
    pub(super) fn decide(&mut self) -> Check<Option<Vec<u64>>> {
        if self.goes_on() { self.first.resume().map(Some) } else { self.first.kill().map(|()| None) }
    }

    /// Notes what a survivor saw.
    pub(super) fn saw(&mut self, what: &str, seen: impl Debug) {
        self.first.saw(what, seen);
    }

    /// The last check of a case, when all ends are closed.
    pub(super) fn end(&self) -> Check {
        self.first.end()
    }

    /// How far both have come, and on which ways, and what the survivors have noted.
    pub(super) fn into_parts(mut self) -> ([Progress; 2], [Way; 2], Vec<String>) {
        let progress = [self.first.progress().clone(), self.second.progress().clone()];
        let ways = [self.first.take_way(), self.second.take_way()];
        (progress, ways, self.first.notes().to_vec())
    }
}

/// Whether a victim had begun its operation, and whether it had ended it.
pub(super) fn extent(play: &Play) -> Extent {
    match (play.is_untouched(), play.progress().is_finished) {
        (true, _) => Extent::Nothing,
        (_, true) => Extent::All,
        _ => Extent::Some,
    }
}

/// How much of an operation was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Not an instruction.
    Nothing,
    /// Some of it.
    Some,
    /// All of it.
    All,
}
