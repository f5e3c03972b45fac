//! The columns of the rows that triggers get, or that commands write.

use pgrx::prelude::*;

use crate::pg::node::Node;
use crate::pg::relation::{open, text};
use crate::tables::key::{Key, KeyRef, OwnedKey};
use crate::tables::trigger_call::TriggerCall;

/// A column of a table.
#[derive(Clone, Copy)]
pub struct Place {
    number: i16,
    pub type_oid: pg_sys::Oid,
    /// From others of its row, which is not done yet where a trigger runs before an UPDATE.
    pub is_generated: bool,
}

/// # Safety
/// The relation is open.
pub unsafe fn place(relation: &pg_sys::RelationData, column: &str) -> Option<Place> {
    // SAFETY: as the caller promises.
    let columns = unsafe { pgrx::PgTupleDesc::from_pg_unchecked(relation.rd_att) };
    (1..)
        .zip(columns.iter())
        .find(|(_, attribute)| !attribute.attisdropped && attribute.name() == column)
        .map(|(number, attribute)| Place {
            number,
            type_oid: attribute.atttypid,
            is_generated: attribute.attgenerated != 0,
        })
}

/// # Safety
/// The place is one of the descriptor, which is the row's.
pub unsafe fn value(
    row: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    place: Place,
) -> Option<pg_sys::Datum> {
    let mut is_null = false;
    let number = place.number.into();
    // SAFETY: as the caller promises.
    let datum = unsafe { pg_sys::heap_getattr(row, number, descriptor, &mut is_null) };
    (!is_null).then_some(datum)
}

/// A column of a type that keys have.
///
/// # Safety
/// The place is one of the descriptor, which is the row's; the row lives as long as the key.
pub unsafe fn key<'a>(
    row: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    place: Place,
) -> Option<KeyRef<'a>> {
    // SAFETY: as the caller promises.
    unsafe { KeyRef::from_datum(value(row, descriptor, place)?, place.type_oid) }
}

/// What a column has where an INSERT leaves it out, by its default: NULL if that is no constant. A boolean is 0 or 1,
/// what is no key its text.
pub fn default_value(table: pg_sys::Oid, column: &str) -> Option<OwnedKey> {
    let relation = open(table);
    // SAFETY: the relation is open, and the place is one of its; the value is copied before its memory is freed.
    unsafe {
        let Place {
            number,
            type_oid,
            is_generated,
        } = place(&relation, column)?;
        let default = pg_sys::build_column_default(relation.as_ptr(), number.into());
        if is_generated || !Node::new(default).is_some_and(is_constant) {
            return None;
        }
        let state = pg_sys::CreateExecutorState();
        let expression = pg_sys::ExecPrepareExpr(default.cast(), state);
        let context = pg_sys::MakePerTupleExprContext(state);
        let mut is_null = false;
        let value = pg_sys::ExecEvalExprSwitchContext(expression, context, &mut is_null);
        let known = (!is_null).then(|| match type_oid {
            pg_sys::BOOLOID => Key::Number((value.value() != 0).into()),
            _ => match KeyRef::from_datum(value, type_oid) {
                Some(key) => key.to_owned(),
                None => Key::Text(output(value, type_oid).into()),
            },
        });
        pg_sys::FreeExecutorState(state);
        known
    }
}

/// Is it a constant, or made of constants by functions of PostgreSQL's own that are immutable? To answer a question
/// nobody else's are run: neither with the rights of who asks, nor with the owner's under a search_path of who asks.
fn is_constant(expression: Node) -> bool {
    let expression = expression.without_relabeling();
    let is_own = |call: &pg_sys::FuncExpr| {
        // SAFETY: looks at the expression.
        call.funcid.to_u32() < pg_sys::FirstNormalObjectId
            && !unsafe { pg_sys::contain_mutable_functions(expression.as_ptr()) }
    };
    expression.get::<pg_sys::Const>().is_some()
        || expression.get().is_some_and(is_own)
            && expression
                .arguments()
                .iter()
                .all(|argument| is_constant(*argument))
}

/// A value as its type writes it.
///
/// # Safety
/// The value is of the type.
unsafe fn output(value: pg_sys::Datum, type_oid: pg_sys::Oid) -> String {
    let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
    // SAFETY: as the caller promises.
    unsafe {
        pg_sys::getTypeOutputInfo(type_oid, &mut function, &mut is_varlena);
        text(pg_sys::OidOutputFunctionCall(function, value)).unwrap_or_default()
    }
}

/// A column of the row that an UPDATE is about to write. One that is generated is computed here as PostgreSQL
/// will do: the row still has the former value.
///
/// # Safety
/// The place is one of the table's.
pub unsafe fn new_key(call: &TriggerCall, place: Place) -> Option<OwnedKey> {
    // SAFETY: as the caller promises; the value of a column is copied before its memory is freed.
    unsafe {
        let relation = std::ptr::from_ref(call.relation()).cast_mut();
        if !place.is_generated {
            let key = key(call.new_row(), (*relation).rd_att, place);
            return key.map(KeyRef::to_owned);
        }
        let state = pg_sys::CreateExecutorState();
        let expression = pg_sys::build_column_default(relation, place.number.into());
        let expression = pg_sys::ExecPrepareExpr(expression.cast(), state);
        let context = pg_sys::MakePerTupleExprContext(state);
        (*context).ecxt_scantuple = call.new_slot();
        let mut is_null = false;
        let value = pg_sys::ExecEvalExprSwitchContext(expression, context, &mut is_null);
        let key = if is_null {
            None
        } else {
            KeyRef::from_datum(value, place.type_oid).map(KeyRef::to_owned)
        };
        pg_sys::FreeExecutorState(state);
        key
    }
}
