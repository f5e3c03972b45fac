//! When mirrors are refreshed: at the end of the transaction that changed something below their sources, or when somebody
//! asks a rule before.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::mirrors::below::below;
use crate::mirrors::journal;
use crate::mirrors::refresh::{Wanted, refresh};
use crate::mirrors::registry::{Mirror, find, mirrors};
use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::compat::owns_table;
use crate::pg::error;
use crate::pg::restore::is_restoring;
use crate::signals::generation;
use crate::tables::catalog::own_table;
use crate::tables::trigger_call::{Form, TriggerCall};

thread_local! {
    static IS_REFRESHING: Cell<bool> = const { Cell::new(false) };
}

/// While it lives, mirrors are being refreshed. An error that unwinds ends it, too.
struct Refreshing(());

impl Refreshing {
    fn begin() -> Option<Refreshing> {
        (!IS_REFRESHING.replace(true)).then_some(Refreshing(()))
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        IS_REFRESHING.set(false);
    }
}

version_1!(mirror_changed);

/// Trigger on a table below the source of a mirror, whose number is its argument.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn mirror_changed(fcinfo: CallInfo) -> pg_sys::Datum {
    let call = TriggerCall::new(
        fcinfo,
        "mirror_changed",
        &[
            Form::AFTER_INSERT,
            Form::AFTER_UPDATE,
            Form::AFTER_DELETE,
            Form::AFTER_TRUNCATE,
        ],
        "deskguard.mirror() makes the triggers; make none with this function.",
    );
    if let Some(id) = call.argument().and_then(number) {
        // The first change of a transaction is looked at.
        if !journal::is_behind(id) {
            look_at(id, call.relation().rd_id);
        }
    }
    pg_sys::Datum::null()
}

fn number(text: &CStr) -> Option<i64> {
    text.to_str().ok()?.parse().ok()
}

/// A trigger that somebody has made on another table refreshes nothing.
fn look_at(id: i64, table: pg_sys::Oid) {
    if is_restored() {
        return;
    }
    if find(id).is_some_and(|mirror| below(mirror.source).has_table(table)) {
        changed(id);
    }
}

/// Something below the source of a mirror has changed.
pub fn changed(id: i64) {
    journal::changed(id);
    // Plans that are kept are made anew, which asks the rules, and so refreshes first.
    generation::drop_all_plans();
}

/// Does the user restore a dump, which has the rows of mirrors as well as those of their sources?
pub fn is_restored() -> bool {
    // SAFETY: reads the backend's state.
    is_restoring() && owns_table(own_table(c"mirror"), unsafe { pg_sys::GetOuterUserId() })
}

/// Somebody is about to ask for rights: those that follow from what this transaction has done.
pub fn bring_up_to_date() {
    if journal::is_any_behind() {
        refresh_behind();
    }
}

/// A plan will run in parallel, where nothing can be written.
///
/// # Safety
/// A plan, or null.
pub unsafe fn before_plan(plan: *mut pg_sys::PlannedStmt) {
    // SAFETY: as the caller promises.
    let plan = unsafe { plan.as_ref() };
    if journal::is_any_behind() && plan.is_some_and(|plan| plan.parallelModeNeeded) {
        refresh_behind();
    }
}

fn refresh_behind() {
    // SAFETY: reads the state of the transaction.
    let is_parallel = unsafe { pg_sys::IsInParallelMode() };
    if is_parallel {
        return;
    }
    let Some(_refreshing) = Refreshing::begin() else {
        return;
    };
    // What a refresh changes may put others behind, but not for ever.
    const MOST: usize = 10_000;
    for _ in 0..MOST {
        let all = mirrors();
        let Some(next) = all.iter().find(|mirror| journal::is_behind(mirror.id)) else {
            // Those that are no more.
            journal::forget_from(0);
            return;
        };
        refresh_one(*next, Wanted::Source);
    }
    error::raise(
        PgSqlErrorCode::ERRCODE_STATEMENT_TOO_COMPLEX,
        "mirrors change each other without end",
        "Does a trigger on a table of deskguard change a table below a mirror?",
    )
}

fn refresh_one(mirror: Mirror, wanted: Wanted) {
    if let Err(problem) = refresh(mirror, wanted) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("could not refresh mirror {}: {problem}", mirror.id),
            "Please report this.",
        );
    }
}

/// Refreshes a mirror that is new, or all whose rows are to go.
pub fn refresh_now(mirror: Mirror, wanted: Wanted) {
    {
        let _refreshing = Refreshing::begin();
        refresh_one(mirror, wanted);
    }
    bring_up_to_date();
}

/// The transaction is about to commit, or to be prepared. What has deferred its triggers until now is done here, as
/// PostgreSQL has just fired all that there were.
pub fn before_commit() {
    while journal::is_any_behind() {
        // SAFETY: outside of any query and portal, as PostgreSQL fires deferred triggers before this. After an error the
        // abort takes the snapshot off.
        unsafe {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            bring_up_to_date();
            pg_sys::PopActiveSnapshot();
            pg_sys::AfterTriggerFireDeferred();
        }
    }
}
