//! The registry: read as of now, written as its owner.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error;
use crate::pg::relation::Class;
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::scan::{Row, ScanKey};
use crate::protection::kind::Kind;
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::protected_table;

/// A registered table with its flags of row-level security from before.
pub struct Registered {
    pub oid: pg_sys::Oid,
    pub had_row_security: bool,
    pub had_force: bool,
}

impl Registered {
    fn read(row: &Row) -> Registered {
        Registered {
            oid: row.required(protected_table::TABLE_ID),
            had_row_security: row.required(protected_table::HAD_ROW_SECURITY),
            had_force: row.required(protected_table::HAD_FORCE),
        }
    }
}

/// A table and those registered as its partitions or children, which come after it.
pub fn registered_with(root: pg_sys::Oid) -> Vec<Registered> {
    let catalog = Catalog::now();
    let mut found = Vec::new();
    for (index, column) in [
        (c"protected_table_pkey", protected_table::TABLE_ID),
        (c"protected_table_root_idx", protected_table::ROOT),
    ] {
        let keys = [ScanKey::oid(column, root)];
        catalog.scan(c"protected_table", Some(index), &keys, |row| {
            found.push(Registered::read(row));
        });
    }
    found.sort_unstable_by_key(|table| (table.oid != root, table.oid.to_u32()));
    found.dedup_by_key(|table| table.oid);
    found
}

/// Takes tables out of the registry. What their kinds have of them goes along.
pub fn forget(tables: &[Registered]) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    let oids: Vec<pg_sys::Oid> = tables.iter().map(|table| table.oid).collect();
    let gone = Spi::connect_mut(|client| {
        client
            .update(
                "DELETE FROM deskguard_internal.protected_table
                 WHERE table_id::pg_catalog.oid OPERATOR(pg_catalog.=) ANY ($1)",
                None,
                &[oids.into()],
            )
            .map(|rows| rows.len())
    })?;
    if gone != tables.len() {
        changed_meanwhile();
    }
    Ok(())
}

/// Checks at once what is otherwise checked at the end of the transaction, since protecting a table anew replaces
/// its row: who has ended a protection may drop the extension in the same transaction, as pg_restore --clean does.
pub fn check_now() -> Result<(), SpiError> {
    for when in ["IMMEDIATE", "DEFERRED"] {
        Spi::run(&format!(
            "SET CONSTRAINTS deskguard.shared_visibility_object_table_fkey {when}"
        ))?;
    }
    Ok(())
}

/// What is read of the registry is of now, and a transaction with an older snapshot cannot change all of it.
pub fn changed_meanwhile() -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "the protection was changed since this transaction began",
        "Retry the transaction.",
    )
}

/// Notes tables that are protected, with their flags of row-level security from before.
pub fn register(kind: &dyn Kind, tables: &[(pg_sys::Oid, Class)]) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    // All at once, since each command tells all sessions.
    let flags = |of: fn(&Class) -> bool| tables.iter().map(|(_, class)| of(class)).collect();
    let (secured, forced): (Vec<bool>, Vec<bool>) = (
        flags(|class| class.row_security),
        flags(|class| class.forced),
    );
    let oids: Vec<pg_sys::Oid> = tables.iter().map(|(table, _)| *table).collect();
    Spi::run_with_args(
        "INSERT INTO deskguard_internal.protected_table
         SELECT part, $1, $2, secured, forced
         FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5))
             AS t (part, secured, forced)",
        &[
            kind.kind().into(),
            kind.root().into(),
            oids.clone().into(),
            secured.into(),
            forced.into(),
        ],
    )?;
    // Partitions and children have the columns of their root.
    if oids.contains(&kind.root()) {
        kind.register()?;
    }
    Ok(())
}

pub fn add_feature(table: pg_sys::Oid, command: &str, permission: &str) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_feature"));
    Spi::run_with_args(
        "INSERT INTO deskguard_internal.protected_feature (table_id, command, permission)
         VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        &[table.into(), command.into(), permission.into()],
    )
}

pub fn forget_features(table: pg_sys::Oid) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_feature"));
    Spi::run_with_args(
        "DELETE FROM deskguard_internal.protected_feature
         WHERE table_id::pg_catalog.oid OPERATOR(pg_catalog.=) $1",
        &[table.into()],
    )
}
