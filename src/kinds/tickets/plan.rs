//! Makes the rules part of the plan.
//!
//! The functions that policies call have a planner support function. Asked to simplify a call, it
//! answers with the condition for the current agent as one would write it by hand: literals on the
//! table's own columns, or true or false. The plan is then the one that the hand-written query gets.

use std::rc::Rc;

use deskguard_rules::{
    Access, Action, Change, Columns, Condition, Moment, Shape, past_silo_condition_at_least,
    silo_condition,
};
use pgrx::Internal;
use pgrx::prelude::*;

use crate::kinds::tickets::written_rows::is_view_of_written_row;
use crate::pg::node::{CallExpr, Clause};
use crate::pg::planner::{Plan, Root};
use crate::pg::support::{Answer, Request, Simplify, answer};
use crate::plan::condition::{Builder, TicketArguments};
use crate::plan::folding::{Folded, Subject, fold_call, selectivity};
use crate::plan::operand::Operand;
use crate::plan::single_row::{is_asked_by_key, target_table};
use crate::protection::rule_functions::rule_of;
use crate::rights::cache::Agent;
use crate::rights::known_tables;
use crate::rights::marks::{Asked, ask};
use crate::tables::key::KeyType;
use crate::tables::rule_function::{Argument, RuleFunction};
use crate::tables::ticket_table::TicketTable;

#[pg_extern(sql = false)]
fn rule_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Simplify(request) => simplify(request),
            Request::Selectivity(request) => selectivity(request),
            Request::IndexCondition(_) => None,
        })
    }
}

fn simplify(request: Simplify) -> Option<Answer> {
    fold_call(request, subject, fold)
}

/// A rule, of the table, with the columns of a call.
type TableRule<'p> = (Rule, Option<Rc<TicketTable>>, TicketArguments<'p>);

fn subject<'p>(root: Root<'p>, call: CallExpr<'p>) -> Subject<TableRule<'p>> {
    let Some(function) = rule_of(call.function()) else {
        return Subject::Nothing;
    };
    let Some(rule) = Rule::of(function) else {
        return Subject::Nothing;
    };
    if matches!(rule, Rule::Action(Action::View)) && is_view_of_written_row(root, call) {
        return Subject::Constant(true);
    }
    let Some(arguments) = arguments_of(function, call) else {
        return Subject::AskedWhenRun(Asked::Rules);
    };
    let table = known_tables::ticket_table(arguments.table);
    let is_by_key = || match (&table, arguments.a_column()) {
        (Some(table), Some(column)) => is_asked_by_key(root, column.node(), &table.id),
        _ => false,
    };
    // Somebody's own call: no row of the table has such a key.
    let is_of_other_kind = || {
        let table = table.as_ref().zip(arguments.id_type);
        table.is_some_and(|(table, id_type)| table.id_type != id_type)
    };
    if is_of_other_kind() {
        return Subject::AskedWhenRun(Asked::Rules);
    }
    if is_by_key() {
        let id = arguments.id.map(|id| id.node());
        let target = id.and_then(|id| target_table(root, id, rule.changed_by()));
        let target = target.and_then(known_tables::ticket_table);
        return match (&target, &table) {
            (Some(target), Some(table)) if target.oid == table.oid => {
                Subject::AskedOfTarget(Asked::Rules)
            }
            _ => Subject::AskedWhenRun(Asked::Rules),
        };
    }
    Subject::Rule {
        table: Some(arguments.table),
        asked: Asked::Rules,
        rule: (rule, table, arguments),
    }
}

/// The condition for an agent, and the one that holds where the rule does or will.
fn fold<'p>(
    plan: Plan<'p>,
    _: CallExpr<'p>,
    agent: &Rc<Agent>,
    (rule, table, arguments): TableRule<'p>,
) -> Option<Folded<'p>> {
    let Some(table) = table else {
        return Some(Folded::from(false));
    };
    let shape = table.shape();
    let clause = |access: &Access, condition: &Condition| -> Option<Clause<'p>> {
        let table_of_call = arguments.table;
        if condition.asks(&Condition::Followed) {
            ask(plan.items(), Asked::Followed(table_of_call));
        }
        if shape.requesters && condition.asks(&Condition::Requested) {
            ask(plan.items(), Asked::Requested(table_of_call));
        }
        let builder = Builder {
            access,
            keys: &agent.external_keys,
            table: &table,
            arguments: &arguments,
        };
        builder.clause(condition)
    };
    let now = clause(agent, &rule.condition_now(agent, shape))?;
    let later = match rule.to_come(agent) {
        Some((moment, from_now_on)) => {
            let condition = rule.condition_at_least(from_now_on, shape);
            Some((moment, clause(from_now_on, &condition)?))
        }
        None => None,
    };
    Some(Folded { now, later })
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

    /// The commands of whose row it is asked by a policy.
    fn changed_by(self) -> &'static [pg_sys::CmdType::Type] {
        match self {
            Rule::Action(Action::Change(Change::Modify)) => &[pg_sys::CmdType::CMD_UPDATE],
            Rule::Action(Action::Change(Change::Delete)) => &[pg_sys::CmdType::CMD_DELETE],
            _ => &[],
        }
    }

    fn condition_now(self, agent: &Rc<Agent>, shape: Shape) -> Rc<Condition> {
        match self {
            Rule::Silo => agent.silo_condition(shape),
            Rule::Action(action) => agent.past_silo_condition(shape, action),
        }
    }

    /// A condition that holds wherever the rule does for this access or for one that has less, at the
    /// time of the query.
    fn condition_at_least(self, access: &Access, shape: Shape) -> Condition {
        match self {
            Rule::Action(_) => past_silo_condition_at_least(access, shape),
            Rule::Silo => silo_condition(access, shape),
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

fn arguments_of<'p>(function: RuleFunction, call: CallExpr<'p>) -> Option<TicketArguments<'p>> {
    let given = call.arguments();
    let mut arguments = TicketArguments {
        table: call.table()?,
        table_argument: *given.first()?,
        id: None,
        id_type: None,
        columns: Columns::default(),
    };
    for (argument, node) in function.arguments().iter().zip(given) {
        match argument {
            Argument::RowKey => {
                arguments.id = Operand::of(*node);
                arguments.id_type = KeyType::of_type(node.type_oid());
            }
            Argument::Column(column) => *arguments.columns.get_mut(*column) = Some(*node),
            _ => {}
        }
    }
    Some(arguments)
}
