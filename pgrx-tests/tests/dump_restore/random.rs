//! A random help desk answers as before after a dump and its restore, lives on, and is closed without the extension.

use deskguard_tests::help_desk::{HelpDesk, Partitioning, Time};
use deskguard_tests::lab::{app, texts};
use deskguard_tests::server::{APP, Database, MAPPED, OWNER};

use crate::desk::{find, load, picture, tables};
use crate::programs::{Format, dump_and_restore};

fn check(desk: &HelpDesk, format: Format) {
    let original = load(desk);
    let before = picture(&original, desk);
    assert!(
        before
            .iter()
            .any(|line| line.starts_with("agent") && !line.ends_with("[]"))
    );
    for outcome in [": 1 rows", ": 3 rows", ": 0 rows", ": 42501"] {
        assert!(
            before.iter().any(|line| line.ends_with(outcome)),
            "{outcome}"
        );
    }
    let restored = dump_and_restore(&original, format);
    let after = picture(&restored, desk);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());

    it_lives_on(&restored, desk);
    // A second generation: nothing of the extension's own is dumped as if it were the user's.
    let second = dump_and_restore(&restored, format);
    assert_eq!(picture(&restored, desk), picture(&second, desk));

    without_the_extension_it_is_closed(&restored, desk);
}

/// What comes after a restore works as on the first day.
fn it_lives_on(database: &Database, desk: &HelpDesk) {
    let mut superuser = database.superuser();
    let sql = "SELECT name FROM deskguard.permission_group WHERE builtin ORDER BY id";
    let builtin = texts(&mut superuser, sql);
    assert_eq!(
        builtin,
        ["All Permissions", "All Non-Destructive Permissions"]
    );
    let sql =
        "INSERT INTO deskguard.permission_group (name) VALUES ('new 1'), ('new 2') RETURNING id";
    let rows = superuser.query(sql, &[]).unwrap();
    assert!(rows.iter().all(|row| row.get::<_, i64>(0) >= 100));

    // A grant and its end are still obeyed.
    let agent = desk.agents.iter().find(|agent| agent.active).unwrap().id;
    let mut app = app(database, agent);
    let sql = format!("SELECT count(*)::text FROM {}", desk.table.sql());
    let before = texts(&mut app, &sql);
    superuser
        .batch_execute(&format!(
            "UPDATE deskguard.agent SET category_access = 'open' WHERE id = {agent};
             INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (1, {agent}) ON CONFLICT DO NOTHING"
        ))
        .unwrap();
    assert_eq!(texts(&mut app, &sql), [desk.tickets.len().to_string()]);
    superuser
        .batch_execute(&format!(
            "UPDATE deskguard.agent SET active = false WHERE id = {agent}"
        ))
        .unwrap();
    assert_eq!(texts(&mut app, &sql), ["0"], "{before:?} before");
    // The built-in groups are still locked, the catalog too.
    for sql in [
        "DELETE FROM deskguard.permission_group WHERE id = 1",
        "UPDATE deskguard.permission_group SET name = 'x' WHERE id = 2",
        "DELETE FROM deskguard.permission WHERE name = 'ticket.use'",
    ] {
        assert!(superuser.batch_execute(sql).is_err(), "{sql}");
    }
}

pub fn without_the_extension_it_is_closed(database: &Database, desk: &HelpDesk) {
    database
        .superuser()
        .batch_execute("SET client_min_messages = error; DROP EXTENSION deskguard CASCADE")
        .unwrap();
    let tables = tables(desk);
    for role in [APP, MAPPED[0], MAPPED[1], OWNER] {
        let mut client = database.connect(role);
        for table in &tables {
            let sql = format!("SELECT t::text FROM {table} AS t");
            match client.query(&sql, &[]) {
                Ok(rows) => assert_eq!(rows.len(), 0, "{role}: {sql}"),
                Err(error) => assert!(error.code().is_some(), "{role}: {sql}: {error:?}"),
            }
            for sql in [
                format!("DELETE FROM {table}"),
                format!("UPDATE {table} SET subject = 'x'"),
            ] {
                if let Ok(rows) = client.execute(&sql, &[]) {
                    assert_eq!(rows, 0, "{role}: {sql}");
                }
            }
        }
        let ticket = &desk.tickets[0];
        let insert = desk.table.insert_sql(&deskguard_tests::help_desk::Ticket {
            id: 1001,
            ..ticket.clone()
        });
        assert!(client.execute(&insert, &[]).is_err(), "{role}: {insert}");
    }
    let sql = format!("SELECT count(*) FROM {}", desk.table.sql());
    let left: i64 = database.superuser().query_one(&sql, &[]).unwrap().get(0);
    assert_eq!(
        left as usize,
        desk.tickets.len(),
        "the rows themselves stay"
    );
}

#[test]
fn a_plain_table() {
    let desk = find("plain", |desk| {
        let has_times = desk.times.iter().any(|time| *time != Time::Always);
        desk.table.partitioning == Partitioning::None
            && desk.table.schema == "helpdesk"
            && has_times
    });
    check(&desk, Format::Script);
    check(&desk, Format::Archive);
}

#[test]
fn a_table_with_odd_names() {
    let desk = find("quoted", |desk| {
        desk.table.partitioning == Partitioning::None && desk.table.schema.contains('"')
    });
    check(&desk, Format::Archive);
}

#[test]
fn a_table_partitioned_by_department() {
    let desk = find("partitioned by department", |desk| {
        desk.table.partitioning == Partitioning::ByDepartment && desk.table.schema != "helpdesk"
    });
    check(&desk, Format::Script);
    check(&desk, Format::Archive);
}

#[test]
fn a_table_partitioned_by_id_with_odd_names() {
    let desk = find("partitioned by id", |desk| {
        let references = desk.table.follower.as_ref().is_some_and(|f| f.references);
        desk.table.partitioning == Partitioning::ById
            && desk.table.schema.contains('"')
            && references
    });
    check(&desk, Format::Archive);
}
