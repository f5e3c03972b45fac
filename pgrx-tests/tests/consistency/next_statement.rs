//! A committed change of rights is obeyed by the next statement, however it is asked; an uncommitted one
//! counts for its own transaction only.

use std::time::Duration;

use deskguard_tests::lab::{app, try_ids, value};
use deskguard_tests::server::{APP, Database, MAPPED, STRANGER};
use deskguard_tests::small_desk::{
    ANN, BOB, DEE, MAX, NOTHING, PLAIN, SEEN_BY_ANN, SEEN_BY_BOB, SEEN_BY_CID, SEEN_BY_DEE,
    SEEN_BY_MAX, SELECT, both_ways, contents, help_desk, seen,
};
use postgres::error::SqlState;
use postgres::{Client, Error, Statement};

use crate::desk::{alone, roles_stay};

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
    let _alone = alone();
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
    let _roles = roles_stay();
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
    let _roles = roles_stay();
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
    let _roles = roles_stay();
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
    let _roles = roles_stay();
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
    let _roles = roles_stay();
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
    let _roles = roles_stay();
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
        let parents: i64 = value(&mut first, sql);
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
    let _roles = roles_stay();
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
