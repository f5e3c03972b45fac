//! Conditions that change at a moment.

use deskguard_rules::Moment;
use pgrx::pg_sys;

use crate::pg::node::{Clause, Node, all, any};

/// What holds now, until a moment, and from then on what a call answers when the query runs. `always`
/// holds whenever one of the two does: it is what an index can use.
///
/// In this form rather than as "one or the other", since the planner then takes the condition on the
/// call, which it knows to take no rows away, for no condition at all.
pub fn until<'p>(
    moment: Moment,
    now: Clause<'p>,
    always: Clause<'p>,
    call: Node<'p>,
) -> Clause<'p> {
    /// Operators "timestamptz < timestamptz" and ">=".
    const BEFORE: u32 = 1322;
    const NOT_BEFORE: u32 = 1325;
    // SAFETY: just made, beside the call.
    let transaction_is = |operator| Clause::Is(unsafe { Node::made(compare(operator, moment)) });
    let mut parts = vec![always];
    if !now.equals(always) {
        parts.push(any([now, transaction_is(NOT_BEFORE)]));
    }
    parts.push(any([transaction_is(BEFORE), Clause::Is(call)]));
    all(parts)
}

/// Compares now() with a moment, by an operator on timestamptz.
fn compare(operator: u32, moment: Moment) -> *mut pg_sys::Node {
    // SAFETY: the nodes are new, and the operator takes the two.
    unsafe {
        let now = pg_sys::makeFuncExpr(
            pg_sys::F_NOW.into(),
            pg_sys::TIMESTAMPTZOID,
            std::ptr::null_mut(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        let moment = pg_sys::makeConst(
            pg_sys::TIMESTAMPTZOID,
            -1,
            pg_sys::InvalidOid,
            8,
            moment.into(),
            false,
            true,
        );
        let clause = pg_sys::make_opclause(
            operator.into(),
            pg_sys::BOOLOID,
            false,
            now.cast(),
            moment.cast(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
        );
        pg_sys::set_opfuncid(clause.cast());
        clause.cast()
    }
}
