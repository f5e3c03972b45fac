//! Workers of parallel plans.

use deskguard_tests::ident;
use deskguard_tests::lab::{act_for, app, code, value};
use deskguard_tests::server::{APP, MAPPED};
use deskguard_tests::small_desk::{ANN, BOB, PLAIN, SELECT, both_ways, seen};
use postgres::Client;
use postgres::error::SqlState;

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
            let counted: i64 = value(&mut client, "SELECT count(*) FROM desk.ticket");
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
