//! The processes of one contestant.

use super::links::Shared;
use super::plan::{Case, Contestant, Failure, Plan, Processor};
use super::sample::Report;
use std::io::Write;
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
    /// So that nobody finds the other end of a link closed.
    _shared: Shared,
}

struct Member {
    process: Child,
    /// `None` once it was told to leave.
    orders: Option<ChildStdin>,
}

impl Group {
    /// Starts the processes, and waits until each is ready.
    pub(crate) fn start(plan: &Plan, case: &Case, contestant: &Contestant) -> Result<Group, Failure> {
        let shared = Shared::make(contestant.files)?;
        shared.let_inherit(true)?;
        let (tx, reports) = mpsc::channel();
        let (name, count) = (contestant.name, plan.count(contestant.count));
        let mut members = Vec::new();
        for index in 0..contestant.seats.len() {
            members.push(Member::start(plan, case, contestant, index, &shared, tx.clone())?);
        }
        // What is started later is none of this contestant's.
        shared.let_inherit(false)?;
        let mut group = Group { name, count, members, reports, _shared: shared };
        group.collect().map_err(|failure| format!("{}: {failure}", case.title()))?;
        Ok(group)
    }

    /// The contestant's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Takes a sample: nanoseconds per piece of work, and what there is to know beside it.
    pub(crate) fn sample(&mut self) -> Result<(f64, Report), Failure> {
        // The first one holds the clock. It comes last, when the others have had the time to wake up.
        for member in self.members.iter_mut().rev() {
            let orders = member.orders.as_mut().ok_or("the process was told to leave")?;
            orders.write_all(&self.count.to_ne_bytes())?;
        }
        let report = self.collect()?;
        let taken = report.ns_per_piece(self.count).map_err(|failure| format!("{}: {failure}", self.name))?;
        Ok((taken, report))
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
        shared: &Shared,
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
            .args(shared.numbers())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = process.stdout.take().ok_or("the process has no standard output")?;
        thread::spawn(move || {
            while let Ok(report) = Report::read_from(&mut output) {
                // It fails when the group has gone, to which nothing needs to be told.
                let _ = reports.send(Some(report));
            }
            let _ = reports.send(None);
        });
        let orders = process.stdin.take();
        Ok(Member { process, orders })
    }
}
