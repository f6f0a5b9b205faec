//! Memory without a name, and handing it over.

use core::mem::{MaybeUninit, size_of};
use core::ptr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// Most files that are handed over at once.
pub(crate) const MAX_FILES: usize = 2;

/// Bytes of a control message with so many descriptors. Larger than on any platform.
const CONTROL_BYTES: usize = 64;

/// A buffer for a control message, aligned as one has to be.
#[repr(C, align(16))]
struct Control([MaybeUninit<u8>; CONTROL_BYTES]);

/// Makes a file that is memory and has no name, for this user alone.
pub(super) fn create_sealable() -> io::Result<File> {
    // SAFETY: the name, which is for people, is NUL-terminated and outlives the call.
    let descriptor = unsafe { libc::memfd_create(c"slipring".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    let file = unsafe { File::from_raw_fd(descriptor) };
    // Another user who is given a descriptor for reading cannot open one for writing in its place.
    super::access::set_mode(&file, 0o600)?;
    Ok(file)
}

/// Keeps a file from ever being cut short or made longer, by anybody, and its seals from being changed.
pub(super) fn seal(file: &File) -> io::Result<()> {
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: `file` keeps the descriptor open, and F_ADD_SEALS takes an integer.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Whether a file is memory of the ordinary kind that nobody can cut short.
pub(super) fn is_sealed(file: &File) -> bool {
    // SAFETY: `file` keeps the descriptor open, and F_GET_SEALS takes no argument.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `file` keeps the descriptor open, and the result is writable.
    let is_known = unsafe { libc::fstatfs(file.as_raw_fd(), about.as_mut_ptr()) } == 0;
    // Huge pages can be sealed as well, and may be missing when they are touched.
    // SAFETY: the call has filled it in.
    let is_memory = is_known && unsafe { about.assume_init() }.f_type == libc::TMPFS_MAGIC;
    is_memory && seals >= 0 && seals & libc::F_SEAL_SHRINK != 0
}

/// Opens a file once more: another open file description, with locks of its own. One that `is_writable` is not cannot be
/// made so: what is mapped by it cannot be written, now or after `mprotect`.
pub(super) fn open_again(file: &File, is_writable: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(is_writable).open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Sends files over a socket, 1 to [`MAX_FILES`] of them, with a byte that says how many.
pub(crate) fn send_files(socket: &UnixStream, files: &[File]) -> io::Result<()> {
    debug_assert!((1..=MAX_FILES).contains(&files.len()));
    let mut count = files.len() as u8;
    let mut part = libc::iovec { iov_base: (&raw mut count).cast(), iov_len: 1 };
    let mut control = Control([const { MaybeUninit::zeroed() }; CONTROL_BYTES]);
    let bytes = (size_of::<RawFd>() * files.len()) as u32;
    let mut message = message_header(&mut part, &mut control);
    // SAFETY: takes a number.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as _;
    // SAFETY: the header describes a buffer that is larger than a control message's head.
    let head = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: takes a number.
    let length = unsafe { libc::CMSG_LEN(bytes) };
    // SAFETY: as above, so the head is in the buffer, where it is suitably aligned and zeroed.
    let head_fields = unsafe { &mut *head };
    head_fields.cmsg_level = libc::SOL_SOCKET;
    head_fields.cmsg_type = libc::SCM_RIGHTS;
    head_fields.cmsg_len = length as _;
    // SAFETY: the head is in the buffer.
    let data = unsafe { libc::CMSG_DATA(head) };
    for (at, file) in files.iter().enumerate() {
        // SAFETY: the buffer has room for so many descriptors behind the head.
        let place = unsafe { data.cast::<RawFd>().add(at) };
        // SAFETY: as above.
        unsafe { place.write_unaligned(file.as_raw_fd()) };
    }
    loop {
        // SAFETY: the header describes buffers that outlive the call.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
        match sent {
            1 => return Ok(()),
            0 => return Err(io::ErrorKind::WriteZero.into()),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Receives files from a socket: as many as were sent together, at most [`MAX_FILES`]. Whatever else arrives with them is
/// closed.
pub(crate) fn receive_files(socket: &UnixStream) -> io::Result<Vec<File>> {
    let mut count = 0_u8;
    let mut part = libc::iovec { iov_base: (&raw mut count).cast(), iov_len: 1 };
    let mut control = Control([const { MaybeUninit::zeroed() }; CONTROL_BYTES]);
    let mut message = message_header(&mut part, &mut control);
    loop {
        // SAFETY: the header describes buffers that outlive the call.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        match got {
            1 => break,
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    let files = take_files(&message);
    let is_cut = message.msg_flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) != 0;
    let is_as_said = files.len() == usize::from(count) && (1..=MAX_FILES).contains(&files.len());
    if is_as_said && !is_cut { Ok(files) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The files in a message that was received. They are this process's own from here on.
fn take_files(message: &libc::msghdr) -> Vec<File> {
    let mut files = Vec::new();
    // SAFETY: the kernel has filled in the buffer that the header describes.
    let mut head = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !head.is_null() {
        // SAFETY: a head that is not null is in the buffer.
        let fields = unsafe { &*head };
        if (fields.cmsg_level, fields.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: takes a number.
            let head_bytes = unsafe { libc::CMSG_LEN(0) } as usize;
            // SAFETY: the head is in the buffer.
            let data = unsafe { libc::CMSG_DATA(head) };
            for at in 0..(fields.cmsg_len as usize).saturating_sub(head_bytes) / size_of::<RawFd>() {
                // SAFETY: the message's length says that there are so many.
                let place = unsafe { data.cast::<RawFd>().add(at) };
                // SAFETY: as above.
                let descriptor = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has just made it, for this process, and nobody else knows of it.
                files.push(unsafe { File::from_raw_fd(descriptor) });
            }
        }
        // SAFETY: the head is in the buffer that the header describes.
        head = unsafe { libc::CMSG_NXTHDR(message, head) };
    }
    files
}

/// A header that describes one part of data, and a control message.
fn message_header(part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: `msghdr` is a C struct of integers and pointers, for which zero is a valid value.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_name = ptr::null_mut();
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL_BYTES as _;
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_cannot_be_cut_short() {
        let file = create_sealable().unwrap();
        file.set_len(4096).unwrap();
        assert!(!is_sealed(&file));
        seal(&file).unwrap();
        assert!(is_sealed(&file));
        assert!(file.set_len(0).is_err() && file.set_len(8192).is_err());
        let again = open_again(&file, true).unwrap();
        assert!(is_sealed(&again) && again.set_len(0).is_err());
        let to_read = open_again(&file, false).unwrap();
        assert!(is_sealed(&to_read) && io::Write::write(&mut &to_read, &[1]).is_err());
    }

    #[test]
    fn files_are_handed_over_and_nothing_else_is_taken_for_them() {
        let (here, there) = UnixStream::pair().unwrap();
        let files = [create_sealable().unwrap(), create_sealable().unwrap()];
        files[1].set_len(4096).unwrap();
        send_files(&here, &files).unwrap();
        let received = receive_files(&there).unwrap();
        assert_eq!(received.iter().map(|file| file.metadata().unwrap().len()).collect::<Vec<_>>(), [0, 4096]);
        io::Write::write_all(&mut &here, &[1]).unwrap();
        assert_eq!(receive_files(&there).unwrap_err().kind(), io::ErrorKind::InvalidData, "a byte brings no file");
        drop(here);
        assert_eq!(receive_files(&there).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
