//! Why a process could not be started.

use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

/// Why a process could not be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no such program.
    #[error("there is no program {program:?}{}", where_sought(program))]
    NotFound {
        /// As it was given.
        program: PathBuf,
    },
    /// The program is there, and what its `#!` line names, or the loader that it was linked for, is not.
    #[error("{program:?} cannot be run: the interpreter that it asks for does not exist")]
    Interpreter {
        /// As it was given.
        program: PathBuf,
    },
    /// There is something of that name that is no program, or not for this user.
    #[error("{program:?} cannot be run: it has to be a file with execute permission, in a form that this machine runs")]
    NotExecutable {
        /// As it was given.
        program: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The directory that it was to be started in does not exist.
    #[error("{program:?} cannot be started in the directory {directory:?}, which does not exist")]
    Directory {
        /// As it was given.
        program: PathBuf,
        /// As it was given.
        directory: PathBuf,
    },
    /// The system has no process, memory or descriptor to spare, or what runs between fork and exec has failed.
    #[error("{program:?} could not be started: {source}")]
    System {
        /// As it was given.
        program: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The thread that starts processes, of which a program has one, could not be started or has come to an end.
    #[error("the thread that starts processes does not run: {0}")]
    Keeper(io::Error),
}

impl SpawnError {
    /// Finds out what `source` means for `command`.
    pub(crate) fn new(command: &Command, source: io::Error) -> Self {
        let program = PathBuf::from(command.get_program());
        let directory = command.get_current_dir();
        match source.kind() {
            io::ErrorKind::NotFound => match directory {
                Some(directory) if !directory.is_dir() => {
                    SpawnError::Directory { program, directory: directory.to_owned() }
                }
                _ if is_path(&program) && directory.unwrap_or(Path::new("")).join(&program).exists() => {
                    SpawnError::Interpreter { program }
                }
                _ => SpawnError::NotFound { program },
            },
            io::ErrorKind::PermissionDenied => SpawnError::NotExecutable { program, source },
            _ if source.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
                SpawnError::NotExecutable { program, source }
            }
            _ => SpawnError::System { program, source },
        }
    }
}

/// Whether a program is sought at a place of its own, and not in the directories of PATH.
fn is_path(program: &Path) -> bool {
    program.as_os_str().as_encoded_bytes().contains(&b'/')
}

/// Where a program was sought that was not found.
fn where_sought(program: &Path) -> &'static str {
    if is_path(program) { "" } else { " in the directories that PATH names" }
}
