//! Changes that are not committed yet, or only prepared; and the catalog of permissions.

use deskguard_tests::lab::{act_for, app, code, ids, run, value};
use deskguard_tests::literal;
use deskguard_tests::server::APP;
use postgres::Client;
use postgres::error::SqlState;

use crate::desk::{
    AFTER_SWAP, ALL, ANN, Asker, BOB, BY_ANN, Fold, GRANT_CATEGORY, Kind, MAX, PARALLEL,
    REVOKE_CATEGORY, SWAP, assert_rows_or_retry, desk, partitioned_desk, roles_stay,
};

#[test]
fn the_catalog_of_permissions_changes() {
    let _roles = roles_stay();
    let database = desk(Fold::On);
    let superuser = &mut database.superuser();
    let add = "INSERT INTO deskguard.permission (name, description, destructive)
        VALUES ('people.merge', 'one of the user', false)";
    let holds = "SELECT deskguard.agent_has_permission(9, 'people.merge')";
    let non_destructive = "SELECT deskguard.agent_has_permission(2, 'people.merge')";
    run(
        superuser,
        "INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (2, 2)",
    );
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut max = app(&database, MAX);
        let mut bob = app(&database, BOB);
        for client in [&mut max, &mut bob] {
            run(client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
            run(client, "SAVEPOINT a");
        }
        let ask = |client: &mut Client, sql: &str| -> Result<bool, SqlState> {
            let answer = client.query_one(sql, &[]);
            if answer.is_err() {
                run(client, "ROLLBACK TO a");
            }
            answer
                .map(|row| row.get(0))
                .map_err(|error| error.code().unwrap().clone())
        };
        let unknown = Err(SqlState::INVALID_PARAMETER_VALUE);
        assert_eq!(ask(&mut max, holds), unknown);
        run(superuser, add);
        assert_eq!(ask(&mut max, holds), Ok(true), "{isolation}");
        assert_eq!(ask(&mut bob, non_destructive), Ok(true), "{isolation}");
        run(
            superuser,
            "UPDATE deskguard.permission SET destructive = true WHERE name = 'people.merge'",
        );
        assert_eq!(ask(&mut max, holds), Ok(true), "{isolation}");
        assert_eq!(ask(&mut bob, non_destructive), Ok(false), "{isolation}");
        run(
            superuser,
            "DELETE FROM deskguard.permission WHERE name = 'people.merge'",
        );
        assert_eq!(ask(&mut max, holds), unknown, "{isolation}");
    }
}

/// A function sees the rows that the statement calling it has inserted so far, before any AFTER
/// trigger has fired for them. When that statement fails, nobody may have such rights.
#[test]
fn a_change_that_fails_in_its_own_statement_leaves_nothing() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut client = database.superuser();
        let look = "WITH added AS (
                INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 2) RETURNING 1
            ) SELECT cardinality(desk.looks()) / 0 FROM added";
        run(
            &mut client,
            &format!(
                "CREATE FUNCTION desk.looks() RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER AS $$
                 BEGIN RETURN desk.seen(); END $$;
                 ALTER FUNCTION desk.looks OWNER TO {APP};
                 SET deskguard.agent_id = 1"
            ),
        );
        let asker = Asker::new(&mut client, Kind::Generic);
        // In a new transaction, and in one that goes on after a savepoint.
        assert_eq!(code(client.batch_execute(look)), SqlState::DIVISION_BY_ZERO);
        run(&mut client, &format!("SET ROLE {APP}"));
        assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN, "{fold:?}");
        run(&mut client, "RESET ROLE; BEGIN");
        // So that the rights are loaded anew.
        run(
            &mut client,
            &format!("{REVOKE_CATEGORY}; {GRANT_CATEGORY}; SAVEPOINT a"),
        );
        assert_eq!(code(client.batch_execute(look)), SqlState::DIVISION_BY_ZERO);
        run(&mut client, &format!("ROLLBACK TO a; SET ROLE {APP}"));
        assert_eq!(
            asker.ask(&mut client).unwrap(),
            BY_ANN,
            "{fold:?}, savepoint"
        );
        run(&mut client, "COMMIT");
        assert_eq!(
            asker.ask(&mut client).unwrap(),
            BY_ANN,
            "{fold:?}, committed"
        );
    }
}

#[test]
fn a_prepared_transaction_counts_when_it_is_committed() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut admin = database.superuser();
        let most: String = value(&mut admin, "SHOW max_prepared_transactions");
        if most == "0" {
            println!("skipped: the server has max_prepared_transactions = 0");
            return;
        }
        let mut client = app(&database, ANN);
        let asker = Asker::new(&mut client, Kind::Generic);
        let name = literal(database.name());
        act_for(&mut admin, ANN);
        let own = Asker::new(&mut admin, Kind::PlPgSql);
        let own_sees = |admin: &mut Client| {
            run(admin, &format!("SET ROLE {APP}"));
            let seen = own.ask(admin);
            run(admin, "RESET ROLE");
            seen.unwrap()
        };
        for (end, after) in [("ROLLBACK", BY_ANN), ("COMMIT", AFTER_SWAP)] {
            assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN);
            run(&mut admin, &format!("BEGIN; {SWAP}"));
            assert_eq!(own_sees(&mut admin), AFTER_SWAP, "own, uncommitted");
            run(&mut admin, &format!("PREPARE TRANSACTION {name}"));
            assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN, "prepared");
            assert_eq!(own_sees(&mut admin), BY_ANN, "own, prepared");
            run(&mut client, "BEGIN ISOLATION LEVEL REPEATABLE READ");
            assert_eq!(asker.ask(&mut client).unwrap(), BY_ANN);
            // Another session than the one that made the change.
            run(&mut database.superuser(), &format!("{end} PREPARED {name}"));
            assert_rows_or_retry(asker.ask(&mut client), after, end);
            run(&mut client, "ROLLBACK");
            assert_eq!(asker.ask(&mut client).unwrap(), after, "{end}");
            assert_eq!(own_sees(&mut admin), after, "own, {end}");
        }
    }
}

#[test]
fn parallel_workers_see_ones_own_uncommitted_change() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        for partitioned in [false, true] {
            let database = if partitioned {
                partitioned_desk(fold)
            } else {
                desk(fold)
            };
            let mut client = database.superuser();
            run(&mut client, PARALLEL);
            act_for(&mut client, ANN);
            let check = |client: &mut Client, expected: &[i64]| {
                run(client, &format!("SET ROLE {APP}"));
                let explain = "EXPLAIN (ANALYZE, COSTS OFF) SELECT id FROM desk.ticket";
                let plan: Vec<String> = client
                    .query(explain, &[])
                    .unwrap()
                    .iter()
                    .map(|line| line.get(0))
                    .collect();
                let launched = plan.iter().any(|line| {
                    let line = line.trim_start();
                    line.starts_with("Workers Launched:") && !line.ends_with(" 0")
                });
                assert!(launched, "no workers: {plan:?}");
                let mut seen = ids(client, "SELECT id FROM desk.ticket");
                seen.sort_unstable();
                assert_eq!(seen, expected, "{fold:?}, partitioned {partitioned}");
                run(client, "RESET ROLE");
            };
            check(&mut client, BY_ANN);
            for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
                run(&mut client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
                check(&mut client, BY_ANN);
                run(&mut client, &format!("SAVEPOINT a; {SWAP}"));
                check(&mut client, AFTER_SWAP);
                run(
                    &mut client,
                    "SAVEPOINT b; INSERT INTO deskguard.group_member VALUES (1, 1)",
                );
                check(&mut client, ALL);
                run(&mut client, "ROLLBACK TO b");
                check(&mut client, AFTER_SWAP);
                run(&mut client, "ROLLBACK TO a");
                check(&mut client, BY_ANN);
                run(&mut client, &format!("{SWAP}; ROLLBACK"));
                check(&mut client, BY_ANN);
            }
        }
    }
}
