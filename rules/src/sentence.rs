//! What an explanation says in words.

use std::fmt::Display;

use crate::access::Place;
use crate::columns::TicketColumn;
use crate::decision::Check;
use crate::explain::{Question, TableOf};
use crate::explanation::{Asked, GrantedBy, NoAgent, Unmapped};
use crate::grants::Level;
use crate::permission::{Action, Change, Command, Permission, Relation};
use crate::subject::Subject;
use crate::ticket::{Column, Relations, UNMAPPED};

/// The reason where the rule that failed would tell of the ticket.
pub const HIDDEN: &str = "it lacks a permission to view tickets like this one";

/// The answer and its reason. What is missing may be why.
pub fn summary(question: &Question, allowed: bool, reason: &str, missing: &[Unmapped]) -> String {
    let who = match question.agent {
        Some(id) => format!("Agent {}", called(question, TicketColumn::Assignee, id)),
        None => "An agent that is NULL".into(),
    };
    let may = if allowed { "may" } else { "may not" };
    let what = wanted(question);
    let missing: String = missing.iter().map(unmapped).collect();
    format!("{who} {may} {what}: {reason}{missing}.")
}

/// What the agent wants to do.
fn wanted(question: &Question) -> String {
    let table = &question.table;
    let (command, row) = match &question.asked {
        Asked::Action { ticket, action } => {
            let verb = match action {
                Action::View | Action::Holding(_) => "view",
                Action::Change(change) => verb(*change),
            };
            let ticket: &dyn Display = match ticket {
                Some(id) => id,
                None => &"NULL",
            };
            return format!("{verb} ticket {ticket} of {table}");
        }
        Asked::Command { command, row } => (command, row),
    };
    let verb = match (command, question.of == TableOf::Tickets) {
        (Command::Select, true) => "view",
        (Command::Select, false) => "see",
        (Command::Insert, true) => return format!("create such a ticket in {table}"),
        (Command::Insert, false) => return format!("insert such a row into {table}"),
        (Command::Update, _) => "update",
        (Command::Delete, _) => "delete",
    };
    let kind = match question.of {
        TableOf::Tickets => "ticket",
        TableOf::Children | TableOf::Others => "row",
    };
    match row {
        Some(id) if *command == Command::Update => {
            format!("{verb} {kind} {id} of {table} in this way")
        }
        Some(id) => format!("{verb} {kind} {id} of {table}"),
        None => format!("{verb} such a {kind} of {table}"),
    }
}

pub fn no_row(question: &Question) -> &'static str {
    let is_new = matches!(
        question.asked,
        Asked::Command {
            command: Command::Insert,
            ..
        }
    );
    match (question.of, question.is_told_all, is_new) {
        (TableOf::Tickets, ..) => "there is no such ticket",
        (TableOf::Children, true, true) => "the row would belong to no ticket",
        (TableOf::Children, false, true) => "the row would belong to none that it sees",
        (TableOf::Children, true, false) => "there is no such row, or it belongs to no ticket",
        (TableOf::Others, true, _) => "there is no such row",
        (TableOf::Children | TableOf::Others, false, _) => "it sees no such row",
    }
}

pub fn no_agent(why: NoAgent) -> &'static str {
    match why {
        NoAgent::Unknown => "the agent is unknown",
        NoAgent::Inactive => "the agent is inactive",
    }
}

pub fn refusal(failed: Check, is_of_spam: bool, subject: &Subject, question: &Question) -> String {
    let reason = reason(failed, subject, question);
    if is_of_spam {
        return format!("spam needs the right to delete, and {reason}");
    }
    reason
}

fn reason(failed: Check, subject: &Subject, question: &Question) -> String {
    match failed {
        Check::Permission(permission, _) => {
            format!("it lacks the permission {}", permission.name())
        }
        Check::Scope(at) => {
            let level = at.level.name();
            let place = place(question, at);
            format!("none of its scoped groups covers {place} at the level \"{level}\"")
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
            level: Level::Assign,
        } => "the new department is not known, and it may assign tickets only to its departments".into(),
        Check::Department {
            department: Some(id),
            level: Level::Assign,
        } => format!(
            "it lacks the level \"assign\" or \"full\" on department {} or an ancestor of it",
            called(question, TicketColumn::Department, id)
        ),
        Check::Department {
            department: None,
            level: Level::Assign,
        } => "the ticket would have no department, and it may assign tickets only to its departments".into(),
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
        Check::Action(_, relations, _) => format!(
            "the ticket is {}, and it lacks {}",
            standing(relations),
            failed
                .permissions()
                .iter()
                .map(|p| p.name())
                .collect::<Vec<_>>()
                .join(" and ")
        ),
        Check::Author(Some(UNMAPPED)) => {
            "it may not write in the name of who is not known".into()
        }
        Check::Author(Some(author)) => {
            let author = called(question, TicketColumn::Assignee, author);
            format!("it may not write in the name of agent {author}")
        }
        Check::Internal {
            nth,
            author,
            action,
            ..
        } => {
            let command = match &question.asked {
                Asked::Command { command, .. } => Some(command),
                Asked::Action { .. } => None,
            };
            let what = match (subject.nth_message(nth), command) {
                (Some(message), _) => format!("row {message}, which it belongs to, is internal"),
                (None, Some(Command::Insert)) => "the row would be internal".into(),
                (None, Some(Command::Update)) => "the row is or becomes internal".into(),
                (None, _) => "the row is internal".into(),
            };
            let not_author = match (action, author) {
                (Action::View, Some(_)) => ", it is not the author",
                _ => "",
            };
            let lacks = Permission::ViewInternal.name();
            format!("{what}{not_author}, and it lacks {lacks}")
        }
        Check::NoUpdate => {
            format!("rows of {} are inserted and deleted, not updated", question.table)
        }
        Check::Shared { shared, .. } => {
            let manage = Permission::ManageShared.name();
            let not_shared = match shared {
                Some(_) => ", the row is not shared with it",
                None => "",
            };
            format!("it is not the owner of the row{not_shared}, and it lacks {manage}")
        }
        // These always pass.
        Check::Author(None) | Check::Relation(..) | Check::Spam | Check::OfTicket(_) => {
            String::new()
        }
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

pub fn grant(looked_at: &[(Check, bool)], subject: &Subject, question: &Question) -> String {
    let checks = || looked_at.iter().map(|(check, _)| *check);
    let mut reasons = Vec::new();
    let relations = checks().find_map(|check| match check {
        Check::Relation(relations, _) => Some(relations),
        _ => None,
    });
    // To make a new ticket spam one must be able to see it.
    let relations = relations.filter(|_| !matches!(subject, Subject::NewTicket(_)));
    let scope = checks().find_map(|check| match check {
        Check::Scope(at) => Some(at),
        _ => None,
    });
    if let Some(at) = scope {
        let place = place(question, at);
        reasons.push(format!("a scoped group of it covers {place}"));
    }
    let view_requested = Check::Permission(Permission::View(Relation::Requested), None);
    let is_requested = looked_at.contains(&(view_requested, true));
    match relations {
        Some(r) if scope.is_some() => {
            reasons.push(format!("it may view {} tickets there", names(r)));
        }
        Some(r) if r.own => reasons.push("the ticket is its own".to_string()),
        Some(r) if r.followed => reasons.push("it follows the ticket".into()),
        Some(_) if is_requested => reasons.push("it asked for the ticket".into()),
        Some(r) => {
            let department = checks().find_map(|check| match check {
                Check::Department {
                    department,
                    level: Level::Full,
                } => Some(department),
                _ => None,
            });
            reasons.push(match department {
                Some(Some(id)) if id != UNMAPPED => {
                    let department = called(question, TicketColumn::Department, id);
                    format!(
                        "it has department {department} and may view {} tickets",
                        names(r)
                    )
                }
                Some(_) => format!("it has all departments and may view {} tickets", names(r)),
                None => format!("it may view {} tickets", names(r)),
            });
        }
        None => {}
    }
    for check in checks() {
        match check {
            Check::Permission(Permission::Create, _) => {
                reasons.push("it may create tickets".into())
            }
            Check::Permission(Permission::Unarchive, _) => {
                reasons.push("it may take tickets out of the archive".into())
            }
            Check::Action(Action::Change(change), r, _) => {
                reasons.push(format!("it may {} {} tickets", verb(change), names(r)))
            }
            Check::Department {
                department: Some(id),
                level: Level::Assign,
            } if id != UNMAPPED => {
                let department = called(question, TicketColumn::Department, id);
                reasons.push(format!("it may assign tickets to department {department}"));
            }
            Check::Department {
                level: Level::Assign,
                ..
            } => reasons.push("it has all departments".into()),
            Check::Internal {
                author,
                action: Action::View,
                ..
            } if author == question.agent => reasons.push("it wrote what is internal".into()),
            Check::Internal { .. } => {
                reasons.push(format!("it has {}", Permission::ViewInternal.name()))
            }
            Check::Shared { owner, .. } if owner == question.agent => {
                reasons.push("it is the owner of the row".into())
            }
            Check::Shared {
                shared: Some(true), ..
            } => reasons.push("the row is shared with it".into()),
            Check::Shared { .. } => {
                reasons.push(format!("it has {}", Permission::ManageShared.name()))
            }
            _ => {}
        }
    }
    if reasons.is_empty() {
        reasons.push(match question.features.is_empty() {
            true => "no rule refuses it".into(),
            false => "it has each permission that is needed".into(),
        });
    }
    reasons.dedup();
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

/// Where a ticket is, as far as its table says it.
fn place(question: &Question, place: Place) -> String {
    let one = |column, word: &str, value| match value {
        Column::Absent => None,
        Column::Value(None) => Some(format!("no {word}")),
        Column::Value(Some(UNMAPPED)) => Some(format!("an unknown {word}")),
        Column::Value(Some(id)) => Some(format!("{word} {}", called(question, column, id))),
    };
    let department = one(TicketColumn::Department, "department", place.department);
    let category = one(TicketColumn::Category, "category", place.category);
    let both: Vec<_> = department.into_iter().chain(category).collect();
    match both.is_empty() {
        true => "the ticket".into(),
        false => both.join(" and "),
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
        Relation::Requested => "requested by it",
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
