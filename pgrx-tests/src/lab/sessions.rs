//! Sessions and what they are asked. What a test does not expect to fail panics, and names the statement.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::types::FromSqlOwned;
use postgres::{Client, Error, SimpleQueryMessage};

use crate::help_desk::Id;
use crate::server::{APP, Database};

/// A session of the application that acts for the agent.
pub fn app(database: &Database, agent: Id) -> Client {
    let mut client = database.connect(APP);
    act_for(&mut client, agent);
    client
}

/// By the setting; for nobody without an agent.
pub fn act_for(client: &mut Client, agent: impl Into<Option<Id>>) {
    match agent.into() {
        Some(agent) => run(client, &format!("SET deskguard.agent_id = '{agent}'")),
        None => run(client, "RESET deskguard.agent_id"),
    }
}

/// Runs statements.
pub fn run(client: &mut Client, sql: &str) {
    let result = client.batch_execute(sql);
    result.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The first column of the only row.
pub fn value<T: FromSqlOwned>(client: &mut Client, sql: &str) -> T {
    let row = client.query_one(sql, &[]);
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .get(0)
}

/// The first column of all rows, a text.
pub fn texts(client: &mut Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]);
    let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// The first column of all rows, a bigint.
pub fn ids(client: &mut Client, sql: &str) -> Vec<Id> {
    try_ids(client, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

pub fn try_ids(client: &mut Client, sql: &str) -> Result<Vec<Id>, Error> {
    let rows = client.query(sql, &[])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The first column of all rows that a text of several statements gives, by the simple protocol.
pub fn simple_ids(client: &mut Client, sql: &str) -> Result<Vec<Id>, Error> {
    let messages = client.simple_query(sql)?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(|id| id.parse().unwrap()),
            _ => None,
        })
        .collect())
}

/// The SQLSTATE of a statement that must fail.
pub fn code<T: Debug>(result: Result<T, Error>) -> SqlState {
    let error = result.expect_err("this must be refused");
    error.code().unwrap_or_else(|| panic!("{error:?}")).clone()
}

pub fn is_retry(error: &Error) -> bool {
    error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
}

/// Waits until something is so, for three minutes at most: others may build on the machine.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(
            since.elapsed() < Duration::from_secs(180),
            "not in three minutes: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}
