//! The registry, deskguard_internal.protected_table: read as of now, written as its owner.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error;
use crate::pg::relation::Class;
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::scan::{Row, ScanKey};
use crate::protection::policies::Protection;
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::protected_table;
use crate::tables::registry::{FEATURE, FOLLOWERS, MESSAGES, SHARED, TICKETS};

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

/// The message tables whose rows belong to this table's.
pub fn children_of(parent: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    Catalog::now().scan(
        c"protected_table",
        Some(c"protected_table_parent_table_idx"),
        &[ScanKey::oid(protected_table::PARENT_TABLE, parent)],
        |row| found.push(row.required(protected_table::TABLE_ID)),
    );
    found.sort_unstable_by_key(|table: &pg_sys::Oid| table.to_u32());
    found
}

/// Takes tables out of the registry.
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

/// What is read of the registry is of now, and a transaction with an older snapshot cannot change all of it.
pub fn changed_meanwhile() -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "the protection was changed since this transaction began",
        "Retry the transaction.",
    )
}

pub fn register(protection: &Protection, table: pg_sys::Oid, class: Class) -> Result<(), SpiError> {
    let is_root = table == protection.root();
    let columns = match protection {
        Protection::Tickets(tickets) if is_root => Some(*tickets),
        _ => None,
    };
    let followers = columns.and_then(|t| t.followers.as_ref());
    let status = columns.and_then(|t| t.status.as_ref());
    let shared = match protection {
        Protection::Shared(shared) if is_root => Some(*shared),
        _ => None,
    };
    let messages = match protection {
        Protection::Messages(messages) if is_root => Some(*messages),
        _ => None,
    };
    let id = columns
        .map(|t| t.id.as_str())
        .or(shared.map(|s| s.id.as_str()))
        .or(messages.and_then(|m| m.id.as_deref()));
    let kind = match protection {
        Protection::Tickets(_) => TICKETS,
        Protection::Followers(_) => FOLLOWERS,
        Protection::Messages(_) => MESSAGES,
        Protection::Shared(_) => SHARED,
        Protection::Feature(_) => FEATURE,
    };
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Spi::run_with_args(
        "INSERT INTO deskguard_internal.protected_table
         VALUES ($1, $2, $3, $4::pg_catalog.name, $5::pg_catalog.name, $6::pg_catalog.name,
                 $7::pg_catalog.name, $8::pg_catalog.name, $9, $10, $11::pg_catalog.name,
                 $12::pg_catalog.name, $13, $14, $15::pg_catalog.name, $16, $17,
                 $18::pg_catalog.name, $19, $20::pg_catalog.name, $21::pg_catalog.name,
                 $22::pg_catalog.name)",
        &[
            table.into(),
            kind.into(),
            protection.root().into(),
            id.into(),
            columns.and_then(|t| t.department.as_deref()).into(),
            columns.and_then(|t| t.category.as_deref()).into(),
            columns.and_then(|t| t.assignee.as_deref()).into(),
            columns.and_then(|t| t.team.as_deref()).into(),
            columns.and_then(|t| t.unassigned_value).into(),
            followers.map(|f| f.oid).into(),
            followers.map(|f| f.ticket.as_str()).into(),
            followers.map(|f| f.agent.as_str()).into(),
            class.row_security.into(),
            class.forced.into(),
            status.map(|s| s.name.as_str()).into(),
            status.map(|s| s.archived.clone()).into(),
            status.map(|s| s.spam.clone()).into(),
            columns.and_then(|t| t.confidential.as_deref()).into(),
            messages.map(|m| m.parent.oid()).into(),
            messages.map(|m| m.column.as_str()).into(),
            messages.and_then(|m| m.author.as_deref()).into(),
            shared.and_then(|s| s.owner.as_deref()).into(),
        ],
    )
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
