//! Statements that begin before a change and go on after it.

use deskguard_tests::ident;
use deskguard_tests::lab::{app, ids, is_retry, run, simple_ids};
use deskguard_tests::server::{Database, MAPPED, STRANGER};
use postgres::error::SqlState;
use postgres::{Client, Error, IsolationLevel};

use crate::desk::{
    AFTER_SWAP, ANN, BY_ANN, FOLLOWERS, Fold, GRANT_CATEGORY, NOTHING, REVOKE_CATEGORY, SELECT,
    SWAP, assert_rows_or_retry, desk, partitioned_desk, roles_stay, while_it_waits,
};

#[test]
fn open_cursors_keep_the_rows_of_their_opening() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        for partitioned in [false, true] {
            let database = if partitioned {
                partitioned_desk(fold)
            } else {
                desk(fold)
            };
            let superuser = &mut database.superuser();
            let what = format!("{fold:?}, partitioned {partitioned}");
            let ann = ident(MAPPED[0]);
            for (isolation, sql) in [
                ("READ COMMITTED", SELECT),
                ("REPEATABLE READ", SELECT),
                ("READ COMMITTED", FOLLOWERS),
            ] {
                for (meanwhile, elsewhere) in [
                    (REVOKE_CATEGORY, true),
                    (SWAP, true),
                    (
                        "UPDATE deskguard.agent SET active = false WHERE id = 1",
                        true,
                    ),
                    ("SET LOCAL deskguard.agent_id = 2", false),
                    ("SELECT deskguard.set_agent(NULL)", false),
                ] {
                    let what = format!("{what}, {isolation}, {sql}, {meanwhile}");
                    let mut client = app(&database, ANN);
                    run(&mut client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
                    run(&mut client, &format!("DECLARE c CURSOR FOR {sql}"));
                    run(&mut client, &format!("DECLARE d CURSOR FOR {sql}"));
                    let fetched = client
                        .query("FETCH 1 FROM d", &[])
                        .unwrap()
                        .iter()
                        .map(|row| row.get(0))
                        .collect::<Vec<i64>>();
                    assert_eq!(fetched, BY_ANN[..1], "{what}");
                    if elsewhere {
                        run(superuser, meanwhile);
                    } else {
                        run(&mut client, meanwhile);
                    }
                    assert_eq!(
                        ids(&mut client, "FETCH ALL FROM c"),
                        BY_ANN,
                        "unread, {what}"
                    );
                    assert_eq!(
                        ids(&mut client, "FETCH ALL FROM d"),
                        BY_ANN[1..],
                        "read, {what}"
                    );
                    run(&mut client, "ROLLBACK");
                    run(
                        superuser,
                        &format!(
                            "UPDATE deskguard.agent SET active = true WHERE id = 1;
                             {REVOKE_CATEGORY}; {GRANT_CATEGORY}"
                        ),
                    );
                }
            }
            let mut client = database.superuser();
            run(&mut client, &format!("SET ROLE {ann}; BEGIN"));
            run(
                &mut client,
                &format!("DECLARE c CURSOR WITH HOLD FOR {SELECT}"),
            );
            run(&mut client, &format!("COMMIT; SET ROLE {STRANGER}"));
            assert_eq!(ids(&mut client, "FETCH ALL FROM c"), BY_ANN, "held, {what}");
        }
    }
}

/// Binds a statement and executes it later, with a change in between.
fn bind_then_execute(
    database: &Database,
    sql: &str,
    level: IsolationLevel,
    meanwhile: impl FnOnce(),
) -> Result<Vec<i64>, Error> {
    let mut client = app(database, ANN);
    run(&mut client, "SET plan_cache_mode = force_generic_plan");
    let statement = client.prepare(sql).unwrap();
    // So that a plan is there already.
    let rows = client.query(&statement, &[&0i64]).unwrap();
    assert_eq!(rows.len(), BY_ANN.len());
    let mut transaction = client.build_transaction().isolation_level(level).start()?;
    let portal = transaction.bind(&statement, &[&0i64])?;
    meanwhile();
    let rows = transaction.query_portal(&portal, 0)?;
    let mut ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    ids.sort_unstable();
    Ok(ids)
}

#[test]
fn a_change_between_bind_and_execute() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        let update = "UPDATE desk.ticket SET subject = 'x' WHERE id > $1 RETURNING id";
        let select = "SELECT id FROM desk.ticket WHERE id > $1";
        for isolation in [
            IsolationLevel::ReadCommitted,
            IsolationLevel::RepeatableRead,
            IsolationLevel::Serializable,
        ] {
            let what = format!("{fold:?}, {isolation:?}");
            let written = bind_then_execute(&database, update, isolation, || {
                run(superuser, REVOKE_CATEGORY);
            });
            assert_rows_or_retry(written, NOTHING, &what);
            run(superuser, GRANT_CATEGORY);
            let written = bind_then_execute(&database, update, isolation, || {
                run(superuser, SWAP);
            });
            assert_rows_or_retry(written, AFTER_SWAP, &what);
            run(superuser, &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}"));
            // A SELECT starts with Bind, so that the state before is right, too.
            let read = bind_then_execute(&database, select, isolation, || {
                run(superuser, SWAP);
            });
            if read.as_deref().ok() != Some(BY_ANN) {
                assert_rows_or_retry(read, AFTER_SWAP, &what);
            }
            run(superuser, &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}"));
        }
    }
}

#[test]
fn writes_obey_what_was_committed_before() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        // (statement, what takes the right to it away, how it is given back, what happens then)
        let insert = "INSERT INTO desk.ticket (id, department_id, category_id) VALUES ($1::bigint + 100, 1, 1)";
        let to_sales =
            "UPDATE desk.ticket SET department_id = 3, assignee_id = 1 WHERE id = $1::bigint + 1";
        let modify = "UPDATE desk.ticket SET subject = 'y' WHERE id = $1::bigint + 1";
        let delete = "DELETE FROM desk.ticket WHERE id = $1::bigint + 1";
        let follow = "INSERT INTO desk.follower (ticket_id, agent_id) VALUES ($1::bigint + 1, 9)";
        let permission = |name: &str| {
            (
                format!("DELETE FROM deskguard.group_permission WHERE permission = '{name}'"),
                format!(
                    "INSERT INTO deskguard.group_permission (group_id, permission) VALUES (100, '{name}')"
                ),
            )
        };
        run(
            superuser,
            "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 3, 'assign');
             INSERT INTO deskguard.group_permission (group_id, permission)
             VALUES (100, 'ticket.delete.unassigned')",
        );
        let assign = (
            "DELETE FROM deskguard.agent_department WHERE department_id = 3 AND agent_id = 1".to_string(),
            "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 3, 'assign')"
                .to_string(),
        );
        let refused = Err(SqlState::INSUFFICIENT_PRIVILEGE);
        for (statement, (revoke, give), then) in [
            (insert, permission("ticket.create"), refused.clone()),
            (to_sales, assign, refused.clone()),
            (modify, permission("ticket.modify.unassigned"), Ok(0)),
            (delete, permission("ticket.delete.unassigned"), Ok(0)),
            (follow, permission("ticket.modify.unassigned"), refused),
        ] {
            for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
                for mode in ["force_custom_plan", "force_generic_plan"] {
                    for in_transaction in [false, true] {
                        let what =
                            format!("{fold:?}, {isolation}, {mode}, {in_transaction}: {statement}");
                        let mut client = app(&database, ANN);
                        run(
                            &mut client,
                            &format!(
                                "SET plan_cache_mode = {mode};
                                 SET default_transaction_isolation = '{isolation}'"
                            ),
                        );
                        let prepared = client.prepare(statement).unwrap();
                        let write = |client: &mut Client| {
                            let result = client.execute(&prepared, &[&0i64]);
                            result.map_err(|error| error.code().unwrap().clone())
                        };
                        run(&mut client, "BEGIN");
                        assert_eq!(write(&mut client), Ok(1), "{what}");
                        run(&mut client, "ROLLBACK");
                        if in_transaction {
                            run(&mut client, "BEGIN; SAVEPOINT a");
                            assert_eq!(write(&mut client), Ok(1), "{what}");
                            run(&mut client, "ROLLBACK TO a");
                        }
                        run(superuser, &revoke);
                        let result = write(&mut client);
                        let retry =
                            in_transaction && result == Err(SqlState::T_R_SERIALIZATION_FAILURE);
                        assert!(result == then || retry, "{what}: {result:?}");
                        run(&mut client, "ROLLBACK");
                        assert_eq!(write(&mut client), then, "{what}, again");
                        run(superuser, &give);
                    }
                }
            }
        }
    }
}

/// Revokes and grants at once: rows of both states together are right for neither.
#[test]
fn a_statement_sees_one_state_of_the_rights() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        for (partitioned, sql) in [
            (true, "SELECT id FROM desk.ticket WHERE desk.wait_at(id, 1)"),
            (
                false,
                "SELECT id FROM desk.ticket WHERE category_id = 1 AND desk.wait_at(id, 1)
                 UNION ALL SELECT id FROM desk.ticket WHERE category_id = 2",
            ),
        ] {
            for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
                let database = if partitioned {
                    partitioned_desk(fold)
                } else {
                    desk(fold)
                };
                let superuser = &mut database.superuser();
                let mut client = app(&database, ANN);
                run(&mut client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
                let seen = while_it_waits(
                    &database,
                    &mut client,
                    |client| simple_ids(client, sql),
                    || run(superuser, SWAP),
                );
                let what = format!("{fold:?}, {isolation}: {sql}");
                match seen {
                    Ok(mut seen) => {
                        seen.sort_unstable();
                        assert!(seen == BY_ANN || seen == AFTER_SWAP, "{what}: {seen:?}");
                    }
                    Err(error) => assert!(is_retry(&error), "{what}: {error:?}"),
                }
            }
        }
    }
}

/// Rights change while the planner is at work. What is then in the plan cache must not be kept, nor
/// asked to be retried for ever.
#[test]
fn a_plan_is_made_while_rights_change() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        let mut client = app(&database, ANN);
        run(
            &mut client,
            "SET plan_cache_mode = force_generic_plan;
             PREPARE q AS SELECT t.id FROM desk.ticket AS t,
                 (SELECT desk.wait_in_planner(0) AS id OFFSET 0) AS none
             WHERE t.id > none.id ORDER BY t.id",
        );
        let first = while_it_waits(
            &database,
            &mut client,
            |client| simple_ids(client, "EXECUTE q"),
            || run(superuser, SWAP),
        );
        // It started before.
        if first.as_deref().ok() != Some(BY_ANN) {
            assert_rows_or_retry(first, AFTER_SWAP, "the statement that was being planned");
        }
        assert_rows_or_retry(simple_ids(&mut client, "EXECUTE q"), AFTER_SWAP, "the next");
        let third = simple_ids(&mut client, "EXECUTE q");
        assert_eq!(
            third.ok().as_deref(),
            Some(AFTER_SWAP),
            "{fold:?}: retried for ever"
        );
    }
}

/// A statement within a function starts after a change, though the function started before. Plans
/// that were made meanwhile and not run (by EXPLAIN) are no excuse.
#[test]
fn a_statement_within_a_function_obeys() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        for explain in [false, true] {
            let database = desk(fold);
            let superuser = &mut database.superuser();
            let explain = if explain {
                "EXECUTE 'EXPLAIN SELECT id FROM desk.ticket';"
            } else {
                ""
            };
            run(
                superuser,
                &format!(
                    "CREATE FUNCTION desk.before_and_after() RETURNS bigint[] LANGUAGE plpgsql AS $$
                     BEGIN
                         -- Plans of what runs in between are made already.
                         PERFORM desk.wait_at(0, 1);
                         PERFORM desk.seen();
                         {explain}
                         PERFORM desk.wait_at(1, 1);
                         RETURN desk.seen();
                     END $$"
                ),
            );
            for level in ["READ COMMITTED", "REPEATABLE READ"] {
                let mut client = app(&database, ANN);
                run(&mut client, "SELECT desk.before_and_after()");
                run(&mut client, &format!("BEGIN ISOLATION LEVEL {level}"));
                run(&mut client, "SELECT desk.before_and_after()");
                let seen = while_it_waits(
                    &database,
                    &mut client,
                    |client| simple_ids(client, "SELECT unnest(desk.before_and_after())"),
                    || run(superuser, SWAP),
                );
                let what = format!("{fold:?}, {level}, {explain}");
                assert_rows_or_retry(seen, AFTER_SWAP, &what);
                run(superuser, &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}"));
            }
        }
    }
}

/// EXPLAIN may also make the plan that is kept and run later in the same statement: no excuse either.
#[test]
fn a_plan_made_by_explain_is_not_run_after_a_change() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        run(
            superuser,
            "CREATE FUNCTION desk.explained_and_run() RETURNS bigint[] LANGUAGE plpgsql
             SET plan_cache_mode = force_generic_plan AS $$
             DECLARE
                 ids bigint[];
             BEGIN
                 DEALLOCATE ALL;
                 PERFORM desk.wait_at(0, 1);
                 EXECUTE 'PREPARE q AS SELECT array_agg(id ORDER BY id) FROM desk.ticket';
                 EXECUTE 'EXPLAIN EXECUTE q';
                 PERFORM desk.wait_at(1, 1);
                 EXECUTE 'EXECUTE q' INTO ids;
                 RETURN ids;
             END $$",
        );
        let mut client = app(&database, ANN);
        run(&mut client, "BEGIN");
        run(&mut client, "SELECT desk.explained_and_run()");
        let seen = while_it_waits(
            &database,
            &mut client,
            |client| simple_ids(client, "SELECT unnest(desk.explained_and_run())"),
            || run(superuser, SWAP),
        );
        assert_rows_or_retry(seen, AFTER_SWAP, &format!("{fold:?}"));
    }
}
