//! Which fraction of a table's rows a list of keys finds, and how an index finds them.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::pg::node::{CALL_OF_PLAN, any_of_list, as_node, items};
use crate::plan::operand::ListOperator;
use crate::tables::key::KeyRef;

/// The largest share of a table that is looked up by an index.
pub const MOST_BY_INDEX: f64 = 0.1;

/// The share of rows whose column, as it stands in a query, is one of so many granted keys.
///
/// # Safety
/// The root is the planner's, and the column in its query.
pub unsafe fn share_of_column(
    root: *mut pg_sys::PlannerInfo,
    column: *mut pg_sys::Node,
    relation: c_int,
    granted: usize,
    is_granted: impl Fn(KeyRef) -> bool,
) -> f64 {
    // SAFETY: as the caller promises; what was found is released.
    unsafe {
        let mut variable = pg_sys::VariableStatData::default();
        pg_sys::examine_variable(root, column, relation, &mut variable);
        let share = share_of(&mut variable, granted, is_granted);
        release(&variable);
        share
    }
}

/// # Safety
/// examine_variable() has filled it, and nobody uses it any more.
pub unsafe fn release(variable: &pg_sys::VariableStatData) {
    if let (false, Some(free)) = (variable.statsTuple.is_null(), variable.freefunc) {
        // Nothing here would have to be dropped.
        #[allow(ffi_unwind_calls)]
        // SAFETY: as the caller promises.
        unsafe {
            free(variable.statsTuple)
        }
    }
}

/// The share of rows whose column is one of the granted keys: the common values are counted by their
/// frequencies, the rest is spread evenly.
///
/// # Safety
/// examine_variable() has filled the variable.
unsafe fn share_of(
    variable: &mut pg_sys::VariableStatData,
    granted: usize,
    is_granted: impl Fn(KeyRef) -> bool,
) -> f64 {
    const MOST_COMMON: c_int = pg_sys::STATISTIC_KIND_MCV as c_int;
    // SAFETY: the statistics are the variable's; the values are of the type that is told with them.
    unsafe {
        let mut is_default = false;
        let distinct = pg_sys::get_variable_numdistinct(variable, &mut is_default).max(1.0);
        let (mut common, mut common_granted) = (0.0, 0.0);
        let (mut values, mut values_granted) = (0usize, 0usize);
        let mut nulls = 0.0;
        if !variable.statsTuple.is_null() {
            let statistics =
                pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_statistic>(variable.statsTuple);
            nulls = f64::from((*statistics).stanullfrac);
            let mut slot = pg_sys::AttStatsSlot::default();
            let wanted = pg_sys::ATTSTATSSLOT_VALUES | pg_sys::ATTSTATSSLOT_NUMBERS;
            if pg_sys::get_attstatsslot(
                &mut slot,
                variable.statsTuple,
                MOST_COMMON,
                pg_sys::InvalidOid,
                wanted as c_int,
            ) {
                values = slot.nvalues.min(slot.nnumbers) as usize;
                for n in 0..values {
                    let share = f64::from(*slot.numbers.add(n));
                    let key = KeyRef::from_datum(*slot.values.add(n), slot.valuetype);
                    common += share;
                    if key.is_some_and(&is_granted) {
                        common_granted += share;
                        values_granted += 1;
                    }
                }
                pg_sys::free_attstatsslot(&mut slot);
            }
        }
        let others = (distinct - values as f64).max(1.0);
        let others_granted = granted.saturating_sub(values_granted) as f64;
        let rest = (1.0 - common - nulls).max(0.0) * (others_granted / others).min(1.0);
        (common_granted + rest).clamp(0.0, 1.0)
    }
}

/// The last argument of the call, if that is what the index has.
///
/// # Safety
/// The request is the planner's.
pub unsafe fn column_of_index(
    request: &pg_sys::SupportRequestIndexCondition,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        let call = as_node::<pg_sys::FuncExpr>(request.node)?;
        let is_it = request.indexarg == pg_sys::list_length(call.args) - 1;
        items(call.args).last().copied().filter(|_| is_it)
    }
}

/// `column = ANY (list(...))`, where the list is asked for with the arguments before the column.
///
/// # Safety
/// The request is the planner's, for what [`column_of_index`] is there.
pub unsafe fn condition_by_list(
    request: &mut pg_sys::SupportRequestIndexCondition,
    list: ListOperator,
    list_function: pg_sys::Oid,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        let column = column_of_index(request)?;
        let call = as_node::<pg_sys::FuncExpr>(request.node)?;
        let mut arguments = std::ptr::null_mut();
        for argument in items::<pg_sys::Node>(call.args)
            .iter()
            .take(request.indexarg as usize)
        {
            as_node::<pg_sys::Const>(*argument)?;
            arguments = pg_sys::lappend(arguments, pg_sys::copyObjectImpl(argument.cast()).cast());
        }
        let keys = pg_sys::makeFuncExpr(
            list_function,
            list.array,
            arguments,
            CALL_OF_PLAN,
            request.indexcollation,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        let clause = any_of_list(
            pg_sys::copyObjectImpl(column.cast()).cast(),
            list.operator,
            keys.cast(),
            false,
            request.indexcollation,
        );
        request.lossy = false;
        Some(pg_sys::lappend(std::ptr::null_mut(), clause.cast()).cast())
    }
}
