//! Finds out where a statement asks for the row with one id.
//!
//! For one row literals do not pay: planning them takes longer than a call.

use std::ffi::{CString, c_int};

use pgrx::pg_sys;

use crate::pg::node::{as_node, items, without_relabeling};
use crate::plan::literal::{INTEGER_BTREE, TEXT_BTREE, UUID_BTREE};

/// Does the statement ask for the row with one id, of the table that this column is of?
///
/// # Safety
/// The root is the planner's, and the column in its query.
pub unsafe fn is_asked_by_key(
    root: &pg_sys::PlannerInfo,
    column: *mut pg_sys::Node,
    id: &str,
) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let Some(variable) = as_node::<pg_sys::Var>(without_relabeling(column)) else {
            return false;
        };
        if variable.varlevelsup != 0 {
            return false;
        }
        // What is asked of a table is asked of its partitions and children.
        let mut relation = variable.varno as usize;
        while let Some(child) = partition(root, relation) {
            relation = child.parent_relid as usize;
        }
        let query = &*root.parse;
        let tables = items::<pg_sys::RangeTblEntry>(query.rtable);
        let Some(table) = tables.get(relation.wrapping_sub(1)) else {
            return false;
        };
        let Ok(id) = CString::new(id) else {
            return false;
        };
        let key = Key {
            relation: relation as c_int,
            column: pg_sys::get_attnum((**table).relid, id.as_ptr()),
        };
        key.is_asked_in(query.jointree.cast())
    }
}

/// What the planner knows of a table of a statement as the partition or child of another.
///
/// # Safety
/// The root is the planner's.
pub unsafe fn partition(
    root: &pg_sys::PlannerInfo,
    relation: usize,
) -> Option<&pg_sys::AppendRelInfo> {
    // Not every variable is of a table: some have a number that is none.
    if root.append_rel_array.is_null() || relation >= root.simple_rel_array_size as usize {
        return None;
    }
    // SAFETY: a number that the array has.
    unsafe { (*root.append_rel_array.add(relation)).as_ref() }
}

struct Key {
    relation: c_int,
    column: pg_sys::AttrNumber,
}

impl Key {
    /// Is there a condition in this part of a statement that only the row with one id fulfils?
    ///
    /// # Safety
    /// A part of a query that is being planned, or null.
    unsafe fn is_asked_in(&self, part: *mut pg_sys::Node) -> bool {
        // SAFETY: the tag tells the type.
        unsafe {
            let Some(node) = part.as_ref() else {
                return false;
            };
            match node.type_ {
                pg_sys::NodeTag::T_FromExpr => {
                    let from = &*part.cast::<pg_sys::FromExpr>();
                    self.is_asked_in(from.quals) || self.is_asked_in(from.fromlist.cast())
                }
                pg_sys::NodeTag::T_JoinExpr => {
                    let join = &*part.cast::<pg_sys::JoinExpr>();
                    join.jointype == pg_sys::JoinType::JOIN_INNER
                        && [join.quals, join.larg, join.rarg]
                            .into_iter()
                            .any(|part| self.is_asked_in(part))
                }
                pg_sys::NodeTag::T_List => items::<pg_sys::Node>(part.cast())
                    .iter()
                    .any(|part| self.is_asked_in(*part)),
                pg_sys::NodeTag::T_BoolExpr => {
                    let expression = &*part.cast::<pg_sys::BoolExpr>();
                    expression.boolop == pg_sys::BoolExprType::AND_EXPR
                        && self.is_asked_in(expression.args.cast())
                }
                pg_sys::NodeTag::T_OpExpr => self.is_asked_by(&*part.cast()),
                _ => false,
            }
        }
    }

    /// `id = something that is the same for all rows`
    ///
    /// # Safety
    /// An expression of the planner.
    unsafe fn is_asked_by(&self, operator: &pg_sys::OpExpr) -> bool {
        const FAMILIES: [u32; 3] = [INTEGER_BTREE, UUID_BTREE, TEXT_BTREE];
        // SAFETY: as the caller promises.
        unsafe {
            let [left, right] = items::<pg_sys::Node>(operator.args) else {
                return false;
            };
            let is_key = |side: *mut pg_sys::Node| {
                as_node::<pg_sys::Var>(without_relabeling(side)).is_some_and(|variable| {
                    variable.varlevelsup == 0
                        && variable.varno as c_int == self.relation
                        && variable.varattno == self.column
                })
            };
            let is_same_for_all = |side: *mut pg_sys::Node| {
                matches!(
                    (*side).type_,
                    pg_sys::NodeTag::T_Const | pg_sys::NodeTag::T_Param
                )
            };
            (is_key(*left) && is_same_for_all(*right) || is_key(*right) && is_same_for_all(*left))
                && FAMILIES.into_iter().any(|family| {
                    pg_sys::get_op_opfamily_strategy(operator.opno, family.into())
                        == pg_sys::BTEqualStrategyNumber as c_int
                })
        }
    }
}
