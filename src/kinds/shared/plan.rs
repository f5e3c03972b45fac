//! What the rules of shared objects tell the planner.

use std::rc::Rc;

use deskguard_rules::{Access, SharedCondition, change_shared_condition, see_shared_condition};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::pg::node::{any, as_node, boolean, function_call, items, named_table};
use crate::pg::support::{Answer, Request, answer};
use crate::plan::folding::{self, Folded, Subject, fold_call};
use crate::plan::fraction::{MOST_BY_INDEX, column_of_index, condition_by_list, share_of_column};
use crate::plan::literal::ColumnType;
use crate::plan::operand::{ListOperator, Operand};
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
            Request::Simplify(request) => simplify(request).map(Answer::from),
            Request::Selectivity(request) => selectivity(request).then_some(Answer::InRequest),
            Request::IndexCondition(request) => index_condition(request).map(Answer::from),
        })
    }
}

/// # Safety
/// The arguments of a call.
unsafe fn argument(arguments: *mut pg_sys::List, number: usize) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe { items(arguments).get(number).copied() }
}

/// # Safety
/// The request is the planner's.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        fold_call(
            request,
            |_, call| subject(call),
            |plan, call, agent, rule| fold(plan, call, agent, rule),
        )
    }
}

/// A rule of a table: is it about seeing an object, or about changing it?
struct TableRule {
    is_seen: bool,
    table: Option<Rc<SharedTable>>,
}

/// # Safety
/// As called by the planner.
unsafe fn subject(call: &pg_sys::FuncExpr) -> Subject<TableRule> {
    // SAFETY: as the caller promises.
    unsafe {
        let is_seen = match RuleFunction::of(call.funcid) {
            Some(RuleFunction::SharedSeen) => true,
            Some(RuleFunction::SharedChange) => false,
            _ => return Subject::Nothing,
        };
        let Some(named) = named_table(call.args) else {
            return Subject::AskedWhenRun(Asked::Rules);
        };
        let table = known_tables::shared_table(named);
        let seen = table.as_ref().filter(|_| is_seen);
        let asked = seen.map_or(Asked::Rules, |table| Asked::Shared(table.oid));
        // Somebody's own call: no object of the table has such a key.
        let is_of_other_kind = seen.is_some_and(|table| {
            let id_type = argument(call.args, 1).and_then(|id| ColumnType::of(id));
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
}

/// The condition for an agent, and the one that holds where the rule does or will.
///
/// # Safety
/// As called by the planner.
unsafe fn fold(
    plan: &mut pg_sys::PlannerGlobal,
    call: &pg_sys::FuncExpr,
    agent: &Rc<Agent>,
    TableRule { is_seen, table }: TableRule,
) -> Option<Folded> {
    let Some(table) = table else {
        return Some(Folded::from(false));
    };
    let shared = is_seen.then(|| agent.shared(table.oid));
    let shared = shared.as_deref().unwrap_or(&NONE);
    let expression = |access: &Access, objects: &KeySet| {
        let has_owners = table.owner.is_some();
        let condition = if is_seen {
            see_shared_condition(access, has_owners, !objects.is_empty())
        } else {
            change_shared_condition(access, has_owners)
        };
        // SAFETY: the arguments of the call that is being planned.
        unsafe { expression(call.args, agent, condition, objects) }
    };
    // SAFETY: the items of the plan in the making.
    let mut ask_for_shared = || unsafe { ask(&mut plan.invalItems, Asked::Shared(table.oid)) };
    let now = expression(agent, &shared.now)?;
    let Some((moment, from_now_on)) = agent.rest_to_come() else {
        if !is_short(&shared.now) {
            ask_for_shared();
        }
        return Some(Folded { now, later: None });
    };
    if is_seen {
        ask_for_shared();
    }
    let always = expression(from_now_on, &shared.from_now_on)?;
    Some(Folded {
        now,
        later: Some((moment, always)),
    })
}

/// The condition on the columns that a call of a rule has as its arguments.
///
/// # Safety
/// The arguments of a call of ours.
unsafe fn expression(
    arguments: *mut pg_sys::List,
    agent: &Agent,
    condition: SharedCondition,
    objects: &KeySet,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        let (owned, shared) = match condition {
            SharedCondition::Constant(value) => return Some(boolean(value)),
            SharedCondition::AnyOf { owned, shared } => (owned, shared),
        };
        let mut parts = vec![];
        if owned {
            // The last.
            let owner = Operand::of(*items::<pg_sys::Node>(arguments).last()?)?;
            parts.push(owner.any_id_of(&[agent.agent], &agent.external_keys, false));
        }
        if shared {
            let id = Operand::of(argument(arguments, 1)?)?;
            parts.push(if is_short(objects) {
                id.any_of(objects.sorted(), false)
            } else {
                let table = argument(arguments, 0)?;
                let table = pg_sys::copyObjectImpl(table.cast()).cast();
                function_call(
                    RuleFunction::SharedWith.oid(id.type_oid())?,
                    &[table, id.copy()],
                )
            });
        }
        Some(any(parts))
    }
}

/// Are they few enough for literals?
fn is_short(objects: &KeySet) -> bool {
    objects.len() <= settings::fold_limit()
}

/// The share of rows that are shared with the current agent.
///
/// # Safety
/// The root is the planner's; the arguments are those of a call of ours.
unsafe fn share_of_shared(
    root: *mut pg_sys::PlannerInfo,
    arguments: *mut pg_sys::List,
    relation: std::ffi::c_int,
) -> Option<f64> {
    // SAFETY: as the caller promises.
    unsafe {
        let table = named_table(arguments).and_then(known_tables::shared_table);
        let agent = rights_to_estimate_for(root);
        let objects = agent.zip(table).map(|(a, table)| a.shared(table.oid));
        let column = argument(arguments, 1)?;
        let objects = objects.as_deref().unwrap_or(&NONE);
        let is_shared = |key: KeyRef| objects.now.contains(key);
        let share = share_of_column(root, column, relation, objects.now.len(), is_shared);
        Some(share)
    }
}

/// # Safety
/// The request is the planner's.
unsafe fn selectivity(request: &mut pg_sys::SupportRequestSelectivity) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let is_with = RuleFunction::of(request.funcid) == Some(RuleFunction::SharedWith);
        if !is_with || request.is_join || request.root.is_null() {
            return folding::selectivity(request);
        }
        let share = share_of_shared(request.root, request.args, request.varRelid);
        request.selectivity = share.unwrap_or(request.selectivity);
        share.is_some()
    }
}

/// # Safety
/// The request is the planner's.
unsafe fn index_condition(
    request: &mut pg_sys::SupportRequestIndexCondition,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        if RuleFunction::of(request.funcid)? != RuleFunction::SharedWith {
            return None;
        }
        let column = column_of_index(request)?;
        let arguments = as_node::<pg_sys::FuncExpr>(request.node)?.args;
        // As for other long lists.
        if share_of_shared(request.root, arguments, 0)? > MOST_BY_INDEX {
            return None;
        }
        let operator = ListOperator::of(request.opfamily, column)?;
        let list = operator.function("shared_objects", &[pg_sys::REGCLASSOID])?;
        condition_by_list(request, operator, list)
    }
}
