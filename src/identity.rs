//! Which agent the current statement acts for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use pgrx::pg_sys;

use crate::cache::Agent;
use crate::catalog::{Catalog, ScanKey};
use crate::{cache, error, settings};

mod trusted_role {
    use crate::catalog::Attribute;
    pub const ROLE_NAME: Attribute = 1;
}

thread_local! {
    /// A session that is not trusted is told so once.
    static WARNED: Cell<bool> = const { Cell::new(false) };
    /// The agent that a query of deskguard's own asks for, in place of the session's.
    static ASKED_FOR: Cell<Option<i64>> = const { Cell::new(None) };
    /// And the rights that it has there, if they are to be those of an earlier moment.
    static ASKED_RIGHTS: RefCell<Option<Rc<Agent>>> = const { RefCell::new(None) };
}

/// What the tables say about a role.
#[derive(Clone, Copy)]
pub struct Role {
    /// May its sessions name their agent?
    trusted: bool,
    /// The agent that it is.
    agent: Option<i64>,
}

impl Role {
    pub fn load(catalog: &Catalog, role: pg_sys::Oid) -> Role {
        let trusted = ScanKey::role_name(trusted_role::ROLE_NAME, role).is_some_and(|key| {
            catalog
                .find(c"trusted_role", c"trusted_role_pkey", &[key], |_| ())
                .is_some()
        });
        let agent = ScanKey::role_name(crate::load::agent::DB_ROLE, role).and_then(|key| {
            catalog.find(c"agent", c"agent_db_role_key", &[key], |row| {
                row.required(crate::load::agent::ID)
            })
        });
        Role { trusted, agent }
    }
}

/// The agent of the current statement: the one that a trusted session names, else the one mapped to
/// the current role, else nobody.
pub fn current_agent() -> Option<i64> {
    if let Some(agent) = ASKED_FOR.get() {
        return Some(agent);
    }
    if let Some(agent) = settings::agent_id() {
        if is_trusted() {
            return Some(agent);
        }
        warn_once();
    }
    // SAFETY: reads the backend's state.
    cache::role(unsafe { pg_sys::GetUserId() }).agent
}

/// While it lives, the rules are asked for this agent.
pub struct AskFor {
    before: Option<i64>,
    rights_before: Option<Rc<Agent>>,
}

impl AskFor {
    pub fn agent(agent: i64) -> AskFor {
        AskFor {
            before: ASKED_FOR.replace(Some(agent)),
            rights_before: ASKED_RIGHTS.take(),
        }
    }

    /// With these rights: those of the statement for which it is asked.
    pub fn rights(access: &Rc<Agent>) -> AskFor {
        let asked = AskFor::agent(access.agent);
        ASKED_RIGHTS.set(Some(access.clone()));
        asked
    }
}

/// The rights for which a query of deskguard's own is planned.
pub fn asked_rights() -> Option<Rc<Agent>> {
    ASKED_RIGHTS.with_borrow(Option::clone)
}

impl Drop for AskFor {
    fn drop(&mut self) {
        ASKED_FOR.set(self.before);
        ASKED_RIGHTS.set(self.rights_before.take());
    }
}

fn is_trusted() -> bool {
    // SAFETY: reads the backend's state, and the system cache.
    unsafe {
        let session_user = pg_sys::GetSessionUserId();
        pg_sys::superuser_arg(session_user) || cache::role(session_user).trusted
    }
}

/// Warns a session that is not trusted and names an agent.
pub fn warn_if_ignored() {
    if settings::agent_id().is_some() && !is_trusted() {
        warn_once();
    }
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
