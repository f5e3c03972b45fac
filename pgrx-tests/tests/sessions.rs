//! What several sessions of ordinary roles see, and that no command gets around the rules.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;

use deskguard_tests::ident;
use deskguard_tests::server::{APP, Database, MAPPED, OWNER, STRANGER};
use postgres::error::SqlState;
use postgres::{Client, Error, Statement};

// ---- a small help desk, and who sees what of it, worked out by hand ----

/// Open, full on department 1, modifies everything.
const ANN: i64 = 1;
/// Siloed in category 1, full on department 3; his own tickets 4 and 5 are of category 2.
const BOB: i64 = 2;
/// Open, full on department 3; the database role MAPPED[0].
const CID: i64 = 3;
/// May only use tickets; in team 1.
const DEE: i64 = 4;
/// Inactive, in All Permissions.
const EVE: i64 = 5;
/// In All Permissions.
const MAX: i64 = 9;

const HELP_DESK: &str = "
INSERT INTO deskguard.department (id, name, parent_id) VALUES
    (1, 'Support', NULL), (2, 'Support EU', 1), (3, 'Sales', NULL);
INSERT INTO deskguard.category (id, name) VALUES (1, 'Network'), (2, 'Printers'), (3, 'Money');
INSERT INTO deskguard.agent (id, name, active, category_access) VALUES
    (1, 'Ann', true, 'open'), (2, 'Bob', true, NULL), (3, 'Cid', true, 'open'),
    (4, 'Dee', true, 'open'), (5, 'Eve', false, NULL), (9, 'Max', true, NULL);
UPDATE deskguard.agent SET db_role = 'deskguard_test_report' WHERE id = 3;
INSERT INTO deskguard.team (id, name) VALUES (1, 'Night shift');
INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 4);
INSERT INTO deskguard.permission_group (name) VALUES ('Desk');
INSERT INTO deskguard.group_permission (group_id, permission)
    SELECT id, permission
    FROM deskguard.permission_group,
         unnest(ARRAY['ticket.use', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.assigned',
             'ticket.modify.own', 'ticket.modify.unassigned', 'ticket.modify.assigned']) AS permission
    WHERE name = 'Desk';
INSERT INTO deskguard.group_member (group_id, agent_id)
    SELECT id, agent FROM deskguard.permission_group, generate_series(1, 3) AS agent
    WHERE name = 'Desk';
INSERT INTO deskguard.group_member (group_id, agent_id)
    SELECT id, agent FROM deskguard.permission_group, unnest(ARRAY[5, 9]) AS agent
    WHERE name = 'All Permissions';
INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES (4, 'ticket.use');
INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES
    (1, 1, 'full'), (2, 3, 'full'), (3, 3, 'full');
INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (2, 1);";

const TICKETS: &str = "
INSERT INTO desk.ticket (id, department_id, category_id, assignee_id, team_id) VALUES
    (1, 1, 1, NULL, NULL),
    (2, 2, 1, 1, NULL),
    (3, 3, 1, NULL, NULL),
    (4, 3, 2, 2, NULL),
    (5, 1, 2, 2, NULL),
    (6, 2, NULL, NULL, NULL),
    (7, 3, 3, NULL, 1),
    (8, NULL, 1, NULL, NULL);";

const SEEN_BY_ANN: [i64; 4] = [1, 2, 5, 6];
const SEEN_BY_BOB: [i64; 1] = [3];
const SEEN_BY_CID: [i64; 3] = [3, 4, 7];
const SEEN_BY_DEE: [i64; 1] = [7];
const SEEN_BY_MAX: [i64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
const NOTHING: [i64; 0] = [];

const SELECT: &str = "SELECT id FROM desk.ticket ORDER BY id";

/// The table as it is without any partition.
const PLAIN: &str = "
CREATE TABLE desk.ticket (id bigint PRIMARY KEY, department_id bigint, category_id bigint,
    assignee_id bigint, team_id bigint, subject text NOT NULL DEFAULT '');";

/// Tickets of category 1 in a partition of their own.
const PARTITIONED: &str = "
CREATE TABLE desk.ticket (id bigint NOT NULL, department_id bigint, category_id bigint,
    assignee_id bigint, team_id bigint, subject text NOT NULL DEFAULT '') PARTITION BY LIST (category_id);
CREATE TABLE desk.ticket_network PARTITION OF desk.ticket FOR VALUES IN (1);
CREATE TABLE desk.ticket_rest PARTITION OF desk.ticket DEFAULT;";

fn help_desk(ticket_table: &str) -> Database {
    let database = Database::with_deskguard("sessions");
    let mut superuser = database.superuser();
    let [cid, other] = MAPPED.map(ident);
    let roles = format!("{APP}, {STRANGER}, {cid}, {other}");
    superuser
        .batch_execute(&format!(
            "CREATE SCHEMA desk AUTHORIZATION {OWNER};
             GRANT USAGE ON SCHEMA desk TO PUBLIC;
             SET ROLE {OWNER};
             {ticket_table}
             CREATE TABLE desk.follower (ticket_id bigint, agent_id bigint);
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO {roles};
             RESET ROLE;
             {HELP_DESK}
             {TICKETS}"
        ))
        .unwrap();
    database
        .connect(OWNER)
        .batch_execute(
            "SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id',
                 category_column => 'category_id', assignee_column => 'assignee_id',
                 team_column => 'team_id', follower_table => 'desk.follower')",
        )
        .unwrap();
    database
}

/// Two help desks: the rules are part of the plans in one, and called for each row in the other.
fn both_ways(ticket_table: &str) -> impl Iterator<Item = Database> {
    ["on", "off"].into_iter().map(move |fold| {
        let database = help_desk(ticket_table);
        let name = database.name();
        let set = format!("ALTER DATABASE {name} SET deskguard.fold = {fold}");
        database.superuser().batch_execute(&set).unwrap();
        println!("deskguard.fold = {fold}");
        database
    })
}

/// A session of the application that acts for the agent.
fn app(database: &Database, agent: i64) -> Client {
    let mut client = database.connect(APP);
    act_for(&mut client, agent);
    client
}

fn act_for(client: &mut Client, agent: i64) {
    let set = format!("SET deskguard.agent_id = '{agent}'");
    client.batch_execute(&set).unwrap();
}

fn ids(client: &mut Client, sql: &str) -> Vec<i64> {
    try_ids(client, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

fn try_ids(client: &mut Client, sql: &str) -> Result<Vec<i64>, Error> {
    let rows = client.query(sql, &[])?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn seen(client: &mut Client) -> Vec<i64> {
    ids(client, SELECT)
}

/// The SQLSTATE of a statement that must fail.
fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> SqlState {
    let error = result.expect_err("this must be refused");
    error.code().unwrap_or_else(|| panic!("{error:?}")).clone()
}

/// Everything in the ticket table, to see whether a command changed it.
fn contents(database: &Database) -> Vec<String> {
    let sql = "SELECT t::text FROM desk.ticket t ORDER BY 1";
    let rows = database.superuser().query(sql, &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn each_agent_sees_its_tickets() {
    for table in [PLAIN, PARTITIONED] {
        let database = help_desk(table);
        assert_eq!(seen(&mut app(&database, ANN)), SEEN_BY_ANN);
        assert_eq!(seen(&mut app(&database, BOB)), SEEN_BY_BOB);
        assert_eq!(seen(&mut app(&database, CID)), SEEN_BY_CID);
        assert_eq!(seen(&mut app(&database, DEE)), SEEN_BY_DEE);
        assert_eq!(seen(&mut app(&database, EVE)), NOTHING);
        assert_eq!(seen(&mut app(&database, MAX)), SEEN_BY_MAX);
        assert_eq!(seen(&mut app(&database, 77)), NOTHING);
        assert_eq!(seen(&mut database.connect(APP)), NOTHING);
        assert_eq!(seen(&mut database.connect(MAPPED[0])), SEEN_BY_CID);
        assert_eq!(seen(&mut database.connect(MAPPED[1])), NOTHING);
        assert_eq!(seen(&mut database.connect(STRANGER)), NOTHING);
        // Its owner is nobody in the help desk, and RLS is forced.
        assert_eq!(seen(&mut database.connect(OWNER)), NOTHING);
    }
}

#[test]
fn a_ready_made_help_desk_is_protected() {
    let database = Database::with_deskguard("sessions");
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "GRANT CREATE ON DATABASE {} TO {OWNER}; {HELP_DESK}",
            database.name()
        ))
        .unwrap();
    database
        .connect(OWNER)
        .batch_execute(&format!(
            "SELECT deskguard.create_help_desk('desk');
             GRANT USAGE ON SCHEMA desk TO {APP};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO {APP}"
        ))
        .unwrap();
    let mut ann = app(&database, ANN);
    let insert =
        "INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('a', $1, 1)";
    assert_eq!(ann.execute(insert, &[&1i64]).unwrap(), 1);
    let refused = code(ann.execute(insert, &[&3i64]));
    assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
    assert_eq!(seen(&mut ann).len(), 1);
    assert_eq!(seen(&mut app(&database, BOB)), NOTHING);
    assert_eq!(seen(&mut database.connect(APP)), NOTHING);

    let ticket = seen(&mut ann)[0];
    let follow = "INSERT INTO desk.ticket_follower (ticket_id, agent_id) VALUES ($1, $2)";
    assert_eq!(ann.execute(follow, &[&ticket, &DEE]).unwrap(), 1);
    assert_eq!(seen(&mut app(&database, DEE)), [ticket]);
    let refused = code(app(&database, BOB).execute(follow, &[&ticket, &BOB]));
    assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
}

// ---- identity ----

#[test]
fn an_untrusted_session_cannot_say_who_it_is() {
    for database in both_ways(PLAIN) {
        for (role, own_rows) in [(STRANGER, &NOTHING[..]), (MAPPED[0], &SEEN_BY_CID)] {
            let (mut client, notices) = database.connect_and_listen(role);
            assert_eq!(seen(&mut client), own_rows);
            assert_eq!(notices.warnings(), [""; 0]);
            act_for(&mut client, MAX);
            for _ in 0..3 {
                assert_eq!(seen(&mut client), own_rows);
            }
            act_for(&mut client, ANN);
            assert_eq!(seen(&mut client), own_rows);
            client
                .batch_execute("BEGIN; SET LOCAL deskguard.agent_id = '9'")
                .unwrap();
            assert_eq!(seen(&mut client), own_rows);
            client.batch_execute("COMMIT").unwrap();
            let warnings = notices.warnings();
            assert_eq!(warnings.len(), 1, "one WARNING, once: {warnings:?}");
            // Workers of a parallel query say nothing of their own.
            client
                .batch_execute(
                    "SET max_parallel_workers_per_gather = 3; SET min_parallel_table_scan_size = 0;
                 SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0",
                )
                .unwrap();
            assert_eq!(seen(&mut client), own_rows);
            assert_eq!(notices.warnings(), warnings);
            // set_agent is only another way to set it.
            let _ = client.batch_execute("SELECT deskguard.set_agent(9, false)");
            assert_eq!(seen(&mut client), own_rows);
        }
        // Not by the back door of the connection's options or of the role's settings either.
        let mut client = database
            .try_connect(STRANGER, "-c deskguard.agent_id=9")
            .unwrap();
        assert_eq!(seen(&mut client), NOTHING);
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for database in both_ways(PLAIN) {
        let mut client = database.connect(APP);
        for wrong in ["x", "1x", "1.5", "99999999999999999999", "1 2", "0x1g"] {
            let set = format!("SET deskguard.agent_id = '{wrong}'");
            let refused = code(client.batch_execute(&set));
            assert_eq!(refused, SqlState::INVALID_PARAMETER_VALUE, "{set}");
        }
        assert_eq!(seen(&mut client), NOTHING);
        act_for(&mut client, ANN);
        let refused = code(client.batch_execute("SET deskguard.agent_id = 'x'"));
        assert_eq!(refused, SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(seen(&mut client), SEEN_BY_ANN);
        client.batch_execute("SET deskguard.agent_id = ''").unwrap();
        assert_eq!(seen(&mut client), NOTHING);

        // In the connection's options, where it cannot be refused: nobody.
        if let Ok(mut client) = database.try_connect(APP, "-c deskguard.agent_id=x") {
            assert_eq!(seen(&mut client), NOTHING);
        }
        let mut client = database
            .try_connect(APP, "-c deskguard.agent_id=1")
            .unwrap();
        assert_eq!(seen(&mut client), SEEN_BY_ANN);
    }
}

#[test]
fn without_preloading_the_library_comes_with_the_first_use() {
    for database in both_ways(PLAIN) {
        let off = format!(
            "ALTER DATABASE {} SET session_preload_libraries = 'plpgsql'",
            database.name()
        );
        database.superuser().batch_execute(&off).unwrap();
        for (value, rows) in [("1", &SEEN_BY_ANN[..]), ("x", &NOTHING), ("", &NOTHING)] {
            let mut client = database.connect(APP);
            let set = format!("SET deskguard.agent_id = '{value}'");
            client.batch_execute(&set).unwrap();
            assert_eq!(seen(&mut client), rows, "{set}");
        }
        let mut stranger = database.connect(STRANGER);
        act_for(&mut stranger, MAX);
        assert_eq!(seen(&mut stranger), NOTHING);
        let mut superuser = database.superuser();
        superuser
            .batch_execute("SET deskguard.agent_id = '1'")
            .unwrap();
        superuser.batch_execute(&format!("SET ROLE {APP}")).unwrap();
        assert_eq!(seen(&mut superuser), SEEN_BY_ANN);
        // A first statement that writes.
        let grant = "INSERT INTO deskguard.agent_department VALUES (1, 3, 'assign')";
        database.superuser().batch_execute(grant).unwrap();
        let is_refused = Err(SqlState::INSUFFICIENT_PRIVILEGE);
        for (sql, expected) in [
            (
                "UPDATE desk.ticket SET department_id = 3 WHERE id = 1",
                Ok(1),
            ),
            (
                "UPDATE desk.ticket SET department_id = 3 WHERE id > 5",
                Ok(1),
            ),
            ("UPDATE desk.ticket SET subject = 'x' WHERE id = 3", Ok(0)),
            (
                "UPDATE desk.ticket SET subject = 'x' WHERE department_id = 3",
                Ok(0),
            ),
            (
                "UPDATE desk.ticket SET department_id = 12 WHERE id = 2",
                is_refused.clone(),
            ),
            (
                "INSERT INTO desk.ticket (id, department_id) VALUES (20, 3) RETURNING id",
                Ok(1),
            ),
            (
                "INSERT INTO desk.ticket (id, department_id) VALUES (3, 1)
              ON CONFLICT (id) DO UPDATE SET subject = 'x'",
                is_refused,
            ),
        ] {
            let mut client = database.connect(APP);
            act_for(&mut client, ANN);
            let outcome = client
                .execute(sql, &[])
                .map_err(|error| error.code().unwrap().clone());
            assert_eq!(outcome, expected, "{sql}");
        }
    }
}

#[test]
fn set_local_ends_with_its_transaction() {
    for database in both_ways(PLAIN) {
        let mut client = database.connect(APP);
        for (begin, end) in [
            ("BEGIN; SELECT deskguard.set_agent(1)", "COMMIT"),
            ("BEGIN; SELECT deskguard.set_agent(1)", "ROLLBACK"),
            ("BEGIN; SET LOCAL deskguard.agent_id = '1'", "COMMIT"),
            ("BEGIN; SET deskguard.agent_id = '1'", "ROLLBACK"),
        ] {
            client.batch_execute(begin).unwrap();
            assert_eq!(seen(&mut client), SEEN_BY_ANN, "{begin}");
            client
                .batch_execute("SAVEPOINT s; SELECT deskguard.set_agent(2)")
                .unwrap();
            assert_eq!(seen(&mut client), SEEN_BY_BOB, "{begin}");
            client.batch_execute("ROLLBACK TO s").unwrap();
            assert_eq!(seen(&mut client), SEEN_BY_ANN, "{begin}");
            client.batch_execute(end).unwrap();
            assert_eq!(seen(&mut client), NOTHING, "{begin} … {end}");
        }
        client
            .batch_execute("SELECT deskguard.set_agent(1, false)")
            .unwrap();
        assert_eq!(seen(&mut client), SEEN_BY_ANN);
        for reset in ["RESET deskguard.agent_id", "DISCARD ALL", "RESET ALL"] {
            act_for(&mut client, ANN);
            assert_eq!(seen(&mut client), SEEN_BY_ANN);
            client.batch_execute(reset).unwrap();
            assert_eq!(seen(&mut client), NOTHING, "{reset}");
        }
    }
}

#[test]
fn two_agents_take_turns_on_one_connection() {
    for database in both_ways(PLAIN) {
        for mode in ["auto", "force_generic_plan", "force_custom_plan"] {
            let mut client = database.connect(APP);
            client
                .batch_execute(&format!("SET plan_cache_mode = {mode}"))
                .unwrap();
            let statement = client.prepare(SELECT).unwrap();
            let with_parameter = "SELECT id FROM desk.ticket WHERE id > $1 ORDER BY id";
            let with_parameter = client.prepare(with_parameter).unwrap();
            let every = [
                (ANN, &SEEN_BY_ANN[..]),
                (BOB, &SEEN_BY_BOB),
                (DEE, &SEEN_BY_DEE),
                (EVE, &NOTHING),
                (MAX, &SEEN_BY_MAX),
            ];
            // More rounds than custom plans are tried for.
            for round in 0..10 {
                for (agent, expected) in every {
                    for _ in 0..=round % 3 {
                        let mut transaction = client.transaction().unwrap();
                        transaction
                            .execute("SELECT deskguard.set_agent($1)", &[&agent])
                            .unwrap();
                        let rows = transaction.query(&statement, &[]).unwrap();
                        let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
                        assert_eq!(found, expected, "agent {agent}, round {round}, {mode}");
                        let rows = transaction.query(&with_parameter, &[&0i64]).unwrap();
                        assert_eq!(rows.len(), expected.len(), "agent {agent}, {mode}");
                        transaction.commit().unwrap();
                    }
                }
                assert_eq!(
                    client.query(&statement, &[]).unwrap().len(),
                    0,
                    "nobody, {mode}"
                );
            }
        }
    }
}

#[test]
fn a_role_is_an_agent_through_set_role_too() {
    for database in both_ways(PLAIN) {
        let mut client = database.connect(APP);
        let statement = client.prepare(SELECT).unwrap();
        let rows = |client: &mut Client| -> Vec<i64> {
            let rows = client.query(&statement, &[]).unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        };
        let cid = ident(MAPPED[0]);
        for _ in 0..8 {
            assert_eq!(rows(&mut client), NOTHING);
            client.batch_execute(&format!("SET ROLE {cid}")).unwrap();
            assert_eq!(rows(&mut client), SEEN_BY_CID);
            // The setting goes first, for the session is still the application's.
            act_for(&mut client, ANN);
            assert_eq!(rows(&mut client), SEEN_BY_ANN);
            client.batch_execute("RESET deskguard.agent_id").unwrap();
            assert_eq!(rows(&mut client), SEEN_BY_CID);
            client.batch_execute("RESET ROLE").unwrap();
        }
        client
            .batch_execute(&format!("BEGIN; SET LOCAL ROLE {cid}"))
            .unwrap();
        assert_eq!(rows(&mut client), SEEN_BY_CID);
        client.batch_execute("ROLLBACK").unwrap();
        assert_eq!(rows(&mut client), NOTHING);

        // A superuser may say who it is, too, and sees all rows as long as it is one.
        let mut superuser = database.superuser();
        act_for(&mut superuser, ANN);
        assert_eq!(seen(&mut superuser), SEEN_BY_MAX);
        superuser
            .batch_execute(&format!("SET ROLE {STRANGER}"))
            .unwrap();
        assert_eq!(seen(&mut superuser), SEEN_BY_ANN);
        superuser.batch_execute("RESET deskguard.agent_id").unwrap();
        assert_eq!(seen(&mut superuser), NOTHING);
    }
}

#[test]
fn security_definer_functions() {
    for database in both_ways(PLAIN) {
        let cid = ident(MAPPED[0]);
        let mut superuser = database.superuser();
        for (owner, suffix) in [(cid.as_str(), "cid"), (OWNER, "owner")] {
            superuser
                .batch_execute(&format!(
                    "CREATE FUNCTION desk.sql_{suffix}() RETURNS SETOF bigint LANGUAGE sql STABLE
                     SECURITY DEFINER AS '{SELECT}';
                 CREATE FUNCTION desk.plpgsql_{suffix}() RETURNS SETOF bigint LANGUAGE plpgsql
                     SECURITY DEFINER AS 'BEGIN RETURN QUERY {SELECT}; END';
                 ALTER FUNCTION desk.sql_{suffix}() OWNER TO {owner};
                 ALTER FUNCTION desk.plpgsql_{suffix}() OWNER TO {owner};"
                ))
                .unwrap();
        }
        superuser
            .batch_execute(&format!(
            "CREATE FUNCTION desk.invoker() RETURNS SETOF bigint LANGUAGE sql STABLE AS '{SELECT}';
             CREATE FUNCTION desk.nested() RETURNS SETOF bigint LANGUAGE plpgsql AS
             'BEGIN RETURN QUERY SELECT * FROM desk.sql_cid() UNION ALL ({SELECT}) ; END'"
        ))
            .unwrap();

        let mut ann = app(&database, ANN);
        let mut nobody = database.connect(APP);
        let mut stranger = database.connect(STRANGER);
        for _ in 0..8 {
            for language in ["sql", "plpgsql"] {
                let of_cid = format!("SELECT * FROM desk.{language}_cid()");
                let of_owner = format!("SELECT * FROM desk.{language}_owner()");
                // Who says which agent it acts for does so inside of them, too.
                assert_eq!(ids(&mut ann, &of_cid), SEEN_BY_ANN);
                assert_eq!(ids(&mut ann, &of_owner), SEEN_BY_ANN);
                for client in [&mut nobody, &mut stranger] {
                    assert_eq!(ids(client, &of_cid), SEEN_BY_CID);
                    assert_eq!(ids(client, &of_owner), NOTHING);
                    assert_eq!(ids(client, "SELECT * FROM desk.invoker()"), NOTHING);
                    assert_eq!(ids(client, "SELECT * FROM desk.nested()"), SEEN_BY_CID);
                    assert_eq!(seen(client), NOTHING);
                    // Both in one plan.
                    let both = format!("SELECT a.* FROM desk.invoker() a, desk.{language}_cid() b");
                    assert_eq!(ids(client, &both), NOTHING);
                }
            }
            assert_eq!(ids(&mut ann, "SELECT * FROM desk.invoker()"), SEEN_BY_ANN);
        }
    }
}

// ---- changes of rights ----

/// A change, what undoes it, the agent it is about, what that agent sees before and after.
struct Change {
    apply: &'static str,
    undo: &'static str,
    agent: i64,
    before: &'static [i64],
    after: &'static [i64],
}

const CHANGES: [Change; 16] = [
    Change {
        apply: "DELETE FROM deskguard.agent_department WHERE agent_id = 1",
        undo: "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 1, 'full')",
        agent: ANN,
        before: &SEEN_BY_ANN,
        after: &[2],
    },
    Change {
        apply: "UPDATE deskguard.agent_department SET level = 'assign' WHERE agent_id = 1",
        undo: "UPDATE deskguard.agent_department SET level = 'full' WHERE agent_id = 1",
        agent: ANN,
        before: &SEEN_BY_ANN,
        after: &[2],
    },
    Change {
        apply: "DELETE FROM deskguard.group_member WHERE agent_id = 1",
        undo: "INSERT INTO deskguard.group_member (group_id, agent_id)
               SELECT id, 1 FROM deskguard.permission_group WHERE name = 'Desk'",
        agent: ANN,
        before: &SEEN_BY_ANN,
        after: &[],
    },
    Change {
        apply: "UPDATE deskguard.agent SET category_access = 'silo' WHERE id = 1",
        undo: "UPDATE deskguard.agent SET category_access = 'open' WHERE id = 1",
        agent: ANN,
        before: &SEEN_BY_ANN,
        after: &[],
    },
    Change {
        apply: "UPDATE deskguard.agent SET active = false WHERE id = 1",
        undo: "UPDATE deskguard.agent SET active = true WHERE id = 1",
        agent: ANN,
        before: &SEEN_BY_ANN,
        after: &[],
    },
    Change {
        apply: "UPDATE deskguard.department SET parent_id = NULL WHERE id = 2",
        undo: "UPDATE deskguard.department SET parent_id = 1 WHERE id = 2",
        agent: ANN,
        before: &SEEN_BY_ANN,
        after: &[1, 2, 5],
    },
    Change {
        apply: "DELETE FROM deskguard.trusted_role",
        undo: "INSERT INTO deskguard.trusted_role (role_name) VALUES ('deskguard_test_app')",
        agent: ANN,
        before: &SEEN_BY_ANN,
        after: &[],
    },
    Change {
        apply: "DELETE FROM deskguard.agent_category WHERE agent_id = 2",
        undo: "INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (2, 1)",
        agent: BOB,
        before: &SEEN_BY_BOB,
        after: &[],
    },
    Change {
        apply: "DELETE FROM deskguard.group_permission WHERE permission = 'ticket.view.unassigned'",
        undo: "INSERT INTO deskguard.group_permission (group_id, permission)
               SELECT id, 'ticket.view.unassigned' FROM deskguard.permission_group WHERE name = 'Desk'",
        agent: BOB,
        before: &SEEN_BY_BOB,
        after: &[],
    },
    Change {
        apply: "UPDATE deskguard.permission_group SET category_access = 'open' WHERE name = 'Desk'",
        undo: "UPDATE deskguard.permission_group SET category_access = 'silo' WHERE name = 'Desk'",
        agent: BOB,
        before: &SEEN_BY_BOB,
        after: &[3, 4, 5, 7],
    },
    Change {
        apply: "UPDATE deskguard.permission_group SET department_access = 'all' WHERE name = 'Desk'",
        undo: "UPDATE deskguard.permission_group SET department_access = 'granted' WHERE name = 'Desk'",
        agent: BOB,
        before: &SEEN_BY_BOB,
        after: &[1, 2, 3, 8],
    },
    Change {
        apply: "INSERT INTO deskguard.group_category (group_id, category_id)
                SELECT id, 3 FROM deskguard.permission_group WHERE name = 'Desk'",
        undo: "DELETE FROM deskguard.group_category",
        agent: BOB,
        before: &SEEN_BY_BOB,
        after: &[3, 7],
    },
    Change {
        apply: "INSERT INTO deskguard.group_department (group_id, department_id, level)
                SELECT id, 1, 'full' FROM deskguard.permission_group WHERE name = 'Desk'",
        undo: "DELETE FROM deskguard.group_department",
        agent: BOB,
        before: &SEEN_BY_BOB,
        after: &[1, 2, 3],
    },
    Change {
        apply: "DELETE FROM deskguard.team_member WHERE agent_id = 4",
        undo: "INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 4)",
        agent: DEE,
        before: &SEEN_BY_DEE,
        after: &[],
    },
    Change {
        apply: "DELETE FROM deskguard.agent WHERE id = 4",
        undo: "INSERT INTO deskguard.agent (id, name, category_access) VALUES (4, 'Dee', 'open');
               INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES (4, 'ticket.use');
               INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 4)",
        agent: DEE,
        before: &SEEN_BY_DEE,
        after: &[],
    },
    Change {
        apply: "DELETE FROM deskguard.group_member WHERE agent_id = 9",
        undo: "INSERT INTO deskguard.group_member (group_id, agent_id)
               SELECT id, 9 FROM deskguard.permission_group WHERE name = 'All Permissions'",
        agent: MAX,
        before: &SEEN_BY_MAX,
        after: &[],
    },
];

/// A session that asks again and again in the same way.
struct Asking {
    client: Client,
    how: String,
    in_transaction: bool,
    /// None: a new statement each time.
    statement: Option<Statement>,
}

impl Asking {
    /// In and out of transactions, anew, with a prepared statement, or in PL/pgSQL.
    fn all_ways(database: &Database, agent: i64) -> Vec<Asking> {
        let mut all = Vec::new();
        for begin in [
            "",
            "BEGIN",
            "BEGIN ISOLATION LEVEL REPEATABLE READ",
            "BEGIN ISOLATION LEVEL SERIALIZABLE",
        ] {
            for (how, setting, statement) in [
                ("anew", "", None),
                ("prepared", "", Some(SELECT)),
                (
                    "generic",
                    "SET plan_cache_mode = force_generic_plan",
                    Some(SELECT),
                ),
                ("in PL/pgSQL", "", Some("SELECT * FROM desk.seen()")),
            ] {
                let mut client = app(database, agent);
                client.batch_execute(setting).unwrap();
                let statement = statement.map(|sql| client.prepare(sql).unwrap());
                client.batch_execute(begin).unwrap();
                all.push(Asking {
                    client,
                    how: format!("{how} {begin}"),
                    in_transaction: !begin.is_empty(),
                    statement,
                });
            }
        }
        all
    }

    fn ask(&mut self) -> Result<Vec<i64>, Error> {
        match &self.statement {
            None => try_ids(&mut self.client, SELECT),
            Some(statement) => {
                let rows = self.client.query(statement, &[])?;
                Ok(rows.iter().map(|row| row.get(0)).collect())
            }
        }
    }
}

#[test]
fn a_committed_change_is_obeyed_by_the_next_statement() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        superuser
            .batch_execute(&format!(
                "CREATE FUNCTION desk.seen() RETURNS SETOF bigint LANGUAGE plpgsql AS
                     'BEGIN RETURN QUERY {SELECT}; END'"
            ))
            .unwrap();
        for change in CHANGES {
            let mut sessions = Asking::all_ways(&database, change.agent);
            // More often than custom plans are tried for.
            for _ in 0..7 {
                for session in &mut sessions {
                    let what = format!("{}, before {}", session.how, change.apply);
                    assert_eq!(session.ask().unwrap(), change.before, "{what}");
                }
            }

            superuser.batch_execute(change.apply).unwrap();
            for session in &mut sessions {
                let what = format!("{}, after {}", session.how, change.apply);
                match session.ask() {
                    Ok(rows) => assert_eq!(rows, change.after, "{what}"),
                    // In a transaction it may be asked to begin again; never the old right.
                    Err(error) => {
                        let retry = Some(&SqlState::T_R_SERIALIZATION_FAILURE);
                        assert_eq!(error.code(), retry, "{what}: {error:?}");
                        assert!(session.in_transaction, "{what}: {error:?}");
                        session.client.batch_execute("ROLLBACK").unwrap();
                        assert_eq!(session.ask().unwrap(), change.after, "{what}, again");
                    }
                }
            }

            superuser.batch_execute(change.undo).unwrap();
            for session in &mut sessions {
                session.client.batch_execute("ROLLBACK").unwrap();
                let what = format!("{}, after {}", session.how, change.undo);
                assert_eq!(session.ask().unwrap(), change.before, "{what}");
            }
        }
    }
}

/// They begin at the same moment, and each command of theirs is the first.
#[test]
fn transactions_that_come_in_one_message_are_all_obeyed() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        let mut ann = app(&database, ANN);
        assert_eq!(seen(&mut ann), SEEN_BY_ANN);
        let set =
            |active| format!("UPDATE deskguard.agent SET active = {active} WHERE id = {ANN};");
        for before in [
            format!("BEGIN; {} ROLLBACK;", set(false)),
            format!("BEGIN; {} COMMIT; BEGIN; {} COMMIT;", set(false), set(true)),
        ] {
            let change = |active| format!("{before} BEGIN; {} COMMIT;", set(active));
            superuser.batch_execute(&change(false)).unwrap();
            assert_eq!(seen(&mut ann), NOTHING, "{before}");
            superuser.batch_execute(&change(true)).unwrap();
            assert_eq!(seen(&mut ann), SEEN_BY_ANN, "{before}");
        }
    }
}

/// It waits for those in a transaction, so that they are none here.
#[test]
fn truncate_of_a_grant_table_is_obeyed() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        let mut dee = app(&database, DEE);
        let statement = dee.prepare(SELECT).unwrap();
        for _ in 0..7 {
            assert_eq!(dee.query(&statement, &[]).unwrap().len(), 1);
        }
        superuser
            .batch_execute("BEGIN; TRUNCATE deskguard.agent_permission; ROLLBACK")
            .unwrap();
        assert_eq!(dee.query(&statement, &[]).unwrap().len(), 1);
        superuser
            .batch_execute("TRUNCATE deskguard.agent_permission")
            .unwrap();
        assert_eq!(dee.query(&statement, &[]).unwrap().len(), 0);
        assert_eq!(seen(&mut dee), NOTHING);
    }
}

#[test]
fn writes_obey_a_committed_change_in_a_repeatable_read_transaction() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        let mut ann = app(&database, ANN);
        ann.batch_execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            .unwrap();
        assert_eq!(seen(&mut ann), SEEN_BY_ANN);
        superuser
            .batch_execute("DELETE FROM deskguard.group_member WHERE agent_id = 1")
            .unwrap();
        match ann.execute("UPDATE desk.ticket SET subject = 'changed'", &[]) {
            Ok(rows) => assert_eq!(rows, 0),
            Err(error) => assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE)),
        }
        let _ = ann.batch_execute("COMMIT");
        assert!(
            contents(&database)
                .iter()
                .all(|row| !row.contains("changed"))
        );
    }
}

#[test]
fn a_change_of_the_mapped_role_is_obeyed() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        let mut client = database.connect(MAPPED[0]);
        let mut other = database.connect(MAPPED[1]);
        let statement = client.prepare(SELECT).unwrap();
        for _ in 0..7 {
            assert_eq!(
                client.query(&statement, &[]).unwrap().len(),
                SEEN_BY_CID.len()
            );
            assert_eq!(seen(&mut other), NOTHING);
        }
        superuser
            .execute(
                "UPDATE deskguard.agent SET db_role = $1 WHERE id = 3",
                &[&MAPPED[1]],
            )
            .unwrap();
        assert_eq!(client.query(&statement, &[]).unwrap().len(), 0);
        assert_eq!(seen(&mut other), SEEN_BY_CID);
        superuser
            .execute(
                "UPDATE deskguard.agent SET db_role = NULL WHERE id = 3",
                &[],
            )
            .unwrap();
        assert_eq!(seen(&mut other), NOTHING);
    }
}

#[test]
fn an_uncommitted_change_is_seen_by_its_own_transaction_only() {
    for database in both_ways(PLAIN) {
        let mut other = app(&database, DEE);
        assert_eq!(seen(&mut other), SEEN_BY_DEE);

        // A superuser who looks as Dee does.
        let mut admin = database.superuser();
        admin
            .batch_execute(
                "INSERT INTO deskguard.team (id, name) VALUES (2, 'Day shift');
             UPDATE desk.ticket SET team_id = 2 WHERE id = 8",
            )
            .unwrap();
        let grant =
            "RESET ROLE; INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (2, 4);";
        let as_dee = format!("SET LOCAL ROLE {APP};");
        admin
            .batch_execute(&format!(
                "BEGIN; SET LOCAL deskguard.agent_id = '4'; {as_dee}"
            ))
            .unwrap();
        assert_eq!(seen(&mut admin), SEEN_BY_DEE);
        let statement = admin.prepare(SELECT).unwrap();
        let prepared = |admin: &mut Client| -> Vec<i64> {
            let rows = admin.query(&statement, &[]).unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        };

        admin
            .batch_execute(&format!("SAVEPOINT s; {grant} {as_dee}"))
            .unwrap();
        assert_eq!(seen(&mut admin), [7, 8]);
        assert_eq!(prepared(&mut admin), [7, 8]);
        assert_eq!(seen(&mut other), SEEN_BY_DEE);

        admin.batch_execute("ROLLBACK TO s").unwrap();
        assert_eq!(seen(&mut admin), SEEN_BY_DEE, "after ROLLBACK TO");
        assert_eq!(prepared(&mut admin), SEEN_BY_DEE, "after ROLLBACK TO");

        // Granted in one savepoint and taken away in the next, which is rolled back.
        admin
        .batch_execute(&format!(
            "SAVEPOINT a; {grant} RELEASE a; SAVEPOINT b; DELETE FROM deskguard.team_member; {as_dee}"
        ))
        .unwrap();
        assert_eq!(seen(&mut admin), NOTHING);
        admin.batch_execute("ROLLBACK TO b").unwrap();
        admin.batch_execute(&as_dee).unwrap();
        assert_eq!(seen(&mut admin), [7, 8]);
        assert_eq!(seen(&mut other), SEEN_BY_DEE);

        admin.batch_execute("ROLLBACK").unwrap();
        for client in [&mut admin, &mut other] {
            let look = format!("BEGIN; SET LOCAL deskguard.agent_id = '4'; {as_dee}");
            if client.batch_execute(&look).is_ok() {
                assert_eq!(seen(client), SEEN_BY_DEE, "after ROLLBACK");
            }
            client.batch_execute("ROLLBACK").unwrap();
        }
        assert_eq!(prepared(&mut admin), SEEN_BY_MAX, "a superuser again");

        // And once it is committed by everybody.
        admin
            .batch_execute(&format!("BEGIN; {grant} COMMIT"))
            .unwrap();
        assert_eq!(seen(&mut other), [7, 8]);
    }
}

#[test]
fn two_sessions_cannot_make_a_cycle_of_departments() {
    for database in both_ways(PLAIN) {
        let mut first = database.superuser();
        first
            .batch_execute(
                "INSERT INTO deskguard.department (id, name) VALUES (10, 'a'), (11, 'b');
             BEGIN; UPDATE deskguard.department SET parent_id = 11 WHERE id = 10",
            )
            .unwrap();
        let mut second = database.superuser();
        let attempt = std::thread::spawn(move || {
            second
                .batch_execute("UPDATE deskguard.department SET parent_id = 10 WHERE id = 11")
                .map_err(|error| error.to_string())
        });
        std::thread::sleep(Duration::from_millis(300));
        first.batch_execute("COMMIT").unwrap();
        let _ = attempt.join().unwrap();
        let sql = "SELECT count(*) FROM deskguard.department WHERE id IN (10, 11) AND parent_id IS NOT NULL";
        let parents: i64 = first.query_one(sql, &[]).unwrap().get(0);
        assert_eq!(parents, 1);
        // With one session, too, and for a longer way round.
        for sql in [
        "UPDATE deskguard.department SET parent_id = 10 WHERE id = 10",
        "UPDATE deskguard.department SET parent_id = CASE id WHEN 1 THEN 2 ELSE 3 END WHERE id IN (1, 3);
         UPDATE deskguard.department SET parent_id = 1 WHERE id = 3",
    ] {
        assert!(first.batch_execute(sql).is_err(), "{sql}");
    }
    }
}

#[test]
fn two_sessions_cannot_make_a_role_an_agent_and_trusted() {
    let database = help_desk(PLAIN);
    let trust = format!("INSERT INTO deskguard.trusted_role VALUES ('{STRANGER}')");
    let map =
        format!("INSERT INTO deskguard.agent (id, name, db_role) VALUES (99, 'x', '{STRANGER}')");
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        for (one, other) in [(&trust, &map), (&map, &trust)] {
            let begin = format!("BEGIN ISOLATION LEVEL {isolation}; SELECT 1");
            let (mut first, mut second) = (database.superuser(), database.superuser());
            // With snapshots that do not see each other.
            second.batch_execute(&begin).unwrap();
            first.batch_execute(&begin).unwrap();
            first.batch_execute(one).unwrap();
            let other = other.clone();
            let attempt = std::thread::spawn(move || {
                let outcome = second.batch_execute(&other);
                outcome.map_err(|error| error.code().cloned())
            });
            // Until the second waits, or has failed to.
            let waits = "SELECT FROM pg_locks WHERE locktype = 'object' AND NOT granted";
            let mut watch = database.superuser();
            while !attempt.is_finished() && watch.query(waits, &[]).unwrap().is_empty() {
                std::thread::sleep(Duration::from_millis(10));
            }
            first.batch_execute("COMMIT").unwrap();
            let refused = Some(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
            assert_eq!(attempt.join().unwrap(), Err(refused), "{isolation}: {one}");
            first
                .batch_execute(&format!(
                    "DELETE FROM deskguard.agent WHERE id = 99;
                     DELETE FROM deskguard.trusted_role WHERE role_name = '{STRANGER}'"
                ))
                .unwrap();
        }
    }
}

// ---- ways around ----

#[test]
fn views_show_the_rows_of_who_asks() {
    for database in both_ways(PLAIN) {
        database
            .connect(OWNER)
            .batch_execute(&format!(
                "CREATE VIEW desk.of_owner AS {SELECT};
             CREATE VIEW desk.barrier WITH (security_barrier) AS {SELECT};
             CREATE VIEW desk.of_invoker WITH (security_invoker) AS {SELECT};
             GRANT SELECT ON desk.of_owner, desk.barrier, desk.of_invoker TO PUBLIC"
            ))
            .unwrap();
        for view in ["of_owner", "barrier", "of_invoker"] {
            let sql = format!("SELECT id FROM desk.{view} ORDER BY id");
            assert_eq!(ids(&mut app(&database, ANN), &sql), SEEN_BY_ANN, "{view}");
            assert_eq!(ids(&mut app(&database, BOB), &sql), SEEN_BY_BOB, "{view}");
            assert_eq!(
                ids(&mut database.connect(MAPPED[0]), &sql),
                SEEN_BY_CID,
                "{view}"
            );
            assert_eq!(
                ids(&mut database.connect(STRANGER), &sql),
                NOTHING,
                "{view}"
            );
            assert_eq!(ids(&mut database.connect(APP), &sql), NOTHING, "{view}");
        }
    }
}

#[test]
fn parallel_workers_know_the_agent() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        superuser
        .batch_execute(
            "INSERT INTO desk.ticket (id, department_id, category_id, assignee_id, team_id)
             SELECT 1000 + n, nullif(n % 4, 0), nullif(n % 3, 0), nullif(n % 5, 0), nullif(n % 7 / 6, 0)
             FROM generate_series(1, 4000) AS n;
             INSERT INTO desk.follower SELECT 1000 + n, n % 3 + 1 FROM generate_series(1, 4000, 9) AS n;
             ANALYZE desk.ticket",
        )
        .unwrap();
        for (agent, role) in [
            (Some(ANN), APP),
            (Some(BOB), APP),
            (None, MAPPED[0]),
            (None, APP),
        ] {
            let mut client = database.connect(role);
            if let Some(agent) = agent {
                act_for(&mut client, agent);
            }
            let serial = seen(&mut client);
            always_parallel(&mut client);
            let plan = client.query(&format!("EXPLAIN {SELECT}"), &[]).unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
            assert!(
                serial.is_empty() || plan.iter().any(|line| line.contains("Gather")),
                "not a parallel plan: {plan:?}"
            );
            for _ in 0..3 {
                assert_eq!(seen(&mut client), serial, "agent {agent:?}");
            }
            let counted: i64 = client
                .query_one("SELECT count(*) FROM desk.ticket", &[])
                .unwrap()
                .get(0);
            assert_eq!(counted as usize, serial.len(), "agent {agent:?}");
            if agent == Some(ANN) {
                assert!(serial.len() > 100);
                // A switch inside of a transaction reaches the workers.
                client
                    .batch_execute("BEGIN; SELECT deskguard.set_agent(2)")
                    .unwrap();
                let as_bob = seen(&mut client);
                client.batch_execute("COMMIT").unwrap();
                assert_eq!(as_bob, seen(&mut app(&database, BOB)));
                assert_eq!(seen(&mut client), serial);
            }
        }
    }
}

/// Plans for parallel workers from now on, however little they gain.
fn always_parallel(client: &mut Client) {
    let row = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .unwrap();
    let force = if row.get::<_, i32>(0) >= 160_000 {
        "debug_parallel_query"
    } else {
        "force_parallel_mode"
    };
    client
        .batch_execute(&format!(
            "SET {force} = on; SET max_parallel_workers_per_gather = 3;
             SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0;
             SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;"
        ))
        .unwrap();
}

#[test]
fn parallel_workers_act_for_whom_the_statement_was_bound() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        superuser
            .batch_execute(
                "INSERT INTO desk.ticket (id, department_id, category_id)
                 SELECT 1000 + n, n % 4, n % 3 FROM generate_series(1, 4000) AS n;
                 INSERT INTO desk.follower SELECT 1000 + n, n % 3 + 1 FROM generate_series(1, 4000, 9) AS n;
                 UPDATE deskguard.agent SET db_role = 'Deskguard \"Test\" Röle' WHERE id = 1;
                 ANALYZE desk.ticket",
            )
            .unwrap();
        let [cid, ann] = MAPPED.map(ident);
        for limit in [0, 300] {
            let mut client = database.connect(APP);
            let set = format!("SET deskguard.fold_limit = {limit}; SET ROLE {cid}");
            client.batch_execute(&set).unwrap();
            always_parallel(&mut client);
            let of_cid = seen(&mut client);
            assert!(of_cid.len() > 100);
            // Its rights change while the statement waits, and so does the user: it goes on as it began.
            let mut transaction = client.transaction().unwrap();
            let statement = transaction.prepare(SELECT).unwrap();
            let portal = transaction.bind(&statement, &[]).unwrap();
            transaction
                .batch_execute(&format!("SET ROLE {ann}"))
                .unwrap();
            let rows = transaction.query_portal(&portal, 0).unwrap();
            let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(found, of_cid);
            transaction.commit().unwrap();

            // Workers that find other rights than their leader's refuse. The leader reads no rows itself.
            let set = format!("SET parallel_leader_participation = off; SET ROLE {cid}");
            client.batch_execute(&set).unwrap();
            let mut transaction = client.transaction().unwrap();
            let statement = transaction.prepare(SELECT).unwrap();
            let portal = transaction.bind(&statement, &[]).unwrap();
            superuser
                .batch_execute("INSERT INTO deskguard.agent_department VALUES (3, 2, 'full')")
                .unwrap();
            let by_new_rights = seen(&mut database.connect(MAPPED[0]));
            assert!(by_new_rights.len() > of_cid.len());
            match transaction.query_portal(&portal, 0) {
                // As when no worker was to be had.
                Ok(rows) => assert_eq!(rows.len(), of_cid.len()),
                refused => assert_eq!(code(refused), SqlState::T_R_SERIALIZATION_FAILURE),
            }
            drop(transaction);
            superuser
                .batch_execute("DELETE FROM deskguard.agent_department WHERE (agent_id, department_id) = (3, 2)")
                .unwrap();
        }
    }
}

#[test]
fn policies_of_the_user_narrow_and_never_widen() {
    for database in both_ways(PLAIN) {
        let mut owner = database.connect(OWNER);
        owner
            .batch_execute(
                "CREATE POLICY wide ON desk.ticket USING (true) WITH CHECK (true);
             CREATE POLICY wide ON desk.follower USING (true) WITH CHECK (true)",
            )
            .unwrap();
        let mut ann = app(&database, ANN);
        assert_eq!(seen(&mut ann), SEEN_BY_ANN);
        assert_eq!(seen(&mut database.connect(STRANGER)), NOTHING);
        let refused = code(ann.execute(
            "INSERT INTO desk.ticket (id, department_id) VALUES (50, 3)",
            &[],
        ));
        assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
        let refused = code(ann.execute("INSERT INTO desk.follower VALUES (3, 1)", &[]));
        assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE);
        let changed = ann.execute("UPDATE desk.ticket SET subject = 'x'", &[]);
        assert_eq!(changed.unwrap(), SEEN_BY_ANN.len() as u64);
        assert_eq!(ann.execute("DELETE FROM desk.ticket", &[]).unwrap(), 0);

        owner
            .batch_execute("CREATE POLICY tenant ON desk.ticket AS RESTRICTIVE USING (id <> 5)")
            .unwrap();
        assert_eq!(seen(&mut ann), [1, 2, 6]);
        assert_eq!(seen(&mut app(&database, MAX)), [1, 2, 3, 4, 6, 7, 8]);
        owner
            .batch_execute("DROP POLICY tenant ON desk.ticket")
            .unwrap();
        assert_eq!(seen(&mut ann), SEEN_BY_ANN);
    }
}

#[test]
fn partitions_are_as_tight_as_their_parent() {
    for database in both_ways(PARTITIONED) {
        let roles = format!("{APP}, {STRANGER}");
        let mut owner = database.connect(OWNER);
        let network = "SELECT id FROM desk.ticket_network ORDER BY id";
        let rest = "SELECT id FROM desk.ticket_rest ORDER BY id";
        let mut ann = app(&database, ANN);
        let mut stranger = database.connect(STRANGER);
        assert_eq!(ids(&mut ann, network), [1, 2]);
        assert_eq!(ids(&mut ann, rest), [5, 6]);
        assert_eq!(ids(&mut stranger, network), NOTHING);
        // Into a partition as into its parent.
        let insert =
            "INSERT INTO desk.ticket_rest (id, department_id, category_id) VALUES (50, 3, 2)";
        assert_eq!(
            code(ann.execute(insert, &[])),
            SqlState::INSUFFICIENT_PRIVILEGE
        );
        assert_eq!(
            ann.execute("DELETE FROM desk.ticket_network", &[]).unwrap(),
            0
        );
        assert_eq!(
            stranger
                .execute("UPDATE desk.ticket_rest SET subject = 'x'", &[])
                .unwrap(),
            0
        );

        // Partitions of all kinds that come later.
        owner
        .batch_execute(&format!(
            "CREATE TABLE desk.later PARTITION OF desk.ticket FOR VALUES IN (4);
             CREATE TABLE desk.attached (subject text NOT NULL DEFAULT '', id bigint NOT NULL,
                 team_id bigint, assignee_id bigint, category_id bigint, department_id bigint);
             INSERT INTO desk.attached (id, department_id, category_id) VALUES (61, 1, 5), (62, 3, 5);
             ALTER TABLE desk.ticket ATTACH PARTITION desk.attached FOR VALUES IN (5);
             CREATE TABLE desk.branch PARTITION OF desk.ticket FOR VALUES IN (6)
                 PARTITION BY LIST (department_id);
             CREATE TABLE desk.leaf PARTITION OF desk.branch DEFAULT;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO {roles}"
        ))
        .unwrap();
        database
            .superuser()
            .batch_execute(
                "INSERT INTO desk.ticket (id, department_id, category_id) VALUES
                 (71, 1, 4), (72, 3, 4), (81, 1, 6), (82, 3, 6)",
            )
            .unwrap();
        for (table, of_ann) in [
            ("later", vec![71]),
            ("attached", vec![61]),
            ("branch", vec![81]),
            ("leaf", vec![81]),
            ("ticket", vec![1, 2, 5, 6, 61, 71, 81]),
        ] {
            let sql = format!("SELECT id FROM desk.{table} ORDER BY id");
            assert_eq!(ids(&mut ann, &sql), of_ann, "{table}");
            assert_eq!(ids(&mut stranger, &sql), NOTHING, "{table}");
            assert_eq!(ids(&mut owner, &sql), NOTHING, "{table}");
            let delete = format!("DELETE FROM desk.{table}");
            assert_eq!(ann.execute(&delete, &[]).unwrap(), 0, "{delete}");
        }

        // One that is taken out again is not open to everybody by that.
        owner
            .batch_execute("ALTER TABLE desk.ticket DETACH PARTITION desk.later")
            .unwrap();
        assert_eq!(ids(&mut stranger, "SELECT id FROM desk.later"), NOTHING);
    }
}

#[test]
fn children_by_inheritance_are_as_tight_as_their_parent() {
    for database in both_ways(PLAIN) {
        database
            .connect(OWNER)
            .batch_execute(&format!(
                "CREATE TABLE desk.child (note text) INHERITS (desk.ticket);
             CREATE TABLE desk.adopted (LIKE desk.ticket INCLUDING DEFAULTS);
             ALTER TABLE desk.adopted INHERIT desk.ticket;
             GRANT SELECT ON desk.child, desk.adopted TO {APP}, {STRANGER}"
            ))
            .unwrap();
        database
            .superuser()
            .batch_execute(
                "INSERT INTO desk.child (id, department_id) VALUES (91, 1), (92, 3);
             INSERT INTO desk.adopted (id, department_id) VALUES (93, 1), (94, 3)",
            )
            .unwrap();
        let mut ann = app(&database, ANN);
        let mut stranger = database.connect(STRANGER);
        for (table, of_ann) in [("child", vec![91]), ("adopted", vec![93])] {
            let sql = format!("SELECT id FROM desk.{table}");
            assert_eq!(ids(&mut ann, &sql), of_ann, "{table}");
            assert_eq!(ids(&mut stranger, &sql), NOTHING, "{table}");
        }
        assert_eq!(seen(&mut ann), [1, 2, 5, 6, 91, 93]);
    }
}

#[test]
fn copy() {
    for database in both_ways(PLAIN) {
        for (agent, rows) in [
            (ANN, &SEEN_BY_ANN[..]),
            (BOB, &SEEN_BY_BOB),
            (EVE, &NOTHING),
        ] {
            let mut client = app(&database, agent);
            for sql in [
                "COPY (SELECT id FROM desk.ticket ORDER BY id) TO STDOUT",
                "COPY desk.ticket (id) TO STDOUT",
            ] {
                let mut text = String::new();
                client
                    .copy_out(sql)
                    .unwrap()
                    .read_to_string(&mut text)
                    .unwrap();
                let found: BTreeSet<i64> = text.lines().map(|line| line.parse().unwrap()).collect();
                assert_eq!(found, rows.iter().copied().collect(), "{sql}");
            }
            for table in ["desk.ticket (id, department_id)", "desk.follower"] {
                // The driver's copy_in does not report an error of this moment.
                let refused = client.batch_execute(&format!("COPY {table} FROM STDIN"));
                assert_eq!(code(refused), SqlState::FEATURE_NOT_SUPPORTED, "{table}");
            }
        }
        assert_eq!(contents(&database).len(), SEEN_BY_MAX.len());
    }
}

#[test]
fn commands_that_join_or_merge_change_no_more() {
    for database in both_ways(PLAIN) {
        let mut ann = app(&database, ANN);
        let unchanged = contents(&database);
        let all = "(SELECT generate_series(1, 8) AS id) v";

        // Modifies everything that she sees; deletes nothing.
        for (sql, rows) in [
        (format!("UPDATE desk.ticket t SET subject = 'x' FROM {all} WHERE t.id = v.id"), 4),
        (format!("DELETE FROM desk.ticket t USING {all} WHERE t.id = v.id"), 0),
        ("WITH gone AS (DELETE FROM desk.ticket RETURNING id) SELECT id FROM gone".into(), 0),
        ("WITH changed AS (UPDATE desk.ticket SET subject = 'x' RETURNING id) SELECT id FROM changed".into(), 4),
        (
            format!(
                "MERGE INTO desk.ticket t USING {all} ON t.id = v.id \
                 WHEN MATCHED THEN UPDATE SET subject = 'x'"
            ),
            4,
        ),
        ("SELECT id FROM desk.ticket FOR UPDATE".into(), 4),
        (
            "INSERT INTO desk.ticket (id, department_id) VALUES (1, 1) \
             ON CONFLICT (id) DO UPDATE SET subject = 'x'"
                .into(),
            1,
        ),
        // What she cannot see is neither changed nor told apart further.
        (
            "INSERT INTO desk.ticket (id, department_id) VALUES (3, 1) ON CONFLICT (id) DO NOTHING".into(),
            0,
        ),
    ] {
        let mut transaction = ann.transaction().unwrap();
        let changed = transaction.execute(&sql, &[]);
        assert_eq!(changed.map_err(|e| format!("{e:?}")), Ok(rows), "{sql}");
    }
        for sql in [
            "INSERT INTO desk.ticket (id, department_id) VALUES (3, 1) \
         ON CONFLICT (id) DO UPDATE SET subject = 'x'",
            "INSERT INTO desk.ticket (id, department_id) VALUES (3, 1) \
         ON CONFLICT (id) DO UPDATE SET department_id = 1 RETURNING id",
            "MERGE INTO desk.ticket t USING (SELECT 1 AS id) v ON t.id = v.id WHEN MATCHED THEN DELETE",
            "MERGE INTO desk.ticket t USING (SELECT 50 AS id) v ON t.id = v.id \
         WHEN NOT MATCHED THEN INSERT (id, department_id) VALUES (50, 3)",
            "WITH made AS (INSERT INTO desk.ticket (id, department_id) VALUES (50, 3) RETURNING id) \
         SELECT * FROM made",
            "INSERT INTO desk.ticket (id, department_id) SELECT 50 + n, n FROM generate_series(1, 3) n",
        ] {
            let refused = code(ann.execute(sql, &[]));
            assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        }
        assert_eq!(contents(&database), unchanged);

        // Nobody may do any of it.
        let mut nobody = database.connect(APP);
        for sql in [
            "UPDATE desk.ticket SET subject = 'x'",
            "DELETE FROM desk.ticket",
            "DELETE FROM desk.follower",
            "MERGE INTO desk.ticket t USING (SELECT 1 AS id) v ON t.id = v.id WHEN MATCHED THEN DELETE",
            "INSERT INTO desk.ticket (id, department_id) VALUES (1, 1) ON CONFLICT (id) DO NOTHING",
        ] {
            match nobody.execute(sql, &[]) {
                Ok(rows) => assert_eq!(rows, 0, "{sql}"),
                Err(error) => assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE)),
            }
        }
        assert_eq!(contents(&database), unchanged);
    }
}

/// A function that tells what it is given runs after the policies, however cheap it says it is.
#[test]
fn a_function_in_the_query_is_given_visible_rows_only() {
    for database in both_ways(PLAIN) {
        database
            .superuser()
            .batch_execute(
                "CREATE FUNCTION desk.tell(bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
             'BEGIN RAISE WARNING ''%'', $1; RETURN true; END'",
            )
            .unwrap();
        let (mut client, notices) = database.connect_and_listen(MAPPED[0]);
        for sql in [
        "SELECT id FROM desk.ticket WHERE desk.tell(id) ORDER BY id",
        "SELECT t.id FROM desk.ticket t JOIN desk.ticket u ON desk.tell(t.id + 0 * u.id) AND t.id = u.id
         ORDER BY 1",
        "UPDATE desk.ticket SET subject = '' WHERE desk.tell(id) RETURNING id",
    ] {
        let mut found = ids(&mut client, sql);
        found.sort();
        assert_eq!(found, SEEN_BY_CID, "{sql}");
        let told = notices.take();
        assert!(!told.is_empty());
        let seen = SEEN_BY_CID.map(|id| format!("WARNING: {id}"));
        assert!(told.iter().all(|line| seen.contains(line)), "{sql}: {told:?}");
    }
    }
}

#[test]
fn an_ordinary_role_has_no_other_privileges() {
    for database in both_ways(PLAIN) {
        let mut max = app(&database, MAX);
        for sql in [
            "TRUNCATE desk.ticket",
            "ALTER TABLE desk.ticket DISABLE ROW LEVEL SECURITY",
            "DROP POLICY deskguard_view ON desk.ticket",
            "SELECT deskguard.unprotect('desk.ticket')",
            "SELECT deskguard.protect_tickets('desk.ticket', team_column => 'team_id')",
            "SELECT * FROM deskguard.agent",
            "SELECT * FROM deskguard.protected_table",
            "INSERT INTO deskguard.agent_permission VALUES (9, 'ticket.use')",
            "INSERT INTO deskguard.trusted_role VALUES ('deskguard_test_stranger')",
            "SET row_security = off; SELECT * FROM desk.ticket",
        ] {
            let refused = code(max.batch_execute(sql));
            assert_eq!(refused, SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
        }
        max.batch_execute("RESET row_security").unwrap();
        assert_eq!(seen(&mut max), SEEN_BY_MAX);
    }
}

#[test]
fn a_hand_over_to_where_one_cannot_see() {
    for database in both_ways(PLAIN) {
        database
            .superuser()
            .batch_execute(
                "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 3, 'assign');
                 INSERT INTO deskguard.department (id, name) VALUES (12, 'Board')",
            )
            .unwrap();
        let mut ann = app(&database, ANN);
        let by_key =
            "UPDATE desk.ticket SET department_id = $2 WHERE id = $1 RETURNING id, department_id";
        let by_key = ann.prepare(by_key).unwrap();
        let mut hand_over = |ticket: i64, department: i64| {
            let rows = ann.query(&by_key, &[&ticket, &department])?;
            Ok::<_, postgres::Error>(rows.len())
        };
        // Ticket 4 is somebody else's, 4000 nobody's; department 12 is none of hers.
        assert_eq!(hand_over(4, 1).unwrap(), 0);
        assert_eq!(hand_over(4000, 1).unwrap(), 0);
        let foreign = hand_over(2, 12);
        assert_eq!(code(foreign), SqlState::INSUFFICIENT_PRIVILEGE);
        assert_eq!(hand_over(1, 3).unwrap(), 1);
        assert_eq!(seen(&mut ann), [2, 5, 6]);
        assert_eq!(seen(&mut app(&database, CID)), [1, 3, 4, 7]);
        let version = "SELECT current_setting('server_version_num')::int";
        if ann.query_one(version, &[]).unwrap().get::<_, i32>(0) >= 170_000 {
            let mut by_merge = |ticket: i64, department: i64| {
                let sql = "MERGE INTO desk.ticket AS t USING (SELECT $1::bigint AS id) AS given ON t.id = given.id
                           WHEN MATCHED THEN UPDATE SET department_id = $2
                           RETURNING merge_action(), t.id, t.department_id";
                let rows = ann.query(sql, &[&ticket, &department])?;
                Ok::<_, postgres::Error>(rows.len())
            };
            assert_eq!(by_merge(4, 1).unwrap(), 0);
            assert_eq!(code(by_merge(6, 12)), SqlState::INSUFFICIENT_PRIVILEGE);
            assert_eq!(by_merge(6, 3).unwrap(), 1);
            assert_eq!(seen(&mut ann), [2, 5]);
        }
        // A statement of nobody.
        let nobody = "UPDATE desk.ticket SET department_id = 3 WHERE id = 2";
        assert_eq!(database.connect(APP).execute(nobody, &[]).unwrap(), 0);
    }
}

/// Nothing else sees what was handed over: not functions and triggers within the command, not what
/// follows in the transaction, nor another cursor; and a rollback brings it back.
#[test]
fn a_hand_over_opens_nothing_else() {
    let database = help_desk(PLAIN);
    let mut owner = database.connect(OWNER);
    owner
        .batch_execute(
            "CREATE FUNCTION desk.count_of(number bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS
                 $$ BEGIN RETURN (SELECT count(*) FROM desk.ticket WHERE id = number); END $$;
             CREATE FUNCTION desk.tell() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE NOTICE USING MESSAGE = format('%s sees %s', TG_WHEN, desk.count_of(NEW.id)); RETURN NEW; END $$;
             CREATE TRIGGER a_first BEFORE UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION desk.tell();
             CREATE TRIGGER z_last BEFORE UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION desk.tell();
             CREATE TRIGGER later AFTER UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION desk.tell()",
        )
        .unwrap();
    let mut superuser = database.superuser();
    superuser
        .batch_execute("INSERT INTO deskguard.agent_department VALUES (1, 3, 'assign')")
        .unwrap();
    let (mut ann, notices) = database.connect_and_listen(APP);
    act_for(&mut ann, ANN);
    ann.batch_execute(
        "BEGIN; DECLARE before CURSOR FOR SELECT id FROM desk.ticket ORDER BY id; SAVEPOINT a",
    )
    .unwrap();
    let sql = "UPDATE desk.ticket SET department_id = 3 WHERE id = 1 \
               RETURNING desk.count_of(id), (SELECT count(*) FROM desk.ticket AS o WHERE o.id = 1)";
    let row = ann.query_one(sql, &[]).unwrap();
    // The sub-select sees the ticket as it was before.
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 1));
    assert_eq!(
        notices.take(),
        [
            "NOTICE: BEFORE sees 1",
            "NOTICE: BEFORE sees 1",
            "NOTICE: AFTER sees 0"
        ]
    );
    assert_eq!(seen(&mut ann), [2, 5, 6]);
    assert_eq!(
        ann.execute("DELETE FROM desk.ticket WHERE id = 1", &[])
            .unwrap(),
        0
    );
    let back = "UPDATE desk.ticket SET department_id = 1 WHERE id = 1";
    assert_eq!(ann.execute(back, &[]).unwrap(), 0);
    ann.batch_execute("DECLARE after CURSOR FOR SELECT id FROM desk.ticket ORDER BY id")
        .unwrap();
    assert_eq!(ids(&mut ann, "FETCH ALL FROM after"), [2, 5, 6]);
    assert_eq!(ids(&mut ann, "FETCH ALL FROM before"), [1, 2, 5, 6]);
    ann.batch_execute("ROLLBACK TO a").unwrap();
    assert_eq!(seen(&mut ann), [1, 2, 5, 6]);
    ann.batch_execute("COMMIT").unwrap();
}

#[test]
fn following_grants_sight_and_nothing_more() {
    for database in both_ways(PLAIN) {
        let mut ann = app(&database, ANN);
        let mut bob = app(&database, BOB);
        let follow = |ticket: i64, agent: i64| {
            format!("INSERT INTO desk.follower VALUES ({ticket}, {agent})")
        };
        // Bob cannot make himself see what he cannot see, nor can Ann show him past his silo.
        assert_eq!(
            code(bob.execute(&follow(1, BOB), &[])),
            SqlState::INSUFFICIENT_PRIVILEGE
        );
        assert_eq!(ann.execute(&follow(1, BOB), &[]).unwrap(), 1);
        assert_eq!(ann.execute(&follow(5, BOB), &[]).unwrap(), 1);
        assert_eq!(seen(&mut bob), [1, 3]);
        assert_eq!(ids(&mut bob, "SELECT ticket_id FROM desk.follower"), [1]);
        // Followed, and not his own: he may modify unassigned tickets.
        assert_eq!(bob.execute(&follow(1, DEE), &[]).unwrap(), 1);
        assert_eq!(seen(&mut app(&database, DEE)), [1, 7]);
        // Dee sees it and may take only herself out.
        let mut dee = app(&database, DEE);
        let others = dee.execute("DELETE FROM desk.follower WHERE agent_id = 2", &[]);
        assert_eq!(others.unwrap(), 0);
        assert_eq!(
            dee.execute("UPDATE desk.follower SET agent_id = 4", &[])
                .unwrap(),
            0
        );
        assert_eq!(
            dee.execute("UPDATE desk.ticket SET subject = 'x'", &[])
                .unwrap(),
            0
        );
        assert_eq!(dee.execute("DELETE FROM desk.follower", &[]).unwrap(), 1);
        assert_eq!(seen(&mut dee), SEEN_BY_DEE);
    }
}

#[test]
fn errors_name_what_is_valid() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        for (sql, named) in [
            ("SELECT deskguard.agent_can(1, 'look', 1)", "edit_messages"),
            (
                "SELECT deskguard.explain_access(1, 1, 'look')",
                "edit_messages",
            ),
            (
                "SELECT * FROM deskguard.agents_who_can('look', 1)",
                "edit_messages",
            ),
            (
                "SELECT deskguard.agent_has_permission(1, 'ticket.look')",
                "ticket.use",
            ),
            (
                "SELECT deskguard.agent_can_view(1, 1, 'desk.follower')",
                "desk.ticket",
            ),
        ] {
            let error = superuser.execute(sql, &[]).unwrap_err();
            let error = error.as_db_error().unwrap();
            let text = format!(
                "{} {} {}",
                error.message(),
                error.detail().unwrap_or_default(),
                error.hint().unwrap_or_default()
            );
            assert!(text.contains(named), "{sql}: {text}");
        }
        // Two protected tables: which one?
        superuser
            .batch_execute("SELECT deskguard.create_help_desk('second')")
            .unwrap();
        let error = superuser
            .execute("SELECT deskguard.agent_can_view(1, 1)", &[])
            .unwrap_err();
        let error = format!("{error:?}");
        assert!(
            error.contains("desk.ticket") && error.contains("second.ticket"),
            "{error}"
        );
        let sql = "SELECT deskguard.agent_can_view(1, 1, 'desk.ticket')";
        assert!(superuser.query_one(sql, &[]).unwrap().get::<_, bool>(0));
    }
}

// ---- rows of others, at the same moment ----

/// Waits until a session waits for a lock that another one holds.
fn until_somebody_waits(superuser: &mut Client) {
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    for _ in 0..600 {
        if superuser.query_one(waiting, &[]).unwrap().get::<_, i64>(0) > 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("nobody waits");
}

#[test]
fn a_message_that_was_waited_for_belongs_to_its_ticket_as_it_is_then() {
    for database in both_ways(PLAIN) {
        let mut superuser = database.superuser();
        superuser
            .batch_execute(&format!(
                "SET ROLE {OWNER};
                 CREATE TABLE desk.message (id bigint PRIMARY KEY,
                     ticket_id bigint NOT NULL REFERENCES desk.ticket, body text NOT NULL DEFAULT '');
                 GRANT SELECT, INSERT, UPDATE, DELETE ON desk.message TO {APP};
                 SELECT deskguard.protect_messages('desk.message', 'desk.ticket');
                 RESET ROLE;
                 INSERT INTO desk.message SELECT id, id FROM desk.ticket;
                 INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES
                     (1, 'ticket.edit_messages.own'), (1, 'ticket.edit_messages.unassigned')"
            ))
            .unwrap();
        for (policy, sql) in [
            ("", "SELECT id FROM desk.message ORDER BY id FOR UPDATE"),
            (
                "",
                "SELECT id FROM desk.message WHERE ticket_id = 1 OR ticket_id = 2 FOR UPDATE",
            ),
            (
                "",
                "UPDATE desk.message SET body = body || '!' WHERE ticket_id IN (1, 2) RETURNING id",
            ),
            (
                "",
                "DELETE FROM desk.message WHERE ticket_id IN (1, 2) RETURNING id",
            ),
            (
                "CREATE POLICY own ON desk.ticket AS RESTRICTIVE USING (department_id < 3)",
                "SELECT id FROM desk.message WHERE ticket_id IN (1, 2) FOR UPDATE",
            ),
        ] {
            superuser.batch_execute(policy).unwrap();
            // Hides ticket 1 and writes to it, and ticket 2 stays.
            let mut other = database.superuser();
            let mut writes = other.transaction().unwrap();
            writes
                .batch_execute(
                    "UPDATE desk.ticket SET department_id = 3 WHERE id = 1;
                     UPDATE desk.message SET body = 'secret' WHERE id = 1;
                     UPDATE desk.message SET body = 'known' WHERE id = 2",
                )
                .unwrap();
            let mut ann = app(&database, ANN);
            let attempt = std::thread::spawn(move || {
                let mut tried = ann.transaction().unwrap();
                let rows = tried.query(sql, &[]).unwrap();
                let found: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
                tried.rollback().unwrap();
                found
            });
            until_somebody_waits(&mut superuser);
            writes.commit().unwrap();
            let found = attempt.join().unwrap();
            assert!(
                found.contains(&2) && !found.contains(&1),
                "{sql}: {found:?}"
            );
            superuser
                .batch_execute("UPDATE desk.ticket SET department_id = 1 WHERE id = 1")
                .unwrap();
        }
    }
}

#[test]
fn an_id_is_taken_also_if_ones_snapshot_is_older() {
    for database in both_ways(PARTITIONED) {
        let mut superuser = database.superuser();
        let mut ann = app(&database, ANN);
        let mut writes = ann
            .build_transaction()
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .start()
            .unwrap();
        writes.query(SELECT, &[]).unwrap();
        // In another partition than ann's will be.
        superuser
            .batch_execute(
                "INSERT INTO desk.ticket (id, department_id, category_id) VALUES (100, 3, 2);
                 INSERT INTO desk.follower VALUES (101, 3)",
            )
            .unwrap();
        for (id, is_taken) in [(100i64, true), (101, true), (102, false)] {
            let mut one = writes.transaction().unwrap();
            let insert =
                "INSERT INTO desk.ticket (id, department_id, category_id) VALUES ($1, 1, 1)";
            let outcome = one.execute(insert, &[&id]);
            if is_taken {
                let state = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
                assert_eq!(code(outcome), state, "{id}");
            } else {
                assert_eq!(outcome.unwrap(), 1);
            }
            one.rollback().unwrap();
        }
    }
}
