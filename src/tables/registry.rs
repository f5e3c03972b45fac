//! The registry of protected tables, read as of now: protected_table has what all kinds have, and each kind a table
//! of its own with how the columns of its tables map.

use std::collections::HashSet;
use std::ffi::CStr;

use deskguard_rules::TicketColumn;
use pgrx::pg_sys;

use crate::pg::scan::{Attribute, Row, ScanKey};
use crate::tables::catalog::Catalog;
use crate::tables::columns::{
    message_table, protected_feature, protected_table, shared_table, ticket_table,
};

/// What names columns of a protected table.
pub struct Mapping {
    /// A table of the registry, with an index of its column `of`.
    pub registry: &'static CStr,
    pub index: &'static CStr,
    /// The column with the protected table.
    pub of: (Attribute, &'static str),
    /// Those with the names of its columns.
    pub columns: &'static [(Attribute, &'static str)],
}

pub const MAPPINGS: [Mapping; 4] = [
    Mapping {
        registry: c"ticket_table",
        index: c"ticket_table_pkey",
        of: (ticket_table::TABLE_ID, "table_id"),
        columns: &[
            (ticket_table::ID_COLUMN, "id_column"),
            ticket_table::column(TicketColumn::ALL[0]),
            ticket_table::column(TicketColumn::ALL[1]),
            ticket_table::column(TicketColumn::ALL[2]),
            ticket_table::column(TicketColumn::ALL[3]),
            ticket_table::column(TicketColumn::ALL[4]),
            ticket_table::column(TicketColumn::ALL[5]),
            ticket_table::column(TicketColumn::ALL[6]),
            ticket_table::column(TicketColumn::ALL[7]),
        ],
    },
    Mapping {
        registry: c"ticket_table",
        index: c"ticket_table_follower_table_key",
        of: (ticket_table::FOLLOWER_TABLE, "follower_table"),
        columns: &[
            (
                ticket_table::FOLLOWER_TICKET_COLUMN,
                "follower_ticket_column",
            ),
            (ticket_table::FOLLOWER_AGENT_COLUMN, "follower_agent_column"),
            (ticket_table::FOLLOWER_KIND_COLUMN, "follower_kind_column"),
            (ticket_table::FOLLOWER_TYPE_COLUMN, "follower_type_column"),
        ],
    },
    Mapping {
        registry: c"message_table",
        index: c"message_table_pkey",
        of: (message_table::TABLE_ID, "table_id"),
        columns: &[
            (message_table::PARENT_COLUMN, "parent_column"),
            (message_table::ID_COLUMN, "id_column"),
            (message_table::AUTHOR_COLUMN, "author_column"),
            (message_table::INTERNAL_COLUMN, "internal_column"),
            (message_table::TYPE_COLUMN, "type_column"),
        ],
    },
    Mapping {
        registry: c"shared_table",
        index: c"shared_table_pkey",
        of: (shared_table::TABLE_ID, "table_id"),
        columns: &[
            (shared_table::ID_COLUMN, "id_column"),
            (shared_table::OWNER_COLUMN, "owner_column"),
        ],
    },
];

/// The name of a column that a row of the registry has.
pub fn column_name(row: &Row, attribute: Attribute) -> Option<String> {
    let name = row.get::<&CStr>(attribute)?;
    Some(name.to_string_lossy().into_owned())
}

/// How `protected_table.kind` calls them.
pub const TICKETS: &str = "tickets";

pub const FOLLOWERS: &str = "followers";

pub const MESSAGES: &str = "messages";

pub const SHARED: &str = "shared";

/// Protected by deskguard.protect_feature() only.
pub const FEATURE: &str = "feature";

/// The table that was given to be protected, for a table that is protected with it.
pub fn root_of(catalog: &Catalog, oid: pg_sys::Oid) -> Option<pg_sys::Oid> {
    catalog.find(
        c"protected_table",
        c"protected_table_pkey",
        &[ScanKey::oid(protected_table::TABLE_ID, oid)],
        |row| row.required(protected_table::ROOT),
    )
}

/// Is it in the registry? A look-up by SQL would not do where an error is at hand.
pub fn is_protected(table: pg_sys::Oid) -> bool {
    root_of(&Catalog::now(), table).is_some()
}

/// All tables of the registry, in one go.
pub fn protected_tables(catalog: &Catalog) -> HashSet<pg_sys::Oid> {
    let mut found = HashSet::new();
    catalog.scan(c"protected_table", None, &[], |row| {
        found.insert(row.required(protected_table::TABLE_ID));
    });
    found
}

/// How a table is protected.
pub fn kind_of(catalog: &Catalog, oid: pg_sys::Oid) -> Option<String> {
    catalog.find(
        c"protected_table",
        c"protected_table_pkey",
        &[ScanKey::oid(protected_table::TABLE_ID, oid)],
        |row| row.required(protected_table::KIND),
    )
}

/// The message tables whose rows belong to this table's, and by which of their columns.
pub fn children_of(catalog: &Catalog, parent: pg_sys::Oid) -> Vec<(pg_sys::Oid, String)> {
    let mut found = Vec::new();
    catalog.scan(
        c"message_table",
        Some(c"message_table_parent_table_idx"),
        &[ScanKey::oid(message_table::PARENT_TABLE, parent)],
        |row| {
            let column = column_name(row, message_table::PARENT_COLUMN);
            found.extend(column.map(|column| (row.required(message_table::TABLE_ID), column)));
        },
    );
    found.sort_unstable_by_key(|(table, _): &(pg_sys::Oid, String)| table.to_u32());
    found
}

/// The permissions that the rows of a table need: command and permission.
pub fn features_of(catalog: &Catalog, table: pg_sys::Oid) -> Vec<(String, String)> {
    let mut features = Vec::new();
    catalog.scan(
        c"protected_feature",
        Some(c"protected_feature_pkey"),
        &[ScanKey::oid(protected_feature::TABLE_ID, table)],
        |row| {
            features.push((
                row.required(protected_feature::COMMAND),
                row.required(protected_feature::PERMISSION),
            ));
        },
    );
    features.sort();
    features
}
