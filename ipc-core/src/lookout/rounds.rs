//! The rounds: what no word tells, and somebody has to look at from time to time.
//!
//! Nobody wakes anybody when a process is killed, so somebody has to ask the kernel whether the locks of those who are
//! watched are still held. With a thousand channels that is a thousand system calls, which find out the same thing again
//! and again, since they are mostly channels with a few processes, and a process dies with all of its locks at once. So
//! those who are watched are put into groups, each of which is one process as far as its members say
//! ([`Process`](crate::liveness::Process)), and a round looks at *one lock of each group*. It is another one in every
//! round. If that lock has gone, it looks at all others of the group.
//!
//! # Why a death is found
//!
//! Let a process die, and a watched line say LIVE for it.
//!
//! - *The line names its process.* Every member of its group that still says LIVE belongs to the dead, unless words were
//!   damaged. So the next round, whichever member it picks, finds a lock free, and then looks at this line's. Members that
//!   have closed, and lines that others have taken over since, have another state, and left the group when the round read
//!   the lines, before it picked.
//! - *The line names a process that lives*, or the picked member does, and is not of the process whose name it bears:
//!   damage, or two random numbers that are equal. Or a lock was lost while the process goes on. Then the lock that is
//!   looked at is held, and says nothing about the line. But the rounds come to every member in turn: the death is found
//!   late, after as many rounds as the group has members at most.
//! - *The line names nobody.* Then it is a group by itself.
//!
//! So what a line says of its process is never evidence: of nobody is it said that it died, or lives, but for the lock of
//! its own line (P4). It decides only which locks are looked at first.
//!
//! A round comes after each [`TICK`], which with the few milliseconds that the kernel takes to bury a process makes less
//! than 100 ms.
//!
//! # What a round costs
//!
//! Some cache lines for each end, and a system call for each *process*.

use super::{Entry, LOOKOUT, Post, lock};
use crate::liveness::{Living, PROBE_INTERVAL, Process};
use crate::os;
use crate::waiting::Sleepers;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// From one round to the next.
const TICK: Duration = PROBE_INTERVAL.saturating_mul(2);

/// The thread that makes the rounds.
#[derive(Default)]
pub(super) struct Rounds {
    /// 1 if there is nothing to look at any more, 0 otherwise.
    is_over: AtomicU32,
}

impl Rounds {
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
            #[cfg(test)]
            super::late::note(&posts, due);
            groups.make_round(&posts);
            due = Instant::now() + TICK;
        }
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        // Relaxed: as in `make`.
        self.is_over.store(1, Ordering::Relaxed);
        os::futex_wake(&self.is_over, 1);
    }
}

/// Those who are watched, by the process that they say they are of.
#[derive(Default)]
struct Groups(HashMap<Process, Group>);

#[derive(Default)]
struct Group {
    /// Members that were seen in this round.
    seen: usize,
    /// Which of them, counted from 0, is to be looked at; one that there is not stands for the first.
    turn: usize,
    /// Who is looked at.
    picked: Option<Member>,
}

/// A line in the segment of an end.
struct Member {
    post: Arc<Post>,
    entry: Arc<Entry>,
    line: u32,
}

impl Groups {
    /// Looks at everything, and wakes the tasks for which something has happened.
    fn make_round(&mut self, posts: &[Arc<Post>]) {
        let (mut due, mut loners) = (Vec::new(), Vec::new());
        for post in posts {
            for entry in lock(&post.entries).iter() {
                let member = |line| Member { post: post.clone(), entry: entry.clone(), line };
                let is_due = entry.look(|living| match living.process {
                    Some(process) => self.0.entry(process).or_default().see(living, member),
                    None => loners.push(member(living.line)),
                });
                if is_due {
                    due.push((post.clone(), entry.clone()));
                }
            }
        }
        // No list of entries is locked from here on: whoever is woken may want to be watched no more.
        self.look_at_locks(posts, &mut due);
        for Member { post, entry, line } in loners {
            if entry.probe(|living| living.line == line) {
                due.push((post, entry));
            }
        }
        for (post, entry) in due {
            if entry.wake() && entry.interest.sleepers() == Sleepers::Many {
                // It must not take a wake-up from the others any more.
                post.bump();
            }
        }
    }

    /// Looks at one lock of each group, and at all of those where it has gone.
    fn look_at_locks(&mut self, posts: &[Arc<Post>], due: &mut Vec<(Arc<Post>, Arc<Entry>)>) {
        self.0.retain(|_, group| group.seen > 0);
        for (process, group) in &mut self.0 {
            let Some(Member { post, entry, line }) = group.end_turn() else { continue };
            if !entry.probe(|living| living.line == line && living.process == Some(*process)) {
                continue;
            }
            due.push((post, entry));
            for post in posts {
                let entries = lock(&post.entries).clone();
                let bereft = entries.into_iter().filter(|entry| entry.probe(|living| living.process == Some(*process)));
                due.extend(bereft.map(|entry| (post.clone(), entry)));
            }
        }
    }
}

impl Group {
    /// Takes note of a member, whom `member` makes of a line.
    fn see(&mut self, living: &Living, member: impl FnOnce(u32) -> Member) {
        if self.seen == 0 || self.seen == self.turn {
            self.picked = Some(member(living.line));
        }
        self.seen += 1;
    }

    /// The member whose lock is to be looked at in this round.
    fn end_turn(&mut self) -> Option<Member> {
        self.turn = if self.turn + 1 < self.seen { self.turn + 1 } else { 0 };
        self.seen = 0;
        self.picked.take()
    }
}
