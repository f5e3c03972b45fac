//! What the rules of messages, followers and the like tell the planner.

use std::rc::Rc;

use deskguard_rules::{Access, Action, Change, Condition, InternalCondition, internal_condition};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::pg::node::{CallExpr, Clause, Node, any, named_table};
use crate::pg::planner::{Plan, Root};
use crate::pg::support::{Answer, IndexCondition, Request, Selectivity, Simplify, answer};
use crate::plan::folding::{self, Folded, Subject, fold_call};
use crate::plan::literal::ColumnType;
use crate::plan::operand::{ListOperator, Operand};
use crate::plan::single_row::{is_asked_by_key, target_table};
use crate::protection::rule_functions::rule_of;
use crate::protection::table_policies::TablePolicies;
use crate::rights::cache::Agent;
use crate::rights::known_tables;
use crate::rights::marks::Asked;
use crate::rights::statement::rights_to_estimate_for;
use crate::rows::estimate::estimate;
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::foreign_keys;
use crate::tables::rule_function::RuleFunction;

#[pg_extern(sql = false)]
fn child_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Simplify(request) => simplify(request),
            Request::Selectivity(request) => selectivity(request),
            Request::IndexCondition(request) => index_condition(request),
        })
    }
}

/// The action that a function asks about.
fn action_of(function: pg_sys::Oid) -> Option<Action> {
    rule_of(function)?.action()
}

/// The function that gives the whole list of the rows that [`action_of`] is about.
fn list_function(action: Action) -> Option<&'static str> {
    match action {
        VIEW => Some("visible_parents"),
        EDIT => Some("editable_parents"),
        _ => None,
    }
}

/// The table that a call names, and the column that it asks about.
fn table_and_column<'p>(arguments: &[Node<'p>]) -> Option<(pg_sys::Oid, Node<'p>)> {
    named_table(arguments).zip(arguments.get(1).copied())
}

/// Of the ticket the rule as a constant, where it is the same for all rows; of an internal message as a condition.
fn simplify(request: Simplify) -> Option<Answer> {
    match action_of_internal(request.call.function()) {
        Some(action) => fold_call(
            request,
            |root, call| internal_subject(root, call, action),
            fold_internal,
        ),
        None => fold_call(request, subject, fold),
    }
}

/// What is asked of the rows of a table, and the column that says which ticket they belong to.
struct TableRule<'p> {
    action: Action,
    table: Option<Rc<ChildTable>>,
    column: Node<'p>,
}

fn subject<'p>(root: Root<'p>, call: CallExpr<'p>) -> Subject<TableRule<'p>> {
    let known = table_and_column(call.arguments()).zip(action_of(call.function()));
    let Some(((named, column), action)) = known else {
        return Subject::AskedWhenRun(Asked::Rules);
    };
    let table = known_tables::child_table(named);
    let child = table.as_deref();
    let is_called =
        |child: &ChildTable| is_of_other_kind(column, child) || is_by_key(root, column, child);
    if action == REPLY || child.is_some_and(is_called) {
        return match child {
            // Of a row that may be internal its own rule says more.
            Some(child)
                if action == EDIT && child.internal.is_none() && is_target(root, column, child) =>
            {
                Subject::AskedOfTarget(Asked::Rules)
            }
            _ => Subject::AskedWhenRun(Asked::Rules),
        };
    }
    Subject::Rule {
        table: Some(named),
        asked: Asked::Rules,
        rule: TableRule {
            action,
            table,
            column,
        },
    }
}

/// Somebody's own call: no row belongs to such a key.
fn is_of_other_kind(key: Node, child: &ChildTable) -> bool {
    let asked = ColumnType::of(key).map(ColumnType::key_type);
    asked.is_none() || asked != child.column_type
}

/// A row is written by a call, and found by one where a ticket or message is named: a plan for that serves all
/// agents.
fn is_by_key(root: Root, column: Node, child: &ChildTable) -> bool {
    let keys = [Some(&child.column), child.id.as_ref()];
    let mut keys = keys.into_iter().flatten();
    keys.any(|key| is_asked_by_key(root, column, key))
}

/// A command that looks for a row by its own key.
fn is_target(root: Root, column: Node, child: &ChildTable) -> bool {
    let is_asked = |id: &String| is_asked_by_key(root, column, id);
    let commands = [pg_sys::CmdType::CMD_UPDATE, pg_sys::CmdType::CMD_DELETE];
    let target = target_table(root, column, &commands);
    let target = target.and_then(known_tables::child_table);
    child.id.as_ref().is_some_and(is_asked) && target.is_some_and(|target| target.oid == child.oid)
}

/// True of all rows, or of none; else the call stays.
fn fold<'p>(
    plan: Plan<'p>,
    call: CallExpr<'p>,
    access: &Rc<Agent>,
    rule: TableRule<'p>,
) -> Option<Folded<'p>> {
    let TableRule { action, column, .. } = rule;
    let Some(child) = rule.table else {
        return Some(Folded::from(false));
    };
    // What is so for all rows now may not be later.
    if access.time().until.is_some() {
        return None;
    }
    let shape = child.tickets().shape();
    let conditions = [
        access.silo_condition(shape),
        access.past_silo_condition(shape, action),
    ];
    let named = call.table()?;
    let are = |value| move |condition: &Rc<Condition>| **condition == Condition::Constant(value);
    if conditions.iter().any(are(false)) {
        Some(Folded::from(false))
    } else if conditions.iter().all(are(true))
        && foreign_keys::lead_to_tickets(named, &child)
        && rules_decide(&child.parent, access, action)
    {
        depend_on(plan, &child.parent);
        Some(Folded::from(column.is_null(true)))
    } else {
        None
    }
}

/// Is it only the rules that hide rows of the parent, and of what is above it, from the agent?
fn rules_decide(parent: &Parent, access: &Agent, action: Action) -> bool {
    let policies = TablePolicies::of(parent.oid());
    !policies.hide_more()
        && policies.allow(access, action)
        && match parent {
            Parent::Tickets(_) => true,
            Parent::Messages(messages) => {
                internal_of(messages, access, action) == InternalCondition::Nothing
                    && rules_decide(&messages.parent, access, action)
            }
        }
}

/// What is asked of the rows of a table since they may be internal.
fn internal_of(child: &ChildTable, access: &Access, action: Action) -> InternalCondition {
    match child.internal {
        Some(_) => internal_condition(access, action, child.author.is_some()),
        None => InternalCondition::Nothing,
    }
}

/// The action that a function asks about with a message that may be internal.
fn action_of_internal(function: pg_sys::Oid) -> Option<Action> {
    match rule_of(function)? {
        RuleFunction::InternalSeen => Some(VIEW),
        RuleFunction::InternalChange => Some(EDIT),
        _ => None,
    }
}

/// What is asked of messages that may be internal.
struct InternalRule<'p> {
    action: Action,
    table: Option<Rc<ChildTable>>,
    internal: Node<'p>,
    author: Node<'p>,
}

fn internal_subject<'p>(
    root: Root<'p>,
    call: CallExpr<'p>,
    action: Action,
) -> Subject<InternalRule<'p>> {
    let (Some(named), [.., internal, author]) = (call.table(), call.arguments()) else {
        return Subject::AskedWhenRun(Asked::Rules);
    };
    let table = known_tables::child_table(named);
    let key = call.arguments().get(1);
    let is_called = |child: &ChildTable| {
        is_by_key(root, *internal, child) || key.is_none_or(|key| is_of_other_kind(*key, child))
    };
    match table.as_deref() {
        Some(child) if action == EDIT && is_target(root, *internal, child) => {
            Subject::AskedOfTarget(Asked::Rules)
        }
        Some(child) if is_called(child) => Subject::AskedWhenRun(Asked::Rules),
        _ => Subject::Rule {
            table: Some(named),
            asked: Asked::Rules,
            rule: InternalRule {
                action,
                table,
                internal: *internal,
                author: *author,
            },
        },
    }
}

fn fold_internal<'p>(
    _: Plan<'p>,
    _: CallExpr<'p>,
    agent: &Rc<Agent>,
    rule: InternalRule<'p>,
) -> Option<Folded<'p>> {
    let Some(child) = &rule.table else {
        return Some(Folded::from(false));
    };
    // NULL is not true either: where it is not known, a message is internal.
    let public = || Clause::Is(rule.internal.copy()).not();
    let clause = |access: &Access| {
        Some(match internal_of(child, access, rule.action) {
            InternalCondition::Nothing => Clause::Constant(true),
            InternalCondition::ByTicket => return None,
            InternalCondition::Public => public(),
            InternalCondition::PublicOrOwn => {
                let author = Operand::of(rule.author)?;
                let own = author.any_id_of(&[agent.agent], &agent.external_keys, false);
                any([public(), own])
            }
        })
    };
    let later = match agent.rest_to_come() {
        Some((moment, from_now_on)) => Some((moment, clause(from_now_on)?)),
        None => None,
    };
    Some(Folded {
        now: clause(agent)?,
        later,
    })
}

/// A plan that asks nothing of the parents is made anew when their policies change.
fn depend_on(plan: Plan, parent: &Parent) {
    plan.depends_on(parent.oid());
    if let Parent::Messages(messages) = parent {
        depend_on(plan, &messages.parent);
    }
}

fn selectivity(request: Selectivity) -> Option<Answer> {
    if action_of_internal(request.function()).is_some() {
        return folding::selectivity(request);
    }
    let action = action_of(request.function())?;
    let (table, _) = table_and_column(request.arguments())?;
    let share = share(request.root(), table, action)?;
    Some(request.is(share))
}

fn share(root: Option<Root>, table: pg_sys::Oid, action: Action) -> Option<f64> {
    let child = known_tables::child_table(table)?;
    Some(match rights_to_estimate_for(root) {
        Some(access) => estimate(&access, &child.parent, action).share,
        None => 0.0,
    })
}

/// The largest share of a table that is looked up by an index.
const MOST_PARENTS_BY_INDEX: f64 = 0.05;

/// `column = ANY (list())`, for an index on the column.
fn index_condition(request: IndexCondition) -> Option<Answer> {
    let call = request.call()?;
    let action = action_of(call.function())?;
    let table = call.table()?;
    let operator = ListOperator::of(&request)?;
    if share(request.root(), table, action)? > MOST_PARENTS_BY_INDEX
        || is_looked_up(&request, operator.column())
    {
        return None;
    }
    operator.condition(request, list_function(action)?)
}

/// Does the query itself ask for some values of the column? Then these are looked up, and the whole list
/// need not be read, once or, where it joins, again and again.
fn is_looked_up(request: &IndexCondition, column: Node) -> bool {
    let Some(root) = request.root() else {
        return false;
    };
    let column = column.without_relabeling();
    let is = |node: Node, wanted| node.without_relabeling().equals(wanted);
    // column = something, or of another table
    let of_query = column_of_query(root, column);
    let is_equal = root
        .equal_expressions()
        .any(|mut all| all.clone().nth(1).is_some() && all.any(|one| is(one, of_query)));
    // column = ANY (some)
    is_equal
        || request.conditions_of_table().into_iter().any(|condition| {
            let is_any = condition
                .get::<pg_sys::ScalarArrayOpExpr>()
                .is_some_and(|clause| clause.useOr);
            is_any
                && condition
                    .arguments()
                    .first()
                    .is_some_and(|of| is(*of, column))
        })
}

/// A partition's column as the table above has it, which the query names.
fn column_of_query<'p>(root: Root<'p>, column: Node<'p>) -> Node<'p> {
    if column.get::<pg_sys::Var>().is_none() {
        return column;
    }
    let copy = column.copy();
    // SAFETY: a variable that nobody else has yet; the parent's columns are numbered by the partition's.
    unsafe {
        let variable = copy.as_ptr().cast::<pg_sys::Var>();
        while let Some(child) = root.partition((*variable).varno as usize) {
            let number = (*variable).varattno;
            if number < 1 || i32::from(number) > child.num_child_cols {
                break;
            }
            (*variable).varno = child.parent_relid as _;
            (*variable).varattno = *child.parent_colnos.add(number as usize - 1);
        }
    }
    copy
}

const VIEW: Action = Action::View;

const REPLY: Action = Action::Change(Change::Reply);

const EDIT: Action = Action::Change(Change::EditMessages);
