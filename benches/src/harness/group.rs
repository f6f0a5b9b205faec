//! The processes of one contestant.

use super::plan::{Case, Contestant, Failure, Files, Plan, Processor};
use super::sample::{Report, ReportBytes};
use crate::ways::memory;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any sample takes, even on a machine that has much else to do.
const SAMPLE_LIMIT: Duration = Duration::from_secs(120);

/// Longer than a process takes to leave.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// Processes that wait for orders, and report.
pub(crate) struct Group {
    name: &'static str,
    count: u64,
    members: Vec<Member>,
    /// What each says: its report, or `None` when its standard output has ended.
    reports: Receiver<Option<Report>>,
    /// The processes open these by path, so they have to be there until then.
    _files: Vec<File>,
}

struct Member {
    process: Child,
    /// `None` once it was told to leave.
    orders: Option<ChildStdin>,
}

impl Group {
    /// Starts the processes, and waits until each is ready.
    pub(crate) fn start(plan: &Plan, case: &Case, contestant: &Contestant) -> Result<Group, Failure> {
        let files = open(contestant.files)?;
        let (tx, reports) = mpsc::channel();
        let (name, count) = (contestant.name, plan.count(contestant.count));
        let mut group = Group { name, count, members: Vec::new(), reports, _files: files };
        for index in 0..contestant.seats.len() {
            group.members.push(Member::start(plan, case, contestant, index, &group._files, tx.clone())?);
        }
        group.collect().map_err(|failure| format!("{}: {failure}", case.title()))?;
        Ok(group)
    }

    /// The contestant's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Takes a sample: nanoseconds per piece of work, and what there is to note.
    pub(crate) fn sample(&mut self) -> Result<(f64, u64), Failure> {
        // The first one holds the clock. It comes last, when the others have had the time to wake up.
        for member in self.members.iter_mut().rev() {
            let orders = member.orders.as_mut().ok_or("the process was told to leave")?;
            orders.write_all(&self.count.to_ne_bytes())?;
        }
        let report = self.collect()?;
        Ok((report.ns_per_piece(self.count).map_err(|failure| format!("{}: {failure}", self.name))?, report.notes))
    }

    /// What all members report together.
    fn collect(&mut self) -> Result<Report, Failure> {
        let mut all = Report::default();
        for _ in &self.members {
            match self.reports.recv_timeout(SAMPLE_LIMIT) {
                Ok(Some(report)) => all = all.and(report),
                Ok(None) => return Err(format!("a process of `{}` has ended early", self.name).into()),
                Err(_) => return Err(format!("`{}` took longer than {SAMPLE_LIMIT:?}", self.name).into()),
            }
        }
        Ok(all)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that finds its standard input closed leaves its channel, and nothing is left behind.
        for member in &mut self.members {
            drop(member.orders.take());
        }
        let limit = Instant::now() + LEAVE_LIMIT;
        for member in &mut self.members {
            // One that waits for another one which has failed does not come to read its orders.
            while matches!(member.process.try_wait(), Ok(None)) {
                if Instant::now() > limit {
                    let _ = member.process.kill();
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

impl Member {
    fn start(
        plan: &Plan,
        case: &Case,
        contestant: &Contestant,
        index: usize,
        files: &[File],
        reports: Sender<Option<Report>>,
    ) -> Result<Member, Failure> {
        let [first, second] = plan.pins.map(|processor| processor.to_string());
        let own = match contestant.seats[index] {
            Processor::First => first.clone(),
            Processor::Second => second.clone(),
            Processor::Either => format!("{first},{second}"),
        };
        let parent = std::process::id();
        let mut process = Command::new(std::env::current_exe()?)
            .args(["peer", "--work", case.work, "--variant", &case.variant, "--contestant", contestant.name])
            .args(["--index", &index.to_string(), "--size-bytes", &case.size_bytes.to_string()])
            .args(["--capacity", &case.capacity.to_string(), "--domain", &format!("benches-{parent}")])
            .args(["--processors", &own, "--pins", &format!("{first},{second}")])
            .args(files.iter().map(|file| format!("/proc/{parent}/fd/{}", file.as_raw_fd())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = process.stdout.take().ok_or("the process has no standard output")?;
        thread::spawn(move || {
            let mut bytes = ReportBytes::default();
            while output.read_exact(bytes.as_flattened_mut()).is_ok() {
                // It fails when the group has gone, to which nothing needs to be told.
                let _ = reports.send(Some(Report::from_bytes(bytes)));
            }
            let _ = reports.send(None);
        });
        let orders = process.stdin.take();
        Ok(Member { process, orders })
    }
}

fn open(files: Files) -> Result<Vec<File>, Failure> {
    Ok(match files {
        Files::None => Vec::new(),
        Files::Memory(bytes) => vec![memory::anonymous(bytes)?],
        Files::Pipes(count) => {
            let mut ends = Vec::new();
            for _ in 0..count {
                ends.extend(crate::ways::pipe::pair()?);
            }
            ends
        }
    })
}
