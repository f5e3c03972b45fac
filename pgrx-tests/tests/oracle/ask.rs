//! Statements, what comes of them, and what the oracle expects.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{HelpDesk, Id, KeyForm, Kind};
use postgres::error::SqlState;
use postgres::{Client, Row, SimpleQueryMessage};
use proptest::test_runner::TestCaseError;

use crate::counts::Counts;

pub fn fail(reason: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(reason.to_string())
}

pub fn broken(sql: &str, error: &postgres::Error) -> TestCaseError {
    match error.as_db_error() {
        Some(e) => fail(format!(
            "{} {}: {}\n{sql}",
            e.code().code(),
            e.message(),
            e.where_().unwrap_or_default()
        )),
        None => fail(format!("{error:?}\n{sql}")),
    }
}

pub fn run(client: &mut Client, sql: &str) -> Outcome {
    client
        .batch_execute(sql)
        .map_err(|error| broken(sql, &error))
}

pub type Parameters<'a> = &'a [&'a (dyn postgres::types::ToSql + Sync)];

pub fn query(client: &mut Client, sql: &str, parameters: Parameters) -> Outcome<Vec<Row>> {
    client
        .query(sql, parameters)
        .map_err(|error| broken(sql, &error))
}

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

pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, oracle: T) -> Outcome {
    if got == oracle {
        return Ok(());
    }
    Err(fail(format!(
        "{what}\n     got: {got:?}\n  oracle: {oracle:?}"
    )))
}

/// How many rows each statement of a script counts.
pub fn counted(client: &mut Client, script: &str) -> Result<Vec<u64>, postgres::Error> {
    let messages = client.simple_query(script)?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
            _ => None,
        })
        .collect())
}

/// How many rows a statement changes, or why it may not. Nothing of it stays.
pub fn attempt(
    client: &mut Client,
    sql: &str,
    counts: &mut Counts,
) -> Outcome<Result<u64, SqlState>> {
    counts.add("commands tried");
    let result = counted(client, &format!("BEGIN; {sql}"));
    run(client, "ROLLBACK")?;
    match result {
        Ok(rows) => Ok(Ok(rows[1])),
        Err(error) => match error.code() {
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Ok(Err(code.clone())),
            // Of a ticket that is hidden, and has followers that no foreign key holds.
            Some(code)
                if *code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
                    && sql.contains("ON CONFLICT") =>
            {
                Ok(refused())
            }
            _ => Err(broken(sql, &error)),
        },
    }
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

pub fn refused<T>() -> Result<T, SqlState> {
    Err(SqlState::INSUFFICIENT_PRIVILEGE)
}

pub type Outcome<T = ()> = Result<T, TestCaseError>;

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
