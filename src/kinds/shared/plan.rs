//! What the rules of shared objects tell the planner.

use std::ffi::c_int;
use std::rc::Rc;

use deskguard_rules::{Access, SharedCondition, change_shared_condition, see_shared_condition};
use pgrx::Internal;
use pgrx::prelude::*;

use crate::pg::node::{CallExpr, Clause, Node, any, named_table};
use crate::pg::planner::{Plan, Root};
use crate::pg::support::{Answer, IndexCondition, Request, Selectivity, Simplify, answer};
use crate::plan::condition::rule_call;
use crate::plan::folding::{self, Folded, Subject, fold_call};
use crate::plan::fraction::{Column, MOST_BY_INDEX, share_of_column};
use crate::plan::literal::ColumnType;
use crate::plan::operand::{ListOperator, Operand};
use crate::protection::rule_functions::rule_of;
use crate::rights::cache::Agent;
use crate::rights::marks::{Asked, ask};
use crate::rights::shared_list::NONE;
use crate::rights::statement::rights_to_estimate_for;
use crate::rights::{known_tables, settings};
use crate::tables::key::{KeyRef, KeySet};
use crate::tables::rule_function::RuleFunction;
use crate::tables::shared_table::SharedTable;

#[pg_extern(sql = false)]
fn shared_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Simplify(request) => simplify(request),
            Request::Selectivity(request) => selectivity(request),
            Request::IndexCondition(request) => index_condition(request),
        })
    }
}

fn simplify(request: Simplify) -> Option<Answer> {
    fold_call(request, |_, call| subject(call), fold)
}

/// A rule of a table: is it about seeing an object, or about changing it?
struct TableRule {
    is_seen: bool,
    table: Option<Rc<SharedTable>>,
}

fn subject(call: CallExpr) -> Subject<TableRule> {
    let is_seen = match rule_of(call.function()) {
        Some(RuleFunction::SharedSeen) => true,
        Some(RuleFunction::SharedChange) => false,
        _ => return Subject::Nothing,
    };
    let Some(named) = call.table() else {
        return Subject::AskedWhenRun(Asked::Rules);
    };
    let table = known_tables::shared_table(named);
    let seen = table.as_ref().filter(|_| is_seen);
    let asked = seen.map_or(Asked::Rules, |table| Asked::Shared(table.oid));
    // Somebody's own call: no object of the table has such a key.
    let is_of_other_kind = seen.is_some_and(|table| {
        let id = call.arguments().get(1);
        let id_type = id.and_then(|id| ColumnType::of(*id));
        id_type.is_none_or(|id_type| id_type.key_type() != table.id_type)
    });
    if is_of_other_kind {
        return Subject::AskedWhenRun(asked);
    }
    Subject::Rule {
        table: Some(named),
        asked,
        rule: TableRule { is_seen, table },
    }
}

/// The condition for an agent, and the one that holds where the rule does or will.
fn fold<'p>(
    plan: Plan<'p>,
    call: CallExpr<'p>,
    agent: &Rc<Agent>,
    TableRule { is_seen, table }: TableRule,
) -> Option<Folded<'p>> {
    let Some(table) = table else {
        return Some(Folded::from(false));
    };
    let shared = is_seen.then(|| agent.shared(table.oid));
    let shared = shared.as_deref().unwrap_or(&NONE);
    let clause = |access: &Access, objects: &KeySet| {
        let has_owners = table.owner.is_some();
        let condition = if is_seen {
            see_shared_condition(access, has_owners, !objects.is_empty())
        } else {
            change_shared_condition(access, has_owners)
        };
        clause(call.arguments(), agent, condition, objects)
    };
    let ask_for_shared = || ask(plan.items(), Asked::Shared(table.oid));
    let now = clause(agent, &shared.now)?;
    let Some((moment, from_now_on)) = agent.rest_to_come() else {
        if !is_short(&shared.now) {
            ask_for_shared();
        }
        return Some(Folded { now, later: None });
    };
    if is_seen {
        ask_for_shared();
    }
    let always = clause(from_now_on, &shared.from_now_on)?;
    Some(Folded {
        now,
        later: Some((moment, always)),
    })
}

/// The condition on the columns that a call of a rule has as its arguments.
fn clause<'p>(
    arguments: &[Node<'p>],
    agent: &Agent,
    condition: SharedCondition,
    objects: &KeySet,
) -> Option<Clause<'p>> {
    let (owned, shared) = match condition {
        SharedCondition::Constant(value) => return Some(Clause::Constant(value)),
        SharedCondition::AnyOf { owned, shared } => (owned, shared),
    };
    let mut parts = vec![];
    if owned {
        let owner = Operand::of(*arguments.last()?)?;
        parts.push(owner.any_id_of(&[agent.agent], &agent.external_keys, false));
    }
    if shared {
        let id = Operand::of(*arguments.get(1)?)?;
        parts.push(if is_short(objects) {
            id.any_of(objects.sorted(), false)
        } else {
            let function = RuleFunction::SharedWith.oid(id.type_oid())?;
            rule_call(function, &[*arguments.first()?, id.node()])?
        });
    }
    Some(any(parts))
}

/// Are they few enough for literals?
fn is_short(objects: &KeySet) -> bool {
    objects.len() <= settings::fold_limit()
}

/// The share of rows that are shared with the current agent.
fn share_of_shared(root: Root, arguments: &[Node], table_number: c_int) -> Option<f64> {
    let table = named_table(arguments).and_then(known_tables::shared_table);
    let agent = rights_to_estimate_for(Some(root));
    let objects = agent.zip(table).map(|(a, table)| a.shared(table.oid));
    let column = Column {
        root,
        node: *arguments.get(1)?,
        table_number,
    };
    let objects = objects.as_deref().unwrap_or(&NONE);
    let is_shared = |key: KeyRef| objects.now.contains(key);
    Some(share_of_column(column, objects.now.len(), is_shared))
}

fn selectivity(request: Selectivity) -> Option<Answer> {
    let is_with = rule_of(request.function()) == Some(RuleFunction::SharedWith);
    let root = request.root().filter(|_| is_with && !request.is_join());
    let Some(root) = root else {
        return folding::selectivity(request);
    };
    let share = share_of_shared(root, request.arguments(), request.table_number())?;
    Some(request.is(share))
}

fn index_condition(request: IndexCondition) -> Option<Answer> {
    let call = request.call()?;
    if rule_of(call.function())? != RuleFunction::SharedWith {
        return None;
    }
    let operator = ListOperator::of(&request)?;
    // As for other long lists.
    if share_of_shared(request.root()?, call.arguments(), 0)? > MOST_BY_INDEX {
        return None;
    }
    operator.condition(request, "shared_objects")
}
