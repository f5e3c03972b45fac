//! What an explanation says in words.

use std::fmt::Display;

use crate::columns::TicketColumn;
use crate::decision::Check;
use crate::explain::Question;
use crate::explanation::{GrantedBy, NoAgent, TicketId, Unmapped};
use crate::permission::{Action, Change, Relation};
use crate::ticket::{Column, Relations, Ticket, UNMAPPED};

/// The reason where the rule that failed would tell of the ticket.
pub const HIDDEN: &str = "it lacks a permission to view tickets like this one";

/// The answer and its reason. What is missing may be why.
pub fn summary(question: &Question, allowed: bool, reason: &str, missing: &[Unmapped]) -> String {
    let who = match question.agent {
        Some(id) => format!("Agent {}", called(question, TicketColumn::Assignee, id)),
        None => "An agent that is NULL".into(),
    };
    let may = if allowed { "may" } else { "may not" };
    let action = match question.action {
        Action::View => "view",
        Action::Change(change) => verb(change),
    };
    let ticket: &dyn Display = match &question.ticket {
        Some(TicketId::Number(id)) => id,
        Some(TicketId::Text(id)) => id,
        None => &"NULL",
    };
    let missing: String = missing.iter().map(unmapped).collect();
    format!(
        "{who} {may} {action} ticket {ticket} of {}: {reason}{missing}.",
        question.table
    )
}

pub fn no_agent(why: NoAgent) -> &'static str {
    match why {
        NoAgent::Unknown => "the agent is unknown",
        NoAgent::Inactive => "the agent is inactive",
    }
}

pub fn refusal(failed: Check, question: &Question) -> String {
    match failed {
        Check::Permission(permission) => {
            format!("it lacks the permission {}", permission.name())
        }
        Check::Silo {
            category: Some(UNMAPPED),
        } => "the ticket's category is not known, and a siloed agent sees only tickets of its categories".into(),
        Check::Silo { category: Some(id) } => {
            let category = called(question, TicketColumn::Category, id);
            format!("category {category} is not granted to it, and it is siloed")
        }
        Check::Silo { category: None } => {
            "the ticket has no category, and a siloed agent sees only tickets of its categories"
                .into()
        }
        Check::Department {
            department: Some(UNMAPPED),
            ..
        } => "the ticket's department is not known, and it is neither its own nor followed by it".into(),
        Check::Department {
            department: Some(id),
            level,
        } => format!(
            "it lacks the level \"{}\" on department {} or an ancestor of it, and the ticket is neither its own nor followed by it",
            level.name(),
            called(question, TicketColumn::Department, id)
        ),
        Check::Department {
            department: None, ..
        } => "the ticket has no department and is neither its own nor followed by it".into(),
        Check::Change(_, relations) => format!(
            "the ticket is {}, and it lacks {}",
            standing(relations),
            failed
                .permissions()
                .iter()
                .map(|p| p.name())
                .collect::<Vec<_>>()
                .join(" and ")
        ),
        Check::Relation(_) => "of its relation to the ticket".into(),
    }
}

pub fn missing_feature(permission: &str, table: &str) -> String {
    format!("it lacks the permission {permission}, which {table} needs")
}

pub fn hidden_by_policy(table: &str) -> String {
    format!("a policy of {table} that is not deskguard's hides it")
}

/// A right that ended or that begins.
pub fn other_time(by: &GrantedBy, verb: &str, at: &str) -> String {
    let right = match by {
        GrantedBy::Agent(_) => "its own grant".into(),
        GrantedBy::Group(name) => format!("what it has through the group \"{name}\""),
        GrantedBy::Team(team) => format!("its membership in team {team}"),
        GrantedBy::Setting(_) => "the default".into(),
    };
    format!("; {right} {verb} at {at}")
}

pub fn grant(looked_at: &[(Check, bool)], ticket: &Ticket, question: &Question) -> String {
    let relations = looked_at.iter().find_map(|(check, _)| match check {
        Check::Relation(relations) => Some(*relations),
        _ => None,
    });
    let mut reasons = Vec::new();
    match relations {
        Some(r) if r.own => reasons.push("the ticket is its own".to_string()),
        Some(r) if r.followed => reasons.push("it follows the ticket".into()),
        Some(r) => reasons.push(match ticket.department {
            Column::Value(Some(id)) if id != UNMAPPED => {
                let department = called(question, TicketColumn::Department, id);
                format!(
                    "it has department {department} and may view {} tickets",
                    names(r)
                )
            }
            Column::Value(_) => {
                format!("it has all departments and may view {} tickets", names(r))
            }
            Column::Absent => format!("it may view {} tickets", names(r)),
        }),
        None => {}
    }
    if let Some((Check::Change(change, r), _)) = looked_at.last() {
        reasons.push(format!("it may {} {} tickets", verb(*change), names(*r)));
    }
    reasons.join(", and ")
}

fn unmapped(unmapped: &Unmapped) -> String {
    let Unmapped {
        column,
        value,
        table,
        agent,
        ..
    } = unmapped;
    match (agent, value) {
        (Some(agent), _) => {
            format!("; agent {agent} has no external_key that could stand in {column}")
        }
        (None, value) => {
            let value = value.as_deref().unwrap_or_default();
            format!("; its {column} \"{value}\" is the external_key of no row of {table}")
        }
    }
}

/// An id, with the name if that is told.
fn called(question: &Question, column: TicketColumn, id: i64) -> String {
    match question.name(column, Some(id)) {
        Some(name) => format!("{id} ({name})"),
        None => id.to_string(),
    }
}

fn verb(change: Change) -> &'static str {
    match change {
        Change::Reply => "reply to",
        Change::Modify => "modify",
        Change::EditMessages => "edit messages of",
        Change::Delete => "delete",
    }
}

/// How the agent stands to the ticket.
fn standing(relations: Relations) -> String {
    let each = relations.iter().map(|relation| match relation {
        Relation::Own => "its own",
        Relation::Followed => "followed by it",
        Relation::Unassigned => "unassigned",
        Relation::Assigned => "assigned to others",
    });
    each.collect::<Vec<_>>().join(" and ")
}

fn names(relations: Relations) -> String {
    relations
        .iter()
        .map(Relation::name)
        .collect::<Vec<_>>()
        .join(" or ")
}
