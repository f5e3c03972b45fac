//! What an UPDATE may make of a ticket: a policy sees the new row only, so a trigger notes what it was.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use deskguard_rules::{Columns, Refusal, TicketColumn};
use pgrx::prelude::*;

use crate::kinds::new_id::NewId;
use crate::kinds::tickets::calls::Call;
use crate::kinds::tickets::refused::{Written, note_updated, refuse};
use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::relation::policies_apply;
use crate::rights::call_site::at_site;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::known_tables;
use crate::rights::statement::Statement;
use crate::rows::tickets::{Follows, TicketValues};
use crate::tables::key::{KeyRef, OwnedKey};
use crate::tables::key_functions::for_key_types;
use crate::tables::principal::{Principal, UNMAPPED};
use crate::tables::ticket_table::TicketTable;
use crate::tables::trigger_call::{Form, TriggerCall};
use crate::tables::tuple::{Place, key, new_key, place, value};

thread_local! {
    /// What tickets were before the UPDATE that is under way, by table and new id.
    static UPDATED: RefCell<HashMap<(pg_sys::Oid, Option<OwnedKey>), Noted>> = RefCell::default();
}

/// What a ticket was.
struct Noted {
    id: Option<OwnedKey>,
    values: TicketValues,
    /// It was of a department, or category, that is nobody's external_key and is so no more: it may be of
    /// another such, which has the same id.
    left_unmapped: Columns<bool>,
}

/// How many are remembered: rows are noted and checked one by one, unless a trigger of the help
/// desk's own updates others in between.
const MOST_UPDATED: usize = 1000;

version_1!(note_ticket);

/// Trigger: notes what a ticket was, for update_ok, since a policy sees the new row only.
///
/// By hand and not by pgrx's pg_trigger, which takes several times as long, and here each updated row
/// pays.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn note_ticket(fcinfo: CallInfo) -> pg_sys::Datum {
    let call = TriggerCall::new(
        fcinfo,
        "note_ticket",
        &[Form::BEFORE_UPDATE],
        "deskguard.protect_tickets() makes the trigger.",
    );
    // SAFETY: the rows are of the table, and so are the places.
    unsafe {
        let table = call.relation().rd_id;
        let noting = at_site(fcinfo, Some(table), |statement| {
            Noting::of(call.relation(), statement)
        });
        if let Some(noting) = &*noting {
            let descriptor = call.relation().rd_att;
            let before = call.old();
            let noted = Noted {
                id: key(before, descriptor, noting.id).map(KeyRef::to_owned),
                values: noting.values(before, descriptor),
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
    columns: Columns<Option<Place>>,
}

impl Noting {
    /// None where the policies do not apply.
    ///
    /// # Safety
    /// The relation is open.
    unsafe fn of(relation: &pg_sys::RelationData, statement: &Statement) -> Option<Noting> {
        if !policies_apply(relation.rd_id) {
            return None;
        }
        let table = known_tables::ticket_table(relation.rd_id)?;
        // SAFETY: as the caller promises.
        let place = |column: &str| unsafe { place(relation, column) };
        let has_status = table.columns.status.is_some();
        let columns = Columns::each(|column| match column {
            TicketColumn::Department | TicketColumn::Category => place(table.column(column)?),
            // Who may not reach a status by a move alone needs no more than the place.
            _ if has_status => place(table.column(column)?),
            _ => None,
        });
        Some(Noting {
            id: place(&table.id)?,
            columns,
            keys: statement.external_keys(),
            table,
        })
    }

    /// # Safety
    /// The call is for the table that this is of.
    unsafe fn leaves_unmapped(&self, call: &TriggerCall) -> Columns<bool> {
        // SAFETY: as the caller promises.
        let leaves = |principal, place: Option<Place>| unsafe {
            let left = place.and_then(|place| key(call.old(), call.relation().rd_att, place));
            left.zip(place).is_some_and(|(left, place)| {
                self.keys.id(principal, left) == UNMAPPED
                    && new_key(call, place).as_ref().map(OwnedKey::borrowed) != Some(left)
            })
        };
        Columns {
            department: leaves(Principal::Department, self.columns.department),
            category: leaves(Principal::Category, self.columns.category),
            ..Columns::default()
        }
    }

    /// # Safety
    /// The row is of the table that this is of, and the descriptor is the row's.
    unsafe fn values(&self, row: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> TicketValues {
        // SAFETY: as the caller promises.
        unsafe {
            let id = |column| {
                let place = *self.columns.get(column);
                let key = key(row, descriptor, place?)?;
                Some(self.keys.id(Principal::of_column(column)?, key))
            };
            let get = |place| value(row, descriptor, place);
            let confidential = self.columns.confidential.and_then(get);
            let status = self.columns.status.and_then(|place| {
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
            TicketValues {
                confidential: confidential.is_none_or(|value| value.value() != 0),
                status: self.table.statuses.of(status.as_deref()),
                ..TicketValues::of_ids(id)
            }
        }
    }
}

// May an updated ticket be in this place and have this status?
for_key_types!(
    |$name, $key| [ticket_update_ok, ticket_update_ok_uuid, ticket_update_ok_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        ticket_table: Option<pg_sys::Oid>,
        id: Option<$key>,
        department: Option<i64>,
        category: Option<i64>,
        status: Option<&str>,
        fcinfo: CallInfo,
    ) -> bool {
        let call = Call::of(fcinfo, ticket_table);
        may_update(&call, id.map(KeyRef::from), (department, category), status)
    }
);

fn may_update(
    call: &Call,
    id: Option<KeyRef>,
    (department, category): (Option<i64>, Option<i64>),
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
        values: mut before,
        left_unmapped,
    }) = before
    else {
        return false;
    };
    if let Some(id) = id
        && Some(id) != id_before.as_ref().map(OwnedKey::borrowed)
        && let Some(new) = NewId::of_table(table.oid)
    {
        new.check(&call.statement, access, id);
    }
    if left_unmapped.department && department == Some(UNMAPPED) {
        before.department = None;
    }
    if left_unmapped.category && category == Some(UNMAPPED) {
        before.category = None;
    }
    let after = TicketValues {
        department,
        category,
        status: table.statuses.of(status),
        ..before
    };
    // Following matters for the right to delete only, and takes a look-up.
    let after = table.ticket(after, Follows::NOTHING);
    let update = |follows| deskguard_rules::update(access, &table.ticket(before, follows), &after);
    let follows = || followed.of(id_before.as_ref().map(OwnedKey::borrowed));
    let refusal = match update(Follows::NOTHING) {
        Err(Refusal::Spam) => update(follows()).err(),
        decision => decision.err(),
    };
    if let Some(refusal) = refusal {
        refuse(table, access, &Written::Updated(id_before), refusal);
    }
    note_updated(table, id_before);
    true
}
