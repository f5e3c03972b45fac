//! The registry of protected tables, deskguard.protected_table, read as of now.

use pgrx::pg_sys;

use crate::pg::scan::ScanKey;
use crate::tables::catalog::Catalog;
use crate::tables::columns::{protected_feature, protected_table};

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

/// How a table is protected.
pub fn kind_of(catalog: &Catalog, oid: pg_sys::Oid) -> Option<String> {
    catalog.find(
        c"protected_table",
        c"protected_table_pkey",
        &[ScanKey::oid(protected_table::TABLE_ID, oid)],
        |row| row.required(protected_table::KIND),
    )
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
