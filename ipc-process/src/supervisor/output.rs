//! What supervised programs say, line by line.

use rustix::io::Errno;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A line is cut here, so that a program that never ends one does not fill the memory.
const LONGEST_LINE_BYTES: usize = 64 * 1024;

/// How much is read at a time. Between two reads the other programs have their turn.
const CHUNK_BYTES: usize = 64 * 1024;

/// A line that a supervised program has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The program's name.
    pub program: &'a str,
    /// The process id of this run of it.
    pub pid: u32,
    /// Where it has written the line.
    pub stream: Stream,
    /// The line without its end. What is no UTF-8 is replaced by U+FFFD; a line of more than 64 KiB comes in pieces.
    pub text: &'a str,
}

/// One of a program's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What is done with lines.
pub(super) type OnLine = Box<dyn FnMut(Line<'_>) + Send>;

/// Writes the line to this program's standard error.
pub(super) fn print(line: Line<'_>) {
    // In one piece, since others write there, too. There is nobody to tell that nobody listens.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.program, self.text)
    }
}

/// This end of a pipe that one run of a program writes to.
#[derive(Debug)]
pub(super) struct Output {
    program: Arc<str>,
    pid: u32,
    stream: Stream,
    pipe: OwnedFd,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
}

impl Output {
    /// Takes the pipe over, which is made not to block.
    pub(super) fn new(program: &Arc<str>, pid: u32, stream: Stream, pipe: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Output { program: Arc::clone(program), pid, stream, pipe, partial: Vec::new() })
    }

    /// Reads what is there, up to a limit. `false` says that nothing will come any more.
    pub(super) fn read(&mut self, on_line: &mut OnLine) -> bool {
        self.read_chunk(CHUNK_BYTES, on_line) != Progress::End
    }

    /// Reads what a process that has ended has left behind. What others that it has started may go on to write is not
    /// waited for.
    pub(super) fn drain(mut self, on_line: &mut OnLine) {
        let mut left = rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0).try_into().unwrap_or(usize::MAX);
        while left > 0 {
            match self.read_chunk(left.min(CHUNK_BYTES), on_line) {
                Progress::Bytes(count) => left = left.saturating_sub(count),
                Progress::None | Progress::End => break,
            }
        }
        self.finish(on_line);
    }

    fn read_chunk(&mut self, most: usize, on_line: &mut OnLine) -> Progress {
        let mut buffer = vec![0; most];
        match rustix::io::read(&self.pipe, buffer.as_mut_slice()) {
            Ok(0) => {
                self.finish(on_line);
                Progress::End
            }
            Ok(count) => {
                self.split(&buffer[..count], on_line);
                Progress::Bytes(count)
            }
            Err(Errno::AGAIN | Errno::INTR) => Progress::None,
            Err(_) => Progress::End,
        }
    }

    /// Hands on the lines that end in `bytes`, and keeps the rest.
    fn split(&mut self, bytes: &[u8], on_line: &mut OnLine) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.extend(end, on_line);
                    self.hand_on(on_line);
                }
                None => self.extend(piece, on_line),
            }
        }
    }

    fn extend(&mut self, mut bytes: &[u8], on_line: &mut OnLine) {
        while self.partial.len() + bytes.len() > LONGEST_LINE_BYTES {
            let (now, later) = bytes.split_at(LONGEST_LINE_BYTES - self.partial.len());
            self.partial.extend_from_slice(now);
            self.hand_on(on_line);
            bytes = later;
        }
        self.partial.extend_from_slice(bytes);
    }

    /// Hands on the last line, which may have no end.
    fn finish(&mut self, on_line: &mut OnLine) {
        if !self.partial.is_empty() {
            self.hand_on(on_line);
        }
    }

    fn hand_on(&mut self, on_line: &mut OnLine) {
        let bytes = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        let text = String::from_utf8_lossy(bytes);
        on_line(Line { program: &self.program, pid: self.pid, stream: self.stream, text: &text });
        self.partial.clear();
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Bytes(usize),
    /// There was nothing to read.
    None,
    /// There will be nothing to read.
    End,
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LINE_BYTES, Line, OnLine, Output, Stream};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::channel;

    /// The lines that come of these pieces, written one after the other.
    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (pipe, _other) = UnixStream::pair().unwrap();
        let mut output = Output::new(&"p".into(), 1, Stream::Stdout, pipe.into()).unwrap();
        let (seen, lines) = channel();
        let mut on_line: OnLine = Box::new(move |line: Line<'_>| seen.send(line.text.to_owned()).unwrap());
        pieces.iter().for_each(|piece| output.split(piece, &mut on_line));
        output.finish(&mut on_line);
        drop(on_line);
        lines.iter().collect()
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(lines(&[b"a\nb", b"c\r\n", b"\nrest"]), ["a", "bc", "", "rest"]);
        assert_eq!(lines(&[b"\n"]), [""]);
        assert_eq!(lines(&[b"caf\xc3", b"\xa9 \xff\n"]), ["caf\u{e9} \u{fffd}"]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let long = vec![b'x'; 2 * LONGEST_LINE_BYTES + 1];
        let lengths: Vec<_> = lines(&[&long[..100], &long[100..], b"\n"]).iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST_LINE_BYTES, LONGEST_LINE_BYTES, 1]);
    }
}
