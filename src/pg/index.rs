//! The indexes of a table, while a query is planned.

use std::ffi::c_int;
use std::ptr;

use pgrx::pg_sys;

use crate::pg::node::{Node, new_node};
use crate::pg::planner::Root;
use crate::pg::restrict_info::{Condition, list_of};

/// An index of a table.
#[derive(Clone, Copy)]
pub struct Index<'p>(pub &'p pg_sys::IndexOptInfo);

/// The first columns of an index.
pub struct Prefix<'p> {
    /// Those that a list is for.
    pub lists: Vec<(Condition<'p>, usize)>,
    /// One for each of the columns.
    pub conditions: Vec<Condition<'p>>,
}

/// In which order an index is read.
pub struct IndexOrder {
    pub direction: pg_sys::ScanDirection::Type,
    /// By how many of the query's keys its rows are ordered then.
    pub keys: usize,
}

impl<'p> Index<'p> {
    pub fn access_method(self) -> pg_sys::Oid {
        self.0.relam
    }

    /// The families of operators of its columns.
    pub fn families(self) -> impl Iterator<Item = pg_sys::Oid> {
        // SAFETY: the planner's; so many columns have one.
        (0..self.0.nkeycolumns as usize).map(move |n| unsafe { *self.0.opfamily.add(n) })
    }

    /// Does it give its rows in an order?
    pub fn is_ordered(self) -> bool {
        let index = self.0;
        !index.sortopfamily.is_null()
            && index.amhasgettuple
            && (index.indpred.is_null() || index.predOK)
    }

    fn as_ptr(self) -> *mut pg_sys::IndexOptInfo {
        ptr::from_ref(self.0).cast_mut()
    }

    /// Does it compare by what comes with PostgreSQL?
    pub fn is_built_in(self) -> bool {
        let mut families = self.families();
        families.all(|family| family.to_u32() < pg_sys::FirstNormalObjectId)
    }

    /// Is it `column = value` or `column = ANY (list)`, for a column of the index, as the index compares?
    ///
    /// # Safety
    /// A condition of the query, and one of the columns of the index.
    pub unsafe fn is_looked_up(self, filter: *mut pg_sys::RestrictInfo, column: usize) -> bool {
        // SAFETY: as the caller promises.
        let Some(clause) = (unsafe { Node::new((*filter).clause.cast()) }) else {
            return false;
        };
        let [left, right] = clause.arguments() else {
            return false;
        };
        let operation = clause.get::<pg_sys::OpExpr>();
        let list = clause.get::<pg_sys::ScalarArrayOpExpr>();
        let (operator, collation) = match (operation, list) {
            (Some(operation), _) => (operation.opno, operation.inputcollid),
            (_, Some(list)) if list.useOr => (list.opno, list.inputcollid),
            _ => return false,
        };
        // SAFETY: the index has so many columns; what else is called looks at nodes and catalogs.
        unsafe {
            let is_column = |side: &Node| {
                pg_sys::match_index_to_operand(side.as_ptr(), column as c_int, self.as_ptr())
            };
            let (value, operator) = if is_column(left) {
                (right, operator)
            } else if list.is_none() && is_column(right) {
                (left, pg_sys::get_commutator(operator))
            } else {
                return false;
            };
            let wanted = *self.0.indexcollations.add(column);
            (wanted == pg_sys::InvalidOid || wanted == collation)
                && pg_sys::get_op_opfamily_strategy(operator, *self.0.opfamily.add(column))
                    == pg_sys::BTEqualStrategyNumber as c_int
                && !pg_sys::contain_var_clause(value.as_ptr())
                && !pg_sys::contain_volatile_functions(value.as_ptr())
        }
    }

    /// The first columns for which the conditions have one value, or a list of them.
    pub fn prefix(self, filters: &[Condition<'p>]) -> Option<Prefix<'p>> {
        let mut prefix = Prefix {
            lists: vec![],
            conditions: vec![],
        };
        for column in 0..self.0.nkeycolumns as usize {
            let of_column = |filter: &&Condition<'p>| {
                // SAFETY: conditions of the query, and a column of the index. What is not leakproof is not asked
                // by an index before the policies.
                unsafe {
                    pg_sys::restriction_is_securely_promotable(filter.as_ptr(), self.0.rel)
                        && self.is_looked_up(filter.as_ptr(), column)
                }
            };
            let found: Vec<_> = filters.iter().filter(of_column).collect();
            let Some(first) = found.first() else {
                break;
            };
            let single = found.iter().find(|filter| !filter.is_list());
            if single.is_none() {
                prefix.lists.push((**first, column));
            }
            prefix.conditions.push(**single.unwrap_or(first));
        }
        let columns = prefix.conditions.len();
        (columns > 0 && columns < self.0.nkeycolumns as usize).then_some(prefix)
    }

    /// The order of the index if so many of its first columns have one value each.
    pub fn order(self, root: Root<'p>, columns: usize) -> Option<IndexOrder> {
        use pg_sys::ScanDirection::{BackwardScanDirection, ForwardScanDirection};
        // SAFETY: the copy has the columns after these.
        unsafe {
            let rest = new_node::<pg_sys::IndexOptInfo>(pg_sys::NodeTag::T_IndexOptInfo);
            ptr::copy_nonoverlapping(self.0, rest, 1);
            (*rest).indextlist = pg_sys::list_copy_tail(self.0.indextlist, columns as c_int);
            (*rest).ncolumns -= columns as c_int;
            (*rest).nkeycolumns -= columns as c_int;
            (*rest).indexkeys = self.0.indexkeys.add(columns);
            (*rest).indexcollations = self.0.indexcollations.add(columns);
            (*rest).opfamily = self.0.opfamily.add(columns);
            (*rest).opcintype = self.0.opcintype.add(columns);
            (*rest).sortopfamily = self.0.sortopfamily.add(columns);
            (*rest).reverse_sort = self.0.reverse_sort.add(columns);
            (*rest).nulls_first = self.0.nulls_first.add(columns);
            let wanted = (*root.as_ptr()).query_pathkeys;
            [ForwardScanDirection, BackwardScanDirection]
                .into_iter()
                .map(|direction| {
                    let given = pg_sys::build_index_pathkeys(root.as_ptr(), rest, direction);
                    let mut keys = 0;
                    pg_sys::pathkeys_count_contained_in(wanted, given, &mut keys);
                    IndexOrder {
                        direction,
                        keys: keys as usize,
                    }
                })
                .max_by_key(|order| order.keys)
                .filter(|order| order.keys > 0)
        }
    }

    /// A copy for reading a part of the table.
    ///
    /// # Safety
    /// A part of the table of the index.
    pub unsafe fn of_part(
        self,
        part: *mut pg_sys::RelOptInfo,
        filters: &[Condition<'p>],
    ) -> *mut pg_sys::IndexOptInfo {
        // SAFETY: a copy, which shares what nobody changes.
        unsafe {
            let copy = new_node::<pg_sys::IndexOptInfo>(pg_sys::NodeTag::T_IndexOptInfo);
            ptr::copy_nonoverlapping(self.0, copy, 1);
            (*copy).rel = part;
            (*copy).indrestrictinfo = list_of(filters);
            copy
        }
    }
}
