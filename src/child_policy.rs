//! The functions that the policies of child tables call, and what they tell the planner.

use std::cell::OnceCell;
use std::rc::Rc;

use deskguard_rules::{Action, Change, Condition, Permission, past_silo_condition, silo_condition};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::allowed::Allowed;
use crate::cache::Agent;
use crate::catalog::own_function_name;
use crate::child_table::{ChildTable, Parent};
use crate::estimate::estimate;
use crate::expression::{
    ListOperator, any_of_list, as_node, boolean, is_null, items, named_table, without_relabeling,
};
use crate::fold::rights_of_plan;
use crate::foreign_keys;
use crate::key::{KeyList, KeyRef};
use crate::literal::ColumnType;
use crate::owner_sql::as_of_now;
use crate::plan_mark::{Asked, ask};
use crate::planner_support::{Answer, Request, answer};
use crate::single_row::{is_asked_by_key, partition};
use crate::statement::{
    CALL_OF_PLAN, Site, Statement, at_site, is_of_plan, is_planning, is_recheck, may_fold,
    rights_to_estimate_for,
};
use crate::table_policies::TablePolicies;
use crate::{cache, error, settings};

const VIEW: Action = Action::View;
const REPLY: Action = Action::Change(Change::Reply);
const EDIT: Action = Action::Change(Change::EditMessages);
const MODIFY: Action = Action::Change(Change::Modify);

/// What a call in a policy needs to know, found out once for each statement.
struct Call {
    statement: Rc<Statement>,
    /// None: nobody, or a table that is not protected (any more). Then no row passes.
    who: Option<(Rc<Agent>, Rc<ChildTable>)>,
    allowed: OnceCell<Rc<Allowed>>,
    is_recheck: bool,
}

impl Call {
    fn of(fcinfo: pg_sys::FunctionCallInfo, table: Option<pg_sys::Oid>) -> Site<Call> {
        at_site(fcinfo, table, |statement| {
            let child = || cache::child_table(table?);
            Call {
                statement: statement.clone(),
                who: statement.rights.clone().zip(child()),
                allowed: OnceCell::new(),
                is_recheck: is_recheck(fcinfo),
            }
        })
    }

    /// Asks with which rows of the parent the agent may do this; a call always asks for the same action.
    fn ask<T>(&self, action: Action, ask: impl FnOnce(&Allowed) -> T) -> Option<T> {
        let (access, child) = self.who.as_ref()?;
        let of = |statement| Allowed::of_statement(statement, access, &child.parent, action);
        if self.is_recheck {
            // A row as it is now belongs to its ticket as that is now.
            let now = Statement::new(self.statement.agent, self.statement.rights.clone());
            return Some(as_of_now(|| ask(&of(&now))));
        }
        Some(ask(self.allowed.get_or_init(|| of(&self.statement))))
    }
}

/// May the agent do this with the ticket of a row that belongs to the parent's row with this id?
fn allows(
    fcinfo: pg_sys::FunctionCallInfo,
    table: Option<pg_sys::Oid>,
    id: Option<KeyRef>,
    action: Action,
) -> bool {
    let call = Call::of(fcinfo, table);
    id.is_some_and(|id| call.ask(action, |rows| rows.contains(id)) == Some(true))
}

/// An SQL function for each type of column, so that the column stands there without a cast and the
/// planner finds its index.
macro_rules! for_each_type {
    ($action:expr => $int2:ident, $int4:ident, $int8:ident, $uuid:ident, $text:ident) => {
        for_each_type!($action, $int2, i16);
        for_each_type!($action, $int4, i32);
        for_each_type!($action, $int8, i64);
        for_each_type!($action, $uuid, pgrx::Uuid);
        for_each_type!($action, $text, &str);
    };
    ($action:expr, $name:ident, $key:ty) => {
        #[pg_extern(sql = false)]
        fn $name(
            child_table: Option<pg_sys::Oid>,
            parent: Option<$key>,
            fcinfo: pg_sys::FunctionCallInfo,
        ) -> bool {
            allows(fcinfo, child_table, parent.map(KeyRef::from), $action)
        }
    };
}

for_each_type!(
    VIEW => parent_seen_int2, parent_seen_int4, parent_seen_int8, parent_seen_uuid, parent_seen_text
);
for_each_type!(
    REPLY => parent_reply_ok_int2, parent_reply_ok_int4, parent_reply_ok_int8, parent_reply_ok_uuid,
        parent_reply_ok_text
);
for_each_type!(
    EDIT => parent_edit_ok_int2, parent_edit_ok_int4, parent_edit_ok_int8, parent_edit_ok_uuid,
        parent_edit_ok_text
);

/// What is asked of a new message besides the right to reply: its author is the agent or nobody, and it
/// replies to the ticket that the other new messages of the query reply to. Not of attachments and the
/// like, which are no replies.
fn is_new_message_ok(
    fcinfo: pg_sys::FunctionCallInfo,
    message_table: Option<pg_sys::Oid>,
    parent: Option<KeyRef>,
    author: Option<i64>,
) -> bool {
    let call = Call::of(fcinfo, message_table);
    let (Some((access, messages)), Some(parent)) = (&call.who, parent) else {
        return false;
    };
    // Somebody's own call: no row belongs to such a key.
    if messages.column_type != Some(parent.key_type()) {
        return false;
    }
    let agent = access.agent;
    if author.is_some_and(|author| author != agent) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "agent {agent} may not write a message of {} in the name of another",
                messages.name()
            ),
            "Leave its author out, or name the agent itself.",
        );
    }
    let Parent::Tickets(tickets) = &messages.parent else {
        return true;
    };
    let mut replied = call.statement.replied.borrow_mut();
    let first = replied
        .entry(tickets.oid)
        .or_insert_with(|| parent.to_owned());
    if first.borrowed() != parent && !access.has(Permission::MassReply) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "agent {agent} may not reply to more than one ticket of {} with one command",
                tickets.name()
            ),
            "It needs the permission ticket.mass_reply, or a command for each ticket.",
        );
    }
    true
}

/// May a follower be added or removed? Oneself where one can view the ticket, others where one may
/// modify it.
fn is_follower_ok(
    fcinfo: pg_sys::FunctionCallInfo,
    follower_table: Option<pg_sys::Oid>,
    ticket: Option<KeyRef>,
    agent: Option<i64>,
) -> bool {
    let call = Call::of(fcinfo, follower_table);
    let (Some((access, followers)), Some(ticket)) = (&call.who, ticket) else {
        return false;
    };
    let action = if agent == Some(access.agent) {
        VIEW
    } else {
        MODIFY
    };
    Allowed::of_statement(&call.statement, access, &followers.parent, action).contains(ticket)
}

/// An SQL function for each type of keys.
macro_rules! for_each_key {
    ($($new_message_ok:ident, $follower_ok:ident, $key:ty);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $new_message_ok(
                message_table: Option<pg_sys::Oid>,
                parent: Option<$key>,
                author: Option<i64>,
                fcinfo: pg_sys::FunctionCallInfo,
            ) -> bool {
                is_new_message_ok(fcinfo, message_table, parent.map(KeyRef::from), author)
            }

            #[pg_extern(sql = false)]
            fn $follower_ok(
                follower_table: Option<pg_sys::Oid>,
                ticket: Option<$key>,
                agent: Option<i64>,
                fcinfo: pg_sys::FunctionCallInfo,
            ) -> bool {
                is_follower_ok(fcinfo, follower_table, ticket.map(KeyRef::from), agent)
            }
        )+
    };
}

for_each_key!(
    new_message_ok, follower_ok, i64;
    new_message_ok_uuid, follower_ok_uuid, pgrx::Uuid;
    new_message_ok_text, follower_ok_text, &str;
);

/// All rows of the parent with which the agent may do this.
fn allowed_parents(
    fcinfo: pg_sys::FunctionCallInfo,
    child_table: Option<pg_sys::Oid>,
    action: Action,
) -> KeyList {
    if is_planning() && is_of_plan(fcinfo) {
        // For an estimate. Whether an index is of use at all is decided by index_condition().
        return KeyList::sample(SAMPLE);
    }
    let call = Call::of(fcinfo, child_table);
    let list = call.ask(action, |rows| {
        let all = rows.all();
        KeyList::of(all.sorted().into_iter(), all.len(), false)
    });
    list.unwrap_or_default()
}

/// So many ids stand for a list in the planner's estimates, which look at each.
const SAMPLE: i64 = 20;

/// An SQL function for each type of keys.
macro_rules! lists {
    ($($action:expr => $numbers:ident, $uuids:ident, $texts:ident);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $numbers(
                child_table: Option<pg_sys::Oid>,
                fcinfo: pg_sys::FunctionCallInfo,
            ) -> Vec<i64> {
                allowed_parents(fcinfo, child_table, $action).numbers
            }

            #[pg_extern(sql = false)]
            fn $uuids(
                child_table: Option<pg_sys::Oid>,
                fcinfo: pg_sys::FunctionCallInfo,
            ) -> Vec<pgrx::Uuid> {
                allowed_parents(fcinfo, child_table, $action).uuids
            }

            #[pg_extern(sql = false)]
            fn $texts(
                child_table: Option<pg_sys::Oid>,
                fcinfo: pg_sys::FunctionCallInfo,
            ) -> Vec<String> {
                allowed_parents(fcinfo, child_table, $action).texts
            }
        )+
    };
}

lists!(
    VIEW => visible_parents, visible_parents_uuid, visible_parents_text;
    EDIT => editable_parents, editable_parents_uuid, editable_parents_text;
);

// For the planner

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

/// The action that a function asks about, if it is all that it asks about, and the function that gives
/// the whole list.
fn action_of(function: pg_sys::Oid) -> Option<(Action, Option<&'static str>)> {
    let name = own_function_name(function)?;
    match name.to_bytes() {
        b"parent_seen" => Some((VIEW, Some("visible_parents"))),
        b"parent_edit_ok" => Some((EDIT, Some("editable_parents"))),
        b"parent_reply_ok" => Some((REPLY, None)),
        _ => None,
    }
}

/// The table that a call names, and the column that it asks about.
unsafe fn arguments(list: *mut pg_sys::List) -> Option<(pg_sys::Oid, *mut pg_sys::Node)> {
    unsafe { named_table(list).zip(items(list).get(1).copied()) }
}

/// The rule as a constant, where it is the same for all rows.
///
/// # Safety
/// As called by the planner.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    unsafe {
        // Without a plan to mark, the call must stay.
        if request.root.is_null() || (*request.root).glob.is_null() {
            return None;
        }
        let call = &*request.fcall;
        let plan = &mut *(*request.root).glob;
        let known = arguments(call.args).zip(action_of(call.funcid));
        let known = known.filter(|((table, _), _)| settings::folding() && may_fold(Some(*table)));
        let Some(((table, column), (action, _))) = known else {
            ask(&mut plan.invalItems, Asked::Rules);
            return None;
        };
        let child = cache::child_table(table);
        // A row is written by a call, and found by one where a ticket or message is named: a plan for
        // that serves all agents.
        let is_by_key = |child: &ChildTable| {
            let keys = [Some(&child.column), child.id.as_ref()];
            let mut keys = keys.into_iter().flatten();
            keys.any(|key| is_asked_by_key(&*request.root, column, key))
        };
        // Somebody's own call: no row belongs to such a key.
        let is_of_other_kind = |child: &ChildTable| {
            let asked = ColumnType::of(column).map(ColumnType::key_type);
            asked.is_none() || asked != child.column_type
        };
        if action == REPLY
            || child
                .as_deref()
                .is_some_and(|child| is_of_other_kind(child) || is_by_key(child))
        {
            ask(&mut plan.invalItems, Asked::Rules);
            return None;
        }
        let (Some(access), Some(child)) = (rights_of_plan(plan), child) else {
            return Some(boolean(false));
        };
        // What is so for all rows now may not be later.
        if access.time().until.is_some() {
            return None;
        }
        let shape = child.tickets().shape();
        let conditions = [
            silo_condition(&access, shape),
            past_silo_condition(&access, shape, action),
        ];
        if conditions.contains(&Condition::Constant(false)) {
            Some(boolean(false))
        } else if conditions.iter().all(|c| *c == Condition::Constant(true))
            && foreign_keys::lead_to_tickets(table, &child)
            && rules_decide(&child.parent, &access, action)
        {
            depends_on(&mut plan.relationOids, &child.parent);
            Some(is_null(column, true))
        } else {
            None
        }
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
unsafe fn depends_on(tables: &mut *mut pg_sys::List, parent: &Parent) {
    *tables = unsafe { pg_sys::lappend_oid(*tables, parent.oid()) };
    if let Parent::Messages(messages) = parent {
        unsafe { depends_on(tables, &messages.parent) };
    }
}

/// # Safety
/// As called by the planner.
unsafe fn selectivity(request: &mut pg_sys::SupportRequestSelectivity) -> Option<()> {
    unsafe {
        let (action, _) = action_of(request.funcid)?;
        let (table, _) = arguments(request.args)?;
        request.selectivity = share(request.root, table, action)?;
        Some(())
    }
}

unsafe fn share(root: *mut pg_sys::PlannerInfo, table: pg_sys::Oid, action: Action) -> Option<f64> {
    let child = cache::child_table(table)?;
    Some(match unsafe { rights_to_estimate_for(root) } {
        Some(access) => estimate(&access, &child.parent, action).share,
        None => 0.0,
    })
}

/// The largest share of a table that is looked up by an index.
const MOST_BY_INDEX: f64 = 0.05;

/// `column = ANY (list())`, for an index on the column.
///
/// # Safety
/// As called by the planner.
unsafe fn index_condition(
    request: &mut pg_sys::SupportRequestIndexCondition,
) -> Option<*mut pg_sys::Node> {
    unsafe {
        let call = as_node::<pg_sys::FuncExpr>(request.node).filter(|_| request.indexarg == 1)?;
        let (action, list_function) = action_of(request.funcid)?;
        let (table, column) = arguments(call.args)?;
        let operator = ListOperator::of(request.opfamily, column)?;
        if share(request.root, table, action)? > MOST_BY_INDEX || is_looked_up(request, column) {
            return None;
        }
        let list = pg_sys::makeFuncExpr(
            operator.function(list_function?, &[pg_sys::REGCLASSOID])?,
            operator.array,
            pg_sys::lappend(
                std::ptr::null_mut(),
                pg_sys::copyObjectImpl((*items::<pg_sys::Node>(call.args).first()?).cast()).cast(),
            ),
            CALL_OF_PLAN,
            request.indexcollation,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        let column = pg_sys::copyObjectImpl(column.cast()).cast();
        let collation = request.indexcollation;
        let clause = any_of_list(column, operator.operator, list.cast(), false, collation);
        request.lossy = false;
        Some(pg_sys::lappend(std::ptr::null_mut(), clause.cast()).cast())
    }
}

/// Does the query itself ask for some values of the column? Then these are looked up, and the whole list
/// need not be read, once or, where it joins, again and again.
unsafe fn is_looked_up(
    request: &pg_sys::SupportRequestIndexCondition,
    column: *mut pg_sys::Node,
) -> bool {
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
unsafe fn column_of_query(
    root: *mut pg_sys::PlannerInfo,
    column: *mut pg_sys::Node,
) -> *mut pg_sys::Node {
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
