//! Single steps: a child marks where an operation begins and ends, and its tracer has it execute one instruction at a time.
//!
//! The child becomes a tracee and traps (`int3`) right before the operation. The tracer steps it (`PTRACE_SINGLESTEP`)
//! until it has made so many steps or has come to [`end_of_act`], whose address it has said before. A system call is one
//! step, as is a call of the kernel's code that reads the clock, and one round of a repeated string instruction.
//!
//! A step costs tens of microseconds in a virtual machine, and every k of n takes n² / 2 of them. So the way is noted
//! once, and then a tracee is brought to its k-th instruction by a breakpoint at that instruction's address, which is the
//! same in every child; if the way comes by there several times, the breakpoint counts. A tracee that takes another way,
//! since it has waited for longer or shorter, is struck at the same place of the code all the same, or at the end.

use crate::check::{Check, Context, ensure};
use crate::child;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io;
use std::ops::Range;
use std::ptr;

pub(crate) use machine::IS_SUPPORTED;

/// What a child says when it cannot be traced.
pub(crate) const UNTRACED: &str = "untraced";

/// In the child: does `operation` under the eyes of the tracer.
#[inline(always)]
pub(crate) fn act<R>(operation: impl FnOnce() -> R) -> Check<R> {
    #[cfg(feature = "crash-points")]
    if crate::points::is_victim() {
        return crate::points::act(operation);
    }
    let end: extern "C" fn() = end_of_act;
    // SAFETY: asks to be traced by the parent; the other arguments are not used.
    let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, ptr::null_mut::<u8>(), ptr::null_mut::<u8>()) };
    if traced != 0 {
        child::say(UNTRACED)?;
        return Err(format!("tracing is refused: {}", io::Error::last_os_error()));
    }
    child::say(&format!("ready {}", end as usize))?;
    machine::trap();
    let result = operation();
    end_of_act();
    Ok(result)
}

/// Where the operation has ended.
#[inline(never)]
extern "C" fn end_of_act() {
    // SAFETY: no instruction at all; it keeps the call from being left out.
    unsafe { std::arch::asm!("") };
}

/// How far a tracee is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// So many steps, one at a time.
    Steps(u64),
    /// To the end, one step at a time, noting the way.
    End,
    /// To the end, telling which crash points it passes; or to where it dies by itself, at this one.
    #[cfg(feature = "crash-points")]
    Point(Option<crate::points::Pass>),
    /// To where it was after so many steps on a way that was noted: at full speed to this address, the so-manieth time.
    Place {
        /// Steps on the way that was noted.
        steps: u64,
        /// The instruction that comes next.
        address: u64,
        /// How often the tracee comes there, this time included.
        times: u64,
    },
}

impl Goal {
    /// Whether the tracee has been at this place of its way fewer than so many times before.
    pub(crate) fn is_among_first(self, passes: u64) -> bool {
        matches!(self, Goal::Place { times, .. } if times <= passes)
    }
}

/// How far a tracee has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Steps that it has made.
    pub(crate) steps: u64,
    /// Whether it has come to the end of the operation.
    pub(crate) is_finished: bool,
}

/// What there is to say of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Nothing.
    Plain,
    /// It reads and writes memory in one step that others see.
    Atomic,
    /// It is a system call.
    Call,
}

/// The way of a tracee: the address of every instruction that it has executed, and which of them stand out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    addresses: Vec<u64>,
    marks: HashMap<u64, Mark>,
    end: u64,
    /// The crash points that it has passed, if it was to tell.
    #[cfg(feature = "crash-points")]
    pub(crate) passes: Vec<crate::points::Pass>,
}

impl Way {
    /// Before which steps a system call stands.
    pub(crate) fn calls(&self) -> impl Iterator<Item = u64> {
        self.marked(|mark| mark == Mark::Call)
    }

    /// Before which steps a system call stands, or an atomic instruction that reads and writes.
    pub(crate) fn calls_and_atomics(&self) -> impl Iterator<Item = u64> {
        self.marked(|mark| mark != Mark::Plain)
    }

    fn marked(&self, is_meant: impl Fn(Mark) -> bool) -> impl Iterator<Item = u64> {
        let is_marked = move |address| self.marks.get(address).copied().is_some_and(&is_meant);
        (0..).zip(&self.addresses).filter(move |(_, address)| is_marked(address)).map(|(steps, _)| steps)
    }

    /// Where the tracee is after each number of steps.
    pub(crate) fn places(&self) -> impl Iterator<Item = Goal> {
        let mut counts = HashMap::new();
        (0..).zip(self.addresses.iter().chain([&self.end])).map(move |(steps, &address)| {
            let times = counts.entry(address).or_insert(0);
            *times += 1;
            Goal::Place { steps, address, times: *times }
        })
    }
}

/// Has all children that are started from now on loaded at the same addresses, which ways are made of.
pub(crate) fn fix_addresses() -> Check {
    // SAFETY: takes an integer.
    let set = unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
    ensure(set >= 0, || "the addresses of children cannot be fixed".to_string())
}

/// Waits until the child `pid` stands at the beginning of its operation, and has it go on. `end` is the address of its
/// [`end_of_act`]. The calling thread has to be the one that has started the child.
pub(crate) fn run(pid: libc::pid_t, end: u64, goal: Goal) -> Check<(Progress, Way)> {
    wait_for_trap(pid)?;
    let _pinned = Pinned::new(pid);
    let mut way = Way { end, ..Way::default() };
    let progress = match goal {
        Goal::Steps(steps) => step(pid, end, steps, |_| Ok(()))?,
        Goal::End => step(pid, end, u64::MAX, |address| {
            way.addresses.push(address);
            if let Entry::Vacant(entry) = way.marks.entry(address) {
                let code = request(pid, libc::PTRACE_PEEKTEXT, address as usize, 0).at("the tracee's code is read")?;
                entry.insert(machine::mark(code.to_le_bytes()));
            }
            Ok(())
        })?,
        #[cfg(feature = "crash-points")]
        Goal::Point(_) => return Err("a crash point is not a matter of steps".to_string()),
        Goal::Place { steps: 0, .. } => Progress::default(),
        Goal::Place { steps, address, times } => {
            let is_finished = run_to(pid, address, times, end)?;
            Progress { steps, is_finished }
        }
    };
    Ok((progress, way))
}

/// Makes up to `steps` steps, and tells `visit` the address of each.
fn step(pid: libc::pid_t, end: u64, steps: u64, mut visit: impl FnMut(u64) -> Check) -> Check<Progress> {
    let (vdso, mut progress) = (vdso(pid)?, Progress::default());
    let mut here = place(pid)?;
    while progress.steps < steps && !progress.is_finished {
        visit(here)?;
        if vdso.contains(&here) {
            let back = request(pid, libc::PTRACE_PEEKUSER, machine::STACK, 0).at("the tracee's registers are read")?;
            let back = request(pid, libc::PTRACE_PEEKDATA, back as usize, 0).at("the tracee's stack is read")?;
            run_to(pid, back as u64, 1, end)?;
        } else {
            request(pid, libc::PTRACE_SINGLESTEP, 0, 0).at("the tracee makes a step")?;
            wait_for_trap(pid)?;
        }
        here = place(pid)?;
        progress.steps += 1;
        progress.is_finished = here == end;
    }
    Ok(progress)
}

/// Where the kernel's own code is in the tracee. The clock is read there by a loop that starts again whenever the kernel
/// has set the clock meanwhile, which is always if it is stepped through.
fn vdso(pid: libc::pid_t) -> Check<Range<u64>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).at("the tracee's mappings are read")?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let ends = line.and_then(|line| line.split_once(' ')).and_then(|(range, _)| range.split_once('-'));
    let Some((start, end)) = ends else { return Ok(0..0) };
    let address = |text| u64::from_str_radix(text, 16).at("an address");
    Ok(address(start)?..address(end)?)
}

/// Lets the tracee run until it comes to `address` for the so-manieth time, or to `end`; `true` if it is there.
fn run_to(pid: libc::pid_t, address: u64, times: u64, end: u64) -> Check<bool> {
    let (mut at_goal, mut at_end) = (Breakpoint::new(pid, address), Breakpoint::new(pid, end));
    at_end.set()?;
    for time in 1..=times {
        if address != end {
            at_goal.set()?;
        }
        request(pid, libc::PTRACE_CONT, 0, 0).at("the tracee goes on")?;
        wait_for_trap(pid)?;
        let here = place(pid)? - 1;
        set_place(pid, here)?;
        at_goal.clear()?;
        if here == end {
            at_end.clear()?;
            return Ok(true);
        }
        ensure(here == address, || format!("the victim trapped at {here:#x}"))?;
        if time < times {
            request(pid, libc::PTRACE_SINGLESTEP, 0, 0).at("the tracee makes a step")?;
            wait_for_trap(pid)?;
        }
    }
    at_end.clear()?;
    Ok(false)
}

/// A trap in the tracee's code.
struct Breakpoint {
    pid: libc::pid_t,
    address: u64,
    /// The code that it stands in for.
    code: Option<libc::c_long>,
}

impl Breakpoint {
    fn new(pid: libc::pid_t, address: u64) -> Self {
        Breakpoint { pid, address, code: None }
    }

    fn set(&mut self) -> Check {
        let code =
            request(self.pid, libc::PTRACE_PEEKTEXT, self.address as usize, 0).at("the tracee's code is read")?;
        self.code = Some(code);
        self.write(code & !0xff | libc::c_long::from(machine::TRAP))
    }

    fn clear(&mut self) -> Check {
        self.code.take().map_or(Ok(()), |code| self.write(code))
    }

    fn write(&self, code: libc::c_long) -> Check {
        let written = request(self.pid, libc::PTRACE_POKETEXT, self.address as usize, code as usize);
        written.map(drop).at("the tracee's code is written")
    }
}

/// Tracer and tracee on one processor, where changing from one to the other is five times cheaper.
struct Pinned {
    /// Where either could run before, by its thread's number; 0 is this thread.
    before: Vec<(libc::pid_t, libc::cpu_set_t)>,
}

impl Pinned {
    /// Pins this thread and the tracee to where this thread is. It is no more than an optimisation, so it may fail.
    fn new(pid: libc::pid_t) -> Self {
        // SAFETY: `cpu_set_t` is a C struct of integers, for which zero is a valid value.
        let blank: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: has no preconditions.
        let here = unsafe { libc::sched_getcpu() };
        let mut only = blank;
        // SAFETY: the set is writable, and CPU_SET ignores numbers beyond it.
        unsafe { libc::CPU_SET(here.max(0) as usize, &mut only) };
        let mut before = Vec::new();
        for thread in [0, pid] {
            let mut set = blank;
            // SAFETY: the pointer and the length describe `set`, which is writable.
            let known = unsafe { libc::sched_getaffinity(thread, size_of_val(&set), &raw mut set) };
            if known == 0 && here >= 0 {
                before.push((thread, set));
                set_affinity(thread, &only);
            }
        }
        Pinned { before }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.before.iter().for_each(|(thread, set)| set_affinity(*thread, set));
    }
}

fn set_affinity(thread: libc::pid_t, set: &libc::cpu_set_t) {
    // SAFETY: the pointer and the length describe `set`.
    unsafe { libc::sched_setaffinity(thread, size_of_val(set), set) };
}

/// Lets the tracee go, and has it stop by SIGSTOP before it executes anything.
pub(crate) fn leave_stopped(pid: libc::pid_t) -> Check {
    request(pid, libc::PTRACE_DETACH, 0, libc::SIGSTOP as usize).at("the tracee is let go")?;
    let mut status = 0;
    // SAFETY: `status` is writable.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) };
    ensure(waited == pid && libc::WIFSTOPPED(status), || format!("the victim did not stop: {status:#x}"))
}

/// Lets a process that was stopped go on.
pub(crate) fn resume(pid: libc::pid_t) -> Check {
    // SAFETY: takes two integers; the child has not been waited for, so the id is still its own.
    let sent = unsafe { libc::kill(pid, libc::SIGCONT) };
    ensure(sent == 0, || "the victim cannot be resumed".to_string())
}

/// The address of the next instruction.
fn place(pid: libc::pid_t) -> Check<u64> {
    Ok(request(pid, libc::PTRACE_PEEKUSER, machine::PLACE, 0).at("the tracee's registers are read")? as u64)
}

/// Has the tracee go on at another instruction.
fn set_place(pid: libc::pid_t, address: u64) -> Check {
    request(pid, libc::PTRACE_POKEUSER, machine::PLACE, address as usize)
        .map(drop)
        .at("the tracee's registers are written")
}

fn wait_for_trap(pid: libc::pid_t) -> Check {
    let mut status = 0;
    // SAFETY: `status` is writable.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    let is_trap = waited == pid && libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP;
    ensure(is_trap, || format!("the victim did something else than a step: wait status {status:#x}"))
}

/// A request whose result may be any word.
fn request(pid: libc::pid_t, what: u32, address: usize, data: usize) -> io::Result<libc::c_long> {
    // SAFETY: the address of this thread's error number.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is this thread's own.
    unsafe { *errno = 0 };
    // SAFETY: these requests take integers, and return what they read rather than storing it.
    let word = unsafe { libc::ptrace(what, pid, address as *mut u8, data as *mut u8) };
    // SAFETY: as above.
    match unsafe { *errno } {
        0 => Ok(word),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// What there is to know about the processor.
#[cfg(target_arch = "x86_64")]
mod machine {
    use super::Mark;
    use libc::{user, user_regs_struct};
    use std::mem::offset_of;

    /// Whether steps can be counted here.
    pub(crate) const IS_SUPPORTED: bool = true;

    /// Where the instruction pointer and the stack pointer are among what can be read of a tracee.
    pub(super) const PLACE: usize = offset_of!(user, regs) + offset_of!(user_regs_struct, rip);
    pub(super) const STACK: usize = offset_of!(user, regs) + offset_of!(user_regs_struct, rsp);

    /// The instruction `int3`.
    pub(super) const TRAP: u8 = 0xcc;

    /// What there is to say of the instruction that begins with these bytes.
    pub(super) fn mark(code: [u8; 8]) -> Mark {
        match code {
            // `syscall`.
            [0x0f, 0x05, ..] => Mark::Call,
            // The prefix `lock`.
            [0xf0, ..] => Mark::Atomic,
            // `xchg` with memory, of 32 or 64 bits.
            [0x87, operands, ..] | [0x40..=0x4f, 0x87, operands, ..] if operands < 0xc0 => Mark::Atomic,
            _ => Mark::Plain,
        }
    }

    /// Stops this process for its tracer.
    #[inline(always)]
    pub(super) fn trap() {
        // SAFETY: the trap stops this process for its tracer and changes no register.
        unsafe { std::arch::asm!("int3") };
    }
}

/// Nothing is known of this processor, and so nothing is traced.
#[cfg(not(target_arch = "x86_64"))]
mod machine {
    pub(crate) const IS_SUPPORTED: bool = false;
    pub(super) const PLACE: usize = 0;
    pub(super) const STACK: usize = 0;
    pub(super) const TRAP: u8 = 0;

    pub(super) fn mark(_code: [u8; 8]) -> super::Mark {
        super::Mark::Plain
    }

    pub(super) fn trap() {}
}
