//! Whom a session acts for: what it may ask and say.

use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::rights::call_site::agent_of_call;
use crate::rights::{identity, settings};

#[pg_extern(sql = false, name = "current_agent")]
fn current_agent_id(fcinfo: CallInfo) -> Option<i64> {
    agent_of_call(fcinfo)
}

#[pg_extern(sql = false)]
fn set_agent(agent_id: Option<i64>, is_local: Option<bool>) {
    settings::set_agent_id(agent_id, is_local.unwrap_or(true));
    identity::warn_if_ignored();
}
