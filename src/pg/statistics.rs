//! Statistics that the planner does not let functions of conditions see while a table has policies.

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr;

use pgrx::pg_sys;

use crate::pg::planner::Root;

thread_local! {
    /// The query of which a condition is estimated with all statistics.
    static ESTIMATED: Cell<*mut pg_sys::PlannerInfo> = const { Cell::new(ptr::null_mut()) };
}

/// Calls `estimate`, for which statistics of the tables of this query are as if they had no policies; not for queries that
/// are planned meanwhile. Whatever the condition that is estimated calls may see every value of the statistics.
pub fn with_statistics<T>(root: Root, estimate: impl FnOnce() -> T) -> T {
    struct Restore(*mut pg_sys::PlannerInfo);
    impl Drop for Restore {
        fn drop(&mut self) {
            ESTIMATED.set(self.0);
        }
    }
    let _restore = Restore(ESTIMATED.replace(root.as_ptr()));
    estimate()
}

/// Is this query the one of which a condition is estimated so?
pub fn is_estimated(root: *mut pg_sys::PlannerInfo) -> bool {
    !root.is_null() && ESTIMATED.get() == root
}

/// Gives the planner the statistics of a column, or of an expression of an index.
///
/// # Safety
/// What the planner looks for.
pub unsafe fn give(
    relation: pg_sys::Oid,
    column: pg_sys::AttrNumber,
    with_children: bool,
    found: *mut pg_sys::VariableStatData,
) {
    // SAFETY: a look-up in the system cache; the planner releases the row.
    unsafe {
        (*found).statsTuple = pg_sys::SearchSysCache3(
            pg_sys::SysCacheIdentifier::STATRELATTINH as c_int,
            relation.into(),
            column.into(),
            with_children.into(),
        );
        (*found).freefunc = Some(release);
        (*found).acl_ok = true;
    }
}

/// # Safety
/// A row of the system cache.
unsafe extern "C-unwind" fn release(row: pg_sys::HeapTuple) {
    // SAFETY: as the caller promises.
    unsafe { pg_sys::ReleaseSysCache(row) };
}
