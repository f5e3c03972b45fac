//! Keys that are no numbers.

use deskguard_tests::lab::{act_for, texts};
use deskguard_tests::server::{APP, Database, OWNER, STRANGER};

use crate::programs::{Format, dump_and_restore};

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
