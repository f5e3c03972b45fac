//! What a command that writes asks of its rows: some of it more often than need be.
//!
//! Of a row that it writes, PostgreSQL also asks the policies for SELECT, if the command reads the
//! table, as each UPDATE with a WHERE does. But an agent may hand a ticket over to where it does not see
//! it. What it may write is said by create_ok, update_ok and silo_ok. Of a row that it finds, PostgreSQL
//! asks both the policies for SELECT and those for UPDATE or DELETE, which say that, too.

use std::ffi::{CStr, c_int};

use deskguard_rules::{Action, Change};
use pgrx::pg_sys;

use crate::pg::node::{CallExpr, Node, items};
use crate::pg::planner::Root;
use crate::protection::rule_functions::{function_of, rule_of};
use crate::tables::rule_function::RuleFunction;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// With the function that is asked of a written row in its place. It is not made part of the plan:
    /// for one row that would take longer than a call, and no index helps to check a row that is
    /// there already.
    Silo(pg_sys::Oid),
    View,
    /// modify_ok or delete_ok
    Change,
    /// create_ok or update_ok
    Written,
}

/// Shortens what is asked by a command that is about to be planned. Tells whether the rules will be
/// asked when it runs.
///
/// # Safety
/// Called with a query, of which nothing is planned yet.
pub unsafe fn prepare(query: *mut pg_sys::Query) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        // Only at the top a WITH can have commands that write.
        let parts = items::<pg_sys::CommonTableExpr>((*query).cteList).iter();
        let parts = parts.map(|part| (**part).ctequery);
        parts
            .filter(|part| (**part).type_ == pg_sys::NodeTag::T_Query)
            .chain(std::iter::once(query.cast()))
            .fold(false, |asks, part| {
                let part = &mut *part.cast::<pg_sys::Query>();
                shorten_conditions(part);
                asks | shorten_checks(&mut part.withCheckOptions)
            })
    }
}

/// modify_ok and delete_ok include view_ok.
///
/// # Safety
/// Nothing of the query is planned yet.
unsafe fn shorten_conditions(query: &pg_sys::Query) {
    use pg_sys::CmdType::{CMD_DELETE, CMD_UPDATE};
    if ![CMD_UPDATE, CMD_DELETE].contains(&query.commandType) {
        return;
    }
    // SAFETY: the lists have such entries.
    unsafe {
        let tables = items::<pg_sys::RangeTblEntry>(query.rtable);
        let Some(table) = tables.get((query.resultRelation as usize).wrapping_sub(1)) else {
            return;
        };
        let conditions = items::<pg_sys::Node>((**table).securityQuals).iter();
        let call = |condition: &*mut pg_sys::Node| Node::new(*condition)?.call();
        let calls: Vec<_> = conditions.map(call).collect();
        let asked = |what| {
            calls
                .iter()
                .position(|call| call.and_then(part_of) == Some(what))
        };
        // Of the same columns: a policy of the user's own may call them, too.
        if let (Some(view), Some(change)) = (asked(Part::View), asked(Part::Change))
            && let (Some(one), Some(other)) = (calls[view], calls[change])
            && one.has_arguments_of(other)
        {
            (**table).securityQuals =
                pg_sys::list_delete_nth_cell((**table).securityQuals, view as c_int);
        }
    }
}

/// # Safety
/// The checks of a query of which nothing is planned yet.
unsafe fn shorten_checks(checks: &mut *mut pg_sys::List) -> bool {
    let mut asks = vec![];
    let mut kept = std::ptr::null_mut();
    // SAFETY: as the caller promises.
    unsafe {
        for check in items::<pg_sys::WithCheckOption>(*checks) {
            let call = Node::new((**check).qual).and_then(Node::call);
            let part = call.and_then(part_of);
            let part = part.filter(|_| is_of_written_row(&**check));
            match part {
                // Also as a policy for SELECT.
                Some(Part::Silo(_)) if asks.contains(&((**check).kind, part)) => continue,
                Some(Part::Silo(written)) => {
                    (*(**check).qual.cast::<pg_sys::FuncExpr>()).funcid = written;
                }
                Some(Part::View) if is_of_view_policy(&**check) => continue,
                Some(Part::View | Part::Change | Part::Written) | None => {}
            }
            asks.extend(part.map(|_| ((**check).kind, part)));
            kept = pg_sys::lappend(kept, check.cast());
        }
        *checks = kept;
    }
    !asks.is_empty()
}

/// The other kinds of checks are of rows that were there before: ON CONFLICT, MERGE.
fn is_of_written_row(check: &pg_sys::WithCheckOption) -> bool {
    use pg_sys::WCOKind::{WCO_RLS_INSERT_CHECK, WCO_RLS_UPDATE_CHECK};
    [WCO_RLS_INSERT_CHECK, WCO_RLS_UPDATE_CHECK].contains(&check.kind)
}

/// Is this call of view_ok, which is being planned, the policy for SELECT asked of a row that the command
/// writes? Told here, too, since the hook above is not there yet when the first statement of a session loads the
/// library.
pub fn is_view_of_written_row(root: Root, call: CallExpr) -> bool {
    // SAFETY: the list has such entries; their names are C strings, and their conditions parts of the query.
    unsafe {
        // Checks are planned one by one, and before what the command asks of the rows that it finds.
        // Those that are done are lists.
        let checks = items::<pg_sys::WithCheckOption>(root.query().withCheckOptions).iter();
        let mut not_done = checks.filter_map(|check| {
            let condition = Node::new((**check).qual)?;
            (condition.tag() != pg_sys::NodeTag::T_List).then_some((&**check, condition))
        });
        not_done.next().is_some_and(|(check, condition)| {
            is_of_view_policy(check) && is_of_written_row(check) && call.is(condition)
        })
    }
}

/// Is it our policy, and not one of the user's own that calls the same function?
fn is_of_view_policy(check: &pg_sys::WithCheckOption) -> bool {
    // SAFETY: names are C strings.
    !check.polname.is_null() && unsafe { CStr::from_ptr(check.polname) } == c"deskguard_view"
}

/// What a call asks, if it is that of one of the rules.
fn part_of(call: CallExpr) -> Option<Part> {
    match rule_of(call.function())? {
        RuleFunction::Ticket(Action::View) => Some(Part::View),
        RuleFunction::Ticket(Action::Change(Change::Modify | Change::Delete)) => Some(Part::Change),
        RuleFunction::Silo => {
            function_of(RuleFunction::WrittenSilo, pg_sys::INT8OID).map(Part::Silo)
        }
        RuleFunction::CreateTicket | RuleFunction::UpdateTicket => Some(Part::Written),
        _ => None,
    }
}
