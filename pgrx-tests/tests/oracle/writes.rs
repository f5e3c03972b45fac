//! What a session may write, apart from changes that the rules look at.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{Case, HelpDesk, Id, Partitioning, Ticket};
use deskguard_tests::ident;
use deskguard_tests::lab::{Counts, Outcome, broken, counted, fail, refused, same, try_run};
use postgres::Client;
use postgres::error::SqlState;

use crate::ask::{NO_TICKET, attempt, explained, touched};

/// UPDATE and DELETE, with and without WHERE, on the table and on its partitions.
pub fn writes(
    client: &mut Client,
    desk: &HelpDesk,
    who: Option<Id>,
    counts: &mut Counts,
) -> Outcome {
    let can = |action: &str| -> BTreeSet<Id> {
        let allowed = |ticket: &&Ticket| who.is_some_and(|agent| desk.act(agent, ticket, action));
        desk.tickets
            .iter()
            .filter(allowed)
            .map(|ticket| ticket.id)
            .collect()
    };
    let (view, modify, delete) = (can("view"), can("modify"), can("delete"));
    let table = desk.table.sql();
    let (id, kind) = (ident(desk.table.id.name), desk.table.id.kind);
    let any = kind.any_sql(&id);
    let every = values(desk);
    for (sql, expected) in [
        (format!("UPDATE {table} SET subject = 'new'"), &modify),
        (format!("UPDATE {table} SET subject = subject"), &modify),
        (
            format!("UPDATE {table} SET subject = subject WHERE {any}"),
            &modify,
        ),
        (format!("DELETE FROM {table}"), &delete),
        (
            format!("UPDATE {table} SET subject = n::text FROM {every} WHERE {id} = n"),
            &modify,
        ),
        (format!("DELETE FROM {table} WHERE {any}"), &delete),
        (
            format!("DELETE FROM {table} USING {every} WHERE {id} = n"),
            &delete,
        ),
        (
            format!("WITH w AS (DELETE FROM {table} RETURNING *) SELECT FROM w"),
            &delete,
        ),
    ] {
        same(&sql, &touched(client, desk, &sql, counts)?, expected)?;
    }
    // MERGE fails where it finds a row that it may not change.
    for (command, kind, allowed) in [
        ("UPDATE SET subject = 'new'", "update", &modify),
        ("DELETE", "delete", &delete),
    ] {
        let sql =
            format!("MERGE INTO {table} USING {every} ON {id} = n WHEN MATCHED THEN {command}");
        let expected = if view == *allowed {
            Ok(view.len() as u64)
        } else {
            refused()
        };
        same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
        if !view.is_empty() {
            counts.either(expected.is_ok(), &format!("{kind}s by merge"));
        }
    }
    let sql = format!("COPY {table} FROM STDIN");
    match client.batch_execute(&sql) {
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {}
        other => return Err(fail(format!("{sql}: {other:?}"))),
    }
    if desk.table.partitioning != Partitioning::None {
        let (mut updated, mut deleted) = (BTreeSet::new(), BTreeSet::new());
        for partition in desk.table.partitions() {
            let update = format!("UPDATE {partition} SET subject = 'new'");
            updated.extend(touched(client, desk, &update, counts)?);
            deleted.extend(touched(
                client,
                desk,
                &format!("DELETE FROM {partition}"),
                counts,
            )?);
        }
        same("UPDATE of the partitions", updated, modify.clone())?;
        same("DELETE from the partitions", deleted, delete.clone())?;
    }

    // Each ticket by its key: one script, for there are many.
    let mut script = vec!["BEGIN".to_string()];
    let mut expected = vec![0];
    for ticket in &desk.tickets {
        for (command, allowed) in [
            (format!("UPDATE {table} SET subject = 'new'"), &modify),
            (format!("DELETE FROM {table}"), &delete),
        ] {
            script.push(format!(
                "{command} WHERE {id} = {}",
                kind.literal(ticket.id)
            ));
            expected.push(allowed.contains(&ticket.id) as u64);
            counts.add("commands tried");
        }
    }
    let joined = script.join("; ");
    let rows = counted(client, &joined).map_err(|error| broken(&joined, &error))?;
    try_run(client, "ROLLBACK")?;
    for ((sql, rows), expected) in script.iter().zip(rows).zip(expected) {
        same(sql, rows, expected)?;
    }
    Ok(())
}

/// A table `v` with the one column `n`: the ids of all tickets.
pub fn values(desk: &HelpDesk) -> String {
    let ids = desk.tickets.iter().map(|ticket| ticket.id);
    // One that no ticket has, so that it is never empty.
    let ids = ids.chain([NO_TICKET]);
    let row = |id| format!("({})", desk.table.id.kind.literal(id));
    let rows: Vec<String> = ids.map(row).collect();
    format!("(VALUES {}) AS v (n)", rows.join(", "))
}

/// Ways to write an INSERT.
#[derive(Clone, Copy, Debug)]
pub enum InsertForm {
    Select,
    With,
    Merge,
    OnConflictNothing,
    OnConflictUpdate,
}

pub const INSERT_FORMS: [InsertForm; 5] = [
    InsertForm::Select,
    InsertForm::With,
    InsertForm::Merge,
    InsertForm::OnConflictNothing,
    InsertForm::OnConflictUpdate,
];

impl InsertForm {
    fn sql(self, desk: &HelpDesk, ticket: &Ticket) -> String {
        let insert = desk.table.insert_sql(ticket);
        let id = ident(desk.table.id.name);
        match self {
            InsertForm::Select => desk.table.insert_select_sql(ticket),
            InsertForm::With => format!("WITH w AS ({insert} RETURNING *) SELECT FROM w"),
            InsertForm::Merge => format!(
                "MERGE INTO {} USING (VALUES ({})) AS v (n) ON {id} = n WHEN NOT MATCHED THEN {}",
                desk.table.sql(),
                desk.table.id.kind.literal(ticket.id),
                desk.table.merge_insert_sql(ticket)
            ),
            InsertForm::OnConflictNothing => format!("{insert} ON CONFLICT DO NOTHING"),
            InsertForm::OnConflictUpdate if desk.table.has_unique_id() => {
                format!("{insert} ON CONFLICT ({id}) DO UPDATE SET subject = 'there'")
            }
            InsertForm::OnConflictUpdate => insert,
        }
    }
}

pub fn inserts(
    client: &mut Client,
    case: &Case,
    who: Option<Id>,
    turn: usize,
    counts: &mut Counts,
) -> Outcome {
    let desk = &case.desk;
    for (nth, ticket) in case.new_tickets.iter().enumerate() {
        let sql = desk.table.insert_sql(ticket);
        let may = who.is_some_and(|agent| desk.create(agent, ticket));
        let expected = if may { Ok(1) } else { refused() };
        same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
        let new = desk.table.row_json_sql(ticket);
        let command = ("INSERT", &*desk.table.sql());
        explained(client, desk, who, command, ("NULL", &new), may)?;
        counts.either(may, "insert");
        if may && !who.is_some_and(|agent| desk.creates_everywhere(agent, ticket)) {
            counts.add("created by a scoped group");
        }
        let of_the_day = Ticket {
            status: None,
            ..ticket.clone()
        };
        if desk.spam(ticket) && who.is_some_and(|agent| desk.create(agent, &of_the_day)) {
            counts.either(may, "insert of spam");
        }

        // One gets back what one wrote, also where one will not see it.
        let sql = format!("{sql} RETURNING *");
        same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
        if may && !who.is_some_and(|agent| desk.view(agent, ticket)) {
            counts.add("insert returning out of sight");
        }

        let form = INSERT_FORMS[(turn + nth) % INSERT_FORMS.len()];
        let sql = form.sql(desk, ticket);
        same(&sql, attempt(client, &sql, counts)?, expected)?;
        counts.either(may, &format!("insert by {form:?}"));
    }
    Ok(())
}
