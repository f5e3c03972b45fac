//! What all rules that become part of plans have in common.

use std::ffi::c_int;
use std::rc::Rc;

use deskguard_rules::Moment;
use pgrx::pg_sys;

use crate::pg::node::{as_node, boolean, items};
use crate::plan::until::until;
use crate::rights::cache::{Agent, Rights};
use crate::rights::marks::{Asked, Mark, ask, mark, marked};
use crate::rights::settings;
use crate::rights::statement::{may_fold, rights_to_plan_for};

/// Where a plan has a call for the time after a change of rights, the call's first argument, a constant,
/// has this in place of its location in the query: the planner, which looks at conditions again for each
/// partition, is not to fold it.
const LATER: c_int = -0xDE5C;

/// What a call that may become part of a plan is about.
pub enum Subject<T> {
    /// None of the rules: the call stays.
    Nothing,
    /// The same for everyone.
    Constant(bool),
    /// Not to be known while planning: asked when the statement runs.
    AskedWhenRun(Asked),
    /// Folded with the agent's rights, or else asked when the statement runs.
    Rule {
        /// The table that the call names.
        table: Option<pg_sys::Oid>,
        asked: Asked,
        rule: T,
    },
}

/// What stands in a plan in place of a call.
pub struct Folded {
    pub now: *mut pg_sys::Node,
    /// When the agent's rights change, and what holds before and after that.
    pub later: Option<(Moment, *mut pg_sys::Node)>,
}

impl From<bool> for Folded {
    fn from(value: bool) -> Folded {
        Folded {
            now: boolean(value),
            later: None,
        }
    }
}

/// Puts what a rule says for the agent in place of its call; none if the call stays. `subject` tells what
/// the call is about, and `fold` what that says with the agent's rights.
///
/// # Safety
/// As called by the planner.
pub unsafe fn fold_call<T>(
    request: &pg_sys::SupportRequestSimplify,
    subject: impl FnOnce(&pg_sys::PlannerInfo, &pg_sys::FuncExpr) -> Subject<T>,
    fold: impl FnOnce(&mut pg_sys::PlannerGlobal, &pg_sys::FuncExpr, &Rc<Agent>, T) -> Option<Folded>,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the planner has it: a call with its arguments, of the plan in the making.
    unsafe {
        // Without a plan to mark, the call must stay.
        if request.root.is_null() || (*request.root).glob.is_null() {
            return None;
        }
        let call = &*request.fcall;
        if is_for_later(call.args) {
            return None;
        }
        let subject = subject(&*request.root, call);
        let plan = &mut *(*request.root).glob;
        let rule = match subject {
            Subject::Nothing => return None,
            Subject::Constant(value) => return Some(boolean(value)),
            Subject::Rule { table, rule, .. } if settings::folding() && may_fold(table) => rule,
            Subject::Rule { asked, .. } | Subject::AskedWhenRun(asked) => {
                ask(&mut plan.invalItems, asked);
                return None;
            }
        };
        let Some(agent) = rights_of_plan(plan) else {
            return Some(boolean(false));
        };
        let Folded { now, later } = fold(plan, call, &agent, rule)?;
        Some(match later {
            Some((moment, always)) => until(moment, now, always, for_later(call)),
            None => now,
        })
    }
}

/// The call for the time after a change.
///
/// # Safety
/// A call of ours in a policy, which names its table or, for a feature, its permission first.
unsafe fn for_later(call: &pg_sys::FuncExpr) -> *mut pg_sys::Node {
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
unsafe fn is_for_later(arguments: *mut pg_sys::List) -> bool {
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
unsafe fn rights_of_plan(plan: &mut pg_sys::PlannerGlobal) -> Rights {
    // SAFETY: as the caller promises.
    unsafe {
        marked(plan).unwrap_or_else(|| {
            let (agent, rights, generation) = rights_to_plan_for();
            mark(plan, Mark { generation, agent }, &rights);
            rights
        })
    }
}
