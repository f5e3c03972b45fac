//! What a command is told that may not do with a row that belongs to a ticket what it tries.

use std::rc::Rc;

use deskguard_rules::{Action, Change};

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
pub enum New {
    Message,
    Follower(Option<i64>),
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
            why_not(agent, &child.parent, parent, action),
            "deskguard.explain_access() tells more.",
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
    };
    error::refuse(format!("agent {agent} may not {what}"), detail, hint)
}

/// Of a row that the agent sees.
pub fn refuse_edit(access: &Agent, child: &ChildTable, parent: KeyRef) -> ! {
    let (agent, action) = (access.agent, Action::Change(Change::EditMessages));
    error::refuse(
        format!(
            "agent {agent} may not change rows of {} that belong to {}",
            child.name(),
            row(&child.parent, parent)
        ),
        why_not(agent, &child.parent, parent, action),
        "With deskguard.refused_changes = skip, a command leaves out what it may not change.",
    )
}

fn row(parent: &Parent, id: KeyRef) -> String {
    match parent {
        Parent::Tickets(tickets) => format!("ticket {id} of {}", tickets.name()),
        Parent::Messages(messages) => format!("row {id} of {}", messages.name()),
    }
}

fn why_not(agent: i64, parent: &Parent, id: KeyRef, action: Action) -> Option<String> {
    let (tickets, id) = ticket(parent, id)?;
    reason(&tickets, agent, &id, action)
}

/// The ticket that a row belongs to in the end.
fn ticket(parent: &Parent, id: KeyRef) -> Option<(Rc<TicketTable>, OwnedKey)> {
    match parent {
        Parent::Tickets(tickets) => Some((tickets.clone(), id.to_owned())),
        Parent::Messages(messages) => {
            let above = messages.find_parents(id).into_iter().flatten().next()?;
            ticket(&messages.parent, above.borrowed())
        }
    }
}
