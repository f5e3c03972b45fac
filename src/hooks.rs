//! What PostgreSQL calls while it plans and runs statements, and when transactions end.
//!
//! A hook calls those below it, and PostgreSQL itself, as they are: an ERROR from there jumps over it, with
//! all that the error has to say. So a hook must hold nothing that would have to be dropped, and what it
//! noted is taken back in [`statement::forget_from`]. Its own work is done before and after, within a guard.
#![allow(ffi_unwind_calls)] // Each is in a frame that holds nothing.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};

use pgrx::pg_sys;
use pgrx::pg_sys::panic::pgrx_extern_c_guard as guard;

use crate::kinds::tickets::written_rows;
use crate::mirrors::{journal, keep};
use crate::pg::compat::{self, Run, executor_run_hook};
use crate::pg::memory::{self, Watch};
use crate::pg::ordered_scans::OrderedTable;
use crate::pg::planned_table::PlannedTable;
use crate::pg::planner::{PlanItems, Root, items_of_plan};
use crate::pg::statistics;
use crate::plan::{ordered_merge, search};
use crate::protect::commands;
use crate::protection::{error_detail, exposed, whole};
use crate::rights::marks::{self, Asked};
use crate::rights::{own_query, session, statement};
use crate::rows::followed;

thread_local! {
    static NEXT_ANALYZE: Cell<pg_sys::post_parse_analyze_hook_type> = const { Cell::new(None) };
    static NEXT_PLANNER: Cell<pg_sys::planner_hook_type> = const { Cell::new(None) };
    static NEXT_PATHS: Cell<pg_sys::set_rel_pathlist_hook_type> = const { Cell::new(None) };
    static NEXT_STATISTICS: Cell<pg_sys::get_relation_stats_hook_type> = const { Cell::new(None) };
    static NEXT_INDEX_STATISTICS: Cell<pg_sys::get_index_stats_hook_type> =
        const { Cell::new(None) };
    static NEXT_START: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    static NEXT_RUN: Cell<pg_sys::ExecutorRun_hook_type> = const { Cell::new(None) };
    static NEXT_FINISH: Cell<pg_sys::ExecutorFinish_hook_type> = const { Cell::new(None) };
}

// Not pgrx's, which make panics of errors, and so lose their context, constraint and so on.
unsafe extern "C-unwind" {
    fn standard_planner(
        query: *mut pg_sys::Query,
        text: *const c_char,
        options: c_int,
        parameters: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt;
    fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
    fn standard_ExecutorFinish(query: *mut pg_sys::QueryDesc);
}

pub fn install() {
    memory::prepare();
    // SAFETY: while the library is loaded, once.
    unsafe {
        NEXT_ANALYZE.set(pg_sys::post_parse_analyze_hook);
        pg_sys::post_parse_analyze_hook = Some(post_parse_analyze);
        NEXT_PLANNER.set(pg_sys::planner_hook);
        pg_sys::planner_hook = Some(planner);
        NEXT_PATHS.set(pg_sys::set_rel_pathlist_hook);
        pg_sys::set_rel_pathlist_hook = Some(set_rel_pathlist);
        NEXT_STATISTICS.set(pg_sys::get_relation_stats_hook);
        pg_sys::get_relation_stats_hook = Some(get_relation_stats);
        NEXT_INDEX_STATISTICS.set(pg_sys::get_index_stats_hook);
        pg_sys::get_index_stats_hook = Some(get_index_stats);
        NEXT_START.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(executor_start);
        NEXT_RUN.set(pg_sys::ExecutorRun_hook);
        pg_sys::ExecutorRun_hook = Some(executor_run);
        NEXT_FINISH.set(pg_sys::ExecutorFinish_hook);
        pg_sys::ExecutorFinish_hook = Some(executor_finish);
        compat::install_hooks();
        pg_sys::RegisterXactCallback(Some(transaction_ends), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction_ends), std::ptr::null_mut());
    }
}

/// # Safety
/// Called as PostgreSQL calls the hook.
unsafe extern "C-unwind" fn post_parse_analyze(
    state: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jumble: *mut pg_sys::JumbleState,
) {
    // SAFETY: the arguments are PostgreSQL's.
    unsafe {
        guard(|| own_query::before_rewrite((*state).p_sourcetext));
        if let Some(next) = NEXT_ANALYZE.get() {
            next(state, query, jumble);
        }
    }
}

/// # Safety
/// Called as PostgreSQL calls the hook.
unsafe extern "C-unwind" fn planner(
    query: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    // SAFETY: the arguments are PostgreSQL's.
    unsafe {
        let mut watch = Watch::default();
        memory::watch(&mut watch);
        let (depth, asks) = guard(|| {
            let asks = written_rows::prepare(query);
            (statement::before_planning(text), asks)
        });
        let plan = match NEXT_PLANNER.get() {
            Some(next) => next(query, text, options, parameters),
            None => standard_planner(query, text, options, parameters),
        };
        guard(|| {
            if asks {
                marks::ask(PlanItems::of(&raw mut (*plan).invalItems), Asked::Rules);
            }
            statement::after_planning(depth, plan);
            exposed::refuse_exposed(&*plan);
        });
        memory::unwatch(&watch);
        plan
    }
}

/// # Safety
/// Called as PostgreSQL calls the hook.
unsafe extern "C-unwind" fn set_rel_pathlist(
    root: *mut pg_sys::PlannerInfo,
    relation: *mut pg_sys::RelOptInfo,
    index: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    // SAFETY: the arguments are PostgreSQL's.
    unsafe {
        guard(|| {
            let table = Root::new(root);
            let table = table.and_then(|root| PlannedTable::new(root, relation, entry));
            if let Some(table) = table {
                search::plan(table);
                // Of the ways that search has found.
                if let Some(table) = OrderedTable::of(table) {
                    ordered_merge::plan(table);
                }
            }
        });
        if let Some(next) = NEXT_PATHS.get() {
            next(root, relation, index, entry);
        }
    }
}

/// # Safety
/// Called as PostgreSQL calls the hook.
unsafe extern "C-unwind" fn get_relation_stats(
    root: *mut pg_sys::PlannerInfo,
    entry: *mut pg_sys::RangeTblEntry,
    column: pg_sys::AttrNumber,
    found: *mut pg_sys::VariableStatData,
) -> bool {
    // SAFETY: the arguments are PostgreSQL's.
    unsafe {
        if statistics::is_estimated(root) && (*entry).rtekind == pg_sys::RTEKind::RTE_RELATION {
            guard(|| statistics::give((*entry).relid, column, (*entry).inh, found));
            return true;
        }
        match NEXT_STATISTICS.get() {
            Some(next) => next(root, entry, column, found),
            None => false,
        }
    }
}

/// # Safety
/// Called as PostgreSQL calls the hook.
unsafe extern "C-unwind" fn get_index_stats(
    root: *mut pg_sys::PlannerInfo,
    index: pg_sys::Oid,
    column: pg_sys::AttrNumber,
    found: *mut pg_sys::VariableStatData,
) -> bool {
    // SAFETY: the arguments are PostgreSQL's.
    unsafe {
        if statistics::is_estimated(root) {
            guard(|| statistics::give(index, column, false, found));
            return true;
        }
        match NEXT_INDEX_STATISTICS.get() {
            Some(next) => next(root, index, column, found),
            None => false,
        }
    }
}

/// # Safety
/// Called as PostgreSQL calls the hook.
unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: the arguments are PostgreSQL's.
    unsafe {
        let mut watch = Watch::default();
        memory::watch(&mut watch);
        let depth = guard(|| {
            let started = statement::before_start(query, flags);
            if let Some((statement, asked)) = &started.statement {
                followed::load(statement, asked);
            }
            let items = items_of_plan((*(*query).plannedstmt).invalItems);
            search::check_parameters(&items, (*query).params);
            started.depth
        });
        match NEXT_START.get() {
            Some(next) => next(query, flags),
            None => standard_ExecutorStart(query, flags),
        };
        guard(|| statement::after_start(query, depth));
        memory::unwatch(&watch);
    }
}

executor_run_hook!(executor_run, run);

/// # Safety
/// In the hook, with its arguments.
unsafe fn run(run: Run) {
    // SAFETY: the arguments are PostgreSQL's.
    unsafe {
        let mut watch = Watch::default();
        memory::watch(&mut watch);
        let (entered, is_cut) = guard(|| before_run(run.query));
        let next = NEXT_RUN.get();
        if is_cut {
            error_detail::without_detail(|| run.run(next));
        } else {
            run.run(next);
        }
        guard(|| statement::after_run(entered));
        memory::unwatch(&watch);
    }
}

/// Also: is the DETAIL of an error to be cut off?
///
/// # Safety
/// The executor is about to run the query.
unsafe fn before_run(query: *mut pg_sys::QueryDesc) -> (statement::Entered, bool) {
    // SAFETY: as the caller promises.
    unsafe {
        (
            statement::before_run(query),
            error_detail::may_show_hidden_row(query),
        )
    }
}

/// What nobody reads of a writable WITH runs here, and the AFTER triggers.
///
/// # Safety
/// Called as PostgreSQL calls the hook.
unsafe extern "C-unwind" fn executor_finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the arguments are PostgreSQL's.
    unsafe {
        let mut watch = Watch::default();
        memory::watch(&mut watch);
        let entered = guard(|| statement::before_finish(query));
        match NEXT_FINISH.get() {
            Some(next) => next(query),
            None => standard_ExecutorFinish(query),
        }
        guard(|| statement::after_run(entered));
        memory::unwatch(&watch);
    }
}

extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _: *mut c_void) {
    use pg_sys::XactEvent::*;
    // SAFETY: PostgreSQL calls it, and it holds nothing outside of the guard.
    unsafe {
        guard(|| match event {
            XACT_EVENT_PRE_COMMIT => {
                session::warn_if_set_in_vain();
                keep::before_commit();
            }
            XACT_EVENT_PRE_PREPARE => keep::before_commit(),
            XACT_EVENT_COMMIT | XACT_EVENT_PREPARE => {
                journal::forget_from(0);
                statement::transaction_ended();
                memory::give_back();
            }
            XACT_EVENT_ABORT | XACT_EVENT_PARALLEL_ABORT => {
                session::forget_set();
                journal::forget_from(0);
                statement::forget_from(0);
                statement::transaction_ended();
                memory::give_back();
            }
            _ => {}
        });
    }
}

extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    _: pg_sys::SubTransactionId,
    _: pg_sys::SubTransactionId,
    _: *mut c_void,
) {
    use pg_sys::SubXactEvent::*;
    // SAFETY: PostgreSQL calls it, and it holds nothing outside of the guard.
    unsafe {
        guard(|| {
            let level = pg_sys::GetCurrentTransactionNestLevel();
            match event {
                SUBXACT_EVENT_ABORT_SUB => {
                    journal::forget_from(level);
                    statement::forget_from(level);
                }
                SUBXACT_EVENT_COMMIT_SUB => journal::subtransaction_committed(level),
                _ => {}
            }
        });
    }
}

/// Hears of changes of tables.
pub fn register_callbacks() {
    commands::register_hook();
    // SAFETY: the callbacks only set thread-locals and flags of the plan cache.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), 0.into());
        // A schema was renamed, of which its tables are not told.
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as c_int,
            Some(schema_changed),
            0.into(),
        );
    }
}

extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    // SAFETY: PostgreSQL calls it, and it holds nothing outside of the guard.
    unsafe {
        guard(|| {
            exposed::relation_changed(relation);
            whole::relation_changed(relation);
        });
    }
}

extern "C-unwind" fn schema_changed(_arg: pg_sys::Datum, _cache: c_int, _hash: u32) {
    // SAFETY: PostgreSQL calls it, and it holds nothing outside of the guard.
    unsafe {
        guard(|| {
            exposed::forget_all();
            whole::forget_all();
        });
    }
}
