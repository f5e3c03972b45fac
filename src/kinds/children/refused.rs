//! What a command is told that may not do with a row that belongs to a ticket what it tries.

use std::rc::Rc;

use deskguard_rules::{Action, Change, Permission, Ticket, Unobserved, has_for, is_open_to};

use crate::pg::error;
use crate::rights::cache::Agent;
use crate::rights::statement::Statement;
use crate::rows::allowed::Allowed;
use crate::rows::explanation::reason;
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::key::{KeyRef, OwnedKey};
use crate::tables::principal::UNMAPPED;
use crate::tables::ticket_table::TicketTable;

/// A new row, by what it needs of the row that it belongs to.
pub enum New<'a> {
    Message,
    Follower(Option<i64>),
    /// Of a kind that does not mean that its agent follows.
    OfKind(Option<&'a str>),
}

/// Of a row whose parent the agent sees the error says why. Else nothing tells it from one that is not
/// there.
pub fn refuse_new(
    statement: &Statement,
    access: &Rc<Agent>,
    child: &ChildTable,
    parent: KeyRef,
    new: New,
    action: Action,
) -> ! {
    let agent = access.agent;
    let seen = Allowed::of_statement(statement, access, &child.parent, Action::View);
    let row = row(&child.parent, parent);
    let (detail, hint) = if seen.contains(parent) {
        (
            why_not(access, &child.parent, parent, action),
            "deskguard.explain_command() tells more.",
        )
    } else {
        (
            Some("It sees no such row.".into()),
            "Name one that it sees and may change.",
        )
    };
    let what = match new {
        New::Message => format!("add a row of {} to {row}", child.name()),
        New::Follower(Some(other)) if other == agent => format!("follow {row}"),
        New::Follower(Some(UNMAPPED)) => format!("make who is nobody's external_key follow {row}"),
        New::Follower(Some(other)) => format!("make agent {other} follow {row}"),
        New::Follower(None) => format!("make nobody follow {row}"),
        New::OfKind(Some(kind)) => format!("add a \"{kind}\" of {} to {row}", child.name()),
        New::OfKind(None) => format!("add a row of {} without a kind to {row}", child.name()),
    };
    error::refuse(format!("agent {agent} may not {what}"), detail, hint)
}

/// Of a row that the agent sees. `is_internal`: that it is internal is what forbids the change.
pub fn refuse_edit(access: &Agent, child: &ChildTable, parent: KeyRef, is_internal: bool) -> ! {
    let (agent, action) = (access.agent, Action::Change(Change::EditMessages));
    let (what, detail) = match is_internal {
        true => ("internal rows", Some(lacks_permission(agent))),
        false => ("rows", why_not(access, &child.parent, parent, action)),
    };
    error::refuse(
        format!(
            "agent {agent} may not change {what} of {} that belong to {}",
            child.name(),
            row(&child.parent, parent)
        ),
        detail,
        "With deskguard.refused_changes = skip, a command leaves out what it may not change.",
    )
}

/// Of a row that a command writes.
pub fn refuse_internal(access: &Agent, child: &ChildTable, parent: KeyRef) -> ! {
    let column = child.internal.as_deref().unwrap_or_default();
    error::refuse(
        format!(
            "agent {} may not write an internal row of {} that belongs to {}",
            access.agent,
            child.name(),
            row(&child.parent, parent)
        ),
        Some(lacks_permission(access.agent)),
        format!("A row is internal unless \"{column}\" is false."),
    )
}

fn lacks_permission(agent: i64) -> String {
    let permission = Permission::ViewInternal.name();
    format!("Agent {agent} lacks the permission {permission}.")
}

fn row(parent: &Parent, id: KeyRef) -> String {
    match parent {
        Parent::Tickets(tickets) => format!("ticket {id} of {}", tickets.name()),
        Parent::Messages(messages) => format!("row {id} of {}", messages.name()),
    }
}

fn why_not(access: &Agent, parent: &Parent, id: KeyRef, action: Action) -> Option<String> {
    let (tickets, ticket, internal) = above(access, parent, id, action)?;
    let of_ticket = reason(&tickets, access.agent, &ticket, action);
    of_ticket.or(internal)
}

/// The ticket that a row belongs to in the end, and on the way what is said of an internal message that forbids this.
fn above(
    access: &Agent,
    parent: &Parent,
    id: KeyRef,
    action: Action,
) -> Option<(Rc<TicketTable>, OwnedKey, Option<String>)> {
    let messages = match parent {
        Parent::Tickets(tickets) => return Some((tickets.clone(), id.to_owned(), None)),
        Parent::Messages(messages) => messages,
    };
    let found = messages.find_rows(id, &access.external_keys);
    let found = found.into_iter().find(|row| row.parent.is_some())?;
    let next = found.parent.as_ref()?.borrowed();
    let (tickets, ticket, internal) = above(access, &messages.parent, next, action)?;
    let holds = || {
        let keys = &access.external_keys;
        let rows = tickets.find_ticket(ticket.borrowed(), access.agent, keys);
        let holds =
            |ticket: &Ticket| has_for(access, ticket, Permission::ViewInternal, &mut Unobserved);
        !rows.is_empty() && rows.iter().all(holds)
    };
    let is_open = is_open_to(access, found.message, action, holds);
    let is_internal = || {
        let row = row(parent, id);
        format!(
            "{} That is for {row}, which is internal.",
            lacks_permission(access.agent)
        )
    };
    let here = (!is_open).then(is_internal);
    Some((tickets, ticket, internal.or(here)))
}
