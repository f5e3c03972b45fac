//! A hot standby of the server under test.

use deskguard_tests::lab::{act_for, code, ids, run, value, wait_until};
use deskguard_tests::server::{APP, MAPPED};
use postgres::Client;
use postgres::error::SqlState;

use crate::copy::ServerCopy;
use crate::desk::{
    ALL, ANN, Asker, BY_ANN, BY_BOB, Fold, Kind, MAX, NOTHING, assert_rows_or_retry, desk,
    roles_stay,
};

/// Waits until the standby has replayed what the primary has committed.
fn replayed(primary: &mut Client, standby: &mut Client) {
    let at: String = value(primary, "SELECT pg_current_wal_insert_lsn()::text");
    let is = format!("SELECT pg_last_wal_replay_lsn() >= '{at}'::pg_lsn");
    wait_until("the standby follows", || value(standby, &is));
}

#[test]
fn a_hot_standby_obeys_what_it_has_replayed() {
    let _roles = roles_stay();
    let desks = Fold::ALL.map(desk);
    // No statement is to be cancelled because the primary has vacuumed.
    let options = "-c hot_standby=on -c hot_standby_feedback=on -c wal_receiver_status_interval=1";
    let standby = match ServerCopy::start("standby", &["-R"], options) {
        Ok(standby) => standby,
        Err(error) => {
            println!("skipped: no standby could be started: {error}");
            return;
        }
    };
    for database in &desks {
        let mut primary = database.superuser();
        let mut watcher = standby.connect(database, "postgres");
        let change = |primary: &mut Client, watcher: &mut Client, sql: &str| {
            run(primary, sql);
            replayed(primary, watcher);
        };
        replayed(&mut primary, &mut watcher);
        assert!(
            watcher
                .query_one("SELECT pg_is_in_recovery()", &[])
                .unwrap()
                .get::<_, bool>(0)
        );

        for isolation in [None, Some("READ COMMITTED"), Some("REPEATABLE READ")] {
            for kind in [
                Kind::Simple,
                Kind::Once,
                Kind::Custom,
                Kind::Generic,
                Kind::Execute,
                Kind::PlPgSql,
                Kind::VolatileSql,
                Kind::Parallel,
                Kind::AgentCanView,
                Kind::VisibleTickets,
            ] {
                let what = format!("{isolation:?}, {kind:?}");
                let mut app = standby.connect(database, APP);
                act_for(&mut app, ANN);
                let mut role = standby.connect(database, MAPPED[0]);
                for client in [&mut app, &mut role] {
                    let begin = |client: &mut Client| {
                        if let Some(level) = isolation {
                            run(client, &format!("BEGIN ISOLATION LEVEL {level}"));
                        }
                    };
                    let end = |client: &mut Client| {
                        if isolation.is_some() {
                            run(client, "ROLLBACK");
                        }
                    };
                    let asker = Asker::new(client, kind);
                    begin(client);
                    assert_eq!(asker.ask(client).unwrap(), BY_ANN, "{what}");
                    for (sql, back, expected) in [
                        (
                            "DELETE FROM deskguard.agent_category WHERE agent_id = 1",
                            "INSERT INTO deskguard.agent_category VALUES (1, 1)",
                            NOTHING,
                        ),
                        (
                            "UPDATE deskguard.agent SET active = false WHERE id = 1",
                            "UPDATE deskguard.agent SET active = true WHERE id = 1",
                            NOTHING,
                        ),
                        (
                            "INSERT INTO deskguard.group_member VALUES (1, 1)",
                            "DELETE FROM deskguard.group_member WHERE group_id = 1 AND agent_id = 1",
                            ALL,
                        ),
                        (
                            "BEGIN; SAVEPOINT a; INSERT INTO deskguard.group_member VALUES (1, 1); ROLLBACK TO a;
                             UPDATE deskguard.agent_category SET category_id = 2 WHERE agent_id = 1;
                             UPDATE deskguard.agent_department SET department_id = 3 WHERE agent_id = 1; COMMIT",
                            "BEGIN; UPDATE deskguard.agent_category SET category_id = 1 WHERE agent_id = 1;
                             UPDATE deskguard.agent_department SET department_id = 1 WHERE agent_id = 1; COMMIT",
                            BY_BOB,
                        ),
                    ] {
                        change(&mut primary, &mut watcher, sql);
                        let seen = asker.ask(client);
                        if isolation.is_none() {
                            assert_eq!(seen.unwrap(), expected, "{what}: {sql}");
                        } else {
                            assert_rows_or_retry(seen, expected, &format!("{what}: {sql}"));
                        }
                        end(client);
                        change(&mut primary, &mut watcher, back);
                        begin(client);
                        assert_eq!(asker.ask(client).unwrap(), BY_ANN, "{what}: {back}");
                    }
                    run(&mut primary, "BEGIN; DELETE FROM deskguard.agent_category");
                    change(&mut primary, &mut watcher, "ROLLBACK");
                    assert_eq!(asker.ask(client).unwrap(), BY_ANN, "{what}: rolled back");
                    end(client);
                }
            }
        }
        for writes in [
            "protect_tickets('desk.ticket', department_column => 'department_id')",
            "protect_messages('desk.ticket', 'desk.ticket')",
            "protect_shared('desk.ticket')",
            "protect_feature('desk.ticket', 'ticket.use')",
            "unprotect('desk.ticket')",
            "share('desk.ticket', 1, everyone => true)",
            "unshare('desk.ticket', 1, everyone => true)",
        ] {
            let sql = format!("SELECT deskguard.{writes}");
            let refused = code(watcher.batch_execute(&sql));
            assert_eq!(refused, SqlState::READ_ONLY_SQL_TRANSACTION, "{sql}");
        }
        // Also where nothing can be written: another agent on the same connection, and TRUNCATE.
        let mut app = standby.connect(database, APP);
        let asker = Asker::new(&mut app, Kind::Generic);
        for (agent, expected) in [(ANN, BY_ANN), (MAX, ALL), (ANN, BY_ANN)] {
            run(
                &mut app,
                &format!("SELECT deskguard.set_agent({agent}, false)"),
            );
            assert_eq!(asker.ask(&mut app).unwrap(), expected);
        }
        run(
            &mut app,
            "BEGIN; DECLARE c CURSOR FOR SELECT id FROM desk.ticket ORDER BY id",
        );
        change(
            &mut primary,
            &mut watcher,
            "UPDATE deskguard.agent SET active = false WHERE id = 1",
        );
        assert_eq!(
            ids(&mut app, "FETCH ALL FROM c"),
            BY_ANN,
            "the cursor of an earlier state"
        );
        run(&mut app, "COMMIT");
        change(
            &mut primary,
            &mut watcher,
            "UPDATE deskguard.agent SET active = true WHERE id = 1",
        );
        assert_eq!(asker.ask(&mut app).unwrap(), BY_ANN);
        change(
            &mut primary,
            &mut watcher,
            "TRUNCATE deskguard.agent_category",
        );
        assert_eq!(asker.ask(&mut app).unwrap(), NOTHING, "truncated");
    }
}
