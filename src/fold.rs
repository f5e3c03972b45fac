//! Makes the rules part of the plan.
//!
//! The functions that policies call have a planner support function. Asked to simplify a call, it
//! answers with the condition for the current agent as one would write it by hand: literals on the
//! table's own columns, or true or false. The plan is then the one that the hand-written query gets.

use std::ffi::c_int;

use deskguard_rules::{
    Access, Action, Change, Condition, Moment, Shape, past_silo_condition, silo_condition,
};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::catalog::own_function_name;
use crate::expression::{Builder, Operand, as_node, boolean, items, named_table, until};
use crate::key::KeyType;
use crate::plan_mark::{Asked, Mark, Rights, ask, mark, marked};
use crate::planner_support::{Answer, Request, answer};
use crate::single_row::is_asked_by_key;
use crate::statement::{may_fold, rights_to_plan_for};
use crate::write::is_view_of_written_row;
use crate::{cache, settings};

#[pg_extern(sql = false)]
fn rule_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Simplify(request) => simplify(request).map(Answer::from),
            Request::Selectivity(request) => selectivity(request).then_some(Answer::InRequest),
            Request::IndexCondition(_) => None,
        })
    }
}

/// # Safety
/// As called by the planner.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    unsafe {
        // Without a plan to mark, the call must stay.
        if request.root.is_null() || (*request.root).glob.is_null() {
            return None;
        }
        let call = &*request.fcall;
        if is_for_later(call.args) {
            return None;
        }
        let rule = Rule::of(call.funcid)?;
        if matches!(rule, Rule::Action(Action::View))
            && is_view_of_written_row(&*request.root, call)
        {
            return Some(boolean(true));
        }
        let plan = &mut *(*request.root).glob;
        let Some(arguments) = Arguments::of(rule, call) else {
            ask(&mut plan.invalItems, Asked::Rules);
            return None;
        };
        let table = cache::ticket_table(arguments.table);
        let is_by_key = || match (&table, arguments.a_column()) {
            (Some(table), Some(column)) => {
                is_asked_by_key(&*request.root, column.node(), &table.id)
            }
            _ => false,
        };
        // Somebody's own call: no row of the table has such a key.
        let is_of_other_kind = || {
            let table = table.as_ref().zip(arguments.id_type);
            table.is_some_and(|(table, id_type)| table.id_type != id_type)
        };
        if !settings::folding()
            || is_of_other_kind()
            || is_by_key()
            || !may_fold(Some(arguments.table))
        {
            ask(&mut plan.invalItems, Asked::Rules);
            return None;
        }
        let rights = rights_of_plan(plan);
        let (Some(access), Some(table)) = (rights, table) else {
            return Some(boolean(false));
        };
        let keys = access.external_keys.clone();
        let expression = |access: &Access, condition| {
            let builder = Builder {
                access,
                keys: &keys,
                table: &table,
                arguments: &arguments,
            };
            builder.expression(&condition)
        };
        let mut expression = |access: &Access, condition: Condition| {
            if condition.asks_followed() {
                ask(&mut plan.invalItems, Asked::Followed(arguments.table));
            }
            expression(access, condition)
        };
        let shape = table.shape();
        let now = expression(&access, rule.condition(&access, shape))?;
        let Some((moment, from_now_on)) = rule.to_come(&access) else {
            return Some(now);
        };
        let always = expression(from_now_on, rule.condition_at_least(from_now_on, shape))?;
        Some(until(moment, now, always, for_later(call)))
    }
}

/// Where a plan has a call for the time after a change of rights, the call's first argument, a constant,
/// has this in place of its location in the query: the planner, which looks at conditions again for each
/// partition, is not to fold it.
const LATER: c_int = -0xDE5C;

/// The call for the time after a change.
///
/// # Safety
/// A call of ours in a policy, which names its table or, for a feature, its permission first.
pub unsafe fn for_later(call: &pg_sys::FuncExpr) -> *mut pg_sys::Node {
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
    unsafe {
        let first = items::<pg_sys::Node>(arguments).first();
        let constant = first.and_then(|first| as_node::<pg_sys::Const>(*first));
        constant.is_some_and(|constant| constant.location == LATER)
    }
}

/// A plan is made for the time before the change: what comes later takes no rows away.
///
/// # Safety
/// As called by the planner.
pub unsafe fn selectivity(request: &mut pg_sys::SupportRequestSelectivity) -> bool {
    let is_for_later = unsafe { is_for_later(request.args) };
    if is_for_later {
        request.selectivity = 1.0;
    }
    is_for_later
}

/// The rights that a plan is made for, which is marked for them.
///
/// # Safety
/// Called while planning.
pub unsafe fn rights_of_plan(plan: &mut pg_sys::PlannerGlobal) -> Rights {
    unsafe {
        marked(plan).unwrap_or_else(|| {
            let (agent, rights, generation) = rights_to_plan_for();
            mark(plan, Mark { generation, agent }, &rights);
            rights
        })
    }
}

/// The function that a policy calls.
#[derive(Clone, Copy)]
enum Rule {
    Silo,
    Action(Action),
}

impl Rule {
    fn of(function: pg_sys::Oid) -> Option<Rule> {
        let name = own_function_name(function)?;
        match name.to_bytes() {
            b"silo_ok" => Some(Rule::Silo),
            b"view_ok" => Some(Rule::Action(Action::View)),
            b"modify_ok" => Some(Rule::Action(Action::Change(Change::Modify))),
            b"reply_ok" => Some(Rule::Action(Action::Change(Change::Reply))),
            b"edit_messages_ok" => Some(Rule::Action(Action::Change(Change::EditMessages))),
            b"delete_ok" => Some(Rule::Action(Action::Change(Change::Delete))),
            _ => None,
        }
    }

    fn condition(self, access: &Access, shape: Shape) -> Condition {
        match self {
            Rule::Silo => silo_condition(access, shape),
            Rule::Action(action) => past_silo_condition(access, shape, action),
        }
    }

    /// A condition that holds wherever the rule does for this access or for one that has less, at the
    /// time of the query.
    fn condition_at_least(self, access: &Access, shape: Shape) -> Condition {
        match self {
            // An agent that leaves a team may gain by that: what was its own is assigned to others,
            // and it may change these. But it must see what it changes.
            Rule::Action(_) => Rule::Action(Action::View).condition(access, shape),
            Rule::Silo => self.condition(access, shape),
        }
    }

    /// When the agent's rights change, and at least those that it has from now on.
    fn to_come(self, access: &Access) -> Option<(Moment, &Access)> {
        match self {
            Rule::Silo => access.categories_to_come(),
            Rule::Action(_) => access.rest_to_come(),
        }
    }
}

/// The arguments of a call: the columns, as far as the function has them.
pub struct Arguments {
    pub table: pg_sys::Oid,
    pub table_argument: *mut pg_sys::Node,
    pub id: Option<Operand>,
    /// Of what kind the id is.
    pub id_type: Option<KeyType>,
    pub category: Option<Operand>,
    pub department: Option<Operand>,
    pub assignee: Option<Operand>,
    pub team: Option<Operand>,
    pub confidential: Option<*mut pg_sys::Node>,
}

impl Arguments {
    unsafe fn of(rule: Rule, call: &pg_sys::FuncExpr) -> Option<Arguments> {
        unsafe {
            let given = items::<pg_sys::Node>(call.args);
            let operand = |n| Operand::of(*given.get(n)?);
            let mut arguments = Arguments {
                table: named_table(call.args)?,
                table_argument: *given.first()?,
                id: None,
                id_type: None,
                category: None,
                department: None,
                assignee: None,
                team: None,
                confidential: None,
            };
            match rule {
                Rule::Silo => arguments.category = operand(1),
                Rule::Action(_) => {
                    arguments.id = operand(1);
                    arguments.id_type = given
                        .get(1)
                        .and_then(|id| KeyType::of_type(pg_sys::exprType(*id)));
                    arguments.department = operand(2);
                    arguments.assignee = operand(3);
                    arguments.team = operand(4);
                    arguments.confidential = given.get(5).copied();
                }
            }
            Some(arguments)
        }
    }

    fn a_column(&self) -> Option<Operand> {
        self.id.or(self.category)
    }
}
