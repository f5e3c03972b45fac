//! What the rules of messages, followers and the like tell the planner.

use std::rc::Rc;

use deskguard_rules::{Action, Change, Condition, past_silo_condition, silo_condition};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::pg::node::{as_node, is_null, items, named_table, without_relabeling};
use crate::pg::support::{Answer, Request, answer};
use crate::plan::folding::{Folded, Subject, fold_call};
use crate::plan::fraction::{column_of_index, condition_by_list};
use crate::plan::literal::ColumnType;
use crate::plan::operand::ListOperator;
use crate::plan::single_row::{is_asked_by_key, partition};
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
            Request::Simplify(request) => simplify(request).map(Answer::from),
            Request::Selectivity(request) => selectivity(request).map(|()| Answer::InRequest),
            Request::IndexCondition(request) => index_condition(request).map(Answer::from),
        })
    }
}

/// The action that a function asks about.
fn action_of(function: pg_sys::Oid) -> Option<Action> {
    RuleFunction::of(function)?.action()
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
///
/// # Safety
/// The arguments of a call of ours.
unsafe fn arguments(list: *mut pg_sys::List) -> Option<(pg_sys::Oid, *mut pg_sys::Node)> {
    // SAFETY: as the caller promises.
    unsafe { named_table(list).zip(items(list).get(1).copied()) }
}

/// The rule as a constant, where it is the same for all rows.
///
/// # Safety
/// The request is the planner's.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        fold_call(
            request,
            |root, call| subject(root, call),
            |plan, call, agent, rule| fold(plan, call, agent, rule),
        )
    }
}

/// What is asked of the rows of a table, and the column that says which ticket they belong to.
struct TableRule {
    action: Action,
    table: Option<Rc<ChildTable>>,
    column: *mut pg_sys::Node,
}

/// # Safety
/// As called by the planner.
unsafe fn subject(root: &pg_sys::PlannerInfo, call: &pg_sys::FuncExpr) -> Subject<TableRule> {
    // SAFETY: as the caller promises.
    unsafe {
        let known = arguments(call.args).zip(action_of(call.funcid));
        let Some(((named, column), action)) = known else {
            return Subject::AskedWhenRun(Asked::Rules);
        };
        let table = known_tables::child_table(named);
        // A row is written by a call, and found by one where a ticket or message is named: a plan for
        // that serves all agents.
        let is_by_key = |child: &ChildTable| {
            let keys = [Some(&child.column), child.id.as_ref()];
            let mut keys = keys.into_iter().flatten();
            keys.any(|key| is_asked_by_key(root, column, key))
        };
        // Somebody's own call: no row belongs to such a key.
        let is_of_other_kind = |child: &ChildTable| {
            let asked = ColumnType::of(column).map(ColumnType::key_type);
            asked.is_none() || asked != child.column_type
        };
        let child = table.as_deref();
        if action == REPLY || child.is_some_and(|child| is_of_other_kind(child) || is_by_key(child))
        {
            return Subject::AskedWhenRun(Asked::Rules);
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
}

/// True of all rows, or of none; else the call stays.
///
/// # Safety
/// As called by the planner.
unsafe fn fold(
    plan: &mut pg_sys::PlannerGlobal,
    call: &pg_sys::FuncExpr,
    access: &Agent,
    rule: TableRule,
) -> Option<Folded> {
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
        silo_condition(access, shape),
        past_silo_condition(access, shape, action),
    ];
    // SAFETY: the arguments of the call that is being planned.
    let named = unsafe { named_table(call.args)? };
    if conditions.contains(&Condition::Constant(false)) {
        Some(Folded::from(false))
    } else if conditions.iter().all(|c| *c == Condition::Constant(true))
        && foreign_keys::lead_to_tickets(named, &child)
        && rules_decide(&child.parent, access, action)
    {
        // SAFETY: the tables of the plan in the making, and a column of its query.
        let now = unsafe {
            depends_on(&mut plan.relationOids, &child.parent);
            is_null(column, true)
        };
        Some(Folded { now, later: None })
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
            Parent::Messages(messages) => rules_decide(&messages.parent, access, action),
        }
}

/// A plan that asks nothing of the parents is made anew when their policies change.
///
/// # Safety
/// The tables are a list of OIDs.
unsafe fn depends_on(tables: &mut *mut pg_sys::List, parent: &Parent) {
    // SAFETY: as the caller promises.
    *tables = unsafe { pg_sys::lappend_oid(*tables, parent.oid()) };
    if let Parent::Messages(messages) = parent {
        // SAFETY: as the caller promises.
        unsafe { depends_on(tables, &messages.parent) };
    }
}

/// # Safety
/// The request is the planner's.
unsafe fn selectivity(request: &mut pg_sys::SupportRequestSelectivity) -> Option<()> {
    // SAFETY: as the caller promises.
    unsafe {
        let action = action_of(request.funcid)?;
        let (table, _) = arguments(request.args)?;
        request.selectivity = share(request.root, table, action)?;
        Some(())
    }
}

/// # Safety
/// The root is the planner's, or null.
unsafe fn share(root: *mut pg_sys::PlannerInfo, table: pg_sys::Oid, action: Action) -> Option<f64> {
    let child = known_tables::child_table(table)?;
    // SAFETY: as the caller promises.
    Some(match unsafe { rights_to_estimate_for(root) } {
        Some(access) => estimate(&access, &child.parent, action).share,
        None => 0.0,
    })
}

/// The largest share of a table that is looked up by an index.
const MOST_PARENTS_BY_INDEX: f64 = 0.05;

/// `column = ANY (list())`, for an index on the column.
///
/// # Safety
/// The request is the planner's.
unsafe fn index_condition(
    request: &mut pg_sys::SupportRequestIndexCondition,
) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        let column = column_of_index(request)?;
        let action = action_of(request.funcid)?;
        let (table, _) = arguments(as_node::<pg_sys::FuncExpr>(request.node)?.args)?;
        let operator = ListOperator::of(request.opfamily, column)?;
        if share(request.root, table, action)? > MOST_PARENTS_BY_INDEX
            || is_looked_up(request, column)
        {
            return None;
        }
        let list = operator.function(list_function(action)?, &[pg_sys::REGCLASSOID])?;
        condition_by_list(request, operator, list)
    }
}

/// Does the query itself ask for some values of the column? Then these are looked up, and the whole list
/// need not be read, once or, where it joins, again and again.
///
/// # Safety
/// The request is the planner's, and the column in its query.
unsafe fn is_looked_up(
    request: &pg_sys::SupportRequestIndexCondition,
    column: *mut pg_sys::Node,
) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let column = without_relabeling(column);
        let of_query = column_of_query(request.root, column);
        let is = |node, wanted: *mut pg_sys::Node| {
            pg_sys::equal(without_relabeling(node).cast(), wanted.cast())
        };
        // column = something, or of another table
        let mut classes = items::<pg_sys::EquivalenceClass>((*request.root).eq_classes).iter();
        let is_equal = classes.any(|class| {
            let members = items::<pg_sys::EquivalenceMember>((**class).ec_members);
            members.len() > 1
                && members
                    .iter()
                    .any(|member| is((**member).em_expr.cast(), of_query))
        });
        // column = ANY (some)
        let conditions = (*(*request.index).rel).baserestrictinfo;
        is_equal
            || items::<pg_sys::RestrictInfo>(conditions)
                .iter()
                .any(|condition| {
                    let clause = (**condition).clause.cast();
                    as_node::<pg_sys::ScalarArrayOpExpr>(clause).is_some_and(|clause| {
                        let of = items::<pg_sys::Node>(clause.args).first();
                        clause.useOr && of.is_some_and(|of| is(*of, column))
                    })
                })
    }
}

/// A partition's column as the table above has it, which the query names.
///
/// # Safety
/// The root is the planner's, and the column in its query.
unsafe fn column_of_query(
    root: *mut pg_sys::PlannerInfo,
    column: *mut pg_sys::Node,
) -> *mut pg_sys::Node {
    // SAFETY: as the caller promises; the parent's columns are numbered by the partition's.
    unsafe {
        if as_node::<pg_sys::Var>(column).is_none() {
            return column;
        }
        let copy: *mut pg_sys::Var = pg_sys::copyObjectImpl(column.cast()).cast();
        while let Some(child) = partition(&*root, (*copy).varno as usize) {
            let number = (*copy).varattno;
            if number < 1 || i32::from(number) > child.num_child_cols {
                break;
            }
            (*copy).varno = child.parent_relid as _;
            (*copy).varattno = *child.parent_colnos.add(number as usize - 1);
        }
        copy.cast()
    }
}

const VIEW: Action = Action::View;

const REPLY: Action = Action::Change(Change::Reply);

const EDIT: Action = Action::Change(Change::EditMessages);
