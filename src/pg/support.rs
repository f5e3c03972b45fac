//! What the planner support functions have in common: how the planner asks them.

use std::ffi::c_int;
use std::marker::PhantomData;

use pgrx::{Internal, pg_sys};

use crate::pg::node::{CallExpr, Clause, Node, arguments, items};
use crate::pg::planner::Root;

/// What a support function can be asked about a call.
pub enum Request<'p> {
    Simplify(Simplify<'p>),
    Selectivity(Selectivity<'p>),
    IndexCondition(IndexCondition<'p>),
}

/// Is the call the same as something simpler? The call itself is gone after the answer: only copies of it go into
/// the plan.
#[derive(Clone, Copy)]
pub struct Simplify<'p> {
    /// None outside of queries.
    pub root: Option<Root<'p>>,
    pub call: CallExpr<'p>,
}

impl<'p> Simplify<'p> {
    pub fn is(self, clause: Clause<'p>) -> Answer<'p> {
        Answer(clause.as_ptr().into(), PhantomData)
    }
}

/// For how many rows is it true?
pub struct Selectivity<'p>(&'p mut pg_sys::SupportRequestSelectivity);

impl<'p> Selectivity<'p> {
    pub fn root(&self) -> Option<Root<'p>> {
        // SAFETY: the planner's, or one that was made for an estimate, while it asks.
        unsafe { Root::new(self.0.root) }
    }

    pub fn function(&self) -> pg_sys::Oid {
        self.0.funcid
    }

    pub fn arguments(&self) -> &'p [Node<'p>] {
        // SAFETY: the arguments of the call that is planned.
        unsafe { arguments(self.0.args) }
    }

    pub fn is_join(&self) -> bool {
        self.0.is_join
    }

    /// The number of the only table whose columns are to count; 0 for all.
    pub fn table_number(&self) -> c_int {
        self.0.varRelid
    }

    pub fn is(self, share: f64) -> Answer<'p> {
        self.0.selectivity = share;
        // The answer stands in the request.
        Answer(std::ptr::from_mut(self.0).into(), PhantomData)
    }
}

/// Is there a condition for an index of a table that leaves all rows for which it is true?
pub struct IndexCondition<'p>(&'p mut pg_sys::SupportRequestIndexCondition);

impl<'p> IndexCondition<'p> {
    pub fn root(&self) -> Option<Root<'p>> {
        // SAFETY: the planner asks while it plans.
        unsafe { Root::new(self.0.root) }
    }

    pub fn call(&self) -> Option<CallExpr<'p>> {
        // SAFETY: the condition that is planned.
        unsafe { Node::new(self.0.node) }?.call()
    }

    /// The last argument of the call, if that is what the index has.
    pub fn column(&self) -> Option<Node<'p>> {
        let (column, others) = self.call()?.arguments().split_last()?;
        (usize::try_from(self.0.indexarg).ok() == Some(others.len())).then_some(*column)
    }

    /// The family of operators of the index.
    pub fn family(&self) -> pg_sys::Oid {
        self.0.opfamily
    }

    pub fn collation(&self) -> pg_sys::Oid {
        self.0.indexcollation
    }

    /// The conditions of the query on the table.
    pub fn conditions_of_table(&self) -> Vec<Node<'p>> {
        // SAFETY: the index is one of a table of the query, with conditions on that.
        unsafe {
            let conditions = (*(*self.0.index).rel).baserestrictinfo;
            items::<pg_sys::RestrictInfo>(conditions)
                .iter()
                .filter_map(|condition| Node::new((**condition).clause.cast()))
                .collect()
        }
    }

    /// Whoever fulfils the condition fulfils the call, which need not be asked.
    pub fn is(self, condition: Node<'p>) -> Answer<'p> {
        self.0.lossy = false;
        // SAFETY: keeps the pointer.
        let list = unsafe { pg_sys::lappend(std::ptr::null_mut(), condition.as_ptr().cast()) };
        Answer(list.into(), PhantomData)
    }
}

/// An answer, of the form that its request wants: only that makes it.
pub struct Answer<'p>(pg_sys::Datum, PhantomData<&'p ()>);

/// Answers the planner, who takes another way if there is no answer.
///
/// # Safety
/// The request is the argument of a support function. SQL cannot call one: it has no value of type
/// internal, and for NULL a STRICT function is not called.
pub unsafe fn answer(
    request: Internal,
    answer: impl for<'p> FnOnce(Request<'p>) -> Option<Answer<'p>>,
) -> Internal {
    let asked = request.unwrap();
    // SAFETY: a request is a node, whose tag tells the type. The planner waits for the answer, and so what it asks
    // about stays as it is until then.
    let found = asked.and_then(|datum| unsafe {
        let node = datum.cast_mut_ptr::<pg_sys::Node>();
        let request = match (*node).type_ {
            pg_sys::NodeTag::T_SupportRequestSimplify => {
                let request = &*node.cast::<pg_sys::SupportRequestSimplify>();
                Request::Simplify(Simplify {
                    root: Root::new(request.root),
                    call: Node::new(request.fcall.cast())?.call()?,
                })
            }
            pg_sys::NodeTag::T_SupportRequestSelectivity => {
                Request::Selectivity(Selectivity(&mut *node.cast()))
            }
            pg_sys::NodeTag::T_SupportRequestIndexCondition => {
                Request::IndexCondition(IndexCondition(&mut *node.cast()))
            }
            _ => return None,
        };
        Some(answer(request)?.0)
    });
    // No answer is a null pointer, not NULL.
    Internal::from(Some(found.unwrap_or(0.into())))
}
