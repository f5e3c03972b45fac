//! Where PostgreSQL's major versions differ.

use pgrx::pg_sys;

use crate::pg::node::items;

/// Is the role the owner of the table, or a member of the owner?
pub fn owns_table(table: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the system cache.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_class_ownercheck(table, role);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::RelationRelationId, table, role);
    }
}

/// Lets a plan run without looking at the user's privileges on a table.
///
/// # Safety
/// A plan that nobody else has.
pub unsafe fn need_no_privileges(plan: &mut pg_sys::PlannedStmt, table: pg_sys::Oid) {
    unsafe {
        #[cfg(feature = "pg15")]
        let entries = items::<pg_sys::RangeTblEntry>(plan.rtable);
        #[cfg(not(feature = "pg15"))]
        let entries = items::<pg_sys::RTEPermissionInfo>(plan.permInfos);
        for entry in entries.iter().filter(|entry| (***entry).relid == table) {
            (**entry).requiredPerms = 0;
        }
    }
}
