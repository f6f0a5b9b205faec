//! Somebody who is quicker, for tests of what becomes of a participant that loses its races: between the loads of one thread,
//! another participant acts.

use std::cell::RefCell;

/// Who acts, and when.
struct Rival {
    /// Loads from one act to the next.
    every: u32,
    left: u32,
    act: Box<dyn FnMut()>,
}

thread_local! {
    static RIVAL: RefCell<Option<Rival>> = const { RefCell::new(None) };
}

/// Runs `call`, with `act` before every load of a shared word that is a multiple of `every`.
pub(crate) fn beside<R>(every: u32, act: impl FnMut() + 'static, call: impl FnOnce() -> R) -> R {
    /// Has the rival rest, also if the call panics.
    struct Rest;
    impl Drop for Rest {
        fn drop(&mut self) {
            RIVAL.set(None);
        }
    }
    RIVAL.set(Some(Rival { every, left: every, act: Box::new(act) }));
    let _rest = Rest;
    call()
}

/// Called before each load. The rival's own loads are not counted.
pub(super) fn tick() {
    let Some(mut rival) = RIVAL.take() else { return };
    rival.left -= 1;
    if rival.left == 0 {
        rival.left = rival.every;
        (rival.act)();
    }
    RIVAL.set(Some(rival));
}
