//! Who may follow and unfollow.

use deskguard_tests::help_desk::{Case, Id};
use deskguard_tests::lab::{Counts, Outcome, refused, same};
use deskguard_tests::{ident, literal};
use postgres::Client;

use crate::ask::{attempt, explained};
use crate::reads::Follower;

pub fn follows(client: &mut Client, case: &Case, who: Option<Id>, counts: &mut Counts) -> Outcome {
    let desk = &case.desk;
    let (Some(columns), Some(table)) = (&desk.table.follower, desk.table.follower_sql()) else {
        return Ok(());
    };
    let (on, by) = (ident(columns.ticket.name), ident(columns.agent.name));
    let changes = |row: Follower| who.is_some_and(|agent| desk.changes_follower(agent, row));
    let whom = |row: Follower| match desk.follower(row) {
        Some(agent) if who == Some(agent) => "oneself",
        Some(_) => "another",
        None => "nobody",
    };
    let json = |ticket: &str, agent: &str| {
        let (on, by) = (literal(columns.ticket.name), literal(columns.agent.name));
        format!("jsonb_build_object({on}, {ticket}, {by}, {agent})")
    };
    let values = |ticket: Id, agent: Id| {
        let (ticket_kind, agent_kind) = (columns.ticket.kind, columns.agent.kind);
        (ticket_kind.literal(ticket), agent_kind.literal(agent))
    };

    for &(ticket, agent) in &case.follows {
        let row = (Some(ticket), Some(agent));
        let (ticket, agent) = values(ticket, agent);
        let sql = format!("INSERT INTO {table} ({on}, {by}) VALUES ({ticket}, {agent})");
        let expected = if changes(row) { Ok(1) } else { refused() };
        same(&sql, attempt(client, &sql, counts)?, expected)?;
        let is_there = desk.ticket(row.0.unwrap_or_default()).is_some();
        let json = json(&ticket, &agent);
        let may = changes(row) && is_there;
        explained(client, desk, who, ("INSERT", &table), ("NULL", &json), may)?;
        counts.either(changes(row), &format!("follow {}", whom(row)));
    }

    let removable = desk.followers.iter().filter(|row| changes(**row)).count() as u64;
    let any = columns.ticket.kind.any_sql(&on);
    let first = columns.agent.kind.literal(1);
    for filter in [String::new(), format!(" WHERE {any}")] {
        let sql = format!("DELETE FROM {table}{filter}");
        same(&sql, attempt(client, &sql, counts)?, Ok(removable))?;
        let sql = format!("UPDATE {table} SET {by} = {first}{filter}");
        same(&sql, attempt(client, &sql, counts)?, Ok(0))?;
    }
    for &row in &desk.followers {
        if let (Some(ticket), Some(agent)) = row {
            let (ticket, agent) = values(ticket, agent);
            let sql = format!("DELETE FROM {table} WHERE {on} = {ticket} AND {by} = {agent}");
            let equal = desk.followers.iter().filter(|other| **other == row).count() as u64;
            let expected = if changes(row) { equal } else { 0 };
            same(&sql, attempt(client, &sql, counts)?, Ok(expected))?;
            let json = json(&ticket, &agent);
            let sees = who.is_some_and(|agent| desk.sees_follower(agent, row));
            for (command, may) in [("DELETE", changes(row)), ("SELECT", sees)] {
                explained(client, desk, who, (command, &table), (&json, "NULL"), may)?;
            }
            counts.either(changes(row), &format!("unfollow {}", whom(row)));
        }
    }
    Ok(())
}
