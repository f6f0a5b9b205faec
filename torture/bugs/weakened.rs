//! Orderings that can be weakened while a program runs, so that all of them are tried with one build.
//!
//! `torture` adds this file to a copy of `ipc-core`, and has each ordering of the rings and locks pass through here with a number
//! of its own. The variable says which one is weakened, and to what: `12 Relaxed`, or `12 none` for a fence that is left out.

use core::sync::atomic::Ordering;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

const VARIABLE: &str = "SLIPRING_WEAKENED";

/// Which ordering is weakened, and what is left of it.
fn chosen() -> Option<(u32, Option<Ordering>)> {
    static CHOSEN: OnceLock<Option<(u32, Option<Ordering>)>> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (number, ordering) = text.split_once(' ')?;
        let weaker = match ordering {
            "Relaxed" => Some(Ordering::Relaxed),
            "Acquire" => Some(Ordering::Acquire),
            "Release" => Some(Ordering::Release),
            _ => None,
        };
        // One model that fails is enough. What unwinds without a message is a thread that loom puts an end to.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            hook(panic);
            if panic.payload().is::<String>() || panic.payload().is::<&str>() {
                std::process::exit(101);
            }
        }));
        Some((number.parse().ok()?, weaker))
    })
}

/// What is left of the ordering of this number, if it is the one; and says that a model has come to it.
fn weakened(number: u32) -> Option<Option<Ordering>> {
    static IS_REACHED: AtomicBool = AtomicBool::new(false);
    let (_, weaker) = chosen().filter(|(chosen, _)| *chosen == number)?;
    // Relaxed: only whether it is said once more depends on it.
    if !IS_REACHED.swap(true, Ordering::Relaxed) {
        println!("the weakened ordering was reached");
    }
    Some(weaker)
}

/// The ordering, or what is left of it.
pub(crate) fn ordering(number: u32, ordering: Ordering) -> Ordering {
    weakened(number).flatten().unwrap_or(ordering)
}

/// A fence, or none.
pub(crate) fn fence(number: u32, ordering: Ordering) {
    if weakened(number).is_none() {
        crate::atomics::fence(ordering);
    }
}
