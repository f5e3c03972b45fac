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
use crate::protect::event_rows::{command_of, finish, for_each_event_row};
use crate::protect::own_work::OwnWork;
use crate::protect::registry::{changed_meanwhile, check_now};
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::ticket_table;
use crate::tables::registry::{children_of, is_protected, root_of};

const PG_CLASS: u32 = 1259;

version_1!(after_drop);

/// Event trigger after objects were dropped.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn after_drop(fcinfo: CallInfo) -> pg_sys::Datum {
    command_of(fcinfo, "after_drop");
    if !OwnWork::is_going_on() {
        finish(look_at(&Dropped::now()));
    }
    pg_sys::Datum::from(0)
}

/// What a command dropped, as far as it may matter.
#[derive(Default)]
struct Dropped {
    tables: Vec<pg_sys::Oid>,
    /// Of tables that stay, with their names for messages.
    columns: Vec<(pg_sys::Oid, String)>,
    /// Policies and triggers with names of deskguard's: kind, schema, table, name.
    parts: Vec<(String, [String; 3])>,
}

impl Dropped {
    fn now() -> Dropped {
        let mut dropped = Dropped::default();
        for_each_event_row(
            c"SELECT classid, objid, objsubid, object_type, object_identity, address_names
              FROM pg_catalog.pg_event_trigger_dropped_objects()
              WHERE NOT is_temporary AND object_type OPERATOR(pg_catalog.=) ANY (
                  '{table, foreign table, table column, policy, trigger}'::pg_catalog.text[])",
            |row| {
                // SAFETY: of these types.
                let (catalog, object, column, kind) = unsafe {
                    (
                        row.get::<pg_sys::Oid>(1),
                        row.get::<pg_sys::Oid>(2),
                        row.get::<i32>(3),
                        row.get::<&str>(4),
                    )
                };
                let (Some(catalog), Some(object), Some(kind)) = (catalog, object, kind) else {
                    return;
                };
                match kind {
                    "table" | "foreign table"
                        if catalog.to_u32() == PG_CLASS && column == Some(0) =>
                    {
                        dropped.tables.push(object);
                    }
                    "table column" => {
                        // SAFETY: a text.
                        let identity = unsafe { row.get::<&str>(5) }.unwrap_or_default();
                        dropped.columns.push((object, identity.into()));
                    }
                    "policy" | "trigger" => {
                        // SAFETY: an array of texts.
                        let names = unsafe { row.get::<Vec<Option<String>>>(6) };
                        let names: Option<Vec<String>> =
                            names.and_then(|names| names.into_iter().collect());
                        let names = names.and_then(|names| <[String; 3]>::try_from(names).ok());
                        dropped.parts.extend(
                            names
                                .filter(|[_, _, name]| name.starts_with("deskguard_"))
                                .map(|names| (kind.into(), names)),
                        );
                    }
                    _ => {}
                }
            },
        );
        dropped
    }
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
