//! The policies of a table, as PostgreSQL applies them.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::node::{Node, items};

/// A policy of a table, for the time that this is open and stays as it is.
#[derive(Clone, Copy)]
pub struct Policy<'r>(&'r pg_sys::RowSecurityPolicy);

/// None without row-level security.
///
/// # Safety
/// The relation is open and locked, and not changed by this session, for the lifetime.
pub unsafe fn policies(relation: &pg_sys::RelationData) -> Option<Vec<Policy<'_>>> {
    // SAFETY: a relation has its policies as such a list.
    unsafe {
        let all = relation.rd_rsdesc.as_ref()?;
        let policies = items::<pg_sys::RowSecurityPolicy>(all.policies).iter();
        Some(policies.map(|policy| Policy(&**policy)).collect())
    }
}

impl<'r> Policy<'r> {
    /// Empty for the one that PostgreSQL takes if there is none.
    pub fn name(self) -> &'r CStr {
        if self.0.policy_name.is_null() {
            return c"";
        }
        // SAFETY: a C string.
        unsafe { CStr::from_ptr(self.0.policy_name) }
    }

    /// As in pg_policy.polcmd.
    pub fn command(self) -> c_char {
        self.0.polcmd
    }

    pub fn is_permissive(self) -> bool {
        self.0.permissive
    }

    /// What USING says.
    pub fn using(self) -> Option<Node<'r>> {
        // SAFETY: an expression, or null.
        unsafe { Node::new(self.0.qual.cast()) }
    }

    /// What WITH CHECK says.
    pub fn with_check(self) -> Option<Node<'r>> {
        // SAFETY: an expression, or null.
        unsafe { Node::new(self.0.with_check_qual.cast()) }
    }

    /// Not only for some roles.
    pub fn is_for_everyone(self) -> bool {
        let roles = pg_sys::Datum::from(self.0.roles);
        // SAFETY: the roles of a policy are an array of OIDs, or null.
        let roles = unsafe { Vec::<pg_sys::Oid>::from_datum(roles, roles.is_null()) };
        // PUBLIC is role 0.
        roles.is_some_and(|roles| roles.contains(&pg_sys::InvalidOid))
    }
}
