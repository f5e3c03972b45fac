//! Writes the registry, deskguard.protected_table, as its owner.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use super::policies::Protection;
use crate::catalog::own_table;
use crate::owner_sql::RunAsOwner;
use crate::protected::{FEATURE, FOLLOWERS, MESSAGES, SHARED, TICKETS};

/// A registered table with its flags of row-level security from before.
pub struct Registered {
    pub oid: pg_sys::Oid,
    pub had_row_security: bool,
    pub had_force: bool,
}

/// A table and those registered as its partitions or children.
pub fn registered_with(root: pg_sys::Oid) -> Result<Vec<Registered>, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Spi::connect(|client| {
        let mut tables = Vec::new();
        for row in client.select(
            "SELECT table_id::pg_catalog.oid, had_row_security, had_force_row_security
             FROM deskguard.protected_table
             WHERE root::pg_catalog.oid OPERATOR(pg_catalog.=) $1
                OR table_id::pg_catalog.oid OPERATOR(pg_catalog.=) $1
             ORDER BY table_id::pg_catalog.oid OPERATOR(pg_catalog.<>) $1, table_id::pg_catalog.oid",
            None,
            &[root.into()],
        )? {
            if let Some(oid) = row.get(1)? {
                tables.push(Registered {
                    oid,
                    had_row_security: row.get(2)?.unwrap_or_default(),
                    had_force: row.get(3)?.unwrap_or_default(),
                });
            }
        }
        Ok(tables)
    })
}

/// The message tables whose rows belong to this table's.
pub fn children_of(parent: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT table_id::pg_catalog.oid FROM deskguard.protected_table
             WHERE parent_table::pg_catalog.oid OPERATOR(pg_catalog.=) $1
             ORDER BY table_id::pg_catalog.oid",
            None,
            &[parent.into()],
        )?;
        rows.filter_map(|row| row.get(1).transpose()).collect()
    })
}

pub fn forget(tables: &[Registered]) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    for table in tables {
        Spi::run_with_args(
            "DELETE FROM deskguard.protected_table
             WHERE table_id::pg_catalog.oid OPERATOR(pg_catalog.=) $1",
            &[table.oid.into()],
        )?;
    }
    Ok(())
}

pub fn register(protection: &Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
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
        "INSERT INTO deskguard.protected_table
         SELECT c.oid, $2, $3, $4::pg_catalog.name, $5::pg_catalog.name, $6::pg_catalog.name,
                $7::pg_catalog.name, $8::pg_catalog.name, $9, $10, $11::pg_catalog.name,
                $12::pg_catalog.name, c.relrowsecurity, c.relforcerowsecurity, $13::pg_catalog.name,
                $14, $15, $16::pg_catalog.name, $17, $18::pg_catalog.name, $19::pg_catalog.name,
                $20::pg_catalog.name
         FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
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

/// The permissions that the rows of a table need: command and permission.
pub fn features_of(table: pg_sys::Oid) -> Result<Vec<(String, String)>, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_feature"));
    Spi::connect(|client| {
        let mut features = Vec::new();
        for row in client.select(
            "SELECT command, permission FROM deskguard.protected_feature
             WHERE table_id::pg_catalog.oid OPERATOR(pg_catalog.=) $1
             ORDER BY command COLLATE pg_catalog.\"C\", permission COLLATE pg_catalog.\"C\"",
            None,
            &[table.into()],
        )? {
            features.extend(row.get(1)?.zip(row.get(2)?));
        }
        Ok(features)
    })
}

pub fn add_feature(table: pg_sys::Oid, command: &str, permission: &str) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_feature"));
    Spi::run_with_args(
        "INSERT INTO deskguard.protected_feature (table_id, command, permission)
         VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        &[table.into(), command.into(), permission.into()],
    )
}

pub fn forget_features(table: pg_sys::Oid) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_feature"));
    Spi::run_with_args(
        "DELETE FROM deskguard.protected_feature
         WHERE table_id::pg_catalog.oid OPERATOR(pg_catalog.=) $1",
        &[table.into()],
    )
}
