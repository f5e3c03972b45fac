//! Conditions `column = ANY (list)`, and their values.

use std::ffi::c_int;
use std::ptr;

use pgrx::pg_sys;

use crate::pg::index::Index;
use crate::pg::node::Node;
use crate::pg::planner::Root;
use crate::pg::restrict_info::Condition;

/// A condition `column = ANY (list)`, of which the list is a constant that is not too long.
pub struct ValueList<'p> {
    pub condition: Condition<'p>,
    list: &'p pg_sys::ScalarArrayOpExpr,
    operand: Node<'p>,
    /// The type of the values.
    element: pg_sys::Oid,
    /// Each once.
    pub values: Vec<pg_sys::Datum>,
}

impl<'p> ValueList<'p> {
    /// For a column of an index. None if it has more values than `most`.
    pub fn of(
        condition: Condition<'p>,
        index: Index<'p>,
        column: usize,
        most: usize,
    ) -> Option<ValueList<'p>> {
        let clause = condition.clause()?;
        let list = clause.get::<pg_sys::ScalarArrayOpExpr>()?;
        let [operand, array] = clause.arguments() else {
            return None;
        };
        let array = array.get::<pg_sys::Const>()?;
        if array.constisnull {
            return None;
        }
        // SAFETY: the constant is an array, of elements of this type, which the family of operators compares.
        unsafe {
            let value = pg_sys::pg_detoast_datum(array.constvalue.cast_mut_ptr());
            let value = value.cast::<pg_sys::ArrayType>();
            let dimensions = value.add(1).cast::<c_int>();
            let count = pg_sys::ArrayGetNItems((*value).ndim, dimensions);
            if count < 1 || count as usize > most {
                return None;
            }
            let element = pg_sys::get_base_element_type(array.consttype);
            let order = Order::of(*index.0.opfamily.add(column), list)?;
            let (mut length, mut by_value, mut alignment) = (0, false, 0);
            pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut alignment);
            let (mut elements, mut nulls, mut count) = (ptr::null_mut(), ptr::null_mut(), 0);
            pg_sys::deconstruct_array(
                value,
                element,
                length.into(),
                by_value,
                alignment,
                &mut elements,
                &mut nulls,
                &mut count,
            );
            let mut values: Vec<pg_sys::Datum> = (0..count as usize)
                .filter(|n| !*nulls.add(*n))
                .map(|n| *elements.add(n))
                .collect();
            order.each_once(&mut values);
            Some(ValueList {
                condition,
                list,
                operand: *operand,
                element,
                values,
            })
        }
    }

    /// `column = value` for each value, each of which is true for this share of the rows.
    pub fn each(&self, root: Root<'p>, share: f64) -> Vec<Condition<'p>> {
        let (mut length, mut by_value) = (0, false);
        // SAFETY: looks at the type.
        let collation = unsafe {
            pg_sys::get_typlenbyval(self.element, &mut length, &mut by_value);
            pg_sys::get_typcollation(self.element)
        };
        let mut first: Option<Condition> = None;
        let conditions = self.values.iter().map(|value| {
            // SAFETY: the values are of this type, and the operator takes them.
            unsafe {
                let constant = pg_sys::makeConst(
                    self.element,
                    -1,
                    collation,
                    length.into(),
                    *value,
                    false,
                    by_value,
                );
                let clause = pg_sys::make_opclause(
                    self.list.opno,
                    pg_sys::BOOLOID,
                    false,
                    self.operand.copy().as_ptr().cast(),
                    constant.cast(),
                    pg_sys::InvalidOid,
                    self.list.inputcollid,
                );
                let operation = clause.cast::<pg_sys::OpExpr>();
                (*operation).opfuncid = self.list.opfuncid;
                pg_sys::set_opfuncid(operation);
                match first {
                    Some(first) => first.with_clause(Node::made(clause)),
                    None => {
                        let condition = self.condition.like(root, Node::made(clause));
                        *first.insert(condition.with_share(share))
                    }
                }
            }
        });
        conditions.collect()
    }
}

/// The function of a btree family that compares (BTORDER_PROC).
const BTREE_ORDER: i16 = 1;

/// How a family of operators orders the values of a list.
struct Order {
    function: pg_sys::FmgrInfo,
    collation: pg_sys::Oid,
}

impl Order {
    /// # Safety
    /// A btree family, and a list of values.
    unsafe fn of(family: pg_sys::Oid, list: &pg_sys::ScalarArrayOpExpr) -> Option<Order> {
        // SAFETY: look-ups in the system cache; the operator is in the family, as the index has matched it.
        unsafe {
            let (mut strategy, mut left, mut right) = (0, pg_sys::InvalidOid, pg_sys::InvalidOid);
            pg_sys::get_op_opfamily_properties(
                list.opno,
                family,
                false,
                &mut strategy,
                &mut left,
                &mut right,
            );
            let function = pg_sys::get_opfamily_proc(family, right, right, BTREE_ORDER);
            if function == pg_sys::InvalidOid {
                return None;
            }
            let mut order = Order {
                function: pg_sys::FmgrInfo::default(),
                collation: list.inputcollid,
            };
            pg_sys::fmgr_info(function, &mut order.function);
            Some(order)
        }
    }

    /// # Safety
    /// Values of the list.
    unsafe fn each_once(mut self, values: &mut Vec<pg_sys::Datum>) {
        let mut compare = |one: &pg_sys::Datum, other: &pg_sys::Datum| {
            // SAFETY: the function compares such values.
            let order = unsafe {
                pg_sys::FunctionCall2Coll(&mut self.function, self.collation, *one, *other)
            };
            (order.value() as i32).cmp(&0)
        };
        let is_ascending = values
            .windows(2)
            .all(|pair| compare(&pair[0], &pair[1]).is_lt());
        if !is_ascending {
            values.sort_by(&mut compare);
            values.dedup_by(|one, other| compare(one, other).is_eq());
        }
    }
}
