//! Tells all backends to forget what they know of anybody's rights and of protected tables.

use pgrx::pg_sys;

use crate::signals::generation::{Subject, signal, signal_keys};
use crate::tables::catalog::own_table;

/// At commit, as if all had changed.
pub fn signal_everything() {
    signal_keys();
    signal(Subject::Tables);
    // SAFETY: registers a message that is sent at commit.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(own_table(c"protected_table")) };
}
