use super::*;
use core::cell::{Cell, RefCell};

/// A word that notes what somebody who announces a sleep after each step of a waker makes of it. Nobody sleeps.
struct Steps {
    word: Cell<u32>,
    announced: RefCell<Vec<u32>>,
}

impl Steps {
    fn change(&self, value: u32) {
        self.word.set(value);
        self.announced.borrow_mut().push(value | SLEEPING);
    }
}

impl Word for Steps {
    fn load(&self, _: Ordering) -> u32 {
        self.word.get()
    }

    fn fetch_or(&self, bits: u32, _: Ordering) -> u32 {
        let before = self.word.get();
        self.change(before | bits);
        before
    }

    fn fetch_and(&self, bits: u32, _: Ordering) {
        self.change(self.word.get() & bits);
    }

    fn fetch_add(&self, value: u32, _: Ordering) -> u32 {
        let before = self.word.get();
        self.change(before.wrapping_add(value));
        before
    }

    fn swap_exactly(&self, current: u32, new: u32, _: Ordering) -> bool {
        let is_current = self.word.get() == current;
        self.change(if is_current { new } else { self.word.get() });
        is_current
    }

    fn wake_sleepers(&self, _: u32) -> u32 {
        0
    }
}

#[test]
fn a_waker_that_is_stopped_leaves_no_value_that_another_announcement_brings_back() {
    let wakers: [fn(&Steps); 2] = [|word| wake(word), |word| wake_some(word, 1)];
    for waker in wakers {
        let word = Steps { word: Cell::new(SLEEPING), announced: RefCell::default() };
        waker(&word);
        assert_eq!(word.word.get() & SLEEPING, 0, "nobody is left to be woken");
        assert!(!word.announced.borrow().contains(&SLEEPING), "{:x?}", word.announced.borrow());
    }
}

#[test]
fn an_announcement_of_another_does_not_stand_for_ones_own() {
    let wakers: [fn(&Steps); 2] = [|word| wake(word), |word| wake_some(word, 1)];
    for waker in wakers {
        let word = Steps { word: Cell::new(0), announced: RefCell::default() };
        let mine = announce(&word);
        assert_eq!(announce(&word), mine, "to announce once more uses nobody's up");
        assert_eq!(standing(&word, mine), Some(mine));
        waker(&word);
        assert_eq!(standing(&word, mine), None, "a wake-up does");
        let theirs = announce(&word);
        assert_eq!((standing(&word, mine), standing(&word, theirs)), (None, Some(theirs)));

        // Of one who cannot write to the word: a waker comes before the write, and another sleeper with it.
        let unsure = announce_by(&word, || {
            waker(&word);
            announce(&word);
            true
        });
        assert_eq!(standing(&word, unsure.unwrap()), None);
        assert_eq!(announce_by(&word, || false), None);
    }
}
