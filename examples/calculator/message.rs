use slipring::{IpcMessage, Pipe, Str};

/// One line for the calculator.
#[derive(IpcMessage)]
#[repr(C)]
pub(crate) struct Line {
    pub(crate) text: Str<120>,
}

/// What it says to a line.
#[allow(dead_code, reason = "one program makes these, and the other one looks at them")]
#[derive(IpcMessage)]
#[repr(C, u8)]
pub(crate) enum Answer {
    /// What lies on top of the stack.
    Top(f64),
    /// The stack is empty.
    Empty,
    /// It understood the line up to this word, and has left the stack as it was.
    Misunderstood(Str<120>),
}

pub(crate) fn pipe() -> Pipe<Line, Answer> {
    Pipe::new("calculator").capacity(16)
}
