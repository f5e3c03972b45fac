//! Search by index: conditions of the user that tell nothing of a row (leakproof.rs) may look rows up before the policies
//! are asked.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error;
use crate::pg::node::text_bytes;
use crate::pg::planned_table::{Condition, Index, PlannedTable};
use crate::pg::planner::{PlanItem, Root};
use crate::plan::leakproof::{is_family_leakproof, is_leakproof};
use crate::plan::pattern::{self, Asked, Wrong};
use crate::protection::whole::is_whole;
use crate::rights::identity::may_search_by_index;
use crate::signals::generation;
use crate::tables::catalog::is_installed;

/// The plan has a parameter that must be a pattern of LIKE, or its end, which raises no error.
const PATTERN_ITEM: i32 = -7030;
const END_OF_PATTERN_ITEM: i32 = -7031;

/// The access methods of PostgreSQL's own: btree, hash, GiST, GIN, SP-GiST, BRIN.
const ACCESS_METHODS: [u32; 6] = [403, 405, 783, 2742, 4000, 3580];

/// The planner has found ways to read a table: finds better ones, and better estimates.
pub fn plan(table: PlannedTable) {
    let is_below_policy = |condition: Condition| condition.security_level() > 0;
    if !table.conditions().any(is_below_policy) && !table.join_conditions().any(is_below_policy) {
        return;
    }
    if !is_installed() || !may_search_by_index() || !is_whole(table.oid()) {
        return;
    }
    if table.has_children() {
        table.sum_up_children();
        return;
    }
    let Some(plan) = table.root.plan().filter(|_| table.is_plain()) else {
        return;
    };
    let mut asks = vec![];
    let mut listed = |condition: &Condition| {
        let mut asked = vec![];
        let is_listed = is_below_policy(*condition)
            && !condition.is_leakproof()
            && condition
                .clause()
                .is_some_and(|clause| is_leakproof(clause, &mut asked));
        if is_listed {
            asks.append(&mut asked);
        }
        is_listed
    };
    let own: Vec<_> = table.conditions().filter(&mut listed).collect();
    let joins: Vec<_> = table
        .join_conditions()
        .filter(|condition| are_all_whole(table.root, *condition))
        .filter(&mut listed)
        .collect();
    if own.is_empty() && joins.is_empty() {
        return;
    }
    own.iter()
        .for_each(|condition| condition.estimate(table.root));
    table.read(is_usable, || {
        own.iter()
            .chain(&joins)
            .for_each(|condition| condition.mark_leakproof());
    });
    // It is made anew when the session may not search so any more.
    let items = plan.items();
    items.add(generation::PLAN_MARK);
    for Asked { parameter, is_end } in asks {
        let item = if is_end {
            END_OF_PATTERN_ITEM
        } else {
            PATTERN_ITEM
        };
        items.add((item, parameter as u32));
    }
}

/// A condition that joins tables is looked at before the policies of each.
fn are_all_whole(root: Root, condition: Condition) -> bool {
    condition.tables().all(|number| {
        root.policies_apply(number)
            .is_none_or(|applies| !applies || root.table(number).is_some_and(is_whole))
    })
}

/// Has the index nothing of the user's own?
fn is_usable(index: Index) -> bool {
    ACCESS_METHODS.contains(&index.access_method().to_u32())
        && index.families().all(is_family_leakproof)
}

/// Refuses parameters that would raise an error only where a row is compared with them, before there is a row.
///
/// # Safety
/// The parameters of the query, or null.
pub unsafe fn check_parameters(plan: &[PlanItem], parameters: pg_sys::ParamListInfo) {
    for (item, parameter) in plan {
        let is_end = *item == END_OF_PATTERN_ITEM;
        if !is_end && *item != PATTERN_ITEM {
            continue;
        }
        // SAFETY: as the caller promises.
        let Some(text) = (unsafe { text_of(parameters, *parameter as i32) }) else {
            continue;
        };
        match pattern::check(text, is_end) {
            Ok(()) => {}
            Err(Wrong::Escape) => error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_ESCAPE_SEQUENCE,
                "LIKE pattern must not end with escape character",
                "Write a backslash at the end twice.",
            ),
            Err(Wrong::TooLong) => error::raise(
                PgSqlErrorCode::ERRCODE_STATEMENT_TOO_COMPLEX,
                "LIKE pattern has more than 500 times \"%\"",
                "Use a shorter pattern, or plan_cache_mode = force_custom_plan.",
            ),
        }
    }
}

/// The value of a parameter that is a text; none for NULL.
///
/// # Safety
/// The parameters of a query, or null.
unsafe fn text_of<'a>(parameters: pg_sys::ParamListInfo, number: i32) -> Option<&'a [u8]> {
    // SAFETY: as the executor does it; the list has so many parameters.
    unsafe {
        let list = parameters.as_mut()?;
        if number < 1 || number > list.numParams {
            return None;
        }
        let mut workspace = pg_sys::ParamExternData::default();
        let value = match list.paramFetch {
            Some(fetch) => pg_sys::ffi::pg_guard_ffi_boundary(|| {
                #[allow(ffi_unwind_calls)] // Its errors are caught just here.
                fetch(parameters, number, false, &mut workspace)
            }),
            None => list.params.as_mut_ptr().add(number as usize - 1),
        };
        let is_text = [pg_sys::TEXTOID, pg_sys::VARCHAROID].contains(&(*value).ptype);
        (is_text && !(*value).isnull).then(|| text_bytes((*value).value))
    }
}
