//! To protect a table again without a column that a rule needed before ends that rule: said, not silent.

use deskguard_rules::{Meaning, TicketColumn};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error;
use crate::pg::relation::display_name;
use crate::tables::child_table::ChildTable;
use crate::tables::row_type::RowType;
use crate::tables::shared_table::SharedTable;
use crate::tables::ticket_table::{FollowerTable, Following, TicketTable};

/// Tells which rules end, in words, and refuses that unless it is wanted.
pub fn refuse_dropped_rules(table: pg_sys::Oid, dropped: &[String], is_wanted: bool) {
    if dropped.is_empty() {
        return;
    }
    for rule in dropped {
        error::notice(
            format!("a rule of {} ends: {rule}", display_name(table)),
            "Give the column again if the rule is to go on.",
        );
    }
    if !is_wanted {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "to protect {} in this way would end rules: {}",
                display_name(table),
                dropped.join("; ")
            ),
            "Give all columns that it was protected with, or drop_rules => true if these rules are to end.",
        );
    }
}

/// A rule that needs a column that it had before and has not any more.
fn lost<T>(former: &Option<T>, new: &Option<T>, rule: &str) -> Option<String> {
    (former.is_some() && new.is_none()).then(|| rule.to_string())
}

/// What ends without the column.
fn rule_of(column: TicketColumn) -> &'static str {
    match column {
        TicketColumn::Category => "agents have tickets of their categories only (category_column)",
        TicketColumn::Department => {
            "agents have tickets of their departments only (department_column)"
        }
        TicketColumn::Assignee => {
            "what an agent may do depends on whose ticket it is (assignee_column)"
        }
        TicketColumn::Team => "tickets of a team are its members' (team_column)",
        TicketColumn::Requester => "who requested a ticket has rights on it (requester_column)",
        TicketColumn::RequesterTeam => {
            "the team that requested a ticket has rights on it (requester_team_column)"
        }
        TicketColumn::Confidential => {
            "confidential tickets are seen by those they concern (confidential_column)"
        }
        TicketColumn::Status => "what statuses allow (status_column)",
    }
}

fn rule_of_status(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Archived => "leave only with ticket.unarchive (archived_values)",
        Meaning::Spam => "get only with the right to delete them (spam_values)",
    }
}

pub fn dropped_rules_of_tickets(former: &TicketTable, new: &TicketTable) -> Vec<String> {
    let lost_column = |(column, _)| {
        let gone = new.column(column).is_none();
        gone.then(|| rule_of(column).to_string())
    };
    let mut dropped: Vec<String> = former.columns.present().filter_map(lost_column).collect();
    if new.columns.assignee.is_some() {
        dropped.extend(lost(
            &former.unassigned_value,
            &new.unassigned_value,
            "a value of assignee_column means nobody (unassigned_value)",
        ));
    }
    if let Some(followers) = &former.followers {
        let is_same = new
            .followers
            .as_ref()
            .is_some_and(|new| new.oid == followers.oid);
        if !is_same {
            dropped.push(format!(
                "agents see what they follow by {}, which is protected (follower_table)",
                display_name(followers.oid)
            ));
        } else if let Some(new) = &new.followers {
            dropped.extend(dropped_rules_of_followers(followers, new));
        }
    }
    for meaning in Meaning::ALL {
        let kept = new.statuses.get(meaning);
        let former = former.statuses.get(meaning).iter();
        let gone = former.filter(|value| !kept.contains(value));
        let gone: Vec<_> = gone.map(String::as_str).collect();
        if !gone.is_empty() {
            dropped.push(format!(
                "statuses that tickets {}: {}",
                rule_of_status(meaning),
                gone.join(", ")
            ));
        }
    }
    dropped
}

fn dropped_rules_of_followers(former: &FollowerTable, new: &FollowerTable) -> Vec<String> {
    let mut dropped = vec![];
    dropped.extend(lost(
        &former.kinds,
        &new.kinds,
        "rows of the follower table mean what their kind says (follower_kind_column)",
    ));
    if let (Some(former), Some(new)) = (&former.kinds, &new.kinds) {
        for meaning in Following::ALL {
            let kept = new.kinds(meaning);
            let gone = former.kinds(meaning).iter();
            let gone: Vec<_> = gone.filter(|kind| !kept.contains(kind)).collect();
            dropped.extend(gone.into_iter().map(|kind| {
                format!(
                    "a ticket is {} by the agents of kind \"{kind}\" (follower_kinds)",
                    meaning.name()
                )
            }));
        }
    }
    let of_type = lost_type(&former.row_type, &new.row_type);
    dropped.extend(of_type.map(|rule| format!("{rule} (follower_type_column)")));
    dropped
}

/// A rule about rows of other types that ends.
fn lost_type(former: &Option<RowType>, new: &Option<RowType>) -> Option<&'static str> {
    let former = former.as_ref()?;
    match new {
        None => Some("rows of other types belong to no ticket"),
        Some(new) if new.are_others_open && !former.are_others_open => {
            Some("rows of other types are hidden")
        }
        Some(_) => None,
    }
}

pub fn dropped_rules_of_messages(former: &ChildTable, new: &ChildTable) -> Vec<String> {
    let of_author = "the author of a new message is the current agent (author_column)";
    let of_internal = "internal messages are for holders of ticket.view.internal (internal_column)";
    let lost = [
        lost(&former.author, &new.author, of_author),
        lost(&former.internal, &new.internal, of_internal),
    ];
    let of_type = lost_type(&former.row_type, &new.row_type);
    let of_type = of_type.map(|rule| format!("{rule} (type_column)"));
    lost.into_iter().flatten().chain(of_type).collect()
}

pub fn dropped_rules_of_shared(former: &SharedTable, new: &SharedTable) -> Vec<String> {
    let rule = "objects are their owners' (owner_column)";
    lost(&former.owner, &new.owner, rule).into_iter().collect()
}
