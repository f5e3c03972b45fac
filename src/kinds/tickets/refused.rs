//! What a command is told that may not do with a ticket what it tries.

use std::cell::RefCell;
use std::rc::Rc;

use deskguard_rules::{Action, Change, Column, Place, Refusal};
use pgrx::pg_sys;

use crate::pg::error;
use crate::rights::cache::Agent;
use crate::rows::explanation::reason;
use crate::tables::key::{KeyRef, OwnedKey};
use crate::tables::principal::UNMAPPED;
use crate::tables::ticket_table::TicketTable;

thread_local! {
    /// The ticket that an UPDATE last made something else of, and its table. What is asked of the new row
    /// after that is about this ticket.
    static UPDATED: RefCell<Option<(pg_sys::Oid, Option<OwnedKey>)>> = const { RefCell::new(None) };
}

/// A row that a command writes.
pub enum Written {
    New,
    /// With what its id was before.
    Updated(Option<OwnedKey>),
    /// One or the other.
    Any,
}

pub fn note_updated(table: &TicketTable, id: Option<OwnedKey>) {
    UPDATED.set(Some((table.oid, id)));
}

impl Written {
    /// The row whose silo is asked, by a query that does this.
    pub fn of(table: &TicketTable, operation: pg_sys::CmdType::Type) -> Written {
        if operation != pg_sys::CmdType::CMD_UPDATE {
            return Written::Any;
        }
        UPDATED.with_borrow(|updated| match updated {
            Some((of, id)) if *of == table.oid => Written::Updated(id.clone()),
            _ => Written::Any,
        })
    }

    fn make(&self, table: &TicketTable) -> String {
        match self {
            Written::Updated(_) => format!("move {} there", self.ticket(table)),
            Written::New | Written::Any => format!("create {}", self.ticket(table)),
        }
    }

    fn put(&self, table: &TicketTable, place: &str) -> String {
        match self {
            Written::New => format!("create {} in {place}", self.ticket(table)),
            Written::Updated(_) => format!("move {} to {place}", self.ticket(table)),
            Written::Any => format!("write {} in {place}", self.ticket(table)),
        }
    }

    fn ticket(&self, table: &TicketTable) -> String {
        match self {
            Written::Updated(id) => ticket(table, id.as_ref().map(OwnedKey::borrowed)),
            Written::New | Written::Any => format!("a ticket of {}", table.name()),
        }
    }
}

fn ticket(table: &TicketTable, id: Option<KeyRef>) -> String {
    let id = id.map_or("NULL".into(), |id| id.to_string());
    format!("ticket {id} of {}", table.name())
}

/// Of a written row, apart from the silo.
pub fn refuse(table: &TicketTable, access: &Agent, written: &Written, refusal: Refusal) -> ! {
    let (what, hint) = match refusal {
        Refusal::Permission(permission) => (
            written.make(table),
            format!("It needs the permission \"{}\".", permission.name()),
        ),
        Refusal::Department(department) => (
            written.put(table, &department_of(department)),
            "It needs the level \"assign\" or \"full\" on that department or an ancestor of it."
                .into(),
        ),
        Refusal::Category(category) => (
            written.put(table, &category_of(category)),
            "It is siloed: it needs a grant of that category, or the category access \"open\"."
                .into(),
        ),
        Refusal::Place(place) => (
            written.put(table, &place_of(place)),
            "It needs the department and the category everywhere, or a scoped group that has both."
                .into(),
        ),
        Refusal::Unarchive => (
            format!("take {} out of the archive", written.ticket(table)),
            "It needs the permission \"ticket.unarchive\".".into(),
        ),
        Refusal::Spam => (
            format!("mark {} as spam", written.ticket(table)),
            "It needs a permission to delete it, such as \"ticket.delete.own\".".into(),
        ),
    };
    error::refuse(format!("agent {} may not {what}", access.agent), None, hint)
}

pub fn refuse_category(
    table: &TicketTable,
    access: &Agent,
    written: &Written,
    category: Option<i64>,
) -> ! {
    refuse(table, access, written, Refusal::Category(category))
}

/// A department or category, or both, by what is said of it in place of none.
fn named(kind: &str, id: Option<i64>) -> String {
    match id {
        None => format!("no {kind}"),
        Some(UNMAPPED) => format!("a {kind} that is nobody's external_key"),
        Some(id) => format!("{kind} {id}"),
    }
}

fn department_of(id: Option<i64>) -> String {
    named("department", id)
}

fn category_of(id: Option<i64>) -> String {
    named("category", id)
}

fn place_of(place: Place) -> String {
    let column = |column, named: fn(Option<i64>) -> String| match column {
        Column::Absent => None,
        Column::Value(id) => Some(named(id)),
    };
    let department = column(place.department, department_of);
    let parts = [department, column(place.category, category_of)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "this table".into(),
        false => parts.join(" and "),
    }
}

/// Of a ticket that the agent sees.
pub fn refuse_change(table: &Rc<TicketTable>, access: &Agent, id: KeyRef, action: Action) -> ! {
    let verb = match action {
        Action::Change(Change::Delete) => "delete",
        _ => "modify",
    };
    let ticket = ticket(table, Some(id));
    error::refuse(
        format!("agent {} may not {verb} {ticket}", access.agent),
        reason(table, access.agent, &id.to_owned(), action),
        "With deskguard.refused_changes = skip, a command leaves out what it may not change.",
    )
}
