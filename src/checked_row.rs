//! The checks of rows that a command writes.
//!
//! PostgreSQL asks them by the policies' conditions, and too many of them: it applies the policies for
//! SELECT to a written row, too, if the command reads the table, as each UPDATE with a WHERE does. But
//! an agent may hand a ticket over to where it does not see it. What it may write is said by
//! create_ok, move_ok and silo_ok; whether it could see the row before the change was asked when the
//! row was found.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys;

use crate::catalog::own_function;
use crate::expression::items;

/// What becomes of a condition that is asked of a written row.
#[derive(Clone, Copy)]
enum OfWrittenRow {
    /// It is not one of the rules.
    Stays,
    /// It is asked by this function. It is not made part of the plan: for one row that would take
    /// longer than a call, and no index helps to check a row that is there already.
    Asked(pg_sys::Oid),
    NotAsked,
}

thread_local! {
    /// By the function that a policy calls.
    static KNOWN: RefCell<HashMap<pg_sys::Oid, OfWrittenRow>> = RefCell::default();
}

/// Functions were changed.
pub fn forget_functions() {
    KNOWN.take();
}

/// Puts the checks of written rows right in a command that is about to be planned. Tells whether the
/// rules will be asked when it runs.
///
/// # Safety
/// Called with a query, of which nothing is planned yet.
pub unsafe fn prepare(query: *mut pg_sys::Query) -> bool {
    unsafe {
        // Only at the top a WITH can have commands that write.
        let parts = items::<pg_sys::CommonTableExpr>((*query).cteList).iter();
        let parts = parts.map(|part| (**part).ctequery);
        parts
            .filter(|part| (**part).type_ == pg_sys::NodeTag::T_Query)
            .chain(std::iter::once(query.cast()))
            .fold(false, |asks, part| {
                asks | put_right(&mut (*part.cast::<pg_sys::Query>()).withCheckOptions)
            })
    }
}

unsafe fn put_right(checks: &mut *mut pg_sys::List) -> bool {
    use pg_sys::WCOKind::{WCO_RLS_INSERT_CHECK, WCO_RLS_UPDATE_CHECK};
    let mut asks = false;
    let mut kept = std::ptr::null_mut();
    unsafe {
        for check in items::<pg_sys::WithCheckOption>(*checks) {
            let condition = (**check).qual.cast::<pg_sys::FuncExpr>();
            let is_call =
                !condition.is_null() && (*condition).xpr.type_ == pg_sys::NodeTag::T_FuncExpr;
            // The other kinds are of rows that were there before.
            let is_written = [WCO_RLS_INSERT_CHECK, WCO_RLS_UPDATE_CHECK].contains(&(**check).kind);
            if is_call && is_written {
                match of_written_row((*condition).funcid) {
                    OfWrittenRow::NotAsked => continue,
                    OfWrittenRow::Asked(function) => {
                        (*condition).funcid = function;
                        asks = true;
                    }
                    OfWrittenRow::Stays => {}
                }
            }
            kept = pg_sys::lappend(kept, check.cast());
        }
        *checks = kept;
    }
    asks
}

fn of_written_row(function: pg_sys::Oid) -> OfWrittenRow {
    if let Some(known) = KNOWN.with_borrow(|all| all.get(&function).copied()) {
        return known;
    }
    const ID: pg_sys::Oid = pg_sys::INT8OID;
    const TABLE: pg_sys::Oid = pg_sys::REGCLASSOID;
    let is = |name, arguments: &[pg_sys::Oid]| own_function(name, arguments) == Some(function);
    let found = if is(c"view_ok", &[TABLE, ID, ID, ID, ID]) {
        OfWrittenRow::NotAsked
    } else if is(c"silo_ok", &[TABLE, ID]) {
        own_function(c"written_silo_ok", &[TABLE, ID])
            .map_or(OfWrittenRow::Stays, OfWrittenRow::Asked)
    } else if is(c"create_ok", &[TABLE, ID]) || is(c"move_ok", &[TABLE, ID, ID]) {
        OfWrittenRow::Asked(function)
    } else {
        OfWrittenRow::Stays
    };
    KNOWN.with_borrow_mut(|all| all.insert(function, found));
    found
}
