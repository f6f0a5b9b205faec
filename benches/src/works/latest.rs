//! Reading the latest value, while it stays as it is and while it is written at full speed. Beside it a bare seqlock, whose
//! readers try again as long as a writer is at work.

use crate::harness::plan::{Case, Contestant, Failure, Files, Filing, Metric, Plan, Work};
use crate::harness::sample::{Play, Report, now_ns};
use crate::loops::{SIZES, message, sized, verify};
use crate::peer::Seat;
use crate::ways::memory::{LINE, Shared};
use slipring::{Latest, Lifetime, ReadError, Reader, Writer};
use std::hint::spin_loop;
use std::sync::atomic::{Ordering, fence};

/// Latest values. What is noted is how often a reader gave up.
pub(crate) static WORK: Work = Work {
    name: "latest",
    about: "Reading the newest value, while it stays as it is and while it is written at full speed.",
    cases,
    play,
};

/// The value stays as it is.
const UNCHANGED: &str = "unchanged";
/// The value is written as fast as the writer can.
const FULL_SPEED: &str = "full-speed writer";

fn cases(plan: &Plan) -> Vec<Case> {
    let case = |(size_bytes, variant): (usize, &str)| {
        let unchanged = variant == UNCHANGED;
        let (ours, theirs) = if unchanged { (1_000_000, 1_000_000) } else { (200_000, 5_000) };
        let files = Files::Memory(FLAG_BYTES + 8 * LINE + size_bytes);
        Case {
            work: WORK.name,
            variant: variant.to_string(),
            size_bytes,
            capacity: 1,
            metric: Metric::Mean,
            filing: Filing::ByLine,
            contestants: vec![
                Contestant::new("slipring", ours).files(files),
                Contestant::new("seqlock", theirs).files(files),
            ],
        }
    };
    let variants = |size| [UNCHANGED, FULL_SPEED].map(|variant| (size, variant));
    plan.sizes_or(&[64], &SIZES).into_iter().flat_map(variants).map(case).collect()
}

fn play(seat: &Seat) -> Result<Play, Failure> {
    sized!(seat.size_bytes, N => play_sized::<N>(seat))
}

fn play_sized<const N: usize>(seat: &Seat) -> Result<Play, Failure> {
    let latest = || Latest::<[u64; N]>::new(seat.channel("value")).domain(&seat.domain).lifetime(Lifetime::Attached);
    Ok(match (seat.contestant.as_str(), seat.index) {
        ("slipring", 0) => reading(seat, latest().reader()?)?,
        ("slipring", 1) => writing(seat, latest().writer()?)?,
        ("seqlock", 0) => reading::<N>(seat, Seqlock { shared: seat.memory()?, stamp: 0 })?,
        ("seqlock", 1) => writing::<N>(seat, Seqlock { shared: seat.memory()?, stamp: 0 })?,
        _ => return seat.unknown(),
    })
}

/// Writes values of `N` words.
trait Write<const N: usize> {
    /// Makes `value` the newest one.
    fn write(&mut self, value: [u64; N]) -> Result<(), Failure>;
}

/// Reads values of `N` words.
trait Read<const N: usize> {
    /// The newest value, and how often the reader was turned away.
    fn read(&mut self) -> Result<([u64; N], u64), Failure>;
}

/// The memory starts with a word that tells how many samples the reader has taken.
const FLAG_BYTES: usize = LINE * 8;

/// The writer: one value per sample, or as many as it can until the reader has done its part.
fn writing<const N: usize>(seat: &Seat, mut writer: impl Write<N> + 'static) -> Result<Play, Failure> {
    let (memory, full_speed) = (seat.memory()?, seat.variant == FULL_SPEED);
    let (mut next, mut samples) = (0, 0);
    Ok(Box::new(move |_| {
        samples += 1;
        loop {
            next += 1;
            writer.write(message(next))?;
            // Relaxed: a flag that nothing else hangs on.
            if !full_speed || memory.word(0).load(Ordering::Relaxed) == samples {
                return Ok(Report::default());
            }
        }
    }))
}

/// The reader, which holds the clock.
fn reading<const N: usize>(seat: &Seat, mut reader: impl Read<N> + 'static) -> Result<Play, Failure> {
    let memory = seat.memory()?;
    let (mut last, mut samples) = (0, 0);
    Ok(Box::new(move |count| {
        let before = last;
        // The writer has begun once there is a value that was not there before.
        while last == before {
            last = newest(&mut reader, last)?.0;
        }
        let (mut turned_away, from) = (0, now_ns());
        for _ in 0..count {
            let (sequence, times) = newest(&mut reader, last)?;
            (last, turned_away) = (sequence, turned_away + times);
        }
        let report = Report { notes: turned_away, ..Report::since(from, count) };
        samples += 1;
        // Relaxed: pairs with nothing, the writer only has to see it some time.
        memory.word(0).store(samples, Ordering::Relaxed);
        Ok(report)
    }))
}

/// The number of the newest value, which was verified, and may not be older than `last`.
#[inline(always)]
fn newest<const N: usize>(reader: &mut impl Read<N>, last: u64) -> Result<(u64, u64), Failure> {
    let (value, turned_away) = reader.read()?;
    verify(&value, value[0])?;
    if value[0] < last {
        return Err(format!("value {} was read after {last}", value[0]).into());
    }
    Ok((value[0], turned_away))
}

impl<const N: usize> Write<N> for Writer<[u64; N]> {
    #[inline(always)]
    fn write(&mut self, value: [u64; N]) -> Result<(), Failure> {
        Writer::write(self, value)?;
        Ok(())
    }
}

impl<const N: usize> Read<N> for Reader<[u64; N]> {
    #[inline(always)]
    fn read(&mut self) -> Result<([u64; N], u64), Failure> {
        let mut turned_away = 0;
        loop {
            match Reader::read(self) {
                // Before the first value there is what the seqlock has then.
                Ok(value) => return Ok((value.unwrap_or_else(|| message(0)), turned_away)),
                Err(ReadError::Overtaken) => turned_away += 1,
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}

/// A value behind a stamp that is odd while it is written.
struct Seqlock {
    shared: Shared,
    /// The writer's own copy of the stamp.
    stamp: u64,
}

/// The word with the stamp. The value begins a line further on.
const STAMP: usize = FLAG_BYTES / 8;

impl<const N: usize> Write<N> for Seqlock {
    #[inline(always)]
    fn write(&mut self, value: [u64; N]) -> Result<(), Failure> {
        self.stamp += 2;
        // Relaxed, ordered before the value by the fence.
        self.shared.word(STAMP).store(self.stamp - 1, Ordering::Relaxed);
        // Release: whoever sees a word of the new value sees the odd stamp; pairs with the Acquire fence in `read`.
        fence(Ordering::Release);
        for (at, word) in value.into_iter().enumerate() {
            // Relaxed: published by the stamp.
            self.shared.word(STAMP + LINE + at).store(word, Ordering::Relaxed);
        }
        // Release: publishes the value; pairs with the Acquire in `read`.
        self.shared.word(STAMP).store(self.stamp, Ordering::Release);
        Ok(())
    }
}

impl<const N: usize> Read<N> for Seqlock {
    #[inline(always)]
    fn read(&mut self) -> Result<([u64; N], u64), Failure> {
        loop {
            // Acquire: pairs with the Release in `write`.
            let before = self.shared.word(STAMP).load(Ordering::Acquire);
            if before == 0 {
                return Ok((message(0), 0));
            }
            // Relaxed: ordered by the Acquire before and the fence after.
            let value = std::array::from_fn(|at| self.shared.word(STAMP + LINE + at).load(Ordering::Relaxed));
            // Acquire: pairs with the Release fence in `write`.
            fence(Ordering::Acquire);
            // Relaxed: ordered by the fence.
            if before % 2 == 0 && self.shared.word(STAMP).load(Ordering::Relaxed) == before {
                return Ok((value, 0));
            }
            spin_loop();
        }
    }
}
