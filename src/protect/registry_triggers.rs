//! The triggers of the registry: it is written by deskguard's functions only, and all backends hear of it.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error;
use crate::pg::relation::text;
use crate::protect::own_work::OwnWork;
use crate::tables::catalog::own_table;

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_guard_registry() -> &'static pg_sys::Pg_finfo_record {
    const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION_1
}

/// Trigger, before rows are changed or deleted: refuses it by hand, which would open tables or close them.
/// A dump that is restored inserts.
///
/// # Safety
/// Called by PostgreSQL.
#[unsafe(no_mangle)]
#[pg_guard]
#[allow(clippy::missing_safety_doc)] // pg_guard puts it into one without.
pub unsafe extern "C-unwind" fn guard_registry(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: in a trigger the context is its TriggerData.
    unsafe {
        let trigger = trigger_of(fcinfo, "guard_registry");
        if !OwnWork::is_going_on() {
            let table = text(pg_sys::get_rel_name((*trigger.tg_relation).rd_id));
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
}

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_protection_changed() -> &'static pg_sys::Pg_finfo_record {
    const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION_1
}

/// Trigger, before rows of the registry change: tells all backends, which know tables that are whole.
///
/// # Safety
/// Called by PostgreSQL.
#[unsafe(no_mangle)]
#[pg_guard]
#[allow(clippy::missing_safety_doc)] // pg_guard puts it into one without.
pub unsafe extern "C-unwind" fn protection_changed(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: in a trigger the context is its TriggerData; a message is registered that is sent at commit.
    unsafe {
        let trigger = trigger_of(fcinfo, "protection_changed");
        pg_sys::CacheInvalidateRelcacheByRelid(own_table(c"protected_table"));
        row(trigger)
    }
}

/// # Safety
/// Called with what a function was called with.
unsafe fn trigger_of<'a>(
    fcinfo: pg_sys::FunctionCallInfo,
    function: &str,
) -> &'a pg_sys::TriggerData {
    // SAFETY: in a trigger the context is its TriggerData.
    unsafe {
        if !pgrx::trigger_support::called_as_trigger(fcinfo) {
            error::raise(
                PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                format!("deskguard_internal.{function}() can only be called as a trigger"),
                "CREATE EXTENSION makes the triggers.",
            );
        }
        &*(*fcinfo).context.cast()
    }
}

/// The row as it is to be; none for a statement.
fn row(trigger: &pg_sys::TriggerData) -> pg_sys::Datum {
    pg_sys::Datum::from(if trigger.tg_newtuple.is_null() {
        trigger.tg_trigtuple
    } else {
        trigger.tg_newtuple
    })
}
