//! The functions that the policies and triggers of protected tables call.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use deskguard_rules::{Action, Change, Refusal, Unobserved};
use pgrx::prelude::*;

use crate::cache::Agent;
use crate::external_key::{ExternalKeys, Principal, UNMAPPED};
use crate::key::{KeyRef, OwnedKey};
use crate::protected::TicketTable;
use crate::statement::{Site, Statement, at_site};
use crate::tickets::{Followed, TicketColumns};
use crate::trigger_call::{Form, TriggerCall};
use crate::{cache, error, external_key};

/// What a policy needs to know, found out once for each statement.
struct Call {
    statement: Rc<Statement>,
    /// None: nobody, or a table that is not protected (any more). Then no row passes.
    who: Option<(Rc<Agent>, Rc<TicketTable>, Followed)>,
}

/// What policies pass of a ticket that is there: its id, and the columns that the rules ask for.
type Row<'a> = (Option<KeyRef<'a>>, TicketColumns);

impl Call {
    /// The state of this call site.
    fn of(fcinfo: pg_sys::FunctionCallInfo, table: Option<pg_sys::Oid>) -> Site<Call> {
        at_site(fcinfo, table, |statement| {
            let who = || {
                let access = statement.rights.clone()?;
                let table = cache::ticket_table(table?)?;
                let keys = access.external_keys.clone();
                let followed = Followed::by(access.agent, keys, table.clone());
                Some((access, table, followed))
            };
            Call {
                statement: statement.clone(),
                who: who(),
            }
        })
    }

    /// What the policies besides deskguard_silo ask of a row.
    fn past_silo(&self, (id, columns): Row, action: Action) -> bool {
        let Some((access, table, followed)) = &self.who else {
            return false;
        };
        // Somebody's own call: no row of the table has such a key.
        if id.is_some_and(|id| id.key_type() != table.id_type) {
            return false;
        }
        let allows =
            |followed| deskguard_rules::past_silo(access, &table.ticket(columns, followed), action);
        // Following only adds rights. It takes a look-up, so it is asked last, and if it matters.
        allows(false) || allows(true) && id.is_some_and(|id| followed.contains(id))
    }
}

#[pg_extern(sql = false)]
fn silo_ok(
    ticket_table: Option<pg_sys::Oid>,
    category: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table);
    call.who.as_ref().is_some_and(|(access, table, _)| {
        let columns = TicketColumns {
            category,
            ..TicketColumns::default()
        };
        deskguard_rules::silo(access, &table.ticket(columns, false), &mut Unobserved)
    })
}

fn columns(
    department: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    confidential: Option<bool>,
) -> TicketColumns {
    TicketColumns {
        department,
        assignee,
        team,
        // Where it is not known, a ticket counts as confidential.
        confidential: confidential.unwrap_or(true),
        ..TicketColumns::default()
    }
}

/// May the agent do this with a ticket that is there, apart from the silo? An SQL function for each type
/// of ids.
macro_rules! for_each_action {
    ($($action:expr => $number:ident, $uuid:ident, $text:ident);+ $(;)?) => {
        $(
            for_each_action!($action, $number, i64);
            for_each_action!($action, $uuid, pgrx::Uuid);
            for_each_action!($action, $text, &str);
        )+
    };
    ($action:expr, $name:ident, $id:ty) => {
        #[pg_extern(sql = false)]
        fn $name(
            ticket_table: Option<pg_sys::Oid>,
            id: Option<$id>,
            department: Option<i64>,
            assignee: Option<i64>,
            team: Option<i64>,
            confidential: Option<bool>,
            fcinfo: pg_sys::FunctionCallInfo,
        ) -> bool {
            let columns = columns(department, assignee, team, confidential);
            Call::of(fcinfo, ticket_table).past_silo((id.map(KeyRef::from), columns), $action)
        }
    };
}

for_each_action!(
    Action::View => view_ok, view_ok_uuid, view_ok_text;
    Action::Change(Change::Reply) => reply_ok, reply_ok_uuid, reply_ok_text;
    Action::Change(Change::Modify) => modify_ok, modify_ok_uuid, modify_ok_text;
    Action::Change(Change::EditMessages) =>
        edit_messages_ok, edit_messages_ok_uuid, edit_messages_ok_text;
    Action::Change(Change::Delete) => delete_ok, delete_ok_uuid, delete_ok_text;
);

#[pg_extern(sql = false)]
fn create_ok(
    ticket_table: Option<pg_sys::Oid>,
    department: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    confidential: Option<bool>,
    status: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table);
    call.who.as_ref().is_some_and(|(access, table, _)| {
        let mut columns = columns(department, assignee, team, confidential);
        columns.status = table.status(status);
        deskguard_rules::create(access, &table.ticket(columns, false))
    })
}

thread_local! {
    /// What tickets were before the UPDATE that is under way, by table and new id.
    static UPDATED: RefCell<HashMap<(pg_sys::Oid, Option<OwnedKey>), Noted>> = RefCell::default();
}

/// What a ticket was.
struct Noted {
    id: Option<OwnedKey>,
    columns: TicketColumns,
    /// It was of a department that is nobody's external_key and is so no more: it may be of another
    /// such, which has the same id.
    left_unmapped: bool,
}

/// How many are remembered: rows are noted and checked one by one, unless a trigger of the help
/// desk's own updates others in between.
const MOST_UPDATED: usize = 1000;

#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_note_ticket() -> &'static pg_sys::Pg_finfo_record {
    const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION_1
}

/// Trigger: notes what a ticket was, for update_ok, since a policy sees the new row only.
///
/// By hand and not by pgrx's pg_trigger, which takes several times as long, and here each updated row
/// pays.
///
/// # Safety
/// Called by PostgreSQL.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn note_ticket(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: in a trigger the context is its TriggerData.
    unsafe {
        let call = TriggerCall::new(
            fcinfo,
            "note_ticket",
            &[Form::BEFORE_UPDATE],
            "deskguard.protect_tickets() makes the trigger.",
        );
        let table = call.relation().rd_id;
        let noting = at_site(fcinfo, Some(table), |statement| {
            Noting::of(call.relation(), statement)
        });
        if let Some(noting) = &*noting {
            let descriptor = call.relation().rd_att;
            let before = call.old();
            let noted = Noted {
                id: key(before, descriptor, noting.id).map(KeyRef::to_owned),
                columns: noting.columns(before, descriptor),
                left_unmapped: noting.leaves_unmapped(&call),
            };
            let id = new_key(&call, noting.id);
            UPDATED.with_borrow_mut(|updated| {
                if updated.len() >= MOST_UPDATED {
                    updated.clear();
                }
                updated.insert((noting.table.oid, id), noted);
            });
        }
        pg_sys::Datum::from(call.new_row())
    }
}

/// Where the rows of a table have what update_ok needs.
struct Noting {
    table: Rc<TicketTable>,
    keys: Rc<ExternalKeys>,
    id: Place,
    department: Option<Place>,
    assignee: Option<Place>,
    team: Option<Place>,
    confidential: Option<Place>,
    status: Option<Place>,
}

/// A column of a table.
#[derive(Clone, Copy)]
pub struct Place {
    number: i16,
    type_oid: pg_sys::Oid,
    /// From others of its row, which is not done yet where a trigger runs before an UPDATE.
    is_generated: bool,
}

/// # Safety
/// The relation is open.
pub unsafe fn place(relation: &pg_sys::RelationData, column: &str) -> Option<Place> {
    let columns = unsafe { pgrx::PgTupleDesc::from_pg_unchecked(relation.rd_att) };
    (1..)
        .zip(columns.iter())
        .find(|(_, attribute)| !attribute.attisdropped && attribute.name() == column)
        .map(|(number, attribute)| Place {
            number,
            type_oid: attribute.atttypid,
            is_generated: attribute.attgenerated != 0,
        })
}

unsafe fn value(
    row: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    place: Place,
) -> Option<pg_sys::Datum> {
    let mut is_null = false;
    let number = place.number.into();
    let datum = unsafe { pg_sys::heap_getattr(row, number, descriptor, &mut is_null) };
    (!is_null).then_some(datum)
}

/// A column of a type that keys have.
///
/// # Safety
/// The place is one of the descriptor, which is the row's; the row lives as long as the key.
pub unsafe fn key<'a>(
    row: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    place: Place,
) -> Option<KeyRef<'a>> {
    unsafe { KeyRef::from_datum(value(row, descriptor, place)?, place.type_oid) }
}

/// A column of the row that an UPDATE is about to write. One that is generated is computed here as PostgreSQL
/// will do: the row still has the former value.
///
/// # Safety
/// The place is one of the table's.
unsafe fn new_key(call: &TriggerCall, place: Place) -> Option<OwnedKey> {
    unsafe {
        let relation = std::ptr::from_ref(call.relation()).cast_mut();
        if !place.is_generated {
            let key = key(call.new_row(), (*relation).rd_att, place);
            return key.map(KeyRef::to_owned);
        }
        let state = pg_sys::CreateExecutorState();
        let expression = pg_sys::build_column_default(relation, place.number.into());
        let expression = pg_sys::ExecPrepareExpr(expression.cast(), state);
        let context = pg_sys::MakePerTupleExprContext(state);
        (*context).ecxt_scantuple = call.new_slot();
        let mut is_null = false;
        let value = pg_sys::ExecEvalExprSwitchContext(expression, context, &mut is_null);
        let key = if is_null {
            None
        } else {
            KeyRef::from_datum(value, place.type_oid).map(KeyRef::to_owned)
        };
        pg_sys::FreeExecutorState(state);
        key
    }
}

impl Noting {
    /// None where the policies do not apply.
    unsafe fn of(relation: &pg_sys::RelationData, statement: &Statement) -> Option<Noting> {
        if !policies_apply(relation.rd_id) {
            return None;
        }
        let table = cache::ticket_table(relation.rd_id)?;
        let place = |column: &str| unsafe { place(relation, column) };
        let of = |column: &Option<String>| place(column.as_deref()?);
        // Who may not reach a status by a move alone needs no more than the department.
        let with_status = |column| table.status.as_ref().and_then(|_| of(column));
        Some(Noting {
            id: place(&table.id)?,
            department: of(&table.department),
            assignee: with_status(&table.assignee),
            team: with_status(&table.team),
            confidential: with_status(&table.confidential),
            status: table.status.as_ref().and_then(|status| place(&status.name)),
            keys: external_key::of_statement(statement),
            table,
        })
    }

    unsafe fn leaves_unmapped(&self, call: &TriggerCall) -> bool {
        let Some(department) = self.department else {
            return false;
        };
        unsafe {
            let left = key(call.old(), call.relation().rd_att, department);
            left.is_some_and(|left| {
                self.keys.id(Principal::Department, left) == UNMAPPED
                    && new_key(call, department).as_ref().map(OwnedKey::borrowed) != Some(left)
            })
        }
    }

    unsafe fn columns(
        &self,
        row: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
    ) -> TicketColumns {
        unsafe {
            let id = |place: Option<Place>, principal| {
                let key = key(row, descriptor, place?)?;
                Some(self.keys.id(principal, key))
            };
            let get = |place| value(row, descriptor, place);
            let confidential = self.confidential.and_then(get);
            let status = self.status.and_then(|place| {
                let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
                let value = get(place)?;
                pg_sys::getTypeOutputInfo(place.type_oid, &mut output, &mut is_varlena);
                let text = pg_sys::OidOutputFunctionCall(output, value);
                Some(
                    std::ffi::CStr::from_ptr(text)
                        .to_string_lossy()
                        .into_owned(),
                )
            });
            TicketColumns {
                department: id(self.department, Principal::Department),
                category: None,
                assignee: id(self.assignee, Principal::Agent),
                team: id(self.team, Principal::Team),
                confidential: confidential.is_none_or(|value| value.value() != 0),
                status: self.table.status(status.as_deref()),
            }
        }
    }
}

/// May an updated ticket be in this department and have this status? An SQL function for each type of ids.
macro_rules! update_ok {
    ($($name:ident, $id:ty);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $name(
                ticket_table: Option<pg_sys::Oid>,
                id: Option<$id>,
                department: Option<i64>,
                status: Option<&str>,
                fcinfo: pg_sys::FunctionCallInfo,
            ) -> bool {
                let call = Call::of(fcinfo, ticket_table);
                may_update(&call, id.map(KeyRef::from), department, status)
            }
        )+
    };
}

update_ok!(update_ok, i64; update_ok_uuid, pgrx::Uuid; update_ok_text, &str);

fn may_update(
    call: &Call,
    id: Option<KeyRef>,
    department: Option<i64>,
    status: Option<&str>,
) -> bool {
    let Some((access, table, followed)) = &call.who else {
        return false;
    };
    let noted = (table.oid, id.map(KeyRef::to_owned));
    let before = UPDATED.with_borrow_mut(|updated| updated.remove(&noted));
    // A row that nobody noted: the trigger is off.
    let Some(Noted {
        id: id_before,
        columns: mut before,
        left_unmapped,
    }) = before
    else {
        return false;
    };
    if let Some(id) = id
        && Some(id) != id_before.as_ref().map(OwnedKey::borrowed)
        && let Some(new) = cache::new_id(table.oid)
    {
        new.check(&call.statement, access, id);
    }
    if left_unmapped && department == Some(UNMAPPED) {
        before.department = None;
    }
    let after = TicketColumns {
        department,
        status: table.status(status),
        ..before
    };
    // Following matters for the right to delete only, and takes a look-up.
    let after = table.ticket(after, false);
    let update =
        |followed| deskguard_rules::update(access, &table.ticket(before, followed), &after);
    let follows = || {
        let id = id_before.as_ref().map(OwnedKey::borrowed);
        id.is_some_and(|id| followed.contains(id))
    };
    let refusal = match update(false) {
        Ok(()) => return true,
        Err(Refusal::Spam) if follows() => update(true).err(),
        Err(refusal) => Some(refusal),
    };
    refusal.is_none_or(|refusal| refuse(table, access, id_before, refusal))
}

fn refuse(table: &TicketTable, access: &Agent, id: Option<OwnedKey>, refusal: Refusal) -> ! {
    let agent = access.agent;
    let ticket = id.map_or("NULL".into(), |id| id.to_string());
    let (what, hint) = match refusal {
        Refusal::Move(department) => (
            format!(
                "move a ticket of {} to {}",
                table.name(),
                match department {
                    None => "no department".into(),
                    Some(UNMAPPED) => "a department that is nobody's external_key".into(),
                    Some(id) => format!("department {id}"),
                }
            ),
            "It needs the level \"assign\" or \"full\" on that department or an ancestor of it.",
        ),
        Refusal::Unarchive => (
            format!(
                "take ticket {ticket} of {} out of the archive",
                table.name()
            ),
            "It needs the permission \"ticket.unarchive\".",
        ),
        Refusal::Spam => (
            format!("mark ticket {ticket} of {} as spam", table.name()),
            "It needs a permission to delete it, such as \"ticket.delete.own\".",
        ),
    };
    error::raise(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("agent {agent} may not {what}"),
        hint,
    )
}

/// Do the policies of a table apply to the current user? Not to those who bypass row-level
/// security, nor to foreign-key actions.
pub fn policies_apply(table: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the system cache.
    unsafe {
        pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true)
            == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    }
}
