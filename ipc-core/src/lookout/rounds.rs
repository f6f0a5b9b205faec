//! The rounds: what no word tells, and somebody has to look at from time to time.
//!
//! Nobody wakes anybody when a process is killed, so somebody has to ask the kernel whether the locks of those who are
//! watched are still held. With a thousand channels that is a thousand system calls, which find out the same thing again
//! and again, since they are mostly channels with a few processes, and a process dies with all of its locks at once. So
//! those who are watched are put into groups, each of which is one process as far as its members say
//! ([`Process`](crate::liveness::Process)), and a round looks at *one lock of each group*. It is another one in every
//! round. If that lock has gone, it looks at all others of the group.
//!
//! Even to look at memory that belongs to a thousand channels takes a third of a millisecond. So a round looks at those
//! ends alone that have been *noted* because somebody joins or something is not settled, and only every
//! [`SURVEY_ROUNDS`]th round, or one that finds a death, is a *survey* of all of them.
//!
//! # Why a death is found in the next round
//!
//! Let a process die, a watched line say LIVE for it, and a task be waiting.
//!
//! - *The line is a member of its group.* If it was LIVE at the last look at the end, it became one then. If it has become LIVE
//!   since, then its owner has made the roll odd and woken whoever slept on the channel's words, by the protocol of
//!   `waiting.rs`, with the roll in the place of what is published: either the end's word has changed, and P1 has compared
//!   the roll, or A has, which comes after R1 and the barrier. Whoever finds another roll, or an odd one, notes the end,
//!   and it stays noted until the roll is even and the line has been seen.
//! - *A member of its group whose lock has gone is looked at.* Every member of the group that still says LIVE belongs to the
//!   dead, unless words were damaged. Members that have closed, or have a successor, have another state; they are
//!   passed over, and the next one is looked at in the same round.
//! - Then all members of the group are looked at, and this line among them.
//!
//! If words were damaged, or two random numbers are equal, or a lock was lost while its process goes on, then a lock may be
//! looked at that is held and says nothing about the line. But the rounds come to every member in turn: the death is found
//! late, after as many rounds as the group has members at most, or a survey more.
//!
//! So what a line says of its process is never evidence: of nobody is it said that it died, or lives, but for the lock of
//! its own line (P4). It decides only which locks are looked at first.
//!
//! A round comes after each [`TICK`], which with the few milliseconds that the kernel takes to bury a process makes less
//! than 100 ms.

use super::{Entry, LOOKOUT, Post, lock};
use crate::liveness::{PROBE_INTERVAL, Probed, Process};
use crate::os;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

/// From one round to the next.
const TICK: Duration = PROBE_INTERVAL.saturating_mul(2);

/// From one survey to the next.
const SURVEY_ROUNDS: u32 = 22;

/// Members that come before the groups are formed anew, besides as many as there were: those that have gone are forgotten
/// when their turn comes, and would otherwise fill the memory where ends come and go.
const NEW_MEMBERS: usize = 64;

/// The thread that makes the rounds.
#[derive(Default)]
pub(super) struct Rounds {
    /// 1 if there is nothing to look at any more, 0 otherwise.
    is_over: AtomicU32,
    /// Whom the next round is to look at.
    noted: Mutex<Vec<Weak<Entry>>>,
}

impl Rounds {
    /// Has the next round look at an end.
    pub(super) fn note(&self, entry: &Arc<Entry>) {
        lock(&self.noted).push(Arc::downgrade(entry));
    }

    /// What the thread does.
    pub(super) fn make(&self) {
        let mut groups = Groups::default();
        let mut due = Instant::now() + TICK;
        // Relaxed: that it is over is all there is to see.
        while self.is_over.load(Ordering::Relaxed) == 0 {
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                os::futex_wait(&self.is_over, 0, left);
                continue;
            }
            let posts = LOOKOUT.get().posts();
            #[cfg(all(test, not(loom)))]
            super::late::note(&posts, due);
            self.make_one(&mut groups, &posts);
            due = Instant::now() + TICK;
        }
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        // Relaxed: as in `make`.
        self.is_over.store(1, Ordering::Relaxed);
        os::futex_wake(&self.is_over, 1);
    }

    /// Makes one round, and wakes the tasks for which something has happened.
    fn make_one(&self, groups: &mut Groups, posts: &[Arc<Post>]) {
        let noted = core::mem::take(&mut *lock(&self.noted));
        let mut due = Vec::new();
        if groups.is_survey_due() {
            groups.survey(posts, false, &mut due);
        } else {
            noted.iter().filter_map(Weak::upgrade).for_each(|entry| groups.look(&entry, false, &mut due));
        }
        let dead = groups.look_at_locks(&mut due);
        if dead.has_any() {
            for entry in posts.iter().flat_map(|post| post.entries()) {
                entry.probe(|living| dead.processes.iter().any(|process| living.process == Some(*process)));
            }
            // Of everything: one who was killed may have been about to wake somebody.
            groups.survey(posts, true, &mut due);
        }
        due.iter().for_each(|entry| entry.wake());
    }
}

/// Those who are watched, by the process that they say they are of.
#[derive(Default)]
struct Groups {
    groups: HashMap<Process, Group>,
    /// Those who do not say.
    loners: Vec<Member>,
    /// Members that there were when the groups were formed.
    formed: usize,
    /// Members that have come since.
    added: usize,
    until_survey: u32,
}

/// Those who say that they are of one process.
#[derive(Default)]
struct Group {
    members: Vec<Member>,
    /// Which of them was looked at last.
    turn: usize,
}

/// A line in the segment of an end.
struct Member {
    entry: Weak<Entry>,
    line: u32,
}

/// Who was found dead in a round.
#[derive(Default)]
struct Dead {
    processes: Vec<Process>,
    has_loners: bool,
}

impl Dead {
    fn has_any(&self) -> bool {
        self.has_loners || !self.processes.is_empty()
    }
}

impl Groups {
    fn is_survey_due(&mut self) -> bool {
        self.until_survey = self.until_survey.checked_sub(1).unwrap_or(SURVEY_ROUNDS - 1);
        self.until_survey == SURVEY_ROUNDS - 1
    }

    /// Looks at all ends, and forms the groups anew if that is asked for or due.
    fn survey(&mut self, posts: &[Arc<Post>], anew: bool, due: &mut Vec<Arc<Entry>>) {
        let anew = anew || self.added > self.formed + NEW_MEMBERS;
        if anew {
            self.added = 0;
            self.loners.clear();
            self.groups.values_mut().for_each(|group| group.members.clear());
        }
        for post in posts {
            // Whoever is due is woken later, when the list is not locked any more.
            lock(&post.ends).entries.iter().for_each(|entry| self.look(entry, anew, due));
        }
        if anew {
            self.formed = core::mem::take(&mut self.added);
            self.groups.retain(|_, group| !group.members.is_empty());
        }
    }

    /// Looks at an end, and adds those whom it watches: all, or only those who have come.
    fn look(&mut self, entry: &Arc<Entry>, all: bool, due: &mut Vec<Arc<Entry>>) {
        let is_due = entry.look(all, |living| {
            self.added += 1;
            let member = Member { entry: Arc::downgrade(entry), line: living.line };
            match living.process {
                Some(process) => self.groups.entry(process).or_default().members.push(member),
                None => self.loners.push(member),
            }
        });
        if is_due {
            due.push(entry.clone());
        }
    }

    /// Looks at one lock of each group, and at those of all who are in none.
    fn look_at_locks(&mut self, due: &mut Vec<Arc<Entry>>) -> Dead {
        let mut dead = Dead::default();
        for (process, group) in &mut self.groups {
            if group.look_at_lock(*process, due) == Probed::Dead {
                dead.processes.push(*process);
            }
        }
        self.groups.retain(|_, group| !group.members.is_empty());
        self.loners.retain(|member| {
            let probed = member.look_at_lock(None, due);
            dead.has_loners |= probed == Probed::Dead;
            probed == Probed::Alive
        });
        dead
    }
}

impl Group {
    /// Looks at the lock of the member whose turn it is, and forgets those of whom there is nothing to look at any more.
    fn look_at_lock(&mut self, process: Process, due: &mut Vec<Arc<Entry>>) -> Probed {
        while !self.members.is_empty() {
            self.turn = if self.turn + 1 < self.members.len() { self.turn + 1 } else { 0 };
            let probed = self.members[self.turn].look_at_lock(Some(process), due);
            if probed != Probed::Nobody {
                return probed;
            }
            self.members.swap_remove(self.turn);
        }
        Probed::Nobody
    }
}

impl Member {
    /// Looks at the lock of a member that says that it is of `process`.
    fn look_at_lock(&self, process: Option<Process>, due: &mut Vec<Arc<Entry>>) -> Probed {
        let Some(entry) = self.entry.upgrade() else { return Probed::Nobody };
        let (probed, is_due) = entry.probe(|living| living.line == self.line && living.process == process);
        if is_due {
            due.push(entry);
        }
        probed
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
