//! Where PostgreSQL's major versions differ.

use std::cell::Cell;

use pgrx::pg_sys;
use pgrx::prelude::*;

#[cfg(not(feature = "pg18"))]
use crate::expression::is_constant;
use crate::plan_mark::run;

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

thread_local! {
    static NEXT_RUN: Cell<pg_sys::ExecutorRun_hook_type> = const { Cell::new(None) };
}

/// # Safety
/// The library stays loaded.
pub unsafe fn register_hooks() {
    unsafe {
        NEXT_RUN.set(pg_sys::ExecutorRun_hook);
        pg_sys::ExecutorRun_hook = Some(executor_run);
        #[cfg(not(feature = "pg18"))]
        {
            NEXT_PATHS.set(pg_sys::set_rel_pathlist_hook);
            pg_sys::set_rel_pathlist_hook = Some(see_contradictions);
        }
    }
}

#[cfg(not(feature = "pg18"))]
thread_local! {
    static NEXT_PATHS: Cell<pg_sys::set_rel_pathlist_hook_type> = const { Cell::new(None) };
}

/// Before 17, PostgreSQL does not see that a table has no rows to give if one of several conditions
/// is false, as a rule may be.
#[cfg(not(feature = "pg18"))]
#[pg_guard]
unsafe extern "C-unwind" fn see_contradictions(
    root: *mut pg_sys::PlannerInfo,
    relation: *mut pg_sys::RelOptInfo,
    index: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: called by the planner, with the paths of a relation.
    unsafe {
        let conditions = (*relation).baserestrictinfo;
        let has_false = (0..pg_sys::list_length(conditions)).any(|n| {
            let condition = &*pg_sys::list_nth(conditions, n).cast::<pg_sys::RestrictInfo>();
            is_constant(condition.clause.cast(), false)
        });
        if has_false {
            pg_sys::mark_dummy_rel(relation);
        }
        if let Some(next) = NEXT_PATHS.get() {
            next(root, relation, index, entry);
        }
    }
}

#[cfg(not(feature = "pg18"))]
#[pg_guard]
unsafe extern "C-unwind" fn executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    // SAFETY: called by the executor.
    unsafe {
        run(query, || match NEXT_RUN.get() {
            Some(next) => next(query, direction, count, once),
            None => pg_sys::standard_ExecutorRun(query, direction, count, once),
        })
    }
}

#[cfg(feature = "pg18")]
#[pg_guard]
unsafe extern "C-unwind" fn executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: called by the executor.
    unsafe {
        run(query, || match NEXT_RUN.get() {
            Some(next) => next(query, direction, count),
            None => pg_sys::standard_ExecutorRun(query, direction, count),
        })
    }
}
