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
#[cfg(any(feature = "pg15", feature = "pg16"))]
use crate::pg::node::is_constant;
use crate::protect::foreign_key_checks;
use crate::protection::{error_detail, exposed, whole};
use crate::rights::marks::{self, Asked};
use crate::rights::statement;
use crate::rows::followed;

thread_local! {
    static NEXT_ANALYZE: Cell<pg_sys::post_parse_analyze_hook_type> = const { Cell::new(None) };
    static NEXT_PLANNER: Cell<pg_sys::planner_hook_type> = const { Cell::new(None) };
    static NEXT_START: Cell<pg_sys::ExecutorStart_hook_type> = const { Cell::new(None) };
    static NEXT_RUN: Cell<pg_sys::ExecutorRun_hook_type> = const { Cell::new(None) };
    static NEXT_FINISH: Cell<pg_sys::ExecutorFinish_hook_type> = const { Cell::new(None) };
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    static NEXT_PATHS: Cell<pg_sys::set_rel_pathlist_hook_type> = const { Cell::new(None) };
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
    #[cfg(not(feature = "pg18"))]
    fn standard_ExecutorRun(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
        once: bool,
    );
    #[cfg(feature = "pg18")]
    fn standard_ExecutorRun(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
    );
    fn standard_ExecutorFinish(query: *mut pg_sys::QueryDesc);
}

pub fn install() {
    // SAFETY: while the library is loaded, once.
    unsafe {
        NEXT_ANALYZE.set(pg_sys::post_parse_analyze_hook);
        pg_sys::post_parse_analyze_hook = Some(post_parse_analyze);
        NEXT_PLANNER.set(pg_sys::planner_hook);
        pg_sys::planner_hook = Some(planner);
        NEXT_START.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(executor_start);
        NEXT_RUN.set(pg_sys::ExecutorRun_hook);
        pg_sys::ExecutorRun_hook = Some(executor_run);
        NEXT_FINISH.set(pg_sys::ExecutorFinish_hook);
        pg_sys::ExecutorFinish_hook = Some(executor_finish);
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        {
            NEXT_PATHS.set(pg_sys::set_rel_pathlist_hook);
            pg_sys::set_rel_pathlist_hook = Some(see_contradictions);
        }
        pg_sys::RegisterXactCallback(Some(transaction_ends), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(subtransaction_ends), std::ptr::null_mut());
    }
}

unsafe extern "C-unwind" fn post_parse_analyze(
    state: *mut pg_sys::ParseState,
    query: *mut pg_sys::Query,
    jumble: *mut pg_sys::JumbleState,
) {
    unsafe {
        guard(|| statement::before_rewrite((*state).p_sourcetext));
        if let Some(next) = NEXT_ANALYZE.get() {
            next(state, query, jumble);
        }
    }
}

unsafe extern "C-unwind" fn planner(
    query: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    parameters: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    unsafe {
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
                marks::ask(&mut (*plan).invalItems, Asked::Rules);
            }
            statement::after_planning(depth, plan);
            exposed::refuse_exposed(&*plan);
        });
        plan
    }
}

unsafe extern "C-unwind" fn executor_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    unsafe {
        let depth = guard(|| {
            let started = statement::before_start(query, flags);
            if let Some((statement, asked)) = &started.statement {
                followed::load(statement, asked);
            }
            started.depth
        });
        match NEXT_START.get() {
            Some(next) => next(query, flags),
            None => standard_ExecutorStart(query, flags),
        };
        guard(|| statement::after_start(query, depth));
    }
}

#[cfg(not(feature = "pg18"))]
unsafe extern "C-unwind" fn executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    once: bool,
) {
    unsafe {
        let (entered, is_cut) = guard(|| before_run(query));
        let run = || match NEXT_RUN.get() {
            Some(next) => next(query, direction, count, once),
            None => standard_ExecutorRun(query, direction, count, once),
        };
        if is_cut {
            error_detail::without_detail(run);
        } else {
            run();
        }
        guard(|| statement::after_run(entered));
    }
}

#[cfg(feature = "pg18")]
unsafe extern "C-unwind" fn executor_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    unsafe {
        let (entered, is_cut) = guard(|| before_run(query));
        let run = || match NEXT_RUN.get() {
            Some(next) => next(query, direction, count),
            None => standard_ExecutorRun(query, direction, count),
        };
        if is_cut {
            error_detail::without_detail(run);
        } else {
            run();
        }
        guard(|| statement::after_run(entered));
    }
}

/// Also: is the DETAIL of an error to be cut off?
unsafe fn before_run(query: *mut pg_sys::QueryDesc) -> (statement::Entered, bool) {
    unsafe {
        (
            statement::before_run(query),
            error_detail::may_show_hidden_row(query),
        )
    }
}

/// What nobody reads of a writable WITH runs here.
unsafe extern "C-unwind" fn executor_finish(query: *mut pg_sys::QueryDesc) {
    unsafe {
        let entered = guard(|| statement::before_run(query));
        match NEXT_FINISH.get() {
            Some(next) => next(query),
            None => standard_ExecutorFinish(query),
        }
        guard(|| statement::after_run(entered));
    }
}

/// Before 17, PostgreSQL does not see that a table has no rows to give if one of several conditions
/// is false, as a rule may be.
#[cfg(any(feature = "pg15", feature = "pg16"))]
unsafe extern "C-unwind" fn see_contradictions(
    root: *mut pg_sys::PlannerInfo,
    relation: *mut pg_sys::RelOptInfo,
    index: pg_sys::Index,
    entry: *mut pg_sys::RangeTblEntry,
) {
    unsafe {
        guard(|| {
            let conditions = (*relation).baserestrictinfo;
            let has_false = (0..pg_sys::list_length(conditions)).any(|n| {
                let condition = &*pg_sys::list_nth(conditions, n).cast::<pg_sys::RestrictInfo>();
                is_constant(condition.clause.cast(), false)
            });
            if has_false {
                pg_sys::mark_dummy_rel(relation);
            }
        });
        if let Some(next) = NEXT_PATHS.get() {
            next(root, relation, index, entry);
        }
    }
}

unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_PARALLEL_ABORT};
    if [XACT_EVENT_ABORT, XACT_EVENT_PARALLEL_ABORT].contains(&event) {
        unsafe { guard(|| statement::forget_from(0)) };
    }
}

unsafe extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    _: pg_sys::SubTransactionId,
    _: pg_sys::SubTransactionId,
    _: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        unsafe { guard(|| statement::forget_from(pg_sys::GetCurrentTransactionNestLevel())) };
    }
}

/// Hears of changes of tables.
pub fn register_callbacks() {
    foreign_key_checks::register_hook();
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

unsafe extern "C-unwind" fn relation_changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    unsafe {
        guard(|| {
            exposed::relation_changed(relation);
            whole::relation_changed(relation);
        });
    }
}

unsafe extern "C-unwind" fn schema_changed(_arg: pg_sys::Datum, _cache: c_int, _hash: u32) {
    unsafe {
        guard(|| {
            exposed::forget_all();
            whole::forget_all();
        });
    }
}
