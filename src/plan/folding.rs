//! What all rules that become part of plans have in common.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::pg::node::{as_node, items};
use crate::rights::cache::Rights;
use crate::rights::marks::{Mark, mark, marked};
use crate::rights::statement::rights_to_plan_for;

/// Where a plan has a call for the time after a change of rights, the call's first argument, a constant,
/// has this in place of its location in the query: the planner, which looks at conditions again for each
/// partition, is not to fold it.
const LATER: c_int = -0xDE5C;

/// The call for the time after a change.
///
/// # Safety
/// A call of ours in a policy, which names its table or, for a feature, its permission first.
pub unsafe fn for_later(call: &pg_sys::FuncExpr) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises; a copy is of the same type.
    unsafe {
        let call: *mut pg_sys::FuncExpr =
            pg_sys::copyObjectImpl(std::ptr::from_ref(call).cast()).cast();
        let first = items::<pg_sys::Node>((*call).args).first();
        if let Some(first) = first.filter(|first| as_node::<pg_sys::Const>(**first).is_some()) {
            (*first.cast::<pg_sys::Const>()).location = LATER;
        }
        call.cast()
    }
}

/// # Safety
/// The arguments of a call of ours.
pub unsafe fn is_for_later(arguments: *mut pg_sys::List) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let first = items::<pg_sys::Node>(arguments).first();
        let constant = first.and_then(|first| as_node::<pg_sys::Const>(*first));
        constant.is_some_and(|constant| constant.location == LATER)
    }
}

/// A plan is made for the time before the change: what comes later takes no rows away.
///
/// # Safety
/// The request is the planner's.
pub unsafe fn selectivity(request: &mut pg_sys::SupportRequestSelectivity) -> bool {
    // SAFETY: as the caller promises.
    let is_for_later = unsafe { is_for_later(request.args) };
    if is_for_later {
        request.selectivity = 1.0;
    }
    is_for_later
}

/// The rights that a plan is made for, which is marked for them.
///
/// # Safety
/// The plan is one in the making.
pub unsafe fn rights_of_plan(plan: &mut pg_sys::PlannerGlobal) -> Rights {
    // SAFETY: as the caller promises.
    unsafe {
        marked(plan).unwrap_or_else(|| {
            let (agent, rights, generation) = rights_to_plan_for();
            mark(plan, Mark { generation, agent }, &rights);
            rights
        })
    }
}
