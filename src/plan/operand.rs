//! Columns of keys in conditions, and what they are compared with.

use std::ffi::CString;

use pgrx::pg_sys;

use crate::pg::node::{any_of_list, as_node, boolean, is_null, items};
use crate::plan::literal::{ColumnType, Literal, Literals};
use crate::rights::external_keys::ExternalKeys;
use crate::tables::catalog::own_function;
use crate::tables::key::{Key, KeyRef};
use crate::tables::principal::Principal;

/// A column of keys as the table has it, without what the call put around it, so that it fits the
/// column's own index: a cast to bigint, or the function from external keys to ids.
#[derive(Clone, Copy)]
pub struct Operand {
    node: *mut pg_sys::Node,
    column_type: ColumnType,
    /// Whose keys the column has.
    pub principal: Option<Principal>,
}

impl Operand {
    /// # Safety
    /// An expression of the planner.
    pub unsafe fn of(node: *mut pg_sys::Node) -> Option<Operand> {
        // SAFETY: as the caller promises.
        unsafe {
            let (mut node, mut principal) = (node, None);
            if let Some(call) = as_node::<pg_sys::FuncExpr>(node) {
                let casts = [pg_sys::F_INT8_INT2, pg_sys::F_INT8_INT4];
                let is_cast = casts.contains(&call.funcid.to_u32());
                if !is_cast {
                    principal = Principal::of_function(call.funcid);
                }
                if is_cast || principal.is_some() {
                    node = *items(call.args).first()?;
                }
            }
            Some(Operand {
                node,
                column_type: comparable(node)?,
                principal,
            })
        }
    }

    /// A column as it stands in the table has keys of what it is the column of.
    pub fn or_of(mut self, principal: Principal) -> Operand {
        self.principal.get_or_insert(principal);
        self
    }

    pub fn node(&self) -> *mut pg_sys::Node {
        self.node
    }

    /// The expression, for one use in the plan.
    ///
    /// # Safety
    /// The expression is still there.
    pub unsafe fn copy(&self) -> *mut pg_sys::Node {
        // SAFETY: as the caller promises.
        unsafe { pg_sys::copyObjectImpl(self.node.cast()).cast() }
    }

    pub fn type_oid(&self) -> pg_sys::Oid {
        self.column_type.oid()
    }

    /// # Safety
    /// The expression is still there.
    unsafe fn compare(&self, operator: pg_sys::Oid, value: Literal) -> *mut pg_sys::Node {
        // SAFETY: as the caller promises.
        unsafe {
            let clause = pg_sys::make_opclause(
                operator,
                pg_sys::BOOLOID,
                false,
                self.copy().cast(),
                value.constant().cast(),
                pg_sys::InvalidOid,
                pg_sys::exprCollation(self.node),
            );
            pg_sys::set_opfuncid(clause.cast());
            clause.cast()
        }
    }

    /// `operand = ANY (values)`, or `operand <> ALL (values)`
    ///
    /// # Safety
    /// The expression is still there.
    pub unsafe fn any_of<'a>(
        &self,
        values: impl IntoIterator<Item = KeyRef<'a>>,
        negated: bool,
    ) -> *mut pg_sys::Node {
        // SAFETY: as the caller promises.
        unsafe {
            let operator = self.column_type.operator(negated);
            let literals = Literals::new(self.column_type, values);
            match literals.as_slice() {
                [] => return boolean(negated),
                [one] => return self.compare(operator, *one),
                _ => {}
            }
            let collation = pg_sys::exprCollation(self.node);
            any_of_list(self.copy(), operator, literals.array(), negated, collation)
        }
    }

    /// The same for ids of deskguard's, as the column names them.
    ///
    /// # Safety
    /// The expression is still there.
    pub unsafe fn any_id_of(
        &self,
        ids: &[i64],
        keys: &ExternalKeys,
        negated: bool,
    ) -> *mut pg_sys::Node {
        let key = |id: &i64| match self.principal {
            Some(principal) => keys.key(principal, *id, self.column_type.key_type()),
            None => Some(Key::Number(*id)),
        };
        // SAFETY: as the caller promises.
        unsafe { self.any_of(ids.iter().filter_map(key), negated) }
    }

    /// `operand IS [NOT] NULL`
    ///
    /// # Safety
    /// The expression is still there.
    pub unsafe fn is_null(&self, negated: bool) -> *mut pg_sys::Node {
        // SAFETY: as the caller promises.
        unsafe { is_null(self.copy(), negated) }
    }
}

/// The type of an expression, if it is one of keys, which are compared byte by byte.
///
/// # Safety
/// An expression of the planner.
unsafe fn comparable(node: *mut pg_sys::Node) -> Option<ColumnType> {
    // SAFETY: as the caller promises.
    unsafe {
        let collation = pg_sys::exprCollation(node);
        let is_bytewise =
            collation == pg_sys::InvalidOid || pg_sys::get_collation_isdeterministic(collation);
        ColumnType::of(node).filter(|_| is_bytewise)
    }
}

/// The operator by which indexes of a family look up a column in the long lists, and what the lists are.
pub struct ListOperator {
    pub operator: pg_sys::Oid,
    /// The type of the list.
    pub array: pg_sys::Oid,
    /// What the names of the functions end with that give such lists.
    pub suffix: &'static str,
}

impl ListOperator {
    /// None if the indexes of the family do not know it.
    ///
    /// # Safety
    /// The column is an expression of the planner.
    pub unsafe fn of(family: pg_sys::Oid, column: *mut pg_sys::Node) -> Option<ListOperator> {
        // SAFETY: as the caller promises.
        let column_type = unsafe { comparable(column) }?;
        let (btree, operator, array, suffix) = column_type.long_list();
        (family.to_u32() == btree).then_some(ListOperator {
            operator,
            array,
            suffix,
        })
    }

    /// A list function of deskguard's for this type: `name` is that for bigint.
    pub fn function(&self, name: &str, arguments: &[pg_sys::Oid]) -> Option<pg_sys::Oid> {
        let name = CString::new(format!("{name}{}", self.suffix)).ok()?;
        let function = own_function(&name, arguments)?;
        // SAFETY: a look-up in the system cache.
        (unsafe { pg_sys::get_func_rettype(function) } == self.array).then_some(function)
    }
}
