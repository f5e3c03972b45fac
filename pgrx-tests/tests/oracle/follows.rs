//! Who may follow and unfollow.

use deskguard_tests::help_desk::{Case, Follower, Following, HelpDesk, Id};
use deskguard_tests::lab::{Counts, Outcome, refused, same};
use deskguard_tests::{ident, literal};
use postgres::Client;

use crate::ask::{attempt, explained};

pub fn follows(client: &mut Client, case: &Case, who: Option<Id>, counts: &mut Counts) -> Outcome {
    let desk = &case.desk;
    let (Some(columns), Some(table)) = (&desk.table.follower, desk.table.follower_sql()) else {
        return Ok(());
    };
    let (on, by) = (ident(columns.ticket.name), ident(columns.agent.name));
    let changes = |row: &Follower| desk.changes_follower(who, row);

    for row in &case.follows {
        let sql = desk.table.insert_follower_sql(row);
        let expected = if changes(row) { Ok(1) } else { refused() };
        same(&sql, attempt(client, &sql, counts)?, expected)?;
        let json = columns.json_sql(row);
        let command = ("INSERT", &*table);
        explained(client, desk, who, command, ("NULL", &json), changes(row))?;
        count(desk, who, row, "follow", counts);
    }

    let any = columns.ticket.kind.any_sql(&on);
    let first = columns.agent.kind.literal(1);
    for filter in [String::new(), format!(" WHERE {any}")] {
        // What is left alone may name no ticket.
        let reached = |row: &&Follower| filter.is_empty() || row.ticket.is_some();
        let reached: Vec<&Follower> = desk.followers.iter().filter(reached).collect();
        let removed = reached.iter().filter(|row| changes(row)).count() as u64;
        let sql = format!("DELETE FROM {table}{filter}");
        same(&sql, attempt(client, &sql, counts)?, Ok(removed))?;
        let sql = format!("UPDATE {table} SET {by} = {first}{filter}");
        let updated = reached.iter().filter(|row| desk.is_left_alone(row)).count() as u64;
        same(&sql, attempt(client, &sql, counts)?, Ok(updated))?;
        if let Some(of) = &columns.row_type {
            let (column, own) = (ident(of.column.name), literal(of.values[0]));
            let sql = format!("UPDATE {table} SET {column} = {own}{filter}");
            // None becomes one of a ticket.
            let expected = if updated == 0 { Ok(0) } else { refused() };
            same(&sql, attempt(client, &sql, counts)?, expected)?;
        }
    }
    for row in &desk.followers {
        let (Some(ticket), Some(agent)) = (row.ticket, row.agent) else {
            continue;
        };
        let (ticket, agent) = (
            columns.ticket.kind.literal(ticket),
            columns.agent.kind.literal(agent),
        );
        let sql = format!("DELETE FROM {table} WHERE {on} = {ticket} AND {by} = {agent}");
        let of_both = |other: &&Follower| (other.ticket, other.agent) == (row.ticket, row.agent);
        let of_both = desk.followers.iter().filter(of_both);
        let expected = of_both.filter(|other| changes(other)).count() as u64;
        same(&sql, attempt(client, &sql, counts)?, Ok(expected))?;
        let json = columns.json_sql(row);
        let sees = desk.sees_follower(who, row);
        for (command, may) in [("DELETE", changes(row)), ("SELECT", sees)] {
            explained(client, desk, who, (command, &table), (&json, "NULL"), may)?;
        }
        count(desk, who, row, "unfollow", counts);
    }
    Ok(())
}

/// With whom it is, and as what where it sees the ticket, so that the kind decides.
fn count(desk: &HelpDesk, who: Option<Id>, row: &Follower, what: &str, counts: &mut Counts) {
    let may = desk.changes_follower(who, row);
    if !desk.is_of_ticket(row) {
        counts.either(may, &format!("{what} of another type"));
        return;
    }
    let whom = match desk.follower(row) {
        Some(agent) if who == Some(agent) => "oneself",
        Some(_) => "another",
        None => "nobody",
    };
    counts.either(may, &format!("{what} {whom}"));
    let sees = desk.sees_follower(who, row);
    if whom == "oneself" && sees {
        match desk.says(row) {
            Some(Following::Requested) => counts.either(may, &format!("{what} as requester")),
            None => counts.either(may, &format!("{what} as nothing")),
            Some(Following::Followed) => {}
        }
    }
}
