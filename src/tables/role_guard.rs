//! What may be written into the tables of deskguard, where constraints cannot say it.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::error;
use crate::pg::scan::{Row, ScanKey};
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::{agent, trusted_role};
use crate::tables::trigger_call::{Form, TriggerCall};

version_1!(guard_role);

/// Trigger: refuses a role that does not exist, and one that would be an agent and be trusted to name its
/// agent: where its program forgets to, it would be that agent.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn guard_role(fcinfo: CallInfo) -> pg_sys::Datum {
    let call = TriggerCall::new(
        fcinfo,
        "guard_role",
        &[Form::AFTER_INSERT, Form::AFTER_UPDATE],
        "It is for deskguard.agent and deskguard.trusted_role, which have the trigger.",
    );
    // SAFETY: the row is one of the table, while the trigger runs.
    let row = unsafe { Row::of(call.new_row(), call.relation().rd_att) };
    if call.relation().rd_id == own_table(c"trusted_role") {
        let role = existing(row.required(trusted_role::ROLE_NAME));
        refuse_if_both(role);
    } else {
        call.check_table(c"agent");
        if let Some(role) = row.get(agent::DB_ROLE) {
            refuse_if_both(existing(role));
        }
    }
    pg_sys::Datum::null()
}

fn existing(name: &CStr) -> pg_sys::Oid {
    // SAFETY: a look-up in the system cache.
    let role = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    if role == pg_sys::InvalidOid {
        error::raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("role \"{}\" does not exist", name.to_string_lossy()),
            "Create it first, or restore roles before this database (pg_dumpall --roles-only).",
        );
    }
    role
}

fn refuse_if_both(role: pg_sys::Oid) {
    // One at a time: two sessions that each make half of a pair must not miss each other. The lock is on the
    // table as an object, which nothing else takes. What this command has written counts.
    // SAFETY: a lock that ends with the transaction.
    unsafe {
        pg_sys::LockDatabaseObject(
            pg_sys::RelationRelationId,
            own_table(c"trusted_role"),
            0,
            pg_sys::ExclusiveLock as pg_sys::LOCKMODE,
        );
        pg_sys::CommandCounterIncrement();
    }
    let catalog = Catalog::now();
    let is_trusted = ScanKey::role_name(trusted_role::ROLE_NAME, role).is_some_and(|key| {
        let index = c"trusted_role_pkey";
        let found = catalog.find(c"trusted_role", index, &[key], |_| ());
        found.is_some()
    });
    let agent = ScanKey::role_name(agent::DB_ROLE, role).and_then(|key| {
        let id = |row: &Row| row.required::<i64>(agent::ID);
        catalog.find(c"agent", c"agent_db_role_key", &[key], id)
    });
    if let (true, Some(agent)) = (is_trusted, agent) {
        // SAFETY: a look-up in the system cache; the role exists.
        let name = unsafe { CStr::from_ptr(pg_sys::GetUserNameFromId(role, false)) };
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "role \"{}\" cannot be agent {agent} and be trusted to name its agent",
                name.to_string_lossy()
            ),
            "Where it names none it would be that agent. Give the agent a role of its own.",
        );
    }
}
