//! The processes of a run: starting them, watching them, and ending them.

use crate::cli::RunArgs;
use crate::messages::{Enriched, Flight, IngestReport, Outcome};
use crate::stop::{self, PATIENCE, Result};
use crate::transport::Transport;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long roles that were asked to end may take before they are killed.
const GRACE: Duration = Duration::from_millis(500);

/// How often to look whether a role has ended, while there is nothing else to wait for.
const POLL: Duration = Duration::from_millis(2);

/// The domain of one run, so that two runs side by side do not meet. Dropping it removes the channels.
pub(crate) struct Domain(String);

impl Domain {
    /// A domain that bears this process's number, without what a killed process of that number may have left in it.
    pub(crate) fn claim() -> Self {
        let domain = Domain(format!("flights-{}", process::id()));
        domain.clear();
        domain
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Removes the channels. Most were removed by the last role to leave; a role that was killed could not.
    fn clear(&self) {
        let _ = Flight::channel().domain(&self.0).remove();
        let _ = Enriched::channel().domain(&self.0).remove();
        let _ = IngestReport::channel().domain(&self.0).remove();
        let _ = Outcome::channel().domain(&self.0).remove();
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The roles of one run. Dropping it ends those that still run.
pub(crate) struct Crew {
    roles: Vec<Role>,
}

/// A process that plays a role.
struct Role {
    name: &'static str,
    child: Child,
    /// How it ended and what processor time it took, once it has ended.
    ended: Option<(ExitStatus, Duration)>,
}

impl Crew {
    /// Starts the roles. The last one comes first, because a pipe is made along with the process that reads from it.
    pub(crate) fn start(transport: Transport, domain: &Domain, args: &RunArgs) -> Result<Self> {
        let piped = || match transport {
            Transport::Slipring => Stdio::null(),
            Transport::Pipe | Transport::Pipe64k => Stdio::piped(),
        };
        let mut crew = Crew { roles: Vec::new() };
        let link = |command: &mut Command| {
            command.args(["--to-parent", "--over", transport.name()]).env("SLIPRING_DOMAIN", domain.name());
        };

        let mut aggregate = role_command("aggregate")?;
        link(aggregate.stdin(piped()).stdout(Stdio::null()));
        let to_aggregate = crew.spawn("aggregate", &mut aggregate)?.stdin.take();

        let mut enrich = role_command("enrich")?;
        enrich.arg("--airlines").arg(&args.join.airlines);
        link(enrich.stdin(piped()).stdout(to_aggregate.map_or_else(Stdio::null, Stdio::from)));
        let to_enrich = crew.spawn("enrich", &mut enrich)?.stdin.take();
        // The command holds the writing end of aggregate's pipe, whose end must be seen when enrich closes it.
        drop(enrich);

        let mut ingest = role_command("ingest")?;
        ingest.arg("--data").arg(&args.input.data);
        if let Some(rate) = args.input.rate {
            ingest.arg("--rate").arg(rate.to_string());
        }
        link(ingest.stdin(Stdio::null()).stdout(to_enrich.map_or_else(Stdio::null, Stdio::from)));
        crew.spawn("ingest", &mut ingest)?;
        Ok(crew)
    }

    fn spawn(&mut self, name: &'static str, command: &mut Command) -> Result<&mut Child> {
        let child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        self.roles.push(Role { name, child, ended: None });
        let role = self.roles.last_mut().expect("one was just pushed");
        Ok(&mut role.child)
    }

    /// The roles and their process ids.
    pub(crate) fn members(&self) -> String {
        let members: Vec<_> = self.roles.iter().map(|role| format!("{} {}", role.name, role.child.id())).collect();
        members.join(", ")
    }

    /// Fails if a role has ended otherwise than it should. `Ok(true)` if all have ended as they should.
    pub(crate) fn check(&mut self) -> Result<bool> {
        let mut all_ended = true;
        for role in &mut self.roles {
            match role.poll()? {
                None => all_ended = false,
                Some(status) if status.success() => {}
                Some(status) => {
                    // A signal to all processes at once may end a role before it is noticed here.
                    thread::sleep(PATIENCE);
                    stop::check()?;
                    let (name, pid) = (role.name, role.pid());
                    return Err(format!("{name} (pid {pid}) ended early ({status}); the other roles were ended").into());
                }
            }
        }
        Ok(all_ended)
    }

    /// Waits for all roles to end, and returns the processor time that they took together.
    pub(crate) fn finish(mut self) -> Result<Duration> {
        self.wait()?;
        Ok(self.roles.iter().filter_map(|role| role.ended).map(|(_, cpu)| cpu).sum())
    }

    /// Waits for all roles to end, and fails if one of them fails.
    pub(crate) fn wait(&mut self) -> Result<()> {
        while !self.check()? {
            stop::check()?;
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn signal(&mut self, signal: libc::c_int) {
        for role in self.roles.iter().filter(|role| role.ended.is_none()) {
            // SAFETY: no memory is involved. The process has not been waited for, so its number is not reused.
            unsafe { libc::kill(role.pid(), signal) };
        }
    }

    fn all_ended(&mut self) -> bool {
        self.roles.iter_mut().all(|role| !matches!(role.poll(), Ok(None)))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.signal(libc::SIGTERM);
        let deadline = Instant::now() + GRACE;
        while !self.all_ended() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.signal(libc::SIGKILL);
        while !self.all_ended() {
            thread::sleep(POLL);
        }
    }
}

impl Role {
    /// The process id as the system calls have it: Linux gives none that is too large for the sign.
    fn pid(&self) -> libc::pid_t {
        self.child.id() as libc::pid_t
    }

    /// How the process ended, if it has.
    ///
    /// `wait4` instead of `Child::try_wait`, because it tells what processor time the process took.
    fn poll(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            let mut status = 0;
            // SAFETY: a `rusage` is integers all the way down, of which zero is one.
            let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
            // SAFETY: both pointers are to locals, and the child is ours and has not been waited for.
            let pid = unsafe { libc::wait4(self.pid(), &mut status, libc::WNOHANG, &mut usage) };
            match pid {
                -1 => return Err(io::Error::last_os_error()),
                0 => return Ok(None),
                _ => {
                    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
                    self.ended = Some((ExitStatus::from_raw(status), cpu));
                }
            }
        }
        Ok(self.ended.map(|(status, _)| status))
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
}

/// This very program, to be started in a role, and to end when this process does, however that comes about.
fn role_command(role: impl AsRef<OsStr>) -> Result<Command> {
    let program = env::current_exe().map_err(|error| format!("cannot find this program's own file: {error}"))?;
    let parent = process::id() as libc::pid_t;
    let mut command = Command::new(program);
    command.arg(role);
    let end_with_parent = move || {
        // SAFETY: no memory is involved.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: no memory is involved.
        let alive = unsafe { libc::getppid() } == parent;
        // A parent that died before the request was made does not make the kernel send anything.
        if alive { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
    };
    // SAFETY: the closure makes two system calls and allocates nothing, as is required between fork and exec.
    unsafe { command.pre_exec(end_with_parent) };
    Ok(command)
}
