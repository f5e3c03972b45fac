//! The functions that the policies of child tables call, and what they tell the planner.

use std::cell::OnceCell;
use std::ffi::CStr;
use std::rc::Rc;

use deskguard_rules::{Action, Change, Condition, Permission, past_silo_condition, silo_condition};
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::allowed::Allowed;
use crate::cache::Agent;
use crate::catalog::own_function;
use crate::child_table::{ChildTable, Parent};
use crate::estimate::estimate;
use crate::expression::{any_of_list, boolean, equals_bigint, is_null, items};
use crate::fold::rights_of_plan;
use crate::foreign_keys;
use crate::identity::current_agent;
use crate::plan_mark::{asks_when_run, is_planning, rights_of_query};
use crate::policy::call_state;
use crate::query_state::QueryState;
use crate::single_row::is_asked_by_key;
use crate::{cache, error, settings};

const VIEW: Action = Action::View;
const REPLY: Action = Action::Change(Change::Reply);
const EDIT: Action = Action::Change(Change::EditMessages);
const MODIFY: Action = Action::Change(Change::Modify);

/// What a call in a policy needs to know, found out once for each query.
struct Site {
    query: Rc<QueryState>,
    table: pg_sys::Oid,
    /// None: nobody, or a table that is not protected (any more). Then no row passes.
    who: Option<(Rc<Agent>, Rc<ChildTable>)>,
    allowed: OnceCell<Rc<Allowed>>,
}

fn who(table: pg_sys::Oid) -> Option<(Rc<Agent>, Rc<ChildTable>)> {
    Some((rights_of_query()?, cache::child_table(table)?))
}

impl Site {
    /// None outside of a query.
    fn of(fcinfo: pg_sys::FunctionCallInfo, table: pg_sys::Oid) -> Option<&'static Site> {
        // SAFETY: fn_extra is NULL or what call_state put there.
        unsafe {
            let info = &mut *(*fcinfo).flinfo;
            let known = info.fn_extra.cast::<Site>().as_ref();
            if let Some(site) = known
                && site.table == table
                && site.query.is_current()
            {
                return Some(site);
            }
            // Somebody's own call, or one of PL/pgSQL, which keeps it for later queries. What was
            // there before is dropped with its memory context.
            info.fn_extra = std::ptr::null_mut();
        }
        let query = QueryState::current()?;
        Some(call_state(fcinfo, || Site {
            query,
            table,
            who: who(table),
            allowed: OnceCell::new(),
        }))
    }

    fn allows(&self, id: i64, action: Action) -> bool {
        self.who.as_ref().is_some_and(|(access, child)| {
            self.allowed
                .get_or_init(|| Allowed::of_query(&self.query, access, &child.parent, action))
                .contains(id)
        })
    }
}

/// May the agent do this with the ticket of a row that belongs to the parent's row with this id?
fn allows(
    fcinfo: pg_sys::FunctionCallInfo,
    table: Option<pg_sys::Oid>,
    id: Option<i64>,
    action: Action,
) -> bool {
    let (Some(table), Some(id)) = (table, id) else {
        return false;
    };
    match Site::of(fcinfo, table) {
        Some(site) => site.allows(id, action),
        None => who(table)
            .is_some_and(|(access, child)| allowed(&access, &child.parent, action).contains(id)),
    }
}

/// An SQL function for each width of integer, so that the column stands there without a cast and the
/// planner finds its index.
macro_rules! for_each_width {
    ($action:expr => $int2:ident, $int4:ident, $int8:ident) => {
        #[pg_extern(sql = false)]
        fn $int2(
            child_table: Option<pg_sys::Oid>,
            parent: Option<i16>,
            fcinfo: pg_sys::FunctionCallInfo,
        ) -> bool {
            allows(fcinfo, child_table, parent.map(i64::from), $action)
        }

        #[pg_extern(sql = false)]
        fn $int4(
            child_table: Option<pg_sys::Oid>,
            parent: Option<i32>,
            fcinfo: pg_sys::FunctionCallInfo,
        ) -> bool {
            allows(fcinfo, child_table, parent.map(i64::from), $action)
        }

        #[pg_extern(sql = false)]
        fn $int8(
            child_table: Option<pg_sys::Oid>,
            parent: Option<i64>,
            fcinfo: pg_sys::FunctionCallInfo,
        ) -> bool {
            allows(fcinfo, child_table, parent, $action)
        }
    };
}

for_each_width!(VIEW => parent_seen_int2, parent_seen_int4, parent_seen_int8);
for_each_width!(REPLY => parent_reply_ok_int2, parent_reply_ok_int4, parent_reply_ok_int8);
for_each_width!(EDIT => parent_edit_ok_int2, parent_edit_ok_int4, parent_edit_ok_int8);

/// What is asked of a new message besides the right to reply: its author is the agent or nobody, and it
/// replies to the ticket that the other new messages of the query reply to. Not of attachments and the
/// like, which are no replies.
#[pg_extern(sql = false)]
fn new_message_ok(
    message_table: Option<pg_sys::Oid>,
    parent: Option<i64>,
    author: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let (Some(table), Some(parent)) = (message_table, parent) else {
        return false;
    };
    let Some(site) = Site::of(fcinfo, table) else {
        return false;
    };
    let Some((access, messages)) = &site.who else {
        return false;
    };
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
    let first = *site
        .query
        .replied
        .borrow_mut()
        .entry(tickets.oid)
        .or_insert(parent);
    if first != parent && !access.has(Permission::MassReply) {
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
#[pg_extern(sql = false)]
fn follower_ok(
    follower_table: Option<pg_sys::Oid>,
    ticket: Option<i64>,
    agent: Option<i64>,
) -> bool {
    let (Some(table), Some(ticket)) = (follower_table, ticket) else {
        return false;
    };
    who(table).is_some_and(|(access, followers)| {
        let action = if agent == Some(access.agent) {
            VIEW
        } else {
            MODIFY
        };
        allowed(&access, &followers.parent, action).contains(ticket)
    })
}

/// The ids of all rows of the parent with which the agent may do this.
fn allowed_parents(child_table: Option<pg_sys::Oid>, action: Action) -> Vec<i64> {
    if is_planning() {
        // For an estimate. Whether an index is of use at all is decided by index_condition().
        return (0..SAMPLE).collect();
    }
    child_table.and_then(who).map_or(vec![], |(access, child)| {
        allowed(&access, &child.parent, action).ids()
    })
}

/// Of the query that is running, or for a single question.
fn allowed(access: &Rc<Agent>, parent: &Parent, action: Action) -> Rc<Allowed> {
    match QueryState::current() {
        Some(query) => Allowed::of_query(&query, access, parent, action),
        None => Rc::new(Allowed::once(access, parent, action)),
    }
}

/// So many ids stand for a list in the planner's estimates, which look at each.
const SAMPLE: i64 = 20;

#[pg_extern(sql = false)]
fn visible_parents(child_table: Option<pg_sys::Oid>) -> Vec<i64> {
    allowed_parents(child_table, VIEW)
}

#[pg_extern(sql = false)]
fn editable_parents(child_table: Option<pg_sys::Oid>) -> Vec<i64> {
    allowed_parents(child_table, EDIT)
}

// For the planner

#[pg_extern(sql = false)]
fn child_support(request: Internal) -> Internal {
    // SAFETY: the planner calls this with a node that tells its type.
    let answer = request.unwrap().and_then(|datum| unsafe {
        let node = datum.cast_mut_ptr::<pg_sys::Node>();
        match (*node).type_ {
            pg_sys::NodeTag::T_SupportRequestSimplify => {
                simplify(&*node.cast()).map(pg_sys::Datum::from)
            }
            pg_sys::NodeTag::T_SupportRequestSelectivity => {
                selectivity(&mut *node.cast()).map(|_| datum)
            }
            pg_sys::NodeTag::T_SupportRequestIndexCondition => {
                index_condition(&mut *node.cast()).map(pg_sys::Datum::from)
            }
            _ => None,
        }
    });
    // No answer is a null pointer, not NULL.
    Internal::from(Some(answer.unwrap_or(0.into())))
}

/// The action that a function asks about, if it is all that it asks about, and the function that gives
/// the whole list.
unsafe fn action_of(function: pg_sys::Oid) -> Option<(Action, Option<&'static CStr>)> {
    // SAFETY: a look-up in the system cache; the answer is a palloc'd copy.
    let name = unsafe {
        let name = pg_sys::get_func_name(function);
        if name.is_null() {
            return None;
        }
        CStr::from_ptr(name)
    };
    match name.to_bytes() {
        b"parent_seen" => Some((VIEW, Some(c"visible_parents"))),
        b"parent_edit_ok" => Some((EDIT, Some(c"editable_parents"))),
        b"parent_reply_ok" => Some((REPLY, None)),
        _ => None,
    }
}

/// The table that a call names, and the column that it asks about.
unsafe fn arguments(list: *mut pg_sys::List) -> Option<(pg_sys::Oid, *mut pg_sys::Node)> {
    unsafe {
        let table: *mut pg_sys::Node = pg_sys::list_nth(list, 0).cast();
        if (*table).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let table = &*table.cast::<pg_sys::Const>();
        let oid = pg_sys::Oid::from_datum(table.constvalue, table.constisnull)?;
        Some((oid, pg_sys::list_nth(list, 1).cast()))
    }
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
        let Some(((table, column), (action, _))) = known.filter(|_| settings::folding()) else {
            asks_when_run(&mut plan.invalItems);
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
        if action == REPLY || child.as_deref().is_some_and(is_by_key) {
            asks_when_run(&mut plan.invalItems);
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
        {
            Some(is_null(column, true))
        } else {
            None
        }
    }
}

/// # Safety
/// As called by the planner.
unsafe fn selectivity(request: &mut pg_sys::SupportRequestSelectivity) -> Option<()> {
    unsafe {
        let (action, _) = action_of(request.funcid)?;
        let (table, _) = arguments(request.args)?;
        request.selectivity = share(table, action)?;
        Some(())
    }
}

fn share(table: pg_sys::Oid, action: Action) -> Option<f64> {
    let child = cache::child_table(table)?;
    Some(match current_agent().and_then(cache::access) {
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
        let call = &*request.node.cast::<pg_sys::FuncExpr>();
        if call.xpr.type_ != pg_sys::NodeTag::T_FuncExpr || request.indexarg != 1 {
            return None;
        }
        let (action, list_function) = action_of(request.funcid)?;
        let (table, column) = arguments(call.args)?;
        let operator = equals_bigint(request.opfamily, column)?;
        if share(table, action)? > MOST_BY_INDEX || is_looked_up(request, column) {
            return None;
        }
        let list = pg_sys::makeFuncExpr(
            own_function(list_function?, &[pg_sys::REGCLASSOID])?,
            pg_sys::INT8ARRAYOID,
            pg_sys::lappend(
                std::ptr::null_mut(),
                pg_sys::copyObjectImpl(pg_sys::list_nth(call.args, 0)).cast(),
            ),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        let column = pg_sys::copyObjectImpl(column.cast()).cast();
        let clause = any_of_list(column, operator, list.cast(), false);
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
        let same = |node: *mut pg_sys::Expr| pg_sys::equal(node.cast(), column.cast());
        let of_query = column_of_query(request.root, column);
        let same_in_query = |node: *mut pg_sys::Expr| pg_sys::equal(node.cast(), of_query.cast());
        // column = something, or of another table
        let mut classes = items::<pg_sys::EquivalenceClass>((*request.root).eq_classes).iter();
        let is_equal = classes.any(|class| {
            let members = items::<pg_sys::EquivalenceMember>((**class).ec_members);
            members.len() > 1
                && members
                    .iter()
                    .any(|member| same_in_query(without_relabeling((**member).em_expr)))
        });
        // column = ANY (some)
        let conditions = (*(*request.index).rel).baserestrictinfo;
        is_equal
            || items::<pg_sys::RestrictInfo>(conditions)
                .iter()
                .any(|condition| {
                    let clause = (**condition).clause.cast::<pg_sys::ScalarArrayOpExpr>();
                    (*clause).xpr.type_ == pg_sys::NodeTag::T_ScalarArrayOpExpr
                        && (*clause).useOr
                        && same(pg_sys::list_nth((*clause).args, 0).cast())
                })
    }
}

/// A partition's column as the table above has it, which the query names.
unsafe fn column_of_query(
    root: *mut pg_sys::PlannerInfo,
    column: *mut pg_sys::Node,
) -> *mut pg_sys::Node {
    unsafe {
        if (*column).type_ != pg_sys::NodeTag::T_Var || (*root).append_rel_array.is_null() {
            return column;
        }
        let copy: *mut pg_sys::Var = pg_sys::copyObjectImpl(column.cast()).cast();
        while let Some(child) = (*(*root).append_rel_array.add((*copy).varno as usize)).as_ref() {
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

unsafe fn without_relabeling(node: *mut pg_sys::Expr) -> *mut pg_sys::Expr {
    unsafe {
        let relabel = node.cast::<pg_sys::RelabelType>();
        match (*relabel).xpr.type_ {
            pg_sys::NodeTag::T_RelabelType => (*relabel).arg,
            _ => node,
        }
    }
}
