//! Is a dump being restored?

use pgrx::pg_sys;

/// What pg_dump writes and pg_restore runs begins with `SET check_function_bodies = false`, since it may refer
/// to what comes later.
pub fn is_restoring() -> bool {
    // SAFETY: a setting of the backend.
    unsafe { !pg_sys::check_function_bodies }
}
