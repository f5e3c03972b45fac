//! Finds out where a statement asks for the row with one id.
//!
//! For one row literals do not pay: planning them takes longer than a call.

use std::cell::OnceCell;
use std::ffi::{CString, c_int};

use pgrx::pg_sys;

use crate::pg::node::Node;
use crate::pg::planner::Root;
use crate::plan::literal::{INTEGER_BTREE, TEXT_BTREE, UUID_BTREE};

/// Does the statement ask for the row with one id, of the table that this column is of?
pub fn is_asked_by_key(root: Root, column: Node, id: &str) -> bool {
    let Some(variable) = column.without_relabeling().get::<pg_sys::Var>() else {
        return false;
    };
    if variable.varlevelsup != 0 {
        return false;
    }
    let number = named_in_query(root, variable);
    let Some(table) = root.table(number) else {
        return false;
    };
    let column = OnceCell::new();
    let key = Key {
        table: number as c_int,
        column: &|| {
            *column.get_or_init(|| {
                let id = CString::new(id);
                // SAFETY: a look-up in the system cache.
                id.map_or(0, |id| unsafe { pg_sys::get_attnum(table, id.as_ptr()) })
            })
        },
    };
    root.conditions().is_some_and(|all| key.is_asked_in(all))
}

/// What is asked of a table is asked of its partitions and children.
fn named_in_query(root: Root, variable: &pg_sys::Var) -> usize {
    let mut number = variable.varno as usize;
    while let Some(child) = root.partition(number) {
        number = child.parent_relid as usize;
    }
    number
}

/// The table of this column, if the query is one of these commands and changes rows of it.
pub fn target_table(
    root: Root,
    column: Node,
    commands: &[pg_sys::CmdType::Type],
) -> Option<pg_sys::Oid> {
    let variable = column.without_relabeling().get::<pg_sys::Var>()?;
    let query = root.query();
    let target = query.resultRelation as usize;
    let is_target = commands.contains(&query.commandType)
        && variable.varlevelsup == 0
        && named_in_query(root, variable) == target;
    root.table(target).filter(|_| is_target)
}

struct Key<'a> {
    /// Its number in the query.
    table: c_int,
    /// Looked up if a condition needs it.
    column: &'a dyn Fn() -> pg_sys::AttrNumber,
}

impl Key<'_> {
    /// Is there a condition in this part of a statement that only the row with one id fulfils?
    fn is_asked_in(&self, part: Node) -> bool {
        // SAFETY: parts of this part.
        let is_asked_in =
            |part| unsafe { Node::new(part) }.is_some_and(|part| self.is_asked_in(part));
        if let Some(from) = part.get::<pg_sys::FromExpr>() {
            return is_asked_in(from.quals) || is_asked_in(from.fromlist.cast());
        }
        if let Some(join) = part.get::<pg_sys::JoinExpr>() {
            return join.jointype == pg_sys::JoinType::JOIN_INNER
                && [join.quals, join.larg, join.rarg]
                    .into_iter()
                    .any(is_asked_in);
        }
        let is_and = part
            .get::<pg_sys::BoolExpr>()
            .is_some_and(|parts| parts.boolop == pg_sys::BoolExprType::AND_EXPR);
        match part.tag() {
            pg_sys::NodeTag::T_OpExpr => self.is_asked_by(part),
            pg_sys::NodeTag::T_List => part.items().any(|part| self.is_asked_in(part)),
            _ => is_and && part.arguments().iter().any(|part| self.is_asked_in(*part)),
        }
    }

    /// `id = something that is the same for all rows`
    fn is_asked_by(&self, condition: Node) -> bool {
        const FAMILIES: [u32; 3] = [INTEGER_BTREE, UUID_BTREE, TEXT_BTREE];
        let (Some(operator), [left, right]) =
            (condition.get::<pg_sys::OpExpr>(), condition.arguments())
        else {
            return false;
        };
        let is_key = |side: &Node| {
            let variable = side.without_relabeling().get::<pg_sys::Var>();
            variable.is_some_and(|variable| {
                variable.varlevelsup == 0
                    && variable.varno as c_int == self.table
                    && variable.varattno == (self.column)()
            })
        };
        (is_same_for_all(*right) && is_key(left) || is_same_for_all(*left) && is_key(right))
            && FAMILIES.into_iter().any(|family| {
                // SAFETY: a look-up in the system cache.
                let strategy =
                    unsafe { pg_sys::get_op_opfamily_strategy(operator.opno, family.into()) };
                strategy == pg_sys::BTEqualStrategyNumber as c_int
            })
    }
}

/// Has an expression one value for a whole query?
fn is_same_for_all(expression: Node) -> bool {
    use pg_sys::NodeTag::{T_Const, T_Param};
    // SAFETY: look at the expression.
    matches!(expression.tag(), T_Const | T_Param)
        || unsafe {
            !pg_sys::contain_vars_of_level(expression.as_ptr(), 0)
                && !pg_sys::contain_volatile_functions(expression.as_ptr())
        }
}
