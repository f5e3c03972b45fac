//! Which fraction of a table's rows a list of keys finds.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::pg::node::Node;
use crate::pg::planner::Root;
use crate::tables::key::KeyRef;

/// The largest share of a table that is looked up by an index.
pub const MOST_BY_INDEX: f64 = 0.1;

/// The share of rows whose column, as it stands in a query, is one of so many granted keys.
pub fn share_of_column(column: Column, granted: usize, is_granted: impl Fn(KeyRef) -> bool) -> f64 {
    column.examine(|variable| share_of(variable, granted, is_granted))
}

/// A column as it stands in a query.
#[derive(Clone, Copy)]
pub struct Column<'p> {
    pub root: Root<'p>,
    pub node: Node<'p>,
    /// The number of the only table whose columns count; 0 for all.
    pub table_number: c_int,
}

impl Column<'_> {
    /// The number of rows of its table, if it is a column of one.
    pub fn rows(self) -> Option<f64> {
        // SAFETY: the planner's.
        self.examine(|variable| unsafe { variable.0.rel.as_ref() }.map(|table| table.tuples))
    }

    /// Calls `with` what the planner knows of the column.
    fn examine<T>(self, with: impl FnOnce(&mut Statistics) -> T) -> T {
        let mut found = Statistics(pg_sys::VariableStatData::default());
        // SAFETY: the column is in the query that is being planned; what is found is released.
        unsafe {
            let (root, node) = (self.root.as_ptr(), self.node.as_ptr());
            pg_sys::examine_variable(root, node, self.table_number, &mut found.0);
            let answer = with(&mut found);
            if let (false, Some(free)) = (found.0.statsTuple.is_null(), found.0.freefunc) {
                // Nothing here would have to be dropped.
                #[allow(ffi_unwind_calls)]
                free(found.0.statsTuple);
            }
            answer
        }
    }
}

/// What the planner knows of a column, as examine_variable() tells it.
struct Statistics(pg_sys::VariableStatData);

/// The share of rows whose column is one of the granted keys: the common values are counted by their
/// frequencies, the rest is spread evenly.
fn share_of(
    Statistics(variable): &mut Statistics,
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
