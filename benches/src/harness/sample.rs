//! What a process does at an order, and what it reports.

use super::plan::Failure;
use hdrhistogram::Histogram;
use std::io::{self, Read, Write};

/// Does so many pieces of work, and reports. A process is asked for it once for each sample.
pub(crate) type Play = Box<dyn FnMut(u64) -> Result<Report, Failure>>;

/// What the processes of a contestant say about a sample. The times are of the clock that all processes share.
#[derive(Clone, Debug, PartialEq)]
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
    /// Nanoseconds of processors that were used from the order to the report, all processes together.
    pub(crate) cpu_ns: u64,
    /// Nanoseconds from the order to the report; over all processes, the longest.
    pub(crate) wall_ns: u64,
    /// How long single pieces took, where each is timed.
    pub(crate) latency: Option<Histogram<u64>>,
}

impl Default for Report {
    fn default() -> Self {
        Report { from_ns: u64::MAX, to_ns: 0, pieces: 0, balance: 0, notes: 0, cpu_ns: 0, wall_ns: 0, latency: None }
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

    /// The pieces took as long as the histogram says.
    pub(crate) fn timed(spent_ns: u64, latency: Histogram<u64>) -> Self {
        Report { latency: Some(latency.clone()), ..Report::spent(spent_ns, latency.len()) }
    }

    /// What two processes say together.
    pub(crate) fn and(self, other: Report) -> Report {
        let latency = match (self.latency, other.latency) {
            (Some(mut one), Some(two)) => {
                one += two;
                Some(one)
            }
            (one, two) => one.or(two),
        };
        Report {
            from_ns: self.from_ns.min(other.from_ns),
            to_ns: self.to_ns.max(other.to_ns),
            pieces: self.pieces.wrapping_add(other.pieces),
            balance: self.balance.wrapping_add(other.balance),
            notes: self.notes.wrapping_add(other.notes),
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            wall_ns: self.wall_ns.max(other.wall_ns),
            latency,
        }
    }

    /// Nanoseconds per piece, of what all processes said together about an order of `count`.
    pub(crate) fn ns_per_piece(&self, count: u64) -> Result<f64, Failure> {
        if self.pieces != count || self.balance != 0 {
            let (pieces, balance) = (self.pieces, self.balance as i64);
            return Err(
                format!("{count} pieces of work were ordered, {pieces} done, and {balance} is left over").into()
            );
        }
        Ok(self.to_ns.saturating_sub(self.from_ns) as f64 / count as f64)
    }

    /// Sends the report to the harness: eight words, of which the last one says how many pairs of a time and how often
    /// it was recorded follow.
    pub(crate) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let recorded = self.latency.iter().flat_map(|latency| latency.iter_recorded());
        let pairs: Vec<_> =
            recorded.map(|value| [value.value_iterated_to(), value.count_since_last_iteration()]).collect();
        let Report { from_ns, to_ns, pieces, balance, notes, cpu_ns, wall_ns, .. } = *self;
        let head = [from_ns, to_ns, pieces, balance, notes, cpu_ns, wall_ns, pairs.len() as u64];
        let words = head.iter().chain(pairs.as_flattened());
        out.write_all(&words.flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>())?;
        out.flush()
    }

    /// Receives the next report.
    pub(crate) fn read_from(input: &mut impl Read) -> Result<Report, Failure> {
        let [from_ns, to_ns, pieces, balance, notes, cpu_ns, wall_ns, pairs] = words(input)?;
        let mut latency = (pairs > 0).then(histogram);
        for _ in 0..pairs {
            let [value, count] = words(input)?;
            if let Some(latency) = &mut latency {
                latency.record_n(value, count)?;
            }
        }
        Ok(Report { from_ns, to_ns, pieces, balance, notes, cpu_ns, wall_ns, latency })
    }
}

fn words<const N: usize>(input: &mut impl Read) -> io::Result<[u64; N]> {
    let mut bytes = [[0; 8]; N];
    input.read_exact(bytes.as_flattened_mut())?;
    Ok(bytes.map(u64::from_ne_bytes))
}

/// A histogram of nanoseconds, up to ten seconds, with three digits. What is longer counts as ten seconds.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("the bounds are in order and the digits at most five")
}

/// Nanoseconds of processors that this process has used, with all its threads.
pub(crate) fn used_ns() -> u64 {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer leads to a `timespec` of this call. The clock exists on every Linux, so that there is no error.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut used) };
    used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64
}

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
        let mut latency = histogram();
        for value in [1, 70, 70, 1_000_000, 9_999_999_999] {
            latency.record(value).expect("it is within the bounds");
        }
        let timed = Report { balance: 4, notes: 5, cpu_ns: 6, wall_ns: 7, ..Report::timed(8, latency) };
        for report in [timed, Report { from_ns: 1, to_ns: u64::MAX - 2, pieces: 3 << 40, ..Report::default() }] {
            let mut bytes = Vec::new();
            report.write_to(&mut bytes).expect("memory takes it");
            assert_eq!(Report::read_from(&mut bytes.as_slice()).ok(), Some(report));
        }
    }

    #[test]
    fn work_that_was_not_done_has_no_figure() {
        let (sent, received) = (Report { balance: 7, ..Report::default() }, Report::spent(300, 3));
        assert!(sent.and(received.clone()).ns_per_piece(3).is_err(), "the balance is not zero");
        assert!(received.ns_per_piece(4).is_err(), "a piece is missing");
        assert_eq!(received.ns_per_piece(3).ok(), Some(100.0));
    }
}
