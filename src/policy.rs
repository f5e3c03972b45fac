//! The functions that the policies and triggers of protected tables call.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use deskguard_rules::{Access, Action, Change, Column, Unobserved};
use pgrx::memcxt::PgMemoryContexts;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::error;
use crate::identity::current_agent;
use crate::load::Loader;
use crate::protected::TicketTable;
use crate::tickets::TicketColumns;

/// What a policy needs to know, found out once for each statement.
struct Call {
    table: pg_sys::Oid,
    /// None: nobody, or a table that is not protected (any more). Then no row passes.
    who: Option<(Access, TicketTable)>,
    followed: OnceCell<BTreeSet<i64>>,
    /// Of a follower table: what was decided so far, by ticket and whether it was to be viewed.
    decided: RefCell<BTreeMap<(i64, bool), bool>>,
}

impl Call {
    fn new(
        table: pg_sys::Oid,
        find: fn(&crate::catalog::Catalog, pg_sys::Oid) -> Option<TicketTable>,
    ) -> Call {
        let loader = Loader::now();
        let who = || {
            let agent = current_agent(loader.catalog())?;
            Some((loader.access(agent)?, find(loader.catalog(), table)?))
        };
        Call {
            table,
            who: who(),
            followed: OnceCell::new(),
            decided: RefCell::default(),
        }
    }

    /// The state of this call site. The executor makes a new one for each statement.
    fn of(
        fcinfo: pg_sys::FunctionCallInfo,
        table: pg_sys::Oid,
        find: fn(&crate::catalog::Catalog, pg_sys::Oid) -> Option<TicketTable>,
    ) -> &'static Call {
        // SAFETY: fn_extra is NULL or what was put there below, and lives as long as the FmgrInfo,
        // whose context drops it. Nothing keeps the reference longer than one call.
        unsafe {
            let info = &mut *(*fcinfo).flinfo;
            if !info.fn_extra.is_null() {
                let call = &*info.fn_extra.cast::<Call>();
                if call.table == table {
                    return call;
                }
            }
            let call =
                PgMemoryContexts::For(info.fn_mcxt).leak_and_drop_on_delete(Call::new(table, find));
            info.fn_extra = call.cast();
            &*call
        }
    }

    /// What the policies besides deskguard_silo ask of a row.
    fn past_silo(&self, id: Option<i64>, columns: TicketColumns, action: Action) -> bool {
        let Some((access, table)) = &self.who else {
            return false;
        };
        let followed = || {
            self.followed
                .get_or_init(|| table.followed_by(access.agent))
        };
        let followed = id.is_some_and(|id| followed().contains(&id));
        deskguard_rules::past_silo(access, &table.ticket(columns, followed), action)
    }

    /// May the agent do this with a ticket that is named by a row of the follower table?
    fn decide_by_id(&self, id: Option<i64>, action: Action) -> bool {
        let (Some((access, table)), Some(id)) = (&self.who, id) else {
            return false;
        };
        let mut decided = self.decided.borrow_mut();
        *decided
            .entry((id, action == Action::View))
            .or_insert_with(|| {
                table
                    .find_ticket(id, access.agent)
                    .is_some_and(|t| deskguard_rules::decide(access, &t, action, &mut Unobserved))
            })
    }
}

const MODIFY: Action = Action::Change(Change::Modify);
const DELETE: Action = Action::Change(Change::Delete);

#[pg_extern(sql = false)]
fn silo_ok(
    ticket_table: pg_sys::Oid,
    category: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table, TicketTable::find);
    call.who.as_ref().is_some_and(|(access, table)| {
        let columns = TicketColumns {
            category,
            ..TicketColumns::default()
        };
        deskguard_rules::silo(access, &table.ticket(columns, false), &mut Unobserved)
    })
}

#[pg_extern(sql = false)]
fn view_ok(
    ticket_table: pg_sys::Oid,
    id: Option<i64>,
    department: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let columns = TicketColumns {
        department,
        assignee,
        team,
        ..TicketColumns::default()
    };
    Call::of(fcinfo, ticket_table, TicketTable::find).past_silo(id, columns, Action::View)
}

#[pg_extern(sql = false)]
fn modify_ok(
    ticket_table: pg_sys::Oid,
    id: Option<i64>,
    department: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let columns = TicketColumns {
        department,
        assignee,
        team,
        ..TicketColumns::default()
    };
    Call::of(fcinfo, ticket_table, TicketTable::find).past_silo(id, columns, MODIFY)
}

#[pg_extern(sql = false)]
fn delete_ok(
    ticket_table: pg_sys::Oid,
    id: Option<i64>,
    department: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let columns = TicketColumns {
        department,
        assignee,
        team,
        ..TicketColumns::default()
    };
    Call::of(fcinfo, ticket_table, TicketTable::find).past_silo(id, columns, DELETE)
}

#[pg_extern(sql = false)]
fn create_ok(
    ticket_table: pg_sys::Oid,
    department: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table, TicketTable::find);
    call.who.as_ref().is_some_and(|(access, table)| {
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
    follower_table: pg_sys::Oid,
    ticket: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    Call::of(fcinfo, follower_table, TicketTable::find_by_followers)
        .decide_by_id(ticket, Action::View)
}

/// May a follower be added or removed? Oneself where one can view the ticket, others where one may
/// modify it.
#[pg_extern(sql = false)]
fn follower_ok(
    follower_table: pg_sys::Oid,
    ticket: Option<i64>,
    agent: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, follower_table, TicketTable::find_by_followers);
    let oneself = call
        .who
        .as_ref()
        .is_some_and(|(access, _)| agent == Some(access.agent));
    call.decide_by_id(ticket, if oneself { Action::View } else { MODIFY })
}

/// Trigger: a ticket goes to another department only by agents that may assign tickets there. A
/// policy cannot ask this, since it does not see the row before and after at once.
#[pg_trigger(sql = false)]
fn check_move<'a>(
    trigger: &'a pgrx::PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Box<dyn std::error::Error>> {
    let new = trigger.new();
    let relation = trigger.relation()?;
    if !policies_apply(relation.oid()) {
        return Ok(new);
    }
    let loader = Loader::now();
    let catalog = loader.catalog();
    let Some(table) = TicketTable::find_by_part(catalog, relation.oid()) else {
        return Ok(new);
    };
    let to = match (&table.department, &new) {
        (Some(column), Some(row)) => Column::Value(integer(row, column)?),
        _ => return Ok(new),
    };
    let agent = current_agent(catalog);
    let access = agent.and_then(|agent| loader.access(agent));
    if !access.is_some_and(|access| deskguard_rules::move_to(&access, to)) {
        refuse_move(&table, agent, to.value());
    }
    Ok(new)
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

/// Hands a ticket over to a department, also to one whose tickets the agent cannot see.
#[pg_extern(sql = false)]
fn assign_ticket(
    ticket_id: Option<i64>,
    department_id: Option<i64>,
    ticket_table: Option<pg_sys::Oid>,
) -> Result<(), SpiError> {
    let loader = Loader::now();
    let table = TicketTable::resolve(loader.catalog(), ticket_table);
    let Some(column) = &table.department else {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{} has no department column", table.name()),
            "Name it: SELECT deskguard.protect_tickets(..., department_column => ...).",
        )
    };
    let agent = current_agent(loader.catalog());
    let refuse = || -> ! {
        error::raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "{} may not modify a ticket {} of {}",
                agent.map_or("nobody".into(), |id| format!("agent {id}")),
                ticket_id.map_or("NULL".into(), |id| id.to_string()),
                table.name()
            ),
            "deskguard.explain_access(agent, ticket, 'modify') tells why.",
        )
    };
    let (Some(id), Some(access)) = (ticket_id, agent.and_then(|agent| loader.access(agent))) else {
        refuse()
    };
    let Some(columns) = table.lock_columns(id) else {
        refuse()
    };
    let ticket = table.ticket(columns, table.follows(access.agent, id));
    if !deskguard_rules::decide(&access, &ticket, MODIFY, &mut Unobserved) {
        refuse();
    }
    if columns.department == department_id {
        return Ok(());
    }
    if !deskguard_rules::move_to(&access, Column::Value(department_id)) {
        refuse_move(&table, agent, department_id);
    }
    table.set_department(column, id, department_id)
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

/// An integer column of any width.
fn integer<A: WhoAllocated>(
    row: &PgHeapTuple<'_, A>,
    column: &str,
) -> Result<Option<i64>, pgrx::datum::TryFromDatumError> {
    let name = column.to_string();
    match row.get_attribute_by_name(&name).map(|(_, a)| a.atttypid) {
        Some(pg_sys::INT2OID) => Ok(row.get_by_name::<i16>(&name)?.map(i64::from)),
        Some(pg_sys::INT4OID) => Ok(row.get_by_name::<i32>(&name)?.map(i64::from)),
        _ => row.get_by_name::<i64>(&name),
    }
}
