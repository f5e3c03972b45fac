//! What a session sees.

use std::collections::BTreeSet;
use std::io::Read as _;

use deskguard_tests::help_desk::{Follower, HelpDesk, Id, Partitioning};
use deskguard_tests::lab::{Outcome, broken, fail, query, same, try_run};
use deskguard_tests::{ident, literal};
use postgres::Client;

use crate::ask::{id_of, ids};

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

/// One of these: another one for other agents and help desks. All of them for all would take most of the time.
fn in_turn<T: Copy, const N: usize>(all: [T; N], desk: &HelpDesk, who: Option<Id>) -> T {
    let turn = desk.tickets.len() + desk.agents.len();
    all[(turn + who.map_or(0, |id| id.unsigned_abs() as usize)) % N]
}

/// The tickets in order, and pages of them: without a sort, that is by merging the scans of indexes, where there are any.
fn in_order(client: &mut Client, desk: &HelpDesk, who: Option<Id>, seen: &BTreeSet<Id>) -> Outcome {
    try_run(
        client,
        "SET enable_sort = off; SET enable_seqscan = off; SET jit = off",
    )?;
    let (id, table) = (ident(desk.table.id.name), desk.table.sql());
    let direction = in_turn(["ASC", "DESC"], desk, who);
    let all =
        format!("SELECT {id}::text FROM {table} ORDER BY {table}.{id} {direction} LIMIT 1000");
    let rows = query(client, &all, &[])?;
    let rows: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    same(&all, rows.len(), seen.len())?;
    let ids: BTreeSet<Id> = rows
        .iter()
        .map(|text| desk.table.id.kind.id_of(text))
        .collect();
    same(&all, &ids, seen)?;
    let half = rows.len() / 2;
    if half > 0 {
        let after = if direction == "ASC" { ">" } else { "<" };
        let page = format!(
            "SELECT {id}::text FROM {table} WHERE {table}.{id} {after} {} \
             ORDER BY {table}.{id} {direction} LIMIT 3",
            literal(rows[half - 1])
        );
        let found = query(client, &page, &[])?;
        let found: Vec<&str> = found.iter().map(|row| row.get(0)).collect();
        same(&page, found, rows[half..rows.len().min(half + 3)].to_vec())?;
    }
    try_run(client, "RESET enable_sort; RESET enable_seqscan; RESET jit")
}

fn seen_by(desk: &HelpDesk, who: Option<Id>) -> BTreeSet<Id> {
    let tickets = desk.tickets.iter();
    tickets
        .filter(|ticket| who.is_some_and(|agent| desk.view(agent, ticket)))
        .map(|ticket| ticket.id)
        .collect()
}

pub fn reads(client: &mut Client, desk: &HelpDesk, who: Option<Id>) -> Outcome {
    let seen = seen_by(desk, who);
    let sql = select_ids(desk, &desk.table.sql());
    same(&sql, ids(client, desk, &sql)?, seen.clone())?;
    in_order(client, desk, who, &seen)?;
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
        let words = [
            columns.kinds.as_ref().map(|kinds| &kinds.column),
            columns.row_type.as_ref().map(|of| &of.column),
        ];
        let [kind, row_type] =
            words.map(|column| column.map_or("NULL".into(), |column| ident(column.name)));
        let sql = format!(
            "SELECT {}::text, {}::text, {kind}::text, {row_type}::text FROM {table}",
            ident(columns.ticket.name),
            ident(columns.agent.name),
        );
        let rows = query(client, &sql, &[])?;
        let rows = rows.iter().map(|row| {
            let (ticket, agent): (Option<&str>, Option<&str>) = (row.get(0), row.get(1));
            (
                ticket.map(|text| columns.ticket.kind.id_of(text)),
                agent.map(|text| columns.agent.kind.id_of(text)),
                row.get(2),
                row.get(3),
            )
        });
        let mut rows: Vec<(_, _, Option<&str>, Option<&str>)> = rows.collect();
        rows.sort();
        let visible = |row: &&Follower| desk.sees_follower(who, row);
        let visible = desk.followers.iter().filter(visible);
        let mut expected: Vec<_> = visible
            .map(|row| (row.ticket, row.agent, row.kind, row.row_type))
            .collect();
        expected.sort();
        same(&sql, rows, expected)?;
    }
    Ok(())
}

/// What is searched for is found among what is seen, by indexes: with a constant, in a custom and in a generic plan.
pub fn searches(client: &mut Client, desk: &HelpDesk, who: Option<Id>) -> Outcome {
    let seen = seen_by(desk, who);
    let found = |words: &[&str]| -> BTreeSet<Id> {
        let tickets = desk.tickets.iter();
        tickets
            .filter(|ticket| seen.contains(&ticket.id) && words.contains(&ticket.word().as_str()))
            .map(|ticket| ticket.id)
            .collect()
    };
    let select = select_ids(desk, &desk.table.sql());
    let one = found(&["word1"]);
    try_run(client, "SET enable_seqscan = off; SET jit = off")?;
    let (condition, words): (&str, &[&str]) = in_turn(
        [
            ("doc @@ plainto_tsquery('simple', 'word1')", &["word1"]),
            ("doc @@ 'all' AND subject ILIKE '%T WORD1'", &["word1"]),
            ("subject ~ 't word1$' AND meta ? 'word'", &["word1"]),
            ("meta ->> 'word' LIKE 'word1%'", &["word1"]),
            (
                "doc @@ 'word0' OR meta @> '{\"word\": \"word1\"}'",
                &["word0", "word1"],
            ),
            ("doc @@ 'all & !word1'", &["word0", "word2"]),
        ],
        desk,
        who,
    );
    let sql = format!("{select} WHERE {condition}");
    same(&sql, ids(client, desk, &sql)?, found(words))?;
    let condition = in_turn(
        [
            "doc @@ to_tsquery('simple', $1)",
            "subject ILIKE '%' || $1 AND meta ->> 'word' = $1",
            "meta @> jsonb_build_object('word', $1::text)",
        ],
        desk,
        who,
    );
    for plans in ["force_custom_plan", "force_generic_plan"] {
        try_run(client, &format!("SET plan_cache_mode = {plans}"))?;
        let sql = format!("{select} WHERE {condition}");
        let rows = query(client, &sql, &[&"word1"])?;
        let rows: BTreeSet<Id> = rows.iter().map(|row| id_of(desk, row)).collect();
        same(&format!("{sql}, {plans}"), &rows, &one)?;
    }
    try_run(
        client,
        "RESET plan_cache_mode; RESET enable_seqscan; RESET jit",
    )
}
