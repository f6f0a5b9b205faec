//! What a process can be surrounded by: namespaces, another user, limits, one processor, refused system calls.
//!
//! A process enters them at its start, before it has threads. Some can be entered only by a child: the process forks, the
//! child goes on, and the parent ends as the child does.

use crate::check::{Check, Context, ensure};
use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;

/// Somebody who owns nothing here.
pub(crate) const NOBODY: u32 = 65_534;

/// Surroundings, by their names.
type Surroundings = (&'static str, fn(life: u64) -> Check);

const ALL: &[Surroundings] = &[
    ("plain", |_| Ok(())),
    ("pid-namespace", |_| {
        enter_by_child(libc::CLONE_NEWPID)?;
        ensure(std::process::id() == 1, || "it is not the first of its namespace".to_string())
    }),
    ("time-namespace", |life| {
        unshare(libc::CLONE_NEWTIME)?;
        let offset = format!("monotonic {} 0", life * 1_000);
        fs::write("/proc/self/timens_offsets", offset).at("a namespace's clock is set")?;
        enter_by_child(0)
    }),
    ("nobody", |_| become_nobody()),
    ("small-shm", |_| mount_small_shm()),
    ("small-files", |_| limit(libc::RLIMIT_FSIZE, 1 << 18)),
    ("few-descriptors", |_| limit(libc::RLIMIT_NOFILE, 64)),
    ("no-locked-memory", |_| limit(libc::RLIMIT_MEMLOCK, 0)),
    ("one-processor", |_| bind_to_one_processor()),
    ("no-membarrier", |_| refuse(libc::SYS_membarrier)),
    ("no-membarrier-for-some", |life| if life % 2 == 0 { Ok(()) } else { refuse(libc::SYS_membarrier) }),
];

/// Enters the surroundings `name`, as the process with this number.
pub(crate) fn enter(name: &str, life: u64) -> Check {
    let (_, enter) = ALL.iter().find(|(other, _)| *other == name).ok_or("there are no such surroundings")?;
    enter(life)
}

/// The result of a system call.
fn answer(answer: libc::c_int, what: &str) -> Check {
    ensure(answer >= 0, || format!("{what}: {}", io::Error::last_os_error()))
}

fn unshare(what: libc::c_int) -> Check {
    // SAFETY: takes one integer.
    answer(unsafe { libc::unshare(what) }, "a namespace is made")
}

/// Makes a namespace that only children are in, and goes on as a child. Whoever kills the parent kills the child.
fn enter_by_child(what: libc::c_int) -> Check {
    unshare(what)?;
    let (parents, childs) = UnixStream::pair().at("a pair of sockets is made")?;
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    answer(child, "a child is forked")?;
    if child == 0 {
        drop(parents);
        // SAFETY: takes two integers.
        answer(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }, "it ends with its parent")?;
        // A parent that was killed before sends no signal any more. Its number says nothing here, where it is 0.
        childs.set_nonblocking(true).at("a socket does not block")?;
        let is_alive = matches!((&childs).read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        return ensure(is_alive, || "the parent has died".into());
    }
    let mut status = 0;
    // SAFETY: `status` is writable.
    answer(unsafe { libc::waitpid(child, &raw mut status, 0) }, "the child is waited for")?;
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 };
    // SAFETY: ends the process, whose standard output has nothing in it yet.
    unsafe { libc::_exit(code) }
}

fn become_nobody() -> Check {
    // SAFETY: a null list of no groups.
    answer(unsafe { libc::setgroups(0, std::ptr::null()) }, "other groups are left")?;
    // SAFETY: takes one integer.
    answer(unsafe { libc::setgid(NOBODY) }, "the group is changed")?;
    // SAFETY: takes one integer.
    answer(unsafe { libc::setuid(NOBODY) }, "the user is changed")?;
    // A process that has changed its user may not be looked at otherwise, not even by itself.
    // SAFETY: takes integers.
    answer(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) }, "the process is made dumpable")
}

/// Gives this process and its children a /dev/shm of 1 MiB.
fn mount_small_shm() -> Check {
    // SAFETY: has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let group = unsafe { libc::getegid() };
    if unshare(libc::CLONE_NEWNS).is_err() {
        // Whoever is not root may have a namespace of mounts within one of users.
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
        fs::write("/proc/self/setgroups", "deny").at("groups are given up")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1")).at("the user is kept")?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1")).at("the group is kept")?;
    }
    let options = CString::new("size=1m,mode=1777").at("the options")?;
    let (none, private) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // What is mounted below must not reach the namespace we come from.
    // SAFETY: the target is NUL-terminated, and the other pointers are not used for a change of propagation.
    answer(unsafe { libc::mount(none, c"/".as_ptr(), none, private, none.cast()) }, "mounts are made private")?;
    let (kind, target) = (c"tmpfs".as_ptr(), c"/dev/shm".as_ptr());
    // SAFETY: all strings are NUL-terminated and outlive the call.
    let mounted = unsafe { libc::mount(kind, target, kind, 0, options.as_ptr().cast()) };
    answer(mounted, "a small /dev/shm is mounted")
}

fn limit(what: libc::__rlimit_resource_t, to: u64) -> Check {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: `limit` is readable.
    answer(unsafe { libc::setrlimit(what, &raw const limit) }, "a limit is lowered")
}

/// Binds this process and its children to the first processor that it may run on.
fn bind_to_one_processor() -> Check {
    // SAFETY: `cpu_set_t` is a C struct of integers, for which zero is a valid value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer and the length describe `set`, which is writable.
    let known = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    answer(known, "the processors are asked for")?;
    // SAFETY: the numbers are within the set.
    let first = (0..libc::CPU_SETSIZE as usize).find(|&at| unsafe { libc::CPU_ISSET(at, &set) });
    // SAFETY: the set is writable.
    unsafe { libc::CPU_ZERO(&mut set) };
    // SAFETY: the set is writable, and the number is within it.
    unsafe { libc::CPU_SET(first.ok_or("there is no processor")?, &mut set) };
    // SAFETY: the pointer and the length describe `set`.
    let bound = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    answer(bound, "the process is bound")
}

/// Has the kernel refuse a system call to this process and its children, as if it did not know it.
fn refuse(call: libc::c_long) -> Check {
    let instruction = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let verdict = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut filter = [
        // The number of the system call is the first word of what the filter is shown.
        instruction(load, 0, 0, 0),
        instruction(equal, 0, 1, call as u32),
        instruction(verdict, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        instruction(verdict, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes integers.
    answer(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, "privileges are given up")?;
    // SAFETY: the program and its instructions outlive the call, which copies them.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    answer(set, "a filter is set")
}
