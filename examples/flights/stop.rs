//! How a run ends before its time.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the parts of this program return: an error says what went wrong and what to do about it.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The longest that any part of this program waits without a look at whether it should stop.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The user, or the parent on the user's behalf, asked this process to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// From now on SIGINT, SIGTERM and SIGHUP ask for an orderly end instead of ending the process at once.
///
/// Call it when there is something to tidy up, and not before: reading a file may take long, and needs no tidying.
/// A second call changes nothing.
pub(crate) fn install() -> Result<()> {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // Relaxed: as for the flag below; only the main thread comes here.
    if INSTALLED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    // Relaxed: the flag stands for itself; no other memory hangs on it.
    ctrlc::set_handler(|| REQUESTED.store(true, Ordering::Relaxed))
        .map_err(|error| format!("cannot install a handler for signals: {error}").into())
}

/// Fails with [`Interrupted`] once an end was asked for.
#[inline]
pub(crate) fn check() -> std::result::Result<(), Interrupted> {
    // Relaxed: as in `install`.
    if REQUESTED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

/// Writes a line to standard error, if there is still somebody who reads it.
pub(crate) fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
