//! Records over standard input and output: what the channels are compared with.
//!
//! A record crosses a pipe as the very bytes that would lie in the segment, so neither side has more to encode or to
//! check than the other.

use crate::stop::{self, Result};
use crate::transport::{Sink, Source};
use slipring::IpcMessage;
use slipring::message::from_bytes;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::FromRawFd as _;

/// Bytes of the buffers of [`buffered_input`] and [`buffered_output`].
const BUFFER_BYTES: usize = 64 << 10;

/// Records from standard input, one read(2) for each.
pub(crate) fn input<T: IpcMessage>() -> PipeSource<T, File> {
    // SAFETY: the descriptor is open from the start, and nothing else in this process uses standard input. So it is
    // closed, and the other side notices, as soon as the role has done with it.
    PipeSource::new(unsafe { File::from_raw_fd(libc::STDIN_FILENO) })
}

/// Records from standard input through a buffer.
pub(crate) fn buffered_input<T: IpcMessage>() -> PipeSource<T, BufReader<File>> {
    PipeSource::new(BufReader::with_capacity(BUFFER_BYTES, input::<T>().pipe))
}

/// Records to standard output, one write(2) for each.
pub(crate) fn output<T: IpcMessage>() -> PipeSink<T, File> {
    // SAFETY: as for standard input; a role that sends over a pipe prints nothing.
    PipeSink::new(unsafe { File::from_raw_fd(libc::STDOUT_FILENO) })
}

/// Records to standard output through a buffer.
pub(crate) fn buffered_output<T: IpcMessage>() -> PipeSink<T, BufWriter<File>> {
    PipeSink::new(BufWriter::with_capacity(BUFFER_BYTES, output::<T>().pipe))
}

/// The reading end of a pipe.
pub(crate) struct PipeSource<T, R> {
    pipe: R,
    frame: Vec<u8>,
    records: PhantomData<T>,
}

impl<T: IpcMessage, R: Read> PipeSource<T, R> {
    fn new(pipe: R) -> Self {
        PipeSource { pipe, frame: vec![0; size_of::<T>()], records: PhantomData }
    }
}

impl<T: IpcMessage, R: Read> Source<T> for PipeSource<T, R> {
    /// Unlike a channel, a pipe cannot tell a writer that is through from one that died between two records.
    fn next(&mut self) -> Result<Option<T>> {
        let mut filled = 0;
        while filled < self.frame.len() {
            stop::check()?;
            match self.pipe.read(&mut self.frame[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err("the pipe ended inside a record: its writer died".into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot read from standard input: {error}").into()),
            }
        }
        Ok(Some(from_bytes(&self.frame)?))
    }
}

/// The writing end of a pipe.
pub(crate) struct PipeSink<T, W> {
    pipe: W,
    frame: Box<MaybeUninit<T>>,
}

impl<T: IpcMessage, W: Write> PipeSink<T, W> {
    fn new(pipe: W) -> Self {
        PipeSink { pipe, frame: Box::new(MaybeUninit::uninit()) }
    }
}

impl<T: IpcMessage, W: Write> Sink<T> for PipeSink<T, W> {
    fn put(&mut self, record: T) -> Result<()> {
        stop::check()?;
        // SAFETY: the frame is exactly one `T` long, and writable.
        unsafe { self.frame.as_mut_ptr().write_bytes(0, 1) };
        // SAFETY: the frame is aligned and writable for a `T`, and `record` lies elsewhere.
        unsafe { record.place(self.frame.as_mut_ptr()) };
        // SAFETY: the frame is as long as this slice, and all of it was initialised with zeros at least.
        let bytes = unsafe { std::slice::from_raw_parts(self.frame.as_ptr().cast::<u8>(), size_of::<T>()) };
        self.pipe.write_all(bytes).map_err(refused)
    }

    fn flush(&mut self) -> Result<()> {
        self.pipe.flush().map_err(refused)
    }
}

fn refused(error: io::Error) -> Box<dyn std::error::Error> {
    match error.kind() {
        ErrorKind::BrokenPipe => "nobody reads from standard output any more".into(),
        _ => format!("cannot write to standard output: {error}").into(),
    }
}
