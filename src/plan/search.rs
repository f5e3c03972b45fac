//! Search by index: conditions of the user that tell nothing of a row (leakproof.rs) may look rows up before the policies
//! are asked.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error;
use crate::pg::index::Index;
use crate::pg::node::text_bytes;
use crate::pg::planned_table::PlannedTable;
use crate::pg::planner::{PlanItem, Root};
use crate::pg::restrict_info::{Condition, conditions_on};
use crate::plan::leakproof::{is_family_leakproof, is_leakproof};
use crate::plan::pattern::{self, Asked, Use, Wrong};
use crate::protection::whole::is_whole;
use crate::rights::identity::may_search_by_index;
use crate::signals::generation;
use crate::tables::catalog::is_installed;

/// The plan has a parameter that is fetched before there is a row.
const VALUE_ITEM: i32 = -7032;
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
    let mut tells_nothing = |condition: &Condition| {
        let mut asked = vec![];
        let clause = condition.clause();
        let is_listed = clause.is_some_and(|clause| is_leakproof(table.root, clause, &mut asked));
        if is_listed {
            asks.append(&mut asked);
        }
        is_listed
    };
    let below_policies = table.conditions().chain(table.join_conditions());
    let below_policies = below_policies.filter(|condition| is_below_policy(*condition));
    // What PostgreSQL calls leakproof may raise an error by what is the same for all rows. It would come with the first
    // hidden row that passes another condition.
    let (marked, others): (Vec<_>, Vec<_>) =
        below_policies.partition(|condition| condition.is_leakproof());
    if others.is_empty() || !marked.iter().all(&mut tells_nothing) {
        return;
    }
    let (own, joins): (Vec<_>, Vec<_>) = others
        .into_iter()
        .filter(|condition| condition.is_of_one_table() || may_join(table.root, *condition))
        .filter(&mut tells_nothing)
        .partition(|condition| condition.is_of_one_table());
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
    for Asked { parameter, is } in asks {
        let item = match is {
            Use::Value => VALUE_ITEM,
            Use::Part => PATTERN_ITEM,
            Use::End => END_OF_PATTERN_ITEM,
        };
        items.add((item, parameter as u32));
    }
}

/// A condition that joins tables is looked at before the policies of each of them, and beside its other conditions.
fn may_join(root: Root, condition: Condition) -> bool {
    condition.tables().all(|number| {
        let has_policies = root.policies_apply(number).unwrap_or(false);
        !has_policies
            || root.table(number).is_some_and(is_whole)
                && conditions_on(root, number)
                    .filter(|other| other.security_level() > 0 && other.is_leakproof())
                    .filter_map(Condition::clause)
                    .all(|clause| is_leakproof(root, clause, &mut vec![]))
    })
}

/// Has the index nothing of the user's own?
fn is_usable(index: Index) -> bool {
    ACCESS_METHODS.contains(&index.access_method().to_u32())
        && index.families().all(is_family_leakproof)
}

/// Fetches the parameters of conditions that are looked at before the policies, and refuses those that would raise an error
/// only where a row is compared with them.
///
/// # Safety
/// The parameters of the query, or null.
pub unsafe fn check_parameters(plan: &[PlanItem], parameters: pg_sys::ParamListInfo) {
    for (item, parameter) in plan {
        if ![VALUE_ITEM, PATTERN_ITEM, END_OF_PATTERN_ITEM].contains(item) {
            continue;
        }
        let is_end = *item == END_OF_PATTERN_ITEM;
        // SAFETY: as the caller promises.
        let Some(text) = (unsafe { text_of(parameters, *parameter as i32) }) else {
            continue;
        };
        if *item == VALUE_ITEM {
            continue;
        }
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
