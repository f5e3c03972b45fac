//! What deskguard's tables say about a role.

use pgrx::pg_sys;

use crate::pg::scan::ScanKey;
use crate::tables::catalog::Catalog;
use crate::tables::columns::{agent, trusted_role};

/// What the tables say about a role.
#[derive(Clone, Copy)]
pub struct Role {
    /// May its sessions name their agent?
    pub trusted: bool,
    /// The agent that it is.
    pub agent: Option<i64>,
}

impl Role {
    pub fn load(catalog: &Catalog, role: pg_sys::Oid) -> Role {
        let trusted = ScanKey::role_name(trusted_role::ROLE_NAME, role).is_some_and(|key| {
            catalog
                .find(c"trusted_role", c"trusted_role_pkey", &[key], |_| ())
                .is_some()
        });
        let is_agent = ScanKey::role_name(agent::DB_ROLE, role);
        // One that is trusted is the agent that it names, or nobody: guard_role refuses to write both.
        let agent = is_agent.filter(|_| !trusted).and_then(|key| {
            catalog.find(c"agent", c"agent_db_role_key", &[key], |row| {
                row.required(agent::ID)
            })
        });
        Role { trusted, agent }
    }
}
