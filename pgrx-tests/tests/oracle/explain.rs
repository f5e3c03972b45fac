//! What explain_access and explain_command answer is what its JSON Schema describes, no more and no less.

use deskguard_tests::server::{APP, Database};
use postgres::Client;
use serde_json::Value;

use crate::schema::Schema;

const HELP_DESK: &str = "
    INSERT INTO deskguard.department (id, name, parent_id, external_key)
    VALUES (1, 'Support', NULL, 'support'), (2, 'EU', 1, 'eu'), (3, 'Sales', NULL, 'sales');
    INSERT INTO deskguard.category (id, name) VALUES (1, 'Networking'), (2, 'Personnel');
    INSERT INTO deskguard.team (id, name) VALUES (10, 'Night shift');
    INSERT INTO deskguard.permission (name) VALUES ('invoice.view');
    INSERT INTO deskguard.agent (id, name, active, category_access) VALUES
        (1, 'Admin', true, NULL), (2, 'Ann', true, NULL), (3, 'Ben', false, NULL), (4, 'Carl', true, 'open'),
        (5, 'Dora', true, NULL), (6, 'Eve', true, NULL);
    INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (10, 2);
    INSERT INTO deskguard.permission_group (id, name) VALUES (100, 'Staff');
    INSERT INTO deskguard.group_permission (group_id, permission)
    SELECT 100, 'ticket.' || p FROM unnest(ARRAY[
        'use', 'view.unassigned', 'view.assigned', 'modify.unassigned', 'delete.own', 'delete.followed']) AS p;
    INSERT INTO deskguard.group_department (group_id, department_id, level) VALUES (100, 1, 'full');
    INSERT INTO deskguard.group_category (group_id, category_id) VALUES (100, 1);
    INSERT INTO deskguard.permission_group (id, name, scope, category_access) VALUES
        (101, 'Trainees in Sales', 'granted', 'open'), (102, 'Managers in Support', 'granted', 'open');
    INSERT INTO deskguard.group_permission (group_id, permission)
    SELECT g, 'ticket.' || p FROM unnest(ARRAY[101, 102]) AS g, unnest(ARRAY['use', 'view.requested', 'view.unassigned', 'create']) AS p;
    INSERT INTO deskguard.group_department (group_id, department_id, level) VALUES (101, 3, 'full'), (102, 1, 'full');
    INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (1, 1), (100, 2), (101, 6);
    INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES
        (4, 'ticket.use'), (5, 'ticket.use'), (2, 'ticket.reply.unassigned');

    CREATE SCHEMA desk;
    CREATE TABLE desk.ticket (
        id bigint PRIMARY KEY, department_id bigint, category_id bigint, assignee_id bigint, team_id bigint,
        requester_id bigint, confidential boolean NOT NULL DEFAULT false, status text DEFAULT 'open');
    INSERT INTO desk.ticket (id, department_id, category_id, assignee_id, team_id) VALUES
        (1, 2, 1, NULL, NULL), (2, 1, 2, 5, NULL), (3, 1, 1, 5, NULL), (4, 1, 1, 5, NULL), (5, 3, 1, NULL, 10),
        (6, 3, 1, NULL, NULL), (7, NULL, 1, NULL, NULL), (8, 1, NULL, NULL, NULL), (9, 1, 1, NULL, NULL);
    UPDATE desk.ticket SET confidential = true WHERE id = 4;
    UPDATE desk.ticket SET status = 'archived' WHERE id = 1;
    UPDATE desk.ticket SET requester_id = 6 WHERE id = 6;
    CREATE TABLE desk.follower (ticket_id bigint REFERENCES desk.ticket, agent_id bigint);
    INSERT INTO desk.follower VALUES (3, 2);
    SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id',
        category_column => 'category_id', assignee_column => 'assignee_id', team_column => 'team_id',
        requester_column => 'requester_id',
        confidential_column => 'confidential', follower_table => 'desk.follower', status_column => 'status',
        archived_values => '{archived}', spam_values => '{spam}');
    CREATE TABLE desk.message (
        id bigint PRIMARY KEY, ticket_id bigint, author_id bigint, internal boolean DEFAULT false);
    INSERT INTO desk.message (id, ticket_id) VALUES (11, 1), (12, 2), (13, 3), (19, 9);
    INSERT INTO desk.message VALUES (21, 1, 5, true), (22, 1, NULL, NULL);
    SELECT deskguard.protect_messages('desk.message', 'desk.ticket', author_column => 'author_id',
        internal_column => 'internal');
    CREATE TABLE desk.filter (id text PRIMARY KEY, owner_id bigint);
    INSERT INTO desk.filter VALUES ('ann', 2), ('dora', 5), ('shared', NULL);
    SELECT deskguard.protect_shared('desk.filter', owner_column => 'owner_id');
    SELECT deskguard.share('desk.filter', 'shared', group_id => 100);
    CREATE TABLE desk.invoice (id bigint);
    SELECT deskguard.protect_feature('desk.invoice', 'invoice.view');

    CREATE TABLE desk.named (id text PRIMARY KEY, department text, category text, assignee text, team text);
    INSERT INTO desk.named VALUES ('DE-1', 'no department', 'no category', 'no agent', 'no team');
    SELECT deskguard.protect_tickets('desk.named', department_column => 'department', category_column => 'category',
        assignee_column => 'assignee', team_column => 'team');
    CREATE TABLE desk.note (id text PRIMARY KEY, ticket text, internal boolean DEFAULT false);
    INSERT INTO desk.note VALUES ('N-1', 'DE-1', true);
    SELECT deskguard.protect_messages('desk.note', 'desk.named', 'ticket', internal_column => 'internal');
    CREATE TABLE desk.file (note text);
    SELECT deskguard.protect_messages('desk.file', 'desk.note', 'note');
    CREATE TABLE desk.attachment (message_id bigint);
    SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message_id');
    GRANT USAGE ON SCHEMA desk TO PUBLIC;
    GRANT SELECT ON ALL TABLES IN SCHEMA desk TO PUBLIC;
";

const ACTIONS: [&str; 5] = ["view", "reply", "modify", "edit_messages", "delete"];

/// Asks of each agent and ticket, and of those that are not there, each action.
fn ask(client: &mut Client, schema: &mut Schema, agents: &str, tickets: &str, table: &str) {
    let sql = format!(
        "SELECT deskguard.explain_access(agent, ticket, action, '{table}')
         FROM unnest(ARRAY[{agents}]::bigint[]) AS agent, unnest(ARRAY[{tickets}]) AS ticket,
             unnest($1::text[]) AS action"
    );
    let rows = client.query(&sql, &[&ACTIONS.as_slice()]).unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        let answer: Value = row.get(0);
        if let Err(reason) = schema.note(&answer) {
            panic!("{reason}\n{answer:#}");
        }
    }
}

/// Commands: what they do to which table, and the old and the new row.
const COMMANDS: [(&str, &str, &str, &str); 30] = [
    ("SELECT", "desk.ticket", r#"{"id": 2}"#, ""),
    ("DELETE", "desk.ticket", r#"{"id": null}"#, ""),
    (
        "INSERT",
        "desk.ticket",
        "",
        r#"{"department_id": 2, "category_id": 1}"#,
    ),
    (
        "INSERT",
        "desk.ticket",
        "",
        r#"{"department_id": 3, "status": "spam"}"#,
    ),
    (
        "UPDATE",
        "desk.ticket",
        r#"{"id": 1}"#,
        r#"{"department_id": 3, "category_id": 2}"#,
    ),
    (
        "UPDATE",
        "desk.ticket",
        r#"{"id": 1}"#,
        r#"{"status": "spam"}"#,
    ),
    (
        "UPDATE",
        "desk.ticket",
        r#"{"id": 9}"#,
        r#"{"status": "spam"}"#,
    ),
    (
        "INSERT",
        "desk.follower",
        "",
        r#"{"ticket_id": 9, "agent_id": 2}"#,
    ),
    (
        "DELETE",
        "desk.follower",
        r#"{"ticket_id": 9, "agent_id": 5}"#,
        "",
    ),
    (
        "UPDATE",
        "desk.follower",
        r#"{"ticket_id": 3, "agent_id": 2}"#,
        r#"{"agent_id": 5}"#,
    ),
    ("SELECT", "desk.message", r#"{"id": 11}"#, ""),
    ("SELECT", "desk.message", r#"{"id": 19}"#, ""),
    (
        "DELETE",
        "desk.message",
        r#"{"ticket_id": 3, "internal": false}"#,
        "",
    ),
    (
        "UPDATE",
        "desk.message",
        r#"{"id": 13}"#,
        r#"{"ticket_id": 1}"#,
    ),
    ("INSERT", "desk.message", "", r#"{"ticket_id": 1}"#),
    ("INSERT", "desk.message", "", r#"{"ticket_id": 9}"#),
    (
        "INSERT",
        "desk.message",
        "",
        r#"{"ticket_id": 1, "author_id": 5}"#,
    ),
    ("INSERT", "desk.note", "", r#"{"ticket": "DE-1"}"#),
    ("SELECT", "desk.message", r#"{"id": 21}"#, ""),
    ("SELECT", "desk.message", r#"{"id": 22}"#, ""),
    ("SELECT", "desk.file", r#"{"note": "N-1"}"#, ""),
    ("INSERT", "desk.attachment", "", r#"{"message_id": 21}"#),
    ("SELECT", "desk.filter", r#"{"id": "ann"}"#, ""),
    ("SELECT", "desk.filter", r#"{"id": "dora"}"#, ""),
    ("SELECT", "desk.filter", r#"{"id": "shared"}"#, ""),
    (
        "UPDATE",
        "desk.filter",
        r#"{"id": "shared"}"#,
        r#"{"owner_id": 5}"#,
    ),
    ("DELETE", "desk.filter", r#"{"id": "nothing"}"#, ""),
    ("INSERT", "desk.filter", "", r#"{"owner_id": 5}"#),
    ("SELECT", "desk.invoice", "", ""),
    ("INSERT", "desk.invoice", "", "{}"),
];

/// Asks of each agent each command.
fn ask_commands(client: &mut Client, schema: &mut Schema, agents: &str) {
    for (command, table, old, new) in COMMANDS {
        let sql = format!(
            "SELECT deskguard.explain_command(agent, '{command}', '{table}', nullif('{old}', '')::jsonb,
                nullif('{new}', '')::jsonb)
             FROM unnest(ARRAY[{agents}]::bigint[]) AS agent"
        );
        for row in client.query(&sql, &[]).unwrap() {
            let answer: Value = row.get(0);
            if let Err(reason) = schema.note(&answer) {
                panic!("{reason}\n{answer:#}");
            }
        }
    }
}

#[test]
fn answers_are_as_the_schema_says_and_have_all_that_it_describes() {
    const AGENTS: &str = "1, 2, 3, 4, 5, 6, 99, NULL";
    const TICKETS: &str = "1, 2, 3, 4, 5, 6, 7, 8, 9, 99, NULL";
    let database = Database::with_deskguard("explain");
    let mut admin = database.superuser();
    admin.batch_execute(HELP_DESK).unwrap();
    let mut schema = Schema::default();

    let schema_of = &mut schema;
    ask(&mut admin, schema_of, AGENTS, TICKETS, "desk.ticket");
    ask(
        &mut admin,
        schema_of,
        AGENTS,
        "'DE-1', 'DE-2', NULL",
        "desk.named",
    );
    ask_commands(&mut admin, schema_of, AGENTS);
    admin
        .batch_execute("SET deskguard.default_category_access = open")
        .unwrap();
    ask(&mut admin, schema_of, "5", "1", "desk.ticket");
    admin
        .batch_execute("RESET deskguard.default_category_access")
        .unwrap();

    // What Ann had, and what she will have.
    for (table, right) in [
        ("group_permission", "permission = 'ticket.use'"),
        ("group_category", "category_id = 1"),
        ("group_department", "group_id = 100"),
        ("group_department", "group_id = 101"),
        ("group_permission", "permission LIKE 'ticket.modify.%'"),
        ("team_member", "team_id = 10"),
    ] {
        for time in [
            "valid_from = NULL, valid_until = '2020-01-01'",
            "valid_from = '2999-01-01', valid_until = NULL",
            "valid_from = NULL, valid_until = 'infinity'",
        ] {
            let sql = format!("UPDATE deskguard.{table} SET {time} WHERE {right}");
            assert_ne!(admin.execute(&sql, &[]).unwrap(), 0);
            ask(&mut admin, schema_of, "2, 6", TICKETS, "desk.ticket");
        }
    }

    for time in [
        "valid_until = '2020-01-01'",
        "valid_until = NULL, valid_from = '2999-01-01'",
    ] {
        let sql = format!(
            "INSERT INTO deskguard.agent_permission (agent_id, permission)
             VALUES (2, 'shared.manage'), (2, 'ticket.view.internal') ON CONFLICT DO NOTHING;
             UPDATE deskguard.agent_permission SET {time} WHERE permission IN ('shared.manage', 'ticket.view.internal')"
        );
        admin.batch_execute(&sql).unwrap();
        ask_commands(&mut admin, schema_of, "2");
    }

    // Ann herself.
    let mut app = database.connect(APP);
    app.batch_execute("SET deskguard.agent_id = 2").unwrap();
    ask(&mut app, schema_of, "2", TICKETS, "desk.ticket");
    ask_commands(&mut app, schema_of, "2");
    admin
        .batch_execute(
            "SELECT deskguard.protect_feature('desk.ticket', 'invoice.view', 'SELECT');
             CREATE POLICY for_all ON desk.ticket AS RESTRICTIVE USING (id <> 9);
             CREATE POLICY for_select ON desk.ticket AS RESTRICTIVE FOR SELECT USING (true);
             CREATE POLICY for_update ON desk.ticket AS RESTRICTIVE FOR UPDATE USING (true);
             CREATE POLICY for_delete ON desk.ticket AS RESTRICTIVE FOR DELETE USING (true);
             CREATE POLICY for_insert ON desk.ticket AS RESTRICTIVE FOR INSERT WITH CHECK (true)",
        )
        .unwrap();
    ask(&mut admin, schema_of, AGENTS, TICKETS, "desk.ticket");
    ask(&mut app, schema_of, "2", TICKETS, "desk.ticket");
    ask_commands(&mut admin, schema_of, AGENTS);
    ask_commands(&mut app, schema_of, "2");
    admin
        .batch_execute("INSERT INTO deskguard.agent_permission VALUES (2, 'invoice.view')")
        .unwrap();
    for time in [
        "valid_until = '2020-01-01'",
        "valid_until = NULL, valid_from = '2999-01-01'",
        "valid_from = NULL",
    ] {
        let sql = format!(
            "UPDATE deskguard.agent_permission SET {time} WHERE permission = 'invoice.view'"
        );
        assert_eq!(admin.execute(&sql, &[]).unwrap(), 1);
        ask(&mut admin, schema_of, "2", TICKETS, "desk.ticket");
    }
    ask(&mut app, schema_of, "2", TICKETS, "desk.ticket");
    ask_commands(&mut app, schema_of, "2");

    assert_eq!(schema.unseen(), [""; 0], "described, but never answered");
}
