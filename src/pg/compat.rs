//! Where PostgreSQL's major versions differ: the only file with cfgs for them. Each names the commit of
//! PostgreSQL that made the difference.
//!
//! 19 will need more: `planner_hook` gets an `ExplainState` (commit c83ac02ec73).

use std::ffi::c_char;

use pgrx::pg_sys;

use crate::pg::node::items;

/// Is the role the owner of the table, or a member of the owner?
pub fn owns_table(table: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the system cache.
    unsafe {
        // One function for all kinds of objects since 16 (commit afbfc02983f8).
        #[cfg(pg16_ge)]
        return pg_sys::object_ownercheck(pg_sys::RelationRelationId, table, role);
        #[cfg(not(pg16_ge))]
        return pg_sys::pg_class_ownercheck(table, role);
    }
}

/// What has the privileges that a plan needs, and as whom: since 16 a list of its own, before that the range
/// table (commit a61b1f74823c).
#[cfg(pg16_ge)]
type Permissions = pg_sys::RTEPermissionInfo;
#[cfg(not(pg16_ge))]
type Permissions = pg_sys::RangeTblEntry;

/// Lets a plan run without looking at the user's privileges on a table.
///
/// # Safety
/// A plan that nobody else has.
pub unsafe fn need_no_privileges(plan: &mut pg_sys::PlannedStmt, table: pg_sys::Oid) {
    #[cfg(pg16_ge)]
    let all = plan.permInfos;
    #[cfg(not(pg16_ge))]
    let all = plan.rtable;
    // SAFETY: the list is the plan's, and has such entries.
    unsafe {
        for entry in items::<Permissions>(all) {
            if (**entry).relid == table {
                (**entry).requiredPerms = 0;
            }
        }
    }
}

/// The privileges that are needed on a table of a plan; none for the partitions that the planner finds.
///
/// # Safety
/// The entry is in the range table of the plan.
pub unsafe fn permissions<'a>(
    plan: &'a pg_sys::PlannedStmt,
    entry: &'a pg_sys::RangeTblEntry,
) -> Option<&'a Permissions> {
    // SAFETY: the list is the plan's, and has such entries.
    #[cfg(pg16_ge)]
    return unsafe {
        let number = (entry.perminfoindex as usize).wrapping_sub(1);
        items::<Permissions>(plan.permInfos)
            .get(number)
            .map(|info| &**info)
    };
    #[cfg(not(pg16_ge))]
    return {
        let _ = plan;
        Some(entry)
    };
}

/// Is the foreign key enforced? NOT ENFORCED came with 18 (commit eec0040c4b).
pub fn is_enforced(key: &pg_sys::ForeignKeyCacheInfo) -> bool {
    #[cfg(pg18_ge)]
    return key.conenforced;
    #[cfg(not(pg18_ge))]
    return {
        let _ = key;
        true
    };
}

/// The name in ALTER CONSTRAINT, which has a node of its own since 18 (commit 80d7f990).
///
/// # Safety
/// The definition of an `AT_AlterConstraint`.
pub unsafe fn altered_constraint(definition: *mut pg_sys::Node) -> *const c_char {
    #[cfg(pg18_ge)]
    type Altered = pg_sys::ATAlterConstraint;
    #[cfg(not(pg18_ge))]
    type Altered = pg_sys::Constraint;
    // SAFETY: as the caller promises, it is of this type.
    unsafe { (*definition.cast::<Altered>()).conname }
}

/// A condition on the tables with these numbers, as the planner notes it: 16 knows outer joins in another way (commit
/// 2489d76c4906).
///
/// # Safety
/// While the query is planned, with a boolean expression of it.
pub unsafe fn restriction(
    root: *mut pg_sys::PlannerInfo,
    clause: *mut pg_sys::Node,
    security_level: pg_sys::Index,
    tables: pg_sys::Relids,
) -> *mut pg_sys::RestrictInfo {
    use std::ptr::null_mut;
    // SAFETY: as the caller promises.
    unsafe {
        #[cfg(pg16_ge)]
        return pg_sys::make_restrictinfo(
            root,
            clause.cast(),
            true,
            false,
            false,
            false,
            security_level,
            tables,
            null_mut(),
            null_mut(),
        );
        #[cfg(not(pg16_ge))]
        return pg_sys::make_restrictinfo(
            root,
            clause.cast(),
            true,
            false,
            false,
            security_level,
            tables,
            null_mut(),
            null_mut(),
        );
    }
}

// Not pgrx's, which makes panics of errors; see hooks.rs.
unsafe extern "C-unwind" {
    fn standard_ExecutorRun(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
        #[cfg(not(pg18_ge))] once: bool,
    );
}

/// The arguments of ExecutorRun: 18 took `execute_once` away (commit 3eea7a0c97e9).
#[derive(Clone, Copy)]
pub struct Run {
    pub query: *mut pg_sys::QueryDesc,
    pub direction: pg_sys::ScanDirection::Type,
    pub count: u64,
    #[cfg(not(pg18_ge))]
    pub once: bool,
}

impl Run {
    /// Runs the query by the next hook, if there is one.
    ///
    /// # Safety
    /// In a hook of ExecutorRun, with its arguments. An error jumps: the caller holds nothing.
    #[allow(ffi_unwind_calls)] // This holds nothing either.
    pub unsafe fn run(self, next: pg_sys::ExecutorRun_hook_type) {
        let next = next.unwrap_or(standard_ExecutorRun);
        // SAFETY: as the caller promises.
        unsafe {
            next(
                self.query,
                self.direction,
                self.count,
                #[cfg(not(pg18_ge))]
                self.once,
            );
        }
    }
}

/// A hook of ExecutorRun that calls the function with a [`Run`].
macro_rules! executor_run_hook {
    ($hook:ident, $function:path) => {
        /// # Safety
        /// Called as PostgreSQL calls the hook.
        unsafe extern "C-unwind" fn $hook(
            query: *mut pg_sys::QueryDesc,
            direction: pg_sys::ScanDirection::Type,
            count: u64,
            #[cfg(not(pg18_ge))] once: bool,
        ) {
            let run = $crate::pg::compat::Run {
                query,
                direction,
                count,
                #[cfg(not(pg18_ge))]
                once,
            };
            // SAFETY: the arguments are those of the hook.
            unsafe { $function(run) }
        }
    };
}
pub(crate) use executor_run_hook;

/// Installs the hooks that only some majors need.
///
/// # Safety
/// While the library is loaded, once.
pub unsafe fn install_hooks() {
    #[cfg(not(pg17_ge))]
    // SAFETY: as the caller promises.
    unsafe {
        contradictions::install();
    }
}

/// Up to 16, `relation_excluded_by_constraints` sees that a table has no rows to give if its only condition is
/// false, and not if one of several is, as a rule may be. 17 looks at all of them.
#[cfg(not(pg17_ge))]
mod contradictions {
    use std::cell::Cell;

    use pgrx::pg_sys;
    use pgrx::pg_sys::panic::pgrx_extern_c_guard as guard;

    use crate::pg::node::{Node, items};

    thread_local! {
        static NEXT: Cell<pg_sys::set_rel_pathlist_hook_type> = const { Cell::new(None) };
    }

    /// # Safety
    /// While the library is loaded, once.
    pub unsafe fn install() {
        // SAFETY: while the library is loaded, nobody else sets the hook.
        unsafe {
            NEXT.set(pg_sys::set_rel_pathlist_hook);
            pg_sys::set_rel_pathlist_hook = Some(see_contradictions);
        }
    }

    /// # Safety
    /// Called as PostgreSQL calls the hook.
    #[allow(ffi_unwind_calls)] // It holds nothing.
    unsafe extern "C-unwind" fn see_contradictions(
        root: *mut pg_sys::PlannerInfo,
        relation: *mut pg_sys::RelOptInfo,
        index: pg_sys::Index,
        entry: *mut pg_sys::RangeTblEntry,
    ) {
        // SAFETY: the planner's own data; what restricts a table is a list of such conditions.
        unsafe {
            guard(|| {
                let conditions = items::<pg_sys::RestrictInfo>((*relation).baserestrictinfo);
                let clause = |of: &*mut pg_sys::RestrictInfo| Node::new((**of).clause.cast());
                if conditions
                    .iter()
                    .filter_map(clause)
                    .any(|clause| clause.is_constant(false))
                {
                    pg_sys::mark_dummy_rel(relation);
                }
            });
            if let Some(next) = NEXT.get() {
                next(root, relation, index, entry);
            }
        }
    }
}
