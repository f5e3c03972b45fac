//! Tells what deskguard itself does to tables and to the registry from what others do.

use std::cell::Cell;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, deskguard changes tables and the registry: the event triggers need not look at that,
/// and the registry may be written. An error that unwinds ends it, too.
pub struct OwnWork(());

impl OwnWork {
    pub fn begin() -> OwnWork {
        DEPTH.set(DEPTH.get() + 1);
        OwnWork(())
    }

    pub fn is_going_on() -> bool {
        DEPTH.get() > 0
    }
}

impl Drop for OwnWork {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
