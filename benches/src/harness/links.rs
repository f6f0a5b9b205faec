//! What the processes of a contestant share from the start, made by the harness and inherited by them.

use super::plan::{Failure, Files, Link};
use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Bytes of a pipe that was enlarged.
const ENLARGED_BYTES: libc::c_int = 1 << 20;

/// Descriptors that close with the value. The processes have copies.
pub(super) struct Shared(Vec<OwnedFd>);

impl Shared {
    /// Makes what the processes of a contestant share.
    pub(super) fn make(files: Files) -> Result<Shared, Failure> {
        let mut made = Vec::new();
        match files {
            Files::None => {}
            Files::Memory(bytes) => made.push(memory(bytes)?),
            Files::MemoryAndEvents(bytes, count) => {
                made.push(memory(bytes)?);
                for _ in 0..count {
                    // SAFETY: the call takes no pointer.
                    made.push(owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?);
                }
            }
            Files::Links(link, count) => {
                for index in 0..count {
                    made.extend(pair(link, index)?);
                }
            }
        }
        Ok(Shared(made))
    }

    /// The numbers of the descriptors, which are the same in a process that inherits them.
    pub(super) fn numbers(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|file| file.as_raw_fd().to_string())
    }

    /// Lets the processes that are started from now on inherit them, or no longer.
    pub(super) fn let_inherit(&self, inherit: bool) -> io::Result<()> {
        let flags = if inherit { 0 } else { libc::FD_CLOEXEC };
        for file in &self.0 {
            // SAFETY: the call takes no pointer.
            if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, flags) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// Memory without a name, all zero, as a segment is before it is linked.
fn memory(bytes: usize) -> Result<OwnedFd, Failure> {
    Ok(crate::ways::memory::anonymous(bytes)?.into())
}

/// Two descriptors of a link: what is written to the second can be read from the first.
fn pair(link: Link, index: usize) -> Result<[OwnedFd; 2], Failure> {
    match link {
        Link::Pipe => pipe(None),
        Link::PipeEnlarged => pipe(Some(ENLARGED_BYTES)),
        Link::UnixStream => sockets(libc::SOCK_STREAM),
        Link::UnixSeqpacket => sockets(libc::SOCK_SEQPACKET),
        Link::Tcp => tcp(),
        Link::PosixMq => mq(index),
    }
}

fn pipe(bytes: Option<libc::c_int>) -> Result<[OwnedFd; 2], Failure> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let [reading, writing] = ends.map(owned);
    let (reading, writing) = (reading?, writing?);
    if let Some(bytes) = bytes {
        // SAFETY: the call takes no pointer.
        check(unsafe { libc::fcntl(writing.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })?;
    }
    Ok([reading, writing])
}

fn sockets(kind: libc::c_int) -> Result<[OwnedFd; 2], Failure> {
    let mut ends = [0; 2];
    // SAFETY: there is room for two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) })?;
    let [one, other] = ends.map(owned);
    Ok([one?, other?])
}

fn tcp() -> Result<[OwnedFd; 2], Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    one.set_nodelay(true)?;
    other.set_nodelay(true)?;
    Ok([one.into(), other.into()])
}

/// A message queue with as many places as anybody may have by default.
fn mq(index: usize) -> Result<[OwnedFd; 2], Failure> {
    let name = CString::new(format!("/slipring-benches-{}-{index}", std::process::id()))?;
    // SAFETY: `mq_attr` is a C struct of integers, for which zero is a valid value.
    let mut wanted: libc::mq_attr = unsafe { std::mem::zeroed() };
    wanted.mq_maxmsg = 10;
    wanted.mq_msgsize = Link::PosixMq.longest().unwrap_or(0) as libc::c_long;
    let make = libc::O_CREAT | libc::O_EXCL;
    let (mode, wanted) = (0o600 as libc::mode_t, &raw mut wanted);
    // SAFETY: the name is NUL-terminated, and the attributes are this function's own.
    let reading = owned(unsafe { libc::mq_open(name.as_ptr(), make | libc::O_RDONLY, mode, wanted) })?;
    // SAFETY: the name is NUL-terminated.
    let writing = owned(unsafe { libc::mq_open(name.as_ptr(), libc::O_WRONLY) });
    // SAFETY: the name is NUL-terminated. The queue lives as long as its descriptors.
    check(unsafe { libc::mq_unlink(name.as_ptr()) })?;
    Ok([reading, writing?])
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The descriptor that a call has just returned, or the error.
fn owned(descriptor: RawFd) -> io::Result<OwnedFd> {
    check(descriptor)?;
    // SAFETY: the descriptor was just made and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
