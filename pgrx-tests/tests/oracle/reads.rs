//! What a session sees.

use std::collections::BTreeSet;
use std::io::Read as _;

use deskguard_tests::help_desk::{HelpDesk, Id, Partitioning};
use deskguard_tests::ident;
use deskguard_tests::lab::{Outcome, broken, fail, query, same};
use postgres::{Client, Row};

use crate::ask::ids;

/// A follower row: ticket, agent.
pub type Follower = (Option<Id>, Option<Id>);

pub fn identity(client: &mut Client, desk: &HelpDesk, who: Option<Id>) -> Outcome {
    let sql = "SELECT deskguard.current_agent()";
    let current: Option<Id> = query(client, sql, &[])?[0].get(0);
    let active = who.filter(|&id| {
        desk.agents
            .iter()
            .any(|agent| agent.id == id && agent.active)
    });
    // Whether a number that is no active agent is somebody is left open: it may do nothing.
    if who.is_none() || active.is_some() {
        same(sql, current, active)?;
    }
    Ok(())
}

fn select_ids(desk: &HelpDesk, table: &str) -> String {
    format!("SELECT {}::text FROM {table}", ident(desk.table.id.name))
}

pub fn reads(client: &mut Client, desk: &HelpDesk, who: Option<Id>) -> Outcome {
    let seen: BTreeSet<Id> = desk
        .tickets
        .iter()
        .filter(|ticket| who.is_some_and(|agent| desk.view(agent, ticket)))
        .map(|ticket| ticket.id)
        .collect();
    let sql = select_ids(desk, &desk.table.sql());
    same(&sql, ids(client, desk, &sql)?, seen.clone())?;
    let sql = format!("SELECT count(*) FROM {}", desk.table.sql());
    let counted: i64 = query(client, &sql, &[])?[0].get(0);
    same(&sql, counted as usize, seen.len())?;
    if desk.table.partitioning == Partitioning::None {
        let sql = format!("COPY {} TO STDOUT", desk.table.sql());
        let mut copied = String::new();
        client
            .copy_out(sql.as_str())
            .map_err(|error| broken(&sql, &error))?
            .read_to_string(&mut copied)
            .map_err(fail)?;
        same(&sql, copied.lines().count(), seen.len())?;
    }
    if desk.table.partitioning != Partitioning::None {
        let mut in_partitions = BTreeSet::new();
        for partition in desk.table.partitions() {
            in_partitions.extend(ids(client, desk, &select_ids(desk, &partition))?);
        }
        same("rows of the partitions", in_partitions, seen)?;
    }

    if let (Some(columns), Some(table)) = (&desk.table.follower, desk.table.follower_sql()) {
        let sql = format!(
            "SELECT {}::text, {}::text FROM {table}",
            ident(columns.ticket.name),
            ident(columns.agent.name)
        );
        let rows = query(client, &sql, &[])?;
        let follower = |row: &Row| {
            let (ticket, agent): (Option<&str>, Option<&str>) = (row.get(0), row.get(1));
            (
                ticket.map(|text| columns.ticket.kind.id_of(text)),
                agent.map(|text| columns.agent.kind.id_of(text)),
            )
        };
        let mut rows: Vec<Follower> = rows.iter().map(follower).collect();
        rows.sort();
        let visible = |row: &&Follower| who.is_some_and(|agent| desk.sees_follower(agent, **row));
        let mut expected: Vec<Follower> = desk.followers.iter().filter(visible).copied().collect();
        expected.sort();
        same(&sql, rows, expected)?;
    }
    Ok(())
}
