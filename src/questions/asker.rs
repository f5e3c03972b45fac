//! Who may ask what about whom.

use std::rc::Rc;

use deskguard_rules::Permission;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::{compat, error};
use crate::rights::cache;
use crate::rights::identity::current_agent;
use crate::rights::known_tables;
use crate::tables::ticket_table::TicketTable;

/// As [`check_may_ask`], where the question is about no table.
pub fn check_may_ask_about_permissions(about: Option<i64>) {
    check_may_ask(about, &known_tables::ticket_tables());
}

/// About oneself one may ask.
pub fn check_may_ask(about: Option<i64>, tables: &[Rc<TicketTable>]) {
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
pub fn may_ask_about_others(tables: &[Rc<TicketTable>]) -> bool {
    // SAFETY: look-ups in the system cache.
    let is_superuser = unsafe { pg_sys::superuser() };
    // SAFETY: reads the backend's state.
    let user = unsafe { pg_sys::GetUserId() };
    let owns_all = tables.iter().all(|t| compat::owns_table(t.oid, user));
    let may_audit = || {
        let access = current_agent().and_then(cache::access);
        access.is_some_and(|access| access.has(Permission::Audit))
    };
    is_superuser || owns_all && !tables.is_empty() || may_audit()
}
