//! Where PostgreSQL's major versions differ.

use pgrx::pg_sys;

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
