//! Columns of protected tables that are renamed, altered or dropped: the registry names them.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error;
use crate::pg::relation::{Class, attribute, display_name};
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::scan::{Row, ScanKey};
use crate::protect::own_work::OwnWork;
use crate::protect::registry::changed_meanwhile;
use crate::protect::rename::Rename;
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::message_table;
use crate::tables::key::KeyType;
use crate::tables::registry::{MAPPINGS, Mapping, children_of, column_name};

/// A column of this relation was renamed, and with it those of the tables of that type.
pub fn follow_column(relation: pg_sys::Oid, rename: &Rename) -> Result<(), SpiError> {
    let (Some(from), Some(to)) = (&rename.from, &rename.to) else {
        return Ok(());
    };
    let catalog = Catalog::now();
    let mut tables = vec![];
    if rename.is_attribute {
        let row_type = Class::of(relation).map(|class| class.row_type);
        for mapping in &MAPPINGS {
            catalog.scan(mapping.registry, None, &[], |row| {
                let table: Option<pg_sys::Oid> = row.get(mapping.of.0);
                tables.extend(
                    table.filter(|table| Class::of(*table).map(|class| class.of_type) == row_type),
                );
            });
        }
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
    for mapping in &MAPPINGS {
        // The SQL of a version before, which is not updated yet, has not all of them.
        let registry = own_table(mapping.registry);
        let there = mapping.columns.iter();
        let there = there.filter(|(_, column)| attribute(registry, column).is_some());
        let renamed = there.map(|(_, column)| {
            format!(
                "{column} = CASE WHEN {column} OPERATOR(pg_catalog.=) $2::pg_catalog.name
                                 THEN $3::pg_catalog.name ELSE {column} END"
            )
        });
        Spi::run_with_args(
            &format!(
                "UPDATE deskguard_internal.{} SET {}
                 WHERE {}::pg_catalog.oid OPERATOR(pg_catalog.=) ANY ($1)",
                mapping.registry.to_string_lossy(),
                renamed.collect::<Vec<_>>().join(", "),
                mapping.of.1
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
    let mut found = false;
    for (mapping, table) in of_each(tables) {
        let keys = [ScanKey::oid(mapping.of.0, table)];
        catalog.scan(mapping.registry, Some(mapping.index), &keys, |row| {
            let mut columns = mapping.columns.iter();
            found |= columns
                .any(|(attribute, _)| column_name(row, *attribute).as_deref() == Some(column));
        });
    }
    found
}

/// Does the registry name columns of this table?
fn is_named(catalog: &Catalog, table: pg_sys::Oid) -> bool {
    of_each(&[table]).any(|(mapping, table)| {
        let keys = [ScanKey::oid(mapping.of.0, table)];
        let found = catalog.find(mapping.registry, mapping.index, &keys, |_| ());
        found.is_some()
    })
}

/// What may name columns of each of these tables.
fn of_each(tables: &[pg_sys::Oid]) -> impl Iterator<Item = (&'static Mapping, pg_sys::Oid)> {
    let of = |mapping| tables.iter().map(move |table| (mapping, *table));
    MAPPINGS.iter().flat_map(of)
}

/// The key of a message table, which no policy of its own names.
fn key_of_messages(catalog: &Catalog, table: pg_sys::Oid) -> Option<String> {
    let keys = [ScanKey::oid(message_table::TABLE_ID, table)];
    let read = |row: &Row| column_name(row, message_table::ID_COLUMN);
    catalog
        .find(c"message_table", c"message_table_pkey", &keys, read)
        .flatten()
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
    if children_of(catalog, table).iter().any(differs) {
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
    if !children_of(&catalog, table).is_empty() {
        refuse(format!(
            "cannot drop {identity}, by which rows of a protected table belong to this one"
        ));
    }
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    let _work = OwnWork::begin();
    Spi::run_with_args(
        "UPDATE deskguard_internal.message_table SET id_column = NULL
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
