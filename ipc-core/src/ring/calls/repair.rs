//! Taking up what the dead have left in the table of calls. The table of what is to be done, and why it is right, is in the
//! documentation of the module above.

use super::{Calls, Control, End, Observed, Phase, Progress, Resolved, is_up_to};
use core::sync::atomic::Ordering;

/// What anybody does for the dead.
impl Calls {
    /// Whose slot `index` is, to be handed to [`resolve`](Calls::resolve) when it has been found out who is gone. `None` if
    /// it is nobody's.
    pub(crate) fn observe(&self, index: usize) -> Option<Observed> {
        // Acquire: what is found out about its client and server afterwards is newer than this word; pairs with the Release
        // in `take` and `post`.
        let word = self.control(index).load(Ordering::Acquire);
        let is_somebodys = Control::from_word(word).is_none_or(|control| control.phase != Phase::Free);
        is_somebodys.then_some(Observed(word))
    }

    /// Whether the participant on line `line` was the client or the server.
    pub(crate) fn involves(&self, observed: Observed, line: u32) -> bool {
        Control::from_word(observed.0).is_some_and(|control| {
            u32::from(control.client) == line || control.phase == Phase::Taken && u32::from(control.server) == line
        })
    }

    /// Does what is left to be done in slot `index` if its client, its server, or both, are gone. `is_gone` answers for a
    /// line, from what was found out after the observation; `end` is how the call of a server that is gone ends.
    pub(crate) fn resolve(
        &self,
        index: usize,
        observed: Observed,
        is_gone: impl Fn(u32) -> bool,
        end: End,
    ) -> Resolved {
        let Some(control) = Control::from_word(observed.0) else { return Resolved::Nothing };
        let is_client_gone = is_gone(control.client.into());
        if control.phase != Phase::Taken {
            return if is_client_gone { self.free_observed(index, observed) } else { Resolved::Nothing };
        }
        let is_server_gone = is_gone(control.server.into());
        // Acquire: the reply has been written, or read, before the slot is freed; pairs with the Release in `answer` and
        // `acknowledge`.
        let stamp = self.stamp(index).load(Ordering::Acquire);
        let progress = Progress::from_stamp(stamp, control.serial);
        match (progress.end, is_client_gone, is_server_gone) {
            (_, false, false) => Resolved::Nothing,
            (End::Open, true, true) => self.free_observed(index, observed),
            (End::Open, true, false) => {
                self.end(index, stamp, control.serial, Progress { end: End::Abandoned, ..Progress::NONE })
            }
            (End::Open, false, true) => self.end(index, stamp, control.serial, Progress { end, ..progress }),
            (End::Abandoned, _, true) => self.free_observed(index, observed),
            (End::Abandoned, _, false) => Resolved::Nothing,
            (_, true, _) => self.free_observed(index, observed),
            (_, false, true) => Resolved::Nothing,
        }
    }

    fn free_observed(&self, index: usize, observed: Observed) -> Resolved {
        let serial = Control::from_word(observed.0).map_or(0, |control| control.serial);
        let swap = self.control(index).compare_exchange(
            observed.0,
            Control::free(serial).word(),
            // AcqRel: Release pairs with the Acquire in `claim`, for what was acquired with the stamp. Relaxed on
            // failure: the slot is observed again, or left to whoever changed it.
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if swap.is_ok() { Resolved::Freed } else { Resolved::Changed }
    }

    fn end(&self, index: usize, stamp: u64, serial: u64, end: Progress) -> Resolved {
        if !is_up_to(stamp, serial) {
            return Resolved::Changed;
        }
        // AcqRel: Release passes on what the dead one did, pairs with the Acquire in `progress` and `answer`. Relaxed on
        // failure: as in `free_observed`.
        let swap = self.stamp(index).compare_exchange(stamp, end.stamp(serial), Ordering::AcqRel, Ordering::Relaxed);
        if swap.is_ok() { Resolved::Ended } else { Resolved::Changed }
    }
}
