//! Whom a session acts for: what it may ask and say, and what it is told of a mistake.

use std::cell::Cell;

use deskguard_rules::NoAgent;
use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::pg::error;
use crate::rights::call_site::agent_of_call;
use crate::rights::load::Loader;
use crate::rights::{cache, identity, settings, statement};

thread_local! {
    /// An agent was set for a transaction that may end with the statement: how many had started then.
    static SET_BY: Cell<Option<u64>> = const { Cell::new(None) };
    /// A session without policies is told so once.
    static TOLD_OF_BYPASS: Cell<bool> = const { Cell::new(false) };
}

#[pg_extern(sql = false, name = "current_agent")]
fn current_agent_id(fcinfo: CallInfo) -> Option<i64> {
    agent_of_call(fcinfo)
}

#[pg_extern(sql = false)]
fn set_agent(agent_id: Option<i64>, is_local: Option<bool>) {
    let is_local = is_local.unwrap_or(true);
    settings::set_agent_id(agent_id, is_local);
    let Some(agent) = identity::named_agent() else {
        return;
    };
    SET_BY.set((is_local && !statement::is_in_transaction_block()).then(statement::started));
    tell_of_bypass();
    if cache::access(agent).is_none()
        && let Err(why) = Loader::now().grants(agent)
    {
        let why = match why {
            NoAgent::Unknown => "does not exist",
            NoAgent::Inactive => "is inactive",
        };
        error::warn(
            format!("agent {agent} {why}"),
            "Until that changes, the session sees nothing.",
        );
    }
}

/// The transaction is about to commit. A pipeline may have had more statements than the one that set the
/// agent, which nobody knew then.
pub fn warn_if_set_in_vain() {
    if SET_BY.take() == Some(statement::started()) {
        error::warn_as(
            PgSqlErrorCode::ERRCODE_NO_ACTIVE_SQL_TRANSACTION,
            "deskguard.set_agent() has no effect outside of a transaction block",
            "Call it after BEGIN, or in one round trip with the statements that it is for.",
        );
    }
}

/// The transaction has ended.
pub fn forget_set() {
    SET_BY.set(None);
}

fn tell_of_bypass() {
    // SAFETY: reads the backend's state, and the system cache.
    let is_free = unsafe { pg_sys::has_bypassrls_privilege(pg_sys::GetUserId()) };
    if is_free && !TOLD_OF_BYPASS.replace(true) {
        error::notice(
            "row-level security does not apply to this role, which sees all rows whatever its agent is",
            "Use a role that is no superuser and has not BYPASSRLS.",
        );
    }
}
