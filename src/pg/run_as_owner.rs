//! Acts as the owner of a table for a while.

use pgrx::pg_sys;

use crate::pg::relation::open;

/// While it lives, the current user is the owner of a table, for whom that table's policies do not
/// apply. SET ROLE is forbidden meanwhile.
pub struct RunAsOwner {
    user: pg_sys::Oid,
    context: std::ffi::c_int,
}

impl RunAsOwner {
    pub fn of(table: pg_sys::Oid) -> RunAsOwner {
        RunAsOwner::with(table, 0)
    }

    /// For a query of deskguard's own that only reads. What runs within it is code of others: as in REFRESH
    /// MATERIALIZED VIEW it acts for the owner, and not for whom the session says.
    pub fn to_read(table: pg_sys::Oid) -> RunAsOwner {
        RunAsOwner::with(table, pg_sys::SECURITY_RESTRICTED_OPERATION)
    }

    fn with(table: pg_sys::Oid, flags: u32) -> RunAsOwner {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: the relation is open; an error's abort restores user and context, else drop does.
        unsafe {
            let relation = open(table);
            let owner = (*relation.rd_rel).relowner;
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            let flags = flags | pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_NOFORCE_RLS;
            pg_sys::SetUserIdAndSecContext(owner, context | flags as std::ffi::c_int);
        }
        RunAsOwner { user, context }
    }
}

impl Drop for RunAsOwner {
    fn drop(&mut self) {
        // SAFETY: puts back what of() found.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) }
    }
}
