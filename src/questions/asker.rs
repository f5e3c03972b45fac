//! Who may ask what about whom.

use deskguard_rules::Permission;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::{compat, error};
use crate::rights::cache;
use crate::rights::identity::current_agent;
use crate::rights::known_tables;

/// As [`check_may_ask`], where the question is about no table.
pub fn check_may_ask_about_permissions(about: Option<i64>) {
    check_may_ask(about, &ticket_tables());
}

/// All protected ticket tables.
pub fn ticket_tables() -> Vec<pg_sys::Oid> {
    known_tables::ticket_tables()
        .iter()
        .map(|t| t.oid)
        .collect()
}

/// About oneself one may ask.
pub fn check_may_ask(about: Option<i64>, tables: &[pg_sys::Oid]) {
    if may_ask_about_others(tables) || about.is_some() && about == current_agent() {
        return;
    }
    error::raise(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "permission denied to ask about other agents",
        "Ask about deskguard.current_agent(), or have the permission permission.audit, or be the owner of the ticket table.",
    );
}

/// About others, or about all, may ask: superusers, the owner of the ticket tables that the question is
/// about (all, lest anyone make himself one), and agents with permission.audit.
pub fn may_ask_about_others(tables: &[pg_sys::Oid]) -> bool {
    // SAFETY: look-ups in the system cache.
    let is_superuser = unsafe { pg_sys::superuser() };
    // SAFETY: reads the backend's state.
    let user = unsafe { pg_sys::GetUserId() };
    let owns_all = tables.iter().all(|t| compat::owns_table(*t, user));
    let may_audit = || {
        let access = current_agent().and_then(cache::access);
        access.is_some_and(|access| access.has(Permission::Audit))
    };
    is_superuser || owns_all && !tables.is_empty() || may_audit()
}
