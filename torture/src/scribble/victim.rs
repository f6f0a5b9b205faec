//! The victim: both ends of a channel in one process, at work until the scribbler has seen enough.

use super::board::{Board, CALLS};
use super::traffic::{self, Kind};
use crate::check::{Check, Context};
use crate::child;
use std::fs;
use std::time::Duration;

/// Processor time that a call may take: a thousand times what it does take. Time that the thread does not run does not
/// count.
const BUDGET: Duration = Duration::from_millis(100);

/// Seconds after which a victim that hangs ends itself, should the scribbler be gone.
const ALARM_S: u32 = 60;

/// After so many rounds the victim leaves the channel and joins it again, without making it anew.
const ROUNDS_A_STAY: u64 = 64;

/// Tells the scribbler what the victim does, and what it costs.
pub(super) struct Desk {
    board: Board,
}

impl Desk {
    /// Makes a call, which is one of [`CALLS`].
    pub(super) fn call<R>(&self, name: &str, call: impl FnOnce() -> R) -> R {
        let number = CALLS.iter().position(|other| *other == name).unwrap_or(0);
        self.board.enter(number);
        let before = thread_time_ns();
        let result = call();
        self.board.spent(number, thread_time_ns().saturating_sub(before), BUDGET.as_nanos() as u64);
        self.board.enter(0);
        result
    }

    /// So many messages have come.
    pub(super) fn received(&self, count: usize) {
        self.board.received(count);
    }
}

/// The victim's part.
pub(crate) fn play(kind: &str, domain: &str, board: &str) -> Check {
    child::settle_in()?;
    let kind = kind_of(kind)?;
    let desk = Desk { board: Board::open(board)? };
    while !desk.board.is_over() {
        desk.board.turn_page();
        remove(domain)?;
        // The scribbler has the last one mapped, and cannot reach this one before the page is turned again.
        let traffic = desk.call("open", || (kind.open)(domain)).at("the channel is made")?;
        let mut traffic = Some(traffic);
        desk.board.turn_page();
        while work(&desk, kind, domain, &mut traffic) {}
        desk.call("close", || drop(traffic));
    }
    remove(domain)
}

/// The segment of a channel of this kind, after some traffic.
pub(crate) fn image(kind: &str, domain: &str) -> Check<Vec<u8>> {
    let desk = Desk { board: Board::new()? };
    let mut traffic = (kind_of(kind)?.open)(domain).at("the channel is made")?;
    for _ in 0..3 {
        traffic.round(&desk);
    }
    drop(traffic);
    fs::read(path(domain)).at("the segment is read")
}

/// Opens a channel whose segment somebody has made, and works over it.
pub(crate) fn try_image(kind: &str, domain: &str, image: &[u8]) -> Check {
    let desk = Desk { board: Board::new()? };
    fs::write(path(domain), image).at("the segment is written")?;
    traffic::observe(&desk, domain);
    if let Ok(mut traffic) = (kind_of(kind)?.open)(domain) {
        for _ in 0..9 {
            traffic.round(&desk);
        }
    }
    remove(domain)
}

fn kind_of(name: &str) -> Check<&'static Kind> {
    traffic::KINDS.iter().find(|kind| kind.name == name).ok_or_else(|| format!("there is no kind {name}"))
}

/// The channel's segment.
fn path(domain: &str) -> String {
    format!("/dev/shm/slipring.{domain}.{}", traffic::CHANNEL)
}

/// Stays with the channel for some time. `false` if it is to be made anew.
fn work(desk: &Desk, kind: &Kind, domain: &str, traffic: &mut Option<Box<dyn traffic::Traffic>>) -> bool {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::alarm(ALARM_S) };
    for _ in 0..ROUNDS_A_STAY {
        if desk.board.is_over() || desk.board.is_another_wanted() {
            return false;
        }
        let is_whole = traffic.as_mut().is_some_and(|traffic| traffic.round(desk));
        desk.board.finish_round();
        if !is_whole {
            return false;
        }
    }
    // Whoever comes next reads the header again, as it is by now.
    desk.call("close", || *traffic = None);
    let opened = desk.call("open", || (kind.open)(domain));
    opened.is_ok_and(|opened| {
        *traffic = Some(opened);
        true
    })
}

/// Removes what is left of the channel, which may be too damaged for its own `remove`.
pub(crate) fn remove(domain: &str) -> Check {
    match fs::remove_file(path(domain)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("the damaged channel is removed"),
        _ => Ok(()),
    }
}

/// Processor time that this thread has used.
fn thread_time_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer leads to a `timespec`, which is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
