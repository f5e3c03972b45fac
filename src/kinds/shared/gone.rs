//! The triggers that forget with whom objects were shared that are gone.

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::kinds::shared::visibility::forget_visibility;
use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::error;
use crate::pg::relation::display_name;
use crate::pg::scan::ScanKey;
use crate::rights::known_tables;
use crate::tables::catalog::Catalog;
use crate::tables::columns::shared_visibility;
use crate::tables::key::{KeyRef, OwnedKey};
use crate::tables::shared_table::SharedTable;
use crate::tables::trigger_call::{Form, TriggerCall};
use crate::tables::tuple::{key, place};

version_1!(object_gone);

/// Trigger, after DELETE, TRUNCATE, and UPDATE of an id: what is left in shared_visibility would show
/// the next object with the id to those it was not shared with.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn object_gone(fcinfo: CallInfo) -> pg_sys::Datum {
    let call = TriggerCall::new(
        fcinfo,
        "object_gone",
        &[Form::AFTER_DELETE, Form::AFTER_UPDATE, Form::AFTER_TRUNCATE],
        "deskguard.protect_shared() makes the triggers.",
    );
    // SAFETY: the row is one of the table, and so is the place.
    unsafe {
        if let Some(table) = known_tables::held_shared_table(call.relation().rd_id) {
            let gone = if call.is_of_row() {
                place(call.relation(), &table.id)
                    .and_then(|id| key(call.old(), call.relation().rd_att, id))
                    .map(KeyRef::to_owned)
                    .into_iter()
                    .collect()
            } else {
                all_with_visibility(&table)
            };
            // What is replicated is not refused.
            let is_update = call.is_update()
                && pg_sys::SessionReplicationRole
                    != pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32;
            for object in gone {
                if let Err(problem) = forget(&table, object.borrowed(), is_update) {
                    error::raise(
                        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                        format!("could not forget with whom an object was shared: {problem}"),
                        "Please report this.",
                    );
                }
            }
        }
        // Nobody looks at the result of a trigger that runs after.
        pg_sys::Datum::null()
    }
}

fn all_with_visibility(table: &SharedTable) -> Vec<OwnedKey> {
    let mut objects = vec![];
    let key = ScanKey::oid(shared_visibility::OBJECT_TABLE, table.oid);
    let index = c"shared_visibility_key";
    Catalog::now().scan(c"shared_visibility", Some(index), &[key], |row| {
        objects.extend(table.object_of(row));
    });
    objects.dedup();
    objects
}

/// A row with the id is gone. The object may still be there: moved to another partition, or where no
/// index forbids a second.
fn forget(table: &SharedTable, object: KeyRef, is_update: bool) -> Result<(), SpiError> {
    if !table.has_visibility(object) || table.has_object(object)? {
        return Ok(());
    }
    if is_update {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "the id of object {object} of {} cannot be changed: it is shared",
                display_name(table.oid)
            ),
            "Take it back from all with deskguard.unshare() first, or make another object.",
        );
    }
    forget_visibility(table.oid, Some(object))
}
