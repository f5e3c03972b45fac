//! Which mirrors are behind their sources in this transaction, and in which of its subtransactions they became so:
//! ROLLBACK TO takes back changes as well as refreshes.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;

use pgrx::pg_sys;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Changed,
    Refreshed,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Of the transaction in which it happened.
    level: c_int,
    mirror: i64,
    event: Event,
}

thread_local! {
    static ENTRIES: RefCell<Vec<Entry>> = const { RefCell::new(vec![]) };
    static IS_ANY_BEHIND: Cell<bool> = const { Cell::new(false) };
}

/// Is a mirror behind? Asked often.
pub fn is_any_behind() -> bool {
    IS_ANY_BEHIND.get()
}

pub fn is_behind(mirror: i64) -> bool {
    is_any_behind() && ENTRIES.with_borrow(|all| last(all, mirror) == Some(Event::Changed))
}

fn last(all: &[Entry], mirror: i64) -> Option<Event> {
    let found = all.iter().rev().find(|entry| entry.mirror == mirror);
    found.map(|entry| entry.event)
}

/// Something below its source has changed.
pub fn changed(mirror: i64) {
    note(mirror, Event::Changed);
}

/// It is about to be refreshed, or is no more.
pub fn refreshed(mirror: i64) {
    note(mirror, Event::Refreshed);
}

fn note(mirror: i64, event: Event) {
    // SAFETY: reads the state of the transaction.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    change(|all| {
        if last(all, mirror).unwrap_or(Event::Refreshed) != event {
            let entry = Entry {
                level,
                mirror,
                event,
            };
            all.push(entry);
            settle(all);
        }
    });
}

fn change(how: impl FnOnce(&mut Vec<Entry>)) {
    ENTRIES.with_borrow_mut(|all| {
        how(all);
        let is_last_of_its = |n: usize| all[n + 1..].iter().all(|e| e.mirror != all[n].mirror);
        let is_behind = (0..all.len()).any(|n| all[n].event == Event::Changed && is_last_of_its(n));
        IS_ANY_BEHIND.set(is_behind);
    });
}

/// Of what happened to a mirror at one level only the last counts, and that only if it makes a difference to the
/// levels above.
fn settle(all: &mut Vec<Entry>) {
    let mut kept: Vec<Entry> = vec![];
    for (n, entry) in all.iter().enumerate() {
        let is_same = |other: &Entry| (other.level, other.mirror) == (entry.level, entry.mirror);
        let is_overtaken = all[n + 1..].iter().any(is_same);
        let before = last(&kept, entry.mirror).unwrap_or(Event::Refreshed);
        if !is_overtaken && before != entry.event {
            kept.push(*entry);
        }
    }
    *all = kept;
}

/// A subtransaction of this level has ended, and counts as part of the one around it.
pub fn subtransaction_committed(level: c_int) {
    let is_concerned =
        ENTRIES.with_borrow(|all| all.last().is_some_and(|entry| entry.level >= level));
    if is_concerned {
        change(|all| {
            for entry in all.iter_mut() {
                entry.level = entry.level.min(level - 1);
            }
            settle(all);
        });
    }
}

/// What happened in a transaction of this level, or deeper, did not happen.
pub fn forget_from(level: c_int) {
    if ENTRIES.with_borrow(|all| !all.is_empty()) {
        change(|all| all.retain(|entry| entry.level < level));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(level: c_int, event: Event) {
        change(|all| {
            all.push(Entry {
                level,
                mirror: 7,
                event,
            });
            settle(all);
        });
    }

    #[test]
    fn a_refresh_that_is_taken_back_did_not_happen() {
        at(1, Event::Changed);
        at(2, Event::Refreshed);
        assert!(!is_any_behind());
        forget_from(2);
        assert!(is_behind(7));
        at(1, Event::Refreshed);
        assert!(!is_any_behind());
        assert!(ENTRIES.with_borrow(Vec::is_empty));
    }

    #[test]
    fn a_subtransaction_that_is_kept_is_part_of_the_one_around_it() {
        at(1, Event::Changed);
        at(3, Event::Refreshed);
        subtransaction_committed(3);
        at(2, Event::Changed);
        assert_eq!(ENTRIES.with_borrow(Vec::len), 1);
        forget_from(2);
        assert!(is_behind(7));
        at(2, Event::Refreshed);
        subtransaction_committed(2);
        assert!(!is_any_behind());
        assert!(ENTRIES.with_borrow(Vec::is_empty));
    }

    #[test]
    fn a_change_that_is_taken_back_did_not_happen() {
        at(2, Event::Changed);
        assert!(is_behind(7));
        forget_from(2);
        assert!(!is_any_behind());
    }
}
