//! A help desk that is dumped and restored answers as before, and one without the extension is closed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use deskguard_tests::help_desk::{Case, DANGLING, HelpDesk, Partitioning, Time, cases};
use deskguard_tests::lab::{act_for, app, case_of, texts};
use deskguard_tests::oracle::ACTIONS;
use deskguard_tests::server::{APP, Database, MAPPED, OWNER, STRANGER};
use deskguard_tests::{ident, literal};
use postgres::Client;

/// The first random help desk of a fixed sequence that has what the test needs.
fn find(what: &str, wanted: impl Fn(&HelpDesk) -> bool) -> HelpDesk {
    for seed in 0..20_000u64 {
        let Case { desk, .. } = case_of(&cases(), seed);
        let all_kinds = !desk.groups.is_empty()
            && !desk.group_members.is_empty()
            && !desk.agent_categories.is_empty()
            && !desk.agent_departments.is_empty()
            && !desk.team_members.is_empty()
            && !desk.followers.is_empty()
            && desk
                .departments
                .iter()
                .any(|department| department.parent.is_some())
            && desk.permissions.iter().any(|p| p.name == "people.edit")
            && desk
                .agents
                .iter()
                .any(|agent| agent.db_role.is_some() && agent.active)
            && desk
                .agents
                .iter()
                .any(|agent| sees_some(&desk, agent.id) && does_all(&desk, agent.id))
            && desk.table.confidential.is_some()
            && desk
                .table
                .status
                .as_ref()
                .is_some_and(|status| !status.archived.is_empty() && !status.spam.is_empty())
            && desk.tickets.len() > 6;
        // The messages' tables have integers.
        let has_integer_ids = desk.table.id.kind.is_integer();
        if all_kinds && has_integer_ids && wanted(&desk) {
            return desk;
        }
    }
    panic!("no random help desk is {what}");
}

fn sees_some(desk: &HelpDesk, agent: i64) -> bool {
    let seen = desk
        .tickets
        .iter()
        .filter(|ticket| desk.view(agent, ticket))
        .count();
    seen > 0 && seen < desk.tickets.len()
}

fn does_all(desk: &HelpDesk, agent: i64) -> bool {
    let does = |action: &str| desk.tickets.iter().any(|t| desk.act(agent, t, action));
    ["reply", "modify", "edit_messages"].into_iter().all(does)
}

fn load(desk: &HelpDesk) -> Database {
    let database = Database::with_deskguard("dump");
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&(desk.load_sql() + &desk.table.protect_sql() + &messages_sql(desk)))
        .unwrap();
    database
}

/// Messages, attachments of them, and what hangs on these; in the order in which they are protected.
fn message_tables(desk: &HelpDesk) -> [String; 3] {
    ["a message", "attachment", "\"scan\""]
        .map(|name| format!("{}.{}", ident(desk.table.schema), ident(name)))
}

/// Three messages of each ticket, each with an attachment, and so on.
fn messages_sql(desk: &HelpDesk) -> String {
    let tables = message_tables(desk);
    let parents = [&desk.table.sql(), &tables[0], &tables[1]];
    let schema = ident(desk.table.schema);
    let mut sql = String::new();
    for (nth, (table, parent)) in tables.iter().zip(parents).enumerate() {
        let (rows, author) = if nth == 0 {
            let id = ident(desk.table.id.name);
            let numbers = "generate_series(1, 3) AS n";
            (
                format!("SELECT {id}, 'n' || n FROM {parent}, {numbers}"),
                "'by'",
            )
        } else {
            (format!("SELECT id, 'of ' || id FROM {parent}"), "NULL")
        };
        sql += &format!(
            "CREATE TABLE {table} (id bigserial PRIMARY KEY, above bigint, subject text, \"by\" int);
             INSERT INTO {table} (above, subject) {rows} ORDER BY 1, 2;
             ALTER TABLE {table} OWNER TO {OWNER};
             GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO PUBLIC;
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO PUBLIC;
             SELECT deskguard.protect_messages({}, {}, 'above', {author});",
            literal(table),
            literal(parent),
        );
    }
    sql
}

/// All that is protected.
fn tables(desk: &HelpDesk) -> Vec<String> {
    let mut tables = vec![desk.table.sql()];
    tables.extend(desk.table.partitions());
    tables.extend(desk.table.follower_sql());
    tables.extend(message_tables(desk));
    tables
}

/// What comes of the writing commands of a session, none of which stays.
fn attempts(name: &str, client: &mut Client, desk: &HelpDesk) -> Vec<String> {
    let table = desk.table.sql();
    let [message, attachment, scan] = message_tables(desk);
    let key = ident(desk.table.id.name);
    let status = desk.table.status.as_ref().unwrap();
    let column = ident(status.name);
    let mut commands = Vec::new();
    for ticket in &desk.tickets {
        let id = ticket.id;
        for value in [Some(status.spam[0]), Some(status.archived[0]), None] {
            let value = value.map_or("NULL".into(), literal);
            commands.push(format!(
                "UPDATE {table} SET {column} = {value} WHERE {key} = {id}"
            ));
        }
        commands.push(format!("INSERT INTO {message} (above) VALUES ({id})"));
        commands.push(format!("DELETE FROM {message} WHERE above = {id}"));
    }
    for child in [&attachment, &scan] {
        commands.push(format!("UPDATE {child} SET subject = 'new'"));
    }
    let outcome = |sql: String| {
        let mut transaction = client.transaction().unwrap();
        let outcome = match transaction.execute(&sql, &[]) {
            Ok(rows) => format!("{rows} rows"),
            Err(error) => error.code().unwrap().code().to_string(),
        };
        format!("{name}, {sql}: {outcome}")
    };
    commands.into_iter().map(outcome).collect()
}

/// The rows of every session, what a superuser is told, and what `\d` shows: all as text.
fn picture(database: &Database, desk: &HelpDesk) -> Vec<String> {
    let mut lines = Vec::new();
    let tables = tables(desk);
    let look = |name: &str, client: &mut Client, lines: &mut Vec<String>| {
        for table in &tables {
            let sql = format!("SELECT t::text FROM {table} AS t ORDER BY 1");
            lines.push(format!("{name}, {table}: {:?}", texts(client, &sql)));
        }
    };
    let mut agents: Vec<i64> = desk.agents.iter().map(|agent| agent.id).collect();
    agents.push(DANGLING);
    let mut app = database.connect(APP);
    look("nobody", &mut app, &mut lines);
    for &agent in &agents {
        act_for(&mut app, agent);
        let name = format!("agent {agent}");
        look(&name, &mut app, &mut lines);
        lines.extend(attempts(&name, &mut app, desk));
    }
    for role in MAPPED.iter().chain([&OWNER]) {
        look(role, &mut database.connect(role), &mut lines);
    }

    let mut superuser = database.superuser();
    let table = desk.table.argument();
    for &agent in &agents {
        for ticket in &desk.tickets {
            for action in ACTIONS {
                let arguments = format!("{agent}, {}, '{action}', {table}", ticket.id);
                let sql = format!("SELECT deskguard.explain_access({arguments})::text");
                lines.extend(texts(&mut superuser, &sql));
            }
        }
        let sql =
            format!("SELECT p::text FROM deskguard.effective_permissions({agent}) p ORDER BY 1");
        lines.extend(texts(&mut superuser, &sql));
    }
    for sql in [
        "SELECT concat_ws(' ', polname, polrelid::regclass, polpermissive, polcmd, polroles::regrole[],
             pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
         FROM pg_policy ORDER BY 1",
        "SELECT concat_ws(' ', oid::regclass, relrowsecurity, relforcerowsecurity) FROM pg_class
         WHERE relrowsecurity ORDER BY 1",
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
        "SELECT t::text FROM deskguard.protected_table t ORDER BY 1",
        "SELECT p::text FROM deskguard.permission p ORDER BY 1",
        "SELECT g::text FROM deskguard.permission_group g ORDER BY 1",
        "SELECT m::text FROM deskguard.group_member m ORDER BY 1",
        "SELECT p::text FROM deskguard.agent_permission p ORDER BY 1",
        "SELECT d::text FROM deskguard.department d ORDER BY 1",
        "SELECT c::text FROM deskguard.category c ORDER BY 1",
        "SELECT t::text FROM deskguard.team t ORDER BY 1",
        "SELECT a::text FROM deskguard.agent a ORDER BY 1",
        "SELECT t::text FROM deskguard.trusted_role t ORDER BY 1",
    ] {
        lines.extend(texts(&mut superuser, sql));
    }
    lines
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[derive(Clone, Copy)]
enum Format {
    Script,
    Archive,
}

fn dump_and_restore(database: &Database, format: Format) -> Database {
    let restored = Database::empty("restored");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.dump", database.name()));
    let (kind, program) = match format {
        Format::Script => ("--format=plain", "psql"),
        Format::Archive => ("--format=custom", "pg_restore"),
    };
    run(database
        .program("pg_dump")
        .arg(kind)
        .arg("--file")
        .arg(&file));
    let mut restore = restored.program(program);
    match format {
        Format::Script => {
            restore.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-f"])
        }
        Format::Archive => restore.args(["--exit-on-error", "--dbname", restored.name()]),
    };
    run(restore.arg(&file));
    fs::remove_file(&file).unwrap();
    restored
}

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

fn without_the_extension_it_is_closed(database: &Database, desk: &HelpDesk) {
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

/// Tickets and messages with uuid, followers and shared things with text; two of everything.
fn keyed_tables_sql() -> String {
    format!(
        "CREATE FUNCTION public.key(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
             'SELECT lpad(to_hex(n), 32, ''0'')::uuid';
         INSERT INTO deskguard.agent (id, name, external_key) VALUES
             (1, 'Ann', key(1)), (2, 'Bob', key(2)), (3, 'Max', NULL);
         INSERT INTO deskguard.team (id, name, external_key) VALUES (1, 'Night shift', 'Night \"shift\", \\');
         INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 2);
         INSERT INTO deskguard.department (id, name, parent_id, external_key) VALUES
             (1, 'Support', NULL, key(10)), (2, 'EU', 1, key(20));
         INSERT INTO deskguard.category (id, name, external_key) VALUES (1, 'Network', key(100)), (2, 'Billing', NULL);
         INSERT INTO deskguard.permission_group (name) VALUES ('Staff');
         INSERT INTO deskguard.group_permission (group_id, permission)
         SELECT 100, unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned', 'ticket.modify.own']);
         INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (100, 1), (100, 2), (1, 3);
         INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 1, 'full');
         INSERT INTO deskguard.group_category (group_id, category_id) VALUES (100, 1), (100, 2);

         SET ROLE {OWNER};
         CREATE SCHEMA keyed;
         CREATE TABLE keyed.ticket (id uuid PRIMARY KEY, department uuid, category varchar(40), assignee uuid, team text);
         CREATE TABLE keyed.follower (ticket uuid REFERENCES keyed.ticket, agent text);
         CREATE TABLE keyed.message (id uuid PRIMARY KEY, ticket uuid REFERENCES keyed.ticket, author varchar);
         CREATE TABLE keyed.attachment (message uuid);
         CREATE TABLE keyed.response (id text PRIMARY KEY, owner uuid);
         GRANT USAGE ON SCHEMA keyed TO PUBLIC;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA keyed TO PUBLIC;
         INSERT INTO keyed.ticket VALUES
             (key(1001), key(10), key(100), NULL, NULL), (key(1002), key(20), key(100), key(2), NULL),
             (key(1003), NULL, key(100), NULL, 'Night \"shift\", \\'), (key(1004), key(10), key(200), NULL, NULL),
             (key(1005), key(99), key(100), NULL, NULL), (key(1006), key(99), key(100), key(99), NULL);
         INSERT INTO keyed.follower VALUES (key(1006), key(1));
         INSERT INTO keyed.message SELECT key(2000 + n), key(1000 + n), key(n) FROM generate_series(1, 6) AS n;
         INSERT INTO keyed.attachment SELECT id FROM keyed.message;
         INSERT INTO keyed.response SELECT 'response ' || n, key(n) FROM generate_series(1, 3) AS n;
         RESET ROLE;"
    )
}

const KEYED_TABLES: [&str; 5] = ["ticket", "follower", "message", "attachment", "response"];

/// What each agent sees there, and what is stored about it.
fn keyed_picture(database: &Database) -> Vec<String> {
    let mut lines = Vec::new();
    let mut superuser = database.superuser();
    let mut app = database.connect(APP);
    for agent in [None, Some(1), Some(2), Some(3), Some(4)] {
        act_for(&mut app, agent);
        let name = agent.map_or("nobody".into(), |id| format!("agent {id}"));
        for table in KEYED_TABLES {
            let sql = format!("SELECT t::text FROM keyed.{table} AS t ORDER BY 1");
            lines.push(format!("{name}, {table}: {:?}", texts(&mut app, &sql)));
        }
        if let Some(agent) = agent {
            let explain = format!(
                "SELECT deskguard.explain_access({agent}, id, 'modify')::text FROM keyed.ticket ORDER BY id"
            );
            lines.extend(texts(&mut superuser, &explain));
        }
    }
    for table in [
        "agent",
        "team",
        "department",
        "category",
        "shared_visibility",
    ] {
        let sql = format!("SELECT t::text FROM deskguard.{table} AS t ORDER BY 1");
        lines.extend(texts(&mut superuser, &sql));
    }
    lines
}

#[test]
fn keys_that_are_no_numbers() {
    let original = Database::with_deskguard("dump_keys");
    let mut superuser = original.superuser();
    superuser
        .batch_execute(&format!(
            "GRANT CREATE ON DATABASE {} TO {OWNER};{}",
            original.name(),
            keyed_tables_sql()
        ))
        .unwrap();
    let unprotected = original.dump();
    superuser
        .batch_execute(
            "SELECT deskguard.protect_tickets('keyed.ticket', department_column => 'department',
                 category_column => 'category', assignee_column => 'assignee', team_column => 'team',
                 follower_table => 'keyed.follower', follower_ticket_column => 'ticket',
                 follower_agent_column => 'agent');
             SELECT deskguard.protect_messages('keyed.message', 'keyed.ticket', 'ticket', 'author');
             SELECT deskguard.protect_messages('keyed.attachment', 'keyed.message', 'message');
             SELECT deskguard.protect_shared('keyed.response', owner_column => 'owner');
             SELECT deskguard.share('keyed.response', 'response 2', agent_id => 1)",
        )
        .unwrap();
    assert_ne!(original.dump(), unprotected);
    let picture = keyed_picture(&original);
    for seen in [
        // Support and below, and what Ann follows; not what is of an unknown category or department.
        ("agent 1, ticket", 3),
        // Bob's, and his team's.
        ("agent 2, ticket", 2),
        ("agent 3, ticket", 6),
        ("agent 1, response", 2),
        ("nobody, message", 0),
    ] {
        let (what, rows) = seen;
        let line = picture.iter().find(|line| line.starts_with(what)).unwrap();
        assert_eq!(line.matches('(').count(), rows, "{line}");
    }
    for format in [Format::Script, Format::Archive] {
        let restored = dump_and_restore(&original, format);
        assert_eq!(keyed_picture(&restored), picture);
        // A key is still a right, and still of one agent.
        let mut app = restored.connect(APP);
        let seen = "SELECT count(*)::text FROM keyed.ticket";
        act_for(&mut app, 1);
        assert_eq!(texts(&mut app, seen), ["3"]);
        let mut superuser = restored.superuser();
        let twice = "UPDATE deskguard.agent SET external_key = key(1) WHERE id = 3";
        assert!(superuser.batch_execute(twice).is_err());
        superuser
            .batch_execute("UPDATE deskguard.department SET external_key = NULL WHERE id = 2")
            .unwrap();
        assert_eq!(texts(&mut app, seen), ["2"]);
        superuser
            .batch_execute("UPDATE deskguard.department SET external_key = key(20) WHERE id = 2")
            .unwrap();
        let second = dump_and_restore(&restored, format);
        assert_eq!(keyed_picture(&second), picture);
        second
            .superuser()
            .batch_execute("SET client_min_messages = error; DROP EXTENSION deskguard CASCADE")
            .unwrap();
        for role in [APP, STRANGER, OWNER] {
            let mut client = second.connect(role);
            for table in KEYED_TABLES {
                let sql = format!("SELECT t::text FROM keyed.{table} AS t");
                if let Ok(rows) = client.query(&sql, &[]) {
                    assert!(rows.is_empty(), "{role}: {sql}");
                }
            }
        }
        unprotect_keyed(&restored);
        assert_eq!(restored.dump(), unprotected);
    }
    unprotect_keyed(&original);
    assert_eq!(original.dump(), unprotected);
}

fn unprotect_keyed(database: &Database) {
    database
        .connect(OWNER)
        .batch_execute(
            "SELECT deskguard.unprotect('keyed.attachment');
             SELECT deskguard.unprotect('keyed.message');
             SELECT deskguard.unprotect('keyed.ticket');
             SELECT deskguard.unprotect('keyed.response')",
        )
        .unwrap();
}
