//! Which agent the current statement acts for.

use std::cell::Cell;

use pgrx::pg_sys;

use crate::pg::error;
use crate::rights::cache::{self, Rights};
use crate::rights::settings::{self, SearchIndex};
use crate::signals::generation::{self, Tick};

thread_local! {
    /// A session that is not trusted is told so once.
    static WARNED: Cell<bool> = const { Cell::new(false) };
}

/// The agent of the current statement: the one that a trusted session names, else the one mapped to
/// the current role, else nobody.
pub fn current_agent() -> Option<i64> {
    if let Some(agent) = settings::agent_id() {
        // What runs in a security-restricted operation, REFRESH MATERIALIZED VIEW for one, runs for its
        // owner and not for the session.
        // SAFETY: reads the backend's state.
        if unsafe { pg_sys::InSecurityRestrictedOperation() } {
            // SAFETY: reads the backend's state.
            return cache::role(unsafe { pg_sys::GetUserId() }).agent;
        }
        if is_trusted() {
            return Some(agent);
        }
        warn_once();
    }
    // SAFETY: reads the backend's state.
    cache::role(unsafe { pg_sys::GetUserId() }).agent
}

fn is_trusted() -> bool {
    // SAFETY: reads the backend's state, and the system cache.
    unsafe {
        let session_user = pg_sys::GetSessionUserId();
        // Looked at in any case, so that the session hears when it is no superuser any more.
        let role = cache::role(session_user);
        role.trusted || pg_sys::superuser_arg(session_user)
    }
}

/// May this session's conditions look rows up before the policies are asked, if they tell nothing of a row?
pub fn may_search_by_index() -> bool {
    match settings::search_index() {
        SearchIndex::On => true,
        SearchIndex::Off => false,
        SearchIndex::Trusted => sql_is_applications(),
    }
}

/// Does the application choose the SQL of this session, and not its user?
pub fn sql_is_applications() -> bool {
    // What runs in a security-restricted operation is somebody else's.
    // SAFETY: reads the backend's state.
    !unsafe { pg_sys::InSecurityRestrictedOperation() } && is_trusted()
}

/// The agent that a trusted session names. One that is not trusted is warned.
pub fn named_agent() -> Option<i64> {
    let agent = settings::agent_id()?;
    if is_trusted() {
        return Some(agent);
    }
    warn_once();
    None
}

fn warn_once() {
    // SAFETY: reads the backend's state. The session itself warns, not its parallel workers.
    let is_worker = unsafe { pg_sys::ParallelWorkerNumber } >= 0;
    if !is_worker && !WARNED.replace(true) {
        error::warn(
            "deskguard.agent_id is ignored: the login role of this session is not trusted to name its agent",
            "A superuser may trust it: INSERT INTO deskguard.trusted_role VALUES (session_user).",
        );
    }
}

/// The current agent of the session and what it may do, and of which generation that is, even if rights
/// change at this moment.
pub fn rights_now() -> (Option<i64>, Rights, Tick) {
    loop {
        let generation = generation::refresh();
        let agent = current_agent();
        let rights = agent.and_then(cache::access);
        if generation::refresh() == generation {
            return (agent, rights, generation);
        }
    }
}
