//! Columns of protected tables that are renamed, altered or dropped: the registry names them.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error;
use crate::pg::relation::{Class, attribute, display_name};
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::scan::{Attribute, ScanKey};
use crate::protect::own_work::OwnWork;
use crate::protect::registry::changed_meanwhile;
use crate::protect::rename::Rename;
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::protected_table;
use crate::tables::key::KeyType;
use crate::tables::registry::MESSAGES;

/// A column of this relation was renamed, and with it those of the tables of that type.
pub fn follow_column(relation: pg_sys::Oid, rename: &Rename) -> Result<(), SpiError> {
    let (Some(from), Some(to)) = (&rename.from, &rename.to) else {
        return Ok(());
    };
    let catalog = Catalog::now();
    let mut tables = vec![];
    if rename.is_attribute {
        let row_type = Class::of(relation).map(|class| class.row_type);
        catalog.scan(c"protected_table", None, &[], |row| {
            for table in [
                row.get(protected_table::TABLE_ID),
                row.get(protected_table::FOLLOWER_TABLE),
            ] {
                tables.extend(table.filter(|table: &pg_sys::Oid| {
                    Class::of(*table).map(|class| class.of_type) == row_type
                }));
            }
        });
    } else if is_named(&catalog, relation) {
        tables.push(relation);
    }
    // Not a table that has kept its column.
    tables.retain(|table| attribute(*table, from).is_none() && attribute(*table, to).is_some());
    if tables.is_empty() {
        return Ok(());
    }
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    let _work = OwnWork::begin();
    let renamed = |columns: &[&str]| {
        let all = columns.iter().map(|column| {
            format!(
                "{column} = CASE WHEN {column} OPERATOR(pg_catalog.=) $2::pg_catalog.name
                                 THEN $3::pg_catalog.name ELSE {column} END"
            )
        });
        all.collect::<Vec<_>>().join(", ")
    };
    for (columns, table) in [
        (
            &[
                "id_column",
                "department_column",
                "category_column",
                "assignee_column",
                "team_column",
                "status_column",
                "confidential_column",
                "parent_column",
                "author_column",
                "owner_column",
            ][..],
            "table_id",
        ),
        (
            &["follower_ticket_column", "follower_agent_column"],
            "follower_table",
        ),
    ] {
        Spi::run_with_args(
            &format!(
                "UPDATE deskguard_internal.protected_table SET {}
                 WHERE {table}::pg_catalog.oid OPERATOR(pg_catalog.=) ANY ($1)",
                renamed(columns)
            ),
            &[
                tables.clone().into(),
                from.as_str().into(),
                to.as_str().into(),
            ],
        )?;
    }
    if names(&Catalog::now(), &tables, from) {
        changed_meanwhile();
    }
    Ok(())
}

/// Does the registry still name this column of one of the tables?
fn names(catalog: &Catalog, tables: &[pg_sys::Oid], column: &str) -> bool {
    use protected_table::*;
    const OWN: [Attribute; 10] = [
        ID_COLUMN,
        DEPARTMENT_COLUMN,
        CATEGORY_COLUMN,
        ASSIGNEE_COLUMN,
        TEAM_COLUMN,
        STATUS_COLUMN,
        CONFIDENTIAL_COLUMN,
        PARENT_COLUMN,
        AUTHOR_COLUMN,
        OWNER_COLUMN,
    ];
    const FOLLOWERS: [Attribute; 2] = [FOLLOWER_TICKET_COLUMN, FOLLOWER_AGENT_COLUMN];
    let mut found = false;
    catalog.scan(c"protected_table", None, &[], |row| {
        for (table, columns) in [(TABLE_ID, &OWN[..]), (FOLLOWER_TABLE, &FOLLOWERS)] {
            let is_of_table = row
                .get(table)
                .is_some_and(|table: pg_sys::Oid| tables.contains(&table));
            found |= is_of_table
                && columns.iter().any(|attribute| {
                    let name: Option<&std::ffi::CStr> = row.get(*attribute);
                    name.is_some_and(|name| name.to_bytes() == column.as_bytes())
                });
        }
    });
    found
}

/// Does the registry name columns of this table?
fn is_named(catalog: &Catalog, table: pg_sys::Oid) -> bool {
    let mut found = false;
    for (index, column) in [
        (c"protected_table_pkey", protected_table::TABLE_ID),
        (
            c"protected_table_follower_table_key",
            protected_table::FOLLOWER_TABLE,
        ),
    ] {
        let keys = [ScanKey::oid(column, table)];
        catalog.scan(c"protected_table", Some(index), &keys, |_| found = true);
    }
    found
}

/// The key of a message table, which no policy of its own names.
fn key_of_messages(catalog: &Catalog, table: pg_sys::Oid) -> Option<String> {
    let keys = [ScanKey::oid(protected_table::TABLE_ID, table)];
    let read = |row: &crate::pg::scan::Row| {
        let is_messages = row.required::<&str>(protected_table::KIND) == MESSAGES;
        let column: Option<&std::ffi::CStr> = row.get(protected_table::ID_COLUMN);
        Some(
            column
                .filter(|_| is_messages)?
                .to_string_lossy()
                .into_owned(),
        )
    };
    catalog
        .find(c"protected_table", c"protected_table_pkey", &keys, read)
        .flatten()
}

/// The tables whose rows belong to this table's, and by which of their columns.
fn belonging_to(catalog: &Catalog, table: pg_sys::Oid) -> Vec<(pg_sys::Oid, String)> {
    let mut found = vec![];
    let index = Some(c"protected_table_parent_table_idx");
    let keys = [ScanKey::oid(protected_table::PARENT_TABLE, table)];
    catalog.scan(c"protected_table", index, &keys, |row| {
        let column: Option<&std::ffi::CStr> = row.get(protected_table::PARENT_COLUMN);
        if let Some(column) = column {
            let column = column.to_string_lossy().into_owned();
            found.push((row.required(protected_table::TABLE_ID), column));
        }
    });
    found
}

/// Refuses another type of a message table's key, by which rows of other tables belong to its.
pub fn refuse_other_key(catalog: &Catalog, table: pg_sys::Oid) {
    let Some(key) = key_of_messages(catalog, table) else {
        return;
    };
    let key_type = KeyType::of_column(table, &key);
    let differs = |(child, column): &(pg_sys::Oid, String)| {
        let child_type = KeyType::of_column(*child, column);
        key_type != child_type
    };
    if belonging_to(catalog, table).iter().any(differs) {
        refuse(format!(
            "cannot change the type of the key of {}, by which rows of a protected table belong to this one",
            display_name(table)
        ));
    }
}

/// A column of a table that stays was dropped: refuses that of a message table's key, if rows of others
/// belong to its; else the table has no key any more.
pub fn key_dropped(table: pg_sys::Oid, identity: &str) -> Result<(), SpiError> {
    let catalog = Catalog::now();
    let gone = key_of_messages(&catalog, table).filter(|key| attribute(table, key).is_none());
    if gone.is_none() {
        return Ok(());
    }
    if !belonging_to(&catalog, table).is_empty() {
        refuse(format!(
            "cannot drop {identity}, by which rows of a protected table belong to this one"
        ));
    }
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    let _work = OwnWork::begin();
    Spi::run_with_args(
        "UPDATE deskguard_internal.protected_table SET id_column = NULL
         WHERE table_id::pg_catalog.oid OPERATOR(pg_catalog.=) $1",
        &[table.into()],
    )
}

fn refuse(message: String) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
        message,
        "Call deskguard.unprotect() for the tables that belong to it first.",
    )
}
