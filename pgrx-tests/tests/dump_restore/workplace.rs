//! A help desk with a protected table of each kind, and all that can be seen of it.

use deskguard_tests::lab::{act_for, texts, wait_until};
use deskguard_tests::server::{APP, Database, MAPPED, OWNER, STRANGER};
use postgres::Client;

/// All that is protected. `ticket_old` was detached from `ticket`.
pub const TABLES: [&str; 12] = [
    "ticket",
    "ticket_1",
    "ticket_2",
    "ticket_old",
    "follower",
    "message",
    "attachment",
    "note",
    "note_2025",
    "filter",
    "response",
    "label",
];

/// Rights, with references from tables that are dumped early to those that are dumped late.
fn rights_sql() -> String {
    format!(
        "INSERT INTO deskguard.department (id, name) VALUES (9, 'Support'), (3, 'Sales');
         INSERT INTO deskguard.department (id, name, parent_id, external_key) VALUES (1, 'EU', 9, 'eu');
         INSERT INTO deskguard.category (id, name) VALUES (1, 'Network'), (2, 'Printers');
         INSERT INTO deskguard.permission (name, destructive) VALUES ('people.edit', true);
         INSERT INTO deskguard.agent (id, name, active, category_access, db_role) VALUES
             (1, 'Ann', true, 'open', NULL), (2, 'Bob', true, NULL, NULL), (3, 'Cid', true, 'open', '{}'),
             (4, 'Dee', false, 'open', NULL), (5, 'Max', true, NULL, NULL), (7, 'Fay', true, NULL, NULL);
         INSERT INTO deskguard.team (id, name) VALUES (1, 'Night shift');
         INSERT INTO deskguard.team_member VALUES (1, 2);
         INSERT INTO deskguard.permission_group (name) VALUES ('Staff'), ('Readers');
         INSERT INTO deskguard.permission_group (name, scope, category_access, external_key)
         VALUES ('Sales', 'granted', 'open', 'sales');
         INSERT INTO deskguard.group_permission (group_id, permission)
         SELECT 100, unnest(ARRAY['ticket.use', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.assigned',
             'ticket.modify.own', 'ticket.modify.unassigned', 'ticket.reply.unassigned', 'ticket.edit_messages.unassigned']);
         INSERT INTO deskguard.group_permission (group_id, permission, valid_until) VALUES
             (100, 'people.edit', now() + interval '1 year');
         INSERT INTO deskguard.group_permission (group_id, permission)
         SELECT 102, unnest(ARRAY['ticket.use', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.requested',
             'ticket.modify.requested', 'ticket.view.internal']);
         INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (102, 7), (100, 1), (100, 2), (100, 3), (100, 4), (1, 5), (101, 3);
         INSERT INTO deskguard.group_department (group_id, department_id, level) VALUES (100, 9, 'full'), (102, 3, 'full');
         INSERT INTO deskguard.group_category (group_id, category_id) VALUES (101, 2);
         INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (2, 1);
         INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (3, 3, 'full'), (2, 3, 'assign');
         INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES (2, 'report.view');",
        MAPPED[0]
    )
}

fn tables_sql() -> String {
    format!(
        "CREATE SCHEMA desk AUTHORIZATION {OWNER};
         GRANT USAGE ON SCHEMA desk TO PUBLIC;
         SET ROLE {OWNER};
         CREATE TABLE desk.ticket (id int PRIMARY KEY, department_id int, category_id int, assignee_id int, team_id int,
             status text DEFAULT 'open', subject text, requester_id int) PARTITION BY RANGE (id);
         CREATE TABLE desk.ticket_1 PARTITION OF desk.ticket FOR VALUES FROM (1) TO (5);
         CREATE TABLE desk.ticket_2 PARTITION OF desk.ticket DEFAULT;
         CREATE TABLE desk.follower (ticket_id int REFERENCES desk.ticket, agent_id int, role text);
         CREATE TABLE desk.message (id int PRIMARY KEY, ticket_id int REFERENCES desk.ticket, author_id int, body text,
             in_house boolean);
         CREATE TABLE desk.attachment (id int PRIMARY KEY, message_id int REFERENCES desk.message, name text);
         CREATE TABLE desk.note (id int PRIMARY KEY, ticket_id int, body text, kind text);
         CREATE TABLE desk.note_2025 (CHECK (id >= 2025)) INHERITS (desk.note);
         CREATE TABLE desk.filter (id int PRIMARY KEY, owner_id int, name text);
         CREATE TABLE desk.response (id uuid PRIMARY KEY, owner_id int, name text);
         CREATE TABLE desk.label (name text PRIMARY KEY);
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO PUBLIC;
         INSERT INTO desk.ticket (id, department_id, category_id, assignee_id, team_id, requester_id)
         SELECT n, (ARRAY[9, 1, 3])[1 + n % 3], 1 + n % 2, CASE WHEN n % 4 = 0 THEN 1 + n % 3 END, CASE WHEN n = 7 THEN 1 END,
             CASE WHEN n IN (1, 8) THEN 7 END
         FROM generate_series(1, 12) AS n;
         CREATE TABLE desk.ticket_old PARTITION OF desk.ticket FOR VALUES FROM (100) TO (110);
         GRANT SELECT, INSERT, UPDATE, DELETE ON desk.ticket_old TO PUBLIC;
         INSERT INTO desk.ticket (id, department_id, category_id) VALUES (101, 1, 1), (102, 3, 2);
         INSERT INTO desk.follower VALUES (3, 2, 'cc'), (12, 1, 'cc'), (6, 2, 'bcc'), (11, 7, 'client');
         INSERT INTO desk.message SELECT n, n, 1 + n % 3, 'm', n % 2 = 0 FROM generate_series(1, 12) AS n;
         INSERT INTO desk.attachment SELECT n, n, 'a' FROM generate_series(1, 12) AS n;
         INSERT INTO desk.note SELECT n, n, 'n', CASE WHEN n < 9 THEN 'ticket' ELSE 'contact' END FROM generate_series(1, 12) AS n;
         INSERT INTO desk.note_2025 SELECT 2024 + n, n, 'n', 'ticket' FROM generate_series(1, 12) AS n;
         INSERT INTO desk.filter SELECT n, 1 + n % 5 FROM generate_series(1, 10) AS n;
         INSERT INTO desk.response SELECT lpad(n::text, 32, '0')::uuid, 1 + n % 5 FROM generate_series(1, 10) AS n;
         INSERT INTO desk.label VALUES ('red'), ('blue');
         RESET ROLE;"
    )
}

const PROTECT: &str = "
    SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id', category_column => 'category_id',
        assignee_column => 'assignee_id', team_column => 'team_id', requester_column => 'requester_id',
        follower_table => 'desk.follower', follower_kind_column => 'role',
        follower_kinds => '{\"cc\": \"followed\", \"client\": \"requested\"}', status_column => 'status',
        archived_values => '{archived}', spam_values => '{spam}');
    SELECT deskguard.protect_messages('desk.message', 'desk.ticket', author_column => 'author_id',
        internal_column => 'in_house');
    SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message_id');
    SELECT deskguard.protect_messages('desk.note', 'desk.ticket', type_column => 'kind', type_values => '{ticket}');
    SELECT deskguard.protect_shared('desk.filter', owner_column => 'owner_id');
    SELECT deskguard.protect_shared('desk.response', owner_column => 'owner_id');
    CREATE POLICY everyone ON desk.label USING (true);
    ALTER TABLE desk.label ENABLE ROW LEVEL SECURITY;
    SELECT deskguard.protect_feature('desk.label', 'people.edit');
    SELECT deskguard.protect_feature('desk.filter', 'people.edit', 'DELETE');
    ALTER TABLE desk.ticket DETACH PARTITION desk.ticket_old;";

/// Agents and members that come from the help desk. PostgreSQL dumps the second view as one without rows, and replaces it
/// after the data, since it needs the primary key.
const MIRROR: &str = "
    CREATE TABLE desk.staff (id bigint PRIMARY KEY, name text, reads boolean);
    CREATE TABLE desk.shift (staff_id bigint REFERENCES desk.staff, day date);
    CREATE VIEW desk.agents AS SELECT id, name FROM desk.staff;
    CREATE VIEW desk.readers AS SELECT 'Readers' AS group_name, s.id AS agent_id, NULL::timestamptz AS valid_from
        FROM desk.staff AS s LEFT JOIN desk.shift AS x ON x.staff_id = s.id GROUP BY s.id HAVING s.reads;
    INSERT INTO desk.staff SELECT n, 'Staff ' || n, n % 2 = 0 FROM generate_series(201, 206) AS n;
    INSERT INTO desk.shift SELECT n, '2026-01-01' FROM generate_series(201, 206) AS n;
    INSERT INTO deskguard.agent (id, name) VALUES (204, 'By hand');
    SELECT deskguard.mirror('agent', 'desk.agents'), deskguard.mirror('group_member', 'desk.readers');";

const SHARE: &str = "
    SELECT deskguard.share('desk.filter', 2, agent_id => 1);
    SELECT deskguard.share('desk.filter', 3, group_id => 101);
    SELECT deskguard.share('desk.filter', 4, everyone => true);
    SELECT deskguard.share('desk.response', '00000000-0000-0000-0000-000000000002', agent_id => 1);
    SELECT deskguard.share('desk.response', '00000000-0000-0000-0000-000000000003', everyone => true);";

/// Puts it into a database that has the extension.
pub fn build(database: &Database) {
    build_with(database, &tables_sql());
}

/// The same with tickets that have no primary key: those of partitions cannot be dropped by pg_restore --clean.
pub fn build_without_key(database: &Database) {
    let sql = tables_sql()
        .replace(
            "desk.ticket (id int PRIMARY KEY,",
            "desk.ticket (id int NOT NULL,",
        )
        .replace("REFERENCES desk.ticket", "");
    build_with(database, &sql);
}

fn build_with(database: &Database, tables: &str) {
    let mut superuser = database.superuser();
    superuser.batch_execute(&(rights_sql() + tables)).unwrap();
    database.connect(OWNER).batch_execute(PROTECT).unwrap();
    superuser.batch_execute(SHARE).unwrap();
    superuser.batch_execute(MIRROR).unwrap();
}

/// The sessions that look: by setting, and by role.
fn sessions(database: &Database) -> Vec<(String, Client)> {
    let mut all = vec![];
    for agent in [
        None,
        Some(1),
        Some(2),
        Some(3),
        Some(4),
        Some(5),
        Some(7),
        Some(77),
    ] {
        let mut client = database.connect(APP);
        act_for(&mut client, agent);
        all.push((
            agent.map_or("nobody".into(), |id| format!("agent {id}")),
            client,
        ));
    }
    for role in [MAPPED[0], MAPPED[1], OWNER, STRANGER] {
        all.push((role.into(), database.connect(role)));
    }
    all
}

/// What each session sees.
pub fn seen(database: &Database) -> Vec<String> {
    let mut lines = vec![];
    for (name, mut client) in sessions(database) {
        for table in TABLES {
            let sql = format!("SELECT t::text FROM desk.{table} AS t ORDER BY 1");
            let rows = match client.query(&sql, &[]) {
                Ok(rows) => format!(
                    "{:?}",
                    rows.iter().map(|r| r.get(0)).collect::<Vec<String>>()
                ),
                Err(error) => error.code().unwrap().code().into(),
            };
            lines.push(format!("{name}, {table}: {rows}"));
        }
    }
    lines
}

/// What comes of a command, which is taken back.
fn attempt(client: &mut Client, sql: &str) -> String {
    let mut transaction = client.transaction().unwrap();
    match transaction.execute(sql, &[]) {
        Ok(rows) => format!("{rows} rows"),
        Err(error) => error.code().unwrap().code().to_string(),
    }
}

/// What each session sees and may change, and what there is of deskguard in the catalogs.
pub fn picture(database: &Database) -> Vec<String> {
    let mut lines = seen(database);
    for (name, mut client) in sessions(database) {
        for sql in [
            "UPDATE desk.ticket SET subject = 'new'",
            "UPDATE desk.ticket SET department_id = 3 WHERE id = 1",
            "UPDATE desk.ticket SET department_id = 1 WHERE id = 1",
            "UPDATE desk.ticket SET status = 'spam' WHERE id = 1",
            "UPDATE desk.ticket_old SET subject = 'new'",
            "DELETE FROM desk.ticket_old",
            "INSERT INTO desk.message VALUES (99, 1, 1)",
            "INSERT INTO desk.message VALUES (99, 1, 2)",
            "INSERT INTO desk.ticket (id, department_id, category_id) VALUES (99, 9, 1)",
            "DELETE FROM desk.message",
            "UPDATE desk.attachment SET name = 'new'",
            "INSERT INTO desk.follower VALUES (1, 1, 'cc')",
            "INSERT INTO desk.note VALUES (99, 2, 'n', 'ticket')",
            "INSERT INTO desk.note VALUES (99, 2, 'n', 'contact')",
            "UPDATE desk.filter SET name = 'new'",
            "DELETE FROM desk.filter",
            "INSERT INTO desk.label VALUES ('green')",
        ] {
            // Autovacuum comes to the tables that were just restored, one after the other; what is told to
            // retry is retried.
            let mut outcome = String::new();
            wait_until("nothing is to be retried", || {
                outcome = attempt(&mut client, sql);
                outcome != "40001"
            });
            lines.push(format!("{name}, {sql}: {outcome}"));
        }
    }
    let mut superuser = database.superuser();
    for sql in [
        "SELECT concat_ws(' ', polname, polrelid::regclass, polpermissive, polcmd, polroles::regrole[],
             pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
         FROM pg_policy ORDER BY 1",
        "SELECT concat_ws(' ', oid::regclass, relrowsecurity, relforcerowsecurity) FROM pg_class
         WHERE relrowsecurity ORDER BY 1",
        // How a condition is printed depends on the major.
        "SELECT concat_ws(' ', tgname, tgrelid::regclass, tgfoid::regproc, tgenabled, tgtype, tgqual IS NULL)
         FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'desk.%' ORDER BY 1",
        "SELECT concat_ws(' ', t, deskguard_internal.base_ok(t.table_id)) FROM deskguard.protected_table t ORDER BY 1",
        "SELECT f::text FROM deskguard.protected_feature f ORDER BY 1",
        "SELECT v::text FROM deskguard.shared_visibility v ORDER BY 1",
        "SELECT m::text FROM deskguard.group_member m ORDER BY 1",
        "SELECT g::text FROM deskguard.permission_group g ORDER BY 1",
        "SELECT d::text FROM deskguard.department d ORDER BY 1",
        "SELECT a::text FROM deskguard.agent a ORDER BY 1",
        "SELECT p::text FROM deskguard.permission p ORDER BY 1",
        "SELECT m::text FROM deskguard.mirror m ORDER BY 1",
        "SELECT r::text FROM deskguard_internal.mirrored_row r ORDER BY 1",
    ] {
        lines.extend(texts(&mut superuser, sql));
    }
    lines
}

/// A picture that tells something: some see all, some see part, some see nothing.
pub fn is_telling(lines: &[String]) {
    for (session, rows) in [
        ("nobody, ticket", 0),
        ("agent 1, ticket", 8),
        ("agent 2, ticket", 4),
        ("agent 5, ticket", 12),
        // By a scoped group, of which two are requested.
        ("agent 7, ticket", 4),
        ("agent 7, note", 7),
        ("agent 1, ticket_old", 1),
        ("agent 1, filter", 4),
        ("agent 1, response", 4),
        ("agent 1, label", 2),
        ("agent 77, label", 0),
        (STRANGER, 0),
    ] {
        let line = lines.iter().find(|line| {
            line.starts_with(&format!("{session}: "))
                || line.starts_with(&format!("{session}, ticket: "))
        });
        let line = line.unwrap_or_else(|| panic!("{session}"));
        assert_eq!(line.matches('(').count(), rows, "{line}");
    }
    for outcome in [" rows", ": 0 rows", ": 42501"] {
        assert!(
            lines.iter().any(|line| line.ends_with(outcome)),
            "{outcome}"
        );
    }
}

/// Nobody sees or changes anything that is protected.
pub fn is_closed(database: &Database) {
    for line in seen(database) {
        let refused = [": []", ": 55000", ": 42501", ": 42P01"];
        assert!(refused.iter().any(|end| line.ends_with(end)), "{line}");
    }
}

pub fn same(before: &[String], after: &[String]) {
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
}
