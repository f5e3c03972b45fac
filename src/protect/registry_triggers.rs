//! The triggers of the registry: it is written by deskguard's functions only, and all backends hear of it.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::error;
use crate::pg::relation::text;
use crate::protect::own_work::OwnWork;
use crate::tables::catalog::own_table;

version_1!(guard_registry);

/// Trigger, before rows are changed or deleted: refuses it by hand, which would open tables or close them.
/// A dump that is restored inserts.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn guard_registry(fcinfo: CallInfo) -> pg_sys::Datum {
    let trigger = trigger_of(fcinfo, "guard_registry");
    if !OwnWork::is_going_on() {
        // SAFETY: the table of the trigger is open; its name is looked up in the system cache.
        let table = unsafe { text(pg_sys::get_rel_name((*trigger.tg_relation).rd_id)) };
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "deskguard_internal.{} is changed by deskguard's functions only",
                table.unwrap_or_default()
            ),
            "Call deskguard.unprotect() to end the protection of a table, or protect it again.",
        );
    }
    row(trigger)
}

version_1!(protection_changed);

/// Trigger, before rows of the registry change: tells all backends, which know tables that are whole.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn protection_changed(fcinfo: CallInfo) -> pg_sys::Datum {
    let trigger = trigger_of(fcinfo, "protection_changed");
    // SAFETY: registers a message that is sent at commit.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(own_table(c"protected_table")) };
    row(trigger)
}

fn trigger_of<'c>(fcinfo: CallInfo<'c>, function: &str) -> &'c pg_sys::TriggerData {
    fcinfo.trigger().unwrap_or_else(|| {
        error::raise(
            PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            format!("deskguard_internal.{function}() can only be called as a trigger"),
            "CREATE EXTENSION makes the triggers.",
        )
    })
}

/// The row as it is to be; none for a statement.
fn row(trigger: &pg_sys::TriggerData) -> pg_sys::Datum {
    pg_sys::Datum::from(if trigger.tg_newtuple.is_null() {
        trigger.tg_trigtuple
    } else {
        trigger.tg_newtuple
    })
}
