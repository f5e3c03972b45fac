//! Which agent the current statement acts for.

use std::cell::Cell;

use pgrx::pg_sys;

use crate::catalog::{Catalog, Key};
use crate::{error, settings};

mod trusted_role {
    use crate::catalog::Attribute;
    pub const ROLE_NAME: Attribute = 1;
}

thread_local! {
    /// A session that is not trusted is told so once.
    static WARNED: Cell<bool> = const { Cell::new(false) };
}

/// The agent of the current statement: the one that a trusted session names, else the one mapped to
/// the current role, else nobody.
pub fn current_agent(catalog: &Catalog) -> Option<i64> {
    if let Some(agent) = settings::agent_id() {
        if is_trusted(catalog) {
            return Some(agent);
        }
        warn_once();
    }
    agent_of_current_role(catalog)
}

fn is_trusted(catalog: &Catalog) -> bool {
    // SAFETY: reads the backend's state.
    let session_user = unsafe { pg_sys::GetSessionUserId() };
    // SAFETY: a look-up in the system cache.
    if unsafe { pg_sys::superuser_arg(session_user) } {
        return true;
    }
    Key::role_name(trusted_role::ROLE_NAME, session_user).is_some_and(|key| {
        catalog
            .find(c"trusted_role", c"trusted_role_pkey", &[key], |_| ())
            .is_some()
    })
}

fn agent_of_current_role(catalog: &Catalog) -> Option<i64> {
    // SAFETY: reads the backend's state.
    let current_user = unsafe { pg_sys::GetUserId() };
    let key = Key::role_name(crate::load::agent::DB_ROLE, current_user)?;
    catalog.find(c"agent", c"agent_db_role_key", &[key], |row| {
        row.required(crate::load::agent::ID)
    })
}

/// Warns a session that is not trusted and names an agent.
pub fn warn_if_ignored(catalog: &Catalog) {
    if settings::agent_id().is_some() && !is_trusted(catalog) {
        warn_once();
    }
}

fn warn_once() {
    if !WARNED.replace(true) {
        error::warn(
            "deskguard.agent_id is ignored: the login role of this session is not trusted to name its agent",
            "A superuser may trust it: INSERT INTO deskguard.trusted_role VALUES (session_user).",
        );
    }
}
