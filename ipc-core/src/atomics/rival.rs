//! Somebody who is quicker, for tests of what becomes of a participant that loses its races: between the loads of one thread, or
//! before one of its stores, another participant acts.

use std::cell::RefCell;

/// Who acts, and when.
struct Rival {
    access: Access,
    /// Such accesses from one act to the next.
    every: u32,
    left: u32,
    act: Box<dyn FnMut()>,
}

/// What a rival acts before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Load,
    Store,
}

thread_local! {
    static RIVAL: RefCell<Option<Rival>> = const { RefCell::new(None) };
}

/// Runs `call`, with `act` before every load of a shared word that is a multiple of `every`.
pub(crate) fn beside<R>(every: u32, act: impl FnMut() + 'static, call: impl FnOnce() -> R) -> R {
    run(Access::Load, every, act, call)
}

/// As [`beside`], with `act` before every store.
pub(crate) fn beside_stores<R>(every: u32, act: impl FnMut() + 'static, call: impl FnOnce() -> R) -> R {
    run(Access::Store, every, act, call)
}

fn run<R>(access: Access, every: u32, act: impl FnMut() + 'static, call: impl FnOnce() -> R) -> R {
    /// Has the rival rest, also if the call panics.
    struct Rest;
    impl Drop for Rest {
        fn drop(&mut self) {
            RIVAL.set(None);
        }
    }
    RIVAL.set(Some(Rival { access, every, left: every, act: Box::new(act) }));
    let _rest = Rest;
    call()
}

/// Called before each access. The rival's own are not counted.
pub(super) fn tick(access: Access) {
    let Some(mut rival) = RIVAL.take() else { return };
    rival.left -= u32::from(rival.access == access);
    if rival.left == 0 {
        rival.left = rival.every;
        (rival.act)();
    }
    RIVAL.set(Some(rival));
}
