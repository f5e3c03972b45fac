//! The policies of a protected table: those that close it, and the one that opens it.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::pg::relation::display_name;
use crate::pg::scan::{ScanKey, scan_system};
use crate::protection::features;
use crate::protection::kind::{Kind, Policy};
use crate::tables::catalog::Catalog;
use crate::tables::registry::{children_of, features_of};

/// The policy that opens a table, and those that close it again.
pub const BASE: &str = "deskguard_base";

pub const SILO: &str = "deskguard_silo";

pub const VIEW: &str = "deskguard_view";

pub const CREATE: &str = "deskguard_create";

pub const MODIFY: &str = "deskguard_modify";

pub const DELETE: &str = "deskguard_delete";

/// Is this the name of a policy that deskguard makes?
pub fn is_policy_name(name: &str) -> bool {
    [BASE, SILO, VIEW, CREATE, MODIFY, DELETE].contains(&name)
        || features::COMMANDS.iter().any(|(_, policy)| *policy == name)
}

pub mod pg_policy {
    pub const TABLE: u32 = 3256;
    pub const BY_OID: u32 = 3257;
    pub const BY_RELATION: u32 = 3258;
    pub const OID: i16 = 1;
    pub const NAME: i16 = 2;
    pub const RELATION: i16 = 3;
    pub const PERMISSIVE: i16 = 5;
    pub const USING: i16 = 7;
}

/// Has the owner a policy that opens the table, too?
pub fn has_own_permissive_policy(table: pg_sys::Oid) -> bool {
    let mut found = false;
    // SAFETY: a catalog with its index.
    unsafe {
        let keys = [ScanKey::oid(pg_policy::RELATION, table)];
        scan_system((pg_policy::TABLE, pg_policy::BY_RELATION), &keys, |row| {
            found |= row.required::<bool>(pg_policy::PERMISSIVE)
                && row.required::<&CStr>(pg_policy::NAME).to_bytes() != BASE.as_bytes();
        });
    }
    found
}

/// The table of a policy, and its name.
pub fn policy(oid: pg_sys::Oid) -> Option<(pg_sys::Oid, String)> {
    let mut found = None;
    // SAFETY: a catalog with its index.
    unsafe {
        let keys = [ScanKey::oid(pg_policy::OID, oid)];
        scan_system((pg_policy::TABLE, pg_policy::BY_OID), &keys, |row| {
            let name: &CStr = row.required(pg_policy::NAME);
            let name = name.to_string_lossy().into_owned();
            found = Some((row.required(pg_policy::RELATION), name));
        });
    }
    found
}

/// The commands that create the policies which close a table: name and command. `is_parent` as in
/// [`Kind::policies`].
pub fn rule_policies(
    catalog: &Catalog,
    kind: &dyn Kind,
    table: pg_sys::Oid,
    is_parent: bool,
) -> Vec<(&'static str, String)> {
    let on = display_name(table);
    let mut policies = kind.policies(table, is_parent);
    policies.extend(features::policies(&features_of(catalog, kind.root())));
    let create = |policy: Policy| {
        let sql = format!(
            "CREATE POLICY {} ON {on} AS RESTRICTIVE FOR {} {}",
            policy.name, policy.command, policy.expressions
        );
        (policy.name, sql)
    };
    policies.into_iter().map(create).collect()
}

/// Do rows of other tables belong to the rows of this table?
pub fn has_children(catalog: &Catalog, kind: &dyn Kind) -> bool {
    !children_of(catalog, kind.root()).is_empty()
}
