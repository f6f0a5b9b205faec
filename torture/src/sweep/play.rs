//! A case as it is played: the victim in its own process, the survivors in this one.

use super::case::{Case, Order, Scene, Signal};
use crate::check::{Books, Check, Context, ensure};
use crate::child::{self, Child};
use crate::domain::Domain;
use crate::trace::{self, Goal, Progress, Way};
use std::fmt::Debug;
use std::rc::Rc;

/// The parent's view of a case.
pub(crate) struct Play {
    pub(crate) case: Case,
    pub(crate) domain: Rc<Domain>,
    goal: Goal,
    victim: Option<Child>,
    progress: Progress,
    way: Way,
    /// What the survivors saw, for the report of a failure.
    saw: Vec<String>,
}

impl Play {
    /// A case that is about to begin.
    pub(crate) fn new(case: Case, goal: Goal) -> Self {
        Self::within(Rc::new(Domain::new()), case, goal)
    }

    /// Another victim in the same domain.
    pub(crate) fn beside(&self, case: Case, goal: Goal) -> Self {
        Self::within(self.domain.clone(), case, goal)
    }

    fn within(domain: Rc<Domain>, case: Case, goal: Goal) -> Self {
        let (progress, way) = (Progress::default(), Way::default());
        Play { case, domain, goal, victim: None, progress, way, saw: Vec::new() }
    }

    /// The operation.
    pub(crate) fn scene(&self) -> Scene {
        self.case.scene
    }

    /// How far the victim has come in it.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The victim's way through its operation, if it was to be noted.
    pub(crate) fn take_way(&mut self) -> Way {
        std::mem::take(&mut self.way)
    }

    /// What the survivors have noted.
    pub(crate) fn notes(&self) -> &[String] {
        &self.saw
    }

    /// Notes what a survivor saw.
    pub(crate) fn saw(&mut self, what: &str, seen: impl Debug) {
        self.saw.push(format!("{what}: {seen:?}"));
    }

    /// Starts the victim, and waits until it has done what comes before its operation.
    pub(crate) fn enter(&mut self) -> Check {
        let mut case = self.case;
        // The victim does not know when it ends.
        case.steps = 0;
        let (case, domain) = (case.to_string(), self.domain.name().to_string());
        let mut victim =
            Child::start_with(["victim", &case, &domain], self.crash().as_ref().map(|(name, at)| (*name, &**at)))?;
        victim.hear_word("joined")?;
        self.victim = Some(victim);
        Ok(())
    }

    /// Has the victim begin its operation, and strikes.
    pub(crate) fn strike(&mut self) -> Check {
        let victim = self.victim.as_mut().ok_or("the victim has not come")?;
        victim.tell("go")?;
        #[cfg(feature = "crash-points")]
        if let Goal::Point(_) = self.goal {
            return self.strike_itself();
        }
        let end = victim.hear()?;
        let end = end.strip_prefix("ready ").ok_or_else(|| format!("the victim cannot begin: {end}"))?;
        let end = end.parse().at("the end of the operation")?;
        (self.progress, self.way) = trace::run(victim.pid(), end, self.goal)?;
        match self.case.signal {
            Signal::Kill => victim.kill(),
            Signal::Stop => trace::leave_stopped(victim.pid()),
        }
    }

    /// Where the victim is to die by itself.
    fn crash(&self) -> Option<(&'static str, String)> {
        #[cfg(feature = "crash-points")]
        if let Goal::Point(end) = self.goal {
            let at = end.map_or("nowhere".to_string(), |pass| format!("{}#{}", pass.point, pass.count));
            return Some((crate::points::VARIABLE, at));
        }
        None
    }

    /// Waits for the victim to die at its crash point. If it does not come by there, it is killed at the end.
    #[cfg(feature = "crash-points")]
    fn strike_itself(&mut self) -> Check {
        let victim = self.victim.as_mut().ok_or("the victim has not come")?;
        // One step of many: nobody knows what has come of the operation.
        self.progress = Progress { steps: 1, is_finished: false };
        let Some(line) = victim.hear_or_die()? else { return Ok(()) };
        let said = line.strip_prefix("passed").ok_or_else(|| format!("the victim cannot begin: {line}"))?;
        self.way.passes = crate::points::passes(said);
        self.progress.is_finished = true;
        victim.kill()
    }

    /// Whether the victim is there to go on.
    pub(crate) fn is_stopped(&self) -> bool {
        self.case.signal == Signal::Stop
    }

    /// Whether the successor waits until the others have seen what there is.
    pub(crate) fn drains_first(&self) -> bool {
        self.case.order == Order::Drain
    }

    /// Whether the victim has not executed a single instruction of its operation.
    pub(crate) fn is_untouched(&self) -> bool {
        self.progress.steps == 0 && !self.progress.is_finished
    }

    /// Books the messages of a victim that was killed: in doubt if its operation had begun and had not ended.
    pub(crate) fn book(&self, books: &mut Books, effect: &[u64]) {
        if self.progress.is_finished {
            books.must(effect.iter().copied());
        } else if !self.is_untouched() {
            books.may(effect.iter().copied());
        }
    }

    /// Kills the stopped victim.
    pub(crate) fn kill(&mut self) -> Check {
        self.victim.as_mut().ok_or("the victim has not come")?.kill()
    }

    /// Lets the stopped victim finish its operation, and returns the numbers that it acknowledges.
    pub(crate) fn resume(&mut self) -> Check<Vec<u64>> {
        let victim = self.victim.as_mut().ok_or("the victim has not come")?;
        trace::resume(victim.pid())?;
        let done = numbers(&victim.hear_word("done")?)?;
        self.saw("the victim, when it went on", &done);
        Ok(done)
    }

    /// Lets the victim leave in order, and returns the numbers that it has received before.
    pub(crate) fn release(&mut self) -> Check<Vec<u64>> {
        let victim = self.victim.as_mut().ok_or("the victim has not come")?;
        victim.tell("end")?;
        let rest = numbers(&victim.hear_word("rest")?)?;
        victim.finish()?;
        self.saw("the victim, before it left", &rest);
        Ok(rest)
    }

    /// The last check of a case, when all ends are closed.
    pub(crate) fn end(&self) -> Check {
        self.domain.check_empty()
    }
}

fn numbers(text: &str) -> Check<Vec<u64>> {
    text.split_whitespace().map(|word| word.parse().at("a number")).collect()
}

/// The victim's view of a case.
pub(crate) struct Stage {
    pub(crate) case: Case,
    pub(crate) domain: String,
}

impl Stage {
    /// The operation.
    pub(crate) fn scene(&self) -> Scene {
        self.case.scene
    }

    /// Plays a victim that opens a handle, if that is its operation, or closes it, or else does with it what `operate` says.
    pub(crate) fn play_handle<H>(
        &self,
        open: impl Fn() -> Check<H>,
        operate: impl FnOnce(&H, &Self) -> Check,
    ) -> Check {
        match self.scene().operation {
            "attach" => {
                self.join()?;
                let handle = trace::act(open)??;
                self.done(&[])?;
                drop(handle);
            }
            "close" => {
                let handle = open()?;
                self.join()?;
                trace::act(|| drop(handle))?;
                self.done(&[])?;
            }
            _ => operate(&open()?, self)?,
        }
        self.rest(&[])
    }

    /// Says that everything is ready for the operation, and waits until it may begin.
    pub(crate) fn join(&self) -> Check {
        child::say("joined")?;
        ensure(child::listen()?.as_deref() == Some("go"), || "the parent has gone".to_string())
    }

    /// Says what the operation has done, and waits until this process may leave.
    pub(crate) fn done(&self, numbers: &[u64]) -> Check {
        child::say(&format!("done {}", words(numbers)))?;
        ensure(child::listen()?.as_deref() == Some("end"), || "the parent has gone".to_string())
    }

    /// Says what was received after the operation.
    pub(crate) fn rest(&self, numbers: &[u64]) -> Check {
        child::say(&format!("rest {}", words(numbers)))
    }
}

fn words(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}
