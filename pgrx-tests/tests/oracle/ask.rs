//! Statements, what comes of them, and what the oracle expects.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{HelpDesk, Id, KeyForm, Kind};
use deskguard_tests::lab;
use deskguard_tests::lab::{Counts, Outcome, broken, fail, query, refused, same};
use deskguard_tests::literal;
use postgres::error::SqlState;
use postgres::{Client, Row};
use serde_json::Value;

use crate::schema;

/// The ids of tickets in a query's first column, a text; each may come once.
pub fn ids(client: &mut Client, desk: &HelpDesk, sql: &str) -> Outcome<BTreeSet<Id>> {
    let rows = query(client, sql, &[])?;
    let ids: BTreeSet<Id> = rows.iter().map(|row| id_of(desk, row)).collect();
    same(
        &format!("rows and different ids of {sql}"),
        rows.len(),
        ids.len(),
    )?;
    Ok(ids)
}

pub fn id_of(desk: &HelpDesk, row: &Row) -> Id {
    desk.table.id.kind.id_of(row.get(0))
}

/// How many rows a statement changes, or why it may not. Nothing of it stays.
pub fn attempt(
    client: &mut Client,
    sql: &str,
    counts: &mut Counts,
) -> Outcome<Result<u64, SqlState>> {
    counts.add("commands tried");
    let outcome = lab::attempt(client, sql)?;
    // Of a ticket that is hidden, and has followers that no foreign key holds.
    let is_taken = Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    if outcome == is_taken && sql.contains("ON CONFLICT") {
        return Ok(refused());
    }
    Ok(outcome)
}

/// The tickets that a statement changes. Nothing of it stays.
pub fn touched(
    client: &mut Client,
    desk: &HelpDesk,
    sql: &str,
    counts: &mut Counts,
) -> Outcome<BTreeSet<Id>> {
    let mut transaction = client.transaction().map_err(|e| broken("BEGIN", &e))?;
    counts.add("commands tried");
    let changed = transaction.execute(sql, &[]).map_err(|e| broken(sql, &e))?;
    let probe = "SELECT id FROM probe.touched";
    let rows = transaction
        .query(probe, &[])
        .map_err(|e| broken(probe, &e))?;
    let ids: BTreeSet<Id> = rows.iter().map(|row| id_of(desk, row)).collect();
    same(
        &format!("rows counted and touched by {sql}"),
        changed,
        ids.len() as u64,
    )?;
    Ok(ids)
}

/// What an agent is told that asks about a command of its own: the command, its table, and the old and the new row as
/// SQL. Nobody and who is not active may not ask.
pub fn explained(
    client: &mut Client,
    desk: &HelpDesk,
    who: Option<Id>,
    (command, table): (&str, &str),
    (old, new): (&str, &str),
    expected: bool,
) -> Outcome {
    let is_active = |agent: &Id| desk.agents.iter().any(|a| a.id == *agent && a.active);
    let Some(agent) = who.filter(is_active) else {
        return Ok(());
    };
    let table = literal(table);
    let sql =
        format!("SELECT deskguard.explain_command({agent}, '{command}', {table}, {old}, {new})");
    let answer: Value = query(client, &sql, &[])?[0].get(0);
    schema::check(&answer).map_err(|reason| fail(format!("{sql}: {reason}: {answer}")))?;
    same(
        &format!("{sql}: {answer}"),
        &answer["allowed"],
        &expected.into(),
    )?;
    let rules = answer["rules"].as_array().map_or(&[][..], |rules| rules);
    let is_refused = rules.iter().any(|rule| rule["passed"] == false);
    // Of a row that is not there, or of which nobody may know, no rule is told; nor of one that is left alone.
    let is_untold = rules.is_empty();
    same(
        &format!("rules of {sql}: {answer}"),
        is_refused || is_untold && !expected,
        !expected,
    )
}

/// No ticket has this id.
pub const NO_TICKET: Id = 31_000;

/// Tickets to ask about, as texts; the last is none.
pub fn asked_ids(desk: &HelpDesk) -> Vec<String> {
    let ids = desk.tickets.iter().map(|ticket| ticket.id);
    ids.chain([NO_TICKET])
        .map(|id| desk.table.id.kind.text(id))
        .collect()
}

/// The text `id` as the argument of functions, in one of the types that they take.
pub fn id_form(kind: Kind, turn: Id) -> &'static str {
    let other = match (kind, kind.form()) {
        (_, None | Some(KeyForm::Number)) => "id::bigint",
        (_, Some(KeyForm::Uuid)) => "id::uuid",
        (_, Some(KeyForm::Words)) => "id::varchar",
    };
    if turn % 2 == 0 { "id" } else { other }
}
