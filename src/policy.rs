//! The functions that the policies and triggers of protected tables call.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use deskguard_rules::{Action, Change, Column, Unobserved};
use pgrx::memcxt::PgMemoryContexts;
use pgrx::prelude::*;

use crate::cache::Agent;
use crate::plan_mark::rights_of_query;
use crate::protected::TicketTable;
use crate::tickets::{Followed, TicketColumns};
use crate::{cache, error};

/// What a function finds out at its first call in a statement and keeps for the others. A call site
/// always asks for the same type.
pub fn call_state<T>(fcinfo: pg_sys::FunctionCallInfo, find_out: impl FnOnce() -> T) -> &'static T {
    // SAFETY: fn_extra is NULL or what was put there below, and lives as long as the FmgrInfo, whose
    // context drops it. Nothing keeps the reference longer than one call.
    unsafe {
        let info = &mut *(*fcinfo).flinfo;
        if info.fn_extra.is_null() {
            let state = find_out();
            info.fn_extra = PgMemoryContexts::For(info.fn_mcxt)
                .leak_and_drop_on_delete(state)
                .cast();
        }
        &*info.fn_extra.cast::<T>()
    }
}

/// What a policy needs to know, found out once for each statement.
struct Call {
    table: Option<pg_sys::Oid>,
    /// None: nobody, or a table that is not protected (any more). Then no row passes.
    who: Option<(Rc<Agent>, Rc<TicketTable>, Followed)>,
    /// Of a follower table: what was decided so far, by ticket and whether it was to be viewed.
    decided: RefCell<BTreeMap<(i64, bool), bool>>,
}

/// What policies pass of a ticket: id, department, assignee and team.
type Row = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);

type FindTable = fn(pg_sys::Oid) -> Option<Rc<TicketTable>>;

impl Call {
    fn new(table: Option<pg_sys::Oid>, find: FindTable) -> Call {
        let who = || {
            let access = rights_of_query()?;
            let table = find(table?)?;
            let followed = Followed::by(access.agent, table.clone());
            Some((access, table, followed))
        };
        Call {
            table,
            who: who(),
            decided: RefCell::default(),
        }
    }

    /// The state of this call site. The executor makes a new one for each statement.
    fn of(
        fcinfo: pg_sys::FunctionCallInfo,
        table: Option<pg_sys::Oid>,
        find: FindTable,
    ) -> &'static Call {
        let call = call_state(fcinfo, || Call::new(table, find));
        if call.table == table {
            return call;
        }
        // A policy names its table; this is somebody's own query.
        // SAFETY: what was there before is dropped with its memory context.
        unsafe { (*(*fcinfo).flinfo).fn_extra = std::ptr::null_mut() };
        call_state(fcinfo, || Call::new(table, find))
    }

    /// What the policies besides deskguard_silo ask of a row.
    fn past_silo(&self, (id, department, assignee, team): Row, action: Action) -> bool {
        let Some((access, table, followed)) = &self.who else {
            return false;
        };
        let columns = TicketColumns {
            department,
            assignee,
            team,
            ..TicketColumns::default()
        };
        let allows =
            |followed| deskguard_rules::past_silo(access, &table.ticket(columns, followed), action);
        // Following only adds rights. It takes a look-up, so it is asked last, and if it matters.
        allows(false) || allows(true) && id.is_some_and(|id| followed.contains(id))
    }

    /// May the agent do this with a ticket that is named by a row of the follower table?
    fn decide_by_id(&self, id: Option<i64>, action: Action) -> bool {
        let (Some((access, table, _)), Some(id)) = (&self.who, id) else {
            return false;
        };
        let mut decided = self.decided.borrow_mut();
        *decided
            .entry((id, action == Action::View))
            .or_insert_with(|| {
                table
                    .find_ticket(id, access.agent)
                    .iter()
                    .any(|t| deskguard_rules::decide(access, t, action, &mut Unobserved))
            })
    }
}

const MODIFY: Action = Action::Change(Change::Modify);
const DELETE: Action = Action::Change(Change::Delete);

#[pg_extern(sql = false)]
fn silo_ok(
    ticket_table: Option<pg_sys::Oid>,
    category: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table, cache::ticket_table);
    call.who.as_ref().is_some_and(|(access, table, _)| {
        let columns = TicketColumns {
            category,
            ..TicketColumns::default()
        };
        deskguard_rules::silo(access, &table.ticket(columns, false), &mut Unobserved)
    })
}

#[pg_extern(sql = false)]
fn view_ok(
    ticket_table: Option<pg_sys::Oid>,
    id: Option<i64>,
    department: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let ticket = (id, department, assignee, team);
    Call::of(fcinfo, ticket_table, cache::ticket_table).past_silo(ticket, Action::View)
}

#[pg_extern(sql = false)]
fn modify_ok(
    ticket_table: Option<pg_sys::Oid>,
    id: Option<i64>,
    department: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let ticket = (id, department, assignee, team);
    Call::of(fcinfo, ticket_table, cache::ticket_table).past_silo(ticket, MODIFY)
}

#[pg_extern(sql = false)]
fn delete_ok(
    ticket_table: Option<pg_sys::Oid>,
    id: Option<i64>,
    department: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let ticket = (id, department, assignee, team);
    Call::of(fcinfo, ticket_table, cache::ticket_table).past_silo(ticket, DELETE)
}

#[pg_extern(sql = false)]
fn create_ok(
    ticket_table: Option<pg_sys::Oid>,
    department: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table, cache::ticket_table);
    call.who.as_ref().is_some_and(|(access, table, _)| {
        let columns = TicketColumns {
            department,
            ..TicketColumns::default()
        };
        deskguard_rules::create(access, &table.ticket(columns, false))
    })
}

/// Is a row of the follower table seen? With its ticket.
#[pg_extern(sql = false)]
fn follower_seen(
    follower_table: Option<pg_sys::Oid>,
    ticket: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    Call::of(fcinfo, follower_table, cache::ticket_table_of_followers)
        .decide_by_id(ticket, Action::View)
}

/// May a follower be added or removed? Oneself where one can view the ticket, others where one may
/// modify it.
#[pg_extern(sql = false)]
fn follower_ok(
    follower_table: Option<pg_sys::Oid>,
    ticket: Option<i64>,
    agent: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, follower_table, cache::ticket_table_of_followers);
    let oneself = call
        .who
        .as_ref()
        .is_some_and(|(access, ..)| agent == Some(access.agent));
    call.decide_by_id(ticket, if oneself { Action::View } else { MODIFY })
}

thread_local! {
    /// The departments that tickets had before the UPDATE that is under way, by table and ticket.
    static MOVING: RefCell<HashMap<(pg_sys::Oid, i64), Option<i64>>> = RefCell::default();
}

/// How many are remembered: rows are noted and checked one by one, unless a trigger of the help
/// desk's own updates others in between.
const MOST_MOVING: usize = 1000;

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_note_department() -> &'static pg_sys::Pg_finfo_record {
    const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION_1
}

/// Trigger: notes the department that a ticket had, for move_ok, since a policy sees the new row only.
///
/// By hand and not by pgrx's pg_trigger, which takes several times as long, and here each updated row
/// pays.
///
/// # Safety
/// Called by PostgreSQL.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn note_department(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: in a trigger the context is its TriggerData.
    unsafe {
        // Everyone may call the function, since owners of tables make the trigger.
        if !pgrx::trigger_support::called_as_trigger(fcinfo) {
            error::raise(
                PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "deskguard.note_department() can only be called as a trigger",
                "deskguard.protect_tickets() makes the trigger.",
            );
        }
        let trigger = &*(*fcinfo).context.cast::<pg_sys::TriggerData>();
        // Without a new row it is no UPDATE.
        let row = if trigger.tg_newtuple.is_null() {
            trigger.tg_trigtuple
        } else {
            trigger.tg_newtuple
        };
        let relation = trigger.tg_relation;
        let oid = (*relation).rd_id;
        if policies_apply(oid)
            && let Some(table) = cache::ticket_table(oid)
            && let Some(column) = &table.department
            && let Some(id) = integer(row, relation, &table.id)
        {
            let department = integer(trigger.tg_trigtuple, relation, column);
            MOVING.with_borrow_mut(|moving| {
                if moving.len() >= MOST_MOVING {
                    moving.clear();
                }
                moving.insert((table.oid, id), department);
            });
        }
        pg_sys::Datum::from(row)
    }
}

/// An integer column of any width; none if it is NULL or not there.
///
/// # Safety
/// The row is one of the relation, which is open.
pub unsafe fn integer(
    row: pg_sys::HeapTuple,
    relation: pg_sys::Relation,
    column: &str,
) -> Option<i64> {
    unsafe {
        let columns = pgrx::PgTupleDesc::from_pg_unchecked((*relation).rd_att);
        let (number, column) = (1..)
            .zip(columns.iter())
            .find(|(_, attribute)| !attribute.attisdropped && attribute.name() == column)?;
        let mut is_null = false;
        let datum = pg_sys::heap_getattr(row, number, (*relation).rd_att, &mut is_null);
        match column.atttypid {
            _ if is_null => None,
            pg_sys::INT2OID => Some((datum.value() as i16).into()),
            pg_sys::INT4OID => Some((datum.value() as i32).into()),
            _ => Some(datum.value() as i64),
        }
    }
}

/// May the updated ticket be in this department? Where it was before, or where the agent may assign
/// tickets.
#[pg_extern(sql = false)]
fn move_ok(
    ticket_table: Option<pg_sys::Oid>,
    id: Option<i64>,
    department: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table, cache::ticket_table);
    let Some((access, table, _)) = &call.who else {
        return false;
    };
    let before = id.and_then(|id| MOVING.with_borrow_mut(|moving| moving.remove(&(table.oid, id))));
    let allowed = table.department.is_none()
        || before == Some(department)
        || deskguard_rules::move_to(access, Column::Value(department));
    if !allowed {
        refuse_move(table, Some(access.agent), department);
    }
    true
}

fn refuse_move(table: &TicketTable, agent: Option<i64>, department: Option<i64>) -> ! {
    let department = department.map_or("no department".into(), |id| format!("department {id}"));
    error::raise(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!(
            "{} may not move a ticket of {} to {department}",
            agent.map_or("nobody".into(), |id| format!("agent {id}")),
            table.name(),
        ),
        "It needs the level \"assign\" or \"full\" on that department or an ancestor of it.",
    )
}

/// Do the policies of a table apply to the current user? Not to those who bypass row-level
/// security, nor to foreign-key actions.
fn policies_apply(table: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the system cache.
    unsafe {
        pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true)
            == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    }
}
