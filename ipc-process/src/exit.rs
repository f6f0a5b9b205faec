//! How a process ended.

use signal_hook::low_level::signal_name;
use std::fmt;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It ended by itself with this exit code.
    Code(i32),
    /// A signal killed it.
    Signal {
        /// The signal's number, 9 for SIGKILL.
        signal: i32,
        /// Whether the kernel has written its memory to a core file.
        core_dumped: bool,
    },
    /// It has ended, and nobody can tell how: somebody else in this program has collected its exit status
    /// (`waitpid(-1)`), or has told the kernel to keep none (SIGCHLD set to SIG_IGN).
    Lost,
}

impl Exit {
    /// Whether it ended by itself with the exit code 0.
    pub fn is_success(self) -> bool {
        self == Exit::Code(0)
    }

    /// The exit code, if it ended by itself.
    pub fn code(self) -> Option<i32> {
        match self {
            Exit::Code(code) => Some(code),
            _ => None,
        }
    }

    /// The number of the signal that killed it, if one did.
    pub fn signal(self) -> Option<i32> {
        match self {
            Exit::Signal { signal, .. } => Some(signal),
            _ => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal { signal, core_dumped } => {
                match signal_name(signal) {
                    Some(name) => write!(f, "killed by {name}")?,
                    None => write!(f, "killed by signal {signal}")?,
                }
                f.write_str(if core_dumped { " (core dumped)" } else { "" })
            }
            Exit::Lost => f.write_str("ended, and its exit status was collected elsewhere"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn an_exit_says_what_happened() {
        assert_eq!(Exit::Code(3).to_string(), "exit code 3");
        assert_eq!(Exit::Signal { signal: 9, core_dumped: false }.to_string(), "killed by SIGKILL");
        assert_eq!(Exit::Signal { signal: 11, core_dumped: true }.to_string(), "killed by SIGSEGV (core dumped)");
        assert_eq!(Exit::Signal { signal: 40, core_dumped: false }.to_string(), "killed by signal 40");
        assert!(Exit::Code(0).is_success() && !Exit::Code(1).is_success() && !Exit::Lost.is_success());
    }
}
