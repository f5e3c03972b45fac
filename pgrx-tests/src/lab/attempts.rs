//! Statements of random cases. What goes wrong is an error rather than a panic, for the case is then made
//! smaller.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};

use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Error, Row, SimpleQueryMessage};
use proptest::test_runner::TestCaseError;

use crate::help_desk::{Id, Kind};

pub type Outcome<T = ()> = Result<T, TestCaseError>;

pub type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

pub fn fail(reason: impl Display) -> TestCaseError {
    TestCaseError::fail(reason.to_string())
}

/// A statement that should not have failed.
pub fn broken(sql: &str, error: &Error) -> TestCaseError {
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

pub fn same<T: PartialEq + Debug>(what: &str, got: T, expected: T) -> Outcome {
    if got == expected {
        return Ok(());
    }
    Err(fail(format!(
        "{what}\n       got: {got:?}\n  expected: {expected:?}"
    )))
}

pub fn try_run(client: &mut Client, sql: &str) -> Outcome {
    client
        .batch_execute(sql)
        .map_err(|error| broken(sql, &error))
}

pub fn query(client: &mut Client, sql: &str, parameters: Parameters) -> Outcome<Vec<Row>> {
    client
        .query(sql, parameters)
        .map_err(|error| broken(sql, &error))
}

/// How many rows each statement of a script counts.
pub fn counted(client: &mut Client, script: &str) -> Result<Vec<u64>, Error> {
    Ok(counts_of(&client.simple_query(script)?))
}

fn counts_of(messages: &[SimpleQueryMessage]) -> Vec<u64> {
    let count = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    };
    messages.iter().filter_map(count).collect()
}

/// How many rows a statement counts, or why it is refused. Nothing of it stays.
pub fn attempt(client: &mut Client, sql: &str) -> Outcome<Result<u64, SqlState>> {
    let messages = tried(client, sql)?;
    Ok(messages.map(|messages| *counts_of(&messages).last().expect("a statement")))
}

/// The ids that the rows of a script begin with, from a column of that kind; or why it is refused. Nothing
/// of it stays.
pub fn attempt_ids(
    client: &mut Client,
    kind: Kind,
    sql: &str,
) -> Outcome<Result<BTreeSet<Id>, SqlState>> {
    let id = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some(kind.id_of(row.get(0)?)),
        _ => None,
    };
    let messages = tried(client, sql)?;
    Ok(messages.map(|messages| messages.iter().filter_map(id).collect()))
}

/// A statement may be refused for want of a right, or for what belongs to an id already.
fn tried(client: &mut Client, sql: &str) -> Outcome<Result<Vec<SimpleQueryMessage>, SqlState>> {
    let refusals = [
        SqlState::INSUFFICIENT_PRIVILEGE,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
    ];
    let result = client.simple_query(&format!("BEGIN; {sql}"));
    try_run(client, "ROLLBACK")?;
    match result {
        Ok(messages) => Ok(Ok(messages)),
        Err(error) => match error.code() {
            Some(code) if refusals.contains(code) => Ok(Err(code.clone())),
            _ => Err(broken(sql, &error)),
        },
    }
}

/// What comes of a statement that must be refused for want of a right.
pub fn refused<T>() -> Result<T, SqlState> {
    Err(SqlState::INSUFFICIENT_PRIVILEGE)
}
