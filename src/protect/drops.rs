//! The event trigger after drops: forgets tables that are gone, and refuses to drop what protects one that
//! stays.

use std::ffi::CString;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::error;
use crate::pg::relation::{attribute, display_name};
use crate::pg::restore::is_restoring;
use crate::pg::run_as_owner::RunAsOwner;
use crate::protect::columns::key_dropped;
use crate::protect::dropped::Dropped;
use crate::protect::event_rows::{command_of, finish};
use crate::protect::mirror_ddl::look_at_dropped;
use crate::protect::own_work::OwnWork;
use crate::protect::registry::{changed_meanwhile, check_now};
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::ticket_table;
use crate::tables::registry::{children_of, is_protected, root_of};

version_1!(after_drop);

/// Event trigger after objects were dropped.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn after_drop(fcinfo: CallInfo) -> pg_sys::Datum {
    command_of(fcinfo, "after_drop");
    if !OwnWork::is_going_on() {
        let dropped = Dropped::now();
        finish(look_at(&dropped).and_then(|()| look_at_dropped(&dropped)));
    }
    pg_sys::Datum::from(0)
}

fn look_at(dropped: &Dropped) -> Result<(), SpiError> {
    // pg_restore --clean drops them one by one, before their table. Without them that is closed.
    if !is_restoring() {
        for (kind, names) in &dropped.parts {
            refuse_of_protected(kind, names);
        }
    }
    for (table, identity) in &dropped.columns {
        key_dropped(*table, identity)?;
    }
    forget_tables(&dropped.tables)
}

/// Refuses to drop a policy or trigger of a protected table that is still there.
fn refuse_of_protected(kind: &str, [schema, table, name]: &[String; 3]) {
    let found = || {
        let schema_name = CString::new(schema.as_str()).ok()?;
        let table_name = CString::new(table.as_str()).ok()?;
        // SAFETY: look-ups in the system cache.
        unsafe {
            let schema = pg_sys::get_namespace_oid(schema_name.as_ptr(), true);
            let table = pg_sys::get_relname_relid(table_name.as_ptr(), schema);
            (table != pg_sys::InvalidOid).then_some(table)
        }
    };
    if let Some(oid) = found()
        && is_protected(oid)
    {
        let table = display_name(oid);
        error::raise(
            PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "cannot drop {kind} {name} of protected table {table}, or a column that it uses"
            ),
            "Protect the table without the column first, or call deskguard.unprotect().",
        );
    }
}

fn forget_tables(tables: &[pg_sys::Oid]) -> Result<(), SpiError> {
    let catalog = Catalog::now();
    let mut registered = tables.to_vec();
    registered.retain(|table| root_of(&catalog, *table).is_some());
    let mut parents = tables.to_vec();
    parents.retain(|table| !children_of(&catalog, *table).is_empty());
    if registered.is_empty() && parents.is_empty() {
        return Ok(());
    }
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    let _work = OwnWork::begin();
    // The SQL of a version before, which is not updated yet, has not all of them.
    let registry = own_table(c"ticket_table");
    let of_followers = ticket_table::OF_FOLLOWERS
        .into_iter()
        .filter(|column| attribute(registry, column).is_some())
        .map(|column| format!("{column} = NULL"));
    let forget_followers = format!(
        "UPDATE deskguard_internal.ticket_table SET {} WHERE follower_table",
        of_followers.collect::<Vec<_>>().join(", ")
    );
    for (tables, statement) in [
        (
            &registered,
            "DELETE FROM deskguard.shared_visibility WHERE object_table",
        ),
        (
            &registered,
            "DELETE FROM deskguard_internal.protected_feature WHERE table_id",
        ),
        (
            &registered,
            "DELETE FROM deskguard_internal.protected_table WHERE table_id",
        ),
        (&registered, &forget_followers),
        (
            &parents,
            "UPDATE deskguard_internal.message_table SET parent_table = NULL WHERE parent_table",
        ),
    ] {
        if !tables.is_empty() {
            Spi::run_with_args(
                &format!("{statement}::pg_catalog.oid OPERATOR(pg_catalog.=) ANY ($1)"),
                &[tables.clone().into()],
            )?;
        }
    }
    if registered.iter().any(|table| is_protected(*table)) {
        changed_meanwhile();
    }
    check_now()
}
