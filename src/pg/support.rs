//! What the planner support functions have in common: how the planner asks them.

use pgrx::{Internal, pg_sys};

/// What a support function can be asked about a call.
pub enum Request<'a> {
    Simplify(&'a pg_sys::SupportRequestSimplify),
    Selectivity(&'a mut pg_sys::SupportRequestSelectivity),
    IndexCondition(&'a mut pg_sys::SupportRequestIndexCondition),
}

/// What it answers.
pub enum Answer {
    /// The call in another form, or the conditions for an index.
    Is(pg_sys::Datum),
    /// It stands in the request.
    InRequest,
}

impl<T> From<*mut T> for Answer {
    fn from(node: *mut T) -> Answer {
        Answer::Is(pg_sys::Datum::from(node))
    }
}

/// Answers the planner, who takes another way if there is no answer.
///
/// # Safety
/// The request is the argument of a support function. SQL cannot call one: it has no value of type
/// internal, and for NULL a STRICT function is not called.
pub unsafe fn answer(
    request: Internal,
    answer: impl FnOnce(Request) -> Option<Answer>,
) -> Internal {
    let asked = request.unwrap();
    // SAFETY: a request is a node, whose tag tells the type.
    let found = asked.and_then(|datum| unsafe {
        let node = datum.cast_mut_ptr::<pg_sys::Node>();
        let request = match (*node).type_ {
            pg_sys::NodeTag::T_SupportRequestSimplify => Request::Simplify(&*node.cast()),
            pg_sys::NodeTag::T_SupportRequestSelectivity => Request::Selectivity(&mut *node.cast()),
            pg_sys::NodeTag::T_SupportRequestIndexCondition => {
                Request::IndexCondition(&mut *node.cast())
            }
            _ => return None,
        };
        Some(match answer(request)? {
            Answer::Is(answer) => answer,
            Answer::InRequest => datum,
        })
    });
    // No answer is a null pointer, not NULL.
    Internal::from(Some(found.unwrap_or(0.into())))
}
