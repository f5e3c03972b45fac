//! The protection stays whole while others change tables at the same time, and in restores.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use deskguard_tests::lab::{app, code, value, wait_until};
use deskguard_tests::server::{Database, OWNER};
use postgres::Client;
use postgres::error::SqlState;

/// Tickets in two departments, of which agent 1 has one; partitioned by them.
fn desk(label: &str) -> Database {
    let database = Database::with_deskguard(label);
    database
        .superuser()
        .batch_execute(&format!(
            "GRANT CREATE ON DATABASE {} TO {OWNER};
             INSERT INTO deskguard.department (id, name) VALUES (1, 'Support'), (2, 'Sales');
             INSERT INTO deskguard.agent (id, name, category_access) VALUES (1, 'Ann', 'open');
             INSERT INTO deskguard.agent_permission (agent_id, permission)
             SELECT 1, unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned']);
             INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 1, 'full');
             SET ROLE {OWNER};
             CREATE SCHEMA desk;
             GRANT USAGE ON SCHEMA desk TO PUBLIC;
             ALTER DEFAULT PRIVILEGES IN SCHEMA desk GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
             CREATE TABLE desk.ticket (id int, dep int, PRIMARY KEY (id, dep)) PARTITION BY LIST (dep);
             CREATE TABLE desk.support PARTITION OF desk.ticket FOR VALUES IN (1);
             INSERT INTO desk.ticket VALUES (1, 1);",
            database.name()
        ))
        .unwrap();
    database
}

/// The agent.
const ANN: i64 = 1;

const PROTECT: &str = "SELECT deskguard.protect_tickets('desk.ticket', department_column => 'dep')";
const PARTITION: &str = "CREATE TABLE desk.sales PARTITION OF desk.ticket FOR VALUES IN (2)";
const SALES: &str = "CREATE TABLE desk.sales PARTITION OF desk.ticket FOR VALUES IN (2);
                     INSERT INTO desk.sales VALUES (2, 2)";

fn count(client: &mut Client, from: &str) -> i64 {
    value(client, &format!("SELECT count(*) FROM {from}"))
}

/// As the owner, who sees no tickets but may write a partition that nobody protects yet.
fn begin_with_a_snapshot(database: &Database) -> Client {
    let mut client = database.superuser();
    client
        .batch_execute(&format!(
            "SET ROLE {OWNER}; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class"
        ))
        .unwrap();
    client
}

#[test]
fn a_partition_of_a_transaction_that_does_not_see_the_protection_is_protected() {
    let database = desk("old_partition");
    let mut old = begin_with_a_snapshot(&database);
    database.connect(OWNER).batch_execute(PROTECT).unwrap();
    old.batch_execute("CREATE TABLE desk.sales PARTITION OF desk.ticket FOR VALUES IN (2)")
        .unwrap();
    old.batch_execute("COMMIT; RESET ROLE; INSERT INTO desk.sales VALUES (2, 2)")
        .unwrap();
    let mut ann = app(&database, ANN);
    assert_eq!(count(&mut ann, "desk.ticket"), 1);
    assert_eq!(count(&mut ann, "desk.sales"), 0);
    assert_eq!(
        count(
            &mut old,
            "pg_policy WHERE polrelid = 'desk.sales'::regclass"
        ),
        5
    );
}

#[test]
fn a_transaction_that_does_not_see_a_partition_protects_it() {
    let database = desk("new_partition");
    let mut old = begin_with_a_snapshot(&database);
    database.connect(OWNER).batch_execute(SALES).unwrap();
    old.batch_execute(PROTECT).unwrap();
    old.batch_execute("COMMIT").unwrap();
    let mut ann = app(&database, ANN);
    assert_eq!(count(&mut ann, "desk.sales"), 0);
    assert_eq!(count(&mut ann, "desk.support"), 1);
    // And one that does not see the protection does not take half of it away.
    for change in [
        "SELECT deskguard.unprotect('desk.ticket')",
        "ALTER TABLE desk.ticket RENAME dep TO department",
        "DROP TABLE desk.ticket",
    ] {
        let mut old = begin_with_a_snapshot(&database);
        database.connect(OWNER).batch_execute(PROTECT).unwrap();
        let refused = code(old.batch_execute(change));
        assert_eq!(refused, SqlState::T_R_SERIALIZATION_FAILURE, "{change}");
    }
}

#[test]
fn other_sessions_follow_a_rename_at_once() {
    let database = desk("renamed");
    let mut owner = database.connect(OWNER);
    owner
        .batch_execute(&format!(
            "{SALES};
             CREATE TABLE desk.message (id int PRIMARY KEY, ticket int);
             INSERT INTO desk.message VALUES (1, 1), (2, 2);
             {PROTECT};
             SELECT deskguard.protect_messages('desk.message', 'desk.ticket', 'ticket')"
        ))
        .unwrap();
    let mut ann = app(&database, ANN);
    let seen = "desk.message";
    assert_eq!(count(&mut ann, seen), 1);
    for change in [
        "ALTER VIEW desk.ticket RENAME COLUMN dep TO department",
        "ALTER INDEX desk.ticket RENAME TO ticket_2025; CREATE TABLE desk.ticket (id int PRIMARY KEY, department int)",
        "ALTER SCHEMA desk RENAME TO desk_2025; CREATE SCHEMA desk;
         CREATE TABLE desk.ticket_2025 AS SELECT 2 AS id, 1 AS department",
    ] {
        owner.batch_execute(change).unwrap();
        let seen = match change.contains("SCHEMA") {
            true => "desk_2025.message",
            false => seen,
        };
        assert_eq!(count(&mut ann, seen), 1, "{change}");
    }
}

#[test]
fn protecting_again_waits_for_queries_and_is_no_deadlock() {
    let database = desk("locks");
    let mut owner = database.connect(OWNER);
    let protect = format!(
        "{}, follower_table => 'desk.follower', follower_ticket_column => 'ticket', follower_agent_column => 'agent')",
        PROTECT.trim_end_matches(')')
    );
    owner
        .batch_execute(&format!(
            "{SALES}; CREATE TABLE desk.follower (ticket int, agent int); {protect}"
        ))
        .unwrap();
    // The followers stay as they are, and so need no lock.
    owner.batch_execute(&format!("BEGIN; {protect}")).unwrap();
    for (table, locked) in [("desk.ticket", 1), ("desk.sales", 1), ("desk.follower", 0)] {
        let held = format!(
            "pg_locks WHERE relation = '{table}'::regclass AND mode = 'AccessExclusiveLock'"
        );
        assert_eq!(count(&mut owner, &held), locked, "{table}");
    }
    owner.batch_execute("COMMIT").unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    let readers: Vec<_> = ["desk.ticket", "desk.follower", "desk.ticket, desk.follower"]
        .into_iter()
        .map(|from| {
            let mut ann = app(&database, ANN);
            thread::spawn(move || {
                while Instant::now() < until {
                    let sql = format!("SELECT count(*) FROM {from}");
                    if let Err(error) = ann.query_one(&sql, &[]) {
                        // A plan that is older than the change is not run.
                        assert_eq!(
                            error.code(),
                            Some(&SqlState::T_R_SERIALIZATION_FAILURE),
                            "{sql}"
                        );
                    }
                }
            })
        })
        .collect();
    for _ in 0..3 {
        owner.batch_execute(&protect).unwrap();
        owner
            .batch_execute("SELECT deskguard.unprotect('desk.ticket')")
            .unwrap();
        owner.batch_execute(&protect).unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn of_two_sessions_that_protect_a_table_one_waits() {
    let database = desk("two_protect");
    let followers = |column: &str| {
        format!(
            "{}, follower_table => 'desk.follower', follower_ticket_column => 'ticket', follower_agent_column => '{column}')",
            PROTECT.trim_end_matches(')')
        )
    };
    let mut owner = database.connect(OWNER);
    owner
        .batch_execute(
            "CREATE TABLE desk.follower (ticket int, agent int, other int);
             CREATE TABLE desk.message (id int PRIMARY KEY, ticket int)",
        )
        .unwrap();
    let mut superuser = database.superuser();
    let messages = "SELECT deskguard.protect_messages('desk.message', 'desk.ticket', 'ticket')";
    let end = "SELECT deskguard.unprotect('desk.ticket')";
    let fine = None;
    let state = Some(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    for (first, second, refused) in [
        (followers("agent"), followers("agent"), fine.clone()),
        (followers("agent"), followers("other"), fine.clone()),
        // The rule of followers, which the other session has just made.
        (followers("agent"), PROTECT.into(), state.clone()),
        (PROTECT.into(), followers("agent"), fine.clone()),
        (end.into(), followers("agent"), fine.clone()),
        (end.into(), end.into(), state.clone()),
        (PROTECT.into(), PARTITION.into(), fine.clone()),
        (messages.into(), messages.into(), fine.clone()),
        (end.into(), messages.into(), state),
    ] {
        owner.batch_execute("RESET client_min_messages").unwrap();
        // Protected before, where it is to be ended.
        if first == end || first == messages {
            owner.batch_execute(PROTECT).unwrap();
        }
        owner.batch_execute(&format!("BEGIN; {first}")).unwrap();
        let mut other = database.connect(OWNER);
        let then = second.clone();
        let waiting = thread::spawn(move || other.batch_execute(&then));
        wait_until("the other session waits", || {
            assert!(!waiting.is_finished(), "{first}; {second}");
            count(&mut superuser, "pg_locks WHERE NOT granted") > 0
        });
        owner.batch_execute("COMMIT").unwrap();
        let outcome = waiting.join().unwrap();
        match refused {
            None => outcome.unwrap_or_else(|error| panic!("{first}; {second}: {error}")),
            Some(refused) => assert_eq!(code(outcome), refused, "{first}; {second}"),
        }
        let not_whole = "deskguard.protected_table WHERE NOT deskguard_internal.base_ok(table_id)";
        assert_eq!(count(&mut superuser, not_whole), 0, "{first}; {second}");
        let left =
            "pg_policy WHERE polrelid NOT IN (SELECT table_id FROM deskguard.protected_table)";
        assert_eq!(count(&mut superuser, left), 0, "{first}; {second}");
        superuser
            .batch_execute(
                "SELECT deskguard.unprotect(table_id) FROM deskguard.protected_table WHERE kind = 'messages';
                 SELECT deskguard.unprotect(table_id) FROM deskguard.protected_table
                 WHERE kind = 'tickets' AND table_id = root;
                 DROP TABLE IF EXISTS desk.sales",
            )
            .unwrap();
    }
}

/// As of any table of PostgreSQL's own: who waits for a rename reads the table by its new name.
#[test]
fn a_statement_that_waits_for_a_rename_goes_on_after_it() {
    let database = desk("awaited_rename");
    let mut owner = database.connect(OWNER);
    owner
        .batch_execute(&format!(
            "{SALES};
             CREATE SCHEMA elsewhere;
             CREATE TABLE desk.follower (ticket int, agent int);
             INSERT INTO desk.follower VALUES (1, 1), (2, 2);
             CREATE TABLE desk.message (id int PRIMARY KEY, ticket int, number_of_words int DEFAULT 1);
             INSERT INTO desk.message VALUES (1, 1), (2, 2);
             CREATE TABLE desk.attachment (id int PRIMARY KEY, message int);
             INSERT INTO desk.attachment VALUES (1, 1), (2, 2);
             {}, follower_table => 'desk.follower', follower_ticket_column => 'ticket', follower_agent_column => 'agent');
             SELECT deskguard.protect_messages('desk.message', 'desk.ticket', 'ticket');
             SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message');",
            PROTECT.trim_end_matches(')')
        ))
        .unwrap();
    let mut superuser = database.superuser();
    superuser
        .batch_execute(
            "INSERT INTO deskguard.agent_permission VALUES (1, 'ticket.create'), (1, 'ticket.reply.unassigned'),
                 (1, 'ticket.edit_messages.unassigned');",
        )
        .unwrap();
    let statements = [
        "SELECT count(*) FROM desk.message",
        "SELECT count(*) FROM desk.message WHERE number_of_words = 1",
        "SELECT count(*) FROM desk.attachment",
        "SELECT count(*) FROM desk.follower",
        "WITH new AS (INSERT INTO desk.message VALUES (3, 1) RETURNING 1) SELECT count(*) FROM new",
        "WITH new AS (INSERT INTO desk.attachment VALUES (3, 1) RETURNING 1) SELECT count(*) FROM new",
        "WITH new AS (UPDATE desk.attachment SET id = 4 RETURNING 1) SELECT count(*) FROM new",
        "SELECT count(*) FROM deskguard.visible_tickets(1)",
        "SELECT count(*) FROM deskguard.agent_can_view(1, 1) AS can WHERE can",
        "SELECT count(*) FROM deskguard.explain_access(1, 1) AS why WHERE why ->> 'allowed' = 'true'",
    ];
    let renames = [
        (
            "ALTER TABLE desk.ticket RENAME dep TO department",
            "ALTER TABLE desk.ticket RENAME department TO dep",
        ),
        (
            "ALTER TABLE desk.ticket RENAME id TO number",
            "ALTER TABLE desk.ticket RENAME number TO id",
        ),
        (
            "ALTER TABLE desk.ticket RENAME TO issue",
            "ALTER TABLE desk.issue RENAME TO ticket",
        ),
        (
            "ALTER TABLE desk.follower RENAME agent TO fan",
            "ALTER TABLE desk.follower RENAME fan TO agent",
        ),
        (
            "ALTER TABLE desk.follower SET SCHEMA elsewhere; ALTER TABLE elsewhere.follower RENAME ticket TO issue",
            "ALTER TABLE elsewhere.follower RENAME issue TO ticket; ALTER TABLE elsewhere.follower SET SCHEMA desk",
        ),
        (
            "ALTER TABLE desk.message RENAME ticket TO issue",
            "ALTER TABLE desk.message RENAME issue TO ticket",
        ),
        (
            "ALTER TABLE desk.message RENAME id TO number",
            "ALTER TABLE desk.message RENAME number TO id",
        ),
    ];
    for (rename, back) in renames {
        for sql in statements {
            // By its own name a statement cannot find a table that is renamed.
            let named = rename.split([' ', ';']).nth(2).unwrap();
            if sql.contains(named) && (rename.contains("RENAME TO") || rename.contains("SCHEMA")) {
                continue;
            }
            // Once with all that a session remembers, once with nothing.
            for remembers in [true, false] {
                let what = format!("{sql}; {rename}; {remembers}");
                let mut ann = app(&database, ANN);
                let ask = |ann: &mut Client| {
                    let mut tried = ann.transaction().unwrap();
                    let found = tried.query_one(sql, &[]).map(|row| row.get::<_, i64>(0));
                    tried.rollback().unwrap();
                    found
                };
                if remembers {
                    assert!(ask(&mut ann).is_ok_and(|found| found > 0), "{what}");
                }
                owner.batch_execute(&format!("BEGIN; {rename}")).unwrap();
                let waiting = thread::spawn({
                    let sql = sql.to_string();
                    move || ann.query_one(&sql, &[]).map(|row| row.get::<_, i64>(0))
                });
                wait_until("it waits, or need not", || {
                    waiting.is_finished() || count(&mut superuser, "pg_locks WHERE NOT granted") > 0
                });
                owner.batch_execute("COMMIT").unwrap();
                let found = waiting.join().unwrap();
                assert_eq!(found.ok(), Some(1), "{what}");
                owner.batch_execute(back).unwrap();
                superuser
                    .batch_execute(
                        "DELETE FROM desk.message WHERE id > 2; DELETE FROM desk.attachment WHERE id = 3;
                         UPDATE desk.attachment SET id = 1 WHERE id = 4",
                    )
                    .unwrap();
            }
        }
    }
}

/// What a new message may not be left with is looked for in the tables that belong to messages.
#[test]
fn a_message_is_written_while_a_table_that_belongs_to_it_is_dropped() {
    let database = desk("dropped");
    let mut owner = database.connect(OWNER);
    owner
        .batch_execute(&format!(
            "{PROTECT};
             CREATE TABLE desk.message (id int PRIMARY KEY, ticket int);
             CREATE TABLE desk.attachment (id int PRIMARY KEY, message int);
             SELECT deskguard.protect_messages('desk.message', 'desk.ticket', 'ticket');
             SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message');"
        ))
        .unwrap();
    database
        .superuser()
        .batch_execute(
            "INSERT INTO deskguard.agent_permission VALUES (1, 'ticket.reply.unassigned')",
        )
        .unwrap();
    owner
        .batch_execute("BEGIN; DROP TABLE desk.attachment")
        .unwrap();
    let mut ann = app(&database, ANN);
    let writer = thread::spawn(move || ann.execute("INSERT INTO desk.message VALUES (1, 1)", &[]));
    let mut superuser = database.superuser();
    wait_until("the writer waits", || {
        assert!(!writer.is_finished());
        count(&mut superuser, "pg_locks WHERE NOT granted") > 0
    });
    owner.batch_execute("COMMIT").unwrap();
    assert_eq!(writer.join().unwrap().unwrap(), 1);
}

#[test]
fn rights_that_are_restored_without_triggers_are_heard_of() {
    let database = desk("no_triggers");
    database.connect(OWNER).batch_execute(PROTECT).unwrap();
    let mut ann = app(&database, ANN);
    assert_eq!(count(&mut ann, "desk.ticket"), 1);
    let dump = database
        .program("pg_dump")
        .args([
            "--data-only",
            "--format=custom",
            "--table=deskguard.agent_department",
        ])
        .output()
        .unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let mut superuser = database.superuser();
    superuser
        .batch_execute("DELETE FROM deskguard.agent_department")
        .unwrap();
    assert_eq!(count(&mut ann, "desk.ticket"), 0);
    let mut restore: Command = database.program("pg_restore");
    restore
        .args([
            "--data-only",
            "--disable-triggers",
            "--dbname",
            database.name(),
        ])
        .stdin(Stdio::piped());
    let mut restore = restore.spawn().unwrap();
    std::io::Write::write_all(restore.stdin.as_mut().unwrap(), &dump.stdout).unwrap();
    assert!(restore.wait().unwrap().success());
    assert_eq!(count(&mut ann, "desk.ticket"), 1);
}

#[test]
fn a_foreign_key_that_was_checked_before_deskguard_was_loaded_is_refused() {
    let database = desk("not_loaded");
    let mut owner = database.connect(OWNER);
    owner
        .batch_execute(
            "CREATE TABLE desk.incident (id int PRIMARY KEY, dep int);
             CREATE TABLE desk.note (id int PRIMARY KEY, ticket int);
             INSERT INTO desk.incident VALUES (1, 1);
             INSERT INTO desk.note VALUES (1, 1), (2, 999);
             SELECT deskguard.protect_tickets('desk.incident', department_column => 'dep');
             SELECT deskguard.protect_messages('desk.note', 'desk.incident', 'ticket');
             RESET ROLE",
        )
        .unwrap();
    let key = "ALTER TABLE desk.note ADD FOREIGN KEY (ticket) REFERENCES desk.incident";
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "ALTER ROLE {OWNER} IN DATABASE {} SET session_preload_libraries = plpgsql",
            database.name()
        ))
        .unwrap();
    let mut unloaded = database.try_connect(OWNER, "").unwrap();
    let refused = code(unloaded.batch_execute(key));
    assert_eq!(refused, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    // Loaded now.
    let refused = code(unloaded.batch_execute(key));
    assert_eq!(refused, SqlState::FOREIGN_KEY_VIOLATION);
}

#[test]
fn another_type_needs_a_session_that_has_loaded_deskguard() {
    let database = desk("type_not_loaded");
    database.connect(OWNER).batch_execute(PROTECT).unwrap();
    database
        .superuser()
        .batch_execute(&format!(
            "ALTER ROLE {OWNER} IN DATABASE {} SET session_preload_libraries = plpgsql",
            database.name()
        ))
        .unwrap();
    let mut unloaded = database.connect(OWNER);
    let alter = "ALTER TABLE desk.ticket ALTER id TYPE bigint";
    let refused = code(unloaded.batch_execute(alter));
    assert_eq!(refused, SqlState::FEATURE_NOT_SUPPORTED);
    // As docs/operations.md says.
    unloaded
        .batch_execute("SELECT deskguard.current_agent()")
        .unwrap();
    unloaded.batch_execute(alter).unwrap();
    assert_eq!(count(&mut app(&database, ANN), "desk.ticket"), 1);
}

#[test]
fn another_type_while_others_query() {
    let database = desk("types");
    let mut owner = database.connect(OWNER);
    owner.batch_execute(&format!("{SALES}; {PROTECT}")).unwrap();
    let query = "SELECT count(*) FROM desk.ticket WHERE id > 0";
    let mut kept = app(&database, ANN);
    let prepared = kept.prepare(query).unwrap();
    let mut asks = move || kept.query_one(&prepared, &[]).unwrap().get::<_, i64>(0);
    assert_eq!(asks(), 1);
    // The types go up and down, and now and then a command is taken back.
    let alters = thread::spawn(move || {
        for n in 0..30 {
            let kind = ["bigint", "smallint", "int"][n % 3];
            let end = if n % 5 == 0 { "ROLLBACK" } else { "COMMIT" };
            let sql = format!("BEGIN; ALTER TABLE desk.ticket ALTER id TYPE {kind}; {end}");
            owner.batch_execute(&sql).unwrap();
        }
    });
    let mut asked = 0;
    while !alters.is_finished() || asked < 20 {
        assert_eq!(asks(), 1);
        assert_eq!(count(&mut app(&database, ANN), "desk.ticket"), 1);
        asked += 1;
    }
    alters.join().unwrap();
    let whole =
        "SELECT bool_and(deskguard_internal.base_ok(table_id)) FROM deskguard.protected_table";
    assert!(value::<bool>(&mut database.superuser(), whole));
}
