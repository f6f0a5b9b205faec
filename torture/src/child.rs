//! Child processes: this executable again, with a hidden command. Parent and child talk in lines over pipes.

use crate::check::{Check, Context, ensure};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

/// After so long a child is stuck, and ends itself.
const LIMIT_S: u32 = 45;

/// A child. If it is dropped early, it is killed.
pub(crate) struct Child {
    process: process::Child,
    says: BufReader<ChildStdout>,
    hears: Option<ChildStdin>,
}

impl Child {
    /// Starts this executable with other arguments.
    pub(crate) fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Check<Child> {
        Self::start_with(arguments, None)
    }

    /// The same, with a variable in its environment.
    pub(crate) fn start_with<'a>(
        arguments: impl IntoIterator<Item = &'a str>,
        variable: Option<(&str, &str)>,
    ) -> Check<Child> {
        let mut command = Command::new("/proc/self/exe");
        command.args(arguments).envs(variable).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().at("a child is started")?;
        let says = BufReader::new(process.stdout.take().ok_or("the child has no output")?);
        let hears = process.stdin.take();
        Ok(Child { process, says, hears })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> libc::pid_t {
        self.process.id() as libc::pid_t
    }

    /// Waits for the next line that the child says.
    pub(crate) fn hear(&mut self) -> Check<String> {
        let mut line = String::new();
        self.says.read_line(&mut line).at("the child is heard")?;
        if line.ends_with('\n') {
            line.pop();
            return Ok(line);
        }
        self.hears = None;
        Err(format!("the child ended unasked: {:?}", self.process.wait()))
    }

    /// Waits for the next line, or for the child's death by SIGKILL, which is no line.
    #[cfg(feature = "crash-points")]
    pub(crate) fn hear_or_die(&mut self) -> Check<Option<String>> {
        let mut line = String::new();
        self.says.read_line(&mut line).at("the child is heard")?;
        if line.ends_with('\n') {
            line.pop();
            return Ok(Some(line));
        }
        let status = self.process.wait().at("the child is waited for")?;
        ensure(status.signal() == Some(libc::SIGKILL), || format!("the child ended by itself: {status}"))?;
        Ok(None)
    }

    /// Waits for a line that starts with `word`, and returns the rest.
    pub(crate) fn hear_word(&mut self, word: &str) -> Check<String> {
        let line = self.hear()?;
        let rest = line.strip_prefix(word).map(|rest| rest.trim_start().to_string());
        rest.ok_or_else(|| format!("the child was to say `{word}`, and said `{line}`"))
    }

    /// Says a line to the child.
    pub(crate) fn tell(&mut self, line: &str) -> Check {
        let hears = self.hears.as_mut().ok_or("the child is told nothing more")?;
        writeln!(hears, "{line}").at("the child listens")
    }

    /// Kills the child, which has to be alive; returns when it is dead.
    pub(crate) fn kill(&mut self) -> Check {
        self.process.kill().at("the child is killed")?;
        let status = self.process.wait().at("the child is waited for")?;
        ensure(status.signal() == Some(libc::SIGKILL), || format!("the child ended by itself: {status}"))
    }

    /// What the child has said and was not heard yet, after it was killed. A line that it did not finish is none.
    pub(crate) fn last_words(&mut self) -> Check<Vec<String>> {
        let mut text = Vec::new();
        io::Read::read_to_end(&mut self.says, &mut text).at("the child's last words are read")?;
        let text = String::from_utf8_lossy(&text);
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        Ok(whole.lines().map(str::to_string).collect())
    }

    /// How it ended, if it has.
    pub(crate) fn try_wait(&mut self) -> Check<Option<ExitStatus>> {
        self.process.try_wait().at("the child is looked after")
    }

    /// Says no more to the child, and waits for it to end, which it has to do in order.
    pub(crate) fn finish(&mut self) -> Check {
        self.hears = None;
        let status: ExitStatus = self.process.wait().at("the child is waited for")?;
        ensure(status.success(), || format!("the child failed: {status}"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The child's first step: it ends with its parent, and not too late.
pub(crate) fn settle_in() -> Check {
    end_with_parent()?;
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::alarm(LIMIT_S) };
    Ok(())
}

/// Gives the child as much time again as it had when it settled in.
pub(crate) fn rest_assured() {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::alarm(LIMIT_S) };
}

/// The child ends with its parent. A process that has changed its user has to say so again.
pub(crate) fn end_with_parent() -> Check {
    // SAFETY: takes two integers.
    let bound = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    ensure(bound == 0, || "the child cannot be bound to its parent".to_string())
}

/// Says a line to the parent.
pub(crate) fn say(line: &str) -> Check {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).at("the parent listens")
}

/// Waits for a line from the parent. `None` if it says no more.
pub(crate) fn listen() -> Check<Option<String>> {
    let mut line = String::new();
    let bytes = io::stdin().lock().read_line(&mut line).at("the parent is heard")?;
    Ok((bytes > 0).then(|| line.trim_end().to_string()))
}
