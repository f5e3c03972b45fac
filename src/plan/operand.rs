//! Columns of keys in conditions, and what they are compared with.

use std::ffi::CString;

use pgrx::pg_sys;

use crate::pg::node::{Clause, Node, call_of_plan};
use crate::pg::support::{Answer, IndexCondition};
use crate::plan::literal::{ColumnType, Literals};
use crate::rights::external_keys::ExternalKeys;
use crate::tables::catalog::own_function;
use crate::tables::key::{Key, KeyRef};
use crate::tables::principal::Principal;

/// A column of keys as the table has it, without what the call put around it, so that it fits the
/// column's own index: a cast to bigint, or the function from external keys to ids.
#[derive(Clone, Copy)]
pub struct Operand<'p> {
    node: Node<'p>,
    /// That of the node.
    column_type: ColumnType,
    /// Whose keys the column has.
    pub principal: Option<Principal>,
}

impl<'p> Operand<'p> {
    pub fn of(mut node: Node<'p>) -> Option<Operand<'p>> {
        let mut principal = None;
        if let Some(call) = node.call() {
            let casts = [pg_sys::F_INT8_INT2, pg_sys::F_INT8_INT4];
            let is_cast = casts.contains(&call.function().to_u32());
            if !is_cast {
                principal = Principal::of_function(call.function());
            }
            if is_cast || principal.is_some() {
                node = *call.arguments().first()?;
            }
        }
        Some(Operand {
            node,
            column_type: comparable(node)?,
            principal,
        })
    }

    /// A column as it stands in the table has keys of what it is the column of.
    pub fn or_of(mut self, principal: Principal) -> Operand<'p> {
        self.principal.get_or_insert(principal);
        self
    }

    pub fn node(&self) -> Node<'p> {
        self.node
    }

    pub fn type_oid(&self) -> pg_sys::Oid {
        self.column_type.oid()
    }

    /// `operand = ANY (values)`, or `operand <> ALL (values)`
    pub fn any_of<'a>(
        &self,
        values: impl IntoIterator<Item = KeyRef<'a>>,
        negated: bool,
    ) -> Clause<'p> {
        let (node, operator) = (self.node, self.column_type.operator(negated));
        let clause = match Literals::new(node, self.column_type, values) {
            Literals::None => return Clause::Constant(negated),
            // SAFETY: the operator is that of the type, which the node and the literal have.
            Literals::One(value) => unsafe { node.compared_with(operator, value) },
            // SAFETY: as above; the elements have that type.
            Literals::Several(values) => unsafe {
                node.any_of_list(operator, values, negated, node.collation())
            },
        };
        Clause::Is(clause)
    }

    /// The same for ids of deskguard's, as the column names them.
    pub fn any_id_of(&self, ids: &[i64], keys: &ExternalKeys, negated: bool) -> Clause<'p> {
        let key = |id: &i64| match self.principal {
            Some(principal) => keys.key(principal, *id, self.column_type.key_type()),
            None => Some(Key::Number(*id)),
        };
        self.any_of(ids.iter().filter_map(key), negated)
    }

    /// `operand IS [NOT] NULL`
    pub fn is_null(&self, negated: bool) -> Clause<'p> {
        self.node.is_null(negated)
    }
}

/// The type of an expression, if it is one of keys, which are compared byte by byte.
fn comparable(node: Node) -> Option<ColumnType> {
    let collation = node.collation();
    // SAFETY: a look-up in the system cache.
    let is_bytewise = collation == pg_sys::InvalidOid
        || unsafe { pg_sys::get_collation_isdeterministic(collation) };
    ColumnType::of(node).filter(|_| is_bytewise)
}

/// A column that an index has, and the operator by which the index looks it up in the long lists.
#[derive(Clone, Copy)]
pub struct ListOperator<'p> {
    column: Node<'p>,
    operator: pg_sys::Oid,
    /// The type of the list.
    array: pg_sys::Oid,
    /// What the names of the functions end with that give such lists.
    suffix: &'static str,
}

impl<'p> ListOperator<'p> {
    /// None if the index has another part of the call, or does not know the operator.
    pub fn of(request: &IndexCondition<'p>) -> Option<ListOperator<'p>> {
        let column = request.column()?;
        let (btree, operator, array, suffix) = comparable(column)?.long_list();
        (request.family().to_u32() == btree).then_some(ListOperator {
            column,
            operator,
            array,
            suffix,
        })
    }

    pub fn column(&self) -> Node<'p> {
        self.column
    }

    /// `column = ANY (list(...))`, where the list is asked for with the arguments before the column. `list` is the
    /// name of deskguard's function that gives it for columns of type bigint.
    pub fn condition(self, request: IndexCondition<'p>, list: &str) -> Option<Answer<'p>> {
        let call = request.call()?;
        let (_, arguments) = call.arguments().split_last()?;
        if arguments
            .iter()
            .any(|argument| argument.get::<pg_sys::Const>().is_none())
        {
            return None;
        }
        let types: Vec<_> = arguments
            .iter()
            .map(|argument| argument.type_oid())
            .collect();
        let name = CString::new(format!("{list}{}", self.suffix)).ok()?;
        let function = own_function(&name, &types)?;
        let collation = request.collation();
        let keys = call_of_plan(self.column, function, arguments, self.array, collation)?;
        // SAFETY: the operator is that for columns of this type and lists of that type.
        let condition = unsafe {
            self.column
                .any_of_list(self.operator, keys, false, collation)
        };
        Some(request.is(condition))
    }
}
