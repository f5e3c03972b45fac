//! Makes the rules part of the plan.
//!
//! The functions that policies call have a planner support function. Asked to simplify a call, it
//! answers with the condition for the current agent as one would write it by hand: literals on the
//! table's own columns, or true or false. The plan is then the one that the hand-written query gets.

use deskguard_rules::{
    Access, Action, Condition, Moment, Shape, past_silo_condition, silo_condition,
};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::kinds::tickets::written_rows::is_view_of_written_row;
use crate::pg::node::{boolean, items, named_table};
use crate::pg::support::{Answer, Request, answer};
use crate::plan::condition::{Builder, TicketArguments};
use crate::plan::folding::{for_later, is_for_later, rights_of_plan, selectivity};
use crate::plan::operand::Operand;
use crate::plan::single_row::is_asked_by_key;
use crate::plan::until::until;
use crate::rights::marks::{Asked, ask};
use crate::rights::statement::may_fold;
use crate::rights::{known_tables, settings};
use crate::tables::key::KeyType;
use crate::tables::principal::Principal;
use crate::tables::rule_function::{Argument, RuleFunction};

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
/// The request is the planner's.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        // Without a plan to mark, the call must stay.
        if request.root.is_null() || (*request.root).glob.is_null() {
            return None;
        }
        let call = &*request.fcall;
        if is_for_later(call.args) {
            return None;
        }
        let function = RuleFunction::of(call.funcid)?;
        let rule = Rule::of(function)?;
        if matches!(rule, Rule::Action(Action::View))
            && is_view_of_written_row(&*request.root, call)
        {
            return Some(boolean(true));
        }
        let plan = &mut *(*request.root).glob;
        let Some(arguments) = arguments_of(function, call) else {
            ask(&mut plan.invalItems, Asked::Rules);
            return None;
        };
        let table = known_tables::ticket_table(arguments.table);
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

/// What the function that a policy calls asks.
#[derive(Clone, Copy)]
enum Rule {
    Silo,
    Action(Action),
}

impl Rule {
    fn of(function: RuleFunction) -> Option<Rule> {
        match function {
            RuleFunction::Silo => Some(Rule::Silo),
            RuleFunction::Ticket(action) => Some(Rule::Action(action)),
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

/// # Safety
/// A call of the rule, whose tree lives as long as what is planned.
unsafe fn arguments_of(function: RuleFunction, call: &pg_sys::FuncExpr) -> Option<TicketArguments> {
    // SAFETY: as the caller promises.
    unsafe {
        let given = items::<pg_sys::Node>(call.args);
        let mut arguments = TicketArguments {
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
        for (argument, node) in function.arguments().iter().zip(given) {
            match argument {
                Argument::RowKey => {
                    arguments.id = Operand::of(*node);
                    arguments.id_type = KeyType::of_type(pg_sys::exprType(*node));
                }
                Argument::Principal(principal) => {
                    let column = match principal {
                        Principal::Agent => &mut arguments.assignee,
                        Principal::Team => &mut arguments.team,
                        Principal::Department => &mut arguments.department,
                        Principal::Category => &mut arguments.category,
                    };
                    *column = Operand::of(*node);
                }
                Argument::Confidential => arguments.confidential = Some(*node),
                _ => {}
            }
        }
        Some(arguments)
    }
}
