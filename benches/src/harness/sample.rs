//! What a process does at an order, and what it reports.

use super::plan::Failure;

/// Does so many pieces of work, and reports. A process is asked for it once for each sample.
pub(crate) type Play = Box<dyn FnMut(u64) -> Result<Report, Failure>>;

/// What the processes of a contestant say about a sample. The times are of the clock that all processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// When the timed part began; `u64::MAX` if this process did not see it.
    pub(crate) from_ns: u64,
    /// When it ended; 0 if this process did not see it.
    pub(crate) to_ns: u64,
    /// Pieces of work that this process has verified in the timed part. Over all processes they make what was ordered.
    pub(crate) pieces: u64,
    /// Sums to zero over all processes, where what one counts up another one has to count down.
    pub(crate) balance: u64,
    /// Events that ought to be rare, or that need to be known to judge the figure: the work says which.
    pub(crate) notes: u64,
}

impl Default for Report {
    fn default() -> Self {
        Report { from_ns: u64::MAX, to_ns: 0, pieces: 0, balance: 0, notes: 0 }
    }
}

impl Report {
    /// The work began then and is done now.
    pub(crate) fn since(from_ns: u64, pieces: u64) -> Self {
        Report { from_ns, to_ns: now_ns(), pieces, ..Report::default() }
    }

    /// The pieces took so long in sum.
    pub(crate) fn spent(ns: u64, pieces: u64) -> Self {
        Report { from_ns: 0, to_ns: ns, pieces, ..Report::default() }
    }

    /// What two processes say together.
    pub(crate) fn and(self, other: Report) -> Report {
        Report {
            from_ns: self.from_ns.min(other.from_ns),
            to_ns: self.to_ns.max(other.to_ns),
            pieces: self.pieces.wrapping_add(other.pieces),
            balance: self.balance.wrapping_add(other.balance),
            notes: self.notes.wrapping_add(other.notes),
        }
    }

    /// Nanoseconds per piece, of what all processes said together about an order of `count`.
    pub(crate) fn ns_per_piece(&self, count: u64) -> Result<f64, Failure> {
        if self.pieces != count || self.balance != 0 {
            return Err(format!("{count} pieces of work were ordered, and this was done: {self:?}").into());
        }
        Ok(self.to_ns.saturating_sub(self.from_ns) as f64 / count as f64)
    }

    /// The report on its way to the harness.
    pub(crate) fn to_bytes(self) -> ReportBytes {
        [self.from_ns, self.to_ns, self.pieces, self.balance, self.notes].map(u64::to_ne_bytes)
    }

    /// The report that has become these bytes.
    pub(crate) fn from_bytes(bytes: ReportBytes) -> Self {
        let [from_ns, to_ns, pieces, balance, notes] = bytes.map(u64::from_ne_bytes);
        Report { from_ns, to_ns, pieces, balance, notes }
    }
}

/// A report on its way to the harness.
pub(crate) type ReportBytes = [[u8; 8]; 5];

/// Nanoseconds of a clock that is the same in every process.
pub(crate) fn now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer leads to a `timespec` of this call. The clock exists on every Linux, so that there is no error.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_its_way() {
        let report = Report { from_ns: 1, to_ns: u64::MAX - 2, pieces: 3 << 40, balance: 4, notes: 5 };
        assert_eq!(Report::from_bytes(report.to_bytes()), report);
    }

    #[test]
    fn work_that_was_not_done_has_no_figure() {
        let (sent, received) = (Report { balance: 7, ..Report::default() }, Report::spent(300, 3));
        assert!(sent.and(received).ns_per_piece(3).is_err(), "the balance is not zero");
        assert!(received.ns_per_piece(4).is_err(), "a piece is missing");
        assert_eq!(received.ns_per_piece(3).ok(), Some(100.0));
    }
}
