//! What all rules that become part of plans have in common.

use std::ffi::c_int;
use std::rc::Rc;

use deskguard_rules::Moment;
use pgrx::pg_sys;

use crate::pg::node::{CallExpr, Clause, Node};
use crate::pg::planner::{Plan, Root};
use crate::pg::support::{Answer, Selectivity, Simplify};
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
    /// The same, of the row that a command looks for by its key, to change it.
    AskedOfTarget(Asked),
    /// Folded with the agent's rights, or else asked when the statement runs.
    Rule {
        /// The table that the call names.
        table: Option<pg_sys::Oid>,
        asked: Asked,
        rule: T,
    },
}

/// What stands in a plan in place of a call.
pub struct Folded<'p> {
    pub now: Clause<'p>,
    /// When the agent's rights change, and what holds before and after that.
    pub later: Option<(Moment, Clause<'p>)>,
}

impl<'p> From<Clause<'p>> for Folded<'p> {
    fn from(now: Clause<'p>) -> Folded<'p> {
        Folded { now, later: None }
    }
}

impl From<bool> for Folded<'_> {
    fn from(value: bool) -> Self {
        Folded::from(Clause::Constant(value))
    }
}

/// Puts what a rule says for the agent in place of its call; none if the call stays. `subject` tells what
/// the call is about, and `fold` what that says with the agent's rights.
pub fn fold_call<'p, T>(
    request: Simplify<'p>,
    subject: impl FnOnce(Root<'p>, CallExpr<'p>) -> Subject<T>,
    fold: impl FnOnce(Plan<'p>, CallExpr<'p>, &Rc<Agent>, T) -> Option<Folded<'p>>,
) -> Option<Answer<'p>> {
    let call = request.call;
    // Without a plan to mark, the call must stay.
    let root = request.root?;
    let plan = root.plan()?;
    if is_for_later(call.arguments()) {
        return None;
    }
    let rule = match subject(root, call) {
        Subject::Nothing => return None,
        Subject::Constant(value) => return Some(request.is(Clause::Constant(value))),
        Subject::Rule { table, rule, .. } if settings::folding() && may_fold(table) => rule,
        Subject::Rule { asked, .. } | Subject::AskedWhenRun(asked) => {
            ask(plan.items(), asked);
            return None;
        }
        Subject::AskedOfTarget(asked) => {
            ask(plan.items(), asked);
            return Some(request.is(Clause::Is(call.of_target())));
        }
    };
    let Some(agent) = rights_of_plan(plan) else {
        return Some(request.is(Clause::Constant(false)));
    };
    let Folded { now, later } = fold(plan, call, &agent, rule)?;
    Some(request.is(match later {
        Some((moment, always)) => until(moment, now, always, for_later(call)),
        None => now,
    }))
}

/// The call for the time after a change. It names its table or, for a feature, its permission first.
fn for_later(call: CallExpr) -> Node {
    let later = call.copy();
    if let Some(first) = later
        .arguments()
        .first()
        .filter(|first| first.tag() == pg_sys::NodeTag::T_Const)
    {
        // SAFETY: a constant of the copy, which nobody else has yet.
        unsafe { (*first.as_ptr().cast::<pg_sys::Const>()).location = LATER };
    }
    later
}

fn is_for_later(arguments: &[Node]) -> bool {
    let first = arguments.first().and_then(|first| first.get());
    first.is_some_and(|constant: &pg_sys::Const| constant.location == LATER)
}

/// A plan is made for the time before the change: what comes later takes no rows away.
pub fn selectivity(request: Selectivity) -> Option<Answer> {
    is_for_later(request.arguments()).then(|| request.is(1.0))
}

/// The rights that a plan is made for, which is marked for them.
fn rights_of_plan(plan: Plan) -> Rights {
    marked(plan.items()).unwrap_or_else(|| {
        let (agent, rights, generation) = rights_to_plan_for();
        mark(plan.items(), Mark { generation, agent }, &rights);
        rights
    })
}
