//! Settings for a while, whatever the session has set, and whatever is set meanwhile.

use std::ffi::{CStr, c_int};

use pgrx::pg_sys;

/// While it lives, settings may be other ones.
pub struct Settings(c_int);

impl Settings {
    pub fn begin() -> Settings {
        // SAFETY: ended by drop(), or by the end of the (sub)transaction.
        Settings(unsafe { pg_sys::NewGUCNestLevel() })
    }

    pub fn set(&self, name: &CStr, value: &CStr) {
        // SAFETY: a setting of PostgreSQL, with a value that it can have.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        }
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        // While an error unwinds, the abort does it.
        if !std::thread::panicking() {
            // SAFETY: of begin(). Nothing is kept of what was set meanwhile.
            unsafe { pg_sys::AtEOXact_GUC(false, self.0) }
        }
    }
}
